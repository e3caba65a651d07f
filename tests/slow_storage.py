"""A reader of files that lie far away: every open takes five milliseconds more. For `make bench`."""

from __future__ import annotations

import time
from typing import Any

from dicom2fhir.dicom import header
from dicom2fhir.dicom.records import Scope

DELAY = 0.005


def read_file(path: str, scope: Scope) -> tuple[Any, ...]:
    """What `header.read_file` says, later."""
    time.sleep(DELAY)
    return header.read_file(path, scope)
