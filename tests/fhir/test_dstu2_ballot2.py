"""DSTU2's second ballot: what it says otherwise than DSTU2."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from check import FOLDERS, result
from hypothesis import given
from policies import emit as emit_if_allowed
from policies import policies
from studies import CT, CT_IMAGE, SR, series, studies, study

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir import dialect, dstu2, dstu2_ballot2, validate
from dicom2fhir.fhir.bundle import Emission, bundle
from dicom2fhir.fhir.elements import Json
from dicom2fhir.fhir.policy import CREATABLE, Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import (
    Code,
    Concept,
    Endpoint,
    Identifier,
    Instance,
    Modality,
    Moment,
    Organization,
    Patient,
    PersonName,
    Practitioner,
    Procedure,
    Request,
    Study,
)

EVERYTHING = Policy(create=CREATABLE)
DOCTOR = Practitioner((PersonName("alphabetic", "House"),), (Identifier("9", "practitioner", "http://p"),))
SCT = "http://snomed.info/sct"
LOINC = Concept((Code("24627-2", "http://loinc.org", "CT Chest"), Code("CTCH", None, "local")))
WORDS = Concept((), "words")
LEAP = Moment("2016-12-31", "23:59:60", "+00:00")
QUALIFIED = Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.2"),))
POSITION = Modality("POS", "Position Sensor", acquires=True)
BIOMAGNETIC = Modality("BI", "Biomagnetic Imaging", acquires=True)
OTHER = Modality("OT", "Other", acquires=False, text="XX")


def emit(one: Study, policy: Policy | None = None) -> Emission:
    return dialect.render(one, dstu2_ballot2.DIALECT, policy or Policy())


def imaging_study(one: Study, policy: Policy | None = None) -> Json:
    (resource,) = emit(one, policy).resources
    return resource


def contained(kind: str, one: Study, policy: Policy | None = None) -> Json:
    return next(each for each in imaging_study(one, policy)["contained"] if each["resourceType"] == kind)


def lost(one: Study, policy: Policy | None = None) -> dict[str, int]:
    """What has no place, by the element where it would have gone."""
    problems = emit(one, policy).problems
    assert {problem.code for problem in problems} <= {"not-in-this-version"}
    return {problem.where.removeprefix("1.2.3/"): problem.count for problem in problems}


# The study ------------------------------------------------------------------------------------------


def test_the_least_study_has_what_is_required_and_nothing_else() -> None:
    assert imaging_study(study()) == {
        "resourceType": "ImagingStudy",
        "id": "ddrak4l4ddup7ihz6yi45pszkvczxflz",
        "contained": [{"resourceType": "Patient", "id": "patient-1"}],
        "patient": {"reference": "#patient-1"},
        "uid": "urn:oid:1.2.3",
        "modalityList": ["CT"],
        "numberOfSeries": 1,
        "numberOfInstances": 1,
        "series": [
            {
                "modality": "CT",
                "uid": "urn:oid:1.2.3.4",
                "numberOfInstances": 1,
                "instance": [{"uid": "urn:oid:1.2.3.4.5", "sopclass": f"urn:oid:{CT_IMAGE}"}],
            }
        ],
    }


@pytest.mark.parametrize(
    ("changes", "element", "value"),
    [
        ({"started": Moment("2024-02-29")}, "started", "2024-02-29"),
        ({"clinical_information": ("Pneumonia", "Smoker")}, "clinicalInformation", "Pneumonia; Smoker"),
        ({"clinical_information": ("Smoker",)}, "clinicalInformation", "Smoker"),
        (
            {"procedure_codes": (LOINC, WORDS, LOINC)},
            "procedure",
            [{"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"}, {"display": "words"}],
        ),
        ({"endpoints": (Endpoint("wado-rs", "https://a.test"),)}, "url", "https://a.test/studies/1.2.3"),
        ({"description": "CT Thorax"}, "description", "CT Thorax"),
    ],
)
def test_study_elements(changes: dict[str, Any], element: str, value: Any) -> None:
    assert imaging_study(study(**changes))[element] == value
    assert lost(study(**changes)) == {}
    assert element not in imaging_study(study())


@pytest.mark.parametrize(
    ("modality", "listed", "of_series", "problems"),
    [
        (CT, ["CT"], "CT", {}),
        (SR, None, "SR", {}),
        (OTHER, None, "OT", {}),
        (BIOMAGNETIC, None, "BI", {"ImagingStudy.modalityList": 1}),
        (POSITION, None, "OT", {"ImagingStudy.modalityList": 1, "1.2.3.4/ImagingStudy.series.modality": 1}),
        (Modality("DOC", "Document", acquires=False), None, "OT", {"1.2.3.4/ImagingStudy.series.modality": 1}),
    ],
)
def test_modalities_are_codes_of_closed_lists(modality: Any, listed: Any, of_series: str, problems: Any) -> None:
    one = study(one=series(modality=modality))
    resource = imaging_study(one)
    assert resource.get("modalityList") == listed
    assert resource["series"][0]["modality"] == of_series
    assert lost(one) == problems


def test_what_the_list_has_stays_beside_what_it_lacks() -> None:
    one = study(series=(series(), series(modality=POSITION, uid="1.2.9"), series(modality=BIOMAGNETIC, uid="1.2.10")))
    assert imaging_study(one)["modalityList"] == ["CT"]
    assert lost(one)["ImagingStudy.modalityList"] == 2


def test_the_lists_are_those_of_the_referee() -> None:
    """The referee has its own from HL7's schema."""
    for term in {*dstu2_ballot2.MODALITIES, "POS", "OPR"}:
        resource = imaging_study(study())
        resource["series"][0]["modality"] = term
        assert (validate.check(resource, "dstu2-ballot2") == []) == (term in dstu2_ballot2.MODALITIES), term
    for term in dstu2_ballot2.MODALITIES | dstu2_ballot2.IMAGING_MODALITIES:
        resource = imaging_study(study()) | {"modalityList": [term]}
        assert (validate.check(resource, "dstu2-ballot2") == []) == (term in dstu2_ballot2.IMAGING_MODALITIES), term


def test_a_series_has_a_dateTime() -> None:
    (found,) = imaging_study(study(one=series(started=Moment("2024-02-29", "10:11:12", "+01:00"))))["series"]
    assert found["dateTime"] == "2024-02-29T10:11:12+01:00"
    leap = study(one=series(started=LEAP))
    assert imaging_study(leap)["series"][0]["dateTime"] == "2016-12-31"
    assert lost(leap) == {"1.2.3.4/ImagingStudy.series.dateTime": 1}


def test_an_instance_says_sopclass() -> None:
    one = Instance("1.5", "1.2", 7, "Report", class_name="CT Image Storage")
    assert list(dstu2_ballot2.instance(one).items()) == [
        ("number", 7),
        ("uid", "urn:oid:1.5"),
        ("sopclass", "urn:oid:1.2"),
        ("type", "CT Image Storage"),
        ("title", "Report"),
    ]


def test_instances_have_addresses() -> None:
    (found,) = imaging_study(study(endpoints=(Endpoint("wado-rs", "https://a.test"),)))["series"]
    url = "https://a.test/studies/1.2.3/series/1.2.3.4"
    assert found["url"] == url
    (image,) = found["instance"]
    assert image["content"] == [{"contentType": "application/dicom", "url": f"{url}/instances/1.2.3.4.5"}]


def test_numbers_of_performed_steps_have_no_place() -> None:
    steps = (Procedure((Identifier("S", "performed-procedure"),), WORDS), Procedure((), WORDS))
    one = study(procedures=steps, procedure_codes=(WORDS,))
    assert imaging_study(one, EVERYTHING)["procedure"] == [{"display": "words"}]
    assert lost(one, EVERYTHING) == {"ImagingStudy.procedure": 1}


# Companions and Bundles -----------------------------------------------------------------------------


def test_the_reasons_of_an_order_are_notes() -> None:
    reasons = (WORDS, LOINC, Concept((Code("X"),)), WORDS)
    order = Request((Identifier("A1", "accession", "http://a"),), LOINC, reasons, DOCTOR, "urgent")
    assert contained("DiagnosticOrder", study(requests=(order,)), EVERYTHING) == {
        "resourceType": "DiagnosticOrder",
        "id": "diagnosticorder-1",
        "subject": {"reference": "#patient-1"},
        "orderer": {"reference": "#practitioner-1"},
        "identifier": [
            {
                "type": {"coding": [{"system": "http://hl7.org/fhir/v2/0203", "code": "ACSN"}]},
                "system": "http://a",
                "value": "A1",
            }
        ],
        "clinicalNotes": "words; CT Chest; X",
        "priority": "urgent",
        "item": [
            {
                "code": {
                    "coding": [
                        {"system": "http://loinc.org", "code": "24627-2", "display": "CT Chest"},
                        {"code": "CTCH", "display": "local"},
                    ]
                }
            }
        ],
    }


def test_everything_is_contained() -> None:
    doctor = replace(DOCTOR, organization=Organization("Clinic", (Identifier("1", "organization", "http://o"),)))
    order = Request((Identifier("A1", "accession", "http://a"),))
    one = study(QUALIFIED, referrer=doctor, requests=(order,))
    found = [each["resourceType"] for each in imaging_study(one, EVERYTHING)["contained"]]
    assert found == ["Patient", "DiagnosticOrder", "Practitioner", "Organization"]
    assert imaging_study(one, Policy(patient="Patient/5"))["patient"] == {"reference": "Patient/5"}


@pytest.mark.parametrize(
    ("policy", "transaction"),
    [
        (Policy(), {"method": "PUT", "url": "ImagingStudy/ddrak4l4ddup7ihz6yi45pszkvczxflz"}),
        (Policy(write="conditional-update"), {"method": "PUT", "url": "ImagingStudy?study=urn%3Aoid%3A1.2.3"}),
        (
            Policy(write="conditional-create"),
            {"method": "POST", "url": "ImagingStudy", "ifNoneExist": "study=urn%3Aoid%3A1.2.3"},
        ),
        (Policy(write="create"), {"method": "POST", "url": "ImagingStudy"}),
        (Policy(bundle_type="collection"), None),
    ],
)
def test_an_entry_has_a_transaction_and_neither_fullUrl_nor_request(policy: Policy, transaction: Json | None) -> None:
    found = bundle(emit(study(), policy), policy)
    (entry,) = found["entry"]
    assert entry.pop("resource")["resourceType"] == "ImagingStudy"
    assert entry == ({"transaction": transaction} if transaction else {})
    assert validate.check(bundle(emit(study(), policy), policy), "dstu2-ballot2") == []


def test_there_are_no_batches() -> None:
    with pytest.raises(UsageError, match="--bundle-type: dstu2-ballot2 knows transaction, collection"):
        dstu2_ballot2.DIALECT.check(Policy(bundle_type="batch"))
    dstu2_ballot2.DIALECT.check(Policy(bundle_type="batch", shape="ndjson"))
    dstu2.DIALECT.check(Policy(bundle_type="batch"))


# Over versions, and from testdata -------------------------------------------------------------------


@pytest.mark.parametrize("version", DIALECTS)
def test_what_was_known_on_admission_is_written_or_reported(version: str) -> None:
    one = study(clinical_information=("Pneumonia", "Smoker"))
    emission = dialect.render(one, DIALECTS[version], Policy())
    written = "clinicalInformation" in emission.resources[-1]
    counts = [p.count for p in emission.problems if p.where == "1.2.3/ImagingStudy.clinicalInformation"]
    assert written == (version == dstu2_ballot2.DIALECT.name)
    assert counts == ([] if written else [2])


def test_what_the_ballot_alone_has_and_what_it_lacks_are_shown_from_testdata() -> None:
    (found,) = result("admitting-diagnosis", "dstu2-ballot2")["bundles"]
    assert found["entry"][0]["resource"]["clinicalInformation"] == "Pneumonia"
    step = result("performed-step+created", "dstu2-ballot2")
    rows = [row["where"].partition("/")[2] for row in step["report"]["problems"]]
    assert "ImagingStudy.procedure" in rows


@pytest.mark.parametrize("policy", [EVERYTHING, Policy(availability="ONLINE", bundle_type="collection")])
def test_every_case_of_testdata_passes_the_referee(policy: Policy) -> None:
    for case in FOLDERS:
        found = result(case, "dstu2-ballot2", policy=policy)
        assert not [row for row in found["report"]["problems"] if row["code"] == "invalid-resource"], case
        for one in found["bundles"]:
            assert validate.check(one, "dstu2-ballot2") == [], case


@given(study=studies, policy=policies)
def test_nothing_of_later_versions_is_written(study: Study, policy: Policy) -> None:
    emission = emit_if_allowed(study, policy, dstu2_ballot2.DIALECT.name)
    if emission is None:
        return
    text = json.dumps(emission.resources)
    for later in ("terminology.hl7.org", "dicom.nema.org", "urn:dicom:uid", "T23:59:60", "sopClass", '"Endpoint"'):
        assert later not in text


def test_elements_stand_in_the_order_of_the_definition() -> None:
    order = list(validate.definition("ImagingStudy", "dstu2-ballot2").elements)
    assert list(dstu2_ballot2.STUDY) == sorted(dstu2_ballot2.STUDY, key=order.index)
    assert set(dstu2_ballot2.STUDY) >= set(dstu2.STUDY)


def test_the_places_are_those_of_dstu2_but_for_what_differs() -> None:
    own, before = dstu2_ballot2.PLACES, dstu2.PLACES
    assert {name for name in own.keys() | before.keys() if own.get(name) != before.get(name)} == {
        "Study.clinical_information",
        "Study.procedure_codes",
        "Study.procedures",
        "Procedure.identifiers",
        "Procedure.code",
        "Series.started",
        "Instance.sop_class",
        "Request.reasons",
    }
