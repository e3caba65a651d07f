"""The table of faults as a whole, thousands of studies before a server that fails a fifth of the time, and kill -9."""

from __future__ import annotations

from pathlib import Path

import pytest
from faulttable import ROWS, lacks, play, table
from killing import rounds, swift
from shown import SHOWN
from storm import STORMS, Storm, storm


def test_the_table_of_faults(tmp_path: Path) -> None:
    played = []
    for number, row in enumerate(ROWS):
        (tmp_path / str(number)).mkdir()
        played.append(play(row, tmp_path / str(number)))
    SHOWN["faults"] = table(played)
    assert {one.row.fault: wrong for one in played if (wrong := lacks(one))} == {}


@pytest.mark.parametrize("how", STORMS, ids=[one.name for one in STORMS])
def test_two_thousand_studies_and_a_fifth_of_all_requests_disturbed(how: Storm, tmp_path: Path) -> None:
    found = storm(how, 2000, tmp_path, seed=7)
    SHOWN.setdefault("2,000 studies, 20 % faults", []).append(found.line(how.name))
    assert found.wrong == []


def test_two_hundred_times_kill_9() -> None:
    with swift() as folder:
        toll = rounds(200, Path(folder))
    SHOWN["kill -9"] = [toll.line()]
    assert toll.good, toll.different
    assert toll.kills > 150
