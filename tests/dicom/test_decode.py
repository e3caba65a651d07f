"""What is remembered of decoded values says what decoding anew says, notes included."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import pytest
from builders import code, dataset, encode
from pydicom.dataset import Dataset

from dicom2fhir.dicom import decode
from dicom2fhir.dicom.elements import BY_TAG
from dicom2fhir.dicom.nested import items
from dicom2fhir.dicom.scan import Window, scan

NAMES = ["Doe^Jane", b"M\xfcller^J\xf6rg", b"\x1b$B;3ED", "", " "]
CHARSETS = ["ISO_IR 100", "ISO_IR 192", "\\ISO 2022 IR 87", "ISO_IR 6", "wrong"]
MEANINGS = ["One", b"\xff\xfe", b"\xc3\xa4", "x" * 2000]


@pytest.fixture(autouse=True)
def _nothing_is_remembered() -> Iterator[None]:
    decode._remembered.clear()
    yield
    decode._remembered.clear()


def said(ds: Dataset) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    content = encode(ds)
    found = scan(Window(content, len(content)))
    assert found is not None
    return decode.decoded(BY_TAG, found.elements(), items)


def sample(chance: random.Random) -> Dataset:
    values = {
        "PatientName": chance.choice(NAMES),
        "ReferringPhysicianName": chance.choice(NAMES),
        "SpecificCharacterSet": chance.choice(CHARSETS),
        "ProcedureCodeSequence": [code("1", "99X", chance.choice(MEANINGS))],
        "RequestedProcedureCodeSequence": [code("1", "99X", chance.choice(MEANINGS))],
    }
    return dataset(**{name: value for name, value in values.items() if chance.random() < 0.8})


def test_what_is_remembered_is_what_would_be_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    chance = random.Random(20240120)
    samples = [sample(chance) for _ in range(300)]
    remembering = [said(ds) for ds in samples]
    assert decode._remembered
    monkeypatch.setattr(decode, "_LONGEST_REMEMBERED", -1)
    decode._remembered.clear()
    assert remembering == [said(ds) for ds in samples]
    assert not decode._remembered
    assert any(notes for _, notes in remembering)


def test_a_note_that_was_made_before_is_made_again_for_the_next() -> None:
    damaged = code("1", "99X", b"\xff\xfe")
    both = {"ProcedureCodeSequence": [damaged], "RequestedProcedureCodeSequence": [damaged]}
    _, notes = said(dataset(SpecificCharacterSet="ISO_IR 192", **both))
    assert len(notes) == 1
    for one in both.items():
        assert said(dataset(SpecificCharacterSet="ISO_IR 192", **dict([one])))[1] == notes


def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decode, "_REMEMBERED", 50)
    for number in range(200):
        said(dataset(StudyDescription=f"{number}", PatientID=f"{number}"))
        assert len(decode._remembered) <= 50
    said(dataset(StudyDescription="x" * 2000))
    assert not any(len(raw.value or b"") > 1024 for _, raw, _ in decode._remembered)
