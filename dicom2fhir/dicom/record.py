"""A header record, and the quick way to one: the own part of an instance whose own values are all plain.

Most of them are numbers and times. What comes out is what `decode` would say, byte for byte.
"""

from __future__ import annotations

import hashlib
import re
from json.encoder import encode_basestring
from typing import Final, Literal, NamedTuple

from dicom2fhir.dicom.decode import NO_TEXT, TEXT_VRS
from dicom2fhir.dicom.elements import ELEMENTS, Level
from dicom2fhir.dicom.raws import SOP_INSTANCE, TEXT_LIMIT
from dicom2fhir.dicom.scan import Scan, Span
from dicom2fhir.dicom.values import MAX_UID

PLAIN: Final = {
    element.tag: (f'"{element.keyword}":', element.vr in TEXT_VRS)
    for element in ELEMENTS
    if element.level is Level.INSTANCE and element.vr != "SQ"
}
"""The own elements that may be plain: how each begins in the own part, and whether character sets concern it."""
_NOT_PLAIN: Final = frozenset(vr.encode() for vr in (*NO_TEXT, "UN"))
_UID: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*")

Record = tuple[Literal["header"], bytes, str | None, str, str, bytes]
"""("header", digest of the context, the context unless this process has given it, SOP Instance UID, own, digest).

The last is the whole record's digest. It leaves out whether the pixel data are whole, which are never compared.
"""
Skip = tuple[Literal["skip"], str, str, str]
"""("skip", problem code, message, where)."""


class Given(NamedTuple):
    """A context that has been given: its digest, itself, and study and series for who asks where."""

    digest: bytes
    body: str
    where: str


def record_of(context: Given, uid: str, own: str, given: bool = True) -> Record:
    """The record of a file whose own values are plain and whose pixel data are whole."""
    return (
        "header",
        context.digest,
        None if given else context.body,
        uid,
        own,
        digest_of(context.digest + own.encode()),
    )


def digest_of(data: bytes) -> bytes:
    """What records and contexts are compared by."""
    return hashlib.blake2b(data, digest_size=16).digest()


def plain_own(found: Scan, own: list[Span]) -> tuple[str, str] | None:
    """SOP Instance UID and own part of a file, where its own values are plain."""
    data, implicit = found.data, found.encoding.implicit
    uid, parts = None, []
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
            parts.append(key + encode_basestring(text))
    return (uid, "{" + ",".join(sorted(parts)) + "}") if uid else None


def plain_text(value: bytes, charset: bool) -> str | None:
    """A value's text, unless a character set that concerns it matters."""
    if len(value) > TEXT_LIMIT or (charset and (not value.isascii() or b"\x1b" in value)):
        return None
    return value.decode("latin-1").strip("\0 ")


def plain_uid(value: bytes) -> str | None:
    """A UID as `values.parse_uid` gives it; None where that raises."""
    uid = value.strip(b"\0 \t\r\n")
    return uid.decode("ascii") if len(uid) <= MAX_UID and _UID.fullmatch(uid) else None
