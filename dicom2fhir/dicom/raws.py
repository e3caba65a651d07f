"""Raw elements: what reading finds of a file, whoever reads it, and the bounds that every reader keeps.

Two readers give the same `Elements`: `scan` walks over bytes and declines what is unusual, `walk` has pydicom read.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from dicom2fhir.dicom.values import BadValue, parse_uid
from dicom2fhir.problems import Code

TEXT_LIMIT: Final = 64 * 1024
SEQUENCE_LIMIT: Final = 1024 * 1024
WINDOW: Final = 64 * 1024 * 1024
INFLATE_LIMIT: Final = 64 * 1024 * 1024
UNDEFINED: Final = 0xFFFFFFFF

CHARSET: Final = 0x00080005
SOP_CLASS: Final = 0x00080016
SOP_INSTANCE: Final = 0x00080018
STUDY: Final = 0x0020000D
SERIES: Final = 0x0020000E
META_CLASS: Final = 0x00020002
META_INSTANCE: Final = 0x00020003
SYNTAX: Final = 0x00020010
PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
BEHIND_PIXELS: Final = frozenset({0xFFFA, 0xFFFC})
FILE_SET: Final = frozenset({0x00041130, 0x00041141, 0x00041142, 0x00041200})

SHORT_VRS: Final = frozenset(b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split())
"""VRs with two bytes of length (PS3.5 7.1.2)."""
LONG_VRS: Final = frozenset(b"OB OD OF OL OV OW SQ SV UC UN UR UT UV".split())
"""VRs with four bytes of length behind two that are reserved."""

MAGIC: Final = b"DICM"
META_START: Final = b"\x02\0\0\0UL\4\0"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
DICOMDIR: Final = "1.2.840.10008.1.3.10"
_BIG_ENDIAN: Final = "1.2.840.10008.1.2.2"


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


EXPLICIT_LITTLE: Final = Encoding(implicit=False, little=True)
IMPLICIT_LITTLE: Final = Encoding(implicit=True, little=True)


class Elements(NamedTuple):
    """What a file holds of the wanted elements, and whether it was cut inside its pixel data."""

    raws: Raws
    encoding: Encoding
    pixels_cut: bool


class Item(NamedTuple):
    """What an item of a sequence holds of the wanted elements; a sequence may be its items already."""

    found: dict[int, Raw | list[Item]]
    encoding: Encoding


def uid(raws: Raws, tag: int) -> str:
    """A UID without its padding, as it is written; empty where there is none."""
    raw = raws.get(tag)
    return (raw.value or b"").decode("latin-1").strip("\0 ") if raw else ""


def begins(head: bytes, size: int) -> bool:
    """Whether a file of `size` bytes that starts with `head` has a preamble; raises Skipped for what is not DICOM."""
    if size == 0:
        raise Skipped(Code.EMPTY_FILE)
    magic = head[128:132] == MAGIC
    if not magic and not _may_be_bare(head):
        raise Skipped(Code.NOT_DICOM)
    return magic


def _may_be_bare(head: bytes) -> bool:
    """Whether a file without preamble starts like one: an element of group 0000, 0002, 0004 or 0008."""
    group = min(int.from_bytes(head[:2], "little"), int.from_bytes(head[:2], "big"))
    return len(head) > 64 and any(head[:8]) and group in (0x0000, 0x0002, 0x0004, 0x0008)


def surely_dicom(head: bytes, raws: Raws) -> bool:
    """Whether a file without preamble has shown what it is: meta information, or one of the UIDs that name it."""
    return head.startswith(META_START) or any(
        _is_uid(uid(raws, tag)) for tag in (SOP_CLASS, SOP_INSTANCE, STUDY, SERIES)
    )


def _is_uid(text: str) -> bool:
    try:
        return "." in parse_uid(text)
    except BadValue:
        return False


def sniff(start: bytes, syntax: str) -> Encoding:
    """How a data set is written, which its first tag and VR show: transfer syntaxes are sometimes wrong.

    The first group is a small number, so that its bytes tell their order.
    """
    explicit = len(start) == 6 and start[4:6].isalpha() and start[4:6].isupper()
    little, big = int.from_bytes(start[:2], "little"), int.from_bytes(start[:2], "big")
    if min(little, big) > 0xFF:
        return Encoding(not explicit, syntax != _BIG_ENDIAN)
    return Encoding(not explicit, little <= big)


def first_tag(start: bytes, encoding: Encoding) -> int:
    """The tag that a data set starts with."""
    order: Any = "little" if encoding.little else "big"
    return int.from_bytes(start[:2], order) << 16 | int.from_bytes(start[2:4], order)


def tag_bytes(tag: int) -> bytes:
    """A tag as it lies in a little-endian file."""
    return (tag >> 16).to_bytes(2, "little") + (tag & 0xFFFF).to_bytes(2, "little")
