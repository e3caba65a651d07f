"""A fifth of all requests disturbed: 200 studies, in every way of writing; ten times as many in tests/real."""

from __future__ import annotations

from pathlib import Path

import pytest
from storm import STORMS, Storm, storm

PLAIN = [one for one in STORMS if not one.single and one.mismatch == 412]
OTHERS = [one for one in STORMS if one not in PLAIN]


@pytest.mark.parametrize("how", PLAIN, ids=[one.name for one in PLAIN])
def test_one_resource_a_study_whatever_happens(how: Storm, tmp_path: Path) -> None:
    found = storm(how, 100 if how.races else 200, tmp_path)
    assert found.wrong == []
    assert found.disturbed > 0.15 * found.requests


@pytest.mark.parametrize("how", OTHERS, ids=[one.name for one in OTHERS])
def test_so_with_single_requests_and_other_conflicts(how: Storm, tmp_path: Path) -> None:
    found = storm(how, 40, tmp_path)
    assert found.wrong == []
    assert found.disturbed > 0.1 * found.requests
