"""Every row of the table of faults, through the real command line."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulttable import ROWS, Row, lacks, play

QUICK = [row for row in ROWS if row.fault != "no such host"]  # who says so may take its time: see tests/real


@pytest.mark.parametrize("row", QUICK, ids=[row.fault for row in QUICK])
def test_a_fault_has_the_end_that_is_required(row: Row, tmp_path: Path) -> None:
    assert lacks(play(row, tmp_path)) == []


def test_no_fault_is_in_the_table_twice() -> None:
    assert len({row.fault for row in ROWS}) == len(ROWS)
