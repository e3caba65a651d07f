"""Layout prediction: a series is walked once or twice, and what is predicted is what pydicom reads."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from builders import BIG_ENDIAN, EXPLICIT, IMPLICIT, code, dataset, encode, put, uid, write
from pydicom.dataset import Dataset
from reading import as_in_a_worker

from dicom2fhir.dicom import header, layout, predict
from dicom2fhir.dicom.header import read_file
from dicom2fhir.dicom.layout import Choice, Layout, signature, stretches
from dicom2fhir.dicom.raws import CHARSET, LONG_VRS, tag_bytes
from dicom2fhir.dicom.records import Scope
from dicom2fhir.dicom.scan import Scan, Window, scan

pytestmark = pytest.mark.scanner("is about what the scanner learns")
SCOPE = Scope()


@pytest.fixture(autouse=True)
def _worker(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(header, "_readers", {})
    with as_in_a_worker():
        yield


def image(number: int, series: int = 1, **keywords: Any) -> Dataset:
    """An image as a series has them: private blocks, sequences, values whose lengths vary."""
    chance = random.Random(f"{series} {number}")
    varying = {
        "InstanceNumber": str(number),
        "AcquisitionTime": f"1{number:05}.{chance.randrange(10 ** chance.randrange(1, 6))}",
        "AcquisitionDate": "20240115",
        "ImagePositionPatient": "\\".join(str(chance.randrange(10**4)) for _ in range(3)),
        "WindowCenter": str(chance.randrange(10**3)),
    }
    ds = dataset(series=series, number=number, StudyDescription="A study", **{**varying, **keywords})
    put(ds, 0x00081032, "SQ", [code("1", "99X", "One")])
    put(ds, 0x00081140, "SQ", [{"ReferencedSOPInstanceUID": uid(1, 1, number)}])
    put(ds, 0x00090010, "LO", "D2F TESTDATA")
    return put(ds, 0x00091001, "LO", "private")


def read(content: bytes | Dataset, folder: Path, reader: header.Reader = "auto", **how: Any) -> Any:
    path = write(folder / "object", content, **how)
    return read_file(str(path), SCOPE, reader)


def check(content: bytes | Dataset, folder: Path, **how: Any) -> Any:
    """What `auto` reads, which is what pydicom reads but for the context that may have been given before."""
    quick = read(content, folder, **how)
    slow = read(content, folder, "pydicom")
    if quick[0] == "skip":
        assert quick == slow
    else:
        assert (*quick[:2], *quick[3:]) == (*slow[:2], *slow[3:])
        assert quick[2] is None or slow[2] is None or quick[2] == slow[2]
    return quick


class Walks:
    """Counts the walks."""

    def __enter__(self) -> Walks:
        self.count = 0
        self._patch = patch.object(header, "scan", self._scan)
        self._patch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._patch.stop()

    def _scan(self, *arguments: Any) -> Any:
        self.count += 1
        return scan(*arguments)


# That it predicts


@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
def test_a_series_is_walked_until_it_is_known(syntax: str, undefined: bool, tmp_path: Path) -> None:
    undefined = undefined and syntax == EXPLICIT
    with Walks() as walks:
        for number in range(1, 40):
            check(encode(image(number), syntax, undefined=undefined), tmp_path)
        assert walks.count <= 6
        learned = walks.count
        for number in range(1, 40):
            check(encode(image(number, series=2), syntax, undefined=undefined), tmp_path)
        assert walks.count == learned + 1


def test_series_may_be_interleaved(tmp_path: Path) -> None:
    with Walks() as walks:
        for number in range(1, 30):
            for series in range(1, 6):
                check(image(number, series), tmp_path)
        assert walks.count < 20


def test_big_endian_files_are_walked(tmp_path: Path) -> None:
    with Walks() as walks:
        for number in range(1, 5):
            check(encode(image(number), BIG_ENDIAN), tmp_path)
        assert walks.count == 4


def test_an_implicit_sequence_of_undefined_length_that_varies_is_walked(tmp_path: Path) -> None:
    for number in range(1, 12):
        check(encode(image(number), IMPLICIT, undefined=True), tmp_path)


def test_a_context_that_varies_within_a_series_is_known_again(tmp_path: Path) -> None:
    with Walks() as walks:
        for number in range(1, 60):
            check(image(number, SeriesTime=f"10000{number % 4}", ImageLaterality="RL"[number % 2]), tmp_path)
        assert walks.count < 15


def test_an_element_that_comes_and_goes_costs_walks_but_nothing_else(tmp_path: Path) -> None:
    for number in range(1, 40):
        check(image(number, KVP="120" if number % 3 else None), tmp_path)


def test_text_beyond_ascii_is_walked_and_right(tmp_path: Path) -> None:
    labels = ["Läufer".encode("latin_1"), b"plain", b'a"quote', b"tab\there", b"", b"  "]
    for number in range(1, 30):
        label = labels[number % len(labels)]
        check(image(number, ContentDescription=label, SpecificCharacterSet="ISO_IR 100"), tmp_path)


def test_headers_longer_than_one_read_are_predicted(tmp_path: Path) -> None:
    with Walks() as walks:
        for number in range(1, 20):
            ds = put(image(number), 0x00091002, "OB", random.Random(number).randbytes(40_000 + 2 * number))
            check(put(ds, 0x7FE00010, "OW", bytes(30_000)), tmp_path)
        assert walks.count <= 6


@pytest.mark.parametrize("pixels", [None, b"\0" * 16, b"\0" * 16 + b"\xe0\x7f\x10\0OW" * 3])
def test_whatever_follows_the_header_is_seen(pixels: bytes | None, tmp_path: Path) -> None:
    for number in range(1, 8):
        check(image(number, PixelData=pixels), tmp_path)
    content = encode(image(9, PixelData=pixels))
    for length in range(1, 60):
        check(content[:-length], tmp_path)
        check(content + bytes(length), tmp_path)


# That it predicts nothing wrong


def test_a_change_of_any_byte_is_seen(tmp_path: Path) -> None:
    chance = random.Random(20240117)
    for number in range(1, 10):
        check(image(number), tmp_path)
    content = encode(image(10))
    pixels = content.rindex(b"\xe0\x7f\x10\0")
    places = [*range(len(content)), *[at for at in range(pixels, pixels + 12) for _ in range(8)]]
    for at in places:
        new = chance.choice((content[at] ^ 1 << chance.randrange(8), chance.randrange(256)))
        check(content[:at] + bytes([new]) + content[at + 1 :], tmp_path)
        check(image(11), tmp_path) if at % 50 == 0 else None


@pytest.mark.parametrize("value", ["1.2.x", "1" * 65, "", "1..2", "1.2\\1.3", " 1.2.3", "1.2."])
def test_a_bad_uid_is_rejected_in_the_midst_of_a_series(value: str, tmp_path: Path) -> None:
    for number in range(1, 6):
        check(image(number), tmp_path)
    bad = encode(image(7, SOPInstanceUID=value.encode()), MediaStorageSOPInstanceUID="1.2.3")
    check(bad, tmp_path)


def test_another_scope_forgets_what_was_in_this_one(tmp_path: Path) -> None:
    path = str(write(tmp_path / "1", image(1)))
    assert [read_file(path, SCOPE)[0] for _ in range(3)] == ["header"] * 3
    assert read_file(path, Scope(frozenset({"CT"})))[1] == "excluded-modality"
    assert read_file(path, SCOPE)[2] is not None


# Bounds


def test_what_is_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(predict, "_SERIES_KEPT", 4)
    for series in range(1, 30):
        for number in (1, 2, 3):
            check(image(number, series), tmp_path)
    kept = header._readers["auto"]._predictions
    assert len(kept._series) <= 4
    monkeypatch.setattr(predict, "_BYTES_KEPT", 10_000)
    for series in range(1, 30):
        check(image(1, series), tmp_path)
    assert 1 <= len(kept._series) <= 4
    assert sum(len(each._found.data) for each in kept._series.values()) <= 10_000


def test_a_layout_is_not_made_anew_for_ever(tmp_path: Path) -> None:
    with patch.object(predict, "Prediction", wraps=predict.Prediction) as made:
        for number in range(1, 60):
            ds = image(number)
            for extra in range(number % 7):
                put(ds, 0x00091010 + extra, "LO", "more")
            check(ds, tmp_path)
    assert made.call_count <= predict._BUILDS


def found(ds: Dataset, **how: Any) -> Any:
    content = encode(ds, **how)
    return scan(Window(content, len(content)))


def test_tags_that_vary_are_learned_from_files_of_the_same_elements_only() -> None:
    choice = Choice()
    before = set(choice.varying)
    choice.learn(found(image(1)), found(image(2, KVP="120")))
    assert choice.varying == before
    choice.learn(found(image(1, SpecificCharacterSet="ISO_IR 6")), found(image(2, SpecificCharacterSet="ISO_IR 100")))
    assert tag_bytes(0x00200032) in choice.varying
    assert tag_bytes(CHARSET) not in choice.varying
    assert tag_bytes(0x00081030) not in choice.varying


def test_a_layout_fits_what_it_was_made_of_whatever_is_said_to_vary() -> None:
    chance = random.Random(20240118)
    for number in range(1, 60):
        content = encode(image(number, PixelData=b"12" if number % 2 else None), undefined=number % 3 == 0)
        one = scan(Window(content, len(content)))
        assert one is not None
        numbers = sorted(chance.sample(range(len(one.starts)), chance.randrange(1, len(one.starts))))
        wanted = set(chance.sample([one.starts[number] for number in numbers], len(numbers) // 2))
        values = Layout(one, numbers, wanted).match(content, len(content))
        assert values == [extent(one, start) for start in sorted(wanted)]


def extent(one: Scan, start: int) -> tuple[int, int]:
    """Where the value of an element starts and ends in an explicit file."""
    end = [*one.starts, one.stop][one.starts.index(start) + 1]
    return start + (12 if one.data[start + 4 : start + 6] in LONG_VRS else 8), end


def short_elements(lengths: list[int]) -> Dataset:
    """A file in which private elements of these lengths follow each other, a wanted one behind them."""
    ds = put(dataset(InstanceNumber="7"), 0x00190010, "LO", "D2F TESTDATA")
    for number, length in enumerate(lengths):
        put(ds, 0x00191001 + number, "LO", "x" * length)
    return ds


def test_short_elements_are_taken_together_where_that_pays() -> None:
    chance = random.Random(20240119)
    one = found(short_elements([4] * 12))
    varying = [n for n, start in enumerate(one.starts) if one.data[start : start + 2] in (b"\x19\0", b"\x20\0")]
    wanted = {one.starts[varying[-1]], one.starts[varying[3]]}
    slow, quick = Layout(one, varying, wanted), Layout(one, varying, wanted)
    quick._stretches = stretches(quick._steps, often=True)
    assert sum(pattern is not None for pattern, _ in quick._stretches) == 1
    for _ in range(200):
        content = encode(short_elements([2 * chance.randrange(9 if chance.random() < 0.9 else 20) for _ in range(12)]))
        assert quick.match(content, len(content)) == slow.match(content, len(content)) is not None
        at = chance.randrange(len(content))
        content = content[:at] + bytes([content[at] ^ 1 << chance.randrange(8)]) + content[at + 1 :]
        for bytes_ in (content, content[: chance.randrange(len(content))]):
            assert quick.match(bytes_, len(bytes_)) == slow.match(bytes_, len(bytes_))


def test_expressions_are_made_for_what_several_series_have_or_many_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_expressions", layout._Expressions())
    one = found(short_elements([6] * 9))
    layouts = [Layout(one, list(range(10, len(one.starts))), set()) for _ in range(layout._ASKED + 1)]
    made = [any(pattern for pattern, _ in each._stretches) for each in layouts]
    assert made == [False] * (layout._ASKED - 1) + [True] * 2
    content = encode(short_elements([6] * 9))
    for _ in range(layout._OFTEN):
        assert layouts[0].match(content, len(content)) is not None
    assert any(pattern for pattern, _ in layouts[0]._stretches)


def test_the_memory_of_expressions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "_EXPRESSIONS_KEPT", 2)
    kept = layout._Expressions()
    for count in range(4, 50):
        one = found(short_elements([6] * count))
        Layout(one, list(range(10, len(one.starts))), set())
        steps = Layout(one, list(range(len(one.starts) - count, len(one.starts) - 1)), set())._steps
        kept.get(steps, often=count % 2 == 0)
        assert len(kept._made) <= 2
        assert len(kept._asked) <= 33


@pytest.mark.parametrize(("vr", "fits"), [(b"SQ", True), (b"UN", True), (b"OB", False), (b"UT", False)])
def test_a_value_of_undefined_length_is_stepped_over_where_it_is_a_sequence(vr: bytes, fits: bool) -> None:
    content = encode(image(1), undefined=True)
    one = scan(Window(content, len(content)))
    assert one is not None
    sequence = content.index(b"\x08\0\x40\x11SQ")
    changed = content[: sequence + 4] + vr + content[sequence + 6 :]
    made = Layout(one._replace(data=changed), [one.starts.index(sequence)], {sequence})
    assert (made.match(changed, len(changed)) is not None) is fits


def test_a_signature_is_the_series_uid() -> None:
    contents = [
        encode(image(number, series), syntax)
        for syntax in (EXPLICIT, IMPLICIT)
        for series in (1, 2)
        for number in (1, 2)
    ]
    signatures = [signature(content) for content in contents]
    assert signatures[0] == signatures[1] != signatures[2]
    assert signatures[4] == signatures[5] != signatures[6]
    assert all(uid(1, 1).encode() in each for each in (signatures[0], signatures[4]))
    assert signature(b"") == signature(b"\x20\0\x0e\0UI") == b""


def test_the_own_part_is_canonical(tmp_path: Path) -> None:
    for number in range(1, 5):
        record = read(image(number, ContentLabel="LABEL", RTImageName='"x"\\y'), tmp_path)
        assert list(record[3]) == sorted(record[3])
        assert record[3][:2] == ("AcquisitionDate", "AcquisitionTime")
        assert record[5][0] == "20240115"
