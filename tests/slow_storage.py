"""Files that lie far away: every open takes five milliseconds more. For `make bench`."""

from __future__ import annotations

import os
import time

from dicom2fhir import ahead
from dicom2fhir.dicom import header
from dicom2fhir.dicom.record import Record, Skip
from dicom2fhir.dicom.records import Scope

DELAY = 0.005
FIXED = "DICOM2FHIR_BENCH_AHEAD"
"""The environment variable that says how many files a process fetches at once, instead of finding out."""


def prepare() -> None:
    """Prepare a reading process."""
    header.quiet()
    if FIXED in os.environ:
        ahead.FEWEST = ahead.MOST = int(os.environ[FIXED])  # type: ignore[misc]


def fetch_file(path: str) -> header.Fetched | Skip:
    """What `header.fetch_file` gives, later."""
    time.sleep(DELAY)
    return header.fetch_file(path)


def read_file(path: str, scope: Scope, reader: header.Reader) -> Record | Skip:
    """Both steps in one, for a process that fetches nothing ahead."""
    return header.read_fetched(fetch_file(path), scope, reader)
