from __future__ import annotations

import calendar
import re
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.dicom import values
from dicom2fhir.dicom.values import BadValue, DateTime, Offset, Time
from dicom2fhir.model import PersonName
from dicom2fhir.problems import Code

PARSERS = {
    values.parse_uid: Code.BAD_UID,
    values.parse_date: Code.DATE_INVALID,
    values.parse_time: Code.TIME_INVALID,
    values.parse_offset: Code.OFFSET_INVALID,
    values.parse_integer: Code.VALUE_INVALID,
}


@pytest.mark.parametrize(
    "parse", [*(set(PARSERS) - {values.parse_uid}), values.parse_datetime], ids=lambda p: p.__name__
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


@given(st.text("0123456789.+-Z ", max_size=30))
def test_any_text_is_a_datetime_or_refused(text):
    bad = refusal(values.parse_datetime, text)
    assert bad is None or bad.code in {Code.DATE_INVALID, Code.TIME_INVALID, Code.OFFSET_INVALID}


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


# --- dates and times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20240229", "2024-02-29"),
        (" 20240229 ", "2024-02-29"),
        ("1999.01.02", "1999-01-02"),
        ("1999-01-02", "1999-01-02"),
        ("1999/01/02", "1999-01-02"),
        ("199901", "1999-01"),
        ("1999", "1999"),
        ("19000101", "1900-01-01"),
    ],
)
def test_dates(text, expected):
    assert values.parse_date(text) == expected


@pytest.mark.parametrize(
    "text",
    ["20230229", "19991301", "00000000", "00010101", "0000", "0001", "000101", "20240101-20240131", "-20240101",
     "1999.01-02", "1999.1.2", "19990", "1999010", "199901021", "1999\\2000", "19990100", "2024013１", "today"],
)  # fmt: skip
def test_no_dates(text):
    with pytest.raises(BadValue) as caught:
        values.parse_date(text)
    assert caught.value.code is Code.DATE_INVALID


@given(st.integers(2, 9999), st.integers(1, 12), st.integers(1, 31))
def test_a_date_is_real_or_refused(year, month, day):
    text = f"{year:04}{month:02}{day:02}"
    if day <= calendar.monthrange(year, month)[1]:
        assert values.parse_date(text) == f"{year:04}-{month:02}-{day:02}"
    else:
        with pytest.raises(BadValue):
            values.parse_date(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("12", Time("12:00:00", "hour")),
        ("0930", Time("09:30:00", "minute")),
        ("09:30", Time("09:30:00", "minute")),
        ("235960", Time("23:59:60", "second")),
        ("14:04:00", Time("14:04:00", "second")),
        ("14:04:00.5", Time("14:04:00.5", "second")),
        ("140400.000988 ", Time("14:04:00.000988", "second")),
        ("140400.100", Time("14:04:00.100", "second")),
    ],
)
def test_times_keep_their_precision(text, expected):
    assert values.parse_time(text) == expected


@pytest.mark.parametrize(
    "text",
    ["24", "240000", "1260", "125961", "1", "123", "12304", "123045.", "123045.1234567", "12:3045", "1230:45",
     "1230.5", "12.5", "123045\\123046", "12:30:45+01:00", "12:30 PM"],
)  # fmt: skip
def test_no_times(text):
    with pytest.raises(BadValue) as caught:
        values.parse_time(text)
    assert caught.value.code is Code.TIME_INVALID


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("+0100 ", Offset("+01:00")),
        ("-0330", Offset("-03:30")),
        ("+0000", Offset("+00:00")),
        ("+1400", Offset("+14:00")),
        ("-1200", Offset("-12:00")),
        ("+01:00", Offset("+01:00", irregular=True)),
        ("+01", Offset("+01:00", irregular=True)),
        ("-0000", Offset("+00:00", irregular=True)),
        ("-00:00", Offset("+00:00", irregular=True)),
        ("Z", Offset("+00:00", irregular=True)),
    ],
)
def test_offsets(text, expected):
    assert values.parse_offset(text) == expected


@pytest.mark.parametrize("text", ["0100", "+100", "+1401", "-1201", "+1260", "+0100\\+0200", "+1", "+01:0", "CET", "z"])
def test_no_offsets(text):
    with pytest.raises(BadValue) as caught:
        values.parse_offset(text)
    assert caught.value.code is Code.OFFSET_INVALID


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1999", DateTime("1999")),
        ("199902", DateTime("1999-02")),
        ("19990203", DateTime("1999-02-03")),
        ("1999020304", DateTime("1999-02-03", Time("04:00:00", "hour"))),
        ("199902030405", DateTime("1999-02-03", Time("04:05:00", "minute"))),
        ("19990203040506.7-0330", DateTime("1999-02-03", Time("04:05:06.7", "second"), "-03:30")),
        ("1999+0100", DateTime("1999", None, "+01:00")),
        ("19990203040506-0000", DateTime("1999-02-03", Time("04:05:06", "second"), "+00:00")),
    ],
)
def test_datetimes_of_any_length(text, expected):
    assert values.parse_datetime(text) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("19991301", Code.DATE_INVALID),
        ("1999-01-02T03:04", Code.OFFSET_INVALID),
        ("19990203-19990204", Code.OFFSET_INVALID),
        ("1999020325", Code.TIME_INVALID),
        ("199902030", Code.TIME_INVALID),
        ("19990203.5", Code.TIME_INVALID),
        ("19990203040506.1234567", Code.TIME_INVALID),
        ("19990203040506+2500", Code.OFFSET_INVALID),
        ("yesterday", Code.DATE_INVALID),
    ],
)
def test_no_datetimes(text, code):
    with pytest.raises(BadValue) as caught:
        values.parse_datetime(text)
    assert caught.value.code is code


@pytest.mark.parametrize(
    ("date", "time", "zone", "expected"),
    [
        ("2024-07-01", "12:00:00", "Europe/Berlin", "+02:00"),
        ("2024-01-01", "12:00:00.5", "Europe/Berlin", "+01:00"),
        ("2024-10-27", "02:30:00", "Europe/Berlin", "+02:00"),  # twice that night: the earlier
        ("2024-03-31", "02:30:00", "Europe/Berlin", None),  # never that night
        ("2024-03-31", "03:00:00", "Europe/Berlin", "+02:00"),
        ("1880-01-01", "12:00:00", "Europe/Berlin", None),  # local mean time, +00:53:28
        ("2024-01-01", "23:59:60", "America/St_Johns", "-03:30"),
        ("2024-01-01", "12:00:00", "Pacific/Kiritimati", "+14:00"),
        ("2024-01-01", "12:00:00", "UTC", "+00:00"),
        ("2024-01", "12:00:00", "UTC", None),
        ("9999-12-31", "23:00:00", "America/New_York", None),  # its UTC is beyond the calendar
    ],
)
def test_the_offset_of_a_place(date, time, zone, expected):
    assert values.zone_offset(date, time, ZoneInfo(zone)) == expected


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


# --- names


def only(text):
    (name,) = values.parse_name(text)
    return name


def test_the_five_components_of_a_name():
    assert only("Adams^John Robert^Quincy^Rev.^B.A. M.Div.") == PersonName(
        "alphabetic", "Adams", ("John Robert", "Quincy"), "Rev.", "B.A. M.Div.",
        "Rev. John Robert Quincy Adams B.A. M.Div.",
    )  # fmt: skip


def test_three_representations_are_three_names():
    assert values.parse_name("Yamada^Tarou=山田^太郎=やまだ^たろう") == (
        PersonName("alphabetic", "Yamada", ("Tarou",), text="Tarou Yamada"),
        PersonName("ideographic", "山田", ("太郎",), text="山田太郎"),
        PersonName("phonetic", "やまだ", ("たろう",), text="やまだ たろう"),
    )


def test_a_group_that_says_nothing_is_left_out():
    assert [name.representation for name in values.parse_name("^^^^=山田^太郎=")] == ["ideographic"]
    assert [name.representation for name in values.parse_name("==やまだ")] == ["phonetic"]


@pytest.mark.parametrize("text", ["", "^", "^^^^", " ^ ", "=", "^=^=^", "=====", "\\"])
def test_carets_are_no_name(text):
    assert values.parse_name(text) == ()


def test_one_component_is_a_family_name_unless_it_is_several_words():
    assert only("Adams") == PersonName("alphabetic", "Adams", text="Adams")
    assert only("Adams^^^^") == only("Adams")
    assert only("John Adams") == PersonName("alphabetic", text="John Adams")
    assert only("Adams,John^") == PersonName("alphabetic", text="Adams,John")
    assert only("=山田\u3000太郎") == PersonName("ideographic", text="山田\u3000太郎")


def test_a_component_between_carets_may_have_several_words():
    assert only("van der Berg^Jan") == PersonName("alphabetic", "van der Berg", ("Jan",), text="Jan van der Berg")


def test_a_middle_name_without_a_first_and_a_name_without_a_family():
    assert only("Adams^^Quincy").given == ("Quincy",)
    assert only("^Rex") == PersonName("alphabetic", None, ("Rex",), text="Rex")


def test_more_than_five_components_are_words():
    assert only("A^B^C^D^E^F^") == PersonName("alphabetic", text="A B C D E F")


def test_more_than_three_groups_are_no_name():
    with pytest.raises(BadValue) as caught:
        values.parse_name("A=B=C=D")
    assert caught.value.code is Code.VALUE_INVALID


def test_several_names_keep_their_places():
    first, nobody, third = values.parse_names("A^B\\\\C")
    assert (first[0].family, nobody, third[0].family) == ("A", (), "C")
    assert values.parse_names("") == []


def test_of_several_names_where_one_is_wanted_the_first_counts():
    assert only("\\Adams\\Smith").family == "Adams"


@given(st.lists(st.sampled_from(["A", "b c", " ", "^", "=", "\\", "\0", "\x1b"]), max_size=12).map("".join))
def test_every_name_says_something(text):
    try:
        names = values.parse_name(text)
    except BadValue:
        return
    for name in names:
        assert name.text
        for word in (name.family, *name.given, name.prefix, name.suffix):
            assert word is None or word == values.clean_text(word)
