"""FHIR's primitive types: what has their form, and what has not."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.fhir import primitives
from dicom2fhir.fhir.primitives import (
    BEFORE_R4,
    CONTROL,
    EMPTY,
    NO_DAY,
    NOT_LISTED,
    R4,
    R5,
    RANGE,
    WRONG_FORM,
    WRONG_KIND,
)

UUID = "0b5fd1b4-7d62-5f39-9d6b-2f4c2f0f5d10"
DIV = '<div xmlns="http://www.w3.org/1999/xhtml">x<br/></div>'

# type: (what it allows, what breaks it by rule)
TABLE: dict[str, tuple[list[Any], list[tuple[Any, str]]]] = {
    "boolean": ([True, False], [(0, WRONG_KIND), ("true", WRONG_KIND), (None, WRONG_KIND)]),
    "integer": ([0, -1, 2**31 - 1, -(2**31)], [(2**31, RANGE), (1.0, WRONG_KIND), (True, WRONG_KIND)]),
    "unsignedInt": ([0, 2**31 - 1], [(-1, RANGE), (2**31, RANGE), ("1", WRONG_KIND)]),
    "positiveInt": ([1], [(0, RANGE), (-1, RANGE), (False, WRONG_KIND)]),
    "integer64": (["0", "-9223372036854775808"], [(1, WRONG_KIND), ("1.5", WRONG_FORM), ("01", WRONG_FORM)]),
    "decimal": (
        [0, 1.5, -2e9],
        [(True, WRONG_KIND), ("1.5", WRONG_KIND), (float("nan"), RANGE), (float("inf"), RANGE)],
    ),
    "string": (
        ["x", " x\r\n\ty", "é", "\U0001f600"],
        [
            ("", EMPTY),
            (" \n", EMPTY),
            ("x\x00", CONTROL),
            ("x\x1f", CONTROL),
            ("\ud800", CONTROL),
            (7, WRONG_KIND),
            ("x" * (2**20 + 1), WRONG_FORM),
        ],
    ),
    "markdown": (["# x\n\ny"], [("", EMPTY)]),
    "xhtml": (
        [DIV, DIV.replace('"', "'"), '<div class="a" xmlns="http://www.w3.org/1999/xhtml"/>'],
        [
            ("<div>x</div>", WRONG_FORM),
            ("<p xmlns='http://www.w3.org/1999/xhtml'>x</p>", WRONG_FORM),
            (DIV.removesuffix("</div>"), WRONG_FORM),
            ("", EMPTY),
        ],
    ),
    "code": (["CT", "a b", "<="], [(" a", WRONG_FORM), ("a  b", WRONG_FORM), ("a\tb", WRONG_FORM), ("", EMPTY)]),
    "id": (
        ["a", "1.2.840.10008", "A-" * 32],
        [("a_b", WRONG_FORM), ("a" * 65, WRONG_FORM), ("", EMPTY), ("é", WRONG_FORM)],
    ),
    "uri": (
        ["http://a/b?c#d", "a/b", f"urn:uuid:{UUID}", "urn:oid:1.2.0.3", "urn:ietf:rfc:3986", "urn:oid:1.2|3", "#a"],
        [
            ("a b", WRONG_FORM),
            ("urn:oid:1.02", WRONG_FORM),
            ("urn:oid:1", WRONG_FORM),
            ("urn:uuid:1", WRONG_FORM),
            (f"uuid:{UUID}", WRONG_FORM),
            ("oid:1.2", WRONG_FORM),
            ("", EMPTY),
        ],
    ),
    "url": (["https://a.test/x"], [("https://a test", WRONG_FORM)]),
    "canonical": (["http://a/b|4.0"], [("http://a b", WRONG_FORM)]),
    "oid": (
        ["urn:oid:1.2.840", "urn:oid:2.25.0", "urn:oid:0.0"],
        [
            ("1.2.840", WRONG_FORM),
            ("urn:oid:3.1", WRONG_FORM),
            ("urn:oid:1", WRONG_FORM),
            ("urn:oid:1.01", WRONG_FORM),
            ("urn:oid:1.2.", WRONG_FORM),
            ("urn:oid:1.2a", WRONG_FORM),
        ],
    ),
    "uuid": ([f"urn:uuid:{UUID}"], [(UUID, WRONG_FORM), (f"urn:uuid:{UUID.upper()}", WRONG_FORM)]),
    "base64Binary": (
        ["QUJD", "QUI=", "QQ==", "QU JD\nQUJD"],
        [("QUJ", WRONG_FORM), ("QQ=", WRONG_FORM), ("Q===", WRONG_FORM), ("", EMPTY), (b"QUJD", WRONG_KIND)],
    ),
    "date": (
        ["2024", "2024-02", "2024-02-29", "2000-02-29"],
        [
            ("2023-02-29", NO_DAY),
            ("1900-02-29", NO_DAY),
            ("2024-04-31", NO_DAY),
            ("2024-13", WRONG_FORM),
            ("2024-00", WRONG_FORM),
            ("0000", WRONG_FORM),
            ("24", WRONG_FORM),
            ("2024-2-9", WRONG_FORM),
            ("2024-02-29T00:00:00Z", WRONG_FORM),
            ("٢٠٢٤", WRONG_FORM),
        ],
    ),
    "dateTime": (
        ["2024", "2024-02-29", "2024-02-29T23:59:59Z", "2024-02-29T00:00:00.000988-05:30", "2024-02-29T00:00:00+14:00"],
        [
            ("2024-02-29T10:11:12", WRONG_FORM),
            ("2024-02-29T10:11Z", WRONG_FORM),
            ("2024-02-29T24:00:00Z", WRONG_FORM),
            ("2024-02-29T10:11:12+14:30", WRONG_FORM),
            ("2024-02-29T10:11:12+0100", WRONG_FORM),
            ("2023-02-29T10:11:12Z", NO_DAY),
            ("2024-02-29 10:11:12Z", WRONG_FORM),
        ],
    ),
    "instant": (["2024-02-29T23:59:59.5Z"], [("2024-02-29", WRONG_FORM), ("2023-02-29T00:00:00Z", NO_DAY)]),
    "time": (
        ["23:59:59", "00:00:00.25"],
        [("24:00:00", WRONG_FORM), ("7:00:00", WRONG_FORM), ("07:00", WRONG_FORM), ("07:00:00Z", WRONG_FORM)],
    ),
}


@pytest.mark.parametrize("types", [BEFORE_R4, R4, R5], ids=["before R4", "R4", "R5"])
def test_what_the_types_allow(types: Any) -> None:
    assert types.keys() == TABLE.keys()
    for kind, (allowed, broken) in TABLE.items():
        assert [value for value in allowed if types[kind](value)] == []
        assert [(value, types[kind](value)) for value, _ in broken] == broken


@pytest.mark.parametrize(
    ("kind", "value"), [("dateTime", "2016-12-31T23:59:60Z"), ("instant", "2016-12-31T23:59:60Z"), ("time", "23:59:60")]
)
def test_a_second_60_came_with_r4(kind: str, value: str) -> None:
    assert [types[kind](value) for types in (BEFORE_R4, R4, R5)] == [WRONG_FORM, None, None]


def test_r5_has_nine_digits_of_a_second() -> None:
    nine, ten = "2024-02-29T10:11:12.012345678Z", "2024-02-29T10:11:12.0123456789Z"
    assert [types["instant"](nine) for types in (BEFORE_R4, R4, R5)] == [None, None, None]
    assert [types["instant"](ten) for types in (BEFORE_R4, R4, R5)] == [None, None, WRONG_FORM]


def test_a_required_list() -> None:
    check = primitives.one_of(frozenset(("a", "b c")))
    assert check("a") is check("b c") is None
    assert [check("d"), check("a "), check(1), check("")] == [NOT_LISTED, WRONG_FORM, WRONG_KIND, EMPTY]


@given(st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9]\Z"))
def test_dates_are_those_of_the_calendar(text: str) -> None:
    try:
        datetime.date.fromisoformat(text)
    except ValueError:
        assert R4["date"](text)
    else:
        assert R4["date"](text) is None


@given(st.one_of(st.text(), st.integers(), st.none(), st.floats(), st.booleans(), st.binary(), st.lists(st.text())))
def test_any_value_gets_an_answer(value: Any) -> None:
    answers = [check(value) for check in R4.values()]
    assert all(answer is None or isinstance(answer, str) for answer in answers)


@given(
    st.lists(
        st.one_of(st.text(max_size=3), st.integers(-(2**32), 2**32), st.none(), st.booleans(), st.floats(),
                  st.sampled_from(["1.2", "urn:oid:1.2", "2024-02-30", "2024-02-29", "a b", "x" * 65, [], {}])),
        min_size=1, max_size=3,
    )
)  # fmt: skip
def test_a_column_is_right_where_every_value_is(values: list[Any]) -> None:
    for types in (BEFORE_R4, R4, R5):
        for check in (*types.values(), primitives.one_of(frozenset(("a", "1.2")))):
            assert primitives.column(check)(values) == (not any(map(check, values)))


@pytest.mark.parametrize("value", [None, 0, 1, 1.5, True, [], ["1"], {}, b"1"])
def test_what_takes_texts_takes_nothing_else(value: Any) -> None:
    checks = [check for check in (*R4.values(), primitives.one_of(frozenset("1"))) if primitives.takes_text(check)]
    assert len(checks) > 10
    assert all(check(value) for check in checks)
