"""Moments: which offset counts, times that a zone has twice or never, and what is earlier."""

from __future__ import annotations

from zoneinfo import ZoneInfo

import pytest
from records import notes, record, series, study

from dicom2fhir.mapping.moments import sort_key
from dicom2fhir.model import Moment
from dicom2fhir.problems import Code

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("date", "time", "stated", "zone", "moment"),
    [
        ("20240115", "0930", None, None, Moment("2024-01-15", "09:30:00")),
        ("20240115", "093000", None, BERLIN, Moment("2024-01-15", "09:30:00", "+01:00")),
        ("20240715", "093000", None, BERLIN, Moment("2024-07-15", "09:30:00", "+02:00")),
        ("20240715", "093000", "-0330", BERLIN, Moment("2024-07-15", "09:30:00", "-03:30")),
        ("20240715", "093000", "0100", BERLIN, Moment("2024-07-15", "09:30:00", "+02:00")),
        ("20241027", "023000", None, BERLIN, Moment("2024-10-27", "02:30:00", "+02:00")),
        ("20240331", "023000", None, BERLIN, Moment("2024-03-31")),
        ("20240331", "023000", "+0100", BERLIN, Moment("2024-03-31", "02:30:00", "+01:00")),
        ("18900101", "120000", None, BERLIN, Moment("1890-01-01")),
        ("2024", "093000", "+0100", None, Moment("2024")),
        ("20240115", "noon", "+0100", None, Moment("2024-01-15")),
        ("20240115", "", "+0100", None, Moment("2024-01-15")),
        ("", "093000", "+0100", None, None),
        ("20240230", "093000", "+0100", None, None),
        ("\\20240115", "093000", None, None, Moment("2024-01-15", "09:30:00")),
    ],
)
def test_the_offset_is_the_instances_then_the_zones(
    date: str, time: str, stated: str | None, zone: ZoneInfo | None, moment: Moment | None
) -> None:
    instance = record(StudyDate=date, StudyTime=time, TimezoneOffsetFromUTC=stated)
    assert study(instance, timezone=zone).started == moment


@pytest.mark.parametrize(
    ("values", "noted"),
    [
        ({"StudyDate": "20240331", "StudyTime": "023000"}, {(Code.TIME_INVALID, "StudyTime")}),
        ({"StudyDate": "20240115", "StudyTime": "0930"}, {(Code.TIME_PRECISION, "StudyTime")}),
        ({"StudyDate": "20240115"}, set()),
        ({"StudyTime": "093000"}, {(Code.TIME_INVALID, "StudyTime")}),
        ({"StudyDate": "202401", "StudyTime": "093000"}, {(Code.TIME_INVALID, "StudyTime")}),
        ({"StudyDate": "20240230", "StudyTime": "093000"}, {(Code.DATE_INVALID, "StudyDate")}),
    ],
)
def test_what_is_lost_of_a_time_is_noted(values: dict[str, str], noted: set[tuple[Code, str]]) -> None:
    assert set(notes(record(PatientID=None, **values), timezone=BERLIN)) == noted


def test_a_time_without_offset_is_noted_once_a_study_and_has_no_precision_to_speak_of() -> None:
    instances = [record(number, StudyDate="20240115", StudyTime="0930", PatientID=None) for number in (1, 2)]
    assert notes(*instances) == {(Code.NO_TIME_ZONE, "StudyTime"): 1}


def test_a_date_time_has_its_own_offset_or_that_of_the_instance() -> None:
    own = record(AcquisitionDateTime="20240115093000-0800", TimezoneOffsetFromUTC="+0100")
    none = record(AcquisitionDateTime="20240115093000", TimezoneOffsetFromUTC="+0100")
    assert series(own).started == Moment("2024-01-15", "09:30:00", "-08:00")
    assert series(none).started == Moment("2024-01-15", "09:30:00", "+01:00")


def test_moments_are_ordered_by_their_instants() -> None:
    ordered = [
        Moment("2024"),
        Moment("2024-01"),
        Moment("2024-01-15"),
        Moment("2024-01-15", "10:30:00", "+02:00"),
        Moment("2024-01-15", "09:00:00"),
        Moment("2024-01-15", "09:00:00.5"),
        Moment("2024-01-15", "08:00:00", "-02:30"),
        Moment("2024-01-15", "23:59:60", "+00:00"),
        Moment("2024-01-15", "23:30:00", "-01:00"),
    ]
    backwards = ordered[::-1]
    assert sorted(backwards, key=sort_key) == ordered


def test_the_first_instants_of_the_calendar_have_a_place() -> None:
    assert sort_key(Moment("0001-01-01", "00:30:00", "+01:00")) == ("0001-01-01T00:30", ":00")
