"""Bare resources, one a line: in a stream together, in a folder one file a type.

hl7.org/fhir/uv/bulkdata: `<ResourceType>.ndjson`, every resource with its id, references as `Type/<id>`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom2fhir.sinks.files import Outlet
from dicom2fhir.sinks.folder import OwnedFolder
from dicom2fhir.sinks.once import Resources, encoded_resources, only_new
from dicom2fhir.storage import WholeFile, environment

if TYPE_CHECKING:
    from dicom2fhir.fhir.bundle import Emission
    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.problems import Problem
    from dicom2fhir.sinks.base import Seen


class ResourceLines:
    """Every resource once, in the order of the studies; what a study refers to comes before it."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet
        self._seen: Seen | None = None

    @property
    def own_paths(self) -> tuple[str, ...]:
        """See `Sink`."""
        return self._outlet.own_paths

    def open(self, seen: Seen) -> None:
        """See `Sink`."""
        self._seen = seen
        self._outlet.open()

    def encode(self, emission: Emission, policy: Policy) -> Resources:
        """The resources of one study."""
        return encoded_resources(emission)

    def write(self, encoded: Resources) -> tuple[Problem, ...]:
        """Those of them that are new."""
        assert self._seen is not None
        parts, problems = only_new(encoded, self._seen)
        self._outlet.write(b"".join(data + b"\n" for _, data in parts))
        return problems

    def finish(self) -> None:
        """See `Sink`."""
        self._outlet.commit()

    def abort(self) -> None:
        """See `Sink`."""
        self._outlet.abort()


class ResourceFolder:
    """One file a resource type; all of them appear together at the end."""

    def __init__(self, folder: OwnedFolder) -> None:
        self._folder = folder
        self._seen: Seen | None = None
        self._files: dict[str, WholeFile] = {}
        self._lines: dict[str, int] = {}
        self._studies = 0

    @property
    def own_paths(self) -> tuple[str, ...]:
        """See `Sink`."""
        return (self._folder.path,)

    def open(self, seen: Seen) -> None:
        """See `Sink`."""
        self._seen = seen
        self._folder.open()

    def encode(self, emission: Emission, policy: Policy) -> Resources:
        """The resources of one study."""
        return encoded_resources(emission)

    def write(self, encoded: Resources) -> tuple[Problem, ...]:
        """Those of them that are new, each to the file of its type."""
        assert self._seen is not None
        parts, problems = only_new(encoded, self._seen)
        for kind, data in parts:
            self._write(kind, data)
        self._studies += 1
        return problems

    def _write(self, kind: str, encoded: bytes) -> None:
        if kind not in self._files:
            self._files[kind] = self._folder.create(f"{kind}.ndjson")
            self._lines[kind] = 0
        with environment("writing the output folder"):
            self._files[kind].write(encoded + b"\n")
        self._lines[kind] += 1

    def finish(self) -> None:
        """See `Sink`."""
        for kind in sorted(self._files):
            self._folder.keep(f"{kind}.ndjson", self._lines[kind])
        self._folder.finish({"studies": self._studies, "resources": sum(self._lines.values())})

    def abort(self) -> None:
        """See `Sink`."""
        self._folder.abort()
