"""Mutants of small DICOM files, each read by both readers in a guarded process: `make fuzz` (N=100000 SEED=1).

Whatever is in a file, reading it ends as a record, as one with notes, or with a code of the closed list; both readers
say the same; none hangs, dies or takes more memory than it may. A mutant is made of seed and number alone, so that
one that fails anywhere can be made again: `python tests/fuzz.py --seed 1 --show 4711 > mutant.dcm`.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pydicom.data

from dicom2fhir.dicom import header
from dicom2fhir.dicom.raws import Skipped
from dicom2fhir.dicom.records import Scope
from dicom2fhir.dicom.scan import Window, scan
from dicom2fhir.problems import Code
from dicom2fhir.workers import Limits, Task, read_all

LIMITS = Limits(deadline=60.0, memory=400 << 20)
LONGEST = 12_000
"""Bytes of an original; of one with more pixels than that the rest is left out."""
UNDEFINED = b"\xff\xff\xff\xff"
ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
DEFLATED = b"1.2.840.10008.1.2.1.99"
VRS = b"AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SQ SS ST SV TM UC UI UL UN UR US UT UV".split()
SHORT = frozenset(b"AE AS CS DA DS DT IS LO LT PN SH ST TM UI".split())
STRANGE_VRS = (b"??", b"\0\0", b"  ", b"ox", b"XX", b"ZZ", b"O\0", b"\xff\xff")
TAGS = (0x00000000, 0x00020010, 0x00041220, 0x00080005, 0x00080016, 0x00081032, 0x00091010, 0x0020000D, 0x00400275,
        0x52009229, 0x52009230, 0x60003000, 0x7FE00010, 0xFFFCFFFC, 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD)  # fmt: skip
CHARSETS = (b"", b"ISO_IR 192", b"ISO_IR 100", b"\\ISO 2022 IR 87", b"ISO 2022 IR 6\\ISO 2022 IR 159", b"GB18030",
            b"punycode", b"bz2", b"idna", b"\\\\\\\\", b"ISO_IR 100\\" * 90, b"\0", b"\xff\xfe", b"utf-7")  # fmt: skip
TEXTS = (b"\x1b$B;3ED\x1b(B^\x1b$BB@O:", b"\x1b", b"\xe4\xf6\xfc", "Müller^Jürgen".encode(), b"=" * 40, b"\\" * 300,
         b"A" * 70, b"\0" * 30, b"\x1b$)C\xb1\xe8", b"%c%n", b'"\x01\x1f\x7f', b"1.2.3", b"9" * 20)  # fmt: skip


class Original(NamedTuple):
    """A file, and where its elements start as far as they are known."""

    name: str
    content: bytes
    starts: list[int]


class Outcome(NamedTuple):
    """How a mutant ended: what became of it, and what is wrong with that ("" for nothing)."""

    fate: str
    fault: str


@cache
def originals() -> list[Original]:
    """pydicom's samples and testdata, the small ones and the large ones' headers."""
    root = Path(pydicom.data.__file__).parent
    data = Path(__file__).parent.parent / "testdata"
    folders = (root / "test_files", root / "charset_files", data / "clean", data / "faults")
    paths = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    made = [_original(path) for path in paths]
    return [each for each in made if each is not None and 200 < len(each.content) <= LONGEST]


def _original(path: Path) -> Original | None:
    content = path.read_bytes()
    try:
        found = scan(Window(content, len(content)))
    except Skipped:
        return None
    if found is None or found.encoding.little is False or found.data is not content:
        return Original(path.name, content[:LONGEST], [])
    return Original(path.name, content[: found.stop + 200], [*found.starts, found.stop])


class Mutator:
    """Changes one file in the ways that `MUTATIONS` lists; `random` decides."""

    def __init__(self, original: Original, chance: random.Random) -> None:
        self.content = bytearray(original.content)
        self.starts = original.starts
        self.chance = chance

    def place(self) -> int:
        """The start of an element, of an item, or anywhere."""
        kind = self.chance.randrange(8)
        if kind == 0 or not self.starts:
            return self.chance.randrange(len(self.content) + 1)
        if kind < 3:
            items = list(_all(bytes(self.content), ITEM)) or self.starts
            return min(self.chance.choice(items) + 8 * (kind == 2), len(self.content))
        return min(self.chance.choice(self.starts), len(self.content))

    def put(self, at: int, new: bytes) -> None:
        """Write over what is there."""
        self.content[at : at + len(new)] = new

    def insert(self, at: int, new: bytes) -> None:
        """Put in between."""
        self.content[at:at] = new

    def flip(self) -> None:
        for _ in range(self.chance.choice((1, 1, 2, 8))):
            at = self.chance.randrange(len(self.content))
            self.content[at] = self.content[at] ^ 1 << self.chance.randrange(8)

    def overwrite(self) -> None:
        at = self.chance.randrange(len(self.content))
        self.put(at, self.chance.randbytes(self.chance.choice((1, 1, 2, 4, 16))))

    def cut(self) -> None:
        """In the preamble, the meta information, a tag, a VR, a length, a value, between two elements."""
        at = self.chance.choice((self.place(), self.chance.randrange(400)))
        del self.content[at + self.chance.choice((0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 40)) :]

    def length(self) -> None:
        at = self.place() + self.chance.choice((4, 6, 6, 8))
        old = int.from_bytes(self.content[at : at + 2], "little")
        new = self.chance.choice((0, 1, old + 1, old - 1, old + 2, old - 2, 0x7FFF, 0xFFFF, self.chance.randrange(300)))
        wide = self.chance.random() < 0.4
        self.put(
            at, self.chance.choice((UNDEFINED, struct.pack("<i", new))) if wide else struct.pack("<H", new & 0xFFFF)
        )

    def vr(self) -> None:
        self.put(self.place() + 4, self.chance.choice((*VRS, *STRANGE_VRS)))

    def tag(self) -> None:
        tag = self.chance.choice(TAGS)
        self.put(self.place(), struct.pack("<HH", tag >> 16, tag & 0xFFFF))

    def shuffle(self) -> None:
        """Leave an element out, write it twice, or put it elsewhere."""
        if len(self.starts) < 3:
            return
        start, end = self.chance.choice(list(pairwise(self.starts)))
        element, deed = bytes(self.content[start:end]), self.chance.randrange(3)
        if deed != 1:
            del self.content[start:end]
        if deed != 0:
            self.insert(min(self.chance.choice(self.starts), len(self.content)), element)

    def splice(self) -> None:
        other = self.chance.choice(originals())
        start = self.chance.choice(other.starts or [0])
        piece = other.content[start : start + self.chance.choice((8, 64, 500, 5000))]
        (self.insert if self.chance.random() < 0.7 else self.put)(self.place(), piece)

    def nest(self) -> None:
        """Sequences in sequences, with or without an end."""
        depth = self.chance.choice((1, 2, 5, 17, 63, 64, 65, 100, 280, 400))
        tag = struct.pack("<HH", *divmod(self.chance.choice((0x00091001, 0x00081032, 0x00400275, 0x00081140)), 1 << 16))
        defined = self.chance.random() < 0.3
        start = tag + b"SQ\0\0" + UNDEFINED + ITEM + UNDEFINED
        inner = tag + b"SQ\0\0" + struct.pack("<I", 8) + ITEM + bytes(4) if defined else b""
        ends = self.chance.choice((depth, depth, depth - 1, 0))
        self.insert(self.place(), start * depth + inner + (ITEM_END + bytes(4) + SEQUENCE_END + bytes(4)) * ends)

    def flood(self) -> None:
        """Empty items, empty elements, zeros, values of undefined length."""
        count = self.chance.choice((10, 999, 1000, 1001, 3000))
        items = (ITEM + bytes(4)) * count
        flood = self.chance.choice(
            (
                b"\x08\0\x32\x10SQ\0\0" + UNDEFINED + items + SEQUENCE_END + bytes(4),
                b"\x08\0\x32\x10SQ\0\0" + struct.pack("<I", len(items)) + items,
                b"\x09\0\x01\x10LO\0\0" * count,
                bytes(8 * count),
                (b"\x09\0\x01\x10OB\0\0" + UNDEFINED + ITEM + bytes(4) + SEQUENCE_END + bytes(4)) * min(count, 50),
            )
        )
        self.insert(self.place(), flood)

    def charset(self) -> None:
        """Another character set, and bytes that are of none."""
        charset, text = self.chance.choice(CHARSETS), self.chance.choice(TEXTS)
        at = self.content.find(b"\x08\0\x16\0UI")
        self.insert(at if at > 0 else self.place(), _element(b"\x08\0\x05\0CS", charset))
        self.insert(self.place(), _element(self.chance.choice((b"\x10\0\x10\0PN", b"\x08\0\x30\x10LO")), text))

    def value(self) -> None:
        """Something else in a value of the same length."""
        at = self.place() + 8
        text = self.chance.choice(TEXTS)
        self.put(at, text[: self.chance.choice((2, 4, 10, len(text)))])

    def resize(self) -> None:
        """A value of another length, in an element that says so: a mutant that is well-formed."""
        if not self.starts:
            return
        start = self.chance.choice(self.starts)
        head = bytes(self.content[start : start + 6])
        length = int.from_bytes(self.content[start + 6 : start + 8], "little")
        if head[4:] in SHORT and start + 8 + length <= len(self.content):
            new = self.chance.choice((*TEXTS, b"", b"7", b"1.2.840.%d" % self.chance.randrange(10**9), b"20240115"))
            self.content[start : start + 8 + length] = _element(head, new)

    def deflate(self) -> None:
        """The data set deflated; sometimes it is a bomb, sometimes its end is missing."""
        end = 144 + int.from_bytes(self.content[140:144], "little")
        body = bytes(self.content[end:])
        if self.chance.random() < 0.02:
            body += b"\xff\xff\0\0OB\0\0" + struct.pack("<I", 70 << 20) + bytes(70 << 20)
        squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
        at = self.content.find(b"\2\0\x10\0UI")
        if 0 < at < end:
            old = int.from_bytes(self.content[at + 6 : at + 8], "little")
            meta = (
                bytes(self.content[:at]) + _element(b"\2\0\x10\0UI", DEFLATED) + bytes(self.content[at + 8 + old : end])
            )
            self.content = bytearray(meta + squeeze.compress(body) + squeeze.flush())
            self.starts = []
            self.chance.choice((self.flip, self.overwrite, self.cut, lambda: None, lambda: None))()


def _element(head: bytes, value: bytes) -> bytes:
    value += b" " * (len(value) % 2)
    return head + struct.pack("<H", len(value) & 0xFFFF) + value


def _all(content: bytes, sought: bytes) -> Iterator[int]:
    at = content.find(sought)
    while at >= 0:
        yield at
        at = content.find(sought, at + 1)


MUTATIONS: tuple[tuple[int, Callable[[Mutator], None]], ...] = (
    (4, Mutator.flip),
    (3, Mutator.overwrite),
    (4, Mutator.cut),
    (6, Mutator.length),
    (4, Mutator.vr),
    (4, Mutator.tag),
    (3, Mutator.shuffle),
    (3, Mutator.splice),
    (2, Mutator.nest),
    (2, Mutator.flood),
    (2, Mutator.charset),
    (4, Mutator.value),
    (6, Mutator.resize),
    (1, Mutator.deflate),
)


def mutant(seed: int, number: int) -> tuple[Original, bytes]:
    """The mutant of a number, and what it was."""
    chance = random.Random(f"{seed} {number}")
    original = chance.choice(originals())
    mutator = Mutator(original, chance)
    weights, deeds = zip(*MUTATIONS, strict=True)
    for deed in chance.choices(deeds, weights, k=chance.choice((1, 1, 1, 2, 3))):
        if mutator.content:
            deed(mutator)
    return original, bytes(mutator.content)


# Reading them


def read_mutant(name: str, seed: int) -> tuple[Any, ...]:
    """A worker's reader: makes the mutant whose number is the file name, reads it with both readers.

    The original is read twice before, so that the quick ways expect another file of its series.
    """
    original, content = mutant(seed, int(name))
    for _ in range(2):
        _read(original.content, "auto")
    quick, slow = _read(content, "auto"), _read(content, "pydicom")
    return ("header", *outcome(quick, slow))


def _read(content: bytes, reader: header.Reader) -> tuple[Any, ...]:
    fd = os.memfd_create("mutant")
    try:
        os.write(fd, content)
        return header.read_file(f"/proc/self/fd/{fd}", Scope(), reader)
    finally:
        os.close(fd)


def outcome(quick: tuple[Any, ...], slow: tuple[Any, ...]) -> Outcome:
    """What became of a mutant. The context is compared by its digest: it is given once only."""
    if quick[0] == "skip":
        return Outcome(Code(quick[1]).value, "" if quick == slow else "the readers differ")
    bodies = {each[2] for each in (quick, slow) if each[2] is not None}
    same = slow[0] == "header" and (*quick[:2], *quick[3:]) == (*slow[:2], *slow[3:]) and len(bodies) < 2
    fate = "noted" if "" in quick[3] or any('"":' in body for body in bodies) else "converted"
    return Outcome(fate, "" if same else "the readers differ")


def run(seed: int, numbers: range, jobs: int) -> Iterator[tuple[int, Outcome]]:
    """The outcome of each mutant, as they come."""
    task = Task("fuzz:read_mutant", (seed,), "dicom2fhir.dicom.header:quiet")
    for path, reading in read_all(([str(number)] for number in numbers), task, LIMITS, jobs):
        failed = reading[0] == "skip"  # the worker's own verdict: it died, or hung, or the reader raised
        yield int(path), Outcome(reading[1], reading[2]) if failed else Outcome(*reading[1:])


def main() -> int:
    """Read so many mutants and print what became of them; 1 where one failed."""
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--mutants", type=int, default=20_000)
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    options.add_argument("--show", type=int, metavar="NUMBER")
    chosen = options.parse_args()
    if chosen.show is not None:
        sys.stdout.buffer.write(mutant(chosen.seed, chosen.show)[1])
        return 0
    fates: Counter[str] = Counter()
    faults = 0
    for number, each in run(chosen.seed, range(chosen.mutants), chosen.jobs):
        fates[each.fate] += 1
        if each.fault:
            faults += 1
            print(f"mutant {number} of seed {chosen.seed}: {each.fate}: {each.fault}", flush=True)
    print(f"{chosen.mutants} mutants of {len(originals())} files, {faults} faults")
    for fate, count in fates.most_common():
        print(f"{count:8} {fate}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
