"""What a study may become: never less than what it does become, and nothing that no study ever becomes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from policies import emissions, policies
from studies import studies

from dicom2fhir.fhir.bundle import bundle
from dicom2fhir.fhir.policy import CREATABLE, DEFAULT_CREATE, Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.fhir.ways import Way, ways
from dicom2fhir.model import Study

EXPECTED = Path(__file__).parents[1] / "expected"
IN_NO_CASE = {"dstu2": {"Device", "Procedure"}, "stu3": {"Organization"}}
"""What is written for a key object's device, a coded procedure, or the institution of a patient, in no case of ours."""


def way(request: dict[str, str]) -> tuple[str, str]:
    """The type and way of writing of one request."""
    name, question, _ = request["url"].partition("?")
    if request["method"] == "PUT":
        return name.partition("/")[0], "conditional-update" if question else "put"
    return name, "conditional-create" if "ifNoneExist" in request else "create"


@given(study=studies, policy=policies.filter(lambda policy: policy.bundle_type != "collection"))
def test_a_study_never_becomes_more(study: Study, policy: Policy) -> None:
    for version, emission in emissions(study, policy):
        entries = bundle(emission, policy)["entry"]
        written = {way(entry.get("request") or entry["transaction"]) for entry in entries}
        assert written <= {(each.type, each.write) for each in ways(DIALECTS[version], policy)}


@pytest.mark.parametrize("version", DIALECTS)
def test_nothing_is_named_that_no_study_becomes(version: str) -> None:
    """A server need not have what is never written: all that is named is written for some case."""
    cases = (json.loads(path.read_bytes()) for path in EXPECTED.glob(f"*/{version}.json"))
    entries = (entry for case in cases for each in case["bundles"] for entry in each["entry"])
    written = {entry["resource"]["resourceType"] for entry in entries}
    named = {each.type for each in ways(DIALECTS[version], Policy(create=CREATABLE, manifest=True))}
    assert written <= named
    assert named - written <= IN_NO_CASE.get(version, set())


def test_who_is_written_how() -> None:
    found = ways(DIALECTS["r5"], Policy(write="conditional-update", create=DEFAULT_CREATE))
    by_type = {each.type: each for each in found}
    assert by_type["ImagingStudy"] == Way("ImagingStudy", "conditional-update", True)
    assert by_type["Endpoint"] == Way("Endpoint", "conditional-update", True, "Endpoint")
    assert by_type["ImagingSelection"] == Way("ImagingSelection", "conditional-update", True)
    assert by_type["Patient"] == Way("Patient", "conditional-create", False, "Patient")


@pytest.mark.parametrize("patient", ["contained", "identifier", "Patient/5"])
def test_a_patient_that_is_not_created_is_not_named(patient: str) -> None:
    assert "Patient" not in {each.type for each in ways(DIALECTS["r4"], Policy(patient=patient))}


def test_key_objects_and_manifests() -> None:
    def types(**changes: Any) -> set[str]:
        return {each.type for each in ways(DIALECTS["r5"], Policy(**changes))}

    assert "ImagingSelection" not in types(key_objects="off")
    assert "ImagingSelection" in types(key_objects="off", manifest=True)
