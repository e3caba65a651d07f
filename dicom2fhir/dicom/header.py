"""One object's header record: what is wanted of a DICOM file, as text. pydicom stops here.

A record has two parts. The *context* is what a series' files share (patient, study, series, equipment,
SOP class); the *own* part is the instance's alone. Both are canonical JSON of keyword -> value, where a
value is the decoded text (backslashes kept between values) or, for a sequence, a list of such objects.
What is absent or blank has no key. Values are interpreted later (`mapping`), never here.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import stat
from typing import Any, BinaryIO, Literal, NamedTuple

from pydicom import config, filereader
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset

from dicom2fhir.codes import modality, sop_class
from dicom2fhir.dicom.charsets import Charset, decoder
from dicom2fhir.dicom.elements import BY_TAG, ELEMENTS, KEY_OBJECT_ELEMENTS, LISTS, Element, Level
from dicom2fhir.dicom.keyobjects import KEY_OBJECT_SELECTION
from dicom2fhir.dicom.records import Note, Scope, Values
from dicom2fhir.dicom.values import BadValue, first_value, parse_uid
from dicom2fhir.dicom.walk import (
    CHARSET,
    DICOMDIR,
    ORDINARY,
    TEXT_LIMIT,
    Elements,
    Encoding,
    Raw,
    Raws,
    Skipped,
    Wanted,
    find_elements,
    keeping,
)
from dicom2fhir.problems import Code

ITEM_LIMIT = 1000
_PER_FRAME = 0x52009230
_SOP_CLASS, _MODALITY = 0x00080016, 0x00080060
_SHARED_TAGS = tuple(e.tag for e in ELEMENTS if e.level is not Level.INSTANCE)
_CONTEXT_TAGS = tuple(tag for tag in _SHARED_TAGS if tag != CHARSET)
_OWN_TAGS = tuple(e.tag for e in ELEMENTS if e.level is Level.INSTANCE and e.keyword != "SOPInstanceUID")
_KEY_OBJECT_BY_TAG = BY_TAG | {e.tag: e for e in KEY_OBJECT_ELEMENTS}
_KEY_OBJECT_TAGS = (*_OWN_TAGS, *(e.tag for e in KEY_OBJECT_ELEMENTS))
_KEY_OBJECT = keeping(_KEY_OBJECT_BY_TAG)
_TEXT_VRS = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_NO_TEXT = frozenset({"SQ", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "OW", "OF", "OD", "OL", "OV"})
"""VRs whose values are no text at all, whatever element they are written for (who does not know it writes OB or UN)."""
_DELIMITERS = {True: (b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0"), False: (b"\xff\xfe\xe0\x00", b"\xff\xfe\xe0\xdd")}
"""The tags that an item and the end of a sequence begin with, by whether the encoding is little endian (PS3.5 7.5)."""
_UNDEFINED = 0xFFFFFFFF
_CONTEXTS_KEPT = 1024
_BYTES_KEPT = 16 * 1024 * 1024

Record = tuple[Literal["header"], bytes, str | None, str, str, bytes]
"""("header", digest of the context, the context unless this process has given it, SOP Instance UID, own, digest).

The last is the whole record's digest. It leaves out whether the pixel data are whole, which are never compared.
"""
Skip = tuple[Literal["skip"], str, str, str]
"""("skip", problem code, message, where)."""


class _Context(NamedTuple):
    digest: bytes
    body: str
    where: str


def quiet() -> None:
    """Keep pydicom from warning about or raising for values: for processes that only read (hostile input is data)."""
    config.settings.reading_validation_mode = config.IGNORE
    vars(filereader)["convert_encodings"] = _no_codec


def _no_codec(charset: Any) -> list[str]:
    """Instead of pydicom's look-up of any codec that a file names: text is decoded by `charsets` alone."""
    return ["latin_1"]


def read_file(path: str, scope: Scope) -> Record | Skip:
    """The record of one file, or why there is none. Raises nothing for what is in the file but MemoryError.

    A key object is read once more, for its content: no other object's reading grows by that.
    """
    try:
        elements = _elements(path, ORDINARY)
        if _is_key_object(elements.raws):
            elements = _elements(path, _KEY_OBJECT)
        return _record(elements, scope)
    except Skipped as skipped:
        return ("skip", skipped.code.value, skipped.message, skipped.where)
    except OSError as error:
        return ("skip", _os_code(error).value, "", "")


def _elements(path: str, wanted: Wanted) -> Elements:
    with _open_regular(path) as fp:
        return find_elements(fp, os.fstat(fp.fileno()).st_size, wanted)


def _is_key_object(raws: Raws) -> bool:
    return _plain(raws, _SOP_CLASS) == KEY_OBJECT_SELECTION


def _open_regular(path: str) -> BinaryIO:
    """Open without ever waiting: a FIFO would block for ever, so what is no regular file is closed at once."""
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise Skipped(Code.SPECIAL_FILE)
    return open(fd, "rb", buffering=0)


def _os_code(error: OSError) -> Code:
    if error.errno in (errno.EACCES, errno.EPERM):
        return Code.PERMISSION
    if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return Code.VANISHED
    return Code.SPECIAL_FILE if error.errno in (errno.ENXIO, errno.ENODEV, errno.EISDIR) else Code.IO_ERROR


class _Contexts:
    """The contexts that this process has given, by the raw values that they were made of."""

    def __init__(self) -> None:
        self._kept: dict[tuple[Any, ...], _Context] = {}
        self._bytes = 0
        self.get = self._kept.get

    def keep(self, key: tuple[Any, ...], context: _Context, raws: Raws) -> None:
        """Remember one as given; all are forgotten when they become many, and are given again then."""
        self._bytes += sum(len(raw.value or b"") for raw in raws.values())
        if len(self._kept) >= _CONTEXTS_KEPT or self._bytes > _BYTES_KEPT:
            self._kept.clear()
            self._bytes = 0
            return
        self._kept[key] = context


_contexts = _Contexts()


def _record(elements: Elements, scope: Scope) -> Record | Skip:
    raws = elements.raws
    key = (elements.encoding, scope, *map(raws.get, _SHARED_TAGS))
    known = _contexts.get(key)
    context = known or _new_context(elements, scope)
    uid = _checked_uid(raws, 0x00080018, Code.NO_INSTANCE_UID, context.where)
    values, notes = _decoded(_KEY_OBJECT_TAGS if _is_key_object(raws) else _OWN_TAGS, elements)
    own = _canonical(values, notes)
    digest = _digest(context.digest + own.encode("utf-8", "surrogatepass"))
    if elements.pixels_cut:
        own = _canonical(values, [*notes, (Code.TRUNCATED_PIXELS.value, "PixelData")])
    if known is None:  # last of all, so that what is kept as given will be given
        _contexts.keep(key, context, raws)
    return ("header", context.digest, None if known else context.body, uid, own, digest)


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=16).digest()


def _new_context(elements: Elements, scope: Scope) -> _Context:
    raws = elements.raws
    _check_scope(raws, scope)
    values, notes = _decoded(_CONTEXT_TAGS, elements)
    study = _checked_uid(raws, 0x0020000D, Code.NO_STUDY_UID, "")
    series = _checked_uid(raws, 0x0020000E, Code.NO_SERIES_UID, study)
    values["StudyInstanceUID"], values["SeriesInstanceUID"] = study, series
    where = f"{study}/{series}"
    values["SOPClassUID"] = _checked_uid(raws, _SOP_CLASS, Code.NO_SOP_CLASS, where)
    body = _canonical(values, notes)
    return _Context(_digest(body.encode("utf-8", "surrogatepass")), body, where)


def _check_scope(raws: Raws, scope: Scope) -> None:
    """Raises Skipped for what is no instance of a study, or what the user left out."""
    uid = _plain(raws, _SOP_CLASS)
    known = sop_class(uid)
    if uid == DICOMDIR:
        raise Skipped(Code.DICOMDIR)
    if known is not None and known.family == "non-patient":
        raise Skipped(Code.NOT_A_PATIENT_OBJECT)
    if uid in scope.sop_classes:
        raise Skipped(Code.EXCLUDED_SOP_CLASS)
    if scope.modalities and _modality(_plain(raws, _MODALITY), uid) in scope.modalities:
        raise Skipped(Code.EXCLUDED_MODALITY)


def _modality(text: str, sop_class_uid: str) -> str | None:
    stated = first_value(text)
    if stated:
        return stated if modality(stated) else stated.upper()
    known = sop_class(sop_class_uid)
    return known.modality if known else None


def _plain(raws: Raws, tag: int) -> str:
    """A value of plain characters without its padding; empty where there is none."""
    raw = raws.get(tag)
    return (raw.value or b"").decode("latin-1").strip("\0 \t\r\n") if raw else ""


def _checked_uid(raws: Raws, tag: int, missing: Code, where: str) -> str:
    text = _plain(raws, tag)
    if not text:
        raw = raws.get(tag)
        raise Skipped(Code.BAD_UID if raw and raw.value is None else missing, "", where)
    try:
        return parse_uid(text)
    except BadValue as bad:
        raise Skipped(bad.code, BY_TAG[tag].keyword, where) from None


_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


def _canonical(values: Values, notes: list[Note]) -> str:
    return _encode({**values, "": notes} if notes else values)


def _decoded(tags: tuple[int, ...], elements: Elements) -> tuple[Values, list[Note]]:
    decode = _Decoder(elements)
    values: Values = {}
    raws = elements.raws
    for tag in tags:
        raw = raws.get(tag)
        if raw is not None:
            decode.into(values, _KEY_OBJECT_BY_TAG[tag], raw)
    return values, decode.notes


class _Decoder:
    """Decodes the raw elements of one data set; collects (code, keyword) notes."""

    def __init__(self, elements: Elements) -> None:
        self._encoding = elements.encoding
        charset = elements.raws.get(CHARSET)
        self._charset = decoder(charset.value if charset else None)
        self.notes: list[Note] = []

    def into(self, values: Values, element: Element, raw: Raw) -> None:
        """Put the decoded value under its keyword, unless it is blank or unusable."""
        if element.vr == "SQ":
            value: Any = self._sequence(element, raw, self._encoding, self._charset)
        else:
            value = self._text(element, raw, self._charset)
        if value:
            values[element.keyword] = value

    def _note(self, code: Code, element: Element) -> None:
        note = (code.value, element.keyword)
        if note not in self.notes:
            self.notes.append(note)

    def _text(self, element: Element, raw: Raw, charset: Charset) -> str:
        value = raw.value
        if value is None or len(value) > TEXT_LIMIT or raw.undefined or raw.vr in _NO_TEXT:
            self._note(Code.VALUE_INVALID, element)
            return ""
        if element.vr not in _TEXT_VRS:
            return value.decode("latin-1").strip("\0 ")
        text, code = charset.decode(value, element.vr)
        if code is not None:
            self._note(code, element)
        return text.strip("\0 ")

    def _sequence(self, element: Element, raw: Raw, encoding: Encoding, charset: Charset) -> list[Values]:
        if raw.vr == "UN":  # PS3.5 6.2.2: its items are implicit, as pydicom will see
            encoding = Encoding(implicit=False, little=True)
        try:
            items = _items(element, raw.value, encoding)
        except (MemoryError, Skipped):
            raise
        except Exception:  # pydicom raises fourteen types on damaged sequences
            self._note(Code.VALUE_INVALID, element)
            return []
        return self._decoded(element, items, encoding, charset)

    def _decoded(self, element: Element, items: Any, encoding: Encoding, charset: Charset) -> list[Values]:
        """The items' values. Empty items keep their place among others: names belong to items by position."""
        decoded = [self._item(element, item, encoding, charset) for item in items]
        if element.tag == _PER_FRAME:  # thousands of frames mostly say one thing
            unique = {_encode(item): item for item in decoded if item}
            return [unique[key] for key in sorted(unique)]
        return decoded if any(decoded) else []

    def _item(self, element: Element, item: Dataset, encoding: Encoding, charset: Charset) -> Values:
        found: dict[int, Any] = dict(item.items())  # as they lie there: `get_item` converts some
        own = found.get(CHARSET)
        if own is not None and isinstance(own.value, bytes):
            charset = decoder(own.value)
        values: Values = {}
        for wanted in element.items:
            value = self._nested(wanted, found[wanted.tag], encoding, charset) if wanted.tag in found else None
            if value:
                values[wanted.keyword] = value
        return values

    def _nested(self, element: Element, found: Any, encoding: Encoding, charset: Charset) -> Any:
        if not isinstance(found, RawDataElement):
            if element.vr == "SQ":
                return self._decoded(element, _limited(element, found.value), encoding, charset)
            return self._text(element, Raw("SQ", None), charset)
        value = found.value if found.length else b""
        if value is not None and found.length not in (_UNDEFINED, len(value)):
            value = None
        raw = Raw(found.VR, value, found.length == _UNDEFINED)
        if element.vr == "SQ":
            return self._sequence(element, raw, Encoding(found.is_implicit_VR, found.is_little_endian), charset)
        if element.vr == "US":
            return self._numbers(element, raw, found.is_little_endian)
        return self._text(element, raw, charset)

    def _numbers(self, element: Element, raw: Raw, little: bool) -> str:
        """Unsigned shorts as a text of decimal numbers."""
        value = raw.value
        if value is None or len(value) > TEXT_LIMIT or raw.vr not in ("US", None) or len(value) % 2:
            self._note(Code.VALUE_INVALID, element)
            return ""
        order: Literal["little", "big"] = "little" if little else "big"
        return "\\".join(str(int.from_bytes(value[at : at + 2], order)) for at in range(0, len(value), 2))


def _items(element: Element, value: bytes | None, encoding: Encoding) -> list[Dataset]:
    """The items of a sequence's bytes. Raises whatever pydicom does, ValueError, and Skipped for too many."""
    if value is None:
        raise ValueError("longer than the limit")
    order: Literal["little", "big"] = "little" if encoding.little else "big"
    start, end = _DELIMITERS[encoding.little]
    stream = io.BytesIO(value)
    items: list[Dataset] = []
    while (at := stream.tell()) < len(value) and not value.startswith(end, at):
        if not value.startswith(start, at):
            raise ValueError("no item")
        length = int.from_bytes(value[at + 4 : at + 8], order)
        item = filereader.read_sequence_item(stream, encoding.implicit, encoding.little, "latin_1")
        if item is None or length not in (_UNDEFINED, stream.tell() - at - 8):
            raise ValueError("an item of another length than it says")
        items.append(item)
        _limited(element, items)
    return items


def _limited(element: Element, items: Any) -> Any:
    if len(items) > ITEM_LIMIT and element.tag != _PER_FRAME and element.tag not in LISTS:
        raise Skipped(Code.TOO_MANY_ITEMS, element.keyword)
    return items
