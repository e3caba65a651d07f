"""DICOM's text values as Python values (PS3.5 6.2): pure functions of decoded strings.

One convention: an empty value is `None` (but no UID), a value that cannot be read raises `BadValue`, whose `code`
is the problem to report. Nothing is guessed, and no message ever holds the value.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Final, Literal
from zoneinfo import ZoneInfo

from dicom2fhir.model import PersonName, Representation
from dicom2fhir.problems import Code

Precision = Literal["hour", "minute", "second"]

MAX_UID: Final = 64
"""Characters of a UID (PS3.5 9.1)."""
MAX_INTEGER: Final = 2**31 - 1
"""The largest FHIR unsignedInt, and the largest value of an IS."""

_PADDING: Final = " \0"
_CONTROLS: Final = {point: None for point in range(0x20) if chr(point) not in "\t\r\n"}
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")
_DATE: Final = re.compile(r"([0-9]{4})(?:([0-9]{2})([0-9]{2})?|([.\-/])([0-9]{2})\4([0-9]{2}))?")
_TIME: Final = re.compile(r"([0-9]{2})(?:(:?)([0-9]{2})(?:\2([0-9]{2})(\.[0-9]{1,6})?)?)?")
_OFFSET: Final = re.compile(r"([+-])([0-9]{2})(?::?([0-9]{2}))?")
_DATETIME: Final = re.compile(r"([0-9]{4,14})(\.[0-9]+)?(Z|[+-].*)?")
_INTEGER: Final = re.compile(r"([+-]?[0-9]+)(?:\.0+)?")
_EAST_ASIAN: Final = 0x2E80
"""The first code point of CJK radicals; kana, ideographs and Hangul follow."""
_EARLIEST_OFFSET: Final = -12 * 60
_LATEST_OFFSET: Final = 14 * 60
_REPRESENTATIONS: Final[tuple[Representation, ...]] = ("alphabetic", "ideographic", "phonetic")


class BadValue(ValueError):
    """A value that does not fit its type; `code` is the problem to report."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.value)
        self.code = code


@dataclass(frozen=True, slots=True)
class Time:
    """A time of day: `text` is `HH:MM:SS` with up to six decimals, filled with `:00` beyond `precision`."""

    text: str
    precision: Precision


@dataclass(frozen=True, slots=True)
class Offset:
    """An offset from UTC: `text` is `+HH:MM` or `-HH:MM`.

    `irregular` says that the value was understood but is not written as PS3.3 C.12.1.1.8 asks (`&ZZXX`, no `-0000`).
    """

    text: str
    irregular: bool = False


@dataclass(frozen=True, slots=True)
class DateTime:
    """A DT value: a FHIR partial date, and the time and offset that came with it."""

    date: str
    time: Time | None = None
    offset: str | None = None


def split_values(text: str) -> list[str]:
    """The values between backslashes, each without padding; empty ones keep their place. No text, no values."""
    return [value.strip(_PADDING) for value in text.split("\\")] if text else []


def first_value(text: str) -> str | None:
    """The first value that is not empty."""
    return next(filter(None, split_values(text)), None)


def joined(text: str) -> str:
    """The values that are not empty, joined by `; `: for words in an element that takes one value."""
    return "; ".join(filter(None, split_values(text)))


def clean_text(text: str) -> str | None:
    """Text as FHIR's `string` allows it: no padding, no control characters but TAB, CR and LF, never empty."""
    if not text.isprintable():
        text = text.translate(_CONTROLS)
    return text.strip() or None


def clean_code(text: str) -> str | None:
    """Text as FHIR's `code` allows it: `clean_text` with every run of blanks as one."""
    return " ".join((clean_text(text) or "").split()) or None


def parse_uid(text: str) -> str:
    """A UID as it stands, without its padding (UI, PS3.5 9.1).

    Leading zeros pass, since files are grouped by them all the same; see `is_oid`.

    Raises:
        BadValue: nothing, letters, several values, more than 64 characters.
    """
    uid = text.strip(" \0\t\r\n")
    if len(uid) > MAX_UID or not _UID.fullmatch(uid):
        raise BadValue(Code.BAD_UID)
    return uid


def is_oid(uid: str) -> bool:
    """Whether FHIR's `oid` takes this UID: first arc 0-2, two components or more, no leading zeros."""
    return _OID.fullmatch(uid) is not None


def parse_date(text: str) -> str | None:
    """A DA as FHIR's partial date `YYYY`, `YYYY-MM` or `YYYY-MM-DD`.

    Also read: ACR-NEMA's `YYYY.MM.DD`, and `YYYY-MM-DD`, `YYYY/MM/DD`, `YYYYMM`, `YYYY`.

    Raises:
        BadValue: no such day, a range, and the years 0000 and 0001, which stand for "no date".
    """
    text = text.strip(_PADDING)
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
    text = text.strip(_PADDING)
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


def parse_offset(text: str) -> Offset | None:
    """A Timezone Offset From UTC (0008,0201): `&ZZXX`, -1200 to +1400 (PS3.3 C.12.1.1.8).

    Also read, as irregular: `+01:00`, `+01`, `Z`, and `-0000`, which is +00:00.

    Raises:
        BadValue: no sign, other lengths, several values, out of range.
    """
    text = text.strip(_PADDING)
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
    text = text.strip(_PADDING)
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


def parse_integer(text: str) -> int | None:
    """An IS that FHIR's `unsignedInt` takes: 0 to 2147483647, a sign allowed, `1.0` read as 1.

    Raises:
        BadValue: negative, too large, longer than 12 characters, or no whole number.
    """
    text = text.strip(_PADDING)
    if not text:
        return None
    match = _INTEGER.fullmatch(text) if len(text) <= 12 else None
    if match is None or not 0 <= int(match[1]) <= MAX_INTEGER:
        raise BadValue(Code.VALUE_INVALID)
    return int(match[1])


def parse_names(text: str) -> list[tuple[PersonName, ...]]:
    """All values of a PN, one entry a value; an empty value is an empty tuple, so that positions stay."""
    return [_one_name(value) for value in split_values(text)]


def parse_name(text: str) -> tuple[PersonName, ...]:
    """A PN as up to three representations of one name (PS3.5 6.2.1); of several values the first.

    Groups that say nothing (empty, or only `^`) are left out, so an empty tuple means no name.

    Raises:
        BadValue: more than three component groups.
    """
    return _one_name(first_value(text) or "")


def _one_name(value: str) -> tuple[PersonName, ...]:
    groups = value.split("=")
    if any(group.strip(" ^") for group in groups[3:]):
        raise BadValue(Code.VALUE_INVALID)
    names = map(_representation, _REPRESENTATIONS, groups)
    return tuple(name for name in names if name is not None)


def _representation(representation: Representation, group: str) -> PersonName | None:
    parts = [clean_text(component) for component in group.split("^")]
    while parts and parts[-1] is None:
        parts.pop()
    if not parts:
        return None
    if _is_words(parts):
        return PersonName(representation, text=" ".join(filter(None, parts)))
    family, first, middle, prefix, suffix = parts + [None] * (5 - len(parts))
    given = tuple(filter(None, (first, middle)))
    written = _written(representation, (prefix, suffix), family, given)
    return PersonName(representation, family, given, prefix, suffix, written)


def _written(
    representation: Representation, around: tuple[str | None, str | None], family: str | None, given: tuple[str, ...]
) -> str:
    """A name as its own script has it: East Asian names begin with the family, ideographic ones without blanks.

    The second group holds Cyrillic or Arabic too, and the first one Chinese characters.
    """
    eastern = all(ord(char) >= _EAST_ASIAN for part in (family or "", *given) for char in part if not char.isspace())
    order = (*given, family) if representation == "alphabetic" and not eastern else (family, *given)
    blank = "" if representation == "ideographic" and eastern else " "
    return blank.join(filter(None, (around[0], *order, around[1])))


def _is_words(parts: list[str | None]) -> bool:
    """Whether nobody can tell which word is what: one component of several words, or more than five components."""
    if len(parts) > 5:
        return True
    return len(parts) == 1 and any(char.isspace() or char == "," for char in parts[0] or "")
