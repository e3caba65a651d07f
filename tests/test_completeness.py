"""Every element that ImagingStudy has in a version is written for some case, or it is said why it never is.

`imagingstudy_elements.csv` lists the elements by version (facts of HL7's StructureDefinitions and of the ballots'
pages). What is written is read from the golden files.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import check
import pytest

from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.versions import DIALECTS

ELEMENTS = Path(__file__).parent / "imagingstudy_elements.csv"
NEVER = {
    "ImagingStudy.note": "DICOM has no attribute for it; comments on a patient or study are not copied",
    "ImagingStudy.reasonReference": "DICOM gives reasons as codes and words, never as resources",
}
BY_OPTION = {"ImagingStudy.availability", "ImagingStudy.series.availability"}


def listed(version: str) -> list[str]:
    with ELEMENTS.open(encoding="utf-8") as file:
        return [row["path"] for row in csv.DictReader(file) if row["version"] == version]


def paths(at: str, value: Any) -> Iterator[str]:
    """The paths of all elements below a value, each as often as it occurs."""
    if isinstance(value, list):
        for one in value:
            yield from paths(at, one)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name not in ("resourceType", "contained"):
                yield f"{at}.{name}"
                yield from paths(f"{at}.{name}", inner)


def studies(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if value.get("resourceType") == "ImagingStudy":
            yield value
        else:
            for inner in value.values():
                yield from studies(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from studies(inner)


@cache
def written(version: str) -> frozenset[str]:
    found: set[str] = set()
    for golden in check.EXPECTED.glob(f"*/{version}.json"):
        for study in studies(json.loads(golden.read_text(encoding="utf-8"))):
            found.update(paths("ImagingStudy", study))
    return frozenset(found)


@pytest.mark.parametrize("version", DIALECTS)
def test_every_element_is_written_or_has_its_reason(version: str) -> None:
    missing = set(listed(version)) - written(version)
    assert missing <= NEVER.keys() | BY_OPTION
    assert not written(version) & NEVER.keys()


@pytest.mark.parametrize("version", [v for v in DIALECTS if BY_OPTION & set(listed(v))])
def test_availability_is_written_where_it_is_asked_for(version: str) -> None:
    found = check.result("us", version, policy=Policy(availability="ONLINE"))
    assert set(paths("ImagingStudy", next(studies(found)))) >= BY_OPTION


def test_every_version_is_listed() -> None:
    assert all(len(listed(version)) > 30 for version in DIALECTS)


@pytest.mark.parametrize(("older", "newer"), [pair for pair in pairwise(DIALECTS) if pair != ("r4", "r4b")])
def test_what_came_and_what_went_is_shown(older: str, newer: str) -> None:
    # The CI build of R6 that r6-ballot2 shows has no name that R5 lacks: a UID took the place of a Coding.
    assert newer == "r6-ballot2" or written(newer) - written(older), "nothing that is new"
    assert written(older) - written(newer), "nothing that is gone"


def test_the_new_form_of_the_ci_build_is_shown() -> None:
    (study,) = studies(check.expected("us", "r6-ballot2"))
    assert study["series"][0]["instance"][0]["sopClass"].startswith("urn:oid:")
    assert "ImagingStudy.series.instance.sopClass.system" in written("r5")


def test_r4b_is_r4() -> None:
    assert written("r4b") == written("r4")
