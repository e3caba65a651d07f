"""Layout prediction: the files of a series differ in few elements, and what is the same in all is compared at once.

Of a file that was walked in full, everything between two elements whose value varies is one constant: the tags, VRs,
lengths and values in it are compared in one go, and only the varying elements are stepped over singly, each by the
length that it states. What fits a layout is thus what a walk would find there, element by element. What does not fit
is walked, and shows what else varies.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Callable, Container
from functools import lru_cache
from itertools import groupby, pairwise
from typing import Final

from dicom2fhir.dicom.nested import Strange, sequence_end
from dicom2fhir.dicom.raws import (
    CHARSET,
    EXPLICIT_LITTLE,
    LONG_VRS,
    META_CLASS,
    META_INSTANCE,
    SHORT_VRS,
    SOP_CLASS,
    SOP_INSTANCE,
    SYNTAX,
    UNDEFINED,
    tag_bytes,
)
from dicom2fhir.dicom.scan import Scan

_Step = tuple[Callable[[bytes, int], tuple[bytes, int]], bytes, int, bool]
"""What takes the constant before an element, and its length, out of a file; the constant; the bytes of both; whether
the element's value is wanted."""

Extent = tuple[int, int]
"""Where a value starts and ends."""

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

    `slots` are the varying elements that are `wanted`, by where they start in that file: their places among what
    `match` gives. `reach` is how many bytes a file should show.
    """

    __slots__ = ("_end", "_explicit", "_hits", "_steps", "_stretches", "_undefined", "reach", "slots")

    def __init__(self, scan: Scan, varying: list[int], wanted: Container[int]) -> None:
        data, ends = scan.data, [*scan.starts[1:], scan.stop]
        self._explicit = scan.encoding == EXPLICIT_LITTLE
        self.reach = scan.stop + _SLACK
        self._steps: list[_Step] = []
        self._end: _Step | bytes
        self._undefined = False
        """Whether an element that varies is a sequence of undefined length."""
        behind = _PREAMBLE
        for number in varying:
            start = scan.starts[number]
            unpack, *_ = step = self._step(data, behind, start, start in wanted)
            self._steps.append(step)
            self._undefined |= unpack(data, behind if behind != _PREAMBLE else 0)[1] == UNDEFINED
            behind = ends[number]
        self._end = self._step(data, behind, scan.stop, False) if scan.at == "pixels" else data[behind : scan.stop]
        starts = (scan.starts[number] for number in varying)
        self.slots = {start: place for place, start in enumerate(start for start in starts if start in wanted)}
        self._stretches = stretches(self._steps)
        self._hits = 0

    def _step(self, data: bytes, behind: int, start: int, wanted: bool) -> _Step:
        """What takes the constant from a position up to an element's length, and that length, out of a file."""
        explicit = self._explicit or data.startswith(_META, start)
        long = not explicit or data[start + 4 : start + 6] in LONG_VRS
        fixed = data[behind : start + (4 if not explicit else 8 if long else 6)]
        made = _struct(_PREAMBLE if behind == _PREAMBLE else 0, len(fixed), "I" if long else "H")
        return made.unpack_from, fixed, made.size, wanted

    def match(self, data: bytes, size: int) -> list[Extent] | None:
        """Where the wanted values that vary start and end; None where a file misfits.

        A file that was cut inside its pixel data is none that fits.
        """
        try:
            found = self._carefully(data) if self._undefined else self._quickly(data)
            if found is None or not self._ends(data, size, found[1]):
                return None
        except (struct.error, Strange):
            return None
        self._hits += 1
        if self._hits == _OFTEN:
            self._stretches = stretches(self._steps, often=True)
        return found[0]

    def _quickly(self, data: bytes) -> tuple[list[Extent], int] | None:
        """The hot spot. A length that is undefined leads beyond all data: where one is, files misfit here."""
        at = 0
        values: list[Extent] = []
        for pattern, steps in self._stretches:
            if pattern is not None and (whole := pattern.match(data, at)):
                values += [(start + 2, end) for start, end in whole.regs[1:]]
                at = whole.end()
                continue
            for unpack, fixed, width, wanted in steps:
                found, length = unpack(data, at)
                if found != fixed:
                    return None
                at += width
                if wanted:
                    values.append((at, at + length))
                at += length
        return values, at

    def _carefully(self, data: bytes) -> tuple[list[Extent], int] | None:
        at = 0
        values: list[Extent] = []
        for unpack, fixed, width, wanted in self._steps:
            found, length = unpack(data, at)
            if found != fixed:
                return None
            start = at + width
            at = start + length if length != UNDEFINED else self._sequence_end(data, start, fixed)
            if wanted:
                values.append((start, at))
        return values, at

    def _sequence_end(self, data: bytes, at: int, fixed: bytes) -> int:
        if not self._explicit or fixed[-4:-2] not in (b"SQ", b"UN"):
            raise Strange
        return sequence_end(data, at, EXPLICIT_LITTLE)

    def _ends(self, data: bytes, size: int, at: int) -> bool:
        """Whether nothing but the constant end follows, whole as far as that can be seen."""
        if isinstance(self._end, bytes):
            return at + len(self._end) == size and data[at:] == self._end
        unpack, fixed, width, _ = self._end
        found, length = unpack(data, at)
        return bool(found == fixed and (length == UNDEFINED or at + width + length <= size))


@lru_cache(maxsize=4096)
def _struct(skipped: int, fixed: int, form: str) -> struct.Struct:
    return struct.Struct(f"<{skipped}x{fixed}s{form}")


# Stretches


_Stretch = tuple["re.Pattern[bytes] | None", list[_Step]]
"""Some steps that follow each other, and the expression that takes all of them at once, where there is one."""
_SHORT: Final = 16
"""Bytes: elements whose headers and values are mostly shorter are taken together."""
_LENGTHS: Final = (10, 8, 12, 6, 14, 16, 4, 2, 0)
"""The lengths of a value that an expression allows for; the steps take any other."""
_TOGETHER: Final = 4
_ASKED: Final = 3
"""How many layouts must want an expression before it is made, for that takes as long as reading a hundred files."""
_OFTEN: Final = 512
"""How many files must fit a layout before its expressions are made though nobody else wants them."""
_EXPRESSIONS_KEPT: Final = 64


def stretches(steps: list[_Step], often: bool = False) -> list[_Stretch]:
    """The steps, in stretches of which some are taken at once."""
    found: list[_Stretch] = []
    for short, group in groupby(steps, key=_is_short):
        members = list(group)
        pattern = _expressions.get(members, often) if short and len(members) >= _TOGETHER else None
        found.append((pattern, members))
    return found


def _is_short(step: _Step) -> bool:
    _, fixed, width, _ = step
    return width - len(fixed) == 2 and len(fixed) <= _SHORT and fixed[-2:] in SHORT_VRS


class _Expressions:
    """Expressions by what they take, which is the same in series of one kind."""

    def __init__(self) -> None:
        self._made: dict[_Kind, re.Pattern[bytes]] = {}
        self._asked: Counter[_Kind] = Counter()

    def get(self, steps: list[_Step], often: bool) -> re.Pattern[bytes] | None:
        """The expression for these steps, if it is worth its while."""
        kind = tuple([(fixed, wanted) for _, fixed, _, wanted in steps])
        if kind not in self._made:
            self._asked[kind] += 1
            if not often and self._asked[kind] < _ASKED:
                return None
            self._make_room()
            self._made[kind] = re.compile(b"".join(map(_text, steps)), re.DOTALL)
        return self._made[kind]

    def _make_room(self) -> None:
        if len(self._made) >= _EXPRESSIONS_KEPT:
            self._made.clear()
        if len(self._asked) > 16 * _EXPRESSIONS_KEPT:
            self._asked.clear()


_Kind = tuple[tuple[bytes, bool], ...]
_expressions = _Expressions()


def _text(step: _Step) -> bytes:
    """One element whose value has one of the usual lengths, as an expression; of a wanted one, length and value."""
    _, fixed, _, wanted = step
    lengths = b"|".join([re.escape(length.to_bytes(2, "little")) + b".{%d}" % length for length in _LENGTHS])
    return re.escape(fixed) + (b"(%b)" if wanted else b"(?:%b)") % lengths
