"""Records on their way from the processes that read to the study index: many of one context together, as columns.

What a series' instances share (their context, the names of their own values) is said once, and nobody between the
reader and the mapping looks at the rest. Paths travel with them: what becomes of a file is told by its path.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Literal, NamedTuple

from dicom2fhir.dicom.record import Record, Skip
from dicom2fhir.dicom.records import Note, Values, parse_row

Run = tuple[Literal["run"], bytes, str | None, int, str, bytes]
"""("run", digest of the context, the context unless it was given, how many, their UIDs, the rest of them).

The UIDs are a line each, in the order of the rest.
"""
Reading = tuple[str, Run | Skip]
"""What became of a file, by its path, or of several (their paths are in their run)."""


class Member(NamedTuple):
    """One record of a run: SOP Instance UID, the names of its own values, these values, the file's path."""

    uid: str
    keys: tuple[str, ...]
    row: tuple[Any, ...]
    path: str


def pack(paths: Sequence[str], readings: Sequence[Record | Skip]) -> list[Reading]:
    """The readings of these files, records of one context and kind in one run."""
    packed: list[Reading] = []
    runs: dict[tuple[bytes, tuple[str, ...]], tuple[list[str], list[Record]]] = {}
    for path, reading in zip(paths, readings, strict=True):
        if reading[0] == "skip":
            packed.append((path, reading))
            continue
        kind = reading[1], reading[3]
        if kind not in runs:
            runs[kind] = [], []
        of_paths, records = runs[kind]
        of_paths.append(path)
        records.append(reading)
    return packed + [("", _run(*run)) for run in runs.values()]


def _run(paths: list[str], records: list[Record]) -> Run:
    _, digest, _, keys, _, _ = records[0]
    body = next((record[2] for record in records if record[2] is not None), None)
    uids, rest = _said(paths, keys, [record[4] for record in records], [record[5] for record in records])
    return ("run", digest, body, len(records), uids, rest)


def unpack(uids: str, rest: bytes) -> Iterable[Member]:
    """The records of a run, in its order."""
    keys, rows, paths = _parts(rest)
    return [Member(uid, keys, row, path) for uid, row, path in zip(uids.split("\n"), rows, paths, strict=True)]


def said(uids: str, rest: bytes) -> Iterator[tuple[str, Values, tuple[Note, ...]]]:
    """SOP Instance UIDs, own values and notes of the records of a run, in its order."""
    keys, rows, _ = _parts(rest)
    for uid, row in zip(uids.split("\n"), rows, strict=True):
        yield uid, *parse_row(keys, row)


def _parts(rest: bytes) -> tuple[tuple[str, ...], Iterable[tuple[Any, ...]], list[str]]:
    """The keys, rows and paths that `_said` put together; records without own values have empty rows."""
    keys, columns, paths = marshal.loads(rest)
    return keys, zip(*columns, strict=True) if columns else [()] * len(paths), paths


def repack(members: Iterable[Member]) -> list[tuple[str, bytes]]:
    """Runs of these records: their UIDs, the rest of them."""
    runs: dict[tuple[str, ...], list[Member]] = {}
    for member in members:
        runs.setdefault(member.keys, []).append(member)
    return [
        _said([m.path for m in run], keys, [m.uid for m in run], [m.row for m in run]) for keys, run in runs.items()
    ]


def _said(paths: list[str], keys: tuple[str, ...], uids: list[str], rows: list[tuple[Any, ...]]) -> tuple[str, bytes]:
    return "\n".join(uids), marshal.dumps((keys, list(zip(*rows, strict=True)), paths))
