"""Every FHIR version there is to write. A new one is one file and one name here."""

from __future__ import annotations

from dicom2fhir.fhir import r4
from dicom2fhir.fhir.dialect import Dialect

DIALECTS: dict[str, Dialect] = {
    "r4": r4.DIALECT,
}
