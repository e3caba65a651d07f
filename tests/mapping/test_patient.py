"""Who was imaged: issuers and their systems, conflicts and how they are decided, the patient map, the description."""

from __future__ import annotations

from typing import Any

import pytest
from records import code, issuer, mapped, notes, record, study

from dicom2fhir.dicom.records import InstanceRecord
from dicom2fhir.mapping import Target
from dicom2fhir.model import Identifier, Moment, PersonName
from dicom2fhir.problems import Code

SITE = "https://site.example/patients"
CONFIGURED = {"issuers": {"HOSPITAL": "urn:oid:1.5", "hospital.example": "urn:oid:1.6"}, "systems": {"patient": SITE}}
QUALIFIERS = "IssuerOfPatientIDQualifiersSequence"


@pytest.mark.parametrize(
    ("values", "settings", "system", "assigner"),
    [
        ({}, {}, None, None),
        ({}, CONFIGURED, SITE, None),
        ({"IssuerOfPatientID": "1.2.3"}, CONFIGURED, "urn:oid:1.2.3", None),
        ({"IssuerOfPatientID": "urn:oid:1.2.3"}, {}, "urn:oid:1.2.3", None),
        ({"IssuerOfPatientID": "https://a.example/x"}, {}, "https://a.example/x", None),
        ({"IssuerOfPatientID": "HOSPITAL"}, CONFIGURED, "urn:oid:1.5", None),
        ({"IssuerOfPatientID": "HOSPITAL"}, {}, None, "HOSPITAL"),
        ({"IssuerOfPatientID": "ANOTHER"}, CONFIGURED, None, "ANOTHER"),
        ({"IssuerOfPatientID": "hospital"}, CONFIGURED, None, "hospital"),
        ({"IssuerOfPatientID": "12"}, CONFIGURED, None, "12"),
        ({QUALIFIERS: issuer("1.2.3")}, CONFIGURED, "urn:oid:1.2.3", None),
        ({QUALIFIERS: issuer("1.2.03")}, CONFIGURED, None, "1.2.03"),
        ({QUALIFIERS: issuer("hospital.example", "DNS")}, CONFIGURED, "urn:oid:1.6", None),
        ({QUALIFIERS: issuer("other.example", "DNS")}, CONFIGURED, None, "other.example"),
        ({QUALIFIERS: issuer("other.example", "DNS", "HOSPITAL")}, CONFIGURED, "urn:oid:1.5", None),
        ({QUALIFIERS: issuer("other.example", "DNS", "RADIOLOGY")}, CONFIGURED, None, "RADIOLOGY"),
        ({QUALIFIERS: [{"LocalNamespaceEntityID": "HOSPITAL"}]}, CONFIGURED, "urn:oid:1.5", None),
        ({QUALIFIERS: issuer("1.2.3"), "IssuerOfPatientID": "HOSPITAL"}, CONFIGURED, "urn:oid:1.2.3", None),
        ({QUALIFIERS: issuer("x.example", "DNS"), "IssuerOfPatientID": "1.2.3"}, {}, "urn:oid:1.2.3", None),
        ({QUALIFIERS: issuer("X", None), "IssuerOfPatientID": "Free"}, CONFIGURED, None, "Free"),
        ({QUALIFIERS: issuer("X", None)}, CONFIGURED, None, "X"),
        ({QUALIFIERS: issuer("1.2.3", None)}, {}, "urn:oid:1.2.3", None),
        ({QUALIFIERS: [{"AssigningFacilitySequence": issuer("1.9", local="EAST")}]}, CONFIGURED, None, "EAST"),
        ({QUALIFIERS: [{"AssigningAgencyOrDepartmentCodeSequence": [code("R", "99X")]}]}, CONFIGURED, None, "R"),
    ],
)
def test_the_system_is_the_issuers_uri_and_the_sites_only_where_no_issuer_is_named(
    values: dict[str, Any], settings: dict[str, Any], system: str | None, assigner: str | None
) -> None:
    assert study(record(**values), **settings).patient.identifier == Identifier("P-1", "patient", system, assigner)


def of(number: str | None, issuer_name: str | None = None, instance: int = 1) -> InstanceRecord:
    return record(instance, PatientID=number, IssuerOfPatientID=issuer_name)


@pytest.mark.parametrize(
    ("patients", "conflict"),
    [
        ([("A", None), ("A", None)], False),
        ([("A", None), ("B", None)], True),
        ([("A", None), ("a", None)], True),
        ([("A", None), (None, None)], False),
        ([("A", "X"), ("A", None)], False),
        ([("A", "X"), ("A", "Y")], True),
        ([(None, "X"), (None, "Y")], True),
        ([("A", "X"), (None, None), ("A", None)], False),
        ([("A", "X"), ("B", "X")], True),
    ],
)
@pytest.mark.parametrize("settings", [{}, {"systems": {"patient": SITE}}])
def test_patients_differ_by_number_or_issuer_and_nothing_else(
    patients: list[tuple[str | None, str | None]], conflict: bool, settings: dict[str, Any]
) -> None:
    instances = [of(number, name, count) for count, (number, name) in enumerate(patients)]
    found, _ = mapped(*instances, **settings)
    assert (found is None) == conflict


def test_names_birth_dates_and_gaps_are_noted_and_no_conflict() -> None:
    instances = [
        record(1, PatientName="A^B", PatientBirthDate="19700101", IssuerOfPatientID="1.2.3"),
        record(2, PatientName="C^B", PatientBirthDate="19700102", PatientID=None),
    ]
    assert notes(*instances) == {
        (Code.PATIENT_DIFFERS, "PatientName"): 1,
        (Code.PATIENT_DIFFERS, "PatientBirthDate"): 1,
        (Code.PATIENT_DIFFERS, "PatientID"): 1,
        (Code.PATIENT_DIFFERS, "IssuerOfPatientID"): 1,
    }


def test_a_number_without_issuer_counts_where_the_issuer_has_no_number() -> None:
    assert study(of("A", None, 1), of(None, "1.2.3", 2)).patient.identifier == Identifier("A", "patient")


@pytest.mark.parametrize(
    ("patients", "number", "issuer_name"),
    [
        ([("B", None), ("B", None), ("A", None)], "B", None),
        ([("B", None), ("A", None)], "A", None),
        ([("A", "1.2.9"), ("A", "1.2.3")], "A", "urn:oid:1.2.3"),
        ([("B", "1.2.3"), ("A", "1.2.9")], "B", "urn:oid:1.2.3"),
        ([(None, None), (None, None), ("A", None), ("B", None)], "A", None),
    ],
)
def test_force_takes_the_majority_and_of_equals_the_lowest_issuer_and_number(
    patients: list[tuple[str | None, str | None]], number: str, issuer_name: str | None
) -> None:
    instances = [of(patient, name, count) for count, (patient, name) in enumerate(patients)]
    patient = study(*instances, force_patient=True).patient
    assert patient.identifier == Identifier(number, "patient", issuer_name)
    assert (Code.PATIENT_FORCED, "1.2") in notes(*instances, force_patient=True)


def test_a_forced_patient_is_described_by_its_own_instances_alone() -> None:
    instances = [
        record(1, PatientID="A", PatientName="Right^A"),
        record(2, PatientID="A", PatientSex="M"),
        record(3, PatientID="B", PatientName="Wrong^B", PatientSex="F", PatientBirthDate="19700101"),
    ]
    patient = study(*instances, force_patient=True).patient
    assert [name.family for name in patient.names] == ["Right"]
    assert (patient.sex, patient.birth_date) == ("male", None)


MAP = {
    ("", "OLD"): Target(system=SITE, value="NEW"),
    ("urn:oid:1.2.3", "OLD"): Target(system="urn:oid:1.2.3", value="NEW"),
    ("urn:oid:1.2.3", "77"): Target(reference="Patient/77"),
    ("urn:oid:1.2.3", "BARE"): Target(system=None, value="NAKED"),
}


@pytest.mark.parametrize(
    ("number", "issuer_name", "identifier", "reference"),
    [
        ("OLD", None, Identifier("NEW", "patient", SITE), None),
        ("OLD", "1.2.3", Identifier("NEW", "patient", "urn:oid:1.2.3"), None),
        ("OLD", "1.2.4", Identifier("OLD", "patient", "urn:oid:1.2.4"), None),
        ("old", None, Identifier("old", "patient"), None),
        ("77", "1.2.3", Identifier("77", "patient", "urn:oid:1.2.3"), "Patient/77"),
        ("BARE", "1.2.3", Identifier("NAKED", "patient"), None),
    ],
)
def test_the_patient_map_goes_by_system_and_number(
    number: str, issuer_name: str | None, identifier: Identifier, reference: str | None
) -> None:
    patient = study(of(number, issuer_name), patient_map=MAP).patient
    assert (patient.identifier, patient.reference) == (identifier, reference)


@pytest.mark.parametrize(
    ("patients", "conflict"),
    [
        ([("OLD", "1.2.3"), ("NEW", "1.2.3")], False),
        ([("OLD", None), ("NEW", None)], False),
        ([("OLD", "1.2.3"), ("OTHER", "1.2.3")], True),
        ([("77", "1.2.3"), ("NEW", "1.2.3")], True),
    ],
)
def test_the_patient_map_is_applied_before_patients_are_compared(
    patients: list[tuple[str, str | None]], conflict: bool
) -> None:
    instances = [of(number, name, count) for count, (number, name) in enumerate(patients)]
    found, _ = mapped(*instances, patient_map=MAP)
    assert (found is None) == conflict
    if found is not None:
        assert found.patient.identifier is not None
        assert found.patient.identifier.value == "NEW"


def test_a_reference_for_all_patients_needs_no_system() -> None:
    assert study(record(), patient_reference="Patient/1").patient.reference == "Patient/1"
    assert notes(record(), patient_reference="Patient/1") == {}
    assert notes(record()) == {(Code.PATIENT_WITHOUT_SYSTEM, "PatientID"): 1}


@pytest.mark.parametrize(
    ("values", "types"),
    [
        ({}, [None]),
        ({"PatientIdentityRemoved": "YES"}, ["ANON"]),
        ({"PatientIdentityRemoved": "NO"}, [None]),
        ({QUALIFIERS: [{"IdentifierTypeCode": "SS"}], "PatientIdentityRemoved": "YES"}, ["SS"]),
        ({"OtherPatientIDsSequence": [{"PatientID": "9", "TypeOfPatientID": "RFID"}]}, [None, None]),
        (
            {
                "OtherPatientIDsSequence": [{"PatientID": "9", "TypeOfPatientID": "RFID"}],
                "PatientSpeciesDescription": "Dog",
            },
            [None, "MCN"],
        ),
    ],
)
def test_types_of_numbers(values: dict[str, Any], types: list[str | None]) -> None:
    assert [number.type_code for number in study(record(**values)).patient.identifiers] == types


def test_other_numbers_never_get_the_sites_system_and_come_once() -> None:
    values = {
        "OtherPatientIDsSequence": [{"PatientID": "9"}, {"PatientID": "8", "IssuerOfPatientID": "1.2.3"}, {}],
        "OtherPatientIDs": "9\\7\\\\7",
    }
    numbers = study(record(**values), systems={"patient": SITE}).patient.identifiers
    assert numbers == (
        Identifier("P-1", "patient", SITE),
        Identifier("9", "other"),
        Identifier("8", "other", "urn:oid:1.2.3"),
        Identifier("7", "other"),
    )


def test_a_birth_time_counts_only_with_the_elected_birth_date() -> None:
    known = {"PatientBirthDate": "19700101", "TimezoneOffsetFromUTC": "+0100"}
    timed = {"PatientBirthDate": "19700102", "PatientBirthTime": "061500", "TimezoneOffsetFromUTC": "+0100"}
    assert study(record(1, **known), record(2, **known), record(3, **timed)).patient.birth_time is None
    assert study(record(3, **timed)).patient.birth_time == Moment("1970-01-02", "06:15:00", "+01:00")


@pytest.mark.parametrize(
    ("date", "found", "noted"),
    [
        ("19700102", "1970-01-02", False),
        ("1970", "1970", False),
        ("17991231", None, True),
        ("18000101", "1800-01-01", False),
        ("19000101", "1900-01-01", True),
        ("00000000", None, True),
        ("19700230", None, True),
        ("", None, False),
    ],
)
def test_birth_dates(date: str, found: str | None, noted: bool) -> None:
    instance = record(PatientBirthDate=date)
    assert study(instance).patient.birth_date == found
    assert ((Code.DATE_INVALID, "PatientBirthDate") in notes(instance)) == noted


@pytest.mark.parametrize(
    ("controls", "kind"),
    [(["YES", "YES"], "phantom"), (["YES", "NO"], "person"), (["YES", None], "person"), ([None, None], "person")],
)
def test_only_what_is_a_phantom_throughout_is_one(controls: list[str | None], kind: str) -> None:
    instances = [record(number, QualityControlSubject=control) for number, control in enumerate(controls)]
    assert study(*instances).patient.kind == kind


def test_names_of_three_kinds() -> None:
    values = {"PatientName": "A^B=甲^乙", "PatientBirthName": "C^B", "OtherPatientNames": "D\\^\\E"}
    assert [(n.family, n.use, n.representation) for n in study(record(**values)).patient.names] == [
        ("A", "official", "alphabetic"),
        ("甲", "official", "ideographic"),
        ("C", "maiden", "alphabetic"),
        ("D", None, "alphabetic"),
        ("E", None, "alphabetic"),
    ]


def test_an_animals_owner_may_go_by_one_name() -> None:
    owner = study(record(ResponsiblePerson="Owner^O", ResponsiblePersonRole="OWNER")).patient.owner
    assert owner is not None
    assert owner.names == (PersonName("alphabetic", "Owner", ("O",), text="O Owner"),)
    assert owner.role == "OWNER"
    assert study(record(ResponsiblePersonRole="OWNER")).patient.owner is None
