"""Codes and issuers as URIs: what the site configures, what the standard says, what the file says of itself."""

from __future__ import annotations

from typing import Any

import pytest
from records import code, notes, record, series, study

from dicom2fhir.mapping.terms import bare_uri, universal_uri
from dicom2fhir.model import Code, Concept, Identifier
from dicom2fhir.problems import Code as ProblemCode

SCT = "http://snomed.info/sct"
LOINC = "http://loinc.org"


def procedure(*items: dict[str, Any], **settings: Any) -> tuple[Concept, ...]:
    return study(record(ProcedureCodeSequence=list(items)), **settings).procedure_codes


@pytest.mark.parametrize(
    ("item", "found"),
    [
        (code("1", "LN", "One"), Code("1", LOINC, "One")),
        (code("1", "LN", "One", LongCodeValue="2"), Code("1", LOINC, "One")),
        ({"LongCodeValue": "2", "CodingSchemeDesignator": "LN"}, Code("2", LOINC)),
        ({"URNCodeValue": "urn:x:1", "CodeValue": "1", "CodingSchemeDesignator": "LN"}, Code("1", LOINC)),
        ({"URNCodeValue": "urn:x:1", "CodeMeaning": "One"}, Code("urn:x:1", "urn:ietf:rfc:3986", "One")),
        (code("1\\2", "LN\\SCT"), Code("1", LOINC)),
        (code("\\ 2 ", "LN"), Code("2", LOINC)),
        (code("T-28000", "SRT", "Lung"), Code("39607008", SCT, "Lung")),
        (code("T-28000", "SCT", "Lung"), Code("39607008", SCT, "Lung")),
        (code("T-28000", "SNM3"), Code("39607008", SCT)),
        (code("T-ZZZZZ", "SRT"), Code("T-ZZZZZ")),
        (code("39607008", "SCT"), Code("39607008", SCT)),
        (code("1", "ln"), Code("1")),
        (code("1", "99LOCAL"), Code("1")),
        (code("1", None), Code("1")),
        (code("1", "LN", CodingSchemeVersion="2.7"), Code("1", LOINC, version="2.7")),
    ],
)
def test_a_code_and_its_system(item: dict[str, Any], found: Code) -> None:
    assert procedure(item) == (Concept((found,), item.get("CodeMeaning")),)


def test_the_sites_table_of_schemes_comes_first() -> None:
    schemes = {"99LOCAL": "https://site.example/codes", "LN": "https://site.example/loinc"}
    assert procedure(code("1", "99LOCAL"), code("1", "LN"), coding_schemes=schemes) == (
        Concept((Code("1", "https://site.example/codes"),)),
        Concept((Code("1", "https://site.example/loinc"),)),
    )


@pytest.mark.parametrize(
    ("uid", "system"),
    [("1.2.3", "urn:oid:1.2.3"), ("2.16.840.1.113883.6.96", SCT), ("1.2.x", None), ("", None)],
)
def test_a_private_schemes_uid_is_its_system(uid: str, system: str | None) -> None:
    schemes = [{"CodingSchemeDesignator": "OTHER"}, {"CodingSchemeDesignator": "99L", "CodingSchemeUID": uid}]
    found = study(record(ProcedureCodeSequence=[code("1", "99L")], CodingSchemeIdentificationSequence=schemes))
    assert found.procedure_codes == (Concept((Code("1", system),)),)


def test_a_code_without_system_is_noted_once_an_instance_however_often_it_is_asked_for() -> None:
    instance = record(PatientID=None, ProcedureCodeSequence=[code("1", "99L", "One"), code("2", "99L", "Two")])
    assert notes(instance) == {(ProblemCode.CODE_WITHOUT_SYSTEM, "ProcedureCodeSequence"): 2}


def test_equivalent_codes_are_codings_of_one_concept_and_equal_items_one() -> None:
    item = code("1", "LN", "One", EquivalentCodeSequence=[code("2", "LN"), code("1", "LN", "One")])
    assert procedure(item, dict(item), {}) == (Concept((Code("1", LOINC, "One"), Code("2", LOINC)), "One"),)


@pytest.mark.parametrize(
    ("entity", "kind", "uri"),
    [
        ("1.2.3", "ISO", "urn:oid:1.2.3"),
        ("1.02", "ISO", None),
        ("6F1C0B9E-0000-4000-8000-0123456789AB", "UUID", "urn:uuid:6f1c0b9e-0000-4000-8000-0123456789ab"),
        ("nonsense", "UUID", None),
        ("https://a.example/x", "URI", "https://a.example/x"),
        ("a.example", "URI", None),
        ("a.example", "DNS", None),
        ("1.2.3", "DNS", None),
        ("CN=a", "X500", None),
        ("1.2.3", "", "urn:oid:1.2.3"),
    ],
)
def test_universal_entities(entity: str, kind: str, uri: str | None) -> None:
    assert universal_uri(entity, kind) == uri


@pytest.mark.parametrize(
    ("text", "uri"),
    [
        ("1.2.840.1", "urn:oid:1.2.840.1"),
        ("1.2", None),
        ("3.1.2", None),
        ("urn:oid:1.2", "urn:oid:1.2"),
        ("http://a", "http://a"),
        ("http:a", None),
        ("https://a b", None),
        ("mailto:a@b", None),
        ("HOSPITAL", None),
        ("", None),
    ],
)
def test_texts_that_are_uris_by_themselves(text: str, uri: str | None) -> None:
    assert bare_uri(text) == uri


def test_a_persons_private_scheme_is_the_assigner_of_the_number() -> None:
    items = [{"PersonIdentificationCodeSequence": [code("7", "99L", "Olga"), code("8", "LN")]}]
    (performer,) = series(record(OperatorIdentificationSequence=items)).performers
    assert performer.actor.identifiers == (  # type: ignore[union-attr]
        Identifier("7", "practitioner", None, "99L"),
        Identifier("8", "practitioner", LOINC),
    )
