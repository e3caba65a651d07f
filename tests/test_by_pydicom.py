"""`pytest --reader pydicom` leaves out what it may, and nothing else; whatever scans is found out."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from builders import CLEAN
from by_pydicom import NO_SCANNER, TESTS, reads
from delivering import command

ABOUT_THE_SCANNER = {
    "dicom/test_library.py": 3,
    "dicom/test_predict.py": 1,
    "dicom/test_scan.py": 1,
    "test_canaries.py": 1,
    "test_fuzz.py": 1,
    "test_house.py": 1,
    "test_readers.py": 1,
}
"""Where tests are marked so, and how often: whole modules but for the first, the canaries and the house."""
PROGRAM = """
import sys
from dicom2fhir.dicom.header import read_file
from dicom2fhir.dicom.records import Scope
print(read_file(sys.argv[1], Scope(), sys.argv[2])[0])
"""


def test_most_folders_are_known_to_read_or_not() -> None:
    found = {str(path.relative_to(TESTS)): reads(path) for path in TESTS.rglob("test_*.py")}
    assert {name for name, it_does in found.items() if it_does} > {
        "cli/test_commands.py",
        "dicom/test_header.py",
        "fhir/test_merge.py",
        "real/test_delivery_real.py",
        "real/test_goldens.py",
        "real/test_story.py",
        "test_expected.py",
        "test_hostile.py",
        "test_pipeline.py",
    }
    assert not any(it_does for name, it_does in found.items() if name.startswith(("codes", "mapping", "server")))


@pytest.mark.parametrize(
    ("text", "it_does"),
    [
        ("from dicom2fhir.pipeline import convert", True),
        ("from dicom2fhir import pipeline", True),
        ("from dicom2fhir.dicom import header", True),
        ('Task("dicom2fhir.dicom.header:read_file")', True),
        ('run("convert", folder)', True),
        ('def test():\n    from check import result', True),
        ("import reading", True),
        ("from dicom2fhir.fhir.validate import check", False),
        ("from delivering import command\ncommand('send')", False),
    ],
)  # fmt: skip
def test_what_reads_shows_it(text: str, it_does: bool, tmp_path: Path) -> None:
    module = tmp_path / "test_it.py"
    module.write_text(text, encoding="utf-8")
    assert reads(module) == it_does


def test_no_command_reads_where_nothing_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As conftest.py has it for modules that are left out."""
    monkeypatch.setenv("DICOM2FHIR_READER", "none")
    assert command("convert", tmp_path).code == command("inspect", tmp_path).code == 2


def test_few_tests_are_about_the_scanner() -> None:
    texts = {path: path.read_text(encoding="utf-8") for path in TESTS.rglob("test_*.py")}
    marks = {str(path.relative_to(TESTS)): len(re.findall(r"mark\.scanner\(\"", text)) for path, text in texts.items()}
    assert {path: number for path, number in marks.items() if number} == ABOUT_THE_SCANNER


@pytest.mark.parametrize("reader", ["auto", "pydicom"])
def test_a_process_that_scans_is_found_out(reader: str, tmp_path: Path) -> None:
    calls = tmp_path / "calls"
    path = os.pathsep.join([str(NO_SCANNER), *filter(None, sys.path)])
    command = [sys.executable, "-c", PROGRAM, str(next((CLEAN / "us").iterdir())), reader]
    env = {**os.environ, "PYTHONPATH": path, "SCANNER_CALLS": str(calls)}
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert calls.exists() == ("the scanner was called" in done.stderr) == (reader == "auto")
    assert done.stdout == ("" if reader == "auto" else "header\n")
