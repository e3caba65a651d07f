"""`dicom2fhir problems`: every code with its bucket and its sentence."""

from __future__ import annotations

import json
import sys

from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Problems
from dicom2fhir.errors import Exit
from dicom2fhir.problems import MEANINGS


def problems(chosen: Problems, talk: Talk) -> Exit:
    """List every problem code with its bucket and its meaning."""
    rows = [
        {
            "code": str(code),
            "bucket": str(meaning.bucket),
            "severity": str(meaning.severity),
            "sentence": meaning.sentence,
        }
        for code, meaning in MEANINGS.items()
    ]
    if chosen.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
        return Exit.OK
    widths = {name: max(len(row[name]) for row in rows) for name in ("code", "bucket", "severity")}
    for row in rows:
        columns = [row[name].ljust(width) for name, width in widths.items()]
        sys.stdout.write("  ".join([*columns, row["sentence"]]) + "\n")
    return Exit.OK
