"""kill -9 at any moment of sending, a few rounds; many more in tests/real."""

from __future__ import annotations

from pathlib import Path

from delivering import many, of
from killing import STUDIES, Toll, _account, _shape, rounds, swift


def test_what_is_killed_loses_nothing_and_writes_nothing_twice() -> None:
    with swift() as folder:
        toll = rounds(10, Path(folder), seed=3)
    assert toll.good, toll
    assert toll.kills > 4
    assert toll.sending > 1


def test_the_toll_counts_what_is_lost_and_what_is_there_twice() -> None:
    bundles = many(STUDIES)
    studies = [{**of(each), "meta": {"versionId": "1"}} for each in bundles]
    found = {
        "resources": {"ImagingStudy": [*studies[1:], studies[2]]},
        "versions": {"ImagingStudy/x": 1, "ImagingStudy/y": 2},
        "duplicates": [],
    }
    toll = Toll()
    _account(found, bundles, _shape(found), {"accepted": STUDIES - 1}, toll)
    assert (toll.lost, toll.twice, len(toll.different)) == (1, 1, 2)
    assert not toll.good
