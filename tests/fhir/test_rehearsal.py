"""While files are read, the referee gets ready; nothing depends on it."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from dicom2fhir.errors import EnvironmentFailed
from dicom2fhir.fhir import rehearsal, validate
from dicom2fhir.fhir.dialect import render
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.rehearsal import STUDY, rehearsing
from dicom2fhir.fhir.versions import DIALECTS

PROGRAM = """
import sys
from dicom2fhir.fhir.rehearsal import rehearsing
with rehearsing("r4"):
    pass
print(*sys.modules)
"""


@pytest.mark.parametrize("version", DIALECTS)
def test_nobodys_study_is_valid_in_every_version(version: str) -> None:
    emission = render(STUDY, DIALECTS[version], Policy())
    assert [fault for entry in emission.entries for fault in validate.check(entry.resource, version)] == []


def test_what_most_studies_need_is_loaded_when_it_ends() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    loaded = {name.rpartition(".")[2] for name in done.stdout.split() if name.startswith("fhir.resources.R4B.")}
    assert {"imagingstudy", "patient", "device", "organization", "identifier", "humanname"} <= loaded
    assert "observation" not in loaded


@pytest.mark.parametrize("rehearse", [lambda version: None, lambda version: DIALECTS["none"]])
def test_the_thread_has_ended_and_its_failure_is_not_heard(
    rehearse: Callable[[str], object], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    before = threading.active_count()
    monkeypatch.setattr(rehearsal, "rehearse", rehearse)
    with pytest.raises(EnvironmentFailed), rehearsing("r4"):
        raise EnvironmentFailed
    assert threading.active_count() == before
    assert capfd.readouterr() == ("", "")
