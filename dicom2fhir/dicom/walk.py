"""Where the wanted elements of a DICOM file lie: raw bytes, found in one pass that stops early.

pydicom's element generator does the parsing; this module bounds it, notices where a file was cut, and turns
everything that damaged input can raise into one code (`Skipped`). Sources: PS3.10 section 7.1 (preamble, file meta
information), PS3.5 sections 7 and A.4-A.5 (data elements, transfer syntaxes).

Most files never come here: `scan` reads them ten times as fast. What it declines is read here, and says what is wrong.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Collection, Iterator
from typing import Any, BinaryIO, NamedTuple

from pydicom import config, filereader
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag

from dicom2fhir.dicom.elements import BY_TAG, LAST_WANTED, Element
from dicom2fhir.dicom.nested import DELIMITERS, limited
from dicom2fhir.dicom.raws import (
    BEHIND_PIXELS,
    CHARSET,
    DEFLATED,
    DICOMDIR,
    EXPLICIT_LITTLE,
    FILE_SET,
    IMPLICIT_LITTLE,
    INFLATE_LIMIT,
    META_CLASS,
    META_INSTANCE,
    PIXELS,
    SEQUENCE_LIMIT,
    SOP_CLASS,
    SOP_INSTANCE,
    SYNTAX,
    TEXT_LIMIT,
    UNDEFINED,
    WINDOW,
    Elements,
    Encoding,
    Item,
    Raw,
    Raws,
    Skipped,
    begins,
    first_tag,
    sniff,
    surely_dicom,
    uid,
)
from dicom2fhir.problems import Code

_HEAD = 32 * 1024
"""Bytes that one read gives at once: with them 95 % of real headers are complete."""
_CHUNK = 256 * 1024


def quiet() -> None:
    """Keep pydicom from warning about or raising for values."""
    config.settings.reading_validation_mode = config.IGNORE
    vars(filereader)["convert_encodings"] = _no_codec


def _no_codec(charset: Any) -> list[str]:
    """Instead of pydicom's look-up of any codec that a file names: text is decoded by `charsets` alone."""
    return ["latin_1"]


def find_elements(fp: BinaryIO, size: int, wanted: Collection[int] = BY_TAG) -> Elements:
    """The wanted elements of the file of `size` bytes that `fp` (unbuffered) stands at the start of; raises Skipped."""
    head = fp.read(_HEAD)
    magic = begins(head, size)
    raws: Raws = {}
    try:
        found = _file(_Source(head, fp, size), 132 if magic else 0, raws, wanted)
    except Skipped as skipped:
        if magic or skipped.code is Code.DICOMDIR or surely_dicom(head, raws):
            raise
        raise Skipped(Code.NOT_DICOM) from None
    if not magic and not surely_dicom(head, raws):
        raise Skipped(Code.NOT_DICOM)
    return found


class _Source:
    """What a data set is read from: its first bytes, and a stream of all of it where those will not do."""

    def __init__(self, head: bytes, fp: BinaryIO, size: int) -> None:
        self.head, self.size, self._fp = head, size, fp
        self._whole: BinaryIO | None = None

    def stream(self, at: int) -> _Stream:
        """All of it, from a position on."""
        if self._whole is None:  # kept, since a buffer that goes away closes what is under it
            self._whole = io.BytesIO(self.head) if len(self.head) == self.size else _buffered(self._fp)
        return _Stream(self._whole, at)


def _buffered(fp: BinaryIO) -> BinaryIO:
    return io.BufferedReader(fp) if isinstance(fp, io.RawIOBase) else fp


class _Stream:
    """A file as pydicom reads it. No read takes more than a header may have: damaged lengths ask for gigabytes.

    `last` is what the last read gave: one to seven bytes instead of eight are the torn beginning of an element.
    """

    def __init__(self, fp: BinaryIO, at: int) -> None:
        self._read, self.seek, self.tell = fp.read, fp.seek, fp.tell
        self.seek(at)
        self.last = b""

    def read(self, size: int) -> bytes:
        """Up to `size` bytes."""
        self.last = self._read(min(size, WINDOW))
        return self.last


def _file(source: _Source, at: int, raws: Raws, wanted: Collection[int]) -> Elements:
    """Put the wanted elements into `raws`; `at` is where the meta information or the data set starts."""
    meta, at = _group(source, at, 0x0002, EXPLICIT_LITTLE)
    if uid(meta, META_CLASS) == DICOMDIR:
        raise Skipped(Code.DICOMDIR)
    syntax = uid(meta, SYNTAX)
    how = _Inflated(cut=False, bounded=False)
    if syntax == DEFLATED:
        source, how = _inflated(source, at)
        at = 0
    at = _after_commands(source, at)
    start = source.head[at : at + 6] if at + 6 <= len(source.head) else source.stream(at).read(6)
    encoding = sniff(start, syntax)
    if first_tag(start, encoding) in FILE_SET:
        raise Skipped(Code.DICOMDIR)
    walk = _Walk(source.stream(at), source.size, encoding, how, wanted)
    walk.run(raws)
    for tag, stand_in in ((SOP_CLASS, META_CLASS), (SOP_INSTANCE, META_INSTANCE)):
        if not uid(raws, tag) and stand_in in meta:
            raws[tag] = meta[stand_in]
    return Elements(raws, encoding, walk.pixels_cut)


def _after_commands(source: _Source, at: int) -> int:
    """Where the data set starts: a stray command set (group 0000) is passed over."""
    if source.head[at : at + 2] != b"\0\0" and at + 2 <= len(source.head):
        return at
    return _group(source, at, 0x0000, IMPLICIT_LITTLE)[1]


def _group(source: _Source, at: int, group: int, encoding: Encoding) -> tuple[Raws, int]:
    """The elements of one group that may start at a position, and where it ends."""
    stream = source.stream(at)
    if len(stream.read(4)) < 4 or int.from_bytes(stream.last[:2], "little") != group:
        return {}, at
    stream.seek(at)
    ended = False

    def outside(tag: BaseTag, vr: str | None, length: int) -> bool:
        nonlocal ended
        if ended := tag >> 16 != group:
            return True
        if length > SEQUENCE_LIMIT:
            raise Skipped(Code.MALFORMED)
        if stream.tell() + length > source.size:
            raise Skipped(Code.TRUNCATED_HEADER)
        return False

    with _Faults(stream, source.size):
        generator = data_element_generator(stream, encoding.implicit, encoding.little, stop_when=outside)  # type: ignore[arg-type]
        raws = {int(e.tag): Raw(e.VR, e.value or b"") for e in generator if isinstance(e, RawDataElement)}
    if not ended and stream.last:
        raise Skipped(Code.TRUNCATED_HEADER if len(stream.last) < 8 else Code.MALFORMED)
    return raws, stream.tell()


class _Faults:
    """Turns what pydicom raises on damaged input into one code. An OSError without errno is pydicom's own."""

    def __init__(self, stream: _Stream, size: int) -> None:
        self._stream, self._size = stream, size

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if not isinstance(error, Exception) or isinstance(error, (Skipped, MemoryError)):
            return
        if isinstance(error, OSError) and error.errno is not None:
            return
        behind = list(_behind(error))  # pydicom hides what a read ran into behind an error of its own
        if any(isinstance(each, MemoryError) for each in behind):
            raise MemoryError from None
        if any(isinstance(each, RecursionError) for each in behind):
            raise Skipped(Code.TOO_DEEP) from None
        cut = self._stream.tell() >= self._size
        raise Skipped(Code.TRUNCATED_HEADER if cut else Code.MALFORMED) from None


def _behind(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__


class _Inflated(NamedTuple):
    """How inflating ended: at the end of the stream, at the end of the file (cut), or at the bound."""

    cut: bool
    bounded: bool


def _inflated(source: _Source, at: int) -> tuple[_Source, _Inflated]:
    """A deflated data set in memory as far as the bound allows, and how it ended (PS3.5 A.5)."""
    stream = source.stream(at)
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    data, room = io.BytesIO(), INFLATE_LIMIT
    try:
        while not inflate.eof and room:
            chunk = inflate.unconsumed_tail or stream.read(_CHUNK)
            written = data.write(inflate.decompress(chunk, min(room, 4 * _CHUNK)))
            room -= written
            if not chunk and not written:
                break
    except zlib.error:
        raise Skipped(Code.MALFORMED, "the deflated data set") from None
    how = _Inflated(cut=not inflate.eof and bool(room), bounded=not room)
    return _Source(bytes(data.getbuffer()[:_HEAD]), data, INFLATE_LIMIT - room), how


class _Walk:
    """One pass over a data set that keeps the wanted elements and notices where the file was cut.

    It steps over what lies between the last wanted element and the pixel data while that is cheap, and holds the
    length of the pixel data against the size of the file.
    """

    def __init__(
        self, stream: _Stream, size: int, encoding: Encoding, inflated: _Inflated, wanted: Collection[int]
    ) -> None:
        self._stream, self._size, self._encoding, self._inflated = stream, size, encoding, inflated
        self._wanted: Any = list(wanted)
        self._start = stream.tell()
        self._stopped = False
        self.pixels_cut = False

    def run(self, raws: Raws) -> None:
        """Put what is wanted into `raws`; raises Skipped."""
        try:
            with _Faults(self._stream, self._size):
                for element in self._generator():
                    raws[int(element.tag)] = self._raw(element)
            if not self._stopped:
                self._check_end()
        except Skipped as skipped:
            if skipped.code is Code.TRUNCATED_HEADER and self._inflated.bounded:
                raise Skipped(Code.INFLATE_LIMIT) from None
            raise
        self.pixels_cut = self._inflated.cut or (self.pixels_cut and not self._inflated.bounded)

    def _generator(self) -> Iterator[Any]:
        return data_element_generator(
            self._stream,  # type: ignore[arg-type]
            self._encoding.implicit,
            self._encoding.little,
            stop_when=self._stop,
            defer_size=SEQUENCE_LIMIT,
            specific_tags=self._wanted,
        )

    def _stop(self, tag: BaseTag, vr: str | None, length: int) -> bool:
        number, tell = int(tag), self._stream.tell()
        if number == 0:
            return self._padding()
        if number > LAST_WANTED and self._past(number, length, tell):
            self._stopped = True
            return True
        if tell - self._start > WINDOW:
            raise Skipped(Code.HEADER_TOO_LARGE)
        if length != UNDEFINED and tell + length > self._size:
            raise Skipped(Code.TRUNCATED_HEADER)
        if number == CHARSET and length > TEXT_LIMIT:
            raise Skipped(Code.HEADER_TOO_LARGE, "SpecificCharacterSet")
        return False

    def _padding(self) -> bool:
        """Zeros up to the end are padding; before anything else they are damage."""
        zeros = not self._stream.last.strip(b"\0")
        while zeros and (chunk := self._stream.read(_HEAD)):
            zeros = not chunk.strip(b"\0")
        if not zeros:
            raise Skipped(Code.MALFORMED)
        self._stopped = True
        return True

    def _past(self, tag: int, length: int, tell: int) -> bool:
        """Whether the walk is over at an element that is not wanted any more."""
        if tag in PIXELS:
            self.pixels_cut = length != UNDEFINED and tell + length > self._size
            return True
        return length == UNDEFINED or tag >> 16 in BEHIND_PIXELS or tell - self._start > WINDOW

    def _raw(self, element: Any) -> Raw:
        if isinstance(element, RawDataElement):
            return self._plain(element)
        length = self._stream.tell() - element.file_tell
        if length > SEQUENCE_LIMIT:
            return Raw("SQ", None, undefined=True)
        self._stream.seek(element.file_tell)
        return Raw("SQ", self._stream.read(length), undefined=True)

    def _plain(self, element: RawDataElement) -> Raw:
        if element.length == UNDEFINED:
            return Raw(element.VR, element.value, undefined=True)
        value = element.value if element.length else b""
        if value is not None and len(value) < element.length:  # the file became shorter
            raise Skipped(Code.TRUNCATED_HEADER)
        return Raw(element.VR, value)

    def _check_end(self) -> None:
        """pydicom met no further element: at the end of the file (whole), inside the next (cut), or at rubbish."""
        torn = self._stream.last
        if len(torn) >= 8:
            raise Skipped(Code.MALFORMED)  # the end of an item that never began
        if torn or self._inflated.cut or self._inflated.bounded or self._stream.tell() < self._size:
            raise Skipped(Code.TRUNCATED_HEADER)


def items(element: Element, value: bytes | None, encoding: Encoding) -> list[Item]:
    """The items of a sequence's bytes. Raises whatever pydicom does, ValueError, and Skipped for too many."""
    if value is None:
        raise ValueError("longer than the limit")
    order: Any = "little" if encoding.little else "big"
    start, end = DELIMITERS[encoding.little]
    stream = io.BytesIO(value)
    found: list[Dataset] = []
    while (at := stream.tell()) < len(value) and not value.startswith(end, at):
        if not value.startswith(start, at):
            raise ValueError("no item")
        length = int.from_bytes(value[at + 4 : at + 8], order)
        item = filereader.read_sequence_item(stream, encoding.implicit, encoding.little, "latin_1")
        if item is None or length not in (UNDEFINED, stream.tell() - at - 8):
            raise ValueError("an item of another length than it says")
        found.append(item)
        limited(element, found)
    return [_item(element, each, encoding) for each in found]


def _item(element: Element, item: Dataset, encoding: Encoding) -> Item:
    """What is wanted of an item, as it lies there: `get_item` would convert some."""
    lies: dict[int, Any] = dict(item.items())
    found: dict[int, Raw | list[Item]] = {}
    for wanted in element.items:
        if wanted.tag in lies:
            each = lies[wanted.tag]
            found[wanted.tag] = _nested(wanted, each, encoding)
            if isinstance(each, RawDataElement):
                encoding = Encoding(each.is_implicit_VR, each.is_little_endian)
    charset = lies.get(CHARSET)
    if charset is not None and isinstance(charset.value, bytes):
        found[CHARSET] = Raw("CS", charset.value)
    return Item(found, encoding)


def _nested(element: Element, found: Any, encoding: Encoding) -> Raw | list[Item]:
    if isinstance(found, RawDataElement):
        value = found.value if found.length else b""
        if value is not None and found.length not in (UNDEFINED, len(value)):
            value = None
        return Raw(found.VR, value, found.length == UNDEFINED)
    if element.vr != "SQ":
        return Raw("SQ", None)
    return [_item(element, each, encoding) for each in found.value]
