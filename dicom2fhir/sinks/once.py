"""Each identity once: where several studies share one output, the study that sorts first describes what they share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dicom2fhir.encode import compact
from dicom2fhir.problems import Code, Problem

if TYPE_CHECKING:
    from dicom2fhir.fhir.bundle import Emission, Entry
    from dicom2fhir.sinks.base import Seen


def only_new(emission: Emission, seen: Seen) -> tuple[list[tuple[Entry, bytes]], tuple[Problem, ...]]:
    """The entries of a study that no earlier study wrote, and one note for each that differs from the earlier one.

    With each entry come the bytes of its resource, which it was known by.
    """
    fresh: list[tuple[Entry, bytes]] = []
    problems: list[Problem] = []
    for entry in emission.entries:
        encoded = compact(entry.resource)
        novelty = seen.first_seen(entry.id, hashlib.sha256(encoded).digest()[:16])
        if novelty == "new":
            fresh.append((entry, encoded))
        elif novelty == "differs":
            problems.append(_difference(emission.study_uid, entry.type))
    return fresh, tuple(problems)


def _difference(study_uid: str, resource_type: str) -> Problem:
    code = Code.PATIENT_DIFFERS if resource_type in ("Patient", "Group") else Code.COMPANION_DIFFERS
    return Problem(code, where=f"{study_uid}/{resource_type}", message="an earlier study describes it differently")
