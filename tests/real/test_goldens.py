"""What we write passes the official referee: no error anywhere, and every warning is of an explained group."""

from __future__ import annotations

import pytest
from explained import EXPLAINED, Explained
from official import VERSIONS, Message
from verdicts import verdicts

from dicom2fhir.fhir.versions import DIALECTS


def lines(found: list[Message]) -> list[str]:
    """The messages, short."""
    return [f"{message.name}: {message.id} {message.at}: {message.text}" for message in found]


def test_the_versions_beyond_it_are_known() -> None:
    assert set(DIALECTS) - set(VERSIONS) == {"r6-ballot2"}


@pytest.mark.parametrize("version", VERSIONS)
def test_no_output_has_an_error(version: str) -> None:
    assert lines([message for message in verdicts(version).ours if message.is_error]) == []


@pytest.mark.parametrize("version", VERSIONS)
def test_every_warning_is_explained(version: str) -> None:
    warnings = [message for message in verdicts(version).ours if message.severity == "warning"]
    assert lines([message for message in warnings if not any(row.matches(message) for row in EXPLAINED)]) == []


@pytest.mark.parametrize("row", EXPLAINED, ids=lambda row: f"{row.id} {row.element}")
def test_every_explanation_is_needed(row: Explained) -> None:
    assert any(row.matches(message) for version in VERSIONS for message in verdicts(version).ours)
