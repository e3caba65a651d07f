"""Header records as the study index and the mapping see them: one study's, without duplicates."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from dicom2fhir.problems import Code

Values = dict[str, Any]
Note = tuple[str, str]

PIXELS_CUT: Final = (Code.TRUNCATED_PIXELS.value, "PixelData")
_encode = json.JSONEncoder(ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode


class Scope(NamedTuple):
    """What the user left out: modality terms in capitals, SOP Class UIDs."""

    modalities: frozenset[str] = frozenset()
    sop_classes: frozenset[str] = frozenset()


class Context(NamedTuple):
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


class StudyRecords(NamedTuple):
    """All instances of one study, in order of (Series Instance UID, SOP Instance UID)."""

    uid: str
    instances: tuple[InstanceRecord, ...]


def parse_context(body: str) -> Context:
    """The context that a record's second field stands for."""
    values = json.loads(body)
    notes = _notes(values)
    study, series = values.pop("StudyInstanceUID"), values.pop("SeriesInstanceUID")
    return Context(study, series, values.pop("SOPClassUID"), values, notes)


def parse_row(keys: Iterable[str], row: Iterable[Any]) -> tuple[Values, tuple[Note, ...]]:
    """The values and notes that a record's own part stands for."""
    values = dict(zip(keys, row, strict=True))
    return values, _notes(values)


def canonical(values: Values, notes: Sequence[Note]) -> str:
    """Values and notes as the text that digests are made of."""
    return _encode({**values, "": notes} if notes else values)


def comparable(keys: Iterable[str], row: Iterable[Any]) -> str:
    """What records of one instance are compared by, besides their contexts: all but whether pixel data are whole."""
    values, notes = parse_row(keys, row)
    return canonical(values, [note for note in notes if note != PIXELS_CUT])


def _notes(values: Values) -> tuple[Note, ...]:
    return tuple((code, keyword) for code, keyword in values.pop("")) if "" in values else ()
