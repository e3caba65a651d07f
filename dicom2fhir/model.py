"""A study of images in plain English: what DICOM said, before any FHIR version is chosen.

Frozen, standard library only. `None` and `()` mean unknown, never "none there".
Without slots: for these every class would be made twice, in every run, for a few objects a study.
Coded values carry the URI of their code system; `None` as system means that it has no known URI.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

Side = Literal["left", "right", "both"]
Representation = Literal["alphabetic", "ideographic", "phonetic"]
IdentifierKind = Literal[
    "patient", "accession", "study-id", "placer", "filler", "requested-procedure",
    "visit", "episode", "specimen", "container", "uid", "practitioner", "organization",
    "performed-procedure", "device-serial", "device-uid", "device-id", "other",
]  # fmt: skip
PatientKind = Literal["person", "phantom", "group"]
Role = Literal["performer", "operator", "device", "institution"]
EndpointKind = Literal["wado-rs", "wado-uri", "iid"]


@dataclass(frozen=True)
class Moment:
    """A date with as much time as is known.

    `date` is `YYYY`, `YYYY-MM` or `YYYY-MM-DD`; `time` is `HH:MM:SS` with up to six decimals;
    `offset` is `+HH:MM` or `-HH:MM`.
    """

    date: str
    time: str | None = None
    offset: str | None = None


@dataclass(frozen=True)
class Code:
    """One code of one system."""

    value: str
    system: str | None = None
    display: str | None = None
    version: str | None = None


@dataclass(frozen=True)
class Concept:
    """One idea: equivalent codes of it, and words for it."""

    codes: tuple[Code, ...] = ()
    text: str | None = None


@dataclass(frozen=True)
class Modality:
    """A DICOM modality term; `acquires` says whether it is an acquisition modality (CID 29).

    `text` is what the file said where `term` only stands in for it.
    """

    term: str
    meaning: str
    acquires: bool
    text: str | None = None


@dataclass(frozen=True)
class Identifier:
    """A number and who gave it: `system` is a URI, `assigner` a name where there is no URI.

    `type_code` is a code of HL7 table 0203 that the file itself names (else the kind decides).
    For `kind` "uid", "device-uid" and performed procedures' UIDs, `value` is the bare DICOM UID and
    `system` is "urn:dicom:uid".
    """

    value: str
    kind: IdentifierKind
    system: str | None = None
    assigner: str | None = None
    type_code: str | None = None


@dataclass(frozen=True)
class PersonName:
    """One representation of a person's name (one component group of a PN value)."""

    representation: Representation
    family: str | None = None
    given: tuple[str, ...] = ()
    prefix: str | None = None
    suffix: str | None = None
    text: str | None = None
    use: Literal["official", "maiden"] | None = None


@dataclass(frozen=True)
class Organization:
    """An institution: (0008,0080), (0008,0082), (0008,0081)."""

    name: str | None = None
    identifiers: tuple[Identifier, ...] = ()
    address: str | None = None


@dataclass(frozen=True)
class Practitioner:
    """A person who did or asked for something; `names` holds up to three representations."""

    names: tuple[PersonName, ...] = ()
    identifiers: tuple[Identifier, ...] = ()
    organization: Organization | None = None
    department: str | None = None
    address: str | None = None
    phones: tuple[str, ...] = ()


@dataclass(frozen=True)
class Owner:
    """The person responsible for an animal: (0010,2297), (0010,2298)."""

    names: tuple[PersonName, ...]
    role: str | None = None


@dataclass(frozen=True)
class Patient:
    """Who or what was imaged. The first identifier, where there is one of kind "patient", is the PatientID.

    `kind`: a person or animal, a phantom (0010,0200), or a group of animals (0010,0027).
    `members` are the identifiers of a group's animals. `reference` is a literal reference that stands
    for the patient (`--patient Patient/ID`, `--patient-map`): then no Patient resource is made.
    """

    kind: PatientKind = "person"
    identifiers: tuple[Identifier, ...] = ()
    names: tuple[PersonName, ...] = ()
    sex: Literal["male", "female", "other", "unknown"] | None = None
    birth_date: str | None = None
    birth_time: Moment | None = None
    species: Concept | None = None
    breeds: tuple[Concept, ...] = ()
    neutered: bool | None = None
    owner: Owner | None = None
    anonymized: bool = False
    members: tuple[Identifier, ...] = ()
    reference: str | None = None

    @property
    def identifier(self) -> Identifier | None:
        """The PatientID, where there is one."""
        return next((i for i in self.identifiers if i.kind == "patient"), None)


@dataclass(frozen=True)
class Device:
    """A piece of equipment (PS3.3 C.7.5.1)."""

    manufacturer: str | None = None
    model: str | None = None
    serial: str | None = None
    versions: tuple[str, ...] = ()
    uid: str | None = None
    number: str | None = None
    station: str | None = None
    udi: str | None = None
    modality: Modality | None = None


@dataclass(frozen=True)
class Request:
    """An order: one item of (0040,0275), or an accession number alone."""

    identifiers: tuple[Identifier, ...]
    code: Concept | None = None
    reasons: tuple[Concept, ...] = ()
    requester: Practitioner | None = None
    priority: Literal["routine", "urgent", "stat"] | None = None


@dataclass(frozen=True)
class Encounter:
    """A visit (0038,0010) and the episode of care (0038,0060) that it belongs to."""

    identifier: Identifier | None = None
    episode: Identifier | None = None
    location: str | None = None


@dataclass(frozen=True)
class Procedure:
    """A performed procedure step: (0008,1111), (0040,0253)."""

    identifiers: tuple[Identifier, ...]
    code: Concept | None = None


@dataclass(frozen=True)
class Location:
    """Where it happened: (0008,1040), (0008,1041), (0040,0243)."""

    name: str | None = None
    types: tuple[Concept, ...] = ()
    organization: Organization | None = None


@dataclass(frozen=True)
class Specimen:
    """One item of (0040,0560)."""

    identifiers: tuple[Identifier, ...]
    type: Concept | None = None
    description: str | None = None
    notes: tuple[str, ...] = ()
    container: Identifier | None = None
    container_type: Concept | None = None


@dataclass(frozen=True)
class Endpoint:
    """Where images can be had: the base address of a service."""

    kind: EndpointKind
    address: str


@dataclass(frozen=True)
class Performer:
    """Who or what took part in a series, and as what."""

    role: Role
    actor: Practitioner | Device | Organization


class Instance(NamedTuple):
    """One SOP instance. UIDs are bare; `frames` is None where the object says nothing of frames.

    `class_name` is the SOP class's name in PS3.6, where it is known. A tuple, because there are thousands of them.
    """

    uid: str
    sop_class: str
    number: int | None = None
    title: str | None = None
    frames: int | None = None
    class_name: str | None = None


@dataclass(frozen=True)
class Series:
    """One series. `instance_count` counts all of them, `instances` lists them unless that was not asked."""

    uid: str
    modality: Modality
    instance_count: int
    number: int | None = None
    description: str | None = None
    started: Moment | None = None
    body_sites: tuple[Concept, ...] = ()
    laterality: Side | None = None
    specimens: tuple[Specimen, ...] = ()
    performers: tuple[Performer, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    instances: tuple[Instance, ...] = ()


@dataclass(frozen=True)
class Selected:
    """An instance that a key object refers to: the whole of it, or just one kind of its parts.

    Frames and segments are counted from 1; channels are pairs of multiplex group and channel. What is referred to in
    two ways is there twice.
    """

    uid: str
    sop_class: str | None = None
    frames: tuple[int, ...] = ()
    segments: tuple[int, ...] = ()
    channels: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class SelectedSeries:
    """What a key object refers to of one series; `uid` is None where nobody says which series it is."""

    uid: str | None
    instances: tuple[Selected, ...]
    endpoints: tuple[Endpoint, ...] = ()


@dataclass(frozen=True)
class SelectedStudy:
    """What a key object refers to of one study, and the accession numbers that it knows of that study."""

    uid: str
    series: tuple[SelectedSeries, ...]
    accessions: tuple[Identifier, ...] = ()


@dataclass(frozen=True)
class KeyObject:
    """A Key Object Selection: somebody's claim about instances, whether they were read or not (PS3.3 A.35.4).

    `uid` and `series` are the document's own; both are None for a manifest of what was written, which no file holds.
    The title says what the instances were chosen for, a rejection among other things.
    """

    uid: str | None
    studies: tuple[SelectedStudy, ...]
    series: str | None = None
    title: Concept | None = None
    modifiers: tuple[Concept, ...] = ()
    description: str | None = None
    authored: Moment | None = None
    observers: tuple[Practitioner | Device, ...] = ()


@dataclass(frozen=True)
class Study:
    """One study: its patient, its circumstances, its series in order of (number, UID).

    `clinical_information` is what was known on admission: diagnoses and history, in words. It is not the reason.
    """

    uid: str
    patient: Patient
    series: tuple[Series, ...]
    study_id: Identifier | None = None
    accessions: tuple[Identifier, ...] = ()
    started: Moment | None = None
    description: str | None = None
    requests: tuple[Request, ...] = ()
    referrer: Practitioner | None = None
    interpreters: tuple[Practitioner, ...] = ()
    procedure_codes: tuple[Concept, ...] = ()
    procedures: tuple[Procedure, ...] = ()
    reasons: tuple[Concept, ...] = ()
    encounter: Encounter | None = None
    location: Location | None = None
    endpoints: tuple[Endpoint, ...] = field(default=())
    clinical_information: tuple[str, ...] = ()
    key_objects: tuple[KeyObject, ...] = ()

    @property
    def instance_count(self) -> int:
        """How many instances the study has, listed or not."""
        return sum(series.instance_count for series in self.series)

    @property
    def modalities(self) -> tuple[Modality, ...]:
        """The distinct modalities of the series, sorted by term."""
        return tuple(sorted({s.modality.term: s.modality for s in self.series}.values(), key=lambda m: m.term))
