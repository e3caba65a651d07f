"""The encoder: one form of JSON, whoever writes it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir import encode

TEXT = st.text(st.characters(exclude_categories=("Cs",)), max_size=20)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_both_encoders_write_the_same_bytes(value: object) -> None:
    assert encode.compact(value) == encode.standard(value)
    assert encode.pretty(value) == encode.standard_pretty(value)


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({"b": 1, "a": [True, None]}, '{"b":1,"a":[true,null]}'),
        ({"name": "山田 Ž"}, '{"name":"山田 Ž"}'),
        ('\x7f\u2028\n\t"\\/', '"\x7f\u2028\\n\\t\\"\\\\/"'),
    ],
)
def test_form(value: object, written: str) -> None:
    assert encode.compact(value) == written.encode()
    assert encode.standard(value) == written.encode()


@given(st.dictionaries(TEXT, JSON, min_size=1, max_size=3))
def test_indented_is_the_same_json_moved_right(value: object) -> None:
    lines = encode.indented(value, 2).split(b"\n")
    assert all(line.startswith(b"    ") for line in lines)
    assert json.loads(b"\n".join(lines)) == value


def test_the_encoder_in_use_is_orjsons_where_it_is_installed() -> None:
    pytest.importorskip("orjson")
    assert encode.compact is not encode.standard
