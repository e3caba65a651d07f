"""Where companions lie."""

from __future__ import annotations

from typing import Any

import pytest

from dicom2fhir.fhir import companions
from dicom2fhir.fhir.policy import CREATABLE, Policy
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Encounter,
    Endpoint,
    Identifier,
    Location,
    Organization,
    Patient,
    PersonName,
    Practitioner,
    Procedure,
    Request,
    Specimen,
)

SYSTEM = "http://ids.test"
NAME = (PersonName("alphabetic", "Doe"),)
WORDS = Concept((), "words")


def known(kind: Any, value: str = "7") -> Identifier:
    return Identifier(value, kind, SYSTEM)


def unknown(kind: Any, value: str = "7") -> Identifier:
    return Identifier(value, kind)


@pytest.mark.parametrize(
    ("name", "value", "placement"),
    [
        ("practitioner", Practitioner(NAME, (unknown("practitioner"), known("practitioner"))), "created"),
        ("practitioner", Practitioner(NAME, (unknown("practitioner"),)), "contained"),
        ("practitioner", Practitioner(NAME, address="Street"), "contained"),
        ("practitioner", Practitioner(NAME, phones=("1",)), "contained"),
        ("practitioner", Practitioner((*NAME, PersonName("ideographic", "山田"))), "contained"),
        ("practitioner", Practitioner(NAME), "referred"),
        ("role", Practitioner(NAME, (known("practitioner"),)), "contained"),
        ("organization", Organization("Clinic", (known("organization"),)), "created"),
        ("organization", Organization("Clinic", (unknown("organization"),)), "contained"),
        ("organization", Organization("Clinic", address="Street"), "contained"),
        ("organization", Organization("Clinic"), "referred"),
        ("organization", Organization(address="Street"), "referred"),
        ("device", Device("ACME", uid="1.2"), "created"),
        ("device", Device("ACME", "X"), "contained"),
        ("device", Device(serial="1"), "contained"),
        ("device", Device("ACME"), "referred"),
        ("device", Device(station="CT1"), "referred"),
        ("specimen", Specimen((unknown("specimen"), known("specimen"))), "created"),
        ("specimen", Specimen((unknown("specimen"),)), "contained"),
        ("specimen", Specimen((), description="tissue"), "referred"),
        ("endpoint", Endpoint("wado-rs", "https://a.test"), "created"),
        ("series-endpoint", Endpoint("wado-rs", "https://a.test"), "created"),
        ("request", Request((unknown("accession"), known("placer"))), "created"),
        ("request", Request((unknown("accession"),), WORDS), "contained"),
        ("request", Request((unknown("accession"),)), "referred"),
        ("encounter", Encounter(known("visit")), "created"),
        ("encounter", Encounter(unknown("visit"), unknown("episode")), "contained"),
        ("encounter", Encounter(unknown("visit")), "referred"),
        ("episode", known("episode"), "created"),
        ("episode", unknown("episode"), "referred"),
        ("procedure", Procedure((known("performed-procedure"),)), "created"),
        ("procedure", Procedure((unknown("performed-procedure"),), WORDS), "contained"),
        ("procedure", Procedure((unknown("performed-procedure"),)), "referred"),
        ("procedure", Procedure((), WORDS), "referred"),
        ("location", Location("Room", (WORDS,)), "contained"),
        ("location", Location("Room"), "referred"),
    ],
)
def test_where_a_companion_lies(name: Any, value: Any, placement: str) -> None:
    facts = companions.facts(name, value)
    assert companions.place(name, facts, Policy(create=CREATABLE)) == placement
    assert companions.place(name, facts, Policy(create=frozenset())) == "referred"


@pytest.mark.parametrize(
    ("patient", "mode", "placement"),
    [
        (Patient(identifiers=(known("patient"),)), "auto", "created"),
        (Patient(identifiers=(known("patient"),)), "create", "created"),
        (Patient(identifiers=(known("patient"),)), "identifier", "referred"),
        (Patient(identifiers=(known("patient"),)), "contained", "contained"),
        (Patient(identifiers=(unknown("patient"),)), "auto", "contained"),
        (Patient(identifiers=(unknown("patient"), known("other"))), "auto", "contained"),
        (Patient(identifiers=(unknown("patient"), known("patient"))), "auto", "contained"),
        (Patient(identifiers=(known("other"),)), "auto", "contained"),
        (Patient(names=NAME), "auto", "contained"),
        (Patient("phantom", (known("patient"),)), "auto", "contained"),
        (Patient("group", (known("patient"),)), "identifier", "contained"),
    ],
)
def test_where_the_patient_lies(patient: Patient, mode: str, placement: str) -> None:
    name = companions.subject_name(patient)
    assert companions.place(name, companions.facts(name, patient), Policy(patient=mode)) == placement


def test_a_patient_that_is_not_to_be_created_is_named_by_identifier() -> None:
    facts = companions.facts("patient", Patient(identifiers=(known("patient"),)))
    assert companions.place("patient", facts, Policy(create=frozenset())) == "referred"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("practitioner", Practitioner((), (unknown("practitioner"), known("practitioner", "8")))),
        ("organization", Organization(None, (unknown("organization"), known("organization", "8")))),
        ("specimen", Specimen((unknown("specimen"), known("specimen", "8")))),
        ("procedure", Procedure((unknown("performed-procedure"), known("performed-procedure", "8")))),
    ],
)
def test_an_identifier_with_a_system_is_the_best(name: Any, value: Any) -> None:
    assert companions.facts(name, value).identifiers[0].value == "8"


def test_orders_are_known_by_their_accession_number_first() -> None:
    request = Request((known("filler"), known("placer"), unknown("accession"), known("requested-procedure")))
    kinds = [one.kind for one in companions.order_identifiers(request)]
    assert kinds == ["accession", "placer", "filler", "requested-procedure"]


def test_a_deidentified_patients_number_is_a_pseudonym_unless_the_file_says_what_it_is() -> None:
    numbers = (unknown("patient"), unknown("other"), Identifier("8", "patient", type_code="PI"))
    types = [one.type_code for one in companions.patient_identifiers(Patient(identifiers=numbers, anonymized=True))]
    assert types == ["ANON", None, "PI"]


@pytest.mark.parametrize(
    ("device", "display"),
    [
        (Device("ACME", "X", station="CT1"), "ACME X"),
        (Device(model="X"), "X"),
        (Device(station="CT1"), "CT1"),
        (Device(serial="1"), None),
    ],
)
def test_what_a_device_is_called(device: Device, display: str | None) -> None:
    assert companions.facts("device", device).display == display


def test_what_a_place_is_called() -> None:
    assert companions.facts("location", Location(types=(Concept((Code("1", None, "Ward"),)),))).display == "Ward"
