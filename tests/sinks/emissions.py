"""Small emissions for the tests of sinks, and a memory of resources as the study index has it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from dicom2fhir.fhir.bundle import Emission, Entry, entry
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.sinks.base import Novelty

POLICY = Policy()


def resource(kind: str, identity: str, **elements: Any) -> Entry:
    body = {"resourceType": kind, "id": identity, **elements}
    return Entry(body, identity, f"urn:uuid:{identity}", kind in ("ImagingStudy", "Endpoint"), f"identifier={identity}")


def study(number: int, *companions: Entry) -> Emission:
    identity = "abcdefghij"[number] * 32
    own = resource("ImagingStudy", identity, status="available", description="Schädel 山田")
    return Emission(f"1.2.{number}", identity, (*companions, own), (), 1, 2, entry)


class Memory:
    """What `StudyIndex.first_seen` does, in a dict."""

    def __init__(self) -> None:
        self._known: dict[str, bytes] = {}

    def first_seen(self, resource_id: str, digest: bytes) -> Novelty:
        known = self._known.setdefault(resource_id, digest)
        if known is digest:
            return "new"
        return "same" if known == digest else "differs"


def write_all(sink: Any, emissions: Iterable[Emission], policy: Policy = POLICY) -> list[Any]:
    sink.open(Memory())
    problems = [problem for emission in emissions for problem in sink.write(sink.encode(emission, policy))]
    sink.finish()
    return problems
