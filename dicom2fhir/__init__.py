"""Turn DICOM files into FHIR ImagingStudy resources.

The public names are loaded when they are first used: importing the package costs nothing.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicom2fhir.errors import Dicom2FhirError
    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.mapping import Settings
    from dicom2fhir.pipeline import Options, Progress, convert, survey
    from dicom2fhir.problems import Code, Problem
    from dicom2fhir.report import Report
    from dicom2fhir.sinks.choose import choose
    from dicom2fhir.sources.directory import Paths, Selection
    from dicom2fhir.workers import Limits

__version__ = "0.1.0"
__all__ = [
    "Code",
    "Dicom2FhirError",
    "Limits",
    "Options",
    "Paths",
    "Policy",
    "Problem",
    "Progress",
    "Report",
    "Selection",
    "Settings",
    "choose",
    "convert",
    "survey",
]

_HOMES = {
    "Code": "problems",
    "Dicom2FhirError": "errors",
    "Paths": "sources.directory",
    "Selection": "sources.directory",
    "Limits": "workers",
    "Options": "pipeline",
    "Policy": "fhir.policy",
    "Problem": "problems",
    "Progress": "pipeline",
    "Report": "report",
    "Settings": "mapping",
    "choose": "sinks.choose",
    "convert": "pipeline",
    "survey": "pipeline",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'dicom2fhir' has no attribute {name!r}")
    return getattr(import_module(f"dicom2fhir.{_HOMES[name]}"), name)
