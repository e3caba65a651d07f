"""Every row of the mapping's description that concerns R4 has a case whose golden value differs from the naive one.

`mapping_rows.csv` names each row by its place (section and position) in own words, and for each of its rules a
golden, a path into it, the value expected there and the value that a converter without the rule would give. A row
without a golden says why none is needed, in place of the naive value. The values were written by hand from the
rules, not taken from goldens.

A path is `N/step.step[i]...` into the Nth bundle, or into the report where it begins with `report`. The first step
into a bundle is a resource's type (the first of them, or `[i]`), `#id` for a contained resource, or `entry`; into the
report's problems one goes by code: `report.problems[no-time-zone].count`. `#` at the end is a length. What is not
there is `absent`.
"""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from check import EXPECTED, expected

ROWS_OF = {
    "1.1": 8, "1.2": 11, "1.3": 6, "1.4": 1, "1.5": 7, "1.6": 7, "2": 21, "2.C": 6, "3": 19, "3.N": 1, "3.E": 1,
    "4.1": 10, "4.2": 1, "4.3": 1, "4.4": 10, "4.5": 1, "4.6": 1, "4.7": 1, "4.8": 1, "4.9": 1,
}  # fmt: skip
"""How many rows each section has (C: contradictions, N: series that are no images, E: enhanced multi-frame)."""


class Rule(NamedTuple):
    """One line of the table."""

    row: str
    about: str
    golden: str
    path: str
    expected: str
    naive: str


TABLE = Path(__file__).with_name("mapping_rows.csv").read_text(encoding="utf-8")
RULES = [Rule(**line) for line in csv.DictReader(TABLE.splitlines())]
TESTED = [rule for rule in RULES if rule.golden]
ABSENT = "absent"


@cache
def _golden(name: str) -> Any:
    return expected(name)


def _resources(bundle: Any) -> dict[str, Any]:
    """A bundle by the first steps that a path may take."""
    steps: dict[str, Any] = {"entry": bundle["entry"]}
    for entry in bundle["entry"]:
        resource = entry["resource"]
        steps.setdefault(resource["resourceType"], []).append(resource)
        steps |= {"#" + inner["id"]: inner for inner in resource.get("contained", ())}
    return steps


def value_at(golden: Any, path: str) -> str:
    """The value at a path as text: JSON, but strings without quotes."""
    number, slash, rest = path.partition("/")
    at: Any = _resources(golden["bundles"][int(number)]) if slash else golden
    for name, index in re.findall(r"([#\w-]*[\w-]|#)?(?:\[([\w-]+)\])?(?:\.|$)", (rest if slash else path))[:-1]:
        if name == "#":
            return str(len(at)) if at is not None else ABSENT
        at = _step(at, name, index)
        if at is None:
            return ABSENT
    at = at[0] if isinstance(at, list) and at and "resourceType" in at[0] else at
    return at if isinstance(at, str) else json.dumps(at, ensure_ascii=False)


def _step(at: Any, name: str, index: str) -> Any:
    if isinstance(at, list):  # resources of one type without an index
        at = at[0]
    at = at.get(name)
    if not index or at is None:
        return at
    if not index.isdigit():
        return next((row for row in at if row["code"] == index), None)
    return at[int(index)] if int(index) < len(at) else None


@pytest.mark.parametrize("rule", TESTED, ids=[f"{rule.row} {rule.golden} {rule.path}" for rule in TESTED])
def test_the_golden_value_is_the_expected_one_and_not_the_naive_one(rule: Rule) -> None:
    assert value_at(_golden(rule.golden), rule.path) == rule.expected
    assert rule.expected != rule.naive


def test_every_row_is_there_once_or_more_and_in_order() -> None:
    wanted = [f"{section}.{number}" for section, count in ROWS_OF.items() for number in range(1, count + 1)]
    assert list(dict.fromkeys(rule.row for rule in RULES)) == wanted


def test_a_row_has_one_description_and_rules_or_a_reason_why_there_are_none() -> None:
    described = {rule.row: rule.about for rule in reversed(RULES)}
    assert all(described.values())
    for rule in RULES:
        if not rule.golden:
            assert rule.naive.startswith(("not R4: ", "not mapped: "))
            assert not rule.path
            assert not rule.expected


def test_no_rule_is_written_twice_and_every_golden_is_there() -> None:
    assert [rule for rule, count in Counter((r.golden, r.path, r.row) for r in TESTED).items() if count > 1] == []
    assert {rule.golden for rule in TESTED} <= {path.name for path in EXPECTED.iterdir()}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("0/A.b[1].c", "2"),
        ("0/A[1].d", "x"),
        ("0/#in.e", "true"),
        ("0/A.b.#", "2"),
        ("0/A.b[2].c", ABSENT),
        ("0/Z.q", ABSENT),
        ("report.problems[no-date].count", "3"),
        ("report.problems[other].count", ABSENT),
        ("bundles.#", "1"),
    ],
)
def test_paths(path: str, value: str) -> None:
    inside = {"resourceType": "C", "id": "in", "e": True}
    first = {"resourceType": "A", "contained": [inside], "b": [{"c": 1}, {"c": 2}]}
    second = {"resourceType": "A", "d": "x"}
    bundle = {"entry": [{"resource": first}, {"resource": second}]}
    golden = {"bundles": [bundle], "report": {"problems": [{"code": "no-date", "count": 3}]}}
    assert value_at(golden, path) == value
