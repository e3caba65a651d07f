"""What may be chosen, and what of it can be done with a study."""

from __future__ import annotations

from typing import Any

import pytest
from studies import study

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir.policy import DEFAULT_CREATE, Policy, StudyGate, check_study, parse_create
from dicom2fhir.model import Identifier, Patient

QUALIFIED = Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.2"),))
UNQUALIFIED = Patient(identifiers=(Identifier("1", "patient", assigner="Clinic"),))
NAMELESS = Patient(identifiers=(Identifier("1", "other", "urn:oid:1.2"),))


@pytest.mark.parametrize(
    ("changes", "option"),
    [
        ({"write": "patch"}, "--write"),
        ({"bundle_type": "document"}, "--bundle-type"),
        ({"shape": "xml"}, "--format"),
        ({"patient": "guess"}, "--patient"),
        ({"patient": "Patient/"}, "--patient"),
        ({"patient": "Patient/a b"}, "--patient"),
        ({"patient": "Group/1"}, "--patient"),
        ({"create": frozenset(("Patient", "Money"))}, "--create"),
        ({"patient": "create", "create": frozenset(("Device",))}, "--create"),
        ({"bundle_type": "batch", "write": "create"}, "--write create"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(changes: dict[str, Any], option: str) -> None:
    with pytest.raises(UsageError, match=option):
        Policy(**changes).check()


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"patient": "Patient/a.B-9"},
        {"bundle_type": "batch", "write": "conditional-create"},
        {"shape": "ndjson", "bundle_type": "batch", "write": "create"},
        {"create": frozenset()},
    ],
)
def test_what_can_be_done_is_let_through(changes: dict[str, Any]) -> None:
    Policy(**changes).check()


@pytest.mark.parametrize(
    ("changes", "ours", "others"),
    [
        ({}, True, False),
        ({"bundle_type": "batch"}, True, False),
        ({"write": "conditional-update"}, False, False),
        ({"write": "conditional-create"}, False, False),
        ({"write": "create"}, False, False),
        ({"write": "create", "bundle_type": "collection"}, True, True),
        ({"write": "create", "shape": "ndjson"}, True, True),
    ],
)
def test_where_bodies_have_ids(changes: dict[str, Any], ours: bool, others: bool) -> None:
    policy = Policy(**changes)
    assert (policy.keeps_id(ours=True), policy.keeps_id(ours=False)) == (ours, others)


def test_the_key_is_never_shown() -> None:
    assert "secret" not in repr(Policy(id_key=b"secret"))


def test_create_lists_take_other_versions_names() -> None:
    assert parse_create("Patient, DiagnosticOrder,BodySite") == {"Patient", "ServiceRequest", "BodyStructure"}
    assert parse_create("none") == frozenset()
    assert parse_create(",".join(DEFAULT_CREATE)) == DEFAULT_CREATE
    with pytest.raises(UsageError, match="Money"):
        parse_create("Patient,Money")


@pytest.mark.parametrize("mode", ["create", "identifier"])
@pytest.mark.parametrize(("patient", "option"), [(UNQUALIFIED, "--system patient"), (NAMELESS, "PatientID")])
def test_a_patient_without_a_system_cannot_be_named(mode: str, patient: Patient, option: str) -> None:
    with pytest.raises(UsageError, match=f"--patient {mode}.*{option}"):
        check_study(study(patient), Policy(patient=mode))


@pytest.mark.parametrize(
    ("mode", "patient"),
    [
        ("create", QUALIFIED),
        ("identifier", QUALIFIED),
        ("auto", UNQUALIFIED),
        ("contained", NAMELESS),
        ("identifier", Patient(reference="Patient/1")),
        ("create", Patient(kind="phantom")),
    ],
)
def test_other_studies_pass(mode: str, patient: Patient) -> None:
    check_study(study(patient), Policy(patient=mode))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (QUALIFIED, UNQUALIFIED),
        (QUALIFIED, Patient(identifiers=(Identifier("1", "patient", "urn:oid:1.3"),))),
        (UNQUALIFIED, Patient(identifiers=(Identifier("1", "patient", assigner="Other"),))),
        (QUALIFIED, NAMELESS),
        (NAMELESS, NAMELESS),
        (Patient(), Patient()),
    ],
)
def test_one_reference_stands_for_one_patient(first: Patient, second: Patient) -> None:
    gate = StudyGate(Policy(patient="Patient/1"))
    gate.admit(study(first, uid="1.1"))
    gate.admit(study(first, uid="1.1"))
    with pytest.raises(UsageError, match="more than one"):
        gate.admit(study(second, uid="1.2"))


def test_other_modes_take_any_number_of_patients() -> None:
    gate = StudyGate(Policy())
    for number, patient in enumerate((QUALIFIED, UNQUALIFIED, NAMELESS)):
        gate.admit(study(patient, uid=f"1.{number}"))
