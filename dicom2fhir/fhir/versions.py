"""Every FHIR version there is to write. A new one is one file and one name here."""

from __future__ import annotations

from dicom2fhir.fhir import dstu2, dstu2_ballot2, r4, r4b, r5, r6, r6_ballot2, stu3
from dicom2fhir.fhir.dialect import Dialect

DIALECTS: dict[str, Dialect] = {
    "dstu2-ballot2": dstu2_ballot2.DIALECT,
    "dstu2": dstu2.DIALECT,
    "stu3": stu3.DIALECT,
    "r4": r4.DIALECT,
    "r4b": r4b.DIALECT,
    "r5": r5.DIALECT,
    "r6-ballot2": r6_ballot2.DIALECT,
    "r6": r6.DIALECT,
}
