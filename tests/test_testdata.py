"""The test data is what its script makes, whole, small, described, and readable where it says so."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import cases_faults
import make
import pydicom
import pytest
from builders import (
    BIG_ENDIAN,
    CLEAN,
    DEFLATED,
    EXPLICIT,
    FAULTS,
    IMPLICIT,
    TESTDATA,
    bare,
    code,
    dataset,
    encode,
    tree,
    write,
)
from dicomdata import ROOT, STORAGE, Maker, built, case_name, case_number, deflated, deflated_zeros

CASES = [(group, maker) for group, makers in make.GROUPS.items() for maker in makers]
CLEAN_FILES = sorted(path for path in CLEAN.rglob("*") if path.is_file())


def contents(folder: Path) -> dict[str, bytes]:
    found = {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    return {
        name: content for name, content in found.items() if name.split(os.sep)[0] in {"clean", "faults", "README.md"}
    }


def test_what_is_checked_in_is_what_the_script_makes(tmp_path: Path) -> None:
    """Another process, hash seed, time zone and locale: the same bytes."""
    environment = {"PYTHONHASHSEED": "7", "TZ": "Asia/Kolkata", "LC_ALL": "C", "PATH": os.environ["PATH"]}
    command = [sys.executable, "-B", "-W", "error", str(TESTDATA / "make.py"), str(tmp_path)]
    subprocess.run(command, check=True, env=environment)
    made, checked_in = contents(tmp_path), contents(TESTDATA)
    assert sorted(made) == sorted(checked_in)
    assert [name for name in made if made[name] != checked_in[name]] == []


def test_the_readme_has_one_sentence_for_each_case_and_none_more() -> None:
    text = (TESTDATA / "README.md").read_text(encoding="utf-8")
    for group, folder in (("clean", CLEAN), ("faults", FAULTS)):
        part = text.split(f"\n## {group}\n")[1].split("\n## ")[0]
        rows = re.findall(r"^\| ([a-z0-9-]+) \| (.+) \|$", part, re.MULTILINE)
        assert [name for name, _ in rows if name != "case"] == sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(("group", "maker"), CASES, ids=[f"{group}/{case_name(maker)}" for group, maker in CASES])
def test_a_case_is_small_and_has_one_sentence(group: str, maker: Maker) -> None:
    files = built(maker)
    assert 1 <= len(files) <= 8
    assert sum(map(len, files.values())) < 200_000
    assert re.fullmatch(r"[A-Z][^|]*[^.|]\.", make.sentence(maker))


def test_the_whole_is_small() -> None:
    assert sum(map(len, contents(TESTDATA).values())) < 3_000_000


def test_names_of_cases_and_numbers_of_their_uids_are_unique() -> None:
    names = [case_name(maker) for _, maker in CASES]
    assert len({case_number(name) for name in names}) == len(set(names)) == len(names)


@pytest.mark.parametrize("path", CLEAN_FILES, ids=lambda path: str(path.relative_to(CLEAN)))
def test_a_clean_file_is_whole(path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ds = pydicom.dcmread(path, force=True)
        assert ds.StudyInstanceUID.strip().startswith((ROOT, "2.25."))
        assert ds.SeriesInstanceUID.strip().startswith((ROOT, "2.25."))
        for element in ds:
            assert element.tag is not None
    if "PixelData" in ds:
        assert len(ds.PixelData) >= 16


def test_no_two_clean_files_hold_one_instance() -> None:
    found = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in CLEAN_FILES:
            ds = pydicom.dcmread(path, force=True, stop_before_pixels=True)
            instance = ds.get("SOPInstanceUID") or ds.file_meta.MediaStorageSOPInstanceUID
            found.add((ds.StudyInstanceUID, ds.SeriesInstanceUID, instance))
    assert len(found) == len(CLEAN_FILES)


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
def test_every_transfer_syntax_says_the_same(syntax: str, undefined: bool) -> None:
    lung = code("39607008", "SCT", "肺", AnatomicRegionModifierSequence=[code("7771000", "SCT", "Left")])
    ds = dataset(SpecificCharacterSet="ISO_IR 192", PatientName="Tesuto^Jiro=試験^次郎", AnatomicRegionSequence=[lung])
    read = pydicom.dcmread(io.BytesIO(encode(ds, syntax, undefined=undefined)))
    assert read.file_meta.TransferSyntaxUID == syntax
    assert read.file_meta.ImplementationClassUID.startswith(ROOT)
    assert (str(read.PatientName), read.Rows, read.PixelData) == ("Tesuto^Jiro=試験^次郎", 4, bytes(range(16)))
    region = read.AnatomicRegionSequence[0]
    assert (region.CodeMeaning, region.AnatomicRegionModifierSequence[0].CodeValue) == ("肺", "7771000")


def test_odd_values_are_written_as_they_are() -> None:
    ds = bare(SeriesNumber="1A", StudyDate="yesterday", StudyInstanceUID="1.2.x", PatientName=b"\xff\xfe", StudyID=None)
    assert encode(ds, IMPLICIT, meta=False) == (
        b"\x08\x00\x20\x00\x0a\x00\x00\x00yesterday "
        b"\x10\x00\x10\x00\x02\x00\x00\x00\xff\xfe"
        b"\x20\x00\x0d\x00\x06\x00\x00\x001.2.x\0"
        b"\x20\x00\x11\x00\x02\x00\x00\x001A"
    )


def test_an_unknown_keyword_is_a_mistake() -> None:
    with pytest.raises(KeyError, match="StudyDescripton"):
        bare(StudyDescripton="a typing mistake")


def test_preamble_and_meta_can_be_left_out() -> None:
    ds = dataset()
    whole, headless, body = encode(ds), encode(ds, preamble=False), encode(ds, meta=False)
    assert whole == bytes(128) + b"DICM" + headless
    assert headless.endswith(body)
    assert body.startswith(b"\x08\x00\x16\x00UI")


def test_our_deflate_is_deflate() -> None:
    every_byte = bytes(range(256)) * 3
    assert zlib.decompress(deflated(every_byte), -15) == every_byte
    assert (
        zlib.decompress(deflated_zeros(b"before", 1 + 258 * 9, b"after"), -15)
        == b"before" + bytes(1 + 258 * 9) + b"after"
    )


def test_the_deflate_bomb_is_small_and_inflates_beyond_the_limit() -> None:
    content = (FAULTS / "deflate-bomb" / "1.dcm").read_bytes()
    assert len(content) < 100_000
    start = content.index(b"\x02\x00\x00\x00UL\x04\x00") + 12
    start += int.from_bytes(content[start - 4 : start], "little")
    inflated = zlib.decompress(content[start:], -15)
    assert len(inflated) > 64 * 2**20
    assert inflated.endswith(bytes(range(16)))


def test_the_dicomdir_lists_its_image() -> None:
    directory = pydicom.dcmread(FAULTS / "dicomdir" / "DICOMDIR")
    records = directory.DirectoryRecordSequence
    assert [record.DirectoryRecordType for record in records] == ["PATIENT", "STUDY", "SERIES", "IMAGE", "IMAGE"]
    assert "\\".join(records[3].ReferencedFileID) == "IMAGES\\IM000001"
    content = (FAULTS / "dicomdir" / "DICOMDIR").read_bytes()
    lower = [record.OffsetOfReferencedLowerLevelDirectoryEntity for record in records[:3]]
    assert all(content[offset : offset + 4] == b"\xfe\xff\x00\xe0" for offset in lower)
    assert len(set(lower)) == 3


def test_every_demanded_fault_is_there() -> None:
    names = {case_name(maker) for maker in cases_faults.CASES}
    assert names >= {
        "truncated-header",
        "truncated-pixels",
        "duplicate-identical",
        "duplicate-conflicting",
        "patient-disagreement",
        "sop-uid-in-two-series",
        "bad-dates",
        "bad-times",
        "bad-offsets",
        "no-modality",
        "odd-numbers",
        "leading-zero-uids",
        "not-dicom",
        "dicomdir",
    }


def test_a_tree_has_distinct_instances(tmp_path: Path) -> None:
    paths = tree(tmp_path, patients=2, studies=2, series=2, instances=3, fillers=5, pixels=64)
    assert len(paths) == 24
    read = [pydicom.dcmread(path) for path in paths]
    assert len({ds.SOPInstanceUID for ds in read}) == 24
    assert len({ds.SeriesInstanceUID for ds in read}) == 8
    assert len({ds.StudyInstanceUID for ds in read}) == 4
    assert len({ds.PatientID for ds in read}) == 2
    assert {ds.InstanceNumber for ds in read} == {100_001, 100_002, 100_003}
    assert {ds.SOPClassUID for ds in read} == {STORAGE + "2"}
    assert all(ds[0x00091004].value.endswith("00004") and len(ds.PixelData) == 64 for ds in read)


def test_write_makes_folders(tmp_path: Path) -> None:
    path = write(tmp_path / "a" / "b", dataset(PatientID="12,34"), IMPLICIT, preamble=False)
    assert pydicom.dcmread(path, force=True).PatientID == "12,34"
    assert write(tmp_path / "c" / "d", b"not DICOM").read_bytes() == b"not DICOM"
