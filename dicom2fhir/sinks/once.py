"""Each identity once: where several studies share one output, the study that sorts first describes what they share."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from dicom2fhir.encode import compact
from dicom2fhir.problems import Code, Problem

if TYPE_CHECKING:
    from dicom2fhir.fhir.bundle import Emission
    from dicom2fhir.sinks.base import Seen

Part = tuple[str, str, bytes, bytes]
"""A resource's type, its id, the digest that it is known by, what is written of it."""
Resources = tuple[str, list[Part]]
"""What one study became: its Study Instance UID, its resources."""


def digest(resource: bytes) -> bytes:
    """What a resource is known by."""
    return hashlib.sha256(resource).digest()[:16]


def encoded_resources(emission: Emission) -> Resources:
    """The resources of a study, compact."""
    of_entries = ((entry, compact(entry.resource)) for entry in emission.entries)
    return emission.study_uid, [(entry.type, entry.id, digest(data), data) for entry, data in of_entries]


def only_new(encoded: Resources, seen: Seen) -> tuple[list[tuple[str, bytes]], tuple[Problem, ...]]:
    """What no earlier study wrote, each with its type; and one note for each that differs from the earlier one."""
    study_uid, parts = encoded
    fresh: list[tuple[str, bytes]] = []
    problems: list[Problem] = []
    for kind, identity, known_by, data in parts:
        novelty = seen.first_seen(identity, known_by)
        if novelty == "new":
            fresh.append((kind, data))
        elif novelty == "differs":
            problems.append(_difference(study_uid, kind))
    return fresh, tuple(problems)


def _difference(study_uid: str, resource_type: str) -> Problem:
    code = Code.PATIENT_DIFFERS if resource_type in ("Patient", "Group") else Code.COMPANION_DIFFERS
    return Problem(code, where=f"{study_uid}/{resource_type}", message="an earlier study describes it differently")
