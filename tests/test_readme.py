"""The README is true: its transcripts and tables are what the code says today, its options exist, none is missing."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import readme

from dicom2fhir import Limits, Options, Paths, choose, convert

TEXT = readme.README.read_text(encoding="utf-8")
OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9-]*")
COMMANDS = ("convert", "send", "doctor", "inspect", "validate", "map", "problems")
# What needs no word in the README.
UNTOLD = {"--help", "--version", "--null", "--output", "--quiet", "--verbose"}


def help_of(*command: str) -> str:
    done = subprocess.run([sys.executable, "-m", "dicom2fhir", *command, "--help"], capture_output=True, check=True)
    return done.stdout.decode()


def test_transcripts_and_tables_are_what_the_code_says() -> None:
    assert readme.rewritten(TEXT) == TEXT, "make expected writes the README's blocks anew"


def test_every_option_of_convert_is_in_the_readme() -> None:
    assert set(OPTION.findall(help_of("convert"))) - UNTOLD <= set(OPTION.findall(TEXT))


def test_every_option_in_the_readme_exists() -> None:
    known = {option for name in COMMANDS for option in OPTION.findall(help_of(name))}
    written = set(OPTION.findall(TEXT.split("<!-- table: codes -->")[0]))
    assert written - known == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_in_the_readme(name: str) -> None:
    assert name in help_of()
    assert f"dicom2fhir {name}" in TEXT


def test_the_config_of_the_readme_is_taken(tmp_path: Path) -> None:
    (block,) = re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL)
    assert tomllib.loads(block)
    config = tmp_path / "site.toml"
    config.write_text(block)
    study = str(readme.README.parent / "testdata/clean/us")
    command = [sys.executable, "-m", "dicom2fhir", "convert", study, "--config", str(config), "-q"]
    done = subprocess.run(command, capture_output=True, check=True)
    assert b'"resourceType":"ImagingStudy"' in done.stdout


def test_the_library_example_works(tmp_path: Path) -> None:
    source = Paths([str(readme.README.parent / "testdata/clean/us")])
    report = convert(source, choose(str(tmp_path / "out.ndjson"), "bundles"), Options(jobs=1, limits=Limits()))
    assert (report.studies.emitted, report.exit_code) == (1, 0)
