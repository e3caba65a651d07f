"""The generated tree that `make bench` measures on, and a larger one of its kind.

Headers of 4-6 kB with about 190 elements, private blocks and sequences among them; studies and series as long as those
of CT and MR; lengths that vary within a series as they do in real ones: UIDs, times, positions, window values.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator
from pathlib import Path

ROOT = "1.2.826.0.1.3680043.10.1338.99"
EXPLICIT = "1.2.840.10008.1.2.1"
LENGTHS = {"CT": (2, 2, 24, 60, 120), "MR": (3, 20, 20, 24, 32, 120)}
CLASSES = {"CT": "1.2.840.10008.5.1.4.1.1.2", "MR": "1.2.840.10008.5.1.4.1.1.4"}
LONG = frozenset((b"OB", b"OW", b"SQ", b"UN", b"UT"))
PIXELS = 0x7FE00010
PRIVATE = (0x00191010, 0x00191011)

Row = tuple[int, bytes, bytes]


def text(tag: int, vr: str, value: str) -> Row:
    """An element with a text value, padded to even length."""
    raw = value.encode()
    return tag, vr.encode(), raw + b" " * (len(raw) % 2) if vr != "UI" else raw + b"\0" * (len(raw) % 2)


def encoded(rows: list[Row]) -> bytes:
    """Elements in explicit VR little-endian."""
    parts = []
    for tag, vr, value in sorted(rows):
        head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr)
        length = struct.pack("<HI", 0, len(value)) if vr in LONG else struct.pack("<H", len(value))
        parts += [head, length, value]
    return b"".join(parts)


def item(rows: list[Row]) -> bytes:
    """An item of a sequence."""
    content = encoded(rows)
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


def code(value: str, scheme: str, meaning: str) -> bytes:
    """A code sequence's item."""
    return item([text(0x00080100, "SH", value), text(0x00080102, "SH", scheme), text(0x00080104, "LO", meaning)])


def preamble(sop_class: str, uid: str) -> bytes:
    """128 bytes, DICM and the file meta information."""
    meta = encoded(
        [
            (0x00020001, b"OB", b"\0\1"),
            text(0x00020002, "UI", sop_class),
            text(0x00020003, "UI", uid),
            text(0x00020010, "UI", EXPLICIT),
            text(0x00020012, "UI", f"{ROOT}.1"),
        ]
    )
    return bytes(128) + b"DICM" + encoded([(0x00020000, b"UL", struct.pack("<I", len(meta)))]) + meta


def study_rows(chance: random.Random, number: int, modality: str) -> list[Row]:
    """What a study's instances share."""
    return [
        text(0x00080005, "CS", "ISO_IR 100"),
        text(0x00080020, "DA", f"2024{1 + number % 12:02}{1 + number % 28:02}"),
        text(0x00080030, "TM", f"{8 + number % 10:02}3015.{chance.randrange(10**6):06}"),
        text(0x00080050, "SH", f"A{number:08}"),
        text(0x00080070, "LO", "Bench Imaging Works"),
        text(0x00080080, "LO", "Bench General Hospital"),
        text(0x00080081, "ST", "1 Measurement Road, Benchtown"),
        text(0x00080090, "PN", f"Referrer^Number {number % 17}"),
        text(0x00080201, "SH", "+0100"),
        text(0x00081010, "SH", f"STATION{number % 5}"),
        text(0x00081030, "LO", f"{modality} of the bench, number {number}"),
        (0x00081032, b"SQ", code(f"P{number % 40}", "99BENCH", "Benchmark procedure")),
        text(0x00081090, "LO", f"Measurer {modality} 3000"),
        text(0x00100010, "PN", f"Bench^Person {number}"),
        text(0x00100020, "LO", f"BENCH-{number:06}"),
        text(0x00100021, "LO", "BENCH"),
        text(0x00100030, "DA", f"19{30 + number % 70}0102"),
        text(0x00100040, "CS", "FM"[number % 2]),
        text(0x00101010, "AS", "050Y"),
        text(0x00181000, "LO", f"{10000 + number % 5}"),
        text(0x00181020, "LO", "bench 1.0\\kernel 7"),
        text(0x0020000D, "UI", f"{ROOT}.{number}"),
        text(0x00200010, "SH", f"{number}"),
    ]


def series_rows(study: int, number: int, modality: str) -> list[Row]:
    """What a series' instances share, private blocks included."""
    rows = [
        text(0x00080016, "UI", CLASSES[modality]),
        text(0x00080021, "DA", f"2024{1 + study % 12:02}{1 + study % 28:02}"),
        text(0x00080031, "TM", f"{8 + study % 10:02}{30 + number:02}00"),
        text(0x00080060, "CS", modality),
        text(0x0008103E, "LO", f"series {number} of the bench"),
        text(0x00081050, "PN", f"Performer^Number {study % 7}"),
        text(0x00081070, "PN", f"Operator^Number {study % 9}"),
        text(0x00180015, "CS", "CHEST"),
        text(0x00181030, "LO", f"protocol {number}"),
        text(0x0020000E, "UI", f"{ROOT}.{study}.{number}"),
        text(0x00200011, "IS", str(number)),
        (0x00400275, b"SQ", item([text(0x00401001, "SH", f"R{study}"), text(0x00400007, "LO", "bench step")])),
    ]
    technique = range(0x00181100, 0x00181100 + 2 * 45, 2)
    rows += [text(tag, "DS", f"{(tag * 7) % 1000}.{number}") for tag in technique]
    for group in (0x00190000, 0x00290000):
        rows.append(text(group | 0x10, "LO", "BENCH PRIVATE BLOCK"))
        rows += [text(group | 0x1000 | n, "LO", f"private value {n} of series {number}") for n in range(38)]
    return rows


def instance_rows(chance: random.Random, uid: str, number: int) -> list[Row]:
    """What is an instance's own; lengths vary as those of real positions and window values do."""
    place = "\\".join(f"{chance.uniform(-400, 400):.{chance.randrange(1, 7)}f}" for _ in range(3))
    rows = [
        text(0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
        text(0x00080018, "UI", uid),
        text(0x00080022, "DA", "20240105"),
        text(0x00080032, "TM", f"{100000 + number % 50000}.{chance.randrange(10**6)}"),
        text(0x00200013, "IS", str(number)),
        text(0x00200032, "DS", place),
        text(0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
        text(0x00201041, "DS", f"{chance.uniform(-400, 400):.{chance.randrange(1, 5)}f}"),
        (0x00280010, b"US", struct.pack("<H", 512)),
        (0x00280011, b"US", struct.pack("<H", 512)),
        text(0x00281050, "DS", str(chance.randrange(-600, 1400))),
        text(0x00281051, "DS", str(chance.randrange(1, 4000))),
        (0x7FE00010, b"OW", bytes(256)),
    ]
    rows += [text(0x00282000 | n, "LO", f"{chance.randrange(10**9)}") for n in range(10, 30)]
    return rows


def series_lengths(files: int) -> Iterator[tuple[int, str, list[int]]]:
    """(study number, modality, lengths of its series) until there are so many files."""
    left, study = files, 0
    while left > 0:
        study += 1
        modality = "CT" if study % 2 else "MR"
        lengths = []
        for length in LENGTHS[modality]:
            lengths.append(min(length, left))
            left -= lengths[-1]
            if left <= 0:
                break
        yield study, modality, lengths


def make_tree(root: Path, files: int) -> list[str]:
    """Write the tree, the same for every run; returns the paths."""
    chance = random.Random(1338)
    paths = []
    for study, modality, lengths in series_lengths(files):
        shared = study_rows(chance, study, modality)
        for number, length in enumerate(lengths, 1):
            rows = shared + series_rows(study, number, modality)
            folder = root / f"{study:04}" / f"{number:02}"
            folder.mkdir(parents=True)
            for instance in range(1, length + 1):
                uid = f"{ROOT}.{study}.{number}.{instance}.{chance.randrange(10 ** chance.randrange(3, 9))}"
                path = folder / f"IM{instance:05}"
                own = instance_rows(chance, uid, instance)
                path.write_bytes(preamble(CLASSES[modality], uid) + encoded(rows + own))
                paths.append(str(path))
    return paths


def decline_some(root: Path, paths: list[str], tree: Path, every: int) -> None:
    """The same tree again, every so-and-so-many-th file with two private elements out of order, as some writers do."""
    for number, path in enumerate(paths):
        copy = tree / Path(path).relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        if number % every:
            os.link(path, copy)
        else:
            copy.write_bytes(_out_of_order(Path(path).read_bytes()))


def _out_of_order(content: bytes) -> bytes:
    first, second = (content.index(struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, b"LO")) for tag in PRIVATE)
    end = second + 8 + int.from_bytes(content[second + 6 : second + 8], "little")
    return content[:first] + content[second:end] + content[first:second] + content[end:]


def make_large_tree(root: Path, files: int) -> None:
    """So many files of 4 kB, headers alone: each series is written once in full, then with other own values."""
    chance = random.Random(1339)
    for study, modality, lengths in series_lengths(files):
        shared = study_rows(chance, study, modality)
        for number, length in enumerate(lengths, 1):
            folder = root / f"{study // 100:04}" / f"{study:06}" / f"{number:02}"
            folder.mkdir(parents=True)
            write_series(folder, shared + series_rows(study, number, modality), modality, length, chance)


def write_series(folder: Path, rows: list[Row], modality: str, length: int, chance: random.Random) -> None:
    """A series of headers whose own values differ in content; their lengths differ between series."""
    of = f"{int(folder.parent.name)}.{int(folder.name)}"
    uid = f"{ROOT}.{of}.{chance.randrange(10 ** chance.randrange(3, 9))}."
    marks = f"{uid}899998", 899_998
    own = [row for row in instance_rows(chance, *marks) if row[0] < PIXELS]
    kept = [row for row in rows if row[0] >> 16 != 0x0029]
    whole = preamble(CLASSES[modality], marks[0]) + encoded(kept + own)
    for instance in range(100_001, 100_001 + length):
        (folder / f"IM{instance}").write_bytes(whole.replace(b"899998", b"%d" % instance))
