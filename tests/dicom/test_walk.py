"""Finding the wanted elements: nothing of a damaged file changes silently, and nothing but a code comes out."""

from __future__ import annotations

import io
import random
import zlib
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pydicom.data
import pytest
from builders import BIG_ENDIAN, CLEAN, DEFLATED, EXPLICIT, FAULTS, IMPLICIT, bare, code, dataset, encode, put
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from reading import as_in_a_worker, notes, read_bytes, values

from dicom2fhir.dicom import walk
from dicom2fhir.dicom.elements import LAST_WANTED
from dicom2fhir.dicom.raws import Elements, Encoding, Raw, Skipped, sniff
from dicom2fhir.dicom.walk import find_elements
from dicom2fhir.problems import Code

ITEM, ITEM_END, SEQUENCE_END = b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"
UNDEFINED = b"\xff\xff\xff\xff"
NO_LENGTH = bytes(4)


@pytest.fixture(autouse=True)
def _worker() -> Iterator[None]:
    with as_in_a_worker():
        yield


def found(content: bytes) -> Elements:
    return find_elements(io.BytesIO(content), len(content))


def fate(content: bytes) -> Any:
    """Its elements, or the code of its rejection."""
    try:
        return found(content)
    except Skipped as skipped:
        return skipped.code


def spliced(ds: Dataset, before: bytes, inserted: bytes, syntax: str = EXPLICIT, **how: Any) -> bytes:
    """A file with bytes put in front of the (first) place where `before` stands."""
    content = encode(ds, syntax, **how)
    at = content.index(before)
    return content[:at] + inserted + content[at:]


def sample(**keywords: Any) -> Dataset:
    """An object with all that a cut can hit: texts, nested sequences, a private sequence, pixels."""
    private = [{"StudyDescription": "not this one"}]
    codes = [code("1", "99X", "One", EquivalentCodeSequence=[code("2", "99Y", "Two")])]
    ds = dataset(**{"StudyDescription": "A study", "ProcedureCodeSequence": codes, **keywords})
    put(ds, 0x00090010, "LO", "D2F TESTDATA")
    return put(ds, 0x00091001, "SQ", private)


PIXELS = b"\xe0\x7f\x10\x00OB"

# What an intact file gives


@pytest.mark.parametrize(
    ("syntax", "undefined", "meta", "preamble"),
    [
        written
        for written in product((EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED), *[(True, False)] * 3)
        if written[0] != DEFLATED or written[2]  # nobody could know
    ],
)
def test_the_encoding_never_matters(syntax: str, undefined: bool, meta: bool, preamble: bool, tmp_path: Path) -> None:
    plain = read_bytes(encode(sample()), tmp_path)
    other = read_bytes(encode(sample(), syntax, undefined=undefined, meta=meta, preamble=preamble), tmp_path)
    assert values(other) == values(plain)
    assert other[1:] == plain[1:]


@pytest.mark.parametrize("stated", [EXPLICIT, IMPLICIT, BIG_ENDIAN, "1.2.840.10008.1.2.4.50", "1.2.3", None])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_the_data_set_itself_shows_its_encoding(syntax: str, stated: str | None, tmp_path: Path) -> None:
    content = encode(sample(), syntax, TransferSyntaxUID=stated)
    assert values(read_bytes(content, tmp_path)) == values(read_bytes(encode(sample()), tmp_path))


def test_a_first_group_that_does_not_tell_is_read_as_the_transfer_syntax_says() -> None:
    assert sniff(b"\x01\x20\x0d\x00UI", BIG_ENDIAN) == Encoding(implicit=False, little=False)
    assert sniff(b"\x20\x01\x00\x0dUI", "") == Encoding(implicit=False, little=True)


def sample_files() -> list[Path]:
    roots = [CLEAN, FAULTS, Path(pydicom.data.__file__).parent / "test_files"]
    return [path for root in roots for path in sorted(root.rglob("*")) if path.is_file()]


def test_only_the_head_of_a_large_file_is_read() -> None:
    content = encode(put(sample(), 0x7FE00010, "OW", bytes(10_000_000)))
    fp = io.BytesIO(content)
    assert not find_elements(fp, len(content)).pixels_cut
    assert fp.tell() <= 32 * 1024


def test_a_long_header_is_read_to_its_last_wanted_element(tmp_path: Path) -> None:
    ds = put(sample(), 0x00091002, "OB", bytes(100_000))
    put(ds, 0x00091003, "SQ", [{"PixelData": bytes(50_000)}])
    for undefined in (True, False):
        content = encode(ds, undefined=undefined)
        assert values(read_bytes(content, tmp_path)) == values(read_bytes(encode(sample()), tmp_path))


def test_a_stray_command_set_is_passed_over(tmp_path: Path) -> None:
    plain = values(read_bytes(encode(sample()), tmp_path))
    command = b"\0\0\0\0\4\0\0\0\x0a\0\0\0" + b"\0\0\0\1\2\0\0\0\1\0"
    for syntax in (EXPLICIT, IMPLICIT):
        body = encode(sample(), syntax, meta=False)
        head = encode(sample(), syntax).removesuffix(body)
        assert values(read_bytes(head + command + body, tmp_path)) == plain
        assert values(read_bytes(command + body, tmp_path)) == plain


@pytest.mark.parametrize("length", [0, 3, 5000])
def test_the_meta_information_s_own_length_may_be_wrong(length: int, tmp_path: Path) -> None:
    content = bytearray(encode(sample()))
    content[140:144] = length.to_bytes(4, "little")
    assert values(read_bytes(bytes(content), tmp_path)) == values(read_bytes(encode(sample()), tmp_path))
    without = content[:132] + content[144:]
    assert values(read_bytes(bytes(without), tmp_path)) == values(read_bytes(encode(sample()), tmp_path))


def test_the_meta_information_stands_in_for_missing_uids() -> None:
    raws = found(
        encode(bare(StudyInstanceUID="1.2"), MediaStorageSOPClassUID="1.2.3", MediaStorageSOPInstanceUID="1.2.4")
    ).raws
    assert [raws[tag].value for tag in (0x00080016, 0x00080018)] == [b"1.2.3\0", b"1.2.4\0"]


# What is no file for us


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (b"", Code.EMPTY_FILE),
        (b"\0", Code.NOT_DICOM),
        (b"P5 text and more text " * 20, Code.NOT_DICOM),
        (bytes(5000), Code.NOT_DICOM),
        (b"\x08\0\x16\0" + b"rubbish" * 30, Code.NOT_DICOM),
        (b"\x08\0\x16\0UI\x06\0a.b.c " + b"rubbish" * 30, Code.NOT_DICOM),
        (b"\x08\0\x05\0CS\x0a\0ISO_IR 100" + bytes(80), Code.NOT_DICOM),
        (b"\x02\0\0\0" + b"rubbish" * 30, Code.NOT_DICOM),
        (b"PK\3\4" + bytes(500), Code.NOT_DICOM),
    ],
)
def test_what_does_not_begin_like_dicom_is_not_dicom(content: bytes, code: Code) -> None:
    assert fate(content) is code


@pytest.mark.parametrize(("preamble", "meta"), [(False, True), (False, False)])
def test_a_file_without_preamble_that_names_itself_is_not_lost_silently(preamble: bool, meta: bool) -> None:
    content = encode(sample(), preamble=preamble, meta=meta)
    assert fate(content[: content.index(b"A study") + 3]) is Code.TRUNCATED_HEADER


def file_set(**how: Any) -> bytes:
    ds = bare(
        FileSetID="TEST",
        OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity=0,
        DirectoryRecordSequence=[{"ReferencedFileID": "A" * 40}],
    )
    meta = {"MediaStorageSOPClassUID": "1.2.840.10008.1.3.10", "MediaStorageSOPInstanceUID": "1.2.3"}
    return encode(ds, **({} if how.get("meta") is False else meta), **how)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("how", [{}, {"preamble": False}, {"meta": False}])
def test_a_dicomdir_is_recognised(how: dict[str, Any], syntax: str) -> None:
    assert fate(file_set(syntax=syntax, **how)) is Code.DICOMDIR
    assert fate(bytes(128) + b"DICM" + file_set(syntax=syntax, meta=False)) is Code.DICOMDIR


def test_a_dicomdir_is_recognised_however_damaged() -> None:
    content = file_set()
    assert fate(content[:-3]) is Code.DICOMDIR


# Where a file is cut

SAMPLES = {
    "explicit": encode(sample()),
    "implicit": encode(sample(), IMPLICIT),
    "big-endian": encode(sample(), BIG_ENDIAN),
    "undefined": encode(sample(), undefined=True),
    "undefined-implicit": encode(sample(), IMPLICIT, undefined=True),
    "undefined-big-endian": encode(sample(), BIG_ENDIAN, undefined=True),
    "ends-with-a-sequence": encode(sample(PixelData=None, SharedFunctionalGroupsSequence=[{}]), undefined=True),
    "no-preamble": encode(sample(), preamble=False),
    "bare": encode(sample(), meta=False),
    "deflated": encode(sample(), DEFLATED),
}
WHOLE = {"explicit", "implicit", "big-endian", "undefined", "undefined-implicit", "undefined-big-endian"}
NAMELESS = {Code.NO_STUDY_UID, Code.NO_SERIES_UID, Code.NO_INSTANCE_UID, Code.NO_SOP_CLASS}


def boundaries(name: str) -> set[int]:
    """The lengths at which one of the samples ends with an element of its top level (or of its meta information)."""
    content = SAMPLES[name]
    syntax = {"implicit": IMPLICIT, "big-endian": BIG_ENDIAN}.get(name.removeprefix("undefined-"), EXPLICIT)
    undefined = "undefined" in name or "sequence" in name
    ds = sample(PixelData=None, SharedFunctionalGroupsSequence=[{}]) if "sequence" in name else sample()
    body = encode(ds, syntax, meta=False, undefined=undefined)
    head = len(content) - len(body)
    ends, grown = set(), Dataset()
    for tag in sorted(ds.keys()):
        grown[tag] = ds.get_item(tag)
        ends.add(head + len(encode(grown, syntax, meta=False, undefined=undefined)))
    assert max(ends) == len(content)
    return ends


@pytest.mark.parametrize("name", SAMPLES)
def test_a_cut_at_any_byte_never_changes_a_value_silently(name: str, tmp_path: Path) -> None:
    content = SAMPLES[name]
    whole = values(read_bytes(content, tmp_path))
    ends = boundaries(name) if name in WHOLE or "sequence" in name else set()
    pixels = content.find(b"\xe0\x7f\x10\0")
    pixels = content.find(b"\x7f\xe0\0\x10") if pixels < 0 else pixels
    for length in range(len(content)):
        record = read_bytes(content[:length], tmp_path)
        if record[0] == "skip":
            allowed = {Code.TRUNCATED_HEADER, Code.NOT_DICOM, Code.EMPTY_FILE, *NAMELESS}
            assert Code(record[1]) in allowed, length
            assert not (Code(record[1]) in NAMELESS and ends and length > min(ends) and length not in ends), length
            continue
        said = values(record)
        if ("truncated-pixels", "PixelData") in notes(record):
            assert said == whole
        elif ends:
            assert length in ends
            assert said.items() <= whole.items()
        assert name != "deflated" or said == whole
        assert pixels < 0 or name == "deflated" or length <= pixels or said == whole


@pytest.mark.parametrize("name", sorted(WHOLE))
def test_a_file_that_ends_with_an_element_is_whole(name: str, tmp_path: Path) -> None:
    content = SAMPLES[name]
    last = sorted(boundaries(name))[-2]
    record = read_bytes(content[:last], tmp_path)
    assert values(record) == values(read_bytes(content, tmp_path))
    assert notes(record) == []


@pytest.mark.parametrize("size", [16, 100_000])
@pytest.mark.parametrize("tag", [0x7FE00008, 0x7FE00009, 0x7FE00010])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
def test_pixel_data_of_any_kind_may_be_cut(syntax: str, tag: int, size: int) -> None:
    vr = {0x7FE00008: "OF", 0x7FE00009: "OD", 0x7FE00010: "OW"}[tag]
    content = encode(put(sample(PixelData=None), tag, vr, bytes(size)), syntax)
    assert not found(content).pixels_cut
    assert found(content[:-1]).pixels_cut
    assert found(content[:-size]).pixels_cut
    assert found(content[:-1]).raws == found(content).raws
    header = 8 if syntax == IMPLICIT else 12
    assert fate(content[: -size - 1]) is Code.TRUNCATED_HEADER
    assert not found(content[: -size - header]).pixels_cut


def test_encapsulated_pixel_data_is_not_followed() -> None:
    ds = put(sample(PixelData=None), 0x7FE00010, "OB", encapsulate([b"frame one!", b"frame two!"]))
    raw = ds.get_item(0x7FE00010)
    ds[0x7FE00010] = raw._replace(length=0xFFFFFFFF)
    content = encode(ds)
    for length in (0, 1, 10, 25):
        assert not found(content[: len(content) - length]).pixels_cut


def test_what_lies_behind_the_last_wanted_element_is_stepped_over_and_may_not_be_cut() -> None:
    content = encode(put(sample(PixelData=None), 0x60003000, "OW", bytes(70_000)))
    assert found(content).raws == found(encode(sample(PixelData=None))).raws
    assert fate(content[:-1]) is Code.TRUNCATED_HEADER


def test_the_walk_does_not_follow_a_sequence_behind_the_last_wanted_element() -> None:
    waveform = b"\x00\x54\x00\x01SQ\0\0" + UNDEFINED + ITEM + UNDEFINED
    content = encode(put(sample(PixelData=None), 0x00091002, "OB", bytes(40_000))) + waveform
    assert LAST_WANTED < 0x54000100
    assert not found(content + b"anything").pixels_cut


@pytest.mark.parametrize("count", [8, 12, 512, 40_000])
def test_zeros_behind_the_data_set_are_padding(count: int) -> None:
    content = encode(sample(PixelData=None))
    assert found(content + bytes(count)).raws == found(content).raws


@pytest.mark.parametrize("count", [1, 2, 7])
def test_zeros_that_could_begin_another_element_are_a_cut(count: int) -> None:
    assert fate(encode(sample(PixelData=None)) + bytes(count)) is Code.TRUNCATED_HEADER


@pytest.mark.parametrize("count", [8, 512, 40_000])
def test_zeros_inside_the_data_set_are_damage(count: int) -> None:
    assert fate(spliced(sample(), b"\x10\0\x10\0PN", bytes(count))) is Code.MALFORMED


def test_an_end_of_an_item_that_never_began_is_damage() -> None:
    assert fate(spliced(sample(), b"\x10\0\x10\0PN", ITEM_END + NO_LENGTH)) is Code.MALFORMED


def test_a_file_that_shrinks_while_it_is_read_is_cut() -> None:
    content = encode(put(sample(), 0x00091002, "OB", bytes(40_000)))
    for length in (200, 1000, 30_000, 40_000):
        with pytest.raises(Skipped) as skipped:
            find_elements(io.BytesIO(content[:length]), len(content))
        assert skipped.value.code is Code.TRUNCATED_HEADER


# What damaged lengths and depths ask for


def test_a_length_of_gigabytes_inside_a_private_sequence_takes_no_memory() -> None:
    inner = b"\x09\0\x02\x10OB\0\0\xf0\xff\xff\xff"
    sequence = b"\x09\0\x01\x10SQ\0\0" + UNDEFINED + ITEM + UNDEFINED + inner
    stream = walk._Stream(io.BytesIO(bytes(10)), 0)
    assert len(stream.read(0xFFFFFFF0)) == 10
    content = spliced(dataset(), b"\x10\0\x10\0PN", sequence + bytes(40_000))
    assert fate(content) is Code.TRUNCATED_HEADER


def nested(depth: int) -> bytes:
    """A private sequence of so many levels of undefined length."""
    start = b"\x09\0\x01\x10SQ\0\0" + UNDEFINED + ITEM + UNDEFINED
    return start * depth + (ITEM_END + NO_LENGTH + SEQUENCE_END + NO_LENGTH) * depth


def test_nesting_is_passed_over_up_to_what_a_recursive_reader_can_take(tmp_path: Path) -> None:
    content = spliced(dataset(), b"\x10\0\x10\0PN", nested(20))
    assert values(read_bytes(content, tmp_path)) == values(read_bytes(encode(dataset()), tmp_path))


@pytest.mark.parametrize("depth", range(300, 340))
def test_deeper_nesting_is_one_code_wherever_the_reader_gives_up(depth: int) -> None:
    assert fate(spliced(dataset(), b"\x10\0\x10\0PN", nested(depth))) is Code.TOO_DEEP


def test_a_memory_error_stays_one() -> None:
    """pydicom turns whatever a read raises into an OSError of its own."""
    error = OSError("No tag to read")
    error.__context__ = MemoryError()
    stream = walk._Stream(io.BytesIO(), 0)
    with pytest.raises(MemoryError), walk._Faults(stream, 0):
        raise error


def test_an_error_of_the_file_system_is_not_the_file_s_fault() -> None:
    stream = walk._Stream(io.BytesIO(), 0)
    with pytest.raises(OSError, match="Input/output"), walk._Faults(stream, 0):
        raise OSError(5, "Input/output error")


def test_the_header_has_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "WINDOW", 60_000)
    content = spliced(
        dataset(), b"\x10\0\x10\0PN", b"\x09\0\x02\x10OB\0\0" + (70_000).to_bytes(4, "little") + bytes(70_000)
    )
    assert fate(content) is Code.HEADER_TOO_LARGE
    behind = encode(dataset(PixelData=None)) + b"\0\x60\0\x30OW\0\0" + (70_000).to_bytes(4, "little") + bytes(70_000)
    assert isinstance(fate(behind + b"\xfe\x7f\1\0OB\0\0" + NO_LENGTH), Elements)


def test_a_character_set_of_kilobytes_is_refused() -> None:
    content = encode(dataset(SpecificCharacterSet=None))
    at = content.index(b"\x08\0\x16\0UI")
    charset = b"\x08\0\x05\0UT\0\0" + (70_000).to_bytes(4, "little") + b"ISO_IR 100".ljust(70_000)
    assert fate(content[:at] + charset + content[at:]) is Code.HEADER_TOO_LARGE


# Deflated


def deflated_file(pixels: int, private: int = 0) -> bytes:
    ds = put(sample(PixelData=None), 0x7FE00010, "OW", bytes(pixels))
    if private:
        put(ds, 0x00091002, "OB", bytes(private))
    body = encode(ds, meta=False)
    head = encode(sample(), DEFLATED)
    start = head[: 144 + int.from_bytes(head[140:144], "little")]
    squeezed = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return start + squeezed.compress(body) + squeezed.flush()


def test_inflating_has_a_bound_that_counts_only_where_it_hides_the_header(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "INFLATE_LIMIT", 300_000)
    assert not found(deflated_file(pixels=1_000_000)).pixels_cut
    assert found(deflated_file(pixels=1_000_000)).raws == found(encode(sample())).raws
    assert fate(deflated_file(pixels=16, private=1_000_000)) is Code.INFLATE_LIMIT
    assert isinstance(fate(deflated_file(pixels=16, private=200_000)), Elements)


@pytest.mark.parametrize("length", range(2, 200, 2))
def test_inflating_in_pieces_loses_no_bit(length: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(walk, "_CHUNK", 16)
    ds = sample(PixelData=None, SOPInstanceUID="1" * (length // 4 + 1), StudyDescription="x" * length)
    assert fate(encode(ds, DEFLATED)) == fate(encode(ds))
    assert fate(deflated_file(length)) == fate(encode(put(sample(PixelData=None), 0x7FE00010, "OW", bytes(length))))


def test_what_does_not_inflate_is_damage() -> None:
    content = bytearray(deflated_file(16))
    content[-200] ^= 0xFF
    assert fate(bytes(content)) in (Code.MALFORMED, Code.TRUNCATED_HEADER)
    start = 144 + int.from_bytes(content[140:144], "little")
    assert fate(bytes(content[:start]) + b"\xff" * 100) is Code.MALFORMED


def test_a_deflated_stream_may_be_cut_in_its_pixels() -> None:
    content = encode(put(sample(), 0x7FE00010, "OW", bytes(5000)), DEFLATED)
    assert found(content[:-100]).pixels_cut
    assert found(content[:-100]).raws == found(content).raws


# Sequences


def test_an_undefined_sequence_is_kept_with_its_end_wherever_it_is_read() -> None:
    for extra in (0, 40_000):
        ds = put(dataset(ProcedureCodeSequence=[code("1", "99X")]), 0x00091002, "OB", bytes(extra))
        raw = found(encode(ds, undefined=True)).raws[0x00081032]
        assert raw.value is not None
        assert (raw.vr, raw.undefined) == ("SQ", True)
        assert raw.value.startswith(ITEM)
        assert raw.value.endswith(SEQUENCE_END + NO_LENGTH)


@pytest.mark.parametrize("undefined", [True, False])
def test_a_sequence_of_a_mebibyte_is_not_kept(undefined: bool) -> None:
    big = {"CodeMeaning": b"x" * 60_000}
    ds = dataset(ProcedureCodeSequence=[big] * 18)
    assert found(encode(ds, undefined=undefined)).raws[0x00081032] == Raw("SQ", None, undefined)
    ds = dataset(ProcedureCodeSequence=[big] * 17)
    assert found(encode(ds, undefined=undefined)).raws[0x00081032].value is not None


def test_an_unknown_vr_of_undefined_length_is_a_sequence() -> None:
    item = encode(bare(**code("1", "99X")), IMPLICIT, meta=False)
    element = (
        b"\x08\0\x32\x10UN\0\0" + UNDEFINED + ITEM + len(item).to_bytes(4, "little") + item + SEQUENCE_END + NO_LENGTH
    )
    raws = found(spliced(dataset(), b"\x10\0\x10\0PN", element)).raws
    assert raws[0x00081032].undefined
    assert raws[0x00100010].value == found(encode(dataset())).raws[0x00100010].value


# Mutants


def mutated(content: bytes, chance: random.Random) -> bytes:
    mutant = bytearray(content)
    for _ in range(chance.choice((1, 1, 1, 2, 4, 8))):
        at, other = chance.randrange(len(mutant) + 1), chance.randrange(len(mutant) + 1)
        match chance.randrange(6):
            case 0 | 1 if at < len(mutant):
                mutant[at] = chance.randrange(256)
            case 2:
                mutant[at : at + 4] = chance.choice((UNDEFINED, NO_LENGTH, ITEM, ITEM_END, SEQUENCE_END, PIXELS[:4]))
            case 3:
                del mutant[at : at + chance.randrange(20)]
            case 4:
                mutant[at:at] = mutant[other : other + chance.randrange(64)]
            case 5 if chance.random() < 0.3:
                del mutant[at:]
    return bytes(mutant)


def test_no_mutant_raises(tmp_path: Path) -> None:
    chance = random.Random(20240115)
    originals = [
        path.read_bytes() for path in sample_files() if path.is_relative_to(CLEAN.parent) and path.stat().st_size < 9000
    ]
    skipped = 0
    for _ in range(3000):
        content = mutated(chance.choice(originals), chance)
        record = read_bytes(content, tmp_path)
        assert record[0] in ("header", "skip")
        if record[0] == "skip":
            assert Code(record[1])
            skipped += 1
    assert 1000 < skipped < 2900
