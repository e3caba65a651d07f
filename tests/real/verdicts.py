"""One run of the official referee for each version, over everything that the tests here ask about."""

from __future__ import annotations

import time
from collections import Counter
from functools import cache
from typing import NamedTuple

import goldens
import planted
from official import Message, by_name, judge

SUMMARY: list[str] = []
"""A line for each version that was judged: what it was given, and the groups of errors and warnings on our output."""


class Verdicts(NamedTuple):
    """What the referee says of our output, and of each sound resource or planted fault by its name."""

    ours: list[Message]
    planted: dict[str, list[Message]]


@cache
def verdicts(version: str) -> Verdicts:
    """The referee's messages on everything that goldens.py and planted.py give."""
    began = time.monotonic()
    ours = dict(goldens.resources(version))
    faults = dict(planted.resources(version))
    converted = time.monotonic()
    found = by_name(judge(version, [*ours.items(), *faults.items()]))
    judged = time.monotonic()
    said = [message for name in ours for message in found[name]]
    groups = Counter(f"{message.severity} {message.id}" for message in said if message.severity != "information")
    SUMMARY.append(
        f"{version}: {len(ours)} documents, {sum(len(one.get('entry', [one])) for one in ours.values())} resources,"
        f" {len(faults)} planted; converting {converted - began:.0f} s, judging {judged - converted:.0f} s;"
        f" {dict(groups.most_common()) or 'nothing to say'}"
    )
    return Verdicts(said, {name: found[name] for name in faults})
