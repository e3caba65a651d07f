"""One object's record: the values that pydicom reads, in bounds, with everything that is wrong as a code."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
from builders import BIG_ENDIAN, EXPLICIT, IMPLICIT, bare, code, dataset, encode, put, uid, write
from pydicom.dataset import Dataset
from reading import as_in_a_worker, notes, oracle, read, read_bytes, values

from dicom2fhir.dicom import header
from dicom2fhir.dicom.elements import ELEMENTS
from dicom2fhir.dicom.header import read_file
from dicom2fhir.dicom.records import Scope, comparable, parse_context, parse_row
from dicom2fhir.problems import Code

DATA = Path(pydicom.data.__file__).parent
PER_FRAME = "PerFrameFunctionalGroupsSequence"


@pytest.fixture(autouse=True)
def _worker() -> Iterator[None]:
    with as_in_a_worker():
        yield


@pytest.fixture(autouse=True)
def _fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(header, "_readers", {})


def record(ds: Dataset | bytes, folder: Path, syntax: str = EXPLICIT, scope: Scope | None = None, **how: Any) -> Any:
    return read_bytes(ds if isinstance(ds, bytes) else encode(ds, syntax, **how), folder, scope)


def raw(tag: int, vr: str, value: bytes) -> Dataset:
    return put(dataset(), tag, vr, value)


# pydicom is the oracle


def of_pydicom() -> list[Path]:
    return [
        path for name in ("test_files", "charset_files") for path in sorted((DATA / name).rglob("*")) if path.is_file()
    ]


@pytest.mark.parametrize("path", of_pydicom(), ids=lambda path: path.name)
def test_every_value_is_what_pydicom_reads(path: Path) -> None:
    found = read(path)
    if found[0] == "skip":
        assert Code(found[1]) in (
            {Code.NOT_DICOM, Code.DICOMDIR, Code.NO_STUDY_UID}
            | ({Code.TRUNCATED_HEADER} if "truncated" in path.name else set())
        )
        return
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(vars(pydicom.filereader), "convert_encodings", pydicom.charset.convert_encodings)
        said = oracle(pydicom.dcmread(path, force=True, stop_before_pixels=True), ELEMENTS)
    said.pop("SpecificCharacterSet", None)
    if PER_FRAME in said:
        said[PER_FRAME] = distinct(said[PER_FRAME])
    assert normal(values(found)) == normal(said)


def distinct(items: list[Any]) -> list[Any]:
    """The different ones that say something, in the order of their text, as a record has the frames of an object."""
    unique = {
        json.dumps(item, sort_keys=True, ensure_ascii=False, separators=(",", ":")): item for item in items if item
    }
    return [unique[key] for key in sorted(unique)]


def normal(value: Any) -> Any:
    """Without what says nothing: padding of each value, empty groups at the end of a name, empty elements."""
    if isinstance(value, dict):
        return {key: normal(each) for key, each in value.items() if normal(each)}
    if isinstance(value, list):
        return [normal(each) for each in value]
    return [part.strip(" \0").rstrip("=") for part in value.split("\\")]


def test_most_of_pydicom_s_files_are_read() -> None:
    """So that the test above says something."""
    assert sum(read(path)[0] == "header" for path in of_pydicom()) > 150


# The record


def test_a_record_has_a_shared_part_and_an_own_part(tmp_path: Path) -> None:
    found = record(dataset(number=7, StudyDescription="S"), tmp_path)
    context, (own, _) = parse_context(found[2]), parse_row(found[3], found[5])
    assert (context.study, context.series, found[4]) == (uid(1), uid(1, 1), uid(1, 1, 7))
    assert context.sop_class == "1.2.840.10008.5.1.4.1.1.2"
    assert context.values["StudyDescription"] == "S"
    assert own == {"InstanceNumber": "7"}
    assert not {"StudyInstanceUID", "SOPInstanceUID", "SpecificCharacterSet"} & {*context.values, *own}


def test_a_context_is_given_once(tmp_path: Path) -> None:
    paths = [write(tmp_path / str(n), dataset(number=n, series=series)) for n, series in ((1, 1), (2, 1), (3, 2))]
    first, second, third = (read_file(str(path), Scope()) for path in paths)
    assert first[0] == second[0] == third[0] == "header"
    assert first[1] == second[1] != third[1]
    assert [each[2] is None for each in (first, second, third)] == [False, True, False]


@pytest.mark.parametrize("change", [{"SOPInstanceUID": None}, {"SOPInstanceUID": "x"}])
def test_a_context_that_went_nowhere_is_given_again(change: dict[str, Any], tmp_path: Path) -> None:
    bad, good = write(tmp_path / "1", dataset(**change), **NO_META_UIDS), write(tmp_path / "2", dataset())
    assert read_file(str(bad), Scope())[0] == "skip"
    assert read_file(str(good), Scope())[2] is not None


def test_the_memory_of_contexts_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [write(tmp_path / str(n), dataset(StudyDescription=f"{n}")) for n in range(5)]
    monkeypatch.setattr(header, "_CONTEXTS_KEPT", 2)

    def given(path: Path) -> bool:
        return read_file(str(path), Scope(), "pydicom")[2] is not None

    said = [given(path) for path in (*paths[:2], *paths[:2], *paths, paths[0])]
    assert said == [True, True, False, False, False, False, True, True, True, True]
    monkeypatch.setattr(header, "_BYTES_KEPT", 100)
    assert given(paths[0])
    assert given(paths[0])


def test_equal_contexts_have_one_digest_however_they_were_written(tmp_path: Path) -> None:
    digests = {
        record(dataset(StudyDescription="S"), tmp_path, syntax)[1] for syntax in (EXPLICIT, IMPLICIT, BIG_ENDIAN)
    }
    digests.add(record(dataset(StudyDescription="S ", SpecificCharacterSet="ISO_IR 192"), tmp_path)[1])
    assert len(digests) == 1


def test_the_pixels_are_never_compared(tmp_path: Path) -> None:
    content = encode(dataset())
    whole, cut, other = (record(each, tmp_path) for each in (content, content[:-3], encode(dataset(number=2))))
    assert compared(whole) == compared(cut)
    assert notes(cut) == [("truncated-pixels", "PixelData")]
    assert compared(record(dataset(InstanceNumber="5"), tmp_path)) != compared(whole) != compared(other)


def compared(found: Any) -> str:
    return comparable(found[3], found[5])


# UIDs

NO_META_UIDS = {"MediaStorageSOPClassUID": None, "MediaStorageSOPInstanceUID": None}
UIDS = {
    "StudyInstanceUID": (Code.NO_STUDY_UID, ""),
    "SeriesInstanceUID": (Code.NO_SERIES_UID, uid(1)),
    "SOPClassUID": (Code.NO_SOP_CLASS, f"{uid(1)}/{uid(1, 1)}"),
    "SOPInstanceUID": (Code.NO_INSTANCE_UID, f"{uid(1)}/{uid(1, 1)}"),
}


@pytest.mark.parametrize("value", [None, b"", b"\0\0", b"   \0"])
@pytest.mark.parametrize("keyword", UIDS)
def test_an_object_without_one_of_its_uids_is_rejected(keyword: str, value: bytes | None, tmp_path: Path) -> None:
    code, where = UIDS[keyword]
    assert record(dataset(**{keyword: value}), tmp_path, **NO_META_UIDS) == ("skip", code.value, "", where)


@pytest.mark.parametrize("value", [b"1.2.x", b"1.2\\1.3", b"1..2", b"1.2." + b"3" * 61, b"one", b"1.2\x003", b"1.2 3"])
@pytest.mark.parametrize("keyword", UIDS)
def test_what_is_no_uid_is_never_one(keyword: str, value: bytes, tmp_path: Path) -> None:
    found = record(dataset(**{keyword: value}), tmp_path, **NO_META_UIDS)
    assert found == ("skip", "bad-uid", keyword, UIDS[keyword][1])


@pytest.mark.parametrize("value", [b"1.02.3", b"7.1", b"5", b" 1.2.3\0", b"1.2.3\0\0\0", b"1." + b"3" * 62])
@pytest.mark.parametrize("keyword", UIDS)
def test_digits_and_dots_pass_without_their_padding(keyword: str, value: bytes, tmp_path: Path) -> None:
    found = record(dataset(**{keyword: value}), tmp_path, **NO_META_UIDS)
    assert values(found)[keyword] == value.decode().strip("\0 ")


def test_a_uid_of_a_mebibyte_is_a_bad_one(tmp_path: Path) -> None:
    long = put(dataset(), 0x0020000D, "UT", b"1" * 1_100_000)
    assert record(long, tmp_path)[1] == "bad-uid"


# Scope


def excluded(ds: Dataset, folder: Path, modalities: set[str] = frozenset(), classes: set[str] = frozenset()) -> Any:  # type: ignore[assignment]
    found = record(ds, folder, scope=Scope(frozenset(modalities), frozenset(classes)), **NO_META_UIDS)
    return found[1] if found[0] == "skip" else None


def test_what_the_user_leaves_out(tmp_path: Path) -> None:
    ct = "1.2.840.10008.5.1.4.1.1.2"
    assert excluded(dataset(), tmp_path, {"CT"}) == "excluded-modality"
    assert excluded(dataset(Modality="ct"), tmp_path, {"CT"}) == "excluded-modality"
    assert excluded(dataset(Modality="\\CT\\MR"), tmp_path, {"CT"}) == "excluded-modality"
    assert excluded(dataset(Modality=None), tmp_path, {"CT"}) == "excluded-modality"
    assert excluded(dataset(Modality="odd"), tmp_path, {"ODD"}) == "excluded-modality"
    assert excluded(dataset(), tmp_path, {"MR"}, {"1.2.3"}) is None
    assert excluded(dataset(), tmp_path, {"MR"}, {ct}) == "excluded-sop-class"
    assert excluded(dataset(SOPClassUID=f"{ct}\0"), tmp_path, set(), {ct}) == "excluded-sop-class"


def test_scope_comes_before_everything_that_can_be_wrong(tmp_path: Path) -> None:
    bad = dataset(StudyInstanceUID=None, SeriesInstanceUID="x", SOPInstanceUID=None, ProcedureCodeSequence=[{}] * 1001)
    assert excluded(bad, tmp_path, {"CT"}) == "excluded-modality"
    assert excluded(bad, tmp_path) == "too-many-items"


def test_one_file_in_two_scopes_of_one_process(tmp_path: Path) -> None:
    path = str(write(tmp_path / "1", dataset()))
    assert read_file(path, Scope())[0] == "header"
    assert read_file(path, Scope(frozenset({"CT"})))[1] == "excluded-modality"


@pytest.mark.parametrize(
    ("kind", "code"),
    [("hanging-protocol", "not-a-patient-object"), ("palette", "not-a-patient-object"), ("dicomdir", "dicomdir")],
)
def test_what_belongs_to_no_study(kind: str, code: str, tmp_path: Path) -> None:
    ds = dataset(kind, StudyInstanceUID=None)
    assert record(ds, tmp_path)[1] == code
    assert record(ds, tmp_path, MediaStorageSOPClassUID="1.2.3")[1] == code


# Limits and type gates


def noted(
    ds: Dataset, keyword: str, folder: Path, syntax: str = EXPLICIT, code: Code = Code.VALUE_INVALID, **how: Any
) -> bool:
    """Whether a value is absent and noted, and everything else is as it should be."""
    found = record(ds, folder, syntax, **how)
    said = values(found)
    assert said["PatientID"] == "tests"
    return said.get(keyword) is None and notes(found) == [(code.value, keyword)]


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT])
def test_a_text_of_more_than_64_kib_is_left_out(syntax: str, tmp_path: Path) -> None:
    vr = "UT" if syntax == EXPLICIT else "LO"
    fits = record(raw(0x00081030, vr, b"x" * 65_536), tmp_path, syntax)
    assert len(values(fits)["StudyDescription"]) == 65_536
    assert noted(raw(0x00081030, vr, b"x" * 65_538), "StudyDescription", tmp_path, syntax)
    assert noted(raw(0x00081030, vr, b"x" * 1_100_000), "StudyDescription", tmp_path, syntax)


def test_a_text_in_an_item_has_the_same_limit(tmp_path: Path) -> None:
    ds = dataset(
        "slide", SpecimenDescriptionSequence=[{"SpecimenUID": "1.2", "SpecimenDetailedDescription": "x" * 65_538}]
    )
    found = record(ds, tmp_path)
    assert values(found)["SpecimenDescriptionSequence"] == [{"SpecimenUID": "1.2"}]
    assert notes(found) == [("value-invalid", "SpecimenDetailedDescription")]


@pytest.mark.parametrize("undefined", [True, False])
def test_a_sequence_of_more_than_a_mebibyte_is_left_out(undefined: bool, tmp_path: Path) -> None:
    ds = dataset(ProcedureCodeSequence=[{"CodeMeaning": "x" * 60_000}] * 18)
    assert noted(ds, "ProcedureCodeSequence", tmp_path, undefined=undefined)


@pytest.mark.parametrize("undefined", [True, False])
def test_a_thousand_items_and_no_more(undefined: bool, tmp_path: Path) -> None:
    item = {"CodeMeaning": "x"}
    found = record(dataset(ProcedureCodeSequence=[item] * 1000), tmp_path, undefined=undefined)
    assert values(found)["ProcedureCodeSequence"] == [item] * 1000
    for many in (dataset(ProcedureCodeSequence=[item] * 1001), dataset(RequestAttributesSequence=[{}] * 1001)):
        assert record(many, tmp_path, undefined=undefined)[1] == "too-many-items"
    inside = dataset(ReferringPhysicianIdentificationSequence=[{"PersonIdentificationCodeSequence": [{}] * 1001}])
    assert record(inside, tmp_path, undefined=undefined)[1] == "too-many-items"


@pytest.mark.parametrize("undefined", [True, False])
def test_frames_are_as_many_as_they_are_and_say_one_thing_once(undefined: bool, tmp_path: Path) -> None:
    def frame(side: str) -> dict[str, Any]:
        return {"FrameAnatomySequence": [{"FrameLaterality": side}]}

    frames = [frame("R"), {}, *[frame("L")] * 1500, frame("R")]
    found = record(dataset("enhanced-mr", PerFrameFunctionalGroupsSequence=frames), tmp_path, undefined=undefined)
    assert values(found)[PER_FRAME] == [frame("L"), frame("R")]


BINARY = ["SQ", "US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT", "OW", "OF", "OD", "OL", "OV"]


@pytest.mark.parametrize("vr", BINARY)
def test_binary_values_are_no_text(vr: str, tmp_path: Path) -> None:
    assert noted(raw(0x00081030, vr, b"\x11\0\x41\0\x41\0\x41\0"), "StudyDescription", tmp_path)
    assert noted(raw(0x00200013, vr, b"\x11\0\0\0\0\0\0\0"), "InstanceNumber", tmp_path)


@pytest.mark.parametrize("vr", ["UN", "OB", "LT", "XX", "CS"])
def test_text_under_another_name_is_text(vr: str, tmp_path: Path) -> None:
    assert values(record(raw(0x00081030, vr, b"Described "), tmp_path))["StudyDescription"] == "Described"


def test_a_text_of_undefined_length_is_none(tmp_path: Path) -> None:
    text = b"\x08\0\x30\x10OB\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\4\0\0\0abcd\xfe\xff\xdd\xe0\0\0\0\0"
    content = encode(dataset())
    at = content.index(b"\x10\0\x10\0PN")
    found = record(content[:at] + text + content[at:], tmp_path)
    assert notes(found) == [("value-invalid", "StudyDescription")]
    assert "StudyDescription" not in values(found)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize(
    "value",
    [
        b"LUNG",
        b"\x08\0\0\1SH\2\0AB",
        b"\xfe\xff\x00\xe0\x50\0\0\0\x08\0\0\1SH\2\0AB",
        b"\xfe\xff\x00\xe0\x0a\0\0\0\x08\0\0\1SH\x20\0AB",
        b"\xfe\xff\x00\xe0\x08\0\0\0\x08\0\0\1SH\2\0AB",
        b"\xfe\xff\x00\xe0\xff\xff\xff\xff\x08\0\0\1SH\x20\0AB",
        b"\xfe\xff\x00\xe0\x0a\0",
    ],
)
def test_a_damaged_sequence_is_left_out(value: bytes, syntax: str, tmp_path: Path) -> None:
    assert noted_somehow(raw(0x00081032, "SQ", value), tmp_path, syntax)


def noted_somehow(ds: Dataset, folder: Path, syntax: str) -> bool:
    found = record(ds, folder, syntax)
    return "ProcedureCodeSequence" not in values(found) and {code for code, _ in notes(found)} == {"value-invalid"}


@pytest.mark.parametrize("implicit", [True, False])
@pytest.mark.parametrize("vr", ["UN", "OB"])
def test_a_sequence_under_another_name_is_a_sequence(vr: str, implicit: bool, tmp_path: Path) -> None:
    item = encode(bare(**code("1", "99X", "One")), IMPLICIT if implicit and vr == "UN" else EXPLICIT, meta=False)
    body = b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item
    found = record(raw(0x00081032, vr, body), tmp_path)
    assert values(found)["ProcedureCodeSequence"] == [code("1", "99X", "One")]


def test_unknown_vrs_are_little_endian_in_big_endian_files_too(tmp_path: Path) -> None:
    item = encode(bare(**code("1", "99X", "One")), IMPLICIT, meta=False)
    body = b"\xfe\xff\x00\xe0" + len(item).to_bytes(4, "little") + item
    found = record(raw(0x00081032, "UN", body), tmp_path, BIG_ENDIAN)
    assert values(found)["ProcedureCodeSequence"] == [code("1", "99X", "One")]


def test_an_empty_item_keeps_its_place_and_empty_sequences_are_absent(tmp_path: Path) -> None:
    person = {"InstitutionName": "H"}
    ds = dataset(PhysiciansReadingStudyIdentificationSequence=[{}, person], OperatorIdentificationSequence=[{}, {}])
    said = values(record(ds, tmp_path))
    assert said["PhysiciansReadingStudyIdentificationSequence"] == [{}, person]
    assert "OperatorIdentificationSequence" not in said


def test_a_nested_sequence_for_a_text_is_noted(tmp_path: Path) -> None:
    inner = put(Dataset(), 0x00080104, "SQ", [{"CodeValue": "9"}])
    put(inner, 0x00080100, "SH", "1")
    for undefined in (True, False):
        found = record(dataset(ProcedureCodeSequence=[inner]), tmp_path, undefined=undefined)
        assert values(found)["ProcedureCodeSequence"] == [{"CodeValue": "1"}]
        assert notes(found) == [("value-invalid", "CodeMeaning")]


# Character sets


def test_items_inherit_the_character_set_and_may_have_their_own(tmp_path: Path) -> None:
    greek, russian = "Διάγνωση".encode("iso8859_7"), "Диагноз".encode("iso8859_5")
    inner = code("2", "99X", None, SpecificCharacterSet="ISO_IR 144")
    for undefined in (True, False):
        ds = dataset(
            SpecificCharacterSet="ISO_IR 126",
            StudyDescription=greek,
            ProcedureCodeSequence=[
                {"CodeMeaning": greek, "EquivalentCodeSequence": [{"CodeMeaning": greek}]},
                {**inner, "CodeMeaning": russian, "EquivalentCodeSequence": [{"CodeMeaning": russian}]},
                {"CodeMeaning": greek},
            ],
        )
        found = record(ds, tmp_path, undefined=undefined)
        items = values(found)["ProcedureCodeSequence"]
        assert [item["CodeMeaning"] for item in items] == ["Διάγνωση", "Диагноз", "Διάγνωση"]
        nested = [item["EquivalentCodeSequence"][0]["CodeMeaning"] for item in items[:2]]
        assert nested == ["Διάγνωση", "Диагноз"]
        assert values(found)["StudyDescription"] == "Διάγνωση"
        assert notes(found) == []


@pytest.mark.parametrize("label", [b"bz2", b"punycode", b"zlib", b"\0\\bz2", b"x" * 1000, b"..\\..", b"rot13\0\\\xff"])
def test_a_character_set_of_no_name_is_a_note(label: bytes, tmp_path: Path) -> None:
    content = encode(dataset(StudyDescription="Lungenödem".encode("latin_1")))
    at = content.index(b"\x08\0\x16\0UI")
    label += b" " * (len(label) % 2)
    element = b"\x08\0\x05\0CS" + len(label).to_bytes(2, "little") + label
    found = record(content[:at] + element + content[at:], tmp_path)
    assert values(found)["StudyDescription"] == "Lungenödem"
    assert notes(found) == [("charset-unknown", "StudyDescription")]


def test_no_codec_is_looked_up_by_a_file_s_word(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    item = code("1", "99X", "One", SpecificCharacterSet="bz2")
    ds = dataset(SpecificCharacterSet="punycode", ProcedureCodeSequence=[item])
    contents = [encode(ds, undefined=undefined) for undefined in (True, False)]
    asked: list[str] = []
    monkeypatch.setattr("codecs.lookup", asked.append)
    for content in contents:
        assert record(content, tmp_path)[0] == "header"
    assert {"punycode", "bz2"}.isdisjoint(asked)


def test_backslashes_stay_between_values(tmp_path: Path) -> None:
    said = values(record(dataset(OperatorsName="A^B\\C^D", OtherPatientIDs="1\\2"), tmp_path))
    assert (said["OperatorsName"], said["OtherPatientIDs"]) == ("A^B\\C^D", "1\\2")


# Files that cannot be opened


def test_what_is_no_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket"))
        for name, code in (
            ("fifo", "special-file"),
            ("socket", "special-file"),
            (".", "special-file"),
            ("x", "vanished"),
        ):
            assert read_file(str(tmp_path / name), Scope()) == ("skip", code, "", "")
    assert read_file("/dev/null", Scope())[1] == "special-file"
    assert read_file(str(tmp_path / "x" / "y"), Scope())[1] == "vanished"


@pytest.mark.parametrize(("number", "code"), [(13, "permission"), (1, "permission"), (2, "vanished"), (5, "io-error")])
def test_what_the_system_says(number: int, code: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any) -> int:
        raise OSError(number, "no")

    path = write(tmp_path / "1", dataset())
    monkeypatch.setattr(os, "open", fail)
    assert read_file(str(path), Scope()) == ("skip", code, "", "")


def test_nothing_stays_open(tmp_path: Path) -> None:
    paths = [
        write(tmp_path / "small", dataset()),
        write(tmp_path / "large", put(dataset(), 0x00091001, "OB", bytes(90_000))),
        write(tmp_path / "none", b"no dicom"),
        write(tmp_path / "cut", encode(dataset())[:300]),
        write(tmp_path / "bomb", encode(dataset(), "1.2.840.10008.1.2.1.99")),
    ]
    os.mkfifo(tmp_path / "fifo")
    before = os.listdir("/proc/self/fd")
    for path in (*paths, tmp_path / "fifo", tmp_path):
        read_file(str(path), Scope())
    assert os.listdir("/proc/self/fd") == before


def test_no_value_of_the_file_is_ever_in_a_message(tmp_path: Path) -> None:
    secret = "Doe^Jane"
    for keyword in UIDS:
        found = record(dataset(**{keyword: secret, "PatientName": secret}), tmp_path, **NO_META_UIDS)
        assert secret not in str(found[1:])
