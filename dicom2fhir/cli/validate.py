"""`dicom2fhir validate`: FHIR files before the referee."""

from __future__ import annotations

import gzip
import json
import sys
import zlib
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any, cast

from dicom2fhir.cli import settings
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Validate
from dicom2fhir.errors import EnvironmentFailed, Exit, UsageError

NOT_JSON = "it is not JSON"


def validate(chosen: Validate, talk: Talk) -> Exit:
    """Check the files of `chosen`; a line a fault on standard output."""
    from dicom2fhir.fhir.validate import check

    version = settings.version(chosen.to)
    resources = faults = 0
    for name in chosen.files:
        for line, resource in read(name):
            resources += 1
            found = [("$", NOT_JSON)] if resource is None else [(f.path, f.message) for f in check(resource, version)]
            faults += len(found)
            for path, message in found:
                sys.stdout.write(f"{_printable(name)}:{line} {path} {message}\n")
    talk.info(f"{resources} resources, {faults} faults.", event="finished", resources=resources, faults=faults)
    return Exit.INPUT_LOST if faults else Exit.OK


def read(name: str) -> Iterator[tuple[int, Any]]:
    """(line, resource) of a file; None stands for what is not JSON. `-` is standard input.

    A file is NDJSON when its first line is JSON by itself, else one document that begins on line 1.
    """
    with _open(name) as file:
        try:
            yield from _records(file)
        except (EOFError, gzip.BadGzipFile, zlib.error):
            yield 1, None
        except OSError as failure:
            raise EnvironmentFailed(f"reading a FILE failed: {failure.strerror}") from failure


def _open(name: str) -> AbstractContextManager[IO[bytes]]:
    if name == "-":
        return nullcontext(sys.stdin.buffer)
    try:
        return cast(IO[bytes], gzip.open(name)) if name.endswith(".gz") else open(name, "rb")
    except OSError as failure:
        raise UsageError(f"a FILE cannot be read: {failure.strerror}") from failure


def _records(file: IO[bytes]) -> Iterator[tuple[int, Any]]:
    first = file.readline()
    value = _parse(first)
    if value is None:
        yield 1, _parse(first + file.read())
        return
    yield 1, value
    for number, line in enumerate(file, 2):
        if line.strip():
            yield number, _parse(line)


def _parse(text: bytes) -> Any:
    """The JSON value, None where it is none (a bare `null` is no resource either)."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _printable(name: str) -> str:
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
