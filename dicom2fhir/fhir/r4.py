"""FHIR R4 (4.0.1): hl7.org/fhir/R4/imagingstudy and the resources beside it.

What R4 has no element for, or room for one only (each is a `not-in-this-version`, counted):

- numberOfFrames of an instance;
- every body site of a series but the first;
- every performed procedure but the first (`procedureReference` is 0..1); none for a phantom
  (`Procedure.subject` is a Patient or a Group);
- an episode of care and a ward where no Encounter is created: the study refers to encounters only;
- a second breed, and breed or neutering without a species (extension patient-animal);
- a birth time without its offset; representations of an owner's name beyond one; a phantom's or
  group's sex, birth date and the like.

Left out by intent: a device's `type` (DICOM names the modality of the images, not the kind of
device) and `status`; the words beside a body site's code (`bodySite` is a Coding); narratives.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from dicom2fhir.fhir import bundle, companions, dialect, elements, keyobjects
from dicom2fhir.fhir.dialect import Dialect, Kind, Rows, Scope
from dicom2fhir.fhir.elements import DCM, DICOM_UID, RFC_3986, SCT, Json, extension, filled, human_name, unique
from dicom2fhir.fhir.identity import identifier_query
from dicom2fhir.model import (
    Code,
    Concept,
    Device,
    Encounter,
    Endpoint,
    EndpointKind,
    Identifier,
    IdentifierKind,
    Instance,
    Location,
    Modality,
    Organization,
    Owner,
    Patient,
    Performer,
    Practitioner,
    Procedure,
    Request,
    Role,
    Series,
    Side,
    Specimen,
    Study,
)

V2_0203 = "http://terminology.hl7.org/CodeSystem/v2-0203"
PARTICIPATION = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
NULL_FLAVOR = "http://terminology.hl7.org/CodeSystem/v3-NullFlavor"
OBSERVATION_VALUE = "http://terminology.hl7.org/CodeSystem/v3-ObservationValue"
CONNECTION_TYPE = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
ANIMAL_GENDER_STATUS = "http://hl7.org/fhir/animal-genderstatus"
ANIMAL = "http://hl7.org/fhir/StructureDefinition/patient-animal"
BIRTH_TIME = "http://hl7.org/fhir/StructureDefinition/patient-birthTime"

IDENTIFIER_TYPES: Mapping[IdentifierKind, str] = {
    "patient": "MR",
    "accession": "ACSN",
    "placer": "PLAC",
    "filler": "FILL",
    "visit": "VN",
    "specimen": "SID",
    "device-serial": "SNO",
}
"""HL7 table 0203 by kind; the other kinds have no code there."""

UID_KINDS: frozenset[IdentifierKind] = frozenset(("uid", "device-uid"))

LATERALITY: Mapping[Side, Code] = {
    "left": Code("419161000", SCT, "Unilateral left"),
    "right": Code("419465000", SCT, "Unilateral right"),
    "both": Code("51440002", SCT, "Bilateral"),
}
"""hl7.org/fhir/R4/valueset-bodysite-laterality."""

FUNCTIONS: Mapping[Role, Code] = {
    "performer": Code("PRF", PARTICIPATION, "performer"),
    "operator": Code("SPRF", PARTICIPATION, "secondary performer"),
    "device": Code("DEV", PARTICIPATION, "device"),
    "institution": Code("LOC", PARTICIPATION, "location"),
}

CONNECTIONS: Mapping[EndpointKind, Code] = {
    "wado-rs": Code("dicom-wado-rs", CONNECTION_TYPE, "DICOM WADO-RS"),
    "wado-uri": Code("dicom-wado-uri", CONNECTION_TYPE, "DICOM WADO-URI"),
    "iid": Code("ihe-iid", CONNECTION_TYPE, "IHE IID"),
}


# Data types -----------------------------------------------------------------------------------------


def identifier(one: Identifier) -> Json:
    """An Identifier: type of table 0203, system, value, assigner. UIDs as `urn:oid:` under `urn:dicom:uid`."""
    is_uid = one.kind in UID_KINDS or one.system == DICOM_UID
    code = one.type_code or IDENTIFIER_TYPES.get(one.kind)
    return filled(
        {
            "type": {"coding": [{"system": V2_0203, "code": code}]} if code else None,
            "system": DICOM_UID if is_uid else one.system,
            "value": elements.oid(one.value) if is_uid else one.value,
            "assigner": {"display": one.assigner} if one.assigner else None,
        }
    )


def modality(scope: Scope, one: Modality) -> Json:
    """A modality as a Coding of DCM."""
    return scope.coding(Code(one.term, DCM, one.meaning or None))


# ImagingStudy ---------------------------------------------------------------------------------------


def study_identifiers(scope: Scope, study: Study) -> list[Json]:
    """Study Instance UID (typed DCM 110180), accession numbers (ACSN), Study ID."""
    uid_type = {"coding": [scope.coding(Code("110180", DCM, "Study Instance UID"))]}
    uid = {"use": "official", "type": uid_type, "system": DICOM_UID, "value": elements.oid(study.uid)}
    accessions = [{"use": "usual"} | scope.dialect.identifier(one) for one in accession_numbers(study)]
    study_id = [{"use": "secondary"} | scope.dialect.identifier(study.study_id)] if study.study_id else []
    return [uid, *accessions, *study_id]


def accession_numbers(study: Study) -> tuple[Identifier, ...]:
    """The study's accession numbers and those of its orders, each once."""
    of_orders = (one for order in study.requests for one in order.identifiers if one.kind == "accession")
    return tuple(dict.fromkeys((*study.accessions, *of_orders)))


def status(scope: Scope, study: Study) -> str:
    """`available`: at least one instance is there."""
    return "available"


def acquisition_modalities(scope: Scope, study: Study) -> list[Json]:
    """The modalities that acquire images (CID 29), as the element is defined up to R4B."""
    return [modality(scope, one) for one in study.modalities if one.acquires]


def subject(scope: Scope, study: Study) -> Json:
    """The patient, phantom or group of animals."""
    return scope.subject()


def encounter(scope: Scope, study: Study) -> Json | None:
    """The visit; what belongs to it needs an Encounter to stand in."""
    if study.encounter is None:
        return None
    inside = sum(map(bool, (study.encounter.episode, study.encounter.location)))
    if inside and scope.placement("encounter", study.encounter) == "referred":
        scope.lose("Encounter", "Episode and ward need an Encounter resource (--create).", inside)
    return scope.refer("encounter", study.encounter)


def started(scope: Scope, one: Study | Series) -> str | None:
    """When it began."""
    return elements.date_time(one.started)


def based_on(scope: Scope, study: Study) -> list[Json]:
    """The orders, each with its accession number; an accession number that no order has stands alone."""
    orders = [_order(scope, request) for request in study.requests]
    covered = {one for request in study.requests for one in request.identifiers}
    alone = [Request((one,)) for one in study.accessions if one not in covered]
    return unique((*orders, *(_order(scope, request) for request in alone)))


def _order(scope: Scope, request: Request) -> Json | None:
    reference = scope.refer("request", request)
    accession = next((one for one in request.identifiers if one.kind == "accession"), None)
    if reference is None or accession is None or "identifier" in reference:
        return reference
    return reference | {"identifier": scope.dialect.identifier(accession)}


def person(scope: Scope, practitioner: Practitioner) -> Json | None:
    """A Practitioner, or a PractitionerRole where the file says for which institution or department."""
    is_role = practitioner.organization or practitioner.department
    if is_role and "PractitionerRole" in scope.policy.create:
        return scope.refer("role", practitioner)
    return scope.refer("practitioner", practitioner)


def referrer(scope: Scope, study: Study) -> Json | None:
    """Who asked for the study."""
    return person(scope, study.referrer) if study.referrer else None


def interpreters(scope: Scope, study: Study) -> list[Json]:
    """Who read the study."""
    return unique(person(scope, one) for one in study.interpreters)


def study_endpoints(scope: Scope, study: Study) -> list[Json]:
    """Where the study can be had."""
    return unique(scope.refer("endpoint", one) for one in study.endpoints)


def series_count(scope: Scope, study: Study) -> int:
    """How many series there are."""
    return len(study.series)


def instance_count(scope: Scope, one: Study | Series) -> int:
    """How many instances there are, listed or not."""
    return one.instance_count


def procedure_reference(scope: Scope, study: Study) -> Json | None:
    """The performed procedure: R4 has room for one."""
    if len(study.procedures) > 1:
        why = f"{scope.dialect.name.upper()} has room for one procedure."
        scope.lose("ImagingStudy.procedureReference", why, len(study.procedures) - 1)
    if not study.procedures:
        return None
    if scope.subject_type == "Device":
        version = scope.dialect.name.upper()
        scope.lose("Procedure", f"The subject of a procedure in {version} is a patient or a group, not a device.")
        return None
    return scope.refer("procedure", study.procedures[0])


def procedure_codes(scope: Scope, study: Study) -> list[Json]:
    """What was done, one concept for each code."""
    return scope.concepts(study.procedure_codes)


def location(scope: Scope, study: Study) -> Json | None:
    """Where it was done."""
    return scope.refer("location", study.location) if study.location else None


def reason_codes(scope: Scope, study: Study) -> list[Json]:
    """Why it was done."""
    return scope.concepts(study.reasons)


def description(scope: Scope, one: Study | Series) -> str | None:
    """The words of the study or series."""
    return one.description


STUDY: Rows = {
    "identifier": study_identifiers,
    "status": status,
    "modality": acquisition_modalities,
    "subject": subject,
    "encounter": encounter,
    "started": started,
    "basedOn": based_on,
    "referrer": referrer,
    "interpreter": interpreters,
    "endpoint": study_endpoints,
    "numberOfSeries": series_count,
    "numberOfInstances": instance_count,
    "procedureReference": procedure_reference,
    "procedureCode": procedure_codes,
    "location": location,
    "reasonCode": reason_codes,
    "description": description,
    "series": dialect.series,
}


def find_study(study: Study) -> str:
    """The search that finds a study by its UID."""
    return identifier_query(DICOM_UID, elements.oid(study.uid))


# ImagingStudy.series --------------------------------------------------------------------------------


def series_uid(scope: Scope, one: Series) -> str:
    """The bare UID: the element is an id."""
    return one.uid


def series_number(scope: Scope, one: Series) -> int | None:
    """(0020,0011)."""
    return one.number


def series_modality(scope: Scope, one: Series) -> Json:
    """The modality, whether it acquires images or not."""
    return scope.once(modality, one.modality)


def series_endpoints(scope: Scope, one: Series) -> list[Json]:
    """Where the series can be had, if not where its study is."""
    return unique(scope.refer("series-endpoint", each) for each in one.endpoints)


def body_site(scope: Scope, one: Series) -> Json | None:
    """The first body site, as a Coding; without a code its words are the display."""
    if not one.body_sites:
        return None
    if len(one.body_sites) > 1:
        why = f"{scope.dialect.name.upper()} has room for one body site."
        scope.lose("ImagingStudy.series.bodySite", why, len(one.body_sites) - 1, one)
    return scope.once(best_coding, one.body_sites[0])


def best_coding(scope: Scope, concept: Concept) -> Json | None:
    """A concept where there is room for one Coding: the first with a system; without codes its words alone."""
    best = next((code for code in concept.codes if code.system), next(iter(concept.codes), None))
    if best is None:
        return {"display": concept.text} if concept.text else None
    return scope.coding(best)


def laterality(scope: Scope, one: Series) -> Json | None:
    """The side, in the codes of the example value set up to R4B."""
    return scope.coding(LATERALITY[one.laterality]) if one.laterality else None


def specimens(scope: Scope, one: Series) -> list[Json]:
    """What was imaged of the patient."""
    return unique(scope.refer("specimen", each) for each in one.specimens)


def performers(scope: Scope, one: Series) -> list[Json]:
    """Who and what took part, with the function: PRF, SPRF, DEV, LOC."""
    return scope.once(_performers, one.performers)


def _performers(scope: Scope, all_of_them: tuple[Performer, ...]) -> list[Json]:
    return unique(_performer(scope, each) for each in all_of_them)


def _performer(scope: Scope, performer: Performer) -> Json | None:
    actor = _actor(scope, performer.actor)
    function = {"coding": [scope.coding(FUNCTIONS[performer.role])]}
    return {"function": function, "actor": actor} if actor else None


def _actor(scope: Scope, actor: Practitioner | Device | Organization) -> Json | None:
    if isinstance(actor, Practitioner):
        return person(scope, actor)
    if isinstance(actor, Device):
        return scope.refer("device", actor)
    return scope.refer("organization", actor)


SERIES: Rows = {
    "uid": series_uid,
    "number": series_number,
    "modality": series_modality,
    "description": description,
    "numberOfInstances": instance_count,
    "endpoint": series_endpoints,
    "bodySite": body_site,
    "laterality": laterality,
    "specimen": specimens,
    "started": started,
    "performer": performers,
    "instance": dialect.instances,
}


def instance(one: Instance) -> Json:
    """ImagingStudy.series.instance: the hot spot, so a literal and three tests."""
    body: Json = {"uid": one.uid, "sopClass": sop_class(one.sop_class)}
    if one.number is not None:
        body["number"] = one.number
    if one.title:
        body["title"] = one.title
    return body


@lru_cache(maxsize=64)
def sop_class(uid: str) -> Json:
    """The Coding of a SOP class. All instances of the class share it, so it is not to be changed."""
    return {"system": RFC_3986, "code": "urn:oid:" + uid}


def unsaid(study: Study) -> dict[str, int]:
    """Values without an element: the numbers of frames."""
    columns = ([one.frames for one in series.instances] for series in study.series)
    frames = sum(len(column) - column.count(None) for column in columns)
    return {"ImagingStudy.series.instance.numberOfFrames": frames} if frames else {}


# Companions -----------------------------------------------------------------------------------------


def patient(scope: Scope, one: Patient) -> Json:
    """hl7.org/fhir/R4/patient; a de-identified one is labelled, unless it is contained (dom-5)."""
    anonymized = {"system": OBSERVATION_VALUE, "code": "ANONYED", "display": "anonymized"}
    return filled(
        {
            "meta": {"security": [anonymized]} if one.anonymized else None,
            "extension": animal(scope, one),
            "identifier": scope.identifiers(companions.patient_identifiers(one)),
            "name": unique(map(human_name, one.names)),
            "gender": one.sex,
            "birthDate": one.birth_date,
            "_birthDate": birth_time(scope, one),
            "contact": owner(scope, one.owner) if one.owner else None,
        }
    )


def birth_time(scope: Scope, one: Patient) -> Json | None:
    """The extension patient-birthTime: a dateTime, so an offset is needed."""
    if one.birth_time is None:
        return None
    text = elements.date_time(one.birth_time)
    if one.birth_date is None or text is None or "T" not in text:
        scope.lose("Patient.birthDate", "A birth time needs its date and its offset.")
        return None
    return {"extension": [extension(BIRTH_TIME, "valueDateTime", text)]}


def animal(scope: Scope, one: Patient) -> list[Json]:
    """The extension patient-animal: species 1..1, breed 0..1, genderStatus 0..1."""
    species = scope.concept(one.species)
    breeds = scope.concepts(one.breeds)
    unsayable = len(breeds[1:]) if species else len(breeds) + (one.neutered is not None)
    if unsayable:
        scope.lose("Patient.extension", "patient-animal asks for a species and has room for one breed.", unsayable)
    if species is None:
        return []
    parts = [extension("species", "valueCodeableConcept", species)]
    parts += [extension("breed", "valueCodeableConcept", breed) for breed in breeds[:1]]
    if one.neutered is not None:
        code = scope.coding(Code("neutered" if one.neutered else "intact", ANIMAL_GENDER_STATUS))
        parts.append(extension("genderStatus", "valueCodeableConcept", {"coding": [code]}))
    return [{"extension": parts, "url": ANIMAL}]


def owner(scope: Scope, one: Owner) -> list[Json]:
    """The person responsible for an animal: a contact has room for one name."""
    if not one.names:
        return []
    if len(one.names) > 1:
        why = f"{scope.dialect.name.upper()} has room for one representation."
        scope.lose("Patient.contact.name", why, len(one.names) - 1)
    relationship = [{"text": one.role}] if one.role else None
    return [filled({"relationship": relationship, "name": human_name(one.names[0])})]


def phantom(scope: Scope, one: Patient) -> Json:
    """hl7.org/fhir/R4/device for a phantom that stands for a patient."""
    lose_description(scope, one)
    name = elements.display_name(one.names)
    return filled(
        {
            "identifier": scope.identifiers(companions.patient_identifiers(one)),
            "deviceName": [{"name": name, "type": "user-friendly-name"}] if name else None,
        }
    )


def group(scope: Scope, one: Patient) -> Json:
    """hl7.org/fhir/R4/group for animals imaged together."""
    lose_description(scope, one)
    members = [elements.logical("Patient", scope.identifier(each), None) for each in one.members]
    return filled(
        {
            "identifier": scope.identifiers(companions.patient_identifiers(one)),
            "type": "animal",
            "actual": True,
            "code": scope.concept(one.species),
            "name": elements.display_name(one.names),
            "member": [{"entity": each} for each in unique(members)],
        }
    )


def lose_description(scope: Scope, one: Patient) -> None:
    """Report what is said of a phantom or a group as if it were a patient."""
    described: tuple[Any, ...] = (one.sex, one.birth_date, one.birth_time, one.breeds, one.owner)
    count = sum(map(bool, described)) + (one.neutered is not None) + (one.kind == "phantom" and bool(one.species))
    if count:
        scope.lose("ImagingStudy.subject", "A device or group has no element for what describes a patient.", count)


def practitioner(scope: Scope, one: Practitioner) -> Json:
    """hl7.org/fhir/R4/practitioner."""
    return filled(
        {
            "identifier": scope.identifiers(one.identifiers),
            "name": unique(map(human_name, one.names)),
            "telecom": elements.phones(one.phones),
            "address": elements.address(one.address),
        }
    )


def practitioner_role(scope: Scope, one: Practitioner) -> Json:
    """hl7.org/fhir/R4/practitionerrole: a person in an institution, or in a department of it."""
    known = one.names or one.identifiers or one.address or one.phones
    return filled(
        {
            "practitioner": scope.refer("practitioner", one) if known else None,
            "organization": scope.refer("organization", one.organization) if one.organization else None,
            "location": [scope.refer("location", Location(one.department))] if one.department else None,
        }
    )


def organization(scope: Scope, one: Organization) -> Json:
    """hl7.org/fhir/R4/organization."""
    return filled(
        {
            "identifier": scope.identifiers(one.identifiers),
            "name": one.name,
            "address": elements.address(one.address),
        }
    )


def device(scope: Scope, one: Device) -> Json:
    """hl7.org/fhir/R4/device for a piece of equipment."""
    names = (("user-friendly-name", one.station), ("model-name", one.model))
    return filled(
        {
            "identifier": scope.identifiers(companions.device_identifiers(one)),
            "udiCarrier": [{"carrierHRF": one.udi}] if one.udi else None,
            "manufacturer": one.manufacturer,
            "serialNumber": one.serial,
            "deviceName": [{"name": name, "type": kind} for kind, name in names if name],
            "modelNumber": one.model,
            "version": [{"value": version} for version in one.versions if version],
        }
    )


def specimen(scope: Scope, one: Specimen) -> Json:
    """hl7.org/fhir/R4/specimen; the short description is the first note, R4 has no other place for it."""
    container = {
        "identifier": unique((scope.identifier(one.container),)),
        "type": scope.concept(one.container_type),
    }
    return filled(
        {
            "identifier": scope.identifiers(one.identifiers),
            "type": scope.concept(one.type),
            "subject": scope.subject(),
            "container": unique((filled(container),)),
            "note": unique({"text": text} for text in (one.description, *one.notes) if text),
        }
    )


def endpoint(scope: Scope, one: Endpoint) -> Json:
    """hl7.org/fhir/R4/endpoint of a study: payload DCM 113014."""
    return _endpoint(scope, "endpoint", one, Code("113014", DCM, "Study"))


def series_endpoint(scope: Scope, one: Endpoint) -> Json:
    """hl7.org/fhir/R4/endpoint of a series: payload DCM 113015."""
    return _endpoint(scope, "series-endpoint", one, Code("113015", DCM, "Series"))


def _endpoint(scope: Scope, name: companions.Name, one: Endpoint, payload: Code) -> Json:
    return filled(
        {
            "identifier": [scope.own_identifier(name, one)],
            "status": "active",
            "connectionType": scope.coding(CONNECTIONS[one.kind]),
            "payloadType": [{"coding": [scope.coding(payload)]}],
            "payloadMimeType": ["application/dicom"] if one.kind != "iid" else None,
            "address": one.address,
        }
    )


def service_request(scope: Scope, one: Request) -> Json:
    """hl7.org/fhir/R4/servicerequest: completed, an order. DICOM knows neither: made only when asked for."""
    category = {"coding": [scope.coding(Code("363679005", SCT, "Imaging"))]}
    return filled(
        {
            "identifier": scope.identifiers(companions.order_identifiers(one)),
            "status": "completed",
            "intent": "order",
            "category": [category],
            "priority": one.priority,
            "code": scope.concept(one.code),
            "subject": scope.subject(),
            "requester": person(scope, one.requester) if one.requester else None,
            "reasonCode": scope.concepts(one.reasons),
        }
    )


def visit(scope: Scope, one: Encounter) -> Json:
    """hl7.org/fhir/R4/encounter: finished, of a class that DICOM does not tell. Its subject is no device."""
    episode = _episode(scope, one.episode) if one.episode else None
    ward = scope.refer("location", Location(one.location)) if one.location else None
    return filled(
        {
            "identifier": unique((scope.identifier(one.identifier),)),
            "status": "finished",
            "class": scope.coding(Code("UNK", NULL_FLAVOR, "unknown")),
            "subject": scope.subject() if scope.subject_type != "Device" else None,
            "episodeOfCare": [episode] if episode else None,
            "location": [{"location": ward}] if ward else None,
        }
    )


def _episode(scope: Scope, one: Identifier) -> Json | None:
    if scope.subject_type == "Patient":
        return scope.refer("episode", one)
    return elements.logical("EpisodeOfCare", scope.identifier(one), None)


def episode_of_care(scope: Scope, one: Identifier) -> Json:
    """hl7.org/fhir/R4/episodeofcare: finished, like its visit: a code is required, and none says unknown.

    Its patient is a Patient.
    """
    return filled(
        {
            "identifier": [scope.identifier(one)],
            "status": "finished",
            "patient": scope.subject(),
        }
    )


def procedure(scope: Scope, one: Procedure) -> Json:
    """hl7.org/fhir/R4/procedure: its status is required, and unknown."""
    return filled(
        {
            "identifier": scope.identifiers(one.identifiers),
            "status": "unknown",
            "code": scope.concept(one.code),
            "subject": scope.subject(),
        }
    )


def place(scope: Scope, one: Location) -> Json:
    """hl7.org/fhir/R4/location."""
    return filled(
        {
            "name": one.name,
            "type": scope.concepts(one.types),
            "managingOrganization": scope.refer("organization", one.organization) if one.organization else None,
        }
    )


KINDS: Mapping[companions.Name, Kind] = {
    "patient": Kind("Patient", patient),
    "phantom": Kind("Device", phantom),
    "group": Kind("Group", group),
    "practitioner": Kind("Practitioner", practitioner),
    "role": Kind("PractitionerRole", practitioner_role),
    "organization": Kind("Organization", organization),
    "device": Kind("Device", device),
    "specimen": Kind("Specimen", specimen),
    "endpoint": Kind("Endpoint", endpoint),
    "series-endpoint": Kind("Endpoint", series_endpoint),
    "request": Kind("ServiceRequest", service_request),
    "encounter": Kind("Encounter", visit),
    "episode": Kind("EpisodeOfCare", episode_of_care),
    "procedure": Kind("Procedure", procedure),
    "location": Kind("Location", place),
}

PLACES: Mapping[str, str] = {
    "Study.uid": "ImagingStudy.identifier (urn:dicom:uid)",
    "Study.accessions": "ImagingStudy.identifier (ACSN), ImagingStudy.basedOn.identifier",
    "Study.study_id": "ImagingStudy.identifier (secondary)",
    "Study.modalities": "ImagingStudy.modality",
    "Study.patient": "ImagingStudy.subject",
    "Study.encounter": "ImagingStudy.encounter",
    "Study.started": "ImagingStudy.started",
    "Study.requests": "ImagingStudy.basedOn",
    "Study.referrer": "ImagingStudy.referrer",
    "Study.interpreters": "ImagingStudy.interpreter",
    "Study.endpoints": "ImagingStudy.endpoint",
    "Study.instance_count": "ImagingStudy.numberOfInstances",
    "Study.procedures": "ImagingStudy.procedureReference",
    "Study.procedure_codes": "ImagingStudy.procedureCode",
    "Study.location": "ImagingStudy.location",
    "Study.reasons": "ImagingStudy.reasonCode",
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
    "Series.specimens": "ImagingStudy.series.specimen",
    "Series.started": "ImagingStudy.series.started",
    "Series.performers": "ImagingStudy.series.performer",
    "Series.instances": "ImagingStudy.series.instance",
    "Performer.role": "ImagingStudy.series.performer.function",
    "Performer.actor": "ImagingStudy.series.performer.actor",
    "Instance.uid": "ImagingStudy.series.instance.uid",
    "Instance.sop_class": "ImagingStudy.series.instance.sopClass",
    "Instance.number": "ImagingStudy.series.instance.number",
    "Instance.title": "ImagingStudy.series.instance.title",
    "Patient.identifiers": "Patient.identifier",
    "Patient.names": "Patient.name",
    "Patient.sex": "Patient.gender",
    "Patient.birth_date": "Patient.birthDate",
    "Patient.birth_time": "Patient.birthDate.extension (patient-birthTime)",
    "Patient.species": "Patient.extension (patient-animal), Group.code",
    "Patient.breeds": "Patient.extension (patient-animal)",
    "Patient.neutered": "Patient.extension (patient-animal)",
    "Patient.owner": "Patient.contact",
    "Patient.anonymized": "Patient.meta.security",
    "Patient.members": "Group.member",
    "Practitioner.names": "Practitioner.name",
    "Practitioner.identifiers": "Practitioner.identifier",
    "Practitioner.organization": "PractitionerRole.organization",
    "Practitioner.department": "PractitionerRole.location",
    "Practitioner.address": "Practitioner.address",
    "Practitioner.phones": "Practitioner.telecom",
    "Organization.name": "Organization.name",
    "Organization.identifiers": "Organization.identifier",
    "Organization.address": "Organization.address",
    "Device.manufacturer": "Device.manufacturer",
    "Device.model": "Device.deviceName (model-name), Device.modelNumber",
    "Device.serial": "Device.serialNumber",
    "Device.versions": "Device.version",
    "Device.uid": "Device.identifier (urn:dicom:uid)",
    "Device.number": "Device.identifier",
    "Device.station": "Device.deviceName (user-friendly-name)",
    "Device.udi": "Device.udiCarrier.carrierHRF",
    "Request.identifiers": "ServiceRequest.identifier",
    "Request.code": "ServiceRequest.code",
    "Request.reasons": "ServiceRequest.reasonCode",
    "Request.requester": "ServiceRequest.requester",
    "Request.priority": "ServiceRequest.priority",
    "Encounter.identifier": "Encounter.identifier",
    "Encounter.episode": "Encounter.episodeOfCare",
    "Encounter.location": "Encounter.location",
    "Procedure.identifiers": "Procedure.identifier",
    "Procedure.code": "Procedure.code",
    "Location.name": "Location.name",
    "Location.types": "Location.type",
    "Location.organization": "Location.managingOrganization",
    "Specimen.identifiers": "Specimen.identifier",
    "Specimen.type": "Specimen.type",
    "Specimen.description": "Specimen.note",
    "Specimen.notes": "Specimen.note",
    "Specimen.container": "Specimen.container.identifier",
    "Specimen.container_type": "Specimen.container.type",
    "Endpoint.kind": "Endpoint.connectionType",
    "Endpoint.address": "Endpoint.address",
}
"""Which element each field of the model fills."""

DIALECT = Dialect(
    name="r4",
    release="4.0.1",
    study=STUDY,
    series=SERIES,
    instance=instance,
    kinds=KINDS,
    identifier=identifier,
    coding=elements.coding,
    find_study=find_study,
    logical=elements.logical,
    unsaid=unsaid,
    wrap=bundle.entry,
    places=PLACES,
    key_objects={"basic": keyobjects.basic(person), "document": keyobjects.document_reference(person)},
)
