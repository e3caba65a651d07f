"""Files of FHIR: one JSON document, or JSON lines; compressed or not; standard input."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import IO, Any, cast

from dicom2fhir.errors import EnvironmentFailed, UsageError


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON text of a file, and the line on which it begins."""

    line: int
    text: bytes
    value: Any
    """None: it is not JSON."""
    twice: bool = False
    """Some object has a key twice; `value` holds the later one."""


def read(name: str) -> Iterator[Record]:
    """The records of a file. `-` is standard input.

    A file is NDJSON when its first line (blank ones aside) is JSON by itself, else one document that begins there.
    """
    with _open(name) as file:
        try:
            yield from _records(file)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            yield Record(1, b"", None)
        except OSError as failure:
            raise EnvironmentFailed(f"reading a FILE failed: {failure.strerror}") from failure


def _open(name: str) -> AbstractContextManager[IO[bytes]]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return cast(IO[bytes], gzip.open(name)) if name.endswith(".gz") else open(name, "rb")
    except OSError as failure:
        raise UsageError(f"a FILE cannot be read: {failure.strerror}") from failure


def _records(file: IO[bytes]) -> Iterator[Record]:
    number, line = 1, file.readline()
    while line and not line.strip():
        number, line = number + 1, file.readline()
    first = _parse(number, line)
    if first.value is None:
        yield _parse(number, line + file.read())
        return
    yield first
    for number, line in enumerate(file, first.line + 1):
        if line.strip():
            yield _parse(number, line)


def _parse(line: int, text: bytes) -> Record:
    """A record, without a value where the text is no JSON (a bare `null` is no resource either)."""
    twice = False

    def collect(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        nonlocal twice
        made = dict(pairs)
        twice = twice or len(made) < len(pairs)
        return made

    try:
        value = json.loads(text, object_pairs_hook=collect, parse_constant=_no_number)
    except (ValueError, RecursionError):
        return Record(line, b"", None)
    return Record(line, text, value, twice)


def _no_number(name: str) -> None:
    """NaN and Infinity, which Python reads and JSON does not have."""
    raise ValueError(name)
