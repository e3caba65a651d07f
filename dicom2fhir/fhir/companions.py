"""Where a resource beside the study lies: in an entry of its own, contained, or only referred to.

The rules are the same in every FHIR version: created conditionally where an identifier with a
system tells it from all others, contained where there is none but more than a name is known, and
otherwise only referred to, by identifier or by name. Nothing is ever matched by name or by a
number without a system: the same number is another person in the next hospital.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from dicom2fhir.fhir import elements
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.model import (
    Concept,
    Device,
    Encounter,
    Endpoint,
    Identifier,
    IdentifierKind,
    Location,
    Organization,
    Patient,
    Practitioner,
    Procedure,
    Request,
    Side,
    Specimen,
)

Name = Literal[
    "patient", "phantom", "group", "practitioner", "role", "organization", "device", "specimen",
    "endpoint", "series-endpoint", "request", "encounter", "episode", "procedure", "location", "container",
    "body-structure",
]  # fmt: skip
Placement = Literal["created", "contained", "referred"]

OPTIONS: Mapping[Name, str] = {
    "patient": "Patient",
    "practitioner": "Practitioner",
    "role": "PractitionerRole",
    "organization": "Organization",
    "device": "Device",
    "specimen": "Specimen",
    "endpoint": "Endpoint",
    "series-endpoint": "Endpoint",
    "request": "ServiceRequest",
    "encounter": "Encounter",
    "episode": "EpisodeOfCare",
    "procedure": "Procedure",
    "location": "Location",
    "container": "Device",
    "body-structure": "BodyStructure",
}
"""The name in `--create` that lets a companion become a resource. Phantoms and groups have none: always contained."""

_ORDER_IDENTIFIERS: tuple[IdentifierKind, ...] = ("accession", "placer", "filler", "requested-procedure")


@dataclass(frozen=True, slots=True)
class Facts:
    """What decides where a companion lies.

    `identifiers`: those that could find it, the best first. `display`: its name. `says_more`: more
    is known than a reference can say. `identity`: namespace and identity of what is ours to number.
    """

    identifiers: tuple[Identifier, ...] = ()
    display: str | None = None
    says_more: bool = False
    identity: tuple[str, str] | None = None

    @property
    def qualified(self) -> Identifier | None:
        """The identifier that finds this companion and no other: the first that has a system."""
        return next((identifier for identifier in self.identifiers if identifier.system), None)

    @property
    def ours(self) -> bool:
        """Whether the resource is made by us alone, and so may be written over."""
        return self.identity is not None


@dataclass(frozen=True, slots=True)
class Container:
    """What holds a specimen, for versions in which that is a Device."""

    identifier: Identifier | None
    type: Concept | None


@dataclass(frozen=True, slots=True)
class BodyStructure:
    """A body site on one side, for versions that have no other place for the side."""

    site: Concept
    side: Side


def facts(name: Name, value: Any) -> Facts:
    """What is known of a companion, by its kind."""
    return _FACTS[name](value)


def place(name: Name, known: Facts, policy: Policy) -> Placement:
    """Where a companion lies."""
    if name in ("patient", "phantom", "group"):
        return _place_subject(name, known, policy)
    if OPTIONS[name] not in policy.create:
        return "referred"
    if known.ours or known.qualified:
        return "created"
    return "contained" if known.says_more else "referred"


def _place_subject(name: Name, known: Facts, policy: Policy) -> Placement:
    if name != "patient" or policy.patient == "contained" or known.qualified is None:
        return "contained"
    if policy.patient == "identifier" or "Patient" not in policy.create:
        return "referred"
    return "created"


def subject_name(patient: Patient) -> Name:
    """The kind of companion that the one who was imaged is."""
    names: Mapping[str, Name] = {"person": "patient", "phantom": "phantom", "group": "group"}
    return names[patient.kind]


def patient_identifiers(patient: Patient) -> tuple[Identifier, ...]:
    """A patient's identifiers; the PatientID of a de-identified patient is a pseudonym (type ANON)."""
    return tuple(
        replace(identifier, type_code="ANON")
        if patient.anonymized and identifier.kind == "patient" and identifier.type_code is None
        else identifier
        for identifier in patient.identifiers
    )


def device_identifiers(device: Device) -> tuple[Identifier, ...]:
    """(0018,1002) Device UID and (0018,1003) Device ID; the serial number is an element of its own."""
    uid = Identifier(device.uid, "device-uid", elements.DICOM_UID) if device.uid else None
    number = Identifier(device.number, "device-id") if device.number else None
    return tuple(identifier for identifier in (uid, number) if identifier)


def order_identifiers(request: Request) -> tuple[Identifier, ...]:
    """An order's identifiers, the accession number first: it is what others look for."""
    ranks = {kind: rank for rank, kind in enumerate(_ORDER_IDENTIFIERS)}
    return tuple(sorted(request.identifiers, key=lambda identifier: ranks.get(identifier.kind, len(ranks))))


def _qualified_first(identifiers: Iterable[Identifier]) -> tuple[Identifier, ...]:
    return tuple(sorted(identifiers, key=lambda identifier: identifier.system is None))


def _patient(patient: Patient) -> Facts:
    """Only the PatientID finds a patient: other numbers may be of a ward, or of a relative."""
    return Facts(tuple(one for one in patient_identifiers(patient) if one.kind == "patient")[:1])


def _practitioner(practitioner: Practitioner) -> Facts:
    more = practitioner.identifiers or practitioner.address or practitioner.phones or len(practitioner.names) > 1
    display = elements.display_name(practitioner.names)
    return Facts(_qualified_first(practitioner.identifiers), display, bool(more))


def _role(practitioner: Practitioner) -> Facts:
    return Facts((), elements.display_name(practitioner.names), says_more=True)


def _organization(organization: Organization) -> Facts:
    named = organization.name or organization.identifiers  # invariant org-1: without either there is no Organization
    more = organization.identifiers or organization.address
    return Facts(_qualified_first(organization.identifiers), organization.name, bool(named and more))


def _device(device: Device) -> Facts:
    known = (device.manufacturer, device.model, device.serial, device.versions, device.uid, device.number,
             device.station, device.udi)  # fmt: skip
    display = " ".join(part for part in (device.manufacturer, device.model) if part) or device.station
    more = sum(map(bool, known)) > 1 or (display is None and any(known))
    return Facts(device_identifiers(device), display, more)


def _specimen(specimen: Specimen) -> Facts:
    more = (specimen.identifiers, specimen.type, specimen.notes, specimen.container, specimen.container_type)
    display = specimen.description or elements.concept_text(specimen.type)
    return Facts(_qualified_first(specimen.identifiers), display, any(more))


def _endpoint(endpoint: Endpoint) -> Facts:
    return Facts(display=endpoint.address, identity=(endpoint.kind, endpoint.address))


def _series_endpoint(endpoint: Endpoint) -> Facts:
    return Facts(display=endpoint.address, identity=(f"series {endpoint.kind}", endpoint.address))


def _request(request: Request) -> Facts:
    more = request.code or request.reasons or request.requester or request.priority
    return Facts(order_identifiers(request), elements.concept_text(request.code), bool(more))


def _encounter(encounter: Encounter) -> Facts:
    identifiers = (encounter.identifier,) if encounter.identifier else ()
    return Facts(identifiers, says_more=bool(encounter.episode or encounter.location))


def _episode(identifier: Identifier) -> Facts:
    return Facts((identifier,))


def _procedure(procedure: Procedure) -> Facts:
    more = procedure.code and (procedure.identifiers or procedure.code.codes)
    return Facts(_qualified_first(procedure.identifiers), elements.concept_text(procedure.code), bool(more))


def _location(location: Location) -> Facts:
    display = location.name or next(filter(None, map(elements.concept_text, location.types)), None)
    return Facts((), display, bool(location.types or location.organization))


def _container(container: Container) -> Facts:
    identifiers = (container.identifier,) if container.identifier else ()
    return Facts(identifiers, elements.concept_text(container.type), bool(identifiers or container.type))


def _body_structure(structure: BodyStructure) -> Facts:
    return Facts((), elements.concept_text(structure.site), says_more=True)


_FACTS: Mapping[Name, Callable[[Any], Facts]] = {
    "patient": _patient,
    "phantom": _patient,
    "group": _patient,
    "practitioner": _practitioner,
    "role": _role,
    "organization": _organization,
    "device": _device,
    "specimen": _specimen,
    "endpoint": _endpoint,
    "series-endpoint": _series_endpoint,
    "request": _request,
    "encounter": _encounter,
    "episode": _episode,
    "procedure": _procedure,
    "location": _location,
    "container": _container,
    "body-structure": _body_structure,
}
