"""A header record, and the quick way to one: the own part of an instance whose own values are all plain.

Most of them are numbers and times. What comes out is what `decode` would say, value for value.
"""

from __future__ import annotations

import hashlib
import re
from typing import Any, Final, Literal, NamedTuple

from dicom2fhir.dicom.decode import NO_TEXT, TEXT_VRS
from dicom2fhir.dicom.elements import ELEMENTS, Level
from dicom2fhir.dicom.raws import SOP_INSTANCE, TEXT_LIMIT
from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.scan import Scan, Span
from dicom2fhir.dicom.values import MAX_UID

PLAIN: Final = {
    element.tag: (element.keyword, element.vr in TEXT_VRS)
    for element in ELEMENTS
    if element.level is Level.INSTANCE and element.vr != "SQ"
}
"""The own elements that may be plain: their keywords, and whether character sets concern them."""
_NOT_PLAIN: Final = frozenset(vr.encode() for vr in (*NO_TEXT, "UN"))
_UID: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*")

Keys = tuple[str, ...]
Record = tuple[Literal["header"], bytes, str | None, Keys, str, tuple[Any, ...]]
"""("header", digest of the context, the context unless this process has given it, keys, SOP Instance UID, row).

The row holds the instance's own values, the keys their keywords in order; the notes on them have the key "".
"""
Skip = tuple[Literal["skip"], str, str, str]
"""("skip", problem code, message, where)."""


class Given(NamedTuple):
    """A context that has been given: its digest, itself, and study and series for who asks where."""

    digest: bytes
    body: str
    where: str


def record_of(context: Given, values: Values, uid: str, given: bool = True) -> Record:
    """The record of an instance with these own values."""
    keys = tuple(sorted(values))
    row = tuple([values[key] for key in keys])
    return ("header", context.digest, None if given else context.body, keys, uid, row)


def digest_of(data: bytes) -> bytes:
    """What records and contexts are compared by."""
    return hashlib.blake2b(data, digest_size=16).digest()


def plain_own(found: Scan, own: list[Span]) -> tuple[Values, str] | None:
    """Own values and SOP Instance UID of a file, where its own values are plain."""
    data, implicit = found.data, found.encoding.implicit
    uid, values = None, {}
    for tag, start, value, end in own:
        plain = PLAIN.get(tag)
        if plain is None or (not implicit and data[start + 4 : start + 6] in _NOT_PLAIN):
            return None
        if tag == SOP_INSTANCE:
            uid = plain_uid(data[value:end])
            continue
        key, charset = plain
        text = plain_text(data[value:end], charset)
        if text is None:
            return None
        if text:
            values[key] = text
    return (values, uid) if uid else None


def plain_text(value: bytes, charset: bool) -> str | None:
    """A value's text, unless a character set that concerns it matters."""
    if len(value) > TEXT_LIMIT or (charset and (not value.isascii() or b"\x1b" in value)):
        return None
    return value.decode("latin-1").strip("\0 ")


def plain_uid(value: bytes) -> str | None:
    """A UID as `values.parse_uid` gives it; None where that raises."""
    uid = value.strip(b"\0 \t\r\n")
    return uid.decode("ascii") if len(uid) <= MAX_UID and _UID.fullmatch(uid) else None
