"""FHIR R5 (5.0.0): hl7.org/fhir/R5/imagingstudy and the resources beside it.

What differs from R4: modalities are CodeableConcepts, the study's are those of all its series; the
performed procedure is `partOf`, its code `procedure.concept`; reason, body site and the order's code are
CodeableReferences; laterality has the codes of CID 244; an Endpoint has `payload`, a Device `displayName`
and `name`, an Organization `contact`, a Group `membership`; a specimen's container is a Device.

What R5 has no element for, or room for one only (each is a `not-in-this-version`, counted):

- who read the study: `interpreter` is gone;
- numberOfFrames of an instance;
- every body site of a series but the first;
- a UDI that is not of GS1: `udiCarrier` asks for the device identifier and its issuer, which only GS1's
  form tells apart;
- an episode of care and a ward where no Encounter is created; a second breed, and breed or neutering
  without a species; a birth time without its offset; representations of an owner's name beyond one; a
  phantom's or group's sex, birth date and the like (all as in R4).

Left out by intent: an encounter's class, no longer required; a device's `type`, `category` and `status`;
BodyStructure: `laterality` says the side; narratives.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from dicom2fhir.fhir import bundle, companions, dialect, elements, keyobjects, r4
from dicom2fhir.fhir.companions import Container
from dicom2fhir.fhir.dialect import Dialect, Kind, Rows, Scope
from dicom2fhir.fhir.elements import DCM, SCT, Json, filled, unique
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Encounter,
    Endpoint,
    Modality,
    Organization,
    Patient,
    Request,
    Series,
    Side,
    Specimen,
    Study,
)

GS1 = "http://hl7.org/fhir/NamingSystem/gs1-di"

LATERALITY: Mapping[Side, Code] = {
    "left": Code("7771000", SCT, "Left"),
    "right": Code("24028007", SCT, "Right"),
    "both": Code("51440002", SCT, "Bilateral"),
}
"""DICOM CID 244, which hl7.org/fhir/R5/imagingstudy names."""

_GS1_UDI = re.compile(r"\(01\)([0-9]{14})(?:\(.*)?", re.DOTALL)


# Data types -----------------------------------------------------------------------------------------


def modality(scope: Scope, one: Modality) -> Json:
    """A modality as a CodeableConcept of DCM; `text` is what the file said where OT stands in for it."""
    return filled({"coding": [scope.coding(Code(one.term, DCM, one.meaning or None))], "text": one.text})


def references(scope: Scope, concepts: tuple[Concept, ...]) -> list[Json]:
    """CodeableReferences of which the concept is known."""
    return [{"concept": concept} for concept in scope.concepts(concepts)]


# ImagingStudy ---------------------------------------------------------------------------------------


def modalities(scope: Scope, study: Study) -> list[Json]:
    """Every distinct modality of the series, exactly as the series have it."""
    ordered = sorted((one.modality for one in study.series), key=lambda each: (each.term, each.text or ""))
    return unique(modality(scope, one) for one in ordered)


def part_of(scope: Scope, study: Study) -> list[Json]:
    """The performed procedures."""
    return unique(scope.refer("procedure", one) for one in study.procedures)


def procedure(scope: Scope, study: Study) -> list[Json]:
    """What was done, one concept for each code."""
    return references(scope, study.procedure_codes)


def reasons(scope: Scope, study: Study) -> list[Json]:
    """Why it was done."""
    return references(scope, study.reasons)


STUDY: Rows = {
    "identifier": r4.study_identifiers,
    "status": r4.status,
    "modality": modalities,
    "subject": r4.subject,
    "encounter": r4.encounter,
    "started": r4.started,
    "basedOn": r4.based_on,
    "partOf": part_of,
    "referrer": r4.referrer,
    "endpoint": r4.study_endpoints,
    "numberOfSeries": r4.series_count,
    "numberOfInstances": r4.instance_count,
    "procedure": procedure,
    "location": r4.location,
    "reason": reasons,
    "description": r4.description,
    "series": dialect.series,
}


# ImagingStudy.series --------------------------------------------------------------------------------


def series_modality(scope: Scope, one: Series) -> Json:
    """The modality, whether it acquires images or not."""
    return modality(scope, one.modality)


def body_site(scope: Scope, one: Series) -> Json | None:
    """The first body site, with its words."""
    if len(one.body_sites) > 1:
        why = "There is room for one body site."
        scope.lose("ImagingStudy.series.bodySite", why, len(one.body_sites) - 1, one)
    return next(iter(references(scope, one.body_sites[:1])), None)


def laterality(scope: Scope, one: Series) -> Json | None:
    """The side, in the codes of CID 244."""
    return side(scope, one.laterality) if one.laterality else None


def side(scope: Scope, one: Side) -> Json:
    """A side as a CodeableConcept."""
    return {"coding": [scope.coding(LATERALITY[one])]}


SERIES: Rows = {
    "uid": r4.series_uid,
    "number": r4.series_number,
    "modality": series_modality,
    "description": r4.description,
    "numberOfInstances": r4.instance_count,
    "endpoint": r4.series_endpoints,
    "bodySite": body_site,
    "laterality": laterality,
    "specimen": r4.specimens,
    "started": r4.started,
    "performer": r4.performers,
    "instance": dialect.instances,
}


def unsaid(study: Study) -> dict[str, int]:
    """Values without an element: the numbers of frames, the readers."""
    return r4.unsaid(study) | unread(study)


def unread(study: Study) -> dict[str, int]:
    """The readers, for whom ImagingStudy has no element since R5."""
    return {"ImagingStudy.interpreter": len(study.interpreters)} if study.interpreters else {}


# Companions -----------------------------------------------------------------------------------------


def phantom(scope: Scope, one: Patient) -> Json:
    """hl7.org/fhir/R5/device for a phantom that stands for a patient."""
    r4.lose_description(scope, one)
    name = elements.display_name(one.names)
    return filled(
        {
            "identifier": scope.identifiers(companions.patient_identifiers(one)),
            "name": [{"value": name, "type": "user-friendly-name"}] if name else None,
        }
    )


def group(scope: Scope, one: Patient) -> Json:
    """hl7.org/fhir/R5/group for animals imaged together: what was `actual` is an enumerated membership."""
    body = r4.group(scope, one)
    renamed = {"actual": ("membership", "enumerated")}
    return dict(renamed.get(name, (name, value)) for name, value in body.items())


def organization(scope: Scope, one: Organization) -> Json:
    """hl7.org/fhir/R5/organization: the address is a contact's."""
    return filled(
        {
            "identifier": scope.identifiers(one.identifiers),
            "name": one.name,
            "contact": [{"address": {"text": one.address}}] if one.address else None,
        }
    )


def device(scope: Scope, one: Device) -> Json:
    """hl7.org/fhir/R5/device for a piece of equipment, displayed by its model."""
    return filled(
        {
            "identifier": scope.identifiers(companions.device_identifiers(one)),
            "displayName": one.model,
            "udiCarrier": udi_carrier(scope, one),
            "manufacturer": one.manufacturer,
            "serialNumber": one.serial,
            "name": [{"value": one.station, "type": "user-friendly-name"}] if one.station else None,
            "modelNumber": one.model,
            "version": [{"value": version} for version in one.versions if version],
        }
    )


def udi_carrier(scope: Scope, one: Device) -> list[Json]:
    """The UDI of GS1's form, `(01)` and fourteen digits first: the device identifier and its issuer are required."""
    if not one.udi:
        return []
    found = _GS1_UDI.fullmatch(one.udi)
    if found is None:
        scope.lose("Device.udiCarrier", "The device identifier inside a UDI is only known for GS1's.")
        return []
    return [{"deviceIdentifier": found[1], "issuer": GS1, "carrierHRF": one.udi}]


def specimen(scope: Scope, one: Specimen) -> Json:
    """hl7.org/fhir/R5/specimen: its container is a device."""
    container = Container(one.container, one.container_type)
    held = scope.refer("container", container) if one.container or one.container_type else None
    return specimen_in(scope, one, {"device": held} if held else {})


def specimen_in(scope: Scope, one: Specimen, container: Json) -> Json:
    """A specimen with its container in the version's form."""
    return filled(
        {
            "identifier": scope.identifiers(one.identifiers),
            "type": scope.concept(one.type),
            "subject": scope.subject(),
            "container": unique((container,)),
            "note": unique({"text": text} for text in (one.description, *one.notes) if text),
        }
    )


def container(scope: Scope, one: Container) -> Json:
    """hl7.org/fhir/R5/device for what holds a specimen."""
    return filled(
        {"identifier": unique((scope.identifier(one.identifier),)), "type": unique((scope.concept(one.type),))}
    )


def endpoint(scope: Scope, one: Endpoint) -> Json:
    """hl7.org/fhir/R5/endpoint of a study: payload DCM 113014."""
    return _endpoint(r4.endpoint(scope, one))


def series_endpoint(scope: Scope, one: Endpoint) -> Json:
    """hl7.org/fhir/R5/endpoint of a series: payload DCM 113015."""
    return _endpoint(r4.series_endpoint(scope, one))


def _endpoint(body: Json) -> Json:
    payload = filled({"type": body["payloadType"], "mimeType": body.get("payloadMimeType")})
    return {
        "identifier": body["identifier"],
        "status": body["status"],
        "connectionType": [{"coding": [body["connectionType"]]}],
        "payload": [payload],
        "address": body["address"],
    }


def service_request(scope: Scope, one: Request) -> Json:
    """hl7.org/fhir/R5/servicerequest: code and reasons are CodeableReferences."""
    code = scope.concept(one.code)
    return filled(
        {
            "identifier": scope.identifiers(companions.order_identifiers(one)),
            "status": "completed",
            "intent": "order",
            "category": [{"coding": [scope.coding(Code("363679005", SCT, "Imaging"))]}],
            "priority": one.priority,
            "code": {"concept": code} if code else None,
            "subject": scope.subject(),
            "requester": r4.person(scope, one.requester) if one.requester else None,
            "reason": references(scope, one.reasons),
        }
    )


def visit(scope: Scope, one: Encounter) -> Json:
    """hl7.org/fhir/R5/encounter: completed; its class is not required, and DICOM does not tell it."""
    body = r4.visit(scope, one) | {"status": "completed"}
    del body["class"]
    return body


KINDS: Mapping[companions.Name, Kind] = {
    **r4.KINDS,
    "phantom": Kind("Device", phantom),
    "group": Kind("Group", group),
    "organization": Kind("Organization", organization),
    "device": Kind("Device", device),
    "specimen": Kind("Specimen", specimen),
    "container": Kind("Device", container),
    "endpoint": Kind("Endpoint", endpoint),
    "series-endpoint": Kind("Endpoint", series_endpoint),
    "request": Kind("ServiceRequest", service_request),
    "encounter": Kind("Encounter", visit),
}

PLACES: Mapping[str, str] = {
    **{field: element for field, element in r4.PLACES.items() if field != "Study.interpreters"},
    "Study.procedures": "ImagingStudy.partOf",
    "Study.procedure_codes": "ImagingStudy.procedure.concept",
    "Study.reasons": "ImagingStudy.reason.concept",
    "Series.body_sites": "ImagingStudy.series.bodySite.concept",
    "Organization.address": "Organization.contact.address",
    "Device.model": "Device.displayName, Device.modelNumber",
    "Device.station": "Device.name (user-friendly-name)",
    "Device.udi": "Device.udiCarrier",
    "Request.code": "ServiceRequest.code.concept",
    "Request.reasons": "ServiceRequest.reason.concept",
    "Specimen.container": "Specimen.container.device, Device.identifier",
    "Specimen.container_type": "Specimen.container.device, Device.type",
}
"""Which element each field of the model fills."""

DIALECT = Dialect(
    name="r5",
    release="5.0.0",
    study=STUDY,
    series=SERIES,
    instance=r4.instance,
    kinds=KINDS,
    identifier=r4.identifier,
    coding=elements.coding,
    find_study=r4.find_study,
    logical=elements.logical,
    unsaid=unsaid,
    wrap=bundle.entry,
    places=PLACES,
    key_objects={"auto": keyobjects.imaging_selection(r4.person)},
)
