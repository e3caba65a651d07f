"""Layout prediction: the files of a series differ in few elements, and what is the same in all is compared at once.

Of a file that was walked in full, everything between two elements whose value varies is one constant: the tags, VRs,
lengths and values in it are compared in one go, and only the varying elements are stepped over singly, each by the
length that it states. What fits a layout is thus what a walk would find there, element by element. What does not fit
is walked, and shows what else varies.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Final

from dicom2fhir.dicom.nested import Strange, sequence_end
from dicom2fhir.dicom.raws import (
    CHARSET,
    EXPLICIT_LITTLE,
    LONG_VRS,
    META_CLASS,
    META_INSTANCE,
    SOP_CLASS,
    SOP_INSTANCE,
    SYNTAX,
    UNDEFINED,
    tag_bytes,
)
from dicom2fhir.dicom.scan import Scan

_Step = tuple[Callable[[bytes, int], tuple[bytes, int]], bytes, int]

Slot = tuple[int, int]
"""A varying element: its number among them, and how many constant bytes lie between its value and the next one's."""

_PREAMBLE: Final = 128
_META: Final = b"\2\0"
_SLACK: Final = 1024
_VARYING_KEPT: Final = 1024
_KINDS_KEPT: Final = 64
_SERIES_UID: Final = tag_bytes(0x0020000E)
_ALIKE: Final = frozenset(map(tag_bytes, (CHARSET, META_CLASS, SYNTAX, SOP_CLASS)))
"""What decides how the rest is read: files that differ in these are not of one layout."""
ALWAYS_VARYING: Final = frozenset(map(tag_bytes, (0x00020000, META_INSTANCE, SOP_INSTANCE, 0x00200013)))
"""What need not be learned: group length and UID in the meta information, SOP Instance UID, Instance Number."""


def signature(data: bytes) -> bytes:
    """What files of one series have in common, at a glance: a guess that a layout then proves or refutes."""
    at = data.find(_SERIES_UID)
    length = data[at + 6] or data[at + 4] if 0 <= at < len(data) - 8 else 0
    return data[at : at + 8 + length] if length else b""


def fits_layouts(scan: Scan) -> bool:
    """Whether a layout can be made of a file: one with a preamble, little-endian, followed to its pixels or its end."""
    return scan.encoding.little and scan.at != "else" and scan.starts[:1] == [_PREAMBLE + 4]


class Choice:
    """Which elements of a file vary within its series, by their numbers: the same in most series, so remembered."""

    def __init__(self) -> None:
        self.varying = set(ALWAYS_VARYING)
        """The tags that were seen to."""
        self._chosen: dict[tuple[int, int], tuple[list[int], list[bytes]]] = {}

    def of(self, scan: Scan) -> list[int]:
        """The numbers of a file's varying elements, in order. Any choice makes a layout, if not a useful one."""
        data, starts = scan.data, scan.starts
        kind = (len(starts), len(self.varying))
        numbers, tags = self._chosen.get(kind, ([], []))
        if not tags or tags != [data[starts[number] : starts[number] + 4] for number in numbers]:
            if len(self._chosen) >= _KINDS_KEPT:
                self._chosen.clear()
            all_tags = [data[start : start + 4] for start in starts]
            numbers = [number for number, tag in enumerate(all_tags) if tag in self.varying]
            self._chosen[kind] = numbers, [all_tags[number] for number in numbers]
        return numbers

    def learn(self, known: Scan, other: Scan) -> None:
        """Take note of the tags in which two files of a series differ, if they are made of the same elements."""
        self._chosen.clear()
        if len(self.varying) > _VARYING_KEPT:
            self.varying = set(ALWAYS_VARYING)
        pairs = list(zip(_elements(known), _elements(other), strict=False))
        if len(known.starts) == len(other.starts) and all(one[:4] == two[:4] for one, two in pairs):
            self.varying |= {one[:4] for one, two in pairs if one != two} - _ALIKE


def _elements(scan: Scan) -> list[bytes]:
    return [scan.data[start:end] for start, end in pairwise([*scan.starts, scan.stop])]


class Layout:
    """How the files of a series are laid out, as one of them is, and the numbers of the elements that vary.

    `slots` are the varying elements by where they start in that file; `reach` is how many bytes a file should show.
    """

    __slots__ = ("_end", "_explicit", "_steps", "reach", "slots")

    def __init__(self, scan: Scan, varying: list[int]) -> None:
        data, ends = scan.data, [*scan.starts[1:], scan.stop]
        self._explicit = scan.encoding == EXPLICIT_LITTLE
        self.reach = scan.stop + _SLACK
        self._steps: list[_Step] = []
        self._end: _Step | bytes
        behind = _PREAMBLE
        for number in varying:
            self._steps.append(self._step(data, behind, scan.starts[number]))
            behind = ends[number]
        self._end = self._step(data, behind, scan.stop) if scan.at == "pixels" else data[behind : scan.stop]
        sizes = [size for _, _, size in self._steps[1:]]
        starts = (scan.starts[number] for number in varying)
        self.slots: dict[int, Slot] = dict(zip(starts, enumerate([*sizes, 0]), strict=True))

    def _step(self, data: bytes, behind: int, start: int) -> _Step:
        """What takes the constant from a position up to an element's length, and that length, out of a file."""
        explicit = self._explicit or data.startswith(_META, start)
        long = not explicit or data[start + 4 : start + 6] in LONG_VRS
        fixed = data[behind : start + (4 if not explicit else 8 if long else 6)]
        made = _struct(_PREAMBLE if behind == _PREAMBLE else 0, len(fixed), "I" if long else "H")
        return made.unpack_from, fixed, made.size

    def match(self, data: bytes, size: int) -> list[int] | None:
        """Where the values of the varying elements start, and where the last of them ends; None where it misfits.

        A file that was cut inside its pixel data is none that fits.
        """
        at = 0
        values: list[int] = []
        keep = values.append
        try:
            for unpack, fixed, width in self._steps:
                found, length = unpack(data, at)
                if found != fixed:
                    return None
                at += width
                keep(at)
                at = at + length if length != UNDEFINED else self._sequence_end(data, at, fixed)
            keep(at)
            return values if self._ends(data, size, at) else None
        except (struct.error, Strange):
            return None

    def _sequence_end(self, data: bytes, at: int, fixed: bytes) -> int:
        if not self._explicit or fixed[-4:-2] not in (b"SQ", b"UN"):
            raise Strange
        return sequence_end(data, at, EXPLICIT_LITTLE)

    def _ends(self, data: bytes, size: int, at: int) -> bool:
        """Whether nothing but the constant end follows, whole as far as that can be seen."""
        if isinstance(self._end, bytes):
            return at + len(self._end) == size and data[at:] == self._end
        unpack, fixed, width = self._end
        found, length = unpack(data, at)
        return bool(found == fixed and (length == UNDEFINED or at + width + length <= size))


@lru_cache(maxsize=4096)
def _struct(skipped: int, fixed: int, form: str) -> struct.Struct:
    return struct.Struct(f"<{skipped}x{fixed}s{form}")
