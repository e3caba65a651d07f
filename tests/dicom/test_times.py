from __future__ import annotations

import calendar
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.dicom import times
from dicom2fhir.dicom.times import DateTime, Offset, Time
from dicom2fhir.dicom.values import BadValue
from dicom2fhir.problems import Code


@given(st.text("0123456789.+-Z ", max_size=30))
def test_any_text_is_a_datetime_or_refused(text):
    try:
        times.parse_datetime(text)
        code = None
    except BadValue as bad:
        code = bad.code
    assert code in {None, Code.DATE_INVALID, Code.TIME_INVALID, Code.OFFSET_INVALID}


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
    assert times.parse_date(text) == expected


@pytest.mark.parametrize(
    "text",
    ["20230229", "19991301", "00000000", "00010101", "0000", "0001", "000101", "20240101-20240131", "-20240101",
     "1999.01-02", "1999.1.2", "19990", "1999010", "199901021", "1999\\2000", "19990100", "2024013１", "today"],
)  # fmt: skip
def test_no_dates(text):
    with pytest.raises(BadValue) as caught:
        times.parse_date(text)
    assert caught.value.code is Code.DATE_INVALID


@given(st.integers(2, 9999), st.integers(1, 12), st.integers(1, 31))
def test_a_date_is_real_or_refused(year, month, day):
    text = f"{year:04}{month:02}{day:02}"
    if day <= calendar.monthrange(year, month)[1]:
        assert times.parse_date(text) == f"{year:04}-{month:02}-{day:02}"
    else:
        with pytest.raises(BadValue):
            times.parse_date(text)


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
    assert times.parse_time(text) == expected


@pytest.mark.parametrize(
    "text",
    ["24", "240000", "1260", "125961", "1", "123", "12304", "123045.", "123045.1234567", "12:3045", "1230:45",
     "1230.5", "12.5", "123045\\123046", "12:30:45+01:00", "12:30 PM"],
)  # fmt: skip
def test_no_times(text):
    with pytest.raises(BadValue) as caught:
        times.parse_time(text)
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
    assert times.parse_offset(text) == expected


@pytest.mark.parametrize("text", ["0100", "+100", "+1401", "-1201", "+1260", "+0100\\+0200", "+1", "+01:0", "CET", "z"])
def test_no_offsets(text):
    with pytest.raises(BadValue) as caught:
        times.parse_offset(text)
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
    assert times.parse_datetime(text) == expected


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
        times.parse_datetime(text)
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
    assert times.zone_offset(date, time, ZoneInfo(zone)) == expected
