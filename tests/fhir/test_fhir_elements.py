"""FHIR data types from model values."""

from __future__ import annotations

from typing import Any

import pytest

from dicom2fhir.fhir import elements
from dicom2fhir.model import Code, Concept, Moment, PersonName


def test_filled_keeps_zero_and_false_and_drops_what_is_absent() -> None:
    body = {"a": 0, "b": False, "c": None, "d": "", "e": [], "f": {}, "g": "x"}
    assert elements.filled(body) == {"a": 0, "b": False, "g": "x"}


def test_unique_keeps_the_first_of_equals_in_order() -> None:
    assert elements.unique([{"b": 1}, None, {"a": 1}, {}, {"b": 1}]) == [{"b": 1}, {"a": 1}]


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (None, None),
        (Moment("2024-02-29", "10:11:12.123456", "+05:45"), "2024-02-29T10:11:12.123456+05:45"),
        (Moment("2024-02-29", "23:59:60", "-03:00"), "2024-02-29T23:59:60-03:00"),
        (Moment("2024-02-29", "10:11:12"), "2024-02-29"),
        (Moment("2024-02-29", None, "+01:00"), "2024-02-29"),
        (Moment("2024-02", "10:11:12", "+01:00"), "2024-02"),
        (Moment("2024"), "2024"),
    ],
)
def test_a_time_needs_its_offset_and_a_whole_date(moment: Moment | None, text: str | None) -> None:
    assert elements.date_time(moment) == text


def test_a_coding_has_its_keys_in_order() -> None:
    coding = elements.coding(Code("1", "http://s", "One", "v"))
    assert list(coding.items()) == [("system", "http://s"), ("version", "v"), ("code", "1"), ("display", "One")]
    assert elements.coding(Code("1")) == {"code": "1"}


@pytest.mark.parametrize(
    ("concept", "text"),
    [
        (None, None),
        (Concept((), "words"), "words"),
        (Concept((Code("1"), Code("2", None, "Two"))), "Two"),
        (Concept((Code("1", None, "One"),), "words"), "words"),
    ],
)
def test_concept_text_prefers_the_words(concept: Concept | None, text: str | None) -> None:
    assert elements.concept_text(concept) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        (
            PersonName("alphabetic", "Adams", ("John", "Robert Quincy"), "Rev.", "B.A."),
            "Rev. John Robert Quincy Adams B.A.",
        ),
        (PersonName("ideographic", "山田", ("太郎",)), "山田太郎"),
        (PersonName("phonetic", "やまだ", ("たろう",)), "たろう やまだ"),
        (PersonName("alphabetic", text="Dr. X"), "Dr. X"),
        (PersonName("alphabetic"), None),
    ],
)
def test_name_text(name: PersonName, text: str | None) -> None:
    assert elements.name_text(name) == text


@pytest.mark.parametrize(
    ("representation", "mark"), [("alphabetic", "ABC"), ("ideographic", "IDE"), ("phonetic", "SYL")]
)
def test_each_representation_is_marked(representation: Any, mark: str) -> None:
    name = elements.human_name(PersonName(representation, "F", ("G", "M"), "P", "S", "T", "official"))
    assert list(name.items()) == [
        ("extension", [{"url": elements.NAME_REPRESENTATION, "valueCode": mark}]),
        ("use", "official"),
        ("text", "T"),
        ("family", "F"),
        ("given", ["G", "M"]),
        ("prefix", ["P"]),
        ("suffix", ["S"]),
    ]


def test_the_alphabetic_name_is_shown() -> None:
    names = (PersonName("ideographic", "山田"), PersonName("alphabetic", "Yamada"))
    assert elements.display_name(names) == "Yamada"
    assert elements.display_name(names[:1]) == "山田"
    assert elements.display_name(()) is None


def test_a_logical_reference_needs_something_to_go_by() -> None:
    assert elements.logical("Patient", None, None) is None
    assert elements.logical("Patient", {"value": "1"}, None) == {"type": "Patient", "identifier": {"value": "1"}}
    assert elements.logical("Patient", None, "X") == {"type": "Patient", "display": "X"}
