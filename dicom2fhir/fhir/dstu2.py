"""FHIR DSTU2 (1.0.2): hl7.org/fhir/DSTU2/imagingstudy and the resources beside it.

UIDs are elements of type `oid`, the accession number is one too (every further one is among the identifiers), the
images have an address (`url`, `content`) instead of an Endpoint, and what a series holds has its counts and its
availability. Companions: Patient, Practitioner (with its institution and department inside), Organization,
DiagnosticOrder, Procedure. A reference is literal or a name: it has no identifier, so what would be logical
elsewhere is contained here, in batches too.

What DSTU2 has no element for, or room for one only (each is a `not-in-this-version`, counted):

- the encounter, the episode, the location, the specimens, the devices and people of a series;
- reasons of the study that no order has; frames; every endpoint that is no WADO-RS;
- every interpreter but the first; every body site of a series but the first;
- codes and numbers of a procedure that is only a name: a Procedure needs to be asked for (`--create`) and a code;
- phantoms and groups of animals: who is imaged is a Patient, and stands as one;
- a 60th second: the date stands alone; a birth time without its offset;
- the mark that tells ideographic and phonetic names from alphabetic ones; every name of a practitioner but the best;
- a second breed, and breed or neutering without a species; representations of an owner's name beyond one.

Left out by intent: the status of an order (optional here, and unknown to DICOM); narratives.
"""

from __future__ import annotations

from collections.abc import Mapping

from dicom2fhir.fhir import bundle, companions, dialect, elements, keyobjects, r4, stu3
from dicom2fhir.fhir.companions import Facts, Name, Placement
from dicom2fhir.fhir.dialect import Dialect, Kind, Rows, Scope
from dicom2fhir.fhir.elements import Json, filled, unique
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.model import (
    Code,
    Device,
    Endpoint,
    Identifier,
    Instance,
    Owner,
    Patient,
    PersonName,
    Practitioner,
    Procedure,
    Request,
    Series,
    Study,
)

DCM = "http://nema.org/dicom/dicm"


# Data types -----------------------------------------------------------------------------------------


def coding(code: Code) -> Json:
    """A Coding; DICOM's own terms had another URI."""
    return elements.coding(code) | ({"system": DCM} if code.system == elements.DCM else {})


def human_name(name: PersonName) -> Json:
    """A HumanName: its parts are lists, and nothing marks the representation."""
    return filled(
        {
            "use": name.use,
            "text": elements.name_text(name),
            "family": [name.family] if name.family else None,
            "given": [part for part in name.given if part],
            "prefix": [name.prefix] if name.prefix else None,
            "suffix": [name.suffix] if name.suffix else None,
        }
    )


def best_name(names: tuple[PersonName, ...]) -> PersonName | None:
    """The name where there is room for one: the alphabetic one, else the first."""
    return min(names, key=lambda name: name.representation != "alphabetic", default=None)


# ImagingStudy ---------------------------------------------------------------------------------------


def orders(scope: Scope, study: Study) -> list[Json]:
    """The orders; an accession number that no order has is no order."""
    return unique(scope.refer("request", request) for request in study.requests)


def person(scope: Scope, one: Practitioner) -> Json | None:
    """A Practitioner, contained where the file says for which institution or department and nothing finds it."""
    is_role = one.organization or one.department
    if is_role and "PractitionerRole" in scope.policy.create and scope.placement("practitioner", one) != "created":
        return scope.refer("role", one)
    return scope.refer("practitioner", one)


def referrer(scope: Scope, study: Study) -> Json | None:
    """Who asked for the study."""
    return person(scope, study.referrer) if study.referrer else None


def url(scope: Scope, study: Study) -> str | None:
    """The study by WADO-RS (PS3.18 10.4)."""
    base = _wado_rs(study.endpoints)
    return f"{base}/studies/{study.uid}" if base else None


def _wado_rs(endpoints: tuple[Endpoint, ...]) -> str | None:
    return next((one.address for one in endpoints if one.kind == "wado-rs"), None)


def procedures(scope: Scope, study: Study) -> list[Json]:
    """What was done, step by step and code by code: by name, or as Procedure where that is asked for."""
    covered = {one.code for one in study.procedures}
    alone = [Procedure((), code) for code in study.procedure_codes if code not in covered]
    found: list[Json | None] = []
    lost = 0
    for one in (*study.procedures, *alone):
        if one.code and scope.placement("procedure", one) != "referred":
            found.append(scope.refer("procedure", one))
            continue
        text = elements.concept_text(one.code)
        found.append({"display": text} if text else None)
        lost += bool(one.identifiers or (one.code and one.code.codes))
    if lost:
        why = "A reference has no code and no identifier; a Procedure (--create) has both, and needs the code."
        scope.lose("ImagingStudy.procedure", why, lost)
    return unique(found)


def interpreter(scope: Scope, study: Study) -> Json | None:
    """Who read the study: one person."""
    if len(study.interpreters) > 1:
        why = f"{scope.dialect.name.upper()} has room for one."
        scope.lose("ImagingStudy.interpreter", why, len(study.interpreters) - 1)
    return person(scope, study.interpreters[0]) if study.interpreters else None


STUDY: Rows = {
    "started": stu3.started,
    "patient": r4.subject,
    "uid": stu3.study_uid,
    "accession": stu3.accession,
    "identifier": stu3.other_identifiers,
    "order": orders,
    "modalityList": r4.acquisition_modalities,
    "referrer": referrer,
    "availability": stu3.availability,
    "url": url,
    "numberOfSeries": r4.series_count,
    "numberOfInstances": r4.instance_count,
    "procedure": procedures,
    "interpreter": interpreter,
    "description": r4.description,
    "series": dialect.series,
}


# ImagingStudy.series --------------------------------------------------------------------------------


def series_url(scope: Scope, one: Series) -> str | None:
    """The series by WADO-RS, where it has a service of its own from that."""
    base = _wado_rs(one.endpoints) or _wado_rs(scope.study.endpoints)
    return f"{base}/studies/{scope.study.uid}/series/{one.uid}" if base else None


def instances(scope: Scope, one: Series) -> list[Json]:
    """Every listed instance, with its address by WADO-RS where one is known."""
    listed = dialect.instances(scope, one)
    base = series_url(scope, one)
    for body, each in zip(listed, one.instances, strict=True) if base else ():
        body["content"] = [{"contentType": "application/dicom", "url": f"{base}/instances/{each.uid}"}]
    return listed


SERIES: Rows = {
    "number": r4.series_number,
    "modality": r4.series_modality,
    "uid": stu3.series_uid,
    "description": r4.description,
    "numberOfInstances": r4.instance_count,
    "availability": stu3.availability,
    "url": series_url,
    "bodySite": r4.body_site,
    "laterality": r4.laterality,
    "started": stu3.started,
    "instance": instances,
}


def instance(one: Instance) -> Json:
    """ImagingStudy.series.instance: the hot spot. `type` is the name of its SOP class."""
    body: Json = {} if one.number is None else {"number": one.number}
    body["uid"] = "urn:oid:" + one.uid
    body["sopClass"] = "urn:oid:" + one.sop_class
    if one.class_name:
        body["type"] = one.class_name
    if one.title:
        body["title"] = one.title
    return body


def unsaid(study: Study) -> dict[str, int]:
    """Values without an element."""
    ordered = {reason for request in study.requests for reason in request.reasons}
    endpoints = {*study.endpoints, *(one for series in study.series for one in series.endpoints)}
    counts = {
        "ImagingStudy.encounter": _parts_of_visit(study),
        "ImagingStudy.endpoint": sum(one.kind != "wado-rs" for one in endpoints),
        "ImagingStudy.location": int(study.location is not None),
        "ImagingStudy.reason": len(set(study.reasons) - ordered),
        "ImagingStudy.series.specimen": sum(len(set(series.specimens)) for series in study.series),
        "ImagingStudy.series.performer": sum(len(set(series.performers)) for series in study.series),
        **r4.unsaid(study),
    }
    return {element: count for element, count in counts.items() if count}


def _parts_of_visit(study: Study) -> int:
    visit = study.encounter
    return sum(map(bool, (visit.identifier, visit.episode, visit.location))) if visit else 0


# Companions -----------------------------------------------------------------------------------------


def patient(scope: Scope, one: Patient) -> Json:
    """hl7.org/fhir/DSTU2/patient; a de-identified one is labelled, unless it is contained."""
    unmarked = sum(name.representation != "alphabetic" for name in one.names)
    if unmarked:
        scope.lose("Patient.name.extension", "Nothing tells the representations of a name apart.", unmarked)
    anonymized = {"system": stu3.OBSERVATION_VALUE, "code": "ANONYED", "display": "anonymized"}
    return filled(
        {
            "meta": {"security": [anonymized]} if one.anonymized else None,
            "identifier": scope.identifiers(companions.patient_identifiers(one)),
            "name": unique(map(human_name, one.names)),
            "gender": one.sex,
            "birthDate": one.birth_date,
            "_birthDate": stu3.birth_time(scope, one),
            "contact": owner(scope, one.owner) if one.owner else None,
            "animal": stu3.animal(scope, one),
        }
    )


def owner(scope: Scope, one: Owner) -> list[Json]:
    """The person responsible for an animal: a contact has room for one name."""
    name = best_name(one.names)
    if name is None:
        return []
    if len(one.names) > 1:
        why = f"{scope.dialect.name.upper()} has room for one representation."
        scope.lose("Patient.contact.name", why, len(one.names) - 1)
    return [filled({"relationship": [{"text": one.role}] if one.role else None, "name": human_name(name)})]


def stand_in(scope: Scope, one: Patient) -> Json:
    """A phantom or a group of animals as a Patient: nothing else can be imaged."""
    scope.lose("ImagingStudy.patient", "Who is imaged is a Patient: no phantom, no group.", 1 + len(one.members))
    return patient(scope, one)


def practitioner(scope: Scope, one: Practitioner) -> Json:
    """hl7.org/fhir/DSTU2/practitioner, with one name, and the institution or department that the file names."""
    name = best_name(one.names)
    if len(one.names) > 1:
        why = f"{scope.dialect.name.upper()} has room for one name."
        scope.lose("Practitioner.name", why, len(one.names) - 1)
    return filled(
        {
            "identifier": scope.identifiers(one.identifiers),
            "name": human_name(name) if name else None,
            "telecom": elements.phones(one.phones),
            "address": elements.address(one.address),
            "practitionerRole": unique((_role(scope, one),)) if "PractitionerRole" in scope.policy.create else None,
        }
    )


def _role(scope: Scope, one: Practitioner) -> Json:
    return filled(
        {
            "managingOrganization": scope.refer("organization", one.organization) if one.organization else None,
            "location": [{"display": one.department}] if one.department else None,
        }
    )


def device(scope: Scope, one: Device) -> Json:
    """hl7.org/fhir/DSTU2/device: its type is required, and the modality is the best that is known of it.

    The serial number is an identifier; the station's name has no place.
    """
    if one.station:
        scope.lose("Device", f"{scope.dialect.name.upper()} has no element for a station's name.")
    serial = (Identifier(one.serial, "device-serial"),) if one.serial else ()
    numbers = (*companions.device_identifiers(one), *serial)
    kind = {"coding": [r4.modality(scope, one.modality)]} if one.modality else {"text": one.model or "Equipment"}
    return filled(
        {
            "identifier": scope.identifiers(numbers),
            "type": kind,
            "manufacturer": one.manufacturer,
            "model": one.model,
            "version": "; ".join(filter(None, one.versions)),
            "udi": one.udi,
        }
    )


def diagnostic_order(scope: Scope, one: Request) -> Json:
    """hl7.org/fhir/DSTU2/diagnosticorder: its status is optional, and DICOM does not know it."""
    code = scope.concept(one.code)
    return filled(
        {
            "subject": scope.subject(),
            "orderer": person(scope, one.requester) if one.requester else None,
            "identifier": scope.identifiers(companions.order_identifiers(one)),
            "reason": scope.concepts(one.reasons),
            "priority": one.priority,
            "item": [{"code": code}] if code else None,
        }
    )


def procedure(scope: Scope, one: Procedure) -> Json:
    """hl7.org/fhir/DSTU2/procedure: completed, for there are images: a code is required, and none says unknown."""
    return filled(
        {
            "identifier": scope.identifiers(one.identifiers),
            "subject": scope.subject(),
            "status": "completed",
            "code": scope.concept(one.code),
        }
    )


def place(name: Name, known: Facts, policy: Policy) -> Placement:
    """As elsewhere, but whatever would need a logical reference is contained: patients, orders, all in a batch."""
    usual = companions.place(name, known, policy)
    if usual == "created":
        return "contained" if policy.batches and not known.ours else "created"
    return "contained" if name in ("patient", "phantom", "group", "request") else usual


KINDS: Mapping[Name, Kind] = {
    "patient": Kind("Patient", patient),
    "phantom": Kind("Patient", stand_in),
    "group": Kind("Patient", stand_in),
    "practitioner": Kind("Practitioner", practitioner),
    "role": Kind("Practitioner", practitioner),
    "organization": Kind("Organization", r4.organization),
    "device": Kind("Device", device),
    "request": Kind("DiagnosticOrder", diagnostic_order),
    "procedure": Kind("Procedure", procedure),
}

PLACES: Mapping[str, str] = {
    "Study.uid": "ImagingStudy.uid",
    "Study.accessions": "ImagingStudy.accession, ImagingStudy.identifier",
    "Study.study_id": "ImagingStudy.identifier (secondary)",
    "Study.modalities": "ImagingStudy.modalityList",
    "Study.patient": "ImagingStudy.patient",
    "Study.started": "ImagingStudy.started",
    "Study.requests": "ImagingStudy.order",
    "Study.referrer": "ImagingStudy.referrer",
    "Study.interpreters": "ImagingStudy.interpreter",
    "Study.endpoints": "ImagingStudy.url, ImagingStudy.series.url, ImagingStudy.series.instance.content",
    "Study.instance_count": "ImagingStudy.numberOfInstances",
    "Study.procedures": "ImagingStudy.procedure",
    "Study.procedure_codes": "ImagingStudy.procedure.display",
    "Study.description": "ImagingStudy.description",
    "Study.series": "ImagingStudy.series, ImagingStudy.numberOfSeries",
    "Series.uid": "ImagingStudy.series.uid",
    "Series.number": "ImagingStudy.series.number",
    "Series.modality": "ImagingStudy.series.modality",
    "Series.description": "ImagingStudy.series.description",
    "Series.instance_count": "ImagingStudy.series.numberOfInstances",
    "Series.endpoints": "ImagingStudy.series.url, ImagingStudy.series.instance.content",
    "Series.body_sites": "ImagingStudy.series.bodySite",
    "Series.laterality": "ImagingStudy.series.laterality",
    "Series.started": "ImagingStudy.series.started",
    "Series.instances": "ImagingStudy.series.instance",
    "Instance.uid": "ImagingStudy.series.instance.uid",
    "Instance.sop_class": "ImagingStudy.series.instance.sopClass",
    "Instance.class_name": "ImagingStudy.series.instance.type",
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
    "Practitioner.organization": "Practitioner.practitionerRole.managingOrganization",
    "Practitioner.department": "Practitioner.practitionerRole.location",
    "Practitioner.address": "Practitioner.address",
    "Practitioner.phones": "Practitioner.telecom",
    "Organization.name": "Organization.name",
    "Organization.identifiers": "Organization.identifier",
    "Organization.address": "Organization.address",
    "Device.manufacturer": "Device.manufacturer",
    "Device.model": "Device.model",
    "Device.serial": "Device.identifier (SNO)",
    "Device.versions": "Device.version",
    "Device.uid": "Device.identifier (urn:oid:)",
    "Device.number": "Device.identifier",
    "Device.udi": "Device.udi",
    "Device.modality": "Device.type",
    "Request.identifiers": "DiagnosticOrder.identifier",
    "Request.code": "DiagnosticOrder.item.code",
    "Request.reasons": "DiagnosticOrder.reason",
    "Request.requester": "DiagnosticOrder.orderer",
    "Request.priority": "DiagnosticOrder.priority",
    "Procedure.identifiers": "Procedure.identifier",
    "Procedure.code": "Procedure.code",
}
"""Which element each field of the model fills."""

DIALECT = Dialect(
    name="dstu2",
    release="1.0.2",
    study=STUDY,
    series=SERIES,
    instance=instance,
    kinds=KINDS,
    identifier=stu3.identifier,
    coding=coding,
    find_study=stu3.find_study,
    media_type="application/json+fhir",
    logical=None,
    unsaid=unsaid,
    wrap=bundle.entry,
    places=PLACES,
    place=place,
    oids=frozenset(("study", "series", "instance", "sop-class")),
    key_objects={"auto": keyobjects.object_selection(person)},
)
