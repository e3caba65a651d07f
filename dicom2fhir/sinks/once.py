"""Each identity once: where several studies share one output, the study that sorts first describes what they share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dicom2fhir.encode import compact
from dicom2fhir.problems import Code, Problem

if TYPE_CHECKING:
    from dicom2fhir.fhir.bundle import Emission, Entry
    from dicom2fhir.sinks.base import Seen


def only_new(emission: Emission, seen: Seen) -> tuple[list[Entry], tuple[Problem, ...]]:
    """The entries of a study that no earlier study wrote, and one note for each that differs from the earlier one."""
    fresh: list[Entry] = []
    problems: list[Problem] = []
    for entry in emission.entries:
        digest = hashlib.sha256(compact(entry.resource)).digest()[:16]
        novelty = seen.first_seen(entry.id, digest)
        if novelty == "new":
            fresh.append(entry)
        elif novelty == "differs":
            problems.append(_difference(emission.study_uid, entry.type))
    return fresh, tuple(problems)


def _difference(study_uid: str, resource_type: str) -> Problem:
    code = Code.PATIENT_DIFFERS if resource_type in ("Patient", "Group") else Code.COMPANION_DIFFERS
    return Problem(code, where=f"{study_uid}/{resource_type}", message="an earlier study describes it differently")
