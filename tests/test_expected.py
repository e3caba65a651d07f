"""Every case of testdata/ in every version becomes what tests/expected/ promises, and nothing else lies there."""

from __future__ import annotations

import pytest
from check import EXPECTED, GOLDENS, expected, result

from dicom2fhir.fhir.versions import DIALECTS


@pytest.mark.parametrize("version", DIALECTS)
@pytest.mark.parametrize("golden", GOLDENS)
def test_a_case_becomes_what_is_expected(golden: str, version: str) -> None:
    assert result(golden, version) == expected(golden, version)


def test_nothing_is_expected_of_cases_that_are_not_there() -> None:
    found = {str(path.relative_to(EXPECTED)) for path in EXPECTED.rglob("*") if path.is_file()}
    assert found == {f"{golden}/{version}.json" for golden in GOLDENS for version in DIALECTS}
