"""What a Key Object Selection says: its evidence and its content tree (PS3.3 A.35.4, C.17.6; PS3.16 TID 2010).

Pure functions over a header record's values. The tree is as deep as `elements.TREE_DEPTH` lets it be read, so that
nothing here needs a bound of its own; nothing recurses.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from dicom2fhir.dicom.elements import TREE_DEPTH
from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.values import first_value

KEY_OBJECT_SELECTION = "1.2.840.10008.5.1.4.1.1.88.59"
_REFERENCES = frozenset({"COMPOSITE", "IMAGE", "WAVEFORM"})


class Content(NamedTuple):
    """One content item, and how many containers it lies in below the document's own."""

    item: Values
    depth: int

    @property
    def concept(self) -> str:
        """The code of its concept name where that is one of DICOM's own, else nothing."""
        for code in self.item.get("ConceptNameCodeSequence", ()):
            if first_value(code.get("CodingSchemeDesignator", "")) == "DCM":
                return first_value(code.get("CodeValue", "")) or ""
        return ""

    @property
    def is_reference(self) -> bool:
        """Whether it points at an instance: an image, a waveform or another composite object."""
        return (first_value(self.item.get("ValueType", "")) or "").upper() in _REFERENCES


class Evidence(NamedTuple):
    """One instance of the evidence, as the file names it; texts are as they lie there."""

    study: str
    series: str
    sop_class: str
    uid: str
    retrieve_url: str


def content(values: Values) -> Iterator[Content]:
    """Every content item in the order of the document, containers before what they hold."""
    waiting = [Content(item, 0) for item in reversed(values.get("ContentSequence", ()))]
    while waiting:
        found = waiting.pop()
        yield found
        below = found.item.get("ContentSequence", ())
        waiting.extend(Content(item, found.depth + 1) for item in reversed(below))


def is_cut(values: Values) -> bool:
    """Whether the tree goes on below where reading stopped."""
    return any(found.depth >= TREE_DEPTH for found in content(values))


def references(item: Values) -> list[Values]:
    """The items of the reference that a content item makes."""
    found = item.get("ReferencedSOPSequence", [])
    return found if isinstance(found, list) else []


def evidence(values: Values, keyword: str = "CurrentRequestedProcedureEvidenceSequence") -> Iterator[Evidence]:
    """The instances of the evidence (0040,A375), or of the identical documents (0040,A525)."""
    for study in values.get(keyword, ()):
        for series in study.get("ReferencedSeriesSequence", ()):
            for instance in series.get("ReferencedSOPSequence", ()):
                yield Evidence(
                    study.get("StudyInstanceUID", ""),
                    series.get("SeriesInstanceUID", ""),
                    instance.get("ReferencedSOPClassUID", ""),
                    instance.get("ReferencedSOPInstanceUID", ""),
                    series.get("RetrieveURL", ""),
                )
