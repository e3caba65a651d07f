"""The official referee is proved by planted faults: it must find each kind of them where it was planted."""

from __future__ import annotations

import re

import pytest
from official import VERSIONS
from planted import FAULTS, PLANTED, SOUND_IN, Fault, is_near
from verdicts import verdicts


@pytest.mark.parametrize(("version", "name"), [(version, name) for name in SOUND_IN for version in SOUND_IN[name]])
def test_what_is_sound_passes(version: str, name: str) -> None:
    messages = verdicts(version).planted[f"a sound {name}"]
    assert [message for message in messages if message.severity != "information"] == []


@pytest.mark.parametrize(("version", "fault"), PLANTED, ids=[f"{version}: {fault.kind}" for version, fault in PLANTED])
def test_a_planted_fault_is_found(version: str, fault: Fault) -> None:
    messages = [each for each in verdicts(version).planted[fault.kind] if each.severity in (fault.severity, "fatal")]
    assert any(is_near(message, fault, version) for message in messages)
    invariant = re.search(r"\((\w+-\d+)\)$", fault.kind)
    if invariant:
        assert any(re.search(rf"#{invariant[1]}[a-z]?$", message.id) for message in messages)


@pytest.mark.parametrize("version", VERSIONS)
def test_there_are_enough_kinds_of_faults(version: str) -> None:
    kinds = [fault.kind for fault in FAULTS if version in fault.versions]
    assert len(kinds) == len(set(kinds)) >= 20
