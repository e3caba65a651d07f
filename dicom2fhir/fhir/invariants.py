"""Rules that no cardinality or type can say: HL7's invariants, by the type that they belong to.

A rule sees one object and answers with what is wrong, or None. The keys are HL7's (`ist-1`, `pat-1`); rules that
need more than one object (contained resources, Bundles) are the referee's own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

Rule = Callable[[Any], str | None]
Rules = Mapping[str, tuple[Rule, ...]]

_DICOM_UID = re.compile(r"urn:oid:[0-9]+(\.[0-9]+)*")
_MOMENT = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d):(\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d))?)?)?")


def _objects(body: Any, name: str) -> list[dict[str, Any]]:
    """The objects of a repeating element; what is no object is another rule's fault."""
    values = body.get(name)
    return [one for one in values if isinstance(one, dict)] if isinstance(values, list) else []


def _needs(message: str, *names: str) -> Rule:
    """One of these elements must be there."""
    return lambda body: None if any(name in body for name in names) else message


def _implies(message: str, name: str, *names: str) -> Rule:
    """Where the first element is, all the others must be."""
    return lambda body: message if name in body and not all(other in body for other in names) else None


# Data types and companions ------------------------------------------------------------------------


def _identifier(body: Any) -> str | None:
    value = body.get("value")
    if body.get("system") == "urn:dicom:uid" and isinstance(value, str) and not _DICOM_UID.fullmatch(value):
        return "a UID under urn:dicom:uid is written as urn:oid:"
    return None


def _extension(body: Any) -> str | None:
    values = sum(name.startswith(("value", "_value")) for name in body)
    return None if bool(values) != ("extension" in body) else "an extension has either a value or extensions (ext-1)"


def _period(body: Any) -> str | None:
    late = at_or_after(body.get("end"), body.get("start")) is False
    return "a period ends before it starts (per-1)" if late else None


def _no_home(*names: str) -> Rule:
    def rule(body: Any) -> str | None:
        homes = any(one.get("use") == "home" for name in names for one in _objects(body, name))
        return "an organization has no home (org-2, org-3)" if homes else None

    return rule


COMMON: Final[Rules] = {
    "Attachment": (_implies("data needs its contentType (att-1)", "data", "contentType"),),
    "ContactPoint": (_implies("a value needs its system (cpt-2)", "value", "system"),),
    "Extension": (_extension,),
    "Identifier": (_identifier,),
    "Organization": (_needs("a name or an identifier is needed (org-1)", "name", "identifier"),
                     _no_home("telecom", "address")),
    "PatientContact": (_needs("a contact needs details or an organization (pat-1)",
                              "name", "telecom", "address", "organization"),),
    "Period": (_period,),
    "Quantity": (_implies("a code needs its system (qty-3)", "code", "system"),),
}  # fmt: skip
FROM_R4: Final[Rules] = {
    **COMMON,
    "ServiceRequest": (_implies("details need a code (prr-1)", "orderDetail", "code"),),
}
FROM_R5: Final[Rules] = {
    **FROM_R4,
    "Reference": (_needs("a reference needs a reference, an identifier or a display (ref-2)",
                         "reference", "identifier", "display", "extension"),),
    "EncounterParticipant": (_needs("a participant needs an actor or a type (enc-1)", "actor", "type"),),
}  # fmt: skip


# R6: ImagingStudy ---------------------------------------------------------------------------------


def _count(body: Any, name: str) -> int | None:
    value = body.get(name)
    return value if type(value) is int else None


def _study_uids(body: Any) -> list[dict[str, Any]]:
    return [one for one in _objects(body, "identifier") if one.get("system") == "urn:dicom:uid"]


def _ist_1(body: Any) -> str | None:
    missing = "series" in body and not _study_uids(body)
    return "a study with series needs its UID as an identifier (ist-1)" if missing else None


def _ist_2(body: Any) -> str | None:
    return "a study has one UID (ist-2)" if len(_study_uids(body)) > 1 else None


def _ist_3(body: Any) -> str | None:
    series, told = _objects(body, "series"), _count(body, "numberOfSeries")
    return "numberOfSeries is not the number of series (ist-3)" if series and told not in (None, len(series)) else None


def _ist_4(body: Any) -> str | None:
    listed = sum(len(_objects(one, "instance")) for one in _objects(body, "series"))
    told = _count(body, "numberOfInstances")
    wrong = listed and told not in (None, listed)
    return "numberOfInstances is not the number of instances listed (ist-4)" if wrong else None


def _ist_5(body: Any) -> str | None:
    told = _count(body, "numberOfInstances")
    counts = [n for one in _objects(body, "series") if (n := _count(one, "numberOfInstances")) is not None]
    wrong = counts and told not in (None, sum(counts))
    return "numberOfInstances is not the sum over the series (ist-5)" if wrong else None


def _ist_6(body: Any) -> str | None:
    for one in _objects(body, "series"):
        listed, told = _objects(one, "instance"), _count(one, "numberOfInstances")
        if listed and told not in (None, len(listed)):
            return "a series' numberOfInstances is not the number of its instances (ist-6)"
    return None


def _ist_7(body: Any) -> str | None:
    if "modality" not in body:
        return None
    of_series = {said for one in _objects(body, "series") for said in _said(one.get("modality"))}
    of_study = {said for one in _objects(body, "modality") for said in _said(one)}
    return "modality is not the set of the series' modalities (ist-7)" if of_study != of_series else None


def _said(concept: Any) -> Iterator[tuple[str, ...]]:
    """What a concept says: the codings, and the text."""
    if not isinstance(concept, dict):
        return
    for one in _objects(concept, "coding"):
        yield tuple(str(one.get(name)) for name in ("system", "version", "code", "display"))
    if "text" in concept:
        yield (str(concept["text"]),)


def _ist_8(body: Any) -> str | None:
    began = body.get("started")
    for one in _objects(body, "series") if began is not None else ():
        if "started" in one and at_or_after(one["started"], began) is not True:
            return "a series starts before its study, or that cannot be said (ist-8)"
    return None


# R6: ImagingSelection -----------------------------------------------------------------------------


def _isl_6(body: Any) -> str | None:
    flat = any("imageRegion2D" in one for one in _objects(body, "instance"))
    return "regions are of two or of three dimensions (isl-6)" if flat and "imageRegion3D" in body else None


def _isl_7(body: Any) -> str | None:
    regions = (region for one in _objects(body, "instance") for region in _objects(one, "imageRegion2D"))
    return None if _multiples(regions, "coordinate", 2) else "coordinates of a plane come in pairs (isl-7)"


def _isl_8(body: Any) -> str | None:
    whole = _multiples(_objects(body, "imageRegion3D"), "coordinate", 3)
    return None if whole else "coordinates of space come in threes (isl-8)"


def _isl_10(body: Any) -> str | None:
    names = {"frameNumber", "referencedContentItemIdentifier", "segmentNumber", "regionOfInterest", "waveFormChannel"}
    mixed = any(len(names & one.keys()) > 1 for one in _objects(body, "instance"))
    return "an instance is narrowed down in one way (isl-10)" if mixed else None


def _isl_11(body: Any) -> str | None:
    pairs = _multiples(_objects(body, "instance"), "waveFormChannel", 2)
    return None if pairs else "waveform channels come in pairs (isl-11)"


def _multiples(bodies: Any, name: str, of: int) -> bool:
    lists = (body.get(name) for body in bodies)
    return all(len(one) % of == 0 for one in lists if isinstance(one, list))


R6: Final[Rules] = {
    **FROM_R5,
    "ImagingStudy": (_ist_1, _ist_2, _ist_3, _ist_4, _ist_5, _ist_6, _ist_7, _ist_8),
    "ImagingSelection": (
        _needs("a series or a region of space is needed (isl-1)", "seriesUid", "imageRegion3D"),
        _implies("a series needs its study (isl-2)", "seriesUid", "studyUid"),
        _implies("a series number needs its series (isl-3)", "seriesNumber", "seriesUid"),
        _implies("instances need their series (isl-4)", "instance", "seriesUid"),
        _implies("a region of space needs its frame of reference (isl-5)", "imageRegion3D", "frameOfReferenceUid"),
        _isl_6,
        _isl_7,
        _isl_8,
        _implies("a modality needs its series (isl-9)", "modality", "seriesUid"),
        _isl_10,
        _isl_11,
    ),
}  # fmt: skip
"""6.0.0-snapshot1: ist-4 asks only where an instance is listed; isl-10 is asked of each instance by itself."""


# Time ---------------------------------------------------------------------------------------------


def at_or_after(one: Any, other: Any) -> bool | None:
    """Whether a dateTime is not before another, as FHIRPath compares them; None: it cannot be said.

    Moments with a time are compared in UTC, dates part by part until they differ, and where one ends first without
    a difference the answer is open. A date against a moment must be clear in the moment's own zone and in UTC.
    """
    first, second = _moment(one), _moment(other)
    if first is None or second is None:
        return None
    if len(first.utc) > 3 and len(second.utc) > 3:
        return first.utc >= second.utc
    answers = {_compare(first.local, second.local), _compare(first.utc, second.utc)}
    return answers.pop() if len(answers) == 1 else None


class _Moment(NamedTuple):
    local: tuple[float, ...]
    utc: tuple[float, ...]


def _compare(first: tuple[float, ...], second: tuple[float, ...]) -> bool | None:
    for mine, theirs in zip(first, second, strict=False):
        if mine != theirs:
            return mine > theirs
    return True if len(first) == len(second) else None


def _moment(text: Any) -> _Moment | None:
    found = _MOMENT.fullmatch(text) if isinstance(text, str) else None
    if found is None:
        return None
    *whole, fraction, zone = found.groups()
    local = tuple(float(part) for part in whole if part is not None)
    if zone is None:
        return _Moment(local, local)
    try:  # seconds are added afterwards: a minute may have 61 of them
        at = datetime.fromisoformat(text[:16] + zone).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
    seconds = local[5] + float(fraction or 0)
    return _Moment((*local[:5], seconds), (at.year, at.month, at.day, at.hour, at.minute, seconds))
