"""FHIR's primitive types: what a JSON value of each must look like (hl7.org/fhir/datatypes, DSTU2 to R6).

A check takes a value and answers with the rule that it breaks, or None. Rules never hold the value. The types are the
same everywhere but for times: DSTU2 and STU3 know no second 60, and R5 limits the fraction to nine digits.
"""

from __future__ import annotations

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from math import isfinite
from typing import Any, Final

Check = Callable[[Any], str | None]

WRONG_KIND: Final = "the value is not of the JSON type of its element"
WRONG_FORM: Final = "the text does not have the form of its type"
EMPTY: Final = "an empty text"
CONTROL: Final = "the text holds control characters"
NO_DAY: Final = "there is no such day"
RANGE: Final = "the number is out of range"
NOT_LISTED: Final = "the code is not in the required list"

_COLUMNS: Final[dict[Check, Callable[[list[Any]], bool]]] = {}
_TEXTS: Final[set[Check]] = set()

_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")
_TEXT = r"\s*[^\s\x00-\x1f\ud800-\udfff][^\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]{0,1048575}"
_DATE = r"(?!0000)[0-9]{4}(-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])%s)?)?"
_ZONE = r"(Z|[+-]((0[0-9]|1[0-3]):[0-5][0-9]|14:00))"
_OID = r"[0-2](\.(0|[1-9][0-9]*))+"
_UUID = r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}"
_URI = rf"(?!oid:|uuid:|urn:oid:|urn:uuid:)[^\s\x00-\x1f]+|urn:oid:{_OID}([|#]\S+)?|urn:uuid:{_UUID}([|#]\S+)?"
_BASE64 = r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?"
_DIV = r"\s*<div\b[^>]*\sxmlns\s*=\s*([\"'])http://www\.w3\.org/1999/xhtml\1[^>]*(/>|>.*</div\s*>)\s*"


def _text(form: str, flags: int = 0) -> Check:
    """A text that is not blank, without control characters, of this form."""
    match = re.compile(form, flags).fullmatch

    def check(value: Any) -> str | None:
        if type(value) is str and match(value):
            return None
        return _why_not(value)

    def column(values: list[Any]) -> bool:
        return set(map(type, values)) == {str} and all(map(match, values))

    _COLUMNS[check] = column
    _TEXTS.add(check)
    return check


def column(check: Check) -> Callable[[list[Any]], bool]:
    """Whether many values, one at least, all pass a check: the same answer in less time."""
    return _COLUMNS.get(check) or (lambda values: not any(map(check, values)))


def takes_text(check: Check) -> bool:
    """Whether a check passes nothing but texts."""
    return check in _TEXTS


def _why_not(value: Any) -> str:
    if not isinstance(value, str):
        return WRONG_KIND
    if not value or value.isspace():
        return EMPTY
    return CONTROL if _NOT_TEXT.search(value) else WRONG_FORM


def _dated(form: str) -> Check:
    """A text of this form whose day, if it has one, is in the calendar."""
    form_of = _text(form)

    def check(value: Any) -> str | None:
        if fault := form_of(value):
            return fault
        in_doubt = value[8:10] > "28"
        return NO_DAY if in_doubt and int(value[8:10]) > monthrange(int(value[:4]), int(value[5:7]))[1] else None

    _TEXTS.add(check)
    return check


def _whole(lowest: int, highest: int = 2**31 - 1) -> Check:
    def check(value: Any) -> str | None:
        if type(value) is not int:
            return WRONG_KIND
        return None if lowest <= value <= highest else RANGE

    def column(values: list[Any]) -> bool:
        return set(map(type, values)) == {int} and lowest <= min(values) and max(values) <= highest

    _COLUMNS[check] = column
    return check


def _boolean(value: Any) -> str | None:
    return None if isinstance(value, bool) else WRONG_KIND


def _decimal(value: Any) -> str | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return WRONG_KIND
    return None if isfinite(value) else RANGE


def _base64(value: Any) -> str | None:
    if not isinstance(value, str):
        return WRONG_KIND
    packed = "".join(value.split())
    return _why_not(value) if not packed or not re.fullmatch(_BASE64, packed) else None


def one_of(codes: frozenset[str]) -> Check:
    """A code of a required list."""

    def check(value: Any) -> str | None:
        if type(value) is str and value in codes:
            return None
        return _code(value) or NOT_LISTED

    _TEXTS.add(check)
    return check


_code = _text(r"[^\s\x00-\x1f]+( [^\s\x00-\x1f]+)*")


def _types(second: str, fraction: str) -> Mapping[str, Check]:
    time = rf"([01][0-9]|2[0-3]):[0-5][0-9]:{second}(\.[0-9]{fraction})?"
    instant = rf"(?!0000)[0-9]{{4}}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T{time}{_ZONE}"
    uri = _text(_URI)
    return {
        "boolean": _boolean,
        "integer": _whole(-(2**31)),
        "unsignedInt": _whole(0),
        "positiveInt": _whole(1),
        "integer64": _text(r"0|-?[1-9][0-9]{0,18}"),
        "decimal": _decimal,
        "string": _text(_TEXT),
        "markdown": _text(_TEXT),
        "xhtml": _text(_DIV, re.DOTALL),
        "code": _code,
        "id": _text(r"[A-Za-z0-9\-.]{1,64}"),
        "uri": uri,
        "url": uri,
        "canonical": uri,
        "oid": _text(f"urn:oid:{_OID}"),
        "uuid": _text(f"urn:uuid:{_UUID.replace('A-F', '')}"),
        "base64Binary": _base64,
        "date": _dated(_DATE % ""),
        "dateTime": _dated(_DATE % f"(T{time}{_ZONE})?"),
        "instant": _dated(instant),
        "time": _text(time),
    }


BEFORE_R4: Final = _types("[0-5][0-9]", "+")
"""DSTU2 and STU3: there is no second 60."""
R4: Final = _types("([0-5][0-9]|60)", "+")
R5: Final = _types("([0-5][0-9]|60)", "{1,9}")
