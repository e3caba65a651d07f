"""The scanner gives what pydicom gives, or declines; of intact files it declines few."""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
from builders import BIG_ENDIAN, CLEAN, DEFLATED, EXPLICIT, FAULTS, IMPLICIT, bare, code, dataset, encode, put
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from reading import as_in_a_worker, read

from dicom2fhir.dicom import scan as scanner
from dicom2fhir.dicom.elements import BY_TAG
from dicom2fhir.dicom.raws import CHARSET, LONG_VRS, SHORT_VRS, SOP_CLASS, SOP_INSTANCE, Elements, Skipped
from dicom2fhir.dicom.scan import FIRST_READ, Plan, Window, scan
from dicom2fhir.dicom.walk import find_elements
from dicom2fhir.problems import Code

pytestmark = pytest.mark.scanner("is about the scanner")
DATA = Path(pydicom.data.__file__).parent
SYNTAXES = (EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED)
UNDEFINED = b"\xff\xff\xff\xff"
BEFORE_THE_PATIENT = b"\x10\0\x10\0PN"


@pytest.fixture(autouse=True)
def _worker() -> Iterator[None]:
    with as_in_a_worker():
        yield


def scanned(content: bytes) -> Elements | None:
    found = scan(Window(content, len(content)))
    return found.elements() if found else None


def sample(**keywords: Any) -> Dataset:
    """An object with nested, private and unknown sequences, texts of both kinds of length, and pixels."""
    inner = code("1", "99X", "One", EquivalentCodeSequence=[code("2", "99Y", "Two")])
    ds = dataset(ProcedureCodeSequence=[inner, code("3", "99X")], ReasonForVisit="a long text", **keywords)
    put(ds, 0x00090010, "LO", "D2F TESTDATA")
    put(ds, 0x00091001, "SQ", [{"StudyDescription": "not this one"}])
    return put(ds, 0x00091002, "UN", b"unknown ")


def with_bytes(inserted: bytes, before: bytes = BEFORE_THE_PATIENT) -> bytes:
    content = encode(dataset())
    at = content.index(before)
    return content[:at] + inserted + content[at:]


def files(*roots: Path) -> list[Path]:
    return [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]


OF_PYDICOM = files(DATA / "test_files", DATA / "charset_files")
OURS = files(CLEAN, FAULTS)

# The same as pydicom


@pytest.mark.parametrize(
    ("syntax", "undefined", "meta", "preamble"),
    [each for each in product(SYNTAXES, *[(True, False)] * 3) if each[0] != DEFLATED or each[2]],
)
def test_every_encoding_is_scanned(syntax: str, undefined: bool, meta: bool, preamble: bool) -> None:
    content = encode(sample(), syntax, undefined=undefined, meta=meta, preamble=preamble)
    found = scanned(content)
    assert found is not None
    assert found == find_elements_of(content)
    assert len(found.raws) > 10


def find_elements_of(content: bytes) -> Elements:
    fd = os.memfd_create("content")
    with open(fd, "w+b", buffering=0) as file:
        file.write(content)
        file.seek(0)
        return find_elements(file, len(content))


@pytest.mark.parametrize("path", [*OF_PYDICOM, *OURS], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_both_readers_give_one_record(path: Path) -> None:
    assert read(path) == read(path, reader="pydicom")


def test_few_intact_files_are_declined(capsys: pytest.CaptureFixture[str]) -> None:
    given = [path for path in (*OF_PYDICOM, *files(CLEAN)) if read(path)[0] == "header"]
    declined = [path.name for path in given if scanned(path.read_bytes()) is None]
    with capsys.disabled():
        print(f"\nthe scanner declines {len(declined)} of {len(given)} intact files: {', '.join(declined)}")
    assert len(given) > 500
    assert len(declined) < len(given) / 20


@pytest.mark.parametrize("path", [*OF_PYDICOM, *files(CLEAN)], ids=lambda path: f"{path.parent.name}/{path.name}")
def test_raw_values_are_those_of_a_plain_dcmread(path: Path) -> None:
    if read(path)[0] == "skip":
        return  # what both readers say of it is held above
    found = scanned(path.read_bytes()) or find_elements_of(path.read_bytes())
    plain = pydicom.dcmread(path, force=True, stop_before_pixels=True)
    lie: dict[int, Any] = {int(tag): each for tag, each in dict(plain.items()).items() if tag in BY_TAG}
    stand_ins = found.raws.keys() - lie.keys()
    assert stand_ins <= {SOP_CLASS, SOP_INSTANCE}  # from the meta information
    assert lie.keys() <= found.raws.keys()
    for tag, raw in found.raws.items():
        if tag in stand_ins:
            continue
        if isinstance(lie[tag], RawDataElement):
            assert (raw.vr, raw.value) == (lie[tag].VR, lie[tag].value or b""), hex(tag)
        else:
            assert raw.undefined or tag == CHARSET  # which dcmread converts at once


# How much is read


class Counted(Window):
    """A window that remembers what it was asked for."""

    def __init__(self, content: bytes) -> None:
        self.fd = os.memfd_create("content")
        os.write(self.fd, content)
        super().__init__(content[:FIRST_READ], len(content), self.fd)
        self.asked: list[int] = []

    def reach(self, end: int) -> bytes:
        before = len(self.data)
        data = super().reach(end)
        self.asked.append(len(data) - before)
        return data

    def close(self) -> None:
        os.close(self.fd)


@pytest.mark.parametrize(
    ("private", "pixels", "reads"),
    [(0, 10, 0), (0, 10_000_000, 0), (40_000, 10_000_000, 1), (300_000, 10_000_000, 1), (900_000, 10, 1)],
)
def test_a_long_header_takes_one_more_read(private: int, pixels: int, reads: int) -> None:
    ds = put(put(sample(), 0x00091003, "OB", bytes(private)), 0x7FE00010, "OW", bytes(pixels))
    content = encode(ds)
    window = Counted(content)
    found = scan(window)
    window.close()
    assert found is not None
    assert found.elements() == find_elements_of(content)
    assert len(window.asked) == reads
    assert len(window.data) < FIRST_READ + 2 * private + 20_000


def test_a_value_that_is_wanted_is_read_where_the_file_ends_with_it() -> None:
    content = encode(put(bare(**{**META, "ReasonForVisit": "x" * 60_000}), 0x00091003, "OB", bytes(40_000)))
    window = Counted(content)
    found = scan(window)
    window.close()
    assert found is not None
    assert found.elements().raws[0x00321066].value == b"x" * 60_000


def test_a_wanted_value_at_the_end_of_a_file_beyond_the_bound_is_declined() -> None:
    content = encode(put(bare(**{**META, "ReasonForVisit": "x" * 60_000}), 0x00091003, "OB", bytes(1_000_000)))
    window = Counted(content)
    assert scan(window) is None
    window.close()


META = {"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2", "SOPInstanceUID": "1.2.3", "StudyInstanceUID": "1.2"}


def test_what_lies_beyond_a_mebibyte_is_declined_and_not_read() -> None:
    content = encode(put(sample(), 0x00091003, "OB", bytes(1_200_000)))
    window = Counted(content)
    assert scan(window) is None
    window.close()
    assert len(window.data) == FIRST_READ


def test_pixel_data_of_any_size_may_be_cut() -> None:
    content = encode(put(sample(), 0x7FE00010, "OW", bytes(1000)))
    for length in (1, 999, 1000):
        found = scanned(content[:-length])
        assert found is not None
        assert found.pixels_cut
        assert found.raws == scanned(content).raws  # type: ignore[union-attr]
    assert not scanned(content).pixels_cut  # type: ignore[union-attr]
    assert scanned(content[:-1001]) is None


def test_the_known_heads_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scanner, "_HEADS", 10)
    plan = Plan(BY_TAG, scanner.EXPLICIT_LITTLE)
    for tag in range(100):
        plan.learn(tag.to_bytes(4, "little") + b"LO")
    assert len(plan.heads) <= 10


# What is declined


def element(head: bytes, value: bytes = b"") -> bytes:
    return head + len(value).to_bytes(2, "little") + value


@pytest.mark.parametrize(
    "content",
    [
        with_bytes(element(b"\x09\0\x01\x10??", b"12")),
        with_bytes(element(b"\x09\0\x01\x10\0\0", b"12")),
        with_bytes(element(b"\x09\0\x01\x10XX", b"12")),
        with_bytes(element(b"\x08\0\x05\0CS", b"ISO_IR 100")),
        with_bytes(b"\x08\0\x05\0UT\0\0" + (70_000).to_bytes(4, "little") + b" " * 70_000, before=b"\x08\0\x16\0UI"),
        with_bytes(b"\x09\0\x01\x10OB\0\0" + UNDEFINED + b"\xfe\xff\xdd\xe0" + bytes(4)),
        with_bytes(b"\x09\0\x01\x10SQ\0\0" + UNDEFINED + b"\xfe\xff\xdd\xe0" + b"\1\0\0\0"),
        with_bytes(b"\xfe\xff\x0d\xe0" + bytes(4)),
        with_bytes(bytes(8)),
        with_bytes(b"\x09\0\x01\x10OB\0\0\0\0\0\x7f"),
        encode(sample())[:500],
        encode(dataset(SOPInstanceUID=None)),
        encode(dataset(PixelData=None)) + bytes(3),
        encode(dataset(PixelData=None)) + b"\xfe\xff\x0d\xe0" + bytes(4),
        encode(dataset(PixelData=None)) + b"\xfe\xff\x0d\xe0UT\0\0" + bytes(4),
        encode(sample(), DEFLATED)[:-20],
        encode(sample())[:132] + b"\0\0\0\0\4\0\0\0\x0a\0\0\0" + encode(sample(), meta=False),
        encode(sample(), meta=False, preamble=False, SOPInstanceUID="x").replace(b"1.2.", b"x.y."),
    ],
)
def test_what_is_unusual_is_declined(content: bytes) -> None:
    assert scanned(content) is None


def test_a_bomb_is_declined_before_it_bursts() -> None:
    head = encode(sample(), DEFLATED)
    start = head[: 144 + int.from_bytes(head[140:144], "little")]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    bomb = start + squeeze.compress(encode(sample(), meta=False) + bytes(50 << 20)) + squeeze.flush()
    assert scanned(bomb) is None


@pytest.mark.parametrize(
    ("content", "code"), [(b"", Code.EMPTY_FILE), (b"no dicom", Code.NOT_DICOM), (bytes(5000), Code.NOT_DICOM)]
)
def test_what_is_no_file_for_us_takes_no_pydicom(content: bytes, code: Code) -> None:
    with pytest.raises(Skipped) as skipped:
        scanned(content)
    assert skipped.value.code is code


@pytest.mark.parametrize("meta", [{"MediaStorageSOPClassUID": "1.2.840.10008.1.3.10"}, {}])
def test_a_dicomdir_takes_no_pydicom(meta: dict[str, str]) -> None:
    with pytest.raises(Skipped) as skipped:
        scanned(encode(bare(FileSetID="TEST"), **meta))
    assert skipped.value.code is Code.DICOMDIR


def test_the_vrs_are_pydicom_s() -> None:
    from pydicom.valuerep import EXPLICIT_VR_LENGTH_16, EXPLICIT_VR_LENGTH_32

    assert {vr.encode() for vr in EXPLICIT_VR_LENGTH_16} == SHORT_VRS
    assert {vr.encode() for vr in EXPLICIT_VR_LENGTH_32} == LONG_VRS
