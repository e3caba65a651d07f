"""Ids, fullUrls and searches."""

from __future__ import annotations

import re
from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.fhir import identity

texts = st.text(st.characters(exclude_categories=("Cs",)), min_size=1)


def test_ids_and_urls_never_change() -> None:
    one = identity.resource_id("ImagingStudy", "urn:dicom:uid", "1.2.3")
    assert one == "ddrak4l4ddup7ihz6yi45pszkvczxflz"
    assert identity.full_url(one) == "urn:uuid:22ee0ac2-a07f-55b6-89f6-a2998317e023"
    assert identity.resource_uuid(one).version == 5


@given(texts, texts, texts, st.none() | st.binary(min_size=1))
def test_ids_are_32_letters_and_digits_and_begin_with_a_letter(kind: str, space: str, one: str, key: bytes) -> None:
    assert re.fullmatch(r"[a-z][a-z2-7]{31}", identity.resource_id(kind, space, one, key))


@pytest.mark.parametrize(
    "other",
    [
        ("Patient", "a", "c"),
        ("Patient", "ab", "b"),
        ("Device", "a", "b"),
        ("Patien", "ta", "b"),
        ("Patient", "", "ab"),
    ],
)
def test_each_part_counts_and_none_runs_into_the_next(other: tuple[str, str, str]) -> None:
    assert identity.resource_id(*other) != identity.resource_id("Patient", "a", "b")


def test_a_key_changes_every_id() -> None:
    ids = {identity.resource_id("Patient", "a", "b", key) for key in (None, b"", b"k", b"l")}
    assert len(ids) == 4


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("12,34", "12%5C%2C34"),
        ("a|b", "a%5C%7Cb"),
        ("$", "%5C%24"),
        ("\\", "%5C%5C"),
        ("a b&c=d#e%", "a%20b%26c%3Dd%23e%25"),
        ("ü", "%C3%BC"),
        ("1.2-3_4~", "1.2-3_4~"),
    ],
)
def test_search_values_are_escaped_then_encoded(text: str, escaped: str) -> None:
    assert identity.search_value(text) == escaped


@given(texts, texts)
def test_a_search_can_be_read_back(system: str, value: str) -> None:
    query = identity.identifier_query(system, value)
    parameter, _, encoded = query.partition("=")
    assert parameter == "identifier"
    assert encoded.isascii()
    assert set("&#+ ,|$\\").isdisjoint(encoded)
    match = re.fullmatch(r"((?:\\.|[^\\|])*)\|((?:\\.|[^\\|])*)", unquote(encoded), re.DOTALL)
    assert match is not None
    assert [re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in match.groups()] == [system, value]
