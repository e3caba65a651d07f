"""Key objects: where references lead, what is said of them, whose they are, and what is left out."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest
from records import CT_IMAGE, KEY_OBJECT, code, issuer, record

from dicom2fhir.dicom.elements import TREE_DEPTH
from dicom2fhir.dicom.records import Context, InstanceRecord, StudyRecords
from dicom2fhir.mapping import Elsewhere, Settings, build_study
from dicom2fhir.mapping.keyobjects import Alone
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Endpoint,
    Identifier,
    KeyObject,
    Moment,
    Organization,
    PersonName,
    Practitioner,
    Selected,
    SelectedSeries,
    SelectedStudy,
)
from dicom2fhir.problems import Code as Problem

DCM = "http://dicom.nema.org/resources/ontology/DCM"
EVIDENCE = "CurrentRequestedProcedureEvidenceSequence"
KOS = "1.2.9.1"

Reference = tuple[str, str, str]
"""Study, series and SOP Instance UID."""


def hierarchy(*references: Reference, sop_class: str = CT_IMAGE, url: str | None = None) -> list[dict[str, Any]]:
    return [
        {
            "StudyInstanceUID": study,
            "ReferencedSeriesSequence": [
                {
                    "SeriesInstanceUID": series,
                    **({"RetrieveURL": url} if url else {}),
                    "ReferencedSOPSequence": [{"ReferencedSOPClassUID": sop_class, "ReferencedSOPInstanceUID": uid}],
                }
            ],
        }
        for study, series, uid in references
    ]


def image(uid: str, kind: str = "IMAGE", **parts: str) -> dict[str, Any]:
    reference = {"ReferencedSOPClassUID": CT_IMAGE, "ReferencedSOPInstanceUID": uid, **parts}
    return {"ValueType": kind, "ReferencedSOPSequence": [reference]}


def said(concept: str, **content: Any) -> dict[str, Any]:
    return {"ConceptNameCodeSequence": [code(concept, "DCM")], **content}


def kos(*content: dict[str, Any], uid: str = KOS, study: str = "1.2", **values: Any) -> InstanceRecord:
    """A key object of series 9; its evidence is one image of series 1 unless told otherwise."""
    shared = ("PatientID", "IssuerOfPatientID", "TimezoneOffsetFromUTC", "ReferencedRequestSequence",
              "AccessionNumber", "IssuerOfAccessionNumberSequence", "CodingSchemeIdentificationSequence")  # fmt: skip
    said_of_it = {EVIDENCE: hierarchy(("1.2", "1.2.1", "1.2.1.1")), "ContentSequence": list(content), **values}
    own = {k: v for k, v in said_of_it.items() if k not in shared and v is not None}
    context = {"PatientID": "P-1", "Modality": "KO", "SeriesNumber": "9"}
    context |= {k: v for k, v in said_of_it.items() if k in shared}
    return InstanceRecord(uid, Context(study, f"{study}.9", KEY_OBJECT, context), own)


class Read:
    """A read set of several studies."""

    def __init__(self, *studies: StudyRecords) -> None:
        self.studies = {study.uid: study for study in studies}
        self.asked: list[str] = []

    def places(self, uid: str) -> list[tuple[str, str]]:
        return sorted(
            (study.uid, one.context.series)
            for study in self.studies.values()
            for one in study.instances
            if one.uid == uid
        )

    def study(self, uid: str) -> StudyRecords:
        self.asked.append(uid)
        return self.studies.get(uid, StudyRecords(uid, ()))


def moved(study: str, one: InstanceRecord, **values: Any) -> InstanceRecord:
    """The same instance in another study."""
    context = one.context._replace(study=study, series=f"{study}.1", values={**one.context.values, **values})
    return one._replace(uid=f"{study}.1.1", context=context)


def study_of(uid: str, *instances: InstanceRecord) -> StudyRecords:
    return StudyRecords(uid, tuple(sorted(instances, key=lambda one: (one.context.series, one.uid))))


def mapped(
    *instances: InstanceRecord, others: Iterable[StudyRecords] = (), **settings: Any
) -> tuple[tuple[KeyObject, ...], dict[tuple[Problem, str], int]]:
    """The key objects of study 1.2, and its problems by code and place below the study."""
    records, choices = study_of("1.2", *instances), Settings(**settings)
    study, problems = build_study(records, choices, Elsewhere(Read(records, *others), choices))
    assert study is not None
    return study.key_objects, {(one.code, one.where.partition("/")[2]): one.count for one in problems}


def only(*instances: InstanceRecord, **settings: Any) -> KeyObject:
    (found,), _ = mapped(*instances, **settings)
    return found


def notes(*instances: InstanceRecord, **settings: Any) -> dict[tuple[Problem, str], int]:
    return mapped(*instances, **settings)[1]


def selected(found: KeyObject) -> list[Selected]:
    return [one for study in found.studies for series in study.series for one in series.instances]


# Where references lead


def test_the_evidence_is_what_is_referred_to() -> None:
    references = (("1.2", "1.2.1", "1.2.1.1"), ("1.2", "1.2.1", "1.2.1.2"), ("1.2", "1.2.2", "1.2.2.1"))
    found = only(record(), kos(**{EVIDENCE: hierarchy(*references)}))
    assert found.studies == (
        SelectedStudy(
            "1.2",
            (
                SelectedSeries("1.2.1", (Selected("1.2.1.1", CT_IMAGE), Selected("1.2.1.2", CT_IMAGE))),
                SelectedSeries("1.2.2", (Selected("1.2.2.1", CT_IMAGE),)),
            ),
        ),
    )
    assert (found.uid, found.series) == (KOS, "1.2.9")


def test_a_claim_stands_whether_its_instances_were_read_or_not() -> None:
    found, problems = mapped(kos(**{EVIDENCE: hierarchy(("9.9", "9.9.1", "9.9.1.1"))}))
    assert [study.uid for study in found[0].studies] == ["9.9"]
    assert not [code for code, _ in problems if "key" in code]


def test_evidence_that_says_a_thing_twice_says_it_once() -> None:
    twice = hierarchy(("1.2", "1.2.1", "1.2.1.1"), ("1.2", "1.2.1", "1.2.1.1"))
    assert selected(only(kos(**{EVIDENCE: twice}))) == [Selected("1.2.1.1", CT_IMAGE)]


def test_content_says_which_frames_of_the_evidence() -> None:
    content = (
        image("1.2.1.1", ReferencedFrameNumber="2\\3"),
        image("1.2.1.1", ReferencedFrameNumber="5"),
        image("1.2.1.1", ReferencedFrameNumber="2\\3\\2"),
        image("1.2.1.1"),
    )
    assert selected(only(kos(*content))) == [
        Selected("1.2.1.1", CT_IMAGE, frames=(2, 3)),
        Selected("1.2.1.1", CT_IMAGE, frames=(5,)),
        Selected("1.2.1.1", CT_IMAGE),
    ]


def test_segments_and_channels_are_kept_apart_from_frames() -> None:
    parts = {"ReferencedFrameNumber": "1", "ReferencedSegmentNumber": "4", "ReferencedWaveformChannels": "1\\2\\1\\0"}
    assert selected(only(kos(image("1.2.1.1", **parts)))) == [
        Selected("1.2.1.1", CT_IMAGE, frames=(1,)),
        Selected("1.2.1.1", CT_IMAGE, segments=(4,)),
        Selected("1.2.1.1", CT_IMAGE, channels=((1, 2), (1, 0))),
    ]


def test_containers_are_followed() -> None:
    inner = {"ValueType": "CONTAINER", "ContentSequence": [image("1.2.1.1", ReferencedFrameNumber="7")]}
    outer = {"ValueType": "CONTAINER", "ContentSequence": [said("1"), inner]}
    assert selected(only(kos(outer)))[0].frames == (7,)


@pytest.mark.parametrize("kind", ["TEXT", "SCOORD", "CONTAINER"])
def test_only_references_refer(kind: str) -> None:
    assert selected(only(kos(image("1.2.1.1", kind, ReferencedFrameNumber="7")))) == [Selected("1.2.1.1", CT_IMAGE)]


def test_what_the_evidence_leaves_out_is_looked_up_in_what_was_read() -> None:
    other = study_of("1.3", moved("1.3", record()))
    found, problems = mapped(record(), record(2), kos(image("1.2.1.2"), image("1.3.1.1")), others=[other])
    assert [(study.uid, [one.uid for one in study.series]) for study in found[0].studies] == [
        ("1.2", ["1.2.1"]),
        ("1.3", ["1.3.1"]),
    ]
    assert not [code for code, _ in problems if "key" in code]


def test_an_instance_in_two_places_is_the_one_of_this_study() -> None:
    other = study_of("1.3", moved("1.3", record())._replace(uid="1.2.1.2"))
    found, _ = mapped(record(), record(2), kos(image("1.2.1.2")), others=[other])
    assert [study.uid for study in found[0].studies] == ["1.2"]


def test_what_nobody_places_is_of_this_study_and_of_no_known_series() -> None:
    found, problems = mapped(record(), kos(image("8.8", ReferencedFrameNumber="1"), image("8.9")))
    assert found[0].studies[0].series[1] == SelectedSeries(
        None, (Selected("8.8", CT_IMAGE, frames=(1,)), Selected("8.9", CT_IMAGE))
    )
    assert problems[Problem.KEY_OBJECT_UNRESOLVED, f"1.2.9/{KOS}/ContentSequence"] == 2


def test_alone_a_study_knows_its_own() -> None:
    records = study_of("1.2", record(2), kos(image("1.2.1.2")))
    found, _ = build_study(records, Settings())
    assert found is not None
    assert [one.uid for one in found.key_objects[0].studies[0].series] == ["1.2.1"]
    assert Alone(records).study("1.3").instances == ()


def test_a_reference_that_is_none_is_noted_and_the_others_stay() -> None:
    evidence = hierarchy(("1.2", "1.2.1", "1.2.x"), ("1.2", "1.2.1", "1.2.1.1"), ("", "1.2.1", "1.2.1.7"))
    broken = {"ReferencedSOPInstanceUID": "1.2.1.1", "ReferencedFrameNumber": "0\\2\\x"}
    content = [image("1.2.x"), {"ValueType": "IMAGE", "ReferencedSOPSequence": [broken]}]
    found, problems = mapped(kos(*content, **{EVIDENCE: evidence}))
    assert selected(found[0]) == [Selected("1.2.1.1", CT_IMAGE)]
    counts = {place.rpartition("/")[2]: count for (code, place), count in problems.items() if code == "value-invalid"}
    assert counts == {EVIDENCE: 2, "ContentSequence": 1, "ReferencedFrameNumber": 1}


def test_frame_zero_is_no_frame() -> None:
    found, problems = mapped(kos(image("1.2.1.1", ReferencedFrameNumber="0\\2")))
    assert selected(found[0])[0].frames == (2,)
    assert problems[Problem.VALUE_INVALID, f"1.2.9/{KOS}/ReferencedFrameNumber"] == 1


def test_half_a_channel_is_none() -> None:
    found, problems = mapped(kos(image("1.2.1.1", ReferencedWaveformChannels="1\\2\\3")))
    assert selected(found[0]) == [Selected("1.2.1.1", CT_IMAGE)]
    assert problems[Problem.VALUE_INVALID, f"1.2.9/{KOS}/ReferencedWaveformChannels"] == 1


def test_a_class_that_is_none_is_left_out() -> None:
    evidence = hierarchy(("1.2", "1.2.1", "1.2.1.1"), sop_class="CT")
    found, problems = mapped(kos(**{EVIDENCE: evidence}))
    assert selected(found[0]) == [Selected("1.2.1.1", None)]
    assert problems[Problem.VALUE_INVALID, f"1.2.9/{KOS}/ReferencedSOPClassUID"] == 1


def test_a_tree_that_was_cut_is_noted() -> None:
    content = [image("1.2.1.1")]
    for _ in range(TREE_DEPTH):
        content = [{"ValueType": "CONTAINER", "ContentSequence": content}]
    assert notes(kos(*content))[Problem.VALUE_INVALID, f"1.2.9/{KOS}/ContentSequence"] == 1
    assert (Problem.VALUE_INVALID, f"1.2.9/{KOS}/ContentSequence") not in notes(kos(*content[0]["ContentSequence"]))


def test_a_document_of_nothing_is_none() -> None:
    found, problems = mapped(kos(**{EVIDENCE: []}))
    assert found == ()
    assert not [code for code, _ in problems if "key" in code]


@pytest.mark.parametrize(
    ("url", "endpoints"),
    [
        ("https://a.test/rs/studies/1.2/series/1.2.1", (Endpoint("wado-rs", "https://a.test/rs"),)),
        ("https://own.test/rs/studies/1.2", ()),
        (None, ()),
        ("ftp://a.test", ()),
    ],
)
def test_a_series_has_a_service_of_its_own(url: str | None, endpoints: tuple[Endpoint, ...]) -> None:
    one = kos(**{EVIDENCE: hierarchy(("1.2", "1.2.1", "1.2.1.1"), url=url)})
    found, problems = mapped(one, endpoints=(Endpoint("wado-rs", "https://own.test/rs"),))
    assert found[0].studies[0].series[0].endpoints == endpoints
    assert ((Problem.VALUE_INVALID, f"1.2.9/{KOS}/RetrieveURL") in problems) is (url == "ftp://a.test")


# What is said


def test_title_modifiers_and_description() -> None:
    content = (
        said("113011", ConceptCodeSequence=[code("111215", "DCM", "Motion blur")]),
        said("113012", TextValue="First\\half "),
        said("113012", TextValue="  "),
        said("113012", TextValue="second"),
        {"ContentSequence": [said("113012", TextValue="of something inside")]},
    )
    title = [code("113001", "DCM", "Rejected for Quality Reasons")]
    found = only(kos(*content, ConceptNameCodeSequence=title))
    reason = "Rejected for Quality Reasons"
    assert found.title == Concept((Code("113001", DCM, reason),), reason)
    assert found.modifiers == (Concept((Code("111215", DCM, "Motion blur"),), "Motion blur"),)
    assert found.description == "First\\half\nsecond"


def test_without_words() -> None:
    found = only(kos())
    assert (found.title, found.modifiers, found.description, found.authored, found.observers) == (
        None,
        (),
        None,
        None,
        (),
    )


def test_a_private_title_is_noted_at_the_key_object() -> None:
    title = [code("MADOTEMP001", "99IHE", "Manifest")]
    problems = notes(kos(ConceptNameCodeSequence=title))
    assert problems[Problem.CODE_WITHOUT_SYSTEM, f"1.2.9/{KOS}/ConceptNameCodeSequence"] == 1


@pytest.mark.parametrize(
    ("values", "moment"),
    [
        ({"ObservationDateTime": "20240115101112.5-0500"}, Moment("2024-01-15", "10:11:12.5", "-05:00")),
        ({"ObservationDateTime": "20240115", "ContentDate": "20240116"}, Moment("2024-01-15")),
        ({"ContentDate": "20240116", "ContentTime": "1011"}, Moment("2024-01-16", "10:11:00", "+01:00")),
        ({"ObservationDateTime": "soon", "ContentDate": "20240116"}, Moment("2024-01-16")),
        ({"ContentTime": "101112"}, None),
    ],
)
def test_when_it_was_made(values: dict[str, str], moment: Moment | None) -> None:
    assert only(kos(**values, TimezoneOffsetFromUTC="+0100")).authored == moment


PERSON = Practitioner((PersonName("alphabetic", "Rosen", ("Rita",)),))


@pytest.mark.parametrize(
    ("content", "observers"),
    [
        ([said("121008", PersonName="Rosen^Rita")], (PERSON,)),
        (
            [said("121005"), said("121008", PersonName="Rosen^Rita"), said("121009", TextValue="Clinic")],
            (replace(PERSON, organization=Organization("Clinic")),),
        ),
        ([said("121009", TextValue="Clinic")], (Practitioner(organization=Organization("Clinic")),)),
        (
            [
                said("121012", UID="1.2.3"),
                said("121013", TextValue="CAD-1"),
                said("121014", TextValue="Maker"),
                said("121015", TextValue="Model"),
                said("121016", TextValue="S-1"),
            ],
            (Device("Maker", "Model", "S-1", uid="1.2.3", station="CAD-1"),),
        ),
        (
            [said("121005"), said("121008", PersonName="Rosen^Rita"), said("121005"), said("121013", TextValue="CAD")],
            (PERSON, Device(station="CAD")),
        ),
        (
            [said("121008", PersonName="Rosen^Rita"), said("121008", PersonName="Doe")],
            (PERSON, Practitioner((PersonName("alphabetic", "Doe"),))),
        ),
        ([said("121005"), said("121008", PersonName="^")], ()),
        ([{"ContentSequence": [said("121008", PersonName="Rosen^Rita")]}], ()),
        ([said("121012", UID="none")], ()),
    ],
)
def test_who_made_it(content: list[dict[str, Any]], observers: tuple[Any, ...]) -> None:
    found = [
        replace(one, names=tuple(replace(name, text=None) for name in one.names))
        if isinstance(one, Practitioner)
        else one
        for one in only(kos(*content)).observers
    ]
    assert tuple(found) == observers


def test_accession_numbers_by_study() -> None:
    requests = [
        {"StudyInstanceUID": "1.2", "AccessionNumber": "A-1", "IssuerOfAccessionNumberSequence": issuer("1.2.3")},
        {"StudyInstanceUID": "1.3", "AccessionNumber": "A-2"},
        {"StudyInstanceUID": "1.4", "AccessionNumber": "A-3"},
    ]
    evidence = hierarchy(("1.2", "1.2.1", "1.2.1.1"), ("1.3", "1.3.1", "1.3.1.1"))
    found = only(kos(ReferencedRequestSequence=requests, AccessionNumber="A-0", **{EVIDENCE: evidence}))
    assert [study.accessions for study in found.studies] == [
        (Identifier("A-1", "accession", "urn:oid:1.2.3"),),
        (Identifier("A-2", "accession"),),
    ]


def test_the_document_s_own_accession_number_is_of_its_own_study() -> None:
    evidence = hierarchy(("1.2", "1.2.1", "1.2.1.1"), ("1.3", "1.3.1", "1.3.1.1"))
    found = only(kos(AccessionNumber="A-0", **{EVIDENCE: evidence}), systems={"accession": "http://a.test"})
    assert [study.accessions for study in found.studies] == [(Identifier("A-0", "accession", "http://a.test"),), ()]


# Whose it is


def two_studies(**of_the_other: Any) -> tuple[tuple[KeyObject, ...], dict[tuple[Problem, str], int]]:
    """A key object of this study and another one, whose patient has what is given."""
    evidence = hierarchy(("1.2", "1.2.1", "1.2.1.1"), ("1.3", "1.3.1", "1.3.1.1"))
    other = study_of("1.3", moved("1.3", record(), **of_the_other))
    return mapped(record(), kos(**{EVIDENCE: evidence}), others=[other])


@pytest.mark.parametrize(
    ("values", "emitted"),
    [
        ({}, True),
        ({"PatientID": "P-2"}, False),
        ({"PatientID": ""}, True),
        ({"IssuerOfPatientID": "HOSPITAL"}, True),
        ({"PatientName": "Somebody^Else"}, True),
    ],
)
def test_studies_of_different_patients(values: dict[str, str], emitted: bool) -> None:
    found, problems = two_studies(**values)
    assert bool(found) is emitted
    assert ((Problem.KEY_OBJECT_PATIENTS, f"1.2.9/{KOS}/{EVIDENCE}") in problems) is not emitted


def test_issuers_tell_patients_apart() -> None:
    evidence = hierarchy(("1.2", "1.2.1", "1.2.1.1"), ("1.3", "1.3.1", "1.3.1.1"))
    other = study_of("1.3", moved("1.3", record(), IssuerOfPatientID="B"))
    here = (record(IssuerOfPatientID="A"), kos(IssuerOfPatientID="A", **{EVIDENCE: evidence}))
    assert mapped(*here, others=[other])[0] == ()


def test_a_study_of_two_patients_is_not_joined_to_one_of_them() -> None:
    evidence = hierarchy(("1.2", "1.2.1", "1.2.1.1"), ("1.3", "1.3.1", "1.3.1.1"))
    instances = [moved("1.3", record()), moved("1.3", record(), PatientID="P-2")._replace(uid="1.3.1.2"),
                 moved("1.3", record())._replace(uid="1.3.1.3")]  # fmt: skip
    here, other = (record(), kos(**{EVIDENCE: evidence})), study_of("1.3", *instances)
    assert mapped(*here, others=[other])[0] == ()
    assert len(mapped(*here, others=[other], force_patient=True)[0]) == 1


def test_a_study_is_asked_for_its_patient_once() -> None:
    evidence = hierarchy(("1.2", "1.2.1", "1.2.1.1"), ("1.3", "1.3.1", "1.3.1.1"))
    documents = [kos(uid=f"1.2.9.{number}", **{EVIDENCE: evidence}) for number in range(5)]
    records = study_of("1.2", record(), *documents)
    read = Read(records, study_of("1.3", moved("1.3", record())))
    study, _ = build_study(records, Settings(), Elsewhere(read, Settings()))
    assert study is not None
    assert len(study.key_objects) == 5
    assert sorted(read.asked) == ["1.2", "1.3"]


# Which are left out


def test_identical_documents_are_one() -> None:
    """Of the copies that were read the lowest UID stands for all; a copy that was not read stands for nothing."""

    def copies(*uids: str) -> list[dict[str, Any]]:
        return hierarchy(*(("1.3", "1.3.9", uid) for uid in uids), sop_class=KEY_OBJECT)

    def emitted(*uids: str, read: str | None = None) -> bool:
        others = [study_of("1.3", moved("1.3", record())._replace(uid=read))] if read else []
        return bool(mapped(kos(IdenticalDocumentsSequence=copies(*uids)), others=others)[0])

    assert emitted("1.1.9.1") is True
    assert emitted("1.1.9.1", read="1.1.9.1") is False
    assert emitted("1.3.9.1", read="1.3.9.1") is True
    assert emitted("1.3.9.1", "1.1.9.1", read="1.3.9.1") is True


def test_an_image_is_no_copy_of_a_document() -> None:
    copies = hierarchy(("1.2", "1.2.1", "1.2.1.1"))
    assert len(mapped(record(), kos(IdenticalDocumentsSequence=copies))[0]) == 1


def test_one_document_in_two_series_is_one() -> None:
    first = kos()
    second = first._replace(context=first.context._replace(series="1.2.8"))
    assert [one.series for one in mapped(first, second)[0]] == ["1.2.8"]


def test_documents_come_by_uid() -> None:
    found, _ = mapped(kos(uid="1.2.9.3"), kos(uid="1.2.9.10"), kos(uid="1.2.9.2"))
    assert [one.uid for one in found] == ["1.2.9.10", "1.2.9.2", "1.2.9.3"]


def test_they_are_not_read_when_nobody_wants_them() -> None:
    found, problems = mapped(record(), kos(image("8.8")), key_objects=False)
    assert found == ()
    assert not [code for code, _ in problems if "key" in code]


def test_other_classes_are_none() -> None:
    assert mapped(kos()._replace(context=kos().context._replace(sop_class=CT_IMAGE)))[0] == ()
