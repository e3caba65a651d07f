"""From what the user asked to the sink that does it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dicom2fhir.errors import UsageError
from dicom2fhir.sinks.bundle import OneBundle
from dicom2fhir.sinks.bundles import BundleFolder, BundleLines
from dicom2fhir.sinks.files import Nowhere, Outlet, outlet
from dicom2fhir.sinks.folder import OwnedFolder
from dicom2fhir.sinks.ndjson import ResourceFolder, ResourceLines

if TYPE_CHECKING:
    from dicom2fhir.sinks.base import Format, Sink


def is_folder(destination: str | None) -> bool:
    """Whether `-o` names a folder: it ends in a slash, or there is one."""
    return destination is not None and destination != "-" and (destination.endswith("/") or os.path.isdir(destination))


def choose(
    destination: str | None, shape: Format, *, pretty: bool = False, overwrite: bool = False, dry_run: bool = False
) -> Sink:
    """The sink for a destination (None and `-`: standard output). `UsageError` where the two do not go together."""
    folder = is_folder(destination)
    if folder and shape == "bundle":
        raise UsageError("--format bundle writes one file, and the output is a folder")
    if pretty and not (shape == "bundle" or (folder and shape == "bundles")):
        raise UsageError("--pretty is for --format bundle and for bundles in a folder; elsewhere a line is a record")
    if dry_run:
        return _stream(Nowhere(), shape, pretty)
    if folder:
        assert destination is not None
        owned = OwnedFolder(destination, overwrite=overwrite)
        return ResourceFolder(owned) if shape == "ndjson" else BundleFolder(owned, pretty=pretty)
    return _stream(outlet(destination, overwrite=overwrite), shape, pretty)


def _stream(target: Outlet, shape: Format, pretty: bool) -> Sink:
    if shape == "bundle":
        return OneBundle(target, pretty=pretty)
    return ResourceLines(target) if shape == "ndjson" else BundleLines(target)
