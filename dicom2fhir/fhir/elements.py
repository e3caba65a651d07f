"""FHIR's data types as plain dicts: keys in FHIR's order, an absent value is an absent key.

What is here looks alike in every version from STU3 on (hl7.org/fhir/R4/datatypes); where a
version differs, its own file has its own function.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from dicom2fhir.model import Code, Concept, Moment, PersonName, Representation

Json = dict[str, Any]

DCM = "http://dicom.nema.org/resources/ontology/DCM"
SCT = "http://snomed.info/sct"
RFC_3986 = "urn:ietf:rfc:3986"
DICOM_UID = "urn:dicom:uid"
NAME_REPRESENTATION = "http://hl7.org/fhir/StructureDefinition/iso21090-EN-representation"

_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]*))+")
_REPRESENTATIONS: Mapping[Representation, str] = {"alphabetic": "ABC", "ideographic": "IDE", "phonetic": "SYL"}


def filled(body: Mapping[str, Any]) -> Json:
    """`body` without what is absent: None, and empty texts, lists and dicts. Zero and False stay."""
    return {key: value for key, value in body.items() if value or value == 0}


def unique(items: Iterable[Json | None]) -> list[Json]:
    """The items that are there, each once, in their order."""
    kept: list[Json] = []
    for item in items:
        if item and item not in kept:
            kept.append(item)
    return kept


def oid(uid: str) -> str:
    """A DICOM UID as FHIR's `oid` writes it."""
    return "urn:oid:" + uid


def is_oid(uid: str) -> bool:
    """Whether a DICOM UID fits an element of type `oid`: no leading zeros, a first arc of 0 to 2, and a second."""
    return _OID.fullmatch(uid) is not None


def coding(code: Code) -> Json:
    """A Coding: system, version, code, display."""
    return filled({"system": code.system, "version": code.version, "code": code.value, "display": code.display})


def concept_text(concept: Concept | None) -> str | None:
    """The words for a concept: its own text, else the first display of its codes."""
    if concept is None:
        return None
    return concept.text or next((code.display for code in concept.codes if code.display), None)


def date_time(moment: Moment | None) -> str | None:
    """A dateTime. FHIR allows a time only with its offset and a whole date; else the date stands alone."""
    if moment is None:
        return None
    if moment.time and moment.offset and len(moment.date) == 10:
        return f"{moment.date}T{moment.time}{moment.offset}"
    return moment.date


def name_text(name: PersonName) -> str | None:
    """One name as people write it: ideographic without blanks, the others as prefix, given, family, suffix."""
    if name.text:
        return name.text
    if name.representation == "ideographic":
        return "".join(part for part in (name.family, *name.given) if part) or None
    parts = (name.prefix, *name.given, name.family, name.suffix)
    return " ".join(part for part in parts if part) or None


def display_name(names: Iterable[PersonName]) -> str | None:
    """The name to show for a person: the alphabetic one, else the first."""
    ordered = sorted(names, key=lambda name: name.representation != "alphabetic")
    return next((text for text in map(name_text, ordered) if text), None)


def human_name(name: PersonName) -> Json:
    """A HumanName of one representation, marked ABC, IDE or SYL (extension iso21090-EN-representation)."""
    mark = extension(NAME_REPRESENTATION, "valueCode", _REPRESENTATIONS[name.representation])
    return filled(
        {
            "extension": [mark],
            "use": name.use,
            "text": name_text(name),
            "family": name.family,
            "given": [part for part in name.given if part],
            "prefix": [name.prefix] if name.prefix else None,
            "suffix": [name.suffix] if name.suffix else None,
        }
    )


def extension(url: str, kind: str, value: object) -> Json:
    """An Extension with one value; `kind` is the choice's name, such as `valueCode`."""
    return {"url": url, kind: value}


def address(text: str | None) -> list[Json]:
    """An address of which only the whole text is known."""
    return [{"text": text}] if text else []


def phones(numbers: Iterable[str]) -> list[Json]:
    """ContactPoints of telephones."""
    return [{"system": "phone", "value": number} for number in numbers if number]


def logical(resource_type: str, identifier: Json | None, display: str | None) -> Json | None:
    """A Reference that resolves by identifier, or only shows a name (R4 on: with the type)."""
    if not identifier and not display:
        return None
    return filled({"type": resource_type, "identifier": identifier, "display": display})
