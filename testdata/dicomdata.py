"""Building blocks for small DICOM objects that say exactly what they are told to say, odd values included.

Values given as `bytes` are written as they are, ASCII text unchecked, other text in the object's own character
set. Nothing depends on the clock, on chance or on the zlib at hand, so that the same call gives the same bytes.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pydicom import config
from pydicom.charset import convert_encodings
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element
from pydicom.sequence import Sequence
from pydicom.tag import BaseTag, Tag
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

ROOT = "1.2.826.0.1.3680043.10.1338"
"""The made-up root of every UID in the test data."""

IMPLEMENTATION = (f"{ROOT}.1", "D2F_TESTDATA")

EXPLICIT = ExplicitVRLittleEndian
IMPLICIT = ImplicitVRLittleEndian
BIG_ENDIAN = ExplicitVRBigEndian
DEFLATED = DeflatedExplicitVRLittleEndian

STORAGE = "1.2.840.10008.5.1.4.1.1."
KINDS: dict[str, tuple[str, str | None, bool]] = {
    # kind: SOP class, modality, whether it has pixels
    "cr": (STORAGE + "1", "CR", True),
    "ct": (STORAGE + "2", "CT", True),
    "dx": (STORAGE + "1.1", "DX", True),
    "mg": (STORAGE + "1.2", "MG", True),
    "mr": (STORAGE + "4", "MR", True),
    "enhanced-mr": (STORAGE + "4.1", "MR", True),
    "us": (STORAGE + "6.1", "US", True),
    "us-frames": (STORAGE + "3.1", "US", True),
    "sc": (STORAGE + "7", "OT", True),
    "nm": (STORAGE + "20", "NM", True),
    "pt": (STORAGE + "128", "PT", True),
    "xa": (STORAGE + "12.1", "XA", True),
    "photo": (STORAGE + "77.1.4", "XC", True),
    "slide": (STORAGE + "77.1.6", "SM", True),
    "ecg": (STORAGE + "9.1.1", "ECG", False),
    "pr": (STORAGE + "11.1", "PR", False),
    "raw": (STORAGE + "66", "MR", False),
    "reg": (STORAGE + "66.1", "REG", False),
    "seg": (STORAGE + "66.4", "SEG", False),
    "rwvm": (STORAGE + "67", "RWV", False),
    "keratometry": (STORAGE + "78.3", "KER", False),
    "sr": (STORAGE + "88.11", "SR", False),
    "ko": (STORAGE + "88.59", "KO", False),
    "pdf": (STORAGE + "104.1", "DOC", False),
    "rt-image": (STORAGE + "481.1", "RTIMAGE", True),
    "rt-dose": (STORAGE + "481.2", "RTDOSE", False),
    "rt-struct": (STORAGE + "481.3", "RTSTRUCT", False),
    "rt-plan": (STORAGE + "481.5", "RTPLAN", False),
    "hanging-protocol": ("1.2.840.10008.5.1.4.38.1", None, False),
    "palette": ("1.2.840.10008.5.1.4.39.1", None, False),
    "dicomdir": ("1.2.840.10008.1.3.10", None, False),
}

PIXELS: dict[str, Any] = {
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 4,
    "Columns": 4,
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
    "PixelData": bytes(range(16)),
}

_NUMBERS = {"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"}
_ZERO_PADDED = {"UI", "OB", "OW", "UN"}


def dataset(**keywords: Any) -> Dataset:
    """A dataset of DICOM keywords: bytes, text, numbers, or lists of them; a sequence is a list of dicts.

    A keyword whose value is None is left out.
    """
    made = Dataset()
    for keyword, value in keywords.items():
        if value is not None:
            tag = _tag(keyword)
            put(made, tag, dictionary_VR(tag).split()[0], value)
    return made


def _tag(keyword: str) -> BaseTag:
    number = tag_for_keyword(keyword)
    if number is None:
        raise KeyError(keyword)
    return Tag(number)


def put(target: Dataset, tag: int, vr: str, value: Any) -> Dataset:
    """Set one element with the VR of the caller's choice, private and wrong ones included."""
    target[tag] = _element(Tag(tag), vr, value)
    return target


def _element(tag: BaseTag, vr: str, value: Any) -> DataElement | RawDataElement:
    if isinstance(value, bytes):
        return _raw(tag, vr, value)
    if vr == "SQ":
        items = [item if isinstance(item, Dataset) else dataset(**item) for item in value]
        return DataElement(tag, vr, Sequence(items))
    if vr in _NUMBERS:
        return DataElement(tag, vr, value)
    text = "\\".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
    if text.isascii():
        return _raw(tag, vr, text.encode("ascii"))
    return DataElement(tag, vr, text, validation_mode=config.IGNORE)


def _raw(tag: BaseTag, vr: str, value: bytes) -> RawDataElement:
    padded = value + (b"\0" if vr in _ZERO_PADDED else b" ") * (len(value) % 2)
    return RawDataElement(tag, vr, len(padded), padded, 0, False, True)


def code(value: str, scheme: str | None, meaning: str | None = None, **more: Any) -> dict[str, Any]:
    """An item of a code sequence."""
    return {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning, **more}


def issuer(entity: str, kind: str = "ISO", **more: Any) -> list[dict[str, Any]]:
    """An issuer sequence of one universal entity."""
    return [{"UniversalEntityID": entity, "UniversalEntityIDType": kind, **more}]


def encode(
    ds: Dataset,
    syntax: str = EXPLICIT,
    *,
    preamble: bool = True,
    meta: bool = True,
    undefined: bool = False,
    **meta_keywords: Any,
) -> bytes:
    """The bytes of a DICOM file.

    `undefined` writes sequences and items with undefined length; `preamble=False` leaves out the 128 bytes and
    `DICM`, `meta=False` the file meta information too; `meta_keywords` override elements of it.
    """
    body = _body(ds, syntax == IMPLICIT, syntax != BIG_ENDIAN, undefined)
    if syntax == DEFLATED:
        body = deflated(body)
    if not meta:
        return body
    head = b"\0" * 128 + b"DICM" if preamble else b""
    return head + _meta(ds, syntax, meta_keywords) + body


def _meta(ds: Dataset, syntax: str, keywords: Mapping[str, Any]) -> bytes:
    """The file meta information (PS3.10 section 7.1) that belongs to a dataset."""
    values: dict[str, Any] = {
        "FileMetaInformationVersion": b"\x00\x01",
        "MediaStorageSOPClassUID": _bytes_of(ds, "SOPClassUID"),
        "MediaStorageSOPInstanceUID": _bytes_of(ds, "SOPInstanceUID"),
        "TransferSyntaxUID": syntax,
        "ImplementationClassUID": IMPLEMENTATION[0],
        "ImplementationVersionName": IMPLEMENTATION[1],
        **keywords,
    }
    group = _body(dataset(**values), implicit=False, little=True, undefined=False)
    return _body(dataset(FileMetaInformationGroupLength=len(group)), False, True, False) + group


def _bytes_of(ds: Dataset, keyword: str) -> bytes | None:
    tag = _tag(keyword)
    if tag not in ds:
        return None
    found = ds.get_item(tag)
    return found.value if isinstance(found, RawDataElement) else str(found.value).encode("ascii")


def _body(ds: Dataset, implicit: bool, little: bool, undefined: bool, charset: str = "") -> bytes:
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = implicit, little
    own = _bytes_of(ds, "SpecificCharacterSet")
    charset = charset if own is None else own.decode("ascii").strip()
    for tag in sorted(ds.keys()):
        found = ds.get_item(tag)
        if isinstance(found, DataElement) and found.VR == "SQ":
            found = _sequence(found, implicit, little, undefined, charset)
        text = isinstance(found, DataElement) and found.VR not in _NUMBERS
        write_data_element(buffer, found, convert_encodings(charset.split("\\")) if text else None)
    return bytes(buffer.getvalue())


def _sequence(found: DataElement, implicit: bool, little: bool, undefined: bool, charset: str) -> RawDataElement:
    """A sequence as the raw element of its items' bytes."""
    order = "little" if little else "big"
    value = b""
    for item in found.value:
        body = _body(item, implicit, little, undefined, charset)
        length = (0xFFFFFFFF if undefined else len(body)).to_bytes(4, order)
        value += _item_tag(0xE000, order) + length + body
        value += _item_tag(0xE00D, order) + b"\0\0\0\0" if undefined else b""
    return RawDataElement(found.tag, "SQ", 0xFFFFFFFF if undefined else len(value), value, 0, implicit, little)


def _item_tag(element: int, order: Any) -> bytes:
    return (0xFFFE).to_bytes(2, order) + element.to_bytes(2, order)


class _Bits:
    """A deflate stream under construction (RFC 1951): bits are packed from the lowest of each byte."""

    def __init__(self) -> None:
        self.done = bytearray()
        self._pending, self._count = 0, 0

    def number(self, value: int, width: int) -> None:
        """A plain number, lowest bit first."""
        self._pending |= value << self._count
        self._count += width
        while self._count >= 8:
            self.done.append(self._pending & 0xFF)
            self._pending >>= 8
            self._count -= 8

    def huffman(self, bits: str) -> None:
        """A Huffman code, highest bit first."""
        self.number(int(bits[::-1], 2), len(bits))

    def align(self) -> None:
        """Zero bits up to the next byte."""
        if self._count:
            self.number(0, 8 - self._count)


def deflated(body: bytes) -> bytes:
    """Deflate with the fixed codes, literals only: valid, no smaller, and the same with every zlib."""
    bits = _Bits()
    bits.number(0b011, 3)
    for byte in body:
        bits.huffman(f"{0x30 + byte:08b}" if byte < 144 else f"{0x190 + byte - 144:09b}")
    bits.huffman("0000000")
    bits.align()
    return bytes(bits.done)


def deflated_zeros(before: bytes, zeros: int, after: bytes) -> bytes:
    """Deflate `before`, `zeros` zero bytes and `after`, with 2 bits for 258 zeros.

    The number of zeros is rounded down to 1 + a multiple of 258.
    """
    bits = _Bits()
    _stored(bits, before, last=False)
    bits.number(0b100, 3)
    for value, width in ((286 - 257, 5), (0, 5), (18 - 4, 4)):
        bits.number(value, width)
    # Lengths of the code length codes, in the order 16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1:
    # this makes 18 (a run of zeros) the bit 0, 1 the bits 10 and 2 the bits 11
    for width in (0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 2):
        bits.number(width, 3)
    # Literal 0 has 2 bits, end of block 2, length 258 has 1, distance 1 has 1
    bits.huffman("11")
    for run in (138, 117):
        bits.huffman("0")
        bits.number(run - 11, 7)
    bits.huffman("11")
    bits.huffman("0")
    bits.number(28 - 11, 7)
    bits.huffman("10")
    bits.huffman("10")
    bits.huffman("10")
    for _ in range((zeros - 1) // 258):
        bits.number(0, 2)
    bits.huffman("11")
    _stored(bits, after, last=True)
    return bytes(bits.done)


def _stored(bits: _Bits, body: bytes, *, last: bool) -> None:
    bits.number(int(last), 3)
    bits.align()
    bits.done += len(body).to_bytes(2, "little") + (len(body) ^ 0xFFFF).to_bytes(2, "little") + body


def case_number(name: str) -> int:
    """The number that stands for a case in its UIDs."""
    return 1 + zlib.crc32(name.encode())


@dataclass(frozen=True, slots=True)
class Case:
    """One case under construction: `case("ct", study=1, series=2, number=3, Modality="MR")` makes an object of it.

    Its UIDs come from its name, so that a new case never moves the bytes of another.
    """

    name: str

    def uid(self, *parts: int) -> str:
        """A UID of this case."""
        return ".".join(map(str, (ROOT, case_number(self.name), *parts)))

    def __call__(self, kind: str = "ct", study: int = 1, series: int = 1, number: int = 1, **keywords: Any) -> Dataset:
        """An object with little more than it must have; `keywords` override, and None leaves out."""
        sop_class, modality, pixels = KINDS[kind]
        suffix = f" {study}" if study > 1 else ""
        values: dict[str, Any] = {
            "SOPClassUID": sop_class,
            "SOPInstanceUID": self.uid(study, series, number),
            "StudyDate": "20240115",
            "StudyTime": "093000",
            "Modality": modality,
            "TimezoneOffsetFromUTC": "+0100",
            "PatientName": f"Testperson^{self.name.replace('-', ' ').title()}{suffix}",
            "PatientID": self.name + suffix.replace(" ", "-"),
            "StudyInstanceUID": self.uid(study),
            "SeriesInstanceUID": self.uid(study, series),
            "SeriesNumber": series,
            "InstanceNumber": number,
            **(PIXELS if pixels else {}),
        }
        return dataset(**{**values, **keywords})


Files = Mapping[str, Dataset | bytes]
"""A case's files: the path inside the case's folder, and an object (written plainly) or bytes."""

Maker = Callable[[Case], Files]
"""A case: its docstring is its sentence in the README."""


def case_name(maker: Maker) -> str:
    """The folder of a case: the function's name with dashes."""
    return maker.__name__.replace("_", "-")


def built(maker: Maker) -> dict[str, bytes]:
    """The bytes of a case's files."""
    files = maker(Case(case_name(maker)))
    return {path: content if isinstance(content, bytes) else encode(content) for path, content in files.items()}


def numbered(objects: Iterable[Dataset | bytes]) -> dict[str, Dataset | bytes]:
    """Name files 1.dcm, 2.dcm …"""
    return {f"{number}.dcm": content for number, content in enumerate(objects, 1)}
