"""Where the wanted elements of a DICOM file lie, by a walk over its first bytes that declines what is unusual.

It gives what `walk` gives, with pydicom left out, or None: then `walk` reads the file. It declines rather than
guesses: tags out of order, VRs that are none, elements of undefined length that are no sequences, whatever does not
end where it should, headers beyond a mebibyte. Nothing recurses. Sources: PS3.10 section 7.1 (preamble, file meta
information), PS3.5 sections 7 and A.4-A.5 (data elements, sequences, transfer syntaxes).
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from dicom2fhir.dicom.elements import BY_TAG, LAST_WANTED
from dicom2fhir.dicom.nested import Strange, is_sequence, sequence_end
from dicom2fhir.dicom.raws import (
    BEHIND_PIXELS,
    CHARSET,
    DEFLATED,
    DICOMDIR,
    EXPLICIT_LITTLE,
    FILE_SET,
    LONG_VRS,
    META_CLASS,
    PIXELS,
    SHORT_VRS,
    SOP_CLASS,
    SOP_INSTANCE,
    SYNTAX,
    TEXT_LIMIT,
    UNDEFINED,
    Elements,
    Encoding,
    Raw,
    Raws,
    Skipped,
    begins,
    first_tag,
    sniff,
    surely_dicom,
    tag_bytes,
)
from dicom2fhir.problems import Code

FIRST_READ: Final = 16 * 1024
_FARTHEST: Final = 1024 * 1024
"""Bytes of a file, or of a data set that was inflated, beyond which nothing is looked at here."""
_MORE: Final = 16 * 1024
_HEADS: Final = 4096
_UNDEFINED: Final = b"\xff\xff\xff\xff"
_VRS: Final = {vr: vr.decode("ascii") for vr in SHORT_VRS | LONG_VRS}
_DELIMITERS: Final = 0xFFFE
"""The group of what begins and ends items: no element of a data set."""

_SHORT, _SHORT_WANTED, _LONG, _LONG_WANTED, _PAST, _STRANGE = range(6)


class Window:
    """The first bytes of a file of `size` bytes, and more of them when asked."""

    __slots__ = ("_fd", "data", "size")

    def __init__(self, data: bytes, size: int, fd: int | None = None) -> None:
        self.data, self.size, self._fd = data, size, fd

    def reach(self, end: int) -> bytes:
        """The bytes up to `end` and some more, as far as there are any and the bound allows."""
        have = len(self.data)
        wanted = min(self.size, _FARTHEST, max(end + _MORE, 2 * have)) - have
        if self._fd is not None and wanted > 0 and end <= _FARTHEST:
            self.data += os.pread(self._fd, wanted, have)
        return self.data


Span = tuple[int, int, int, int]
"""A wanted element: its tag, where it starts, where its value starts, where it ends (behind its delimiter)."""


class Scan(NamedTuple):
    """What a walk found. `starts` are where all elements start, the file meta information's among them.

    `stop` is where the walk ended: at the pixel data, at the end of the file, or at what it does not follow.
    """

    data: bytes
    encoding: Encoding
    spans: list[Span]
    starts: list[int]
    stop: int
    at: Literal["pixels", "end", "else"]
    pixels_cut: bool = False

    def elements(self) -> Elements:
        """The wanted elements as every reader gives them."""
        data, implicit = self.data, self.encoding.implicit
        raws: Raws = {}
        for tag, start, value, end in self.spans:
            if (implicit or value - start == 12) and data.startswith(_UNDEFINED, value - 4):
                raws[tag] = Raw("SQ", data[value:end], undefined=True)
            else:
                raws[tag] = Raw(None if implicit else _VRS[data[start + 4 : start + 6]], data[value:end])
        return Elements(raws, self.encoding, self.pixels_cut)


class Plan:
    """The tags that a walk keeps, and what is known of each element's first bytes in one encoding.

    A head is tag and VR, or the tag alone where the encoding is implicit.
    """

    def __init__(self, wanted: Iterable[int], encoding: Encoding) -> None:
        order = "<" if encoding.little else ">"
        self.encoding = encoding
        self.unpack = struct.Struct(order + ("4sI" if encoding.implicit else "6sH")).unpack_from
        self.long = struct.Struct(order + "I").unpack_from
        self.heads: dict[bytes, tuple[int, int]] = {}
        self._wanted = frozenset(wanted)

    def learn(self, head: bytes) -> None:
        """Add a head to those that are known."""
        if len(self.heads) >= _HEADS:
            self.heads.clear()
        tag = first_tag(head, self.encoding)
        self.heads[head] = (tag, self._kind(tag, head[4:]))

    def _kind(self, tag: int, vr: bytes) -> int:
        implicit = self.encoding.implicit
        if tag >> 16 == _DELIMITERS or not (implicit or vr in SHORT_VRS or vr in LONG_VRS):
            return _STRANGE
        if tag > LAST_WANTED:
            return _PAST
        return (_LONG if implicit or vr in LONG_VRS else _SHORT) + (tag in self._wanted)


class Plans:
    """One plan an encoding, for the same tags."""

    def __init__(self, wanted: Iterable[int]) -> None:
        tags = frozenset(wanted)
        self._plans = {
            encoding: Plan(tags, encoding)
            for encoding in (Encoding(implicit, little) for implicit in (True, False) for little in (True, False))
        }
        self.of = self._plans.__getitem__


ORDINARY: Final = Plans(BY_TAG)
_META: Final = Plan((), EXPLICIT_LITTLE)
_META_TAGS: Final = {tag_bytes(tag): tag for tag in (META_CLASS, SYNTAX)}


def scan(window: Window, plans: Plans = ORDINARY) -> Scan | None:
    """The wanted elements of the file that a window shows the start of; None where it is not read here.

    Raises Skipped for what is no file for us at its first look.
    """
    head = window.data
    magic = begins(head, window.size)
    starts: list[int] = []
    meta = _meta(head, 132 if magic else 0, starts)
    if meta is None:
        return None
    values, at = meta
    if values.get(META_CLASS) == DICOMDIR:
        raise Skipped(Code.DICOMDIR)
    syntax = values.get(SYNTAX, "")
    if syntax == DEFLATED:
        window, at = _inflated(window, at), 0
        starts = []
    start = window.data[at : at + 6]
    encoding = sniff(start, syntax)
    if len(start) < 6 or start[:2] == b"\0\0":
        return None
    if first_tag(start, encoding) in FILE_SET:
        raise Skipped(Code.DICOMDIR)
    found = _Walk(window, plans.of(encoding), starts).run(at)
    if found is None or not _names_itself(found):
        return None
    if not magic and not surely_dicom(head, found.elements().raws):
        return None
    return found


def _names_itself(found: Scan) -> bool:
    """Whether class and instance are named, so that no meta information has to stand in for them."""
    named = {tag: found.data[value:end].strip(b"\0 ") for tag, _, value, end in found.spans[:3]}
    return bool(named.get(SOP_CLASS) and named.get(SOP_INSTANCE))


def _meta(data: bytes, at: int, starts: list[int]) -> tuple[dict[int, str], int] | None:
    """The wanted values of the file meta information, and where it ends. What it says of its length is not needed."""
    values: dict[int, str] = {}
    start = starts.append
    try:
        while data.startswith(b"\2\0", at):
            head, length = _META.unpack(data, at)
            value = at + 8
            if head[4:] in LONG_VRS:
                (length,) = _META.long(data, value)
                value += 4
            elif head[4:] not in SHORT_VRS:
                return None
            start(at)
            at = value + length
            tag = _META_TAGS.get(head[:4])
            if tag:
                values[tag] = data[value:at].decode("latin-1").strip("\0 ")
    except struct.error:
        return None
    return (values, at) if at <= len(data) else None


def _inflated(window: Window, at: int) -> Window:
    """A deflated data set (PS3.5 A.5); nothing where it is large or damaged."""
    inflate = zlib.decompressobj(-zlib.MAX_WBITS)
    try:
        data = inflate.decompress(window.reach(window.size)[at:], _FARTHEST)
    except zlib.error:
        return Window(b"", 0)
    return Window(data, len(data)) if inflate.eof else Window(b"", 0)


class _Walk:
    """One pass over a data set: no element that is not wanted costs more than its tag and length."""

    def __init__(self, window: Window, plan: Plan, starts: list[int]) -> None:
        self._window, self._plan, self._starts = window, plan, starts
        self._spans: list[Span] = []
        self._found: Scan | None = None

    def run(self, at: int) -> Scan | None:
        """What it finds from a position on; None where it declines."""
        plan, data = self._plan, self._window.data
        heads, unpack = plan.heads, plan.unpack
        keep, start = self._spans.append, self._starts.append
        last = 0
        while True:
            try:
                while True:
                    head, length = unpack(data, at)
                    tag, kind = heads[head]
                    if tag <= last:
                        return None
                    end = at + 8 + length
                    if kind == _SHORT_WANTED:
                        keep((tag, at, at + 8, end))
                    elif kind != _SHORT:
                        end = self._long(at, head, length)
                        if end < 0:
                            return self._found
                    start(at)
                    last, at = tag, end
            except KeyError:
                plan.learn(head)
            except Strange:
                return None
            except struct.error:
                if not self._goes_on(at):
                    return self._found
                data = self._window.data

    def _goes_on(self, at: int) -> bool:
        """Whether there are more bytes to look at; a file may end at `at`."""
        window = self._window
        have = len(window.data)
        if at <= window.size and len(window.reach(at + 12)) > have:
            return True
        whole = not self._spans or self._spans[-1][3] <= len(window.data)
        if at == window.size and whole:
            self._finish(at, "end")
        return False

    def _finish(self, stop: int, at: Literal["pixels", "end", "else"], pixels_cut: bool = False) -> int:
        data, encoding = self._window.data, self._plan.encoding
        self._found = Scan(data, encoding, self._spans, self._starts, stop, at, pixels_cut)
        return -1

    def _long(self, at: int, head: bytes, length: int) -> int:
        """The end of an element that is no ordinary short one; -1 where the walk ends."""
        data, plan = self._window.data, self._plan
        tag, kind = plan.heads[head]
        vr, value = head[4:], at + 8
        if kind == _STRANGE:
            return -1
        if vr in LONG_VRS:
            (length,) = plan.long(data, value)
            value += 4
        if kind == _PAST:
            if tag in PIXELS:
                cut = length != UNDEFINED and value + length > self._window.size
                return self._finish(at, "pixels", cut)
            if length == UNDEFINED or tag >> 16 in BEHIND_PIXELS:
                return self._finish(at, "else")
        return self._kept(at, tag, kind, vr, value, length)

    def _kept(self, at: int, tag: int, kind: int, vr: bytes, value: int, length: int) -> int:
        """The end of an element that the walk steps over, and keeps if it is wanted."""
        data, encoding = self._window.data, self._plan.encoding
        end = value + length
        if length == UNDEFINED:
            if not is_sequence(tag, vr, data, value, encoding.little):
                return -1
            end = sequence_end(data, value, encoding)
        if kind == _LONG_WANTED:
            if tag == CHARSET and length > TEXT_LIMIT:
                return -1
            self._spans.append((tag, at, value, end))
        return end
