"""Dates, times and offsets of one instance as one moment (PS3.3 C.12.1.1.8: which offset counts)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import TypeVar

from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.times import Time, parse_date, parse_datetime, parse_offset, parse_time, zone_offset
from dicom2fhir.dicom.values import BadValue, first_value
from dicom2fhir.mapping.evidence import Evidence
from dicom2fhir.mapping.settings import Settings
from dicom2fhir.model import Moment
from dicom2fhir.problems import Code

T = TypeVar("T")


class Moments:
    """Reads moments of one study or series; what cannot be read is noted and absent."""

    def __init__(self, settings: Settings, evidence: Evidence) -> None:
        self._zone, self._evidence = settings.timezone, evidence

    def of(self, values: Values, date: str, time: str, shared: Values, count: int = 1) -> Moment | None:
        """The moment of a DA and a TM attribute; `shared` holds the offset of the same instance."""
        day = self._parsed(parse_date, values, date, count)
        clock = self._parsed(parse_time, values, time, count)
        if clock is not None and (len(day) < 10 if day else not values.get(date)):
            self._evidence.note(Code.TIME_INVALID, time, count)  # a time of no day
        return self._moment(day, clock, None, shared, (date, time), count) if day else None

    def of_datetime(self, values: Values, keyword: str, shared: Values, count: int = 1) -> Moment | None:
        """The moment of a DT attribute; its own suffix beats (0008,0201)."""
        found = self._parsed(parse_datetime, values, keyword, count)
        if found is None:
            return None
        return self._moment(found.date, found.time, found.offset, shared, (keyword, keyword), count)

    def _parsed(self, parse: Callable[[str], T | None], values: Values, keyword: str, count: int) -> T | None:
        try:
            return parse(first_value(values.get(keyword, "")) or "")
        except BadValue as bad:
            self._evidence.note(bad.code, keyword, count)
            return None

    def _moment(
        self, day: str, clock: Time | None, offset: str | None, shared: Values, keywords: tuple[str, str], count: int
    ) -> Moment:
        if clock is None or len(day) < 10:
            return Moment(day)
        offset = offset or self._offset(shared, count)
        if offset is None and self._zone is not None:
            offset = zone_offset(day, clock.text, self._zone)
            if offset is None:
                self._evidence.note(Code.TIME_INVALID, keywords[1], count)
                return Moment(day)
        if offset is not None and clock.precision != "second":
            self._evidence.note(Code.TIME_PRECISION, keywords[1], count)
        return Moment(day, clock.text, offset)

    def _offset(self, shared: Values, count: int) -> str | None:
        text = shared.get("TimezoneOffsetFromUTC", "")
        try:
            found = parse_offset(text)
        except BadValue as bad:
            self._evidence.note(bad.code, "TimezoneOffsetFromUTC", count)
            return None
        if found is not None and found.irregular:
            self._evidence.note(Code.OFFSET_INVALID, "TimezoneOffsetFromUTC", count)
        return found.text if found else None


def sort_key(moment: Moment) -> tuple[str, str]:
    """Moments by the instant that they stand for; what has no offset counts as UTC, a date as its first second."""
    if moment.time is None:
        return (moment.date, "")
    local = (f"{moment.date}T{moment.time[:5]}", moment.time[5:])
    if moment.offset is None:
        return local
    hours, minutes = int(moment.offset[:3]), int(moment.offset[0] + moment.offset[4:])
    whole = datetime.fromisoformat(f"{moment.date}T{moment.time[:5]}")
    try:
        return ((whole - timedelta(hours=hours, minutes=minutes)).isoformat()[:16], moment.time[5:])
    except OverflowError:
        return local
