"""`dicom2fhir map` prints what the code does, and the help names the versions that there are."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from dicom2fhir.cli.options import VERSIONS
from dicom2fhir.fhir.versions import DIALECTS


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "dicom2fhir", "map", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", DIALECTS)
def test_every_version_has_a_map(version: str) -> None:
    rows = json.loads(run("--to", version, "--json").stdout)
    uid = next(row for row in rows if row["attribute"] == "StudyInstanceUID")
    assert uid["element"].startswith("ImagingStudy.")
    assert all(row["rule"] for row in rows)


def test_a_version_without_a_place_says_so() -> None:
    rows = json.loads(run("--to", "r4", "--json").stdout)
    assert next(row for row in rows if row["attribute"] == "NumberOfFrames")["element"] == ""
    assert "ImagingStudy.series.instance.numberOfFrames" in run("--to", "r6").stdout


def test_an_unknown_version_is_a_usage_error() -> None:
    assert run("--to", "r7").returncode == 2


def test_the_help_names_the_versions() -> None:
    named = VERSIONS.removeprefix("FHIR version: ").removesuffix(".").replace(" (default)", "")
    assert named.split(", ") == list(DIALECTS)
