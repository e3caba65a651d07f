"""`dicom2fhir map`: the mapping as the code has it, attribute by attribute."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Map
from dicom2fhir.cli.settings import version
from dicom2fhir.dicom.elements import ELEMENTS, KEY_OBJECT_ELEMENTS
from dicom2fhir.errors import Exit
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.mapping.rules import RULES

COLUMNS = ("attribute", "tag", "rule", "element")


def map(chosen: Map, talk: Talk) -> Exit:
    """Print which attribute goes where in a FHIR version, and by which rule."""
    found = list(rows(version(chosen.to)))
    if chosen.json:
        sys.stdout.write(json.dumps(found, indent=2, ensure_ascii=False) + "\n")
        return Exit.OK
    widths = {name: max(len(row[name]) for row in found) for name in COLUMNS[:2]}
    for row in found:
        columns = [row[name].ljust(width) for name, width in widths.items()]
        sys.stdout.write("  ".join([*columns, f"{row['element'] or '-'}  ({row['rule']})"]) + "\n")
    return Exit.OK


def rows(to: str) -> Iterator[dict[str, str]]:
    """One row for each field that an attribute feeds; the element is "" where the version has no place for it."""
    dialect = DIALECTS[to]
    forms = tuple(dialect.key_objects.values())  # the version's own, or the first of those on request
    places = {**dialect.places, **(forms[0].places if forms else {})}
    for element in (*ELEMENTS, *KEY_OBJECT_ELEMENTS):
        for field in filter(None, element.feeds.split(", ")):
            tag = f"({element.tag >> 16:04X},{element.tag & 0xFFFF:04X})"
            yield {"attribute": element.keyword, "tag": tag, "rule": RULES[field], "element": places.get(field, "")}
