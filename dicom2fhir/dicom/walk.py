"""Where the wanted elements of a DICOM file lie: raw bytes, found in one pass that stops early.

pydicom's element generator does the parsing; this module bounds it, notices where a file was cut, and turns
everything that damaged input can raise into one code (`Skipped`). Sources: PS3.10 section 7.1 (preamble, file meta
information), PS3.5 sections 7 and A.4-A.5 (data elements, transfer syntaxes).

Most files are small and whole. So a data set's elements up to its pixel data are first taken in one sweep that asks
nothing on the way (`_sweep`); only where they do not fill their bytes exactly does the walk (`_Walk`) look at each
element by itself and say what is wrong. What the sweep takes, the walk would have taken too.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Iterable, Iterator
from typing import Any, BinaryIO, NamedTuple

from pydicom.dataelem import RawDataElement
from pydicom.filereader import data_element_generator
from pydicom.tag import BaseTag

from dicom2fhir.dicom.elements import BY_TAG, LAST_WANTED
from dicom2fhir.dicom.values import BadValue, parse_uid
from dicom2fhir.problems import Code

TEXT_LIMIT = 64 * 1024
SEQUENCE_LIMIT = 1024 * 1024
WINDOW = 64 * 1024 * 1024
INFLATE_LIMIT = 64 * 1024 * 1024
CHARSET = 0x00080005
DICOMDIR = "1.2.840.10008.1.3.10"

_HEAD = 32 * 1024
"""Bytes that one read gives at once: with them 95 % of real headers are complete."""
_CHUNK = 256 * 1024
_UNDEFINED = 0xFFFFFFFF
_PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
_DEFLATED = "1.2.840.10008.1.2.1.99"
_BIG_ENDIAN = "1.2.840.10008.1.2.2"
_SYNTAX, _META_CLASS, _META_UID = 0x00020010, 0x00020002, 0x00020003
_META_START = b"\x02\0\0\0UL\4\0"
_SOP_CLASS, _SOP_INSTANCE = 0x00080016, 0x00080018
_NAMES = (_SOP_CLASS, _SOP_INSTANCE, 0x0020000D, 0x0020000E)
_BEHIND_PIXELS = frozenset({0xFFFA, 0xFFFC})
_LONGEST_TAG = 12
"""Bytes before an element's value: tag, VR, length."""
_FILE_SET = frozenset({0x00041130, 0x00041141, 0x00041142, 0x00041200})
_MARK = 0xFFFFFFFF
_MARK_ELEMENT = b"\xff\xff\xff\xff\0\0\0\0"


class Wanted(NamedTuple):
    """The tags that a pass keeps: of the walk, and of the sweep, which needs two more."""

    tags: Any
    swept: Any


def keeping(tags: Iterable[int]) -> Wanted:
    """What a pass needs to keep these tags, none of which lies behind the last of the ordinary ones."""
    ordered = sorted(tags)
    return Wanted(ordered, [0, *ordered, _MARK])


ORDINARY = keeping(BY_TAG)


class Skipped(Exception):
    """The file gives no record; `code` says why, `message` which element, `where` whose it is."""

    def __init__(self, code: Code, message: str = "", where: str = "") -> None:
        super().__init__(code.value)
        self.code, self.message, self.where = code, message, where


class Raw(NamedTuple):
    """An element's value as it lies in the file.

    `vr` is None where the encoding is implicit; `undefined` says that the value ends with its delimiter, which a
    sequence's bytes include; `value` is None where it is longer than the limits and was not read.
    """

    vr: str | None
    value: bytes | None
    undefined: bool = False


Raws = dict[int, Raw]


class Encoding(NamedTuple):
    """How a data set is written."""

    implicit: bool
    little: bool


META_ENCODING = Encoding(implicit=False, little=True)
COMMAND_ENCODING = Encoding(implicit=True, little=True)


class Elements(NamedTuple):
    """What a file holds of the wanted elements, and whether it was cut inside its pixel data."""

    raws: Raws
    encoding: Encoding
    pixels_cut: bool


def find_elements(fp: BinaryIO, size: int, wanted: Wanted = ORDINARY) -> Elements:
    """The wanted elements of the file of `size` bytes that `fp` (unbuffered) stands at the start of; raises Skipped."""
    head = fp.read(_HEAD)
    if size == 0:
        raise Skipped(Code.EMPTY_FILE)
    magic = head[128:132] == b"DICM"
    if not magic and not _may_be_bare(head):
        raise Skipped(Code.NOT_DICOM)
    raws: Raws = {}
    try:
        found = _file(_Source(head, fp, size), 132 if magic else 0, raws, wanted)
    except Skipped as skipped:
        if magic or skipped.code is Code.DICOMDIR or _surely_dicom(head, raws):
            raise
        raise Skipped(Code.NOT_DICOM) from None
    if not magic and not _surely_dicom(head, raws):
        raise Skipped(Code.NOT_DICOM)
    return found


def _may_be_bare(head: bytes) -> bool:
    """Whether a file without preamble starts like one: an element of group 0000, 0002, 0004 or 0008."""
    group = min(int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big"))
    return len(head) > 64 and any(head[:8]) and group in (0x0000, 0x0002, 0x0004, 0x0008)


def _surely_dicom(head: bytes, raws: Raws) -> bool:
    """Whether a file without preamble has shown what it is: meta information, or one of the UIDs that name it."""
    return head.startswith(_META_START) or any(_is_uid(_uid(raws, tag)) for tag in _NAMES)


def _is_uid(text: str) -> bool:
    try:
        return "." in parse_uid(text)
    except BadValue:
        return False


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


def _file(source: _Source, at: int, raws: Raws, wanted: Wanted) -> Elements:
    """Put the wanted elements into `raws`; `at` is where the meta information or the data set starts."""
    meta, at = _meta(source, at)
    if _uid(meta, _META_CLASS) == DICOMDIR:
        raise Skipped(Code.DICOMDIR)
    syntax = _uid(meta, _SYNTAX)
    how = _Inflated(cut=False, bounded=False)
    if syntax == _DEFLATED:
        source, how = _inflated(source, at)
        at = 0
    at = _after_commands(source, at)
    start = source.head[at : at + 6] if at + 6 <= len(source.head) else source.stream(at).read(6)
    encoding = _sniff(start, syntax)
    if _tag(start, encoding) in _FILE_SET:
        raise Skipped(Code.DICOMDIR)
    pixels_cut = _data_set(source, at, encoding, raws, how, wanted)
    for tag, stand_in in ((_SOP_CLASS, _META_CLASS), (_SOP_INSTANCE, _META_UID)):
        if not _uid(raws, tag) and stand_in in meta:
            raws[tag] = meta[stand_in]
    return Elements(raws, encoding, pixels_cut)


def _uid(raws: Raws, tag: int) -> str:
    raw = raws.get(tag)
    return (raw.value or b"").decode("latin-1").strip("\0 ") if raw else ""


def _meta(source: _Source, at: int) -> tuple[Raws, int]:
    """The file meta information, and where it ends. Its length is its first element's value, where that is true."""
    head = source.head
    if head.startswith(_META_START, at):
        start = at + 12
        end = start + int.from_bytes(head[at + 8 : start], "little")
        if end <= len(head) and head[end : end + 2] != b"\2\0":
            meta = _sweep(head[start:end], META_ENCODING, None)
            if meta is not None and all(tag >> 16 == 0x0002 for tag in meta):
                return meta, end
    return _group(source, at, 0x0002, META_ENCODING)


def _after_commands(source: _Source, at: int) -> int:
    """Where the data set starts: a stray command set (group 0000) is passed over."""
    if source.head[at : at + 2] != b"\0\0" and at + 2 <= len(source.head):
        return at
    return _group(source, at, 0x0000, COMMAND_ENCODING)[1]


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


def _sniff(start: bytes, syntax: str) -> Encoding:
    """How the data set is written, which its first tag and VR show: transfer syntaxes are sometimes wrong.

    The first group is a small number, so that its bytes tell their order.
    """
    explicit = len(start) == 6 and start[4:6].isalpha() and start[4:6].isupper()
    little, big = int.from_bytes(start[:2], "little"), int.from_bytes(start[:2], "big")
    if min(little, big) > 0xFF:
        return Encoding(not explicit, syntax != _BIG_ENDIAN)
    return Encoding(not explicit, little <= big)


def _tag(start: bytes, encoding: Encoding) -> int:
    order: Any = "little" if encoding.little else "big"
    return int.from_bytes(start[:2], order) << 16 | int.from_bytes(start[2:4], order)


def _data_set(source: _Source, at: int, encoding: Encoding, raws: Raws, inflated: _Inflated, wanted: Wanted) -> bool:
    """Put the wanted elements of a data set into `raws`; returns whether it was cut inside its pixel data."""
    end = _sweep_end(source, at, encoding)
    found = _sweep(source.head[at:end], encoding, wanted.swept) if end is not None else None
    if found is None or end is None:
        stream = source.stream(at)
    else:
        raws.update(found)
        stream = _Stream(io.BytesIO(source.head), end)
    walk = _Walk(stream, source.size, encoding, inflated, wanted)
    walk.run(raws)
    return walk.pixels_cut


def _sweep_end(source: _Source, at: int, encoding: Encoding) -> int | None:
    """Where the last thing that looks like pixel data starts, or the file ends; None when that is not in sight."""
    head = source.head
    pixels = head.rfind(b"\xe0\x7f\x10\0" if encoding.little else b"\x7f\xe0\0\x10", at)
    if 0 <= pixels <= len(head) - _LONGEST_TAG:
        return pixels
    return len(head) if len(head) == source.size else None


def _sweep(data: bytes, encoding: Encoding, wanted: Any) -> Raws | None:
    """The wanted (None: all) elements of `data` if its elements fill it exactly; None leaves it to the walk.

    A mark behind the data is met as an element only where the one before it ends with the data.
    """
    fp = io.BytesIO(data + _MARK_ELEMENT)
    found: Raws = {}
    last: Any = None
    try:
        for element in data_element_generator(fp, encoding.implicit, encoding.little, specific_tags=wanted):
            last = element
            if isinstance(element, RawDataElement):
                found[int(element.tag)] = Raw(element.VR, element.value or b"", element.length == _UNDEFINED)
            else:
                found[int(element.tag)] = Raw("SQ", data[last.file_tell : fp.tell()], undefined=True)
    except MemoryError:
        raise
    except Exception:  # the walk will meet it again and say what it is
        return None
    if not isinstance(last, RawDataElement) or last.value_tell != len(data) + len(_MARK_ELEMENT) or 0 in found:
        return None
    del found[_MARK]
    return found


class _Walk:
    """One pass over a data set that keeps the wanted elements and notices where the file was cut.

    It steps over what lies between the last wanted element and the pixel data while that is cheap, and holds the
    length of the pixel data against the size of the file.
    """

    def __init__(
        self, stream: _Stream, size: int, encoding: Encoding, inflated: _Inflated, wanted: Wanted = ORDINARY
    ) -> None:
        self._stream, self._size, self._encoding, self._inflated = stream, size, encoding, inflated
        self._wanted = wanted
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
            specific_tags=self._wanted.tags,
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
        if length != _UNDEFINED and tell + length > self._size:
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
        if tag in _PIXELS:
            self.pixels_cut = length != _UNDEFINED and tell + length > self._size
            return True
        return length == _UNDEFINED or tag >> 16 in _BEHIND_PIXELS or tell - self._start > WINDOW

    def _raw(self, element: Any) -> Raw:
        if isinstance(element, RawDataElement):
            return self._plain(element)
        length = self._stream.tell() - element.file_tell
        if length > SEQUENCE_LIMIT:
            return Raw("SQ", None, undefined=True)
        self._stream.seek(element.file_tell)
        return Raw("SQ", self._stream.read(length), undefined=True)

    def _plain(self, element: RawDataElement) -> Raw:
        if element.length == _UNDEFINED:
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
