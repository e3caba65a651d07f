"""`dicom2fhir map` prints what the code does, and the help names the versions that there are."""

from __future__ import annotations

import json

import pytest
from delivering import command

from dicom2fhir.cli.options import VERSIONS
from dicom2fhir.fhir.versions import DIALECTS


@pytest.mark.parametrize("version", DIALECTS)
def test_every_version_has_a_map(version: str) -> None:
    rows = json.loads(command("map", "--to", version, "--json").out)
    uid = next(row for row in rows if row["attribute"] == "StudyInstanceUID")
    assert uid["element"].startswith("ImagingStudy.")
    assert all(row["rule"] for row in rows)


def test_a_version_without_a_place_says_so() -> None:
    rows = json.loads(command("map", "--to", "r4", "--json").out)
    assert next(row for row in rows if row["attribute"] == "NumberOfFrames")["element"] == ""
    assert "ImagingStudy.series.instance.numberOfFrames" in command("map", "--to", "r6").out


def test_an_unknown_version_is_a_usage_error() -> None:
    assert command("map", "--to", "r7").code == 2


def test_the_help_names_the_versions() -> None:
    named = VERSIONS.removeprefix("FHIR version: ").removesuffix(".").replace(" (default)", "")
    assert named.split(", ") == list(DIALECTS)
