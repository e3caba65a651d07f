"""Code tables and their look-ups. The tables are CSV files beside this one; README.md says where they come from.

Every look-up is pure, takes what a file says and returns values of the model, or `None` for what no table has.
A table is read when it is first asked for, and the model loaded then: who only reads files needs little of it.
"""

from __future__ import annotations

import csv
import os
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, cast

if TYPE_CHECKING:
    from dicom2fhir.model import Concept, Modality, Side

Family = Literal[
    "image", "video", "waveform", "sr", "ko", "pr", "seg", "reg", "rwv", "doc",
    "rt-plan", "rt-struct", "rt-image", "rt-dose", "rt-record", "rt",
    "measurement", "surface", "raw", "stereometric", "non-patient", "other",
]  # fmt: skip

DICOMDIR: Final = "1.2.840.10008.1.3.10"
"""The SOP class of a DICOMDIR (Media Storage Directory)."""
SCT: Final = "http://snomed.info/sct"
"""SNOMED CT's URI in FHIR."""

_IMAGES: Final = frozenset({"image", "video", "rt-image"})


class SopClass(NamedTuple):
    """What is known of a SOP class.

    `modality` is the term that the class implies, where it implies one. `title` names the attributes that
    can entitle an instance, best first (of a code sequence, its code's meaning); none for plain images.
    """

    family: Family
    modality: str | None = None
    title: tuple[str, ...] = ()
    retired: bool = False
    name: str | None = None


def modality(term: str) -> Modality | None:
    """A modality term (PS3.16 CID 29 and 33, and the retired terms), exactly as DICOM writes it."""
    return _modalities().get(term)


def body_part(term: str) -> Concept | None:
    """A Body Part Examined (0018,0015), by its term or by the words of its meaning (PS3.16 Annex L).

    Case, blanks, `_` and `-` do not matter. A term without a SNOMED CT code is text only.
    """
    return _body_parts().get(_squeezed(term))


def is_lateral(sct_code: str) -> Side | None:
    """The side that a SNOMED CT body site already names."""
    return _sides().get(sct_code)


def scheme(designator: str) -> str | None:
    """The URI of a coding scheme by its designator (PS3.16 chapter 8).

    SNOMED's old SRT has none: its ids are no SNOMED CT codes, and the caller translates them.
    """
    return _schemes().get(designator) or _schemes().get(designator.upper() if _is_radlex(designator) else "")


def scheme_by_uid(uid: str) -> str | None:
    """The URI of a coding scheme by its UID (PS3.16 chapter 8)."""
    return _scheme_uids().get(uid)


def sop_class(uid: str) -> SopClass | None:
    """A SOP class by its UID: from the table, else as its neighbours where all below a root are alike."""
    return _sop_classes().get(uid) or next((known for root, known in _sop_roots() if uid.startswith(root)), None)


def is_image(uid: str) -> bool:
    """Whether objects of this SOP class are images or videos."""
    known = sop_class(uid)
    return known is not None and known.family in _IMAGES


def _rows(table: str) -> list[dict[str, str]]:
    with open(os.path.join(os.path.dirname(__file__), f"{table}.csv"), encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@cache
def _modalities() -> dict[str, Modality]:
    from dicom2fhir.model import Modality

    return {row["term"]: Modality(row["term"], row["meaning"], row["acquires"] == "Y") for row in _rows("modality")}


@cache
def _body_parts() -> dict[str, Concept]:
    rows = [(row["term"], row["meaning"], _site(row["sct"], row["meaning"])) for row in _rows("body_part")]
    by_meaning = {_squeezed(meaning): concept for _, meaning, concept in rows}
    return by_meaning | {_squeezed(term): concept for term, _, concept in rows}


def _site(sct: str, meaning: str) -> Concept:
    from dicom2fhir.model import Code, Concept

    return Concept((Code(sct, SCT, meaning),)) if sct else Concept(text=meaning)


def _squeezed(term: str) -> str:
    return "".join(term.upper().replace("_", "").replace("-", "").split())


@cache
def _sides() -> dict[str, Side]:
    return {row["sct"]: cast("Side", row["side"]) for row in _rows("lateral")}


@cache
def _schemes() -> dict[str, str]:
    return {row["designator"]: row["system"] for row in _rows("coding_scheme") if row["system"]}


@cache
def _scheme_uids() -> dict[str, str]:
    return {row["uid"]: row["system"] for row in _rows("coding_scheme") if row["system"]}


def _is_radlex(designator: str) -> bool:
    # Files write RadLex's designator in many ways; elsewhere case tells schemes apart.
    return designator.upper() in {"RADLEX", "RPID"}


@cache
def _sop_classes() -> dict[str, SopClass]:
    return {row["uid"]: _as_sop_class(row) for row in _rows("sop_class")}


@cache
def _sop_roots() -> tuple[tuple[str, SopClass], ...]:
    return tuple((row["root"], _as_sop_class(row)) for row in _rows("sop_root"))


def _as_sop_class(row: dict[str, str]) -> SopClass:
    return SopClass(
        cast(Family, row["family"]),
        row["modality"] or None,
        tuple(row["title"].split()),
        row.get("retired") == "Y",
        row.get("name"),
    )
