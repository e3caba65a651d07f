"""One Bundle a study: one a line in a stream, one a file in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dicom2fhir import encode
from dicom2fhir.fhir.bundle import bundle
from dicom2fhir.sinks.files import Outlet
from dicom2fhir.sinks.folder import OwnedFolder
from dicom2fhir.storage import environment

if TYPE_CHECKING:
    from dicom2fhir.fhir.bundle import Emission
    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.problems import Problem
    from dicom2fhir.sinks.base import Seen

_File = tuple[str, bytes, int]
"""Its name, its content, how many resources are in it."""


class BundleLines:
    """A Bundle a line, LF, in the order of the studies."""

    def __init__(self, outlet: Outlet) -> None:
        self._outlet = outlet

    @property
    def own_paths(self) -> tuple[str, ...]:
        """See `Sink`."""
        return self._outlet.own_paths

    def open(self, seen: Seen) -> None:
        """See `Sink`."""
        self._outlet.open()

    def encode(self, emission: Emission, policy: Policy) -> bytes:
        """One line."""
        return encode.compact(bundle(emission, policy)) + b"\n"

    def write(self, encoded: bytes) -> tuple[Problem, ...]:
        """See `Sink`."""
        self._outlet.write(encoded)
        return ()

    def finish(self) -> None:
        """See `Sink`."""
        self._outlet.commit()

    def abort(self) -> None:
        """See `Sink`."""
        self._outlet.abort()


class BundleFolder:
    """`<ImagingStudy.id>.json` for each study."""

    def __init__(self, folder: OwnedFolder, *, pretty: bool = False) -> None:
        self._folder = folder
        self._encode = encode.pretty if pretty else encode.compact
        self._counts = {"studies": 0, "resources": 0}

    @property
    def own_paths(self) -> tuple[str, ...]:
        """See `Sink`."""
        return (self._folder.path,)

    def open(self, seen: Seen) -> None:
        """See `Sink`."""
        self._folder.open()

    def encode(self, emission: Emission, policy: Policy) -> _File:
        """One file."""
        return f"{emission.id}.json", self._encode(bundle(emission, policy)) + b"\n", len(emission.entries)

    def write(self, encoded: _File) -> tuple[Problem, ...]:
        """See `Sink`."""
        name, content, resources = encoded
        file = self._folder.create(name)
        with environment("writing the output folder"):
            file.write(content)
        self._folder.keep(name, resources)
        self._counts["studies"] += 1
        self._counts["resources"] += resources
        return ()

    def finish(self) -> None:
        """See `Sink`."""
        self._folder.finish(self._counts)

    def abort(self) -> None:
        """See `Sink`."""
        self._folder.abort()
