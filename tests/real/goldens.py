"""Everything of ours that the official referee reads: what the cases of testdata/ become in a version, pydicom's own
samples, and the fullest cases under every kind of policy.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pydicom.data
from check import FOLDERS, GOLDENS, SITE, Collected, result

from dicom2fhir import pipeline
from dicom2fhir.encode import compact
from dicom2fhir.errors import UsageError
from dicom2fhir.fhir.bundle import Emission
from dicom2fhir.fhir.policy import CREATABLE, Policy
from dicom2fhir.pipeline import Options
from dicom2fhir.sources.directory import Paths
from dicom2fhir.workers import Limits, Result, Task, read_all

SAMPLES = Path(pydicom.data.__file__).parent
FULL = (
    "animal",
    "contact-details",
    "device-by-station",
    "device-full",
    "encounter",
    "encounter-without-issuer",
    "frames",
    "institution-coded",
    "institution-with-address",
    "interpreters-identified",
    "key-object-frames",
    "key-object-nested",
    "key-object-of-a-device",
    "key-object-of-two-studies",
    "laterality-both",
    "location-performed",
    "names-with-all-parts",
    "performed-step",
    "performers-identified",
    "phantom",
    "referrer-in-three-representations",
    "rejection-note",
    "request-at-the-top",
    "request-attributes",
    "specimen",
)
POLICIES = {
    "conditional updates": Policy(write="conditional-update", manifest=True),
    "conditional creates in a batch": Policy(write="conditional-create", bundle_type="batch", create=CREATABLE),
    "creates": Policy(write="create", create=CREATABLE, availability="ONLINE"),
    "a batch of everything": Policy(bundle_type="batch", create=CREATABLE, manifest=True),
    "a collection": Policy(bundle_type="collection", create=CREATABLE, key_objects="basic"),
    "nothing created": Policy(create=frozenset(), key_objects="document"),
    "patients contained": Policy(patient="contained", create=CREATABLE, key_objects="basic", manifest=True),
    "patients as identifiers": Policy(patient="identifier"),
    "a patient of the server": Policy(patient="Patient/5", key_objects="document", manifest=True),
    "resources alone": Policy(shape="ndjson", create=CREATABLE),
}
IMAGING = ("ImagingStudy", "ImagingSelection")
"""The resources of R6 that there are definitions for."""

Json = dict[str, Any]


class Written(Collected):
    """A sink that keeps what would be written: Bundles, or resources alone."""

    def encode(self, emission: Emission, policy: Policy) -> list[bytes]:
        """One study."""
        if policy.shape == "ndjson":
            return [compact(resource) for resource in emission.resources]
        return super().encode(emission, policy)


def resources(version: str) -> Iterator[tuple[str, Json]]:
    """Every resource or Bundle of a version with its name."""
    for name, resource in _resources(version):
        if version != "r6":
            yield name, resource
        else:
            yield from ((f"{name} {number}", alone) for number, alone in enumerate(imaging(resource)))


def _resources(version: str) -> Iterator[tuple[str, Json]]:
    for golden in GOLDENS:
        for number, one in enumerate(result(golden, version)["bundles"]):
            yield f"{golden} {number}", one
    for number, one in enumerate(written((SAMPLES,), Options(to=version))):
        yield f"pydicom's samples {number}", one
    for name, policy in POLICIES.items():
        options = Options(to=version, policy=policy, mapping=SITE)
        for number, one in enumerate(written([FOLDERS[case] for case in FULL], options)):
            yield f"{name} {number}", one


def written(folders: Iterable[Path], options: Options) -> list[Json]:
    """What folders become; nothing where the version refuses the options."""
    sink = Written()
    with patch.object(pipeline, "read_all", _replay):
        try:
            pipeline.convert(Paths([str(folder) for folder in folders]), sink, options)
        except UsageError:
            return []
    return sink.bundles


def _replay(found: Iterable[list[str]], task: Task, limits: Limits, jobs: int, *_: object) -> Iterator[Result]:
    yield from _readings(tuple(path for paths in found for path in paths), task)


@cache
def _readings(paths: tuple[str, ...], task: Task) -> tuple[Result, ...]:
    """The same files in the same order for every version: they are read once."""
    return tuple(read_all([list(paths)], task, Limits(), 2))


def imaging(resource: Json) -> Iterator[Json]:
    """The imaging resources of R6 alone, each companion that they refer to by a literal of its type.

    The referee knows R6's companions as R5's, so it does not see them.
    """
    entries = resource.get("entry", [{"resource": resource}])
    types = {entry.get("fullUrl"): entry["resource"]["resourceType"] for entry in entries}
    for entry in entries:
        one = entry["resource"]
        if one["resourceType"] in IMAGING:
            inside = {"#" + other["id"]: other["resourceType"] for other in one.get("contained", ())}
            text = json.dumps({name: value for name, value in one.items() if name != "contained"})
            for literal, kind in (inside | types).items():
                text = text.replace(f'"reference": "{literal}"', f'"reference": "{kind}/1"')
            yield json.loads(text)
