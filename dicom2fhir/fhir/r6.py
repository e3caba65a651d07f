"""FHIR R6 (6.0.0-snapshot1): ImagingStudy and the resources beside it.

What differs from the build before it: the accession number has its place in `basedOn` alone; `procedure`
refers to Procedures, so a code is the code of one; every body site is listed, and the side is that of a
BodyStructure; instances have `numberOfFrames`; `description` comes early. The invariants ist-1 to ist-8
hold: modalities are built the same for study and series, counts are what is listed.

What R6 has no element for (each is a `not-in-this-version`, counted):

- who read the study;
- a procedure's code where no Procedure is created (its words are the reference's display);
- a side without a body site, without a BodyStructure (`--create`), or of what is not a Patient;
- when a series started, unless the study did not start after it for certain (ist-8; dates and times of
  different precision cannot be compared);
- what R5 and the build before this one cannot say of companions.

An instance whose SOP Class UID is no OID has no place (`uid-not-an-oid`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, timedelta
from fractions import Fraction

from dicom2fhir.fhir import bundle, companions, dialect, elements, keyobjects, r4, r5, r6_ballot2
from dicom2fhir.fhir.companions import BodyStructure
from dicom2fhir.fhir.dialect import Dialect, Kind, Rows, Scope
from dicom2fhir.fhir.elements import Json, filled, unique
from dicom2fhir.model import Instance, Procedure, Series, Study

_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d):(\d\d):([0-5]\d(?:\.\d+)?)([+-])(\d\d):(\d\d)")


# ImagingStudy ---------------------------------------------------------------------------------------


def study_identifiers(scope: Scope, study: Study) -> list[Json]:
    """Study Instance UID and Study ID; the accession numbers are in `basedOn`."""
    return [one for one in r4.study_identifiers(scope, study) if one["use"] != "usual"]


def procedures(scope: Scope, study: Study) -> list[Json]:
    """The performed procedures; a code that none of them has is a procedure of which only the code is known."""
    coded = {one.code for one in study.procedures}
    alone = (Procedure((), code) for code in study.procedure_codes if code not in coded)
    performed = (*study.procedures, *alone)
    unsaid = {one.code for one in performed if _has_codes(one) and scope.placement("procedure", one) == "referred"}
    if unsaid:
        scope.lose("ImagingStudy.procedure", "A procedure's code needs a Procedure resource (--create).", len(unsaid))
    return unique(scope.refer("procedure", one) for one in performed)


def _has_codes(one: Procedure) -> bool:
    return one.code is not None and bool(one.code.codes)


STUDY: Rows = {
    "identifier": study_identifiers,
    "description": r4.description,
    "status": r4.status,
    "modality": r5.modalities,
    "subject": r4.subject,
    "encounter": r4.encounter,
    "started": r4.started,
    "basedOn": r4.based_on,
    "procedure": procedures,
    "referrer": r4.referrer,
    "location": r4.location,
    "reason": r5.reasons,
    "endpoint": r4.study_endpoints,
    "numberOfSeries": r4.series_count,
    "numberOfInstances": r4.instance_count,
    "series": dialect.series,
}


# ImagingStudy.series --------------------------------------------------------------------------------


def body_sites(scope: Scope, one: Series) -> list[Json]:
    """Every body site; where a side is known, also as a BodyStructure of that side."""
    side = one.laterality
    if side is None:
        return r5.references(scope, one.body_sites)
    obstacle = _obstacle(scope, one)
    if obstacle:
        scope.lose("ImagingStudy.series.laterality", obstacle, series=one)
        return r5.references(scope, one.body_sites)
    structures = (BodyStructure(site, side) for site in one.body_sites)
    return unique(_body_site(scope, structure) for structure in structures)


def _obstacle(scope: Scope, one: Series) -> str | None:
    """Why there cannot be a BodyStructure."""
    if not one.body_sites:
        return "A side is a BodyStructure's, and that needs a body site."
    if scope.subject_type != "Patient":
        return "A side is a BodyStructure's, and that is a Patient's."
    if "BodyStructure" not in scope.policy.create:
        return "A side is a BodyStructure's (--create)."
    return None


def _body_site(scope: Scope, structure: BodyStructure) -> Json:
    return filled({"concept": scope.concept(structure.site), "reference": scope.refer("body-structure", structure)})


def series_started(scope: Scope, one: Series) -> str | None:
    """When the series began, unless it could be before the study (ist-8)."""
    text = elements.date_time(one.started)
    if text is None:
        return None
    if not_after(elements.date_time(scope.study.started), text):
        return text
    scope.lose("ImagingStudy.series.started", "It is not certain that the study started first (ist-8).", series=one)
    return None


def not_after(first: str | None, second: str) -> bool:
    """Whether one dateTime is decidably not after another: both are dates of one precision, or both instants."""
    if first is None:
        return False
    if "T" in first and "T" in second:
        earlier, later = _seconds(first), _seconds(second)
        return earlier is not None and later is not None and earlier <= later
    return len(first) == len(second) and "T" not in first and first <= second


def _seconds(text: str) -> Fraction | None:
    """An instant on one scale; None for a leap second, which scales do not agree on."""
    found = _INSTANT.fullmatch(text)
    if found is None:
        return None
    day, hours, minutes, seconds, sign, off_hours, off_minutes = found.groups()
    offset = timedelta(hours=int(off_hours), minutes=int(off_minutes)) * (-1 if sign == "-" else 1)
    whole = timedelta(days=date.fromisoformat(day).toordinal(), hours=int(hours), minutes=int(minutes)) - offset
    return Fraction(whole // timedelta(seconds=1)) + Fraction(seconds)


SERIES: Rows = {
    "uid": r4.series_uid,
    "description": r4.description,
    "number": r4.series_number,
    "modality": r5.series_modality,
    "endpoint": r4.series_endpoints,
    "numberOfInstances": r4.instance_count,
    "bodySite": body_sites,
    "specimen": r4.specimens,
    "started": series_started,
    "performer": r4.performers,
    "instance": dialect.instances,
}


def instance(one: Instance) -> Json:
    """ImagingStudy.series.instance with its SOP class as an oid, and the number of its frames."""
    body: Json = {"uid": one.uid, "sopClass": elements.oid(one.sop_class)}
    if one.number is not None:
        body["number"] = one.number
    if one.frames is not None:
        body["numberOfFrames"] = one.frames
    if one.title:
        body["title"] = one.title
    return body


# Companions -----------------------------------------------------------------------------------------


def body_structure(scope: Scope, one: BodyStructure) -> Json:
    """A part of the body on one side."""
    structure = {"structure": scope.concept(one.site), "laterality": r5.side(scope, one.side)}
    return {"includedStructure": [structure], "patient": scope.subject()}


KINDS: Mapping[companions.Name, Kind] = {
    **r6_ballot2.KINDS,
    "body-structure": Kind("BodyStructure", body_structure),
}

PLACES: Mapping[str, str] = {
    **r6_ballot2.PLACES,
    "Study.accessions": "ImagingStudy.basedOn.identifier",
    "Study.procedures": "ImagingStudy.procedure",
    "Study.procedure_codes": "ImagingStudy.procedure, Procedure.code",
    "Series.body_sites": "ImagingStudy.series.bodySite",
    "Series.laterality": "ImagingStudy.series.bodySite.reference, BodyStructure.includedStructure.laterality",
    "Instance.frames": "ImagingStudy.series.instance.numberOfFrames",
}
"""Which element each field of the model fills."""

DIALECT = Dialect(
    name="r6",
    release="6.0.0-snapshot1",
    study=STUDY,
    series=SERIES,
    instance=instance,
    kinds=KINDS,
    identifier=r4.identifier,
    coding=elements.coding,
    find_study=r4.find_study,
    logical=elements.logical,
    unsaid=r5.unread,
    wrap=bundle.entry,
    places=PLACES,
    oids=r6_ballot2.DIALECT.oids,
    key_objects={"auto": keyobjects.new_imaging_selection(r4.person)},
)
