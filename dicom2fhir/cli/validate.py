"""`dicom2fhir validate`: FHIR files before the referee."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from dicom2fhir.cli import settings
from dicom2fhir.cli.fhirfiles import Record, read
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Validate
from dicom2fhir.errors import Exit

NOT_JSON = "it is not JSON"
TWICE = "the key is there twice"


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


def _printable(text: str) -> str:
    """A name or a path on one line: bytes that are no UTF-8, and whatever else does not print, escaped."""
    return "".join(one if one.isprintable() else _escaped(one) for one in text)


def _escaped(one: str) -> str:
    if "\udc80" <= one <= "\udcff":  # a byte of a file's name
        return f"\\x{ord(one) - 0xDC00:02x}"
    return one.encode("unicode_escape").decode("ascii")
