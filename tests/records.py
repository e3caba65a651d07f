"""Header records for tests of the mapping, without files: keywords and their decoded texts, sequences as lists."""

from __future__ import annotations

from typing import Any

from dicom2fhir.dicom.records import Context, InstanceRecord, StudyRecords
from dicom2fhir.mapping import Settings, build_study
from dicom2fhir.model import Series, Study
from dicom2fhir.problems import Code, Problem

CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
REPORT = "1.2.840.10008.5.1.4.1.1.88.11"
KEY_OBJECT = "1.2.840.10008.5.1.4.1.1.88.59"

OWN = frozenset(
    ("AcquisitionDate", "AcquisitionDateTime", "AcquisitionTime", "InstanceNumber", "NumberOfFrames",
     "PerFrameFunctionalGroupsSequence", "ConceptNameCodeSequence", "DocumentTitle", "ContentLabel")
)  # fmt: skip
"""Keywords that belong to the instance; all others to the context."""


def record(number: int = 1, series: int = 1, sop_class: str = CT_IMAGE, **values: Any) -> InstanceRecord:
    """One instance with a context of its own; it has numbers, a modality and a PatientID unless told otherwise."""
    said = {"SeriesNumber": str(series), "InstanceNumber": str(number), "Modality": "CT", "PatientID": "P-1", **values}
    said = {keyword: value for keyword, value in said.items() if value is not None}
    context = Context("1.2", f"1.2.{series}", sop_class, {k: v for k, v in said.items() if k not in OWN})
    return InstanceRecord(f"1.2.{series}.{number}", context, {k: v for k, v in said.items() if k in OWN})


def mapped(*instances: InstanceRecord, **settings: Any) -> tuple[Study | None, list[Problem]]:
    """The study of these instances, and its problems."""
    ordered = sorted(instances, key=lambda instance: (instance.context.series, instance.uid))
    return build_study(StudyRecords("1.2", tuple(ordered)), Settings(**settings))


def study(*instances: InstanceRecord, **settings: Any) -> Study:
    """The study, which must not be withheld."""
    found, _ = mapped(*instances, **settings)
    assert found is not None
    return found


def series(*instances: InstanceRecord, **settings: Any) -> Series:
    """The study's only series."""
    (found,) = study(*instances, **settings).series
    return found


def notes(*instances: InstanceRecord, **settings: Any) -> dict[tuple[Code, str], int]:
    """The problems by code and element (what stands behind the series' UID), with their counts."""
    _, problems = mapped(*instances, **settings)
    return {(problem.code, problem.where.rpartition("/")[2]): problem.count for problem in problems}


def code(value: str, scheme: str | None = "SCT", meaning: str | None = None, **more: Any) -> dict[str, Any]:
    """An item of a code sequence."""
    item = {"CodeValue": value, "CodingSchemeDesignator": scheme, "CodeMeaning": meaning, **more}
    return {keyword: said for keyword, said in item.items() if said is not None}


def issuer(entity: str, kind: str | None = "ISO", local: str | None = None) -> list[dict[str, str]]:
    """An issuer sequence of one item."""
    item = {"UniversalEntityID": entity, "UniversalEntityIDType": kind, "LocalNamespaceEntityID": local}
    return [{keyword: said for keyword, said in item.items() if said is not None}]
