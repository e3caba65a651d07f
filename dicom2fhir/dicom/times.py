"""Dates, times and offsets as Python values (DA, TM, DT, PS3.5 6.2), in the convention of `values`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from dicom2fhir.dicom.values import PADDING, BadValue
from dicom2fhir.problems import Code

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

Precision = Literal["hour", "minute", "second"]

_DATE: Final = re.compile(r"([0-9]{4})(?:([0-9]{2})([0-9]{2})?|([.\-/])([0-9]{2})\4([0-9]{2}))?")
_TIME: Final = re.compile(r"([0-9]{2})(?:(:?)([0-9]{2})(?:\2([0-9]{2})(\.[0-9]{1,6})?)?)?")
_OFFSET: Final = re.compile(r"([+-])([0-9]{2})(?::?([0-9]{2}))?")
_DATETIME: Final = re.compile(r"([0-9]{4,14})(\.[0-9]+)?(Z|[+-].*)?")
_EARLIEST_OFFSET: Final = -12 * 60
_LATEST_OFFSET: Final = 14 * 60


class Time(NamedTuple):
    """A time of day: `text` is `HH:MM:SS` with up to six decimals, filled with `:00` beyond `precision`."""

    text: str
    precision: Precision


class Offset(NamedTuple):
    """An offset from UTC: `text` is `+HH:MM` or `-HH:MM`.

    `irregular` says that the value was understood but is not written as PS3.3 C.12.1.1.8 asks (`&ZZXX`, no `-0000`).
    """

    text: str
    irregular: bool = False


class DateTime(NamedTuple):
    """A DT value: a FHIR partial date, and the time and offset that came with it."""

    date: str
    time: Time | None = None
    offset: str | None = None


@lru_cache(maxsize=256)  # what a study's series say, they say alike
def parse_date(text: str) -> str | None:
    """A DA as FHIR's partial date `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.

    Also read: ACR-NEMA's `YYYY.MM.DD`, and `YYYY-MM-DD`, `YYYY/MM/DD`, `YYYYMM`, `YYYY`.

    Raises:
        BadValue: no such day, a range, and the years 0000 and 0001, which stand for "no date".
    """
    text = text.strip(PADDING)
    if not text:
        return None
    match = _DATE.fullmatch(text)
    if match is None:
        raise BadValue(Code.DATE_INVALID)
    year, month, day = match[1], match[2] or match[5], match[3] or match[6]
    try:
        real = date(int(year), int(month or 1), int(day or 1))
    except ValueError:
        raise BadValue(Code.DATE_INVALID) from None
    if real.year < 2:
        raise BadValue(Code.DATE_INVALID)
    return "-".join(part for part in (year, month, day) if part)


def parse_time(text: str) -> Time | None:
    """A TM as a time of day: `HH`, `HHMM`, `HHMMSS` with up to six decimals, or ACR-NEMA's form with colons.

    Decimals are kept as given, and so is second 60 (PS3.5 6.2; FHIR takes it from R4 on).

    Raises:
        BadValue: anything else, and hour 24.
    """
    text = text.strip(PADDING)
    if not text:
        return None
    match = _TIME.fullmatch(text)
    if match is None:
        raise BadValue(Code.TIME_INVALID)
    hour, _, minute, second, fraction = match.groups()
    if int(hour) > 23 or int(minute or 0) > 59 or int(second or 0) > 60:
        raise BadValue(Code.TIME_INVALID)
    precision: Precision = "second" if second else "minute" if minute else "hour"
    return Time(f"{hour}:{minute or '00'}:{second or '00'}{fraction or ''}", precision)


@lru_cache(maxsize=64)
def parse_offset(text: str) -> Offset | None:
    """A Timezone Offset From UTC (0008,0201): `&ZZXX`, -1200 to +1400 (PS3.3 C.12.1.1.8).

    Also read, as irregular: `+01:00`, `+01`, `Z`, and `-0000`, which is +00:00.

    Raises:
        BadValue: no sign, other lengths, several values, out of range.
    """
    text = text.strip(PADDING)
    if not text:
        return None
    if text == "Z":
        return Offset("+00:00", irregular=True)
    match = _OFFSET.fullmatch(text)
    if match is None or int(match[3] or 0) > 59:
        raise BadValue(Code.OFFSET_INVALID)
    minutes = int(match[1] + "1") * (int(match[2]) * 60 + int(match[3] or 0))
    if not _EARLIEST_OFFSET <= minutes <= _LATEST_OFFSET:
        raise BadValue(Code.OFFSET_INVALID)
    return Offset(_offset_text(minutes), irregular=len(text) != 5 or text == "-0000")


def _offset_text(minutes: int) -> str:
    hours, rest = divmod(abs(minutes), 60)
    return f"{'-' if minutes < 0 else '+'}{hours:02}:{rest:02}"


def parse_datetime(text: str) -> DateTime | None:
    """A DT: any prefix of `YYYYMMDDHHMMSS.FFFFFF`, and `&ZZXX` (PS3.5 6.2).

    Raises:
        BadValue: with the code of the part that cannot be read.
    """
    text = text.strip(PADDING)
    if not text:
        return None
    match = _DATETIME.fullmatch(text)
    if match is None:
        raise BadValue(Code.DATE_INVALID)
    digits, fraction, suffix = match.groups()
    day = parse_date(digits[:8])
    time = parse_time(digits[8:] + (fraction or ""))
    offset = parse_offset(suffix or "")
    if day is None:  # cannot be: four digits or more
        raise BadValue(Code.DATE_INVALID)
    return DateTime(day, time, offset.text if offset else None)


def zone_offset(date: str, time: str, zone: ZoneInfo) -> str | None:
    """The offset `+HH:MM` that a place has at a local date and time (`YYYY-MM-DD`, `HH:MM:SS[.f]`).

    Of an ambiguous time the earlier one counts. `None` where the clocks jumped over it, where the date is
    partial, and where the offset is none that FHIR can write (a local mean time with seconds).
    """
    try:
        local = datetime.fromisoformat(f"{date}T{time[:5]}")
        there_and_back = local.replace(tzinfo=zone).astimezone(UTC).astimezone(zone)
    except (ValueError, OverflowError):
        return None
    if there_and_back.replace(tzinfo=None, fold=0) != local:
        return None
    offset = there_and_back.utcoffset() or timedelta()
    minutes, seconds = divmod(offset, timedelta(minutes=1))
    if seconds or not _EARLIEST_OFFSET <= minutes <= _LATEST_OFFSET:
        return None
    return _offset_text(minutes)
