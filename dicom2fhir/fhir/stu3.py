"""FHIR STU3 (3.0.2): hl7.org/fhir/STU3/imagingstudy and the resources beside it.

What differs from R4: UIDs are elements of type `oid`, so that a UID which is none withholds what it identifies
(`dialect.hold`); the accession number has an element, whose like in number stand among the identifiers; `context` is
the visit, or an episode of care where no visit is known; the code systems of HL7 have their addresses of that time;
a reference has no type; an animal is an element of Patient.

What STU3 has no element for, or room for one only (each is a `not-in-this-version`, counted):

- that a phantom or a group of animals was imaged: `patient` is a Patient; and the members of a group;
- the institution and department of a person, as nothing refers to a PractitionerRole;
- devices and institutions that took part in a series, and as what a person did (`performer` is a Practitioner);
- specimens and the place of the study; numberOfFrames of an instance;
- every reason but the first, every body site of a series but the first;
- an order without a code, where it was to be created (`ProcedureRequest.code` is 1..1); a requester's department;
- an episode of care beside a visit, and a ward, where no Encounter is created;
- the second 60: such a time is left out, the date stays;
- what R4 cannot say either: a second breed, breed or neutering without a species, a birth time without its offset,
  representations of an owner's name beyond one; a device's station name.

Left out by intent, as in R4: `Device.type`, the words beside a body site's code, narratives; `Encounter.class`, which
need not be there; `basedOn` for an accession number alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from dicom2fhir.fhir import bundle, companions, dialect, elements, keyobjects, r4
from dicom2fhir.fhir.dialect import Dialect, Kind, Rows, Scope
from dicom2fhir.fhir.elements import DICOM_UID, RFC_3986, SCT, Json, filled, human_name, unique
from dicom2fhir.fhir.identity import search_value
from dicom2fhir.model import (
    Code,
    Device,
    Encounter,
    Endpoint,
    EndpointKind,
    Identifier,
    Instance,
    Moment,
    Patient,
    Practitioner,
    Request,
    Series,
    Study,
)

V2_0203 = "http://hl7.org/fhir/v2/0203"
IDENTIFIER_TYPE = "http://hl7.org/fhir/identifier-type"
OBSERVATION_VALUE = "http://hl7.org/fhir/v3/ObservationValue"
CONNECTION_TYPE = "http://hl7.org/fhir/endpoint-connection-type"

IDENTIFIER_TYPES = frozenset(("UDI", "SNO", "SB", "PLAC", "FILL"))
"""The codes of hl7.org/fhir/STU3/codesystem-identifier-type; all others are of HL7 table 0203."""

CONNECTIONS: Mapping[EndpointKind, Code] = {
    kind: replace(code, system=CONNECTION_TYPE) for kind, code in r4.CONNECTIONS.items()
}


# Data types -----------------------------------------------------------------------------------------


def identifier(one: Identifier) -> Json:
    """An Identifier: type, system, value, assigner. UIDs as `urn:oid:` under `urn:ietf:rfc:3986`."""
    is_uid = one.kind in r4.UID_KINDS or one.system == DICOM_UID
    code = one.type_code or r4.IDENTIFIER_TYPES.get(one.kind)
    system = IDENTIFIER_TYPE if code in IDENTIFIER_TYPES else V2_0203
    return filled(
        {
            "type": {"coding": [{"system": system, "code": code}]} if code else None,
            "system": RFC_3986 if is_uid else one.system,
            "value": elements.oid(one.value) if is_uid else one.value,
            "assigner": {"display": one.assigner} if one.assigner else None,
        }
    )


def logical(resource_type: str, identifier: Json | None, display: str | None) -> Json | None:
    """A Reference that resolves by identifier, or only shows a name; it has no type."""
    return filled({"identifier": identifier, "display": display}) or None


def is_leap(moment: Moment | None) -> bool:
    """Whether a dateTime would hold a second 60, which its type forbids up to STU3."""
    text = elements.date_time(moment)
    return text is not None and text[17:19] == "60"


# ImagingStudy ---------------------------------------------------------------------------------------


def study_uid(scope: Scope, study: Study) -> str:
    """Study Instance UID."""
    return elements.oid(study.uid)


def accession(scope: Scope, study: Study) -> Json | None:
    """The first accession number (ACSN)."""
    return next((_accession(scope, one) for one in r4.accession_numbers(study)), None)


def other_identifiers(scope: Scope, study: Study) -> list[Json]:
    """The other accession numbers and the Study ID."""
    others = [_accession(scope, one) for one in r4.accession_numbers(study)[1:]]
    study_id = [{"use": "secondary"} | scope.dialect.identifier(study.study_id)] if study.study_id else []
    return [*others, *study_id]


def _accession(scope: Scope, one: Identifier) -> Json:
    return {"use": "usual"} | scope.dialect.identifier(one)


def availability(scope: Scope, one: Study | Series) -> str | None:
    """What the user says (`--availability`): (0008,0056) is an answer to queries, in no file."""
    return scope.policy.availability


def context(scope: Scope, study: Study) -> Json | None:
    """The visit, or the episode of care where no visit is known."""
    visit = study.encounter
    if visit is None:
        return None
    written = scope.placement("encounter", visit) != "referred"
    is_visit = visit.identifier is not None or (written and visit.location is not None)
    unsayable = 0 if written else bool(visit.location) + (is_visit and visit.episode is not None)
    if unsayable:
        scope.lose("Encounter", "Episode and ward need an Encounter resource (--create).", unsayable)
    if is_visit:
        return scope.refer("encounter", visit)
    return scope.refer("episode", visit.episode) if visit.episode else None


def started(scope: Scope, one: Study | Series) -> str | None:
    """When it began; only the day where that was in a leap second."""
    if one.started is None or not is_leap(one.started):
        return elements.date_time(one.started)
    of_series = one if isinstance(one, Series) else None
    element = "ImagingStudy.series.started" if of_series else "ImagingStudy.started"
    scope.lose(element, f"{scope.dialect.name.upper()} has no second 60; the date stays.", series=of_series)
    return one.started.date


def based_on(scope: Scope, study: Study) -> list[Json]:
    """The orders, each once: a ProcedureRequest where it is created and has a code."""
    uncoded = [one for one in study.requests if one.code is None and scope.placement("request", one) != "referred"]
    if uncoded:
        scope.lose("ProcedureRequest.code", "An order without a code cannot be created.", len(uncoded))
    return unique(_order(scope, request) for request in study.requests)


def _order(scope: Scope, request: Request) -> Json | None:
    """One order. Where it is only referred to its accession number stands for itself, in its own element."""
    if request.code is not None and scope.placement("request", request) != "referred":
        return scope.refer("request", request)
    number = next((one for one in companions.order_identifiers(request) if one.kind != "accession"), None)
    return logical("ProcedureRequest", scope.identifier(number), elements.concept_text(request.code))


def person(scope: Scope, one: Practitioner) -> Json | None:
    """A Practitioner; there is none where only an institution or a department is known."""
    known = one.names or one.identifiers or one.address or one.phones
    return scope.refer("practitioner", one) if known else None


def referrer(scope: Scope, study: Study) -> Json | None:
    """Who asked for the study."""
    return person(scope, study.referrer) if study.referrer else None


def interpreters(scope: Scope, study: Study) -> list[Json]:
    """Who read the study."""
    return unique(person(scope, one) for one in study.interpreters)


def procedure_references(scope: Scope, study: Study) -> list[Json]:
    """The performed procedures."""
    return unique(scope.refer("procedure", one) for one in study.procedures)


def reason(scope: Scope, study: Study) -> Json | None:
    """Why it was done, the first of the reasons."""
    if len(study.reasons) > 1:
        why = f"{scope.dialect.name.upper()} has room for one reason."
        scope.lose("ImagingStudy.reason", why, len(study.reasons) - 1)
    return scope.concept(study.reasons[0]) if study.reasons else None


STUDY: Rows = {
    "uid": study_uid,
    "accession": accession,
    "identifier": other_identifiers,
    "availability": availability,
    "modalityList": r4.acquisition_modalities,
    "patient": r4.subject,
    "context": context,
    "started": started,
    "basedOn": based_on,
    "referrer": referrer,
    "interpreter": interpreters,
    "endpoint": r4.study_endpoints,
    "numberOfSeries": r4.series_count,
    "numberOfInstances": r4.instance_count,
    "procedureReference": procedure_references,
    "procedureCode": r4.procedure_codes,
    "reason": reason,
    "description": r4.description,
    "series": dialect.series,
}


def find_study(study: Study) -> str:
    """The search that finds a study by its UID; the parameter `uid` is the instances'."""
    return f"study={search_value(elements.oid(study.uid))}"


# ImagingStudy.series --------------------------------------------------------------------------------


def series_uid(scope: Scope, one: Series) -> str:
    """Series Instance UID."""
    return elements.oid(one.uid)


def performers(scope: Scope, one: Series) -> list[Json]:
    """The people who took part."""
    people = (each.actor for each in one.performers if isinstance(each.actor, Practitioner))
    return unique(person(scope, each) for each in people)


SERIES: Rows = {
    "uid": series_uid,
    "number": r4.series_number,
    "modality": r4.series_modality,
    "description": r4.description,
    "numberOfInstances": r4.instance_count,
    "availability": availability,
    "endpoint": r4.series_endpoints,
    "bodySite": r4.body_site,
    "laterality": r4.laterality,
    "started": started,
    "performer": performers,
    "instance": dialect.instances,
}


def instance(one: Instance) -> Json:
    """ImagingStudy.series.instance: the hot spot, so two literals and two tests."""
    body: Json = {"uid": "urn:oid:" + one.uid}
    if one.number is not None:
        body["number"] = one.number
    body["sopClass"] = "urn:oid:" + one.sop_class
    if one.title:
        body["title"] = one.title
    return body


def unsaid(study: Study) -> dict[str, int]:
    """Values without an element: those that R4 added, and numbers of frames."""
    performers = [each for one in study.series for each in one.performers]
    people = [each.actor for each in performers if isinstance(each.actor, Practitioner)]
    others = {each.actor for each in performers} - set(people)
    everyone = {*people, *study.interpreters, *([study.referrer] if study.referrer else ())}
    counts = {
        "ImagingStudy.location": int(study.location is not None),
        "ImagingStudy.series.specimen": len({each for one in study.series for each in one.specimens}),
        "ImagingStudy.series.performer": len(others),
        "ImagingStudy.series.performer.function": len(people),
        "PractitionerRole": sum(bool(one.organization or one.department) for one in everyone),
    }
    return {element: count for element, count in counts.items() if count} | r4.unsaid(study)


# Companions -----------------------------------------------------------------------------------------


def patient(scope: Scope, one: Patient) -> Json:
    """hl7.org/fhir/STU3/patient; a de-identified one is labelled, unless it is contained."""
    anonymized = {"system": OBSERVATION_VALUE, "code": "ANONYED", "display": "anonymized"}
    return filled(
        {
            "meta": {"security": [anonymized]} if one.anonymized else None,
            "identifier": scope.identifiers(companions.patient_identifiers(one)),
            "name": unique(map(human_name, one.names)),
            "gender": one.sex,
            "birthDate": one.birth_date,
            "_birthDate": birth_time(scope, one),
            "contact": r4.owner(scope, one.owner) if one.owner else None,
            "animal": animal(scope, one),
        }
    )


def birth_time(scope: Scope, one: Patient) -> Json | None:
    """The extension patient-birthTime, unless that was in a leap second."""
    if is_leap(one.birth_time):
        scope.lose("Patient.birthDate", f"{scope.dialect.name.upper()} has no second 60; the date stays.")
        return None
    return r4.birth_time(scope, one)


def animal(scope: Scope, one: Patient) -> Json:
    """Patient.animal: species 1..1, breed 0..1, genderStatus 0..1."""
    species = scope.concept(one.species)
    breeds = scope.concepts(one.breeds)
    unsayable = len(breeds[1:]) if species else len(breeds) + (one.neutered is not None)
    if unsayable:
        scope.lose("Patient.animal", "An animal needs a species and has room for one breed.", unsayable)
    if species is None:
        return {}
    status = Code("neutered" if one.neutered else "intact", r4.ANIMAL_GENDER_STATUS)
    return filled(
        {
            "species": species,
            "breed": breeds[0] if breeds else None,
            "genderStatus": {"coding": [scope.coding(status)]} if one.neutered is not None else None,
        }
    )


def stand_in(scope: Scope, one: Patient) -> Json:
    """A Patient that stands for a phantom or for animals imaged together, as it does in the file."""
    why = f"{scope.dialect.name.upper()} knows a study of a patient, not of a device or a group."
    scope.lose("ImagingStudy.patient", why, 1 + len(one.members))
    return patient(scope, one)


def device(scope: Scope, one: Device) -> Json:
    """hl7.org/fhir/STU3/device for a piece of equipment; its serial number is an identifier (SNO)."""
    if one.station:
        scope.lose("Device", f"{scope.dialect.name.upper()} has no element for a station's name.")
    serial = (Identifier(one.serial, "device-serial"),) if one.serial else ()
    return filled(
        {
            "identifier": scope.identifiers((*companions.device_identifiers(one), *serial)),
            "udi": {"carrierHRF": one.udi} if one.udi else None,
            "manufacturer": one.manufacturer,
            "model": one.model,
            "version": "; ".join(filter(None, one.versions)),
        }
    )


def endpoint(scope: Scope, one: Endpoint) -> Json:
    """hl7.org/fhir/STU3/endpoint of a study."""
    return r4.endpoint(scope, one) | {"connectionType": scope.coding(CONNECTIONS[one.kind])}


def series_endpoint(scope: Scope, one: Endpoint) -> Json:
    """hl7.org/fhir/STU3/endpoint of a series."""
    return r4.series_endpoint(scope, one) | {"connectionType": scope.coding(CONNECTIONS[one.kind])}


def procedure_request(scope: Scope, one: Request) -> Json:
    """hl7.org/fhir/STU3/procedurerequest: completed, an order. DICOM knows neither: made only when asked for."""
    category = {"coding": [scope.coding(Code("363679005", SCT, "Imaging"))]}
    return filled(
        {
            "identifier": scope.identifiers(companions.order_identifiers(one)),
            "status": "completed",
            "intent": "order",
            "priority": one.priority,
            "category": [category],
            "code": scope.concept(one.code),
            "subject": scope.subject(),
            "requester": requester(scope, one.requester) if one.requester else None,
            "reasonCode": scope.concepts(one.reasons),
        }
    )


def requester(scope: Scope, one: Practitioner) -> Json | None:
    """Who asked, and for which institution; the institution itself where no person is known."""
    if one.department:
        scope.lose("ProcedureRequest.requester", f"{scope.dialect.name.upper()} has no element for a department.")
    organization = scope.refer("organization", one.organization) if one.organization else None
    agent = person(scope, one)
    return filled({"agent": agent, "onBehalfOf": organization} if agent else {"agent": organization})


def visit(scope: Scope, one: Encounter) -> Json:
    """hl7.org/fhir/STU3/encounter: finished."""
    return filled(
        {
            "identifier": unique((scope.identifier(one.identifier),)),
            "status": "finished",
            "subject": scope.subject(),
            "episodeOfCare": unique((scope.refer("episode", one.episode) if one.episode else None,)),
            "location": [{"location": {"display": one.location}}] if one.location else None,
        }
    )


KINDS: Mapping[companions.Name, Kind] = {
    "patient": Kind("Patient", patient),
    "phantom": Kind("Patient", stand_in),
    "group": Kind("Patient", stand_in),
    "practitioner": Kind("Practitioner", r4.practitioner),
    "organization": Kind("Organization", r4.organization),
    "device": Kind("Device", device),
    "endpoint": Kind("Endpoint", endpoint),
    "series-endpoint": Kind("Endpoint", series_endpoint),
    "request": Kind("ProcedureRequest", procedure_request),
    "encounter": Kind("Encounter", visit),
    "episode": Kind("EpisodeOfCare", r4.episode_of_care),
    "procedure": Kind("Procedure", r4.procedure),
}

PLACES: Mapping[str, str] = {
    "Study.uid": "ImagingStudy.uid",
    "Study.accessions": "ImagingStudy.accession, ImagingStudy.identifier (ACSN)",
    "Study.study_id": "ImagingStudy.identifier (secondary)",
    "Study.modalities": "ImagingStudy.modalityList",
    "Study.patient": "ImagingStudy.patient",
    "Study.encounter": "ImagingStudy.context",
    "Study.started": "ImagingStudy.started",
    "Study.requests": "ImagingStudy.basedOn",
    "Study.referrer": "ImagingStudy.referrer",
    "Study.interpreters": "ImagingStudy.interpreter",
    "Study.endpoints": "ImagingStudy.endpoint",
    "Study.instance_count": "ImagingStudy.numberOfInstances",
    "Study.procedures": "ImagingStudy.procedureReference",
    "Study.procedure_codes": "ImagingStudy.procedureCode",
    "Study.reasons": "ImagingStudy.reason",
    "Study.description": "ImagingStudy.description",
    "Study.series": "ImagingStudy.series, ImagingStudy.numberOfSeries",
    "Series.uid": "ImagingStudy.series.uid",
    "Series.number": "ImagingStudy.series.number",
    "Series.modality": "ImagingStudy.series.modality",
    "Series.description": "ImagingStudy.series.description",
    "Series.instance_count": "ImagingStudy.series.numberOfInstances",
    "Series.endpoints": "ImagingStudy.series.endpoint",
    "Series.body_sites": "ImagingStudy.series.bodySite",
    "Series.laterality": "ImagingStudy.series.laterality",
    "Series.started": "ImagingStudy.series.started",
    "Series.performers": "ImagingStudy.series.performer",
    "Series.instances": "ImagingStudy.series.instance",
    "Performer.actor": "ImagingStudy.series.performer",
    "Instance.uid": "ImagingStudy.series.instance.uid",
    "Instance.sop_class": "ImagingStudy.series.instance.sopClass",
    "Instance.number": "ImagingStudy.series.instance.number",
    "Instance.title": "ImagingStudy.series.instance.title",
    "Patient.identifiers": "Patient.identifier",
    "Patient.names": "Patient.name",
    "Patient.sex": "Patient.gender",
    "Patient.birth_date": "Patient.birthDate",
    "Patient.birth_time": "Patient.birthDate.extension (patient-birthTime)",
    "Patient.species": "Patient.animal.species",
    "Patient.breeds": "Patient.animal.breed",
    "Patient.neutered": "Patient.animal.genderStatus",
    "Patient.owner": "Patient.contact",
    "Patient.anonymized": "Patient.meta.security",
    "Practitioner.names": "Practitioner.name",
    "Practitioner.identifiers": "Practitioner.identifier",
    "Practitioner.organization": "ProcedureRequest.requester.onBehalfOf",
    "Practitioner.address": "Practitioner.address",
    "Practitioner.phones": "Practitioner.telecom",
    "Organization.name": "Organization.name",
    "Organization.identifiers": "Organization.identifier",
    "Organization.address": "Organization.address",
    "Device.manufacturer": "Device.manufacturer",
    "Device.model": "Device.model",
    "Device.serial": "Device.identifier (SNO)",
    "Device.versions": "Device.version",
    "Device.uid": "Device.identifier",
    "Device.number": "Device.identifier",
    "Device.udi": "Device.udi.carrierHRF",
    "Request.identifiers": "ProcedureRequest.identifier",
    "Request.code": "ProcedureRequest.code",
    "Request.reasons": "ProcedureRequest.reasonCode",
    "Request.requester": "ProcedureRequest.requester",
    "Request.priority": "ProcedureRequest.priority",
    "Encounter.identifier": "Encounter.identifier",
    "Encounter.episode": "Encounter.episodeOfCare, ImagingStudy.context",
    "Encounter.location": "Encounter.location",
    "Procedure.identifiers": "Procedure.identifier",
    "Procedure.code": "Procedure.code",
    "Endpoint.kind": "Endpoint.connectionType",
    "Endpoint.address": "Endpoint.address",
}
"""Which element each field of the model fills."""

DIALECT = Dialect(
    name="stu3",
    release="3.0.2",
    study=STUDY,
    series=SERIES,
    instance=instance,
    kinds=KINDS,
    identifier=identifier,
    coding=elements.coding,
    find_study=find_study,
    logical=logical,
    unsaid=unsaid,
    wrap=bundle.entry,
    places=PLACES,
    oids=frozenset(("study", "series", "instance", "sop-class")),
    key_objects={"auto": keyobjects.imaging_manifest(person)},
)
