"""`dicom2fhir validate`: FHIR files before the referee."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import IO, Any, cast

from dicom2fhir.cli import settings
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Validate
from dicom2fhir.errors import EnvironmentFailed, Exit, UsageError

NOT_JSON = "it is not JSON"
TWICE = "the key is there twice"


@dataclass(frozen=True, slots=True)
class Record:
    """One JSON text of a file, and the line on which it begins."""

    line: int
    text: bytes
    value: Any
    """None: it is not JSON."""
    twice: bool = False
    """Some object has a key twice; `value` holds the later one."""


def validate(chosen: Validate, talk: Talk) -> Exit:
    """Check the files of `chosen`; a line a fault on standard output."""
    version = settings.version(chosen.to)
    resources = count = 0
    for name in chosen.files:
        for record in read(name):
            resources += 1
            for line, path, message in faults(record, version):
                count += 1
                sys.stdout.write(f"{_printable(name)}:{line} {_printable(path)} {message}\n")
    talk.info(f"{resources} resources, {count} faults.", event="finished", resources=resources, faults=count)
    return Exit.INPUT_LOST if count else Exit.OK


def faults(record: Record, version: str) -> Iterator[tuple[int, str, str]]:
    """(line, path, message) of what is wrong with a record.

    The line is the element's own where the JSON is indented; an element that is missing has the line of what it is
    missing from.
    """
    from dicom2fhir.cli.places import places
    from dicom2fhir.fhir.validate import check

    if record.value is None:
        yield record.line, "$", NOT_JSON
        return
    found = check(record.value, version)
    if not found and not record.twice:
        return
    kind = record.value.get("resourceType") if isinstance(record.value, dict) else None
    text = record.text.decode(json.detect_encoding(record.text), "surrogatepass")
    where = places(text, kind if isinstance(kind, str) else "$")
    for path, line in where.twice:
        yield record.line + line, path, TWICE
    for fault in found:
        yield record.line + where.line(fault.path), fault.path, fault.message


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


def _printable(text: str) -> str:
    """A name or a path on one line: bytes that are no UTF-8, and whatever else does not print, escaped."""
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # a byte of a file's name
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape").decode("ascii")
