"""FHIR R6 as its build of mid-2025 shows it (about 6.0.0-ballot2): ImagingStudy and the resources beside it.

What differs from R5: `sopClass` is an oid, `description` stands before the counts; an EpisodeOfCare has a
`subject`, a Device `deviceVersion`, a coded kind of name and no `displayName`; a specimen's container is a
CodeableReference; a contact has `additionalName`. What ImagingStudy cannot say is what R5 cannot say; an
owner's further representations have their place.

An instance whose SOP Class UID is no OID has no place (`uid-not-an-oid`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dicom2fhir.fhir import bundle, companions, dialect, elements, keyobjects, r4, r5
from dicom2fhir.fhir.companions import Container
from dicom2fhir.fhir.dialect import Dialect, Kind, Rows, Scope
from dicom2fhir.fhir.elements import Json, filled, human_name, unique
from dicom2fhir.model import Code, Device, Identifier, Instance, Owner, Patient, Specimen

NAME_TYPE = "http://hl7.org/fhir/device-nametype"

STUDY: Rows = {
    "identifier": r4.study_identifiers,
    "status": r4.status,
    "modality": r5.modalities,
    "subject": r4.subject,
    "encounter": r4.encounter,
    "started": r4.started,
    "basedOn": r4.based_on,
    "partOf": r5.part_of,
    "referrer": r4.referrer,
    "endpoint": r4.study_endpoints,
    "procedure": r5.procedure,
    "location": r4.location,
    "reason": r5.reasons,
    "description": r4.description,
    "numberOfSeries": r4.series_count,
    "numberOfInstances": r4.instance_count,
    "series": dialect.series,
}


def instance(one: Instance) -> Json:
    """ImagingStudy.series.instance with its SOP class as an oid."""
    body: Json = {"uid": one.uid, "sopClass": elements.oid(one.sop_class)}
    if one.number is not None:
        body["number"] = one.number
    if one.title:
        body["title"] = one.title
    return body


# Companions -----------------------------------------------------------------------------------------


def patient(scope: Scope, one: Patient) -> Json:
    """As in R4, with all representations of an owner's name."""
    return filled(r4.patient(scope, replace(one, owner=None)) | {"contact": owner(one.owner) if one.owner else None})


def owner(one: Owner) -> list[Json]:
    """The person responsible for an animal."""
    names = unique(map(human_name, one.names))
    relationship = [{"text": one.role}] if one.role else None
    contact = {"relationship": relationship, "name": names[0], "additionalName": names[1:]} if names else {}
    return unique((filled(contact),))


def phantom(scope: Scope, one: Patient) -> Json:
    """A phantom that stands for a patient."""
    return _with_coded_names(scope, r5.phantom(scope, one))


def device(scope: Scope, one: Device) -> Json:
    """A piece of equipment."""
    body = _with_coded_names(scope, r5.device(scope, one))
    body.pop("displayName", None)
    return {"deviceVersion" if name == "version" else name: value for name, value in body.items()}


def _with_coded_names(scope: Scope, body: Json) -> Json:
    for name in body.get("name", ()):
        name["type"] = {"coding": [scope.coding(Code(name["type"], NAME_TYPE))]}
    return body


def specimen(scope: Scope, one: Specimen) -> Json:
    """A specimen: the kind of its container is said in place, a Device says which one it is."""
    known = Container(one.container, one.container_type)
    concept = scope.concept(one.container_type)
    reference = scope.refer("container", known) if one.container else None
    held = filled({"concept": concept, "reference": reference})
    return r5.specimen_in(scope, one, {"device": held} if held else {})


def episode_of_care(scope: Scope, one: Identifier) -> Json:
    """As in R4, of a `subject`."""
    body = r4.episode_of_care(scope, one)
    return {"subject" if name == "patient" else name: value for name, value in body.items()}


KINDS: Mapping[companions.Name, Kind] = {
    **r5.KINDS,
    "patient": Kind("Patient", patient),
    "phantom": Kind("Device", phantom),
    "device": Kind("Device", device),
    "specimen": Kind("Specimen", specimen),
    "episode": Kind("EpisodeOfCare", episode_of_care),
}

PLACES: Mapping[str, str] = {
    **r5.PLACES,
    "Device.model": "Device.modelNumber",
    "Device.versions": "Device.deviceVersion",
    "Specimen.container_type": "Specimen.container.device.concept",
}
"""Which element each field of the model fills."""

DIALECT = Dialect(
    name="r6-ballot2",
    release="6.0.0-ballot2",
    study=STUDY,
    series=r5.SERIES,
    instance=instance,
    kinds=KINDS,
    identifier=r4.identifier,
    coding=elements.coding,
    find_study=r4.find_study,
    logical=elements.logical,
    unsaid=r5.unsaid,
    wrap=bundle.entry,
    places=PLACES,
    oids=frozenset(("sop-class",)),
    key_objects={"auto": keyobjects.ballot_imaging_selection(r4.person)},
)
