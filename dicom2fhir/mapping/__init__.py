"""Policy: how a group of header records becomes a model.Study (MAPPING: which value wins, what is unknown)."""

from __future__ import annotations

from dicom2fhir.mapping.keyobjects import Elsewhere
from dicom2fhir.mapping.settings import Settings, Target
from dicom2fhir.mapping.study import build_study

__all__ = ["Elsewhere", "Settings", "Target", "build_study"]
