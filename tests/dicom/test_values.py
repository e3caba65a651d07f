from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.dicom import times, values
from dicom2fhir.dicom.values import BadValue
from dicom2fhir.problems import Code

PARSERS = {
    values.parse_uid: Code.BAD_UID,
    times.parse_date: Code.DATE_INVALID,
    times.parse_time: Code.TIME_INVALID,
    times.parse_offset: Code.OFFSET_INVALID,
    values.parse_integer: Code.VALUE_INVALID,
}


@pytest.mark.parametrize(
    "parse", [*(set(PARSERS) - {values.parse_uid}), times.parse_datetime], ids=lambda p: p.__name__
)
@pytest.mark.parametrize("text", ["", " ", "\0", "  \0"])
def test_padding_alone_is_no_value(parse, text):
    assert parse(text) is None


def refusal(parse, text):
    """What the parser says against the text, if anything."""
    try:
        parse(text)
    except BadValue as bad:
        return bad
    return None


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused_with_the_parsers_own_code(text):
    for parse, code in PARSERS.items():
        bad = refusal(parse, text)
        assert bad is None or (bad.code is code and str(bad) == code.value)


# --- several values, text


def test_values_keep_their_places():
    assert values.split_values("A \\\\ B\0") == ["A", "", "B"]
    assert values.split_values("") == []


def test_the_first_value_is_the_first_that_says_something():
    assert values.first_value(" \\B\\C") == "B"
    assert values.first_value("\\ \\") is None


def test_words_of_several_values_are_joined():
    assert values.joined("chest\\ \\abdomen ") == "chest; abdomen"
    assert values.joined("") == ""


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("CHEST \0", "CHEST"),
        (" a\tb\r\nc ", "a\tb\r\nc"),
        ("a\x1b\x00\x0bb", "ab"),
        ("\x01 \x02", None),
        ("   ", None),
        ("\x85 caf\xe9\x7f", "caf\xe9\x7f"),
        ("a  b", "a  b"),
    ],
)
def test_text_is_what_a_fhir_string_may_hold(text, clean):
    assert values.clean_text(text) == clean


@given(st.text())
def test_clean_text_has_no_controls_no_edges_and_is_stable(text):
    clean = values.clean_text(text)
    assert clean is None or (clean == clean.strip() and not re.search(r"[\x00-\x08\x0b\x0c\x0e-\x1f]", clean))
    assert clean is None or values.clean_text(clean) == clean


def test_a_code_has_no_double_blanks():
    assert values.clean_code(" T \t 1\0") == "T 1"
    assert values.clean_code("\0 ") is None


# --- UIDs


@pytest.mark.parametrize("text", ["1.2.3", " 1.2.3\0", "1.2.3\0\0", "1." * 31 + "12", "1.02.3", "7", "3.1"])
def test_uids_that_files_are_grouped_by(text):
    assert values.parse_uid(text) == text.strip(" \0")


@pytest.mark.parametrize(
    "text", ["", "\0 ", "1.2.", ".1", "1..2", "1.2a", "1.2\\1.3", "1. 2", "1." * 32 + "1", "１.2", "1.2\n.3"]
)
def test_uids_that_reject_a_file(text):
    with pytest.raises(BadValue) as caught:
        values.parse_uid(text)
    assert caught.value.code is Code.BAD_UID


@pytest.mark.parametrize(
    ("uid", "expected"),
    [
        ("1.2.840", True),
        ("0.0", True),
        ("2.25.1", True),
        ("3.1", False),
        ("1", False),
        ("1.02", False),
        ("01.2", False),
    ],
)
def test_what_fhir_takes_as_oid(uid, expected):
    assert values.is_oid(uid) is expected


# --- numbers


@pytest.mark.parametrize(
    ("text", "number"),
    [(" 12 ", 12), ("+7", 7), ("0", 0), ("-0", 0), ("007", 7), ("1.0", 1), ("2147483647", 2147483647)],
)
def test_integers(text, number):
    assert values.parse_integer(text) == number


@pytest.mark.parametrize(
    "text", ["-1", "2147483648", "1.5", "1e3", "1A", "1\\2", "0000000000001", "1.", "inf", "１", "1_0", "1 0", "--1"]
)
def test_no_integers(text):
    with pytest.raises(BadValue) as caught:
        values.parse_integer(text)
    assert caught.value.code is Code.VALUE_INVALID
