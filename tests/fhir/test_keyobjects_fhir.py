"""Key objects and manifests in every version: what each resource says, whom it refers to, what it cannot say."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st
from policies import emissions, policies
from studies import (
    concepts,
    devices,
    identifiers,
    maybe,
    moments,
    practitioners,
    series,
    several,
    studies,
    study,
    uids,
    words,
)
from studies import endpoints as some_endpoints

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir import bundle, keyobjects, validate
from dicom2fhir.fhir.dialect import hold, render
from dicom2fhir.fhir.identity import resource_uuid
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Endpoint,
    Identifier,
    Instance,
    KeyObject,
    Moment,
    Organization,
    Patient,
    PersonName,
    Practitioner,
    Selected,
    SelectedSeries,
    SelectedStudy,
    Series,
    Study,
)
from dicom2fhir.problems import Code as ProblemCode

DCM = "http://dicom.nema.org/resources/ontology/DCM"
PRF = {"coding": [{"system": keyobjects.PARTICIPATION, "code": "PRF", "display": "performer"}]}
CT = "1.2.840.10008.5.1.4.1.1.2"
OID_CT = "urn:oid:" + CT
WADO = Endpoint("wado-rs", "https://a.test/rs")
KNOWN = Patient(identifiers=(Identifier("P-1", "patient", "http://a.test/patients"),))
ROSEN = Practitioner((PersonName("alphabetic", "Rosen", ("Rita",)),))
OF_INTEREST = Concept((Code("113000", DCM, "Of Interest"),), "Of Interest")
MOMENT = Moment("2024-01-15", "10:11:12", "+01:00")
LUNG = Concept((Code("39607008", "http://snomed.info/sct", "Lung"),), "Lung")
READ = series(uid="1.2.3.4", number=7, body_sites=(LUNG,), instances=(Instance("1.2.3.4.5", CT, number=3),))
WITH_OWN_FORM = ("dstu2", "stu3", "r5", "r6-ballot2", "r6")
RESOURCES = {"dstu2": "ImagingObjectSelection", "stu3": "ImagingManifest", "r5": "ImagingSelection",
             "r6-ballot2": "ImagingSelection", "r6": "ImagingSelection"}  # fmt: skip


def selecting(*instances: Selected, study_uid: str = "1.2.3", series_uid: str | None = "1.2.3.4", **more: Any) -> Any:
    return SelectedStudy(study_uid, (SelectedSeries(series_uid, instances or (Selected("1.2.3.4.5", CT),)),), **more)


OTHER = selecting(Selected("1.7.1.1", CT), study_uid="1.7", series_uid="1.7.1")


def document(*selections: SelectedStudy, **more: Any) -> KeyObject:
    plain: dict[str, Any] = {"series": "1.2.3.9", "title": OF_INTEREST}
    return KeyObject("1.2.3.9.1", selections or (selecting(),), **plain | more)


def holder(*documents: KeyObject, **more: Any) -> Study:
    """A study with one series that was read, a known patient and a WADO-RS service."""
    return study(KNOWN, READ, **{"endpoints": (WADO,), **more}, key_objects=documents or (document(),))


def emit(version: str, one: Study, **policy: Any) -> bundle.Emission:
    emission = render(one, DIALECTS[version], Policy(**policy))
    for entry in emission.entries:
        assert validate.check(entry.resource, version) == []
    return emission


def said(version: str, one: Study, **policy: Any) -> list[Any]:
    """The key-object resources."""
    kinds = {*RESOURCES.values(), "Basic", "DocumentReference"}
    return [e.resource for e in emit(version, one, **policy).entries if e.type in kinds]


def notes(version: str, one: Study, **policy: Any) -> dict[str, int]:
    """Problems that lie at a key object or a manifest: element -> count."""
    kinds = (*RESOURCES.values(), "DocumentReference")
    problems = emit(version, one, **policy).problems
    found = {problem.where.rpartition("/")[2]: problem.count for problem in problems}
    return {element: count for element, count in found.items() if element.split(".")[0] in kinds}


def patient_url(version: str, one: Study) -> str:
    return next((e.full_url for e in emit(version, one).entries if e.type == "Patient"), "#patient-1")


def study_url(version: str, one: Study) -> str:
    return next(e.full_url for e in emit(version, one).entries if e.type == "ImagingStudy")


def endpoint_url(version: str, one: Study) -> str:
    return next(e.full_url for e in emit(version, one).entries if e.type == "Endpoint")


FULL = document(
    selecting(
        Selected("1.2.3.4.5", CT, frames=(2, 3)),
        Selected("1.2.3.4.5", CT, frames=(5,)),
        Selected("1.2.3.4.6", CT),
        accessions=(Identifier("A-1", "accession", "http://a.test/acc"),),
    ),
    OTHER,
    description="Look here",
    authored=MOMENT,
    observers=(ROSEN,),
)


# Each resource


def test_imaging_object_selection() -> None:
    one = holder(FULL)
    (found,) = said("dstu2", one)
    base = "https://a.test/rs/studies/1.2.3"
    image = f"{base}/series/1.2.3.4/instances/1.2.3.4.5"
    found.pop("contained", None)
    assert list(found.items()) == list(
        {
            "resourceType": "ImagingObjectSelection",
            "id": found["id"],
            "uid": "urn:oid:1.2.3.9.1",
            "patient": {"reference": patient_url("dstu2", one)},
            "title": {
                "coding": [{"system": "http://nema.org/dicom/dicm", "code": "113000", "display": "Of Interest"}],
                "text": "Of Interest",
            },
            "description": "Look here",
            "author": {"display": "Rita Rosen"},
            "authoringTime": "2024-01-15T10:11:12+01:00",
            "study": [
                {
                    "uid": "urn:oid:1.2.3",
                    "url": base,
                    "imagingStudy": {"reference": study_url("dstu2", one)},
                    "series": [
                        {
                            "uid": "urn:oid:1.2.3.4",
                            "url": f"{base}/series/1.2.3.4",
                            "instance": [
                                {
                                    "sopClass": OID_CT,
                                    "uid": "urn:oid:1.2.3.4.5",
                                    "url": image,
                                    "frames": [
                                        {"frameNumbers": [2, 3], "url": f"{image}/frames/2,3"},
                                        {"frameNumbers": [5], "url": f"{image}/frames/5"},
                                    ],
                                },
                                {
                                    "sopClass": OID_CT,
                                    "uid": "urn:oid:1.2.3.4.6",
                                    "url": f"{base}/series/1.2.3.4/instances/1.2.3.4.6",
                                },
                            ],
                        }
                    ],
                },
                {
                    "uid": "urn:oid:1.7",
                    "url": "https://a.test/rs/studies/1.7",
                    "series": [
                        {
                            "uid": "urn:oid:1.7.1",
                            "url": "https://a.test/rs/studies/1.7/series/1.7.1",
                            "instance": [
                                {
                                    "sopClass": OID_CT,
                                    "uid": "urn:oid:1.7.1.1",
                                    "url": "https://a.test/rs/studies/1.7/series/1.7.1/instances/1.7.1.1",
                                }
                            ],
                        }
                    ],
                },
            ],
        }.items()
    )


def test_imaging_manifest() -> None:
    one = holder(FULL)
    (found,) = said("stu3", one)
    assert list(found.items()) == list(
        {
            "resourceType": "ImagingManifest",
            "id": found["id"],
            "identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3.9.1"},
            "patient": {"reference": patient_url("stu3", one)},
            "authoringTime": "2024-01-15T10:11:12+01:00",
            "author": {"display": "Rita Rosen"},
            "description": "Of Interest: Look here",
            "study": [
                {
                    "uid": "urn:oid:1.2.3",
                    "imagingStudy": {"reference": study_url("stu3", one)},
                    "endpoint": [{"reference": endpoint_url("stu3", one)}],
                    "series": [
                        {
                            "uid": "urn:oid:1.2.3.4",
                            "instance": [
                                {"sopClass": OID_CT, "uid": "urn:oid:1.2.3.4.5"},
                                {"sopClass": OID_CT, "uid": "urn:oid:1.2.3.4.6"},
                            ],
                        }
                    ],
                },
                {
                    "uid": "urn:oid:1.7",
                    "imagingStudy": {"identifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.7"}},
                    "endpoint": [{"reference": endpoint_url("stu3", one)}],
                    "series": [{"uid": "urn:oid:1.7.1", "instance": [{"sopClass": OID_CT, "uid": "urn:oid:1.7.1.1"}]}],
                },
            ],
        }.items()
    )


CONCEPT = {"coding": [{"system": DCM, "code": "113000", "display": "Of Interest"}], "text": "Of Interest"}
ORDER = {
    "type": "ServiceRequest",
    "identifier": {
        "type": {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/v2-0203", "code": "ACSN"}]},
        "system": "http://a.test/acc",
        "value": "A-1",
    },
}


def test_imaging_selection_of_r5() -> None:
    one = holder(FULL)
    first, second = said("r5", one)
    coding = {"system": "urn:ietf:rfc:3986", "code": OID_CT}
    assert list(first.items()) == list(
        {
            "resourceType": "ImagingSelection",
            "id": first["id"],
            "identifier": [
                {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.9.1"},
                {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{resource_uuid(first['id'])}"},
            ],
            "status": "available",
            "subject": {"reference": patient_url("r5", one)},
            "issued": "2024-01-15T10:11:12+01:00",
            "performer": [{"function": PRF, "actor": {"type": "Practitioner", "display": "Rita Rosen"}}],
            "basedOn": [ORDER],
            "category": [CONCEPT],
            "code": {**CONCEPT, "text": "Of Interest: Look here"},
            "studyUid": "1.2.3",
            "derivedFrom": [{"reference": study_url("r5", one)}],
            "endpoint": [{"reference": endpoint_url("r5", one)}],
            "seriesUid": "1.2.3.4",
            "seriesNumber": 7,
            "bodySite": {"concept": {"coding": [{"system": "http://snomed.info/sct", "code": "39607008",
                                                 "display": "Lung"}], "text": "Lung"}},
            "instance": [
                {"uid": "1.2.3.4.5", "number": 3, "sopClass": coding, "subset": ["2", "3"]},
                {"uid": "1.2.3.4.5", "number": 3, "sopClass": coding, "subset": ["5"]},
                {"uid": "1.2.3.4.6", "sopClass": coding},
            ],
        }.items()
    )  # fmt: skip
    assert second["derivedFrom"] == [
        {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.7"}}
    ]
    assert (second["studyUid"], second["seriesUid"]) == ("1.7", "1.7.1")
    assert not {"seriesNumber", "bodySite", "basedOn"} & second.keys()
    assert first["identifier"][0] == second["identifier"][0]
    assert first["id"] != second["id"]


def test_imaging_selection_of_r6_has_parts_of_each_kind_and_a_modality() -> None:
    kinds = selecting(
        Selected("1.2.3.4.5", CT, frames=(2, 3)),
        Selected("1.2.3.4.5", CT, segments=(4,)),
        Selected("1.2.3.4.5", CT, channels=((1, 2), (1, 3))),
        Selected("1.2.3.4.5"),
    )
    (found,) = said("r6", holder(document(kinds)))
    assert [one for one in found if one not in ("resourceType", "id", "contained")] == [
        "identifier", "status", "category", "modality", "code", "subject", "derivedFrom", "studyUid", "seriesUid",
        "seriesNumber", "bodySite", "endpoint", "instance",
    ]  # fmt: skip
    assert found["modality"] == {"coding": [{"system": DCM, "code": "CT", "display": "Computed Tomography"}]}
    assert isinstance(found["derivedFrom"], dict)
    assert isinstance(found["bodySite"], list)
    plain = {"uid": "1.2.3.4.5", "number": 3}
    assert found["instance"] == [
        {**plain, "sopClass": OID_CT, "frameNumber": [2, 3]},
        {**plain, "sopClass": OID_CT, "segmentNumber": [4]},
        {**plain, "sopClass": OID_CT, "waveFormChannel": [1, 2, 1, 3]},
        plain,
    ]


def test_imaging_selection_of_the_build_before_r6() -> None:
    (found,) = said("r6-ballot2", holder(document(selecting(Selected("1.2.3.4.5", CT, frames=(2,))))))
    assert found["instance"] == [{"uid": "1.2.3.4.5", "number": 3, "sopClass": OID_CT, "subset": ["2"]}]
    assert isinstance(found["derivedFrom"], dict)
    assert isinstance(found["bodySite"], list)
    assert "modality" not in found


def crossed(found: Any) -> dict[str, list[Any]]:
    """The extensions of a Basic: element -> values."""
    values: dict[str, list[Any]] = {}
    for one in found["extension"]:
        value = next((content for name, content in one.items() if name.startswith("value")), one.get("extension"))
        values.setdefault(one["url"].rpartition("/")[2].removeprefix("extension-ImagingSelection."), []).append(value)
    return values


@pytest.mark.parametrize("version", ["r4", "r4b"])
def test_basic(version: str) -> None:
    one = holder(FULL)
    first, second = said(version, one, key_objects="basic")
    assert first["code"] == {"coding": [{"system": keyobjects.FHIR_TYPES, "code": "ImagingSelection"}]}
    assert first["modifierExtension"] == [{"url": keyobjects.CROSS_VERSION + "status", "valueCode": "available"}]
    assert first["identifier"][0] == {"system": "urn:dicom:uid", "value": "urn:oid:1.2.3.9.1"}
    found = crossed(first)
    assert found.pop("instance")[0] == [
        {"url": "uid", "valueId": "1.2.3.4.5"},
        {"url": "number", "valueUnsignedInt": 3},
        {"url": "sopClass", "valueCoding": {"system": "urn:ietf:rfc:3986", "code": OID_CT}},
        {"url": "subset", "valueString": "2"},
        {"url": "subset", "valueString": "3"},
    ]
    assert found == {
        "artifact-title": ["Of Interest"],
        "artifact-description": ["Look here"],
        "issued": ["2024-01-15T10:11:12+01:00"],
        "performer": [
            [
                {"url": "function", "valueCodeableConcept": PRF},
                {"url": "actor", "valueReference": {"type": "Practitioner", "display": "Rita Rosen"}},
            ]
        ],
        "basedOn": [ORDER],
        "category": [CONCEPT],
        "code": [CONCEPT],
        "studyUid": ["1.2.3"],
        "derivedFrom": [{"reference": study_url(version, one)}],
        "endpoint": [{"reference": endpoint_url(version, one)}],
        "seriesUid": ["1.2.3.4"],
        "seriesNumber": [7],
    }
    other = {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.7"}}
    assert crossed(second)["derivedFrom"] == [other]


@pytest.mark.parametrize("version", ["r4", "r4b"])
def test_document_reference(version: str) -> None:
    one = holder(FULL)
    (found,) = said(version, one, key_objects="document")
    assert list(found.items()) == list(
        {
            "resourceType": "DocumentReference",
            "id": found["id"],
            "masterIdentifier": {"system": "urn:ietf:rfc:3986", "value": "urn:oid:1.2.3.9.1"},
            "identifier": [
                {"system": "urn:ietf:rfc:3986", "value": f"urn:uuid:{resource_uuid(found['id'])}"},
                {
                    "type": {"coding": [{"system": DCM, "code": "112002", "display": "Series Instance UID"}]},
                    "system": "urn:dicom:uid",
                    "value": "urn:oid:1.2.3.9",
                },
            ],
            "status": "current",
            "type": CONCEPT,
            "category": [
                {
                    "coding": [
                        {"system": "http://loinc.org", "code": "55113-5", "display": "Key images Document Radiology"}
                    ]
                }
            ],
            "subject": {"reference": patient_url(version, one)},
            "date": "2024-01-15T10:11:12+01:00",
            "author": [{"type": "Practitioner", "display": "Rita Rosen"}],
            "description": "Look here",
            "content": [
                {
                    "attachment": {
                        "contentType": "application/dicom",
                        "url": "https://a.test/rs/studies/1.2.3/series/1.2.3.9/instances/1.2.3.9.1",
                        "title": "Of Interest",
                    }
                }
            ],
            "context": {
                "related": [
                    {"reference": study_url(version, one)},
                    {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.7"}},
                ]
            },
        }.items()
    )


@pytest.mark.parametrize(
    ("endpoints", "url"),
    [
        (
            (WADO, Endpoint("wado-uri", "https://a.test/wado")),
            "https://a.test/wado?requestType=WADO&studyUID=1.2.3&seriesUID=1.2.3.9&objectUID=1.2.3.9.1"
            "&contentType=application%2Fdicom",
        ),
        ((Endpoint("iid", "https://a.test/iid"),), None),
        ((), None),
    ],
)
def test_where_a_document_can_be_had(endpoints: tuple[Endpoint, ...], url: str | None) -> None:
    (found,) = said("r4", holder(endpoints=endpoints), key_objects="document")
    assert found["content"][0]["attachment"].get("url") == url


# What they are called


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({}, {**CONCEPT}),
        ({"description": "Look"}, {**CONCEPT, "text": "Of Interest: Look"}),
        ({"title": None}, {"text": "Key Object Selection Document"}),
        ({"title": None, "description": "Look"}, {"text": "Look"}),
        ({"title": Concept((), "Mine")}, {"text": "Mine"}),
        ({"title": Concept((Code("1", DCM, "One"),)), "description": "x"},
         {"coding": [{"system": DCM, "code": "1", "display": "One"}], "text": "One: x"}),
    ],
)  # fmt: skip
@pytest.mark.parametrize("version", ["r5", "r6-ballot2", "r6"])
def test_the_code_of_a_selection(version: str, changes: dict[str, Any], code: Any) -> None:
    assert said(version, holder(document(**changes)))[0]["code"] == code


BLUR = Concept((Code("111215", DCM, "Motion blur"),), "Motion blur")


def test_modifiers_are_categories_where_there_are_any() -> None:
    one = holder(document(modifiers=(BLUR,)))
    words = [category["text"] for category in said("r6", one)[0]["category"]]
    assert words == ["Of Interest", "Motion blur"]
    assert notes("dstu2", one) == {"ImagingObjectSelection.title": 1}
    assert notes("stu3", one)["ImagingManifest.title.modifier"] == 1
    assert notes("r4", one, key_objects="document") == {"DocumentReference.type": 1}
    assert not notes("r4", one, key_objects="basic")


@pytest.mark.parametrize(
    ("title", "written"),
    [
        (OF_INTEREST, True),
        (Concept((Code("113039", DCM),)), True),
        (Concept((Code("x", "http://a.test"), Code("113037", DCM))), True),
        (Concept((Code("128181", DCM, "Diagnostic Source Images"),)), False),
        (Concept((Code("113000", "http://a.test"),)), False),
        (Concept((), "Of Interest"), False),
        (None, False),
    ],
)
def test_the_list_of_titles_in_dstu2_is_closed(title: Concept | None, written: bool) -> None:
    one = holder(document(title=title))
    codes = {problem.code for problem in emit("dstu2", one).problems}
    assert bool(said("dstu2", one)) is written
    assert (ProblemCode.TITLE_NOT_IN_THIS_VERSION in codes) is not written
    if written:
        assert len(said("dstu2", one)[0]["title"]["coding"]) == 1


def test_the_title_of_a_manifest_in_stu3_is_words() -> None:
    assert notes("stu3", holder()) == {"ImagingManifest.title": 1}
    assert said("stu3", holder(document(title=None)))[0].get("description") is None
    assert notes("stu3", holder(document(title=None))) == {}


# Who made them, and when


CAD = Device("Maker", "Finder", "S-1", uid="1.2.3.4.99")


@pytest.mark.parametrize("version", WITH_OWN_FORM)
def test_a_device_that_made_it_is_a_resource(version: str) -> None:
    emission = emit(version, holder(document(observers=(CAD,))))
    device = next(entry for entry in emission.entries if entry.type == "Device")
    resource = said(version, holder(document(observers=(CAD,))))[0]
    reference = resource["author"] if "author" in resource else resource["performer"][0]["actor"]
    assert reference == {"reference": device.full_url}
    if "performer" in resource:
        assert resource["performer"][0]["function"]["coding"][0]["code"] == "DEV"
    assert emission.entries.index(device) < [e.type for e in emission.entries].index("ImagingStudy")


def test_where_there_is_room_for_one_the_first_counts() -> None:
    one = holder(document(observers=(ROSEN, CAD)))
    for version in ("dstu2", "stu3"):
        (found,) = said(version, one)
        assert found["author"] == {"display": "Rita Rosen"}
        assert notes(version, one)[f"{found['resourceType']}.author"] == 1
    assert len(said("r5", one)[0]["performer"]) == 2


def test_a_person_of_an_institution() -> None:
    one = holder(document(observers=(replace(ROSEN, organization=Organization("Clinic")),)))
    assert notes("stu3", one)["ImagingManifest.author"] == 1
    (found,) = said("dstu2", one)
    assert found["contained"][0]["practitionerRole"][0]["managingOrganization"] == {"display": "Clinic"}
    (found,) = said("r5", one)
    assert {inner["resourceType"] for inner in found["contained"]} == {"PractitionerRole"}


def test_an_institution_alone_is_the_author() -> None:
    one = holder(document(observers=(Practitioner(organization=Organization("Clinic")),)))
    assert said("stu3", one)[0]["author"] == {"display": "Clinic"}


@pytest.mark.parametrize(
    ("moment", "instant", "lost"),
    [
        (MOMENT, "2024-01-15T10:11:12+01:00", False),
        (Moment("2024-01-15", "10:11:12"), None, True),
        (Moment("2024-01"), None, True),
        (None, None, False),
    ],
)
def test_an_instant_is_whole_or_not_there(moment: Moment | None, instant: str | None, lost: bool) -> None:
    one = holder(document(authored=moment))
    for version in ("r5", "r6-ballot2", "r6"):
        assert said(version, one)[0].get("issued") == instant
        assert ("ImagingSelection.issued" in notes(version, one)) is lost
    assert said("r4", one, key_objects="document")[0].get("date") == instant
    assert said("stu3", one)[0].get("authoringTime") == (instant or (moment.date if moment else None))


@pytest.mark.parametrize("version", ["dstu2", "stu3"])
def test_there_is_no_second_60_before_r4(version: str) -> None:
    one = holder(document(authored=Moment("2016-12-31", "23:59:60", "+00:00")))
    assert said(version, one)[0]["authoringTime"] == "2016-12-31"
    assert notes(version, one)[f"{RESOURCES[version]}.authoringTime"] == 1
    assert said("r5", one)[0]["issued"] == "2016-12-31T23:59:60+00:00"


# What they refer to


def test_frames_segments_and_channels_that_have_no_place() -> None:
    kinds = selecting(
        Selected("1.2.3.4.5", CT, frames=(2,)),
        Selected("1.2.3.4.6", CT, segments=(4,)),
        Selected("1.2.3.4.7", CT, channels=((1, 0),)),
    )
    one = holder(document(kinds))
    assert notes("dstu2", one) == {"ImagingObjectSelection.study.series.instance.frames": 2}
    assert notes("stu3", one)["ImagingManifest.study.series.instance.frames"] == 3
    assert notes("r5", one) == {"ImagingSelection.instance.subset": 1}
    assert notes("r6", one) == {"ImagingSelection.instance.waveFormChannel": 1}
    assert [len(said(v, one)[0].get("instance", "")) for v in ("r5", "r6")] == [3, 3]
    assert len(said("stu3", one)[0]["study"][0]["series"][0]["instance"]) == 3


def test_without_an_address_there_is_no_imaging_object_selection() -> None:
    one = holder(endpoints=())
    assert said("dstu2", one) == []
    assert notes("dstu2", one) == {"ImagingObjectSelection.study.series.instance": 1}


def test_the_evidence_may_have_the_address() -> None:
    there = replace(selecting().series[0], endpoints=(Endpoint("wado-rs", "https://b.test/rs"),))
    one = holder(document(SelectedStudy("1.2.3", (there,)), OTHER), endpoints=())
    (found,) = said("dstu2", one)
    instance = found["study"][0]["series"][0]["instance"][0]
    assert instance["url"] == "https://b.test/rs/studies/1.2.3/series/1.2.3.4/instances/1.2.3.4.5"
    assert len(found["study"]) == 1
    assert notes("dstu2", one) == {"ImagingObjectSelection.study.series.instance": 1}
    (series_of_stu3,) = said("stu3", one)[0]["study"][0]["series"]
    assert len(series_of_stu3["endpoint"]) == 1
    assert len(said("r5", one)[0]["endpoint"]) == 1


def test_a_series_that_nobody_names() -> None:
    one = holder(document(selecting(), selecting(Selected("1.8.8", CT), series_uid=None)))
    found = said("dstu2", one)[0]["study"][0]["series"][1]
    assert found == {
        "instance": [
            {"sopClass": OID_CT, "uid": "urn:oid:1.8.8", "url": "https://a.test/rs/studies/1.2.3/instances/1.8.8"}
        ]
    }
    assert notes("stu3", one)["ImagingManifest.study.series.instance"] == 1
    assert ["seriesUid" in each for each in said("r5", one)] == [True, False]
    assert ["seriesUid" in each for each in said("r6", one)] == [True]
    assert notes("r6", one) == {"ImagingSelection.instance": 1}


@pytest.mark.parametrize(
    "selection",
    [
        selecting(Selected("1.2.03", CT)),
        selecting(Selected("1.2.3.4.5", "1.2.03")),
        selecting(Selected("1.2.3.4.5")),
        selecting(series_uid="1.2.03"),
        selecting(study_uid="7.2.3"),
    ],
)
def test_what_is_no_oid_is_left_out_where_an_oid_is_needed(selection: SelectedStudy) -> None:
    one, both = holder(document(selection)), holder(document(selection, OTHER))
    for version in ("dstu2", "stu3"):
        element = f"{RESOURCES[version]}.study.series.instance"
        assert said(version, one) == []
        assert notes(version, both)[element] == 1
        assert [each["uid"] for each in said(version, both)[0]["study"]] == ["urn:oid:1.7"]
    assert len(said("r5", both)) == 2


def test_a_class_that_is_no_oid_is_left_out_of_r6() -> None:
    one = holder(document(selecting(Selected("1.2.3.4.5", "1.2.03"))))
    assert said("r6", one)[0]["instance"] == [{"uid": "1.2.3.4.5", "number": 3}]
    assert notes("r6", one) == {"ImagingSelection.instance.sopClass": 1}


def test_a_key_object_whose_own_instance_is_withheld_says_nothing() -> None:
    odd = replace(document(), uid="1.2.03")
    own = Series("1.2.3.9", READ.modality, 1, instances=(Instance("1.2.03", CT),))
    whole = study(KNOWN, READ, key_objects=(odd, document()))
    whole = replace(whole, series=(READ, own))
    for version, left in (("stu3", 1), ("r5", 2)):
        held = hold(whole, DIALECTS[version]).study
        assert held is not None
        assert len(held.key_objects) == left


@pytest.mark.parametrize("version", ["dstu2", "stu3"])
def test_a_key_object_that_is_no_oid_is_none(version: str) -> None:
    one = holder(replace(document(), uid="1.2.03"))
    assert said(version, one) == []
    assert len(notes(version, one)) == 1


# References between resources


def literals(node: Any) -> Iterator[str]:
    if isinstance(node, dict):
        yield from ([node["reference"]] if isinstance(node.get("reference"), str) else [])
        for value in node.values():
            yield from literals(value)
    elif isinstance(node, list):
        for value in node:
            yield from literals(value)


@pytest.mark.parametrize(
    ("policy", "literal"),
    [
        ({}, "urn:uuid:"),
        ({"bundle_type": "batch"}, "ImagingStudy/"),
        ({"shape": "ndjson"}, "ImagingStudy/"),
        ({"bundle_type": "batch", "write": "conditional-update"}, None),
    ],
)
def test_its_own_study_by_address_and_others_by_identifier(policy: dict[str, Any], literal: str | None) -> None:
    one = holder(document(selecting(), OTHER))
    own, other = (found["derivedFrom"][0] for found in said("r5", one, **policy))
    assert own.get("reference", "").startswith(literal) if literal else own["identifier"]["value"] == "urn:oid:1.2.3"
    assert other == {"type": "ImagingStudy", "identifier": {"system": "urn:dicom:uid", "value": "urn:oid:1.7"}}
    studies_of_dstu2 = said("dstu2", one, **policy)[0]["study"]
    assert ["imagingStudy" in each for each in studies_of_dstu2] == [literal is not None, False]


@pytest.mark.parametrize("version", WITH_OWN_FORM)
def test_they_come_after_the_study_that_they_refer_to(version: str) -> None:
    emission = emit(version, holder(document(selecting(), OTHER, observers=(CAD,))))
    types = [entry.type for entry in emission.entries]
    assert set(types[types.index("ImagingStudy") + 1 :]) == {RESOURCES[version]}
    assert (emission.series_count, emission.instance_count) == (1, 1)


@pytest.mark.parametrize(
    ("version", "condition"),
    [
        ("dstu2", "identifier=urn%3Aoid%3A1.2.3.9.1"),
        ("stu3", "identifier=urn%3Aietf%3Arfc%3A3986%7Curn%3Aoid%3A1.2.3.9.1"),
        ("r5", None),
    ],
)
def test_how_they_are_written(version: str, condition: str | None) -> None:
    one = holder()
    policy = Policy(write="conditional-update")
    entry = render(one, DIALECTS[version], policy).entries[-1]
    wanted = condition or f"identifier=urn%3Aietf%3Arfc%3A3986%7C{entry.full_url.replace(':', '%3A')}"
    assert DIALECTS[version].wrap(entry, policy)["request"] == {
        "method": "PUT",
        "url": f"{RESOURCES[version]}?{wanted}",
    }
    assert "id" not in entry.resource
    put = render(one, DIALECTS[version], Policy()).entries[-1]
    assert put.id == entry.id == put.resource["id"]
    assert put.ours


def test_one_document_copied_into_another_study_is_another_resource() -> None:
    first, second = holder(), replace(holder(), uid="1.2.4")
    assert said("r5", first)[0]["id"] != said("r5", second)[0]["id"]


def test_a_contained_patient_is_repeated() -> None:
    one = replace(holder(), patient=Patient())
    for version in WITH_OWN_FORM:
        found = said(version, one)[0]
        assert [inner["resourceType"] for inner in found["contained"]][:1] == ["Patient"]


def test_a_companion_of_a_resource_that_is_not_made_is_not_made() -> None:
    one = holder(document(observers=(CAD,), title=None))
    assert "Device" not in [entry.type for entry in emit("dstu2", one).entries]


# The choice


@pytest.mark.parametrize("version", DIALECTS)
def test_off_says_nothing(version: str) -> None:
    one = holder(FULL)
    assert said(version, one, key_objects="off") == []
    assert emit(version, one, key_objects="off").entries == emit(version, replace(one, key_objects=())).entries
    assert notes(version, one, key_objects="off") == {}


@pytest.mark.parametrize("version", ["dstu2-ballot2", "r4", "r4b"])
def test_a_version_without_a_form_of_its_own_notes_it(version: str) -> None:
    one = holder(document(), replace(document(), uid="1.2.3.9.2"))
    problems = [p for p in emit(version, one).problems if p.where.endswith("ImagingSelection")]
    assert [p.where for p in problems] == [f"1.2.3/1.2.3.9/1.2.3.9.{n}/ImagingSelection" for n in (1, 2)]
    assert {p.code for p in problems} == {ProblemCode.NOT_IN_THIS_VERSION}
    assert all(("--key-objects basic or document" in p.message) is (version != "dstu2-ballot2") for p in problems)
    assert emit(version, one).entries == emit(version, replace(one, key_objects=())).entries


@pytest.mark.parametrize("choice", ["basic", "document"])
@pytest.mark.parametrize("version", DIALECTS)
def test_the_forms_on_request_are_of_r4(version: str, choice: Any) -> None:
    if version in ("r4", "r4b"):
        DIALECTS[version].check(Policy(key_objects=choice))
        return
    with pytest.raises(UsageError, match=choice):
        DIALECTS[version].check(Policy(key_objects=choice))


def test_there_are_four_choices() -> None:
    with pytest.raises(UsageError, match="--key-objects takes one of auto, off, basic, document"):
        Policy(key_objects="every").check()  # type: ignore[arg-type]


@pytest.mark.parametrize("version", DIALECTS)
def test_every_form_tells_where_the_model_goes(version: str) -> None:
    fields = {f"{kind.__name__}.{name}" for kind in (KeyObject, SelectedStudy, SelectedSeries, Selected)
              for name in kind.__dataclass_fields__}  # fmt: skip
    for form in DIALECTS[version].key_objects.values():
        assert form.places.keys() <= fields
        assert all(place.startswith((form.type, "ImagingSelection")) for place in form.places.values())


# The manifest


SECOND = series(
    uid="1.2.3.5", number=8, instance_count=2, instances=(Instance("1.2.3.5.1", CT), Instance("1.2.3.5.2", CT))
)


def whole(**more: Any) -> Study:
    return replace(holder(**more), series=(READ, SECOND), key_objects=())


def test_the_manifest_is_what_was_written() -> None:
    (found,) = said("stu3", whole(), manifest=True)
    listed = [[one["uid"] for one in each["instance"]] for each in found["study"][0]["series"]]
    assert listed == [["urn:oid:1.2.3.4.5"], ["urn:oid:1.2.3.5.1", "urn:oid:1.2.3.5.2"]]
    assert found["description"] == "Manifest"
    assert notes("stu3", whole(), manifest=True) == {}
    (found,) = said("dstu2", whole(), manifest=True)
    assert found["title"]["coding"][0]["code"] == "113030"
    selections = said("r5", whole(), manifest=True)
    assert [one["seriesUid"] for one in selections] == ["1.2.3.4", "1.2.3.5"]


@pytest.mark.parametrize("version", WITH_OWN_FORM)
def test_the_uid_of_a_manifest_is_its_id(version: str) -> None:
    for found in said(version, whole(), manifest=True):
        uid = found["uid"] if "uid" in found else found["identifier"]
        uid = uid[0] if isinstance(uid, list) else uid
        text = uid if isinstance(uid, str) else uid["value"]
        assert text.startswith("urn:oid:2.25.")
        assert UUID(int=int(text.removeprefix("urn:oid:2.25."))) == resource_uuid(found["id"])


@pytest.mark.parametrize("version", WITH_OWN_FORM)
def test_it_comes_beside_the_key_objects_and_without_them(version: str) -> None:
    both = said(version, replace(whole(), key_objects=(document(),)), manifest=True)
    assert said(version, whole(), manifest=True) == both[1:]
    assert said(version, replace(whole(), key_objects=(document(),)), manifest=True, key_objects="off") == both[1:]
    assert said(version, whole()) == []


@pytest.mark.parametrize("version", DIALECTS)
def test_there_is_none_where_the_instances_are_not_listed(version: str) -> None:
    unlisted = replace(whole(), series=(replace(READ, instances=()), replace(SECOND, instances=())))
    assert said(version, unlisted, manifest=True) == []
    assert notes(version, unlisted, manifest=True) == {}


@pytest.mark.parametrize("version", ["dstu2-ballot2", "r4", "r4b"])
@pytest.mark.parametrize("choice", ["auto", "off", "basic", "document"])
def test_some_versions_have_none(version: str, choice: str) -> None:
    if version == "dstu2-ballot2" and choice in ("basic", "document"):
        return
    assert said(version, whole(), manifest=True, key_objects=choice) == []
    assert notes(version, whole(), manifest=True, key_objects=choice) == {"ImagingManifest": 1}


def test_without_an_address_dstu2_has_none_either() -> None:
    assert said("dstu2", whole(endpoints=()), manifest=True) == []
    assert notes("dstu2", whole(endpoints=()), manifest=True) == {"ImagingObjectSelection.study.series.instance": 3}


# Whatever they say


counts = st.lists(st.sampled_from((1, 2, 300)), min_size=1, max_size=2, unique=True).map(tuple)
channels = st.lists(st.tuples(st.sampled_from((1, 2)), st.sampled_from((0, 1))), min_size=1, max_size=2).map(tuple)
classes = maybe(uids)
parts = (
    st.builds(Selected, uids, classes)
    | st.builds(Selected, uids, classes, counts)
    | st.builds(Selected, uids, classes, st.just(()), counts)
    | st.builds(Selected, uids, classes, st.just(()), st.just(()), channels)
)


def of_series(uid: st.SearchStrategy[Any]) -> st.SearchStrategy[SelectedSeries]:
    return st.builds(SelectedSeries, uid, st.lists(parts, min_size=1, max_size=2, unique=True).map(tuple),
                     several(some_endpoints, 1))  # fmt: skip


def of_study(uid: st.SearchStrategy[str]) -> st.SearchStrategy[SelectedStudy]:
    some = st.lists(of_series(maybe(uids)), min_size=1, max_size=2, unique_by=lambda one: one.uid).map(tuple)
    return st.builds(SelectedStudy, uid, some, several(identifiers("accession"), 1))


documents = st.builds(
    KeyObject,
    uids,
    st.lists(of_study(uids), min_size=1, max_size=2, unique_by=lambda one: one.uid).map(tuple),
    uids,
    maybe(st.just(OF_INTEREST) | concepts),
    several(concepts, 1),
    maybe(words),
    maybe(moments),
    several(practitioners | devices),
)


def _with_documents(one: Study, chosen: tuple[KeyObject, ...], has_address: bool) -> Study:
    return replace(one, key_objects=chosen, endpoints=(*one.endpoints, WADO) if has_address else one.endpoints)


with_documents = st.builds(
    _with_documents,
    studies.filter(lambda one: len({each.uid for each in one.series}) == len(one.series)),
    st.lists(documents, max_size=2, unique_by=lambda one: one.uid).map(tuple),
    st.booleans(),
)
choices = st.tuples(policies, st.sampled_from(("auto", "basic", "document")), st.booleans()).map(
    lambda drawn: replace(drawn[0], key_objects=drawn[1], manifest=drawn[2])
)


@given(one=with_documents, policy=choices)
def test_every_emission_is_valid_and_closed(one: Study, policy: Policy) -> None:
    given_by_user = {one.patient.reference, policy.patient_reference}
    for version, emission in emissions(one, policy):
        kinds = {form.type for form in DIALECTS[version].key_objects.values()}
        targets = {f"{entry.type}/{entry.id}" for entry in emission.entries} | {e.full_url for e in emission.entries}
        for entry in emission.entries:
            assert validate.check(entry.resource, version) == []
            assert json.loads(json.dumps(entry.resource)) == entry.resource
            if entry.type in kinds:
                contained = {"#" + inner["id"] for inner in entry.resource.get("contained", ())}
                assert set(literals(entry.resource)) - given_by_user <= targets | contained
                assert entry.ours
        ids = [entry.id for entry in emission.entries]
        assert len(ids) == len(set(ids))
