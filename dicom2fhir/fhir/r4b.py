"""FHIR R4B (4.3.0): hl7.org/fhir/R4B/imagingstudy.

Every element that is written has the type, cardinality, binding and targets that it has in R4: what R4 cannot say
R4B cannot say either, and what R4 leaves out by intent is left out here.
"""

from __future__ import annotations

from dataclasses import replace

from dicom2fhir.fhir import r4

DIALECT = replace(r4.DIALECT, name="r4b", release="4.3.0")
