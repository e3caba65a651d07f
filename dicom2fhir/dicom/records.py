"""Header records as the study index and the mapping see them: one study's, without duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

Values = dict[str, Any]
Note = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Scope:
    """What the user left out: modality terms in capitals, SOP Class UIDs."""

    modalities: frozenset[str] = frozenset()
    sop_classes: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Context:
    """What some files of one series share; `notes` are (code, keyword) of its decoding."""

    study: str
    series: str
    sop_class: str
    values: Values
    notes: tuple[Note, ...] = ()


class InstanceRecord(NamedTuple):
    """One instance's own values, and the context that it shares. A tuple, because there are thousands of them."""

    uid: str
    context: Context
    values: Values
    notes: tuple[Note, ...] = ()


@dataclass(frozen=True, slots=True)
class StudyRecords:
    """All instances of one study, in order of (Series Instance UID, SOP Instance UID)."""

    uid: str
    instances: tuple[InstanceRecord, ...]


def parse_context(body: str) -> Context:
    """The context that a record's second field stands for."""
    values = json.loads(body)
    notes = _notes(values)
    study, series = values.pop("StudyInstanceUID"), values.pop("SeriesInstanceUID")
    return Context(study, series, values.pop("SOPClassUID"), values, notes)


def parse_own(own: str) -> tuple[Values, tuple[Note, ...]]:
    """The values and notes that a record's own part stands for."""
    return parse_owns((own,))[0]


def parse_owns(own: Iterable[str]) -> list[tuple[Values, tuple[Note, ...]]]:
    """The same for many at once, which takes a third of the time."""
    return [(values, _notes(values)) for values in json.loads(f"[{','.join(own)}]")]


def _notes(values: Values) -> tuple[Note, ...]:
    return tuple((code, keyword) for code, keyword in values.pop("")) if "" in values else ()
