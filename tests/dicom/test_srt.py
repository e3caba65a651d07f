from __future__ import annotations

import subprocess
import sys

import pytest

from dicom2fhir.dicom.srt import srt_to_sct


@pytest.mark.parametrize(
    ("srt", "sct"),
    [
        ("T-A0100", "12738006"),  # brain
        ("T-04000", "76752008"),  # breast
        ("G-A100", "24028007"),  # right
        ("G-A101", "7771000"),  # left
    ],
)
def test_an_old_id_is_translated(srt, sct):
    assert srt_to_sct(srt) == sct


@pytest.mark.parametrize("code", ["", "T-NONE", "12738006", "t-a0100"])
def test_what_is_no_old_id_stays_untranslated(code):
    assert srt_to_sct(code) is None


@pytest.mark.parametrize("module", ["srt", "charsets", "values"])
def test_importing_costs_no_pydicom(module):
    code = f"import sys, dicom2fhir.dicom.{module}; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
