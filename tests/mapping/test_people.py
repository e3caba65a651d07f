"""Persons and institutions: names and identifications that belong together, and those that do not."""

from __future__ import annotations

from typing import Any

import pytest
from records import code, notes, record, series, study

from dicom2fhir.model import Identifier, Organization, PersonName, Practitioner
from dicom2fhir.problems import Code

LOINC = "http://loinc.org"


def item(number: str, meaning: str | None = None, **more: Any) -> dict[str, Any]:
    return {"PersonIdentificationCodeSequence": [code(number, "LN", meaning)], **more}


def read(names: str | None, *items: dict[str, Any]) -> list[tuple[str | None, list[str]]]:
    values = {"NameOfPhysiciansReadingStudy": names, "PhysiciansReadingStudyIdentificationSequence": list(items)}
    found = study(record(**values)).interpreters
    return [
        (next((name.text for name in person.names), None), [number.value for number in person.identifiers])
        for person in found
    ]


@pytest.mark.parametrize(
    ("names", "items", "found"),
    [
        ("A^B", [item("1")], [("B A", ["1"])]),
        ("A^B\\C^D", [item("1"), item("2")], [("B A", ["1"]), ("D C", ["2"])]),
        ("A^B\\C^D", [item("1")], [("B A", []), ("D C", [])]),
        ("A^B", [item("1"), item("2")], [("B A", [])]),
        ("\\C^D", [item("1", "Somebody"), item("2")], [("Somebody", ["1"]), ("D C", ["2"])]),
        ("\\C^D", [{}, item("2")], [("D C", ["2"])]),
        (None, [item("1", "Somebody"), item("2")], [("Somebody", ["1"]), (None, ["2"])]),
        ("^\\^^", [], []),
        (None, [], []),
    ],
)
def test_names_and_identifications_pair_by_position(
    names: str | None, items: list[dict[str, Any]], found: list[tuple[str | None, list[str]]]
) -> None:
    assert read(names, *items) == found


def test_what_does_not_pair_is_noted() -> None:
    values = {"OperatorsName": "A^B\\C^D", "OperatorIdentificationSequence": [item("1")]}
    assert notes(record(**values))[Code.VALUE_INVALID, "OperatorIdentificationSequence"] == 1


def test_a_person_with_everything() -> None:
    more = {
        "InstitutionName": "Clinic",
        "InstitutionAddress": "Street 1",
        "InstitutionCodeSequence": [code("9", "LN", "Clinic, coded")],
        "InstitutionalDepartmentName": "Heart",
        "PersonAddress": "Street 2",
        "PersonTelephoneNumbers": "1\\\\2",
    }
    values = {"ReferringPhysicianName": "A^B", "ReferringPhysicianIdentificationSequence": [item("1", **more)]}
    assert study(record(**values)).referrer == Practitioner(
        names=(PersonName("alphabetic", "A", ("B",), text="B A"),),
        identifiers=(Identifier("1", "practitioner", LOINC),),
        organization=Organization("Clinic", (Identifier("9", "organization", LOINC),), "Street 1"),
        department="Heart",
        address="Street 2",
        phones=("1", "2"),
    )


@pytest.mark.parametrize(
    ("values", "found"),
    [
        ({"InstitutionName": "Clinic"}, Organization("Clinic")),
        (
            {"InstitutionCodeSequence": [code("9", "LN", "Coded")]},
            Organization("Coded", (Identifier("9", "organization", LOINC),)),
        ),
        ({"InstitutionAddress": "Street 1"}, None),
        ({}, None),
    ],
)
def test_an_institution_has_a_name_or_a_number(values: dict[str, Any], found: Organization | None) -> None:
    assert [performer.actor for performer in series(record(**values)).performers] == ([found] if found else [])


def test_a_name_of_four_groups_is_noted_and_left_out() -> None:
    instance = record(OperatorsName="A=B=C=D")
    assert series(instance).performers == ()
    assert notes(instance)[Code.VALUE_INVALID, "OperatorsName"] == 1
