"""DICOM's text values as Python values (PS3.5 6.2): pure functions of decoded strings. See `times` and `names`, too.

One convention: an empty value is `None` (but no UID), a value that cannot be read raises `BadValue`, whose `code`
is the problem to report. Nothing is guessed, and no message ever holds the value.
"""

from __future__ import annotations

import re
from typing import Final

from dicom2fhir.problems import Code

MAX_UID: Final = 64
"""Characters of a UID (PS3.5 9.1)."""
MAX_INTEGER: Final = 2**31 - 1
"""The largest FHIR unsignedInt, and the largest value of an IS."""

PADDING: Final = " \0"
"""What fills values up to an even length."""
_CONTROLS: Final = {point: None for point in range(0x20) if chr(point) not in "\t\r\n"}
_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_OID: Final = re.compile(r"[0-2](?:\.(?:0|[1-9][0-9]*))+")
_INTEGER: Final = re.compile(r"([+-]?[0-9]+)(?:\.0+)?")


class BadValue(ValueError):
    """A value that does not fit its type; `code` is the problem to report."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.value)
        self.code = code


def split_values(text: str) -> list[str]:
    """The values between backslashes, each without padding; empty ones keep their place. No text, no values."""
    return [value.strip(PADDING) for value in text.split("\\")] if text else []


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


def parse_integer(text: str) -> int | None:
    """An IS that FHIR's `unsignedInt` takes: 0 to 2147483647, a sign allowed, `1.0` read as 1.

    Raises:
        BadValue: negative, too large, longer than 12 characters, or no whole number.
    """
    text = text.strip(PADDING)
    if not text:
        return None
    match = _INTEGER.fullmatch(text) if len(text) <= 12 else None
    if match is None or not 0 <= int(match[1]) <= MAX_INTEGER:
        raise BadValue(Code.VALUE_INVALID)
    return int(match[1])
