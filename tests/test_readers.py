"""Whatever reads the files, the scanner or pydicom: one output, one report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

import pytest
from builders import TESTDATA

from dicom2fhir.pipeline import Options, convert
from dicom2fhir.sinks.choose import choose
from dicom2fhir.sources.directory import Paths

pytestmark = pytest.mark.scanner("names both readers")


def converted(folder: str, reader: Literal["auto", "pydicom"], to: Path) -> tuple[bytes, dict[str, Any]]:
    output, report = to / f"{reader}.ndjson", to / f"{reader}.json"
    options = Options(reader=reader, jobs=2, report=str(report))
    convert(Paths([str(TESTDATA / folder)]), choose(str(output), "ndjson"), options)
    said = json.loads(report.read_text(encoding="utf-8"))
    del said["seconds"]
    return output.read_bytes(), said


@pytest.mark.parametrize("folder", ["clean", "faults"])
def test_both_readers_give_the_same_bytes(folder: str, tmp_path: Path) -> None:
    quick, slow = converted(folder, "auto", tmp_path), converted(folder, "pydicom", tmp_path)
    assert quick == slow
    assert quick[1]["instances"]["emitted"] > 50
