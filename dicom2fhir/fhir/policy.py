"""What the user chose about writing: verbs, bundle, patients, companions. The same for every FHIR version."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Literal, get_args

from dicom2fhir.errors import UsageError
from dicom2fhir.model import Patient, Study

Write = Literal["put", "conditional-update", "conditional-create", "create"]
BundleType = Literal["transaction", "batch", "collection"]
Shape = Literal["bundles", "bundle", "ndjson"]
Availability = Literal["ONLINE", "OFFLINE", "NEARLINE", "UNAVAILABLE"]
KeyObjects = Literal["auto", "off", "basic", "document"]

PATIENT_MODES = ("auto", "create", "identifier", "contained")
DEFAULT_CREATE = frozenset(
    ("Patient", "Endpoint", "Practitioner", "PractitionerRole", "Organization", "Device", "Specimen", "BodyStructure")
)
CREATABLE = DEFAULT_CREATE | {"ServiceRequest", "Encounter", "EpisodeOfCare", "Procedure", "Location"}
_OTHER_NAMES = {
    "DiagnosticOrder": "ServiceRequest",
    "ProcedureRequest": "ServiceRequest",
    "BodySite": "BodyStructure",
}
_PATIENT_REFERENCE = re.compile(r"Patient/[A-Za-z0-9.\-]{1,64}")


@dataclass(frozen=True, slots=True)
class Policy:
    """How resources are written and linked.

    `patient` is auto, create, identifier, contained, or a literal `Patient/ID`. `create` holds the
    companions that may become resources, by their names in R4; `id_key` keys the ids (identity.py).
    `availability` is what the user says of all studies, for versions up to STU3 (0008,0056 is in no file).
    `key_objects` is the form of key objects: the version's own (auto), or one for versions that have none;
    `manifest` asks for a list of what was written of every study.
    """

    write: Write = "put"
    bundle_type: BundleType = "transaction"
    shape: Shape = "bundles"
    patient: str = "auto"
    create: frozenset[str] = DEFAULT_CREATE
    id_key: bytes | None = field(default=None, repr=False)
    availability: Availability | None = None
    key_objects: KeyObjects = "auto"
    manifest: bool = False

    def check(self) -> None:
        """Refuse what cannot be done.

        Raises:
            UsageError: an unknown choice, or choices that exclude each other.
        """
        _check_choice("--write", self.write, get_args(Write))
        _check_choice("--bundle-type", self.bundle_type, get_args(BundleType))
        _check_choice("--format", self.shape, get_args(Shape))
        _check_choice("--key-objects", self.key_objects, get_args(KeyObjects))
        if self.availability is not None:
            _check_choice("--availability", self.availability, get_args(Availability))
        if self.patient_reference is None:
            _check_choice("--patient", self.patient, (*PATIENT_MODES, "Patient/ID"))
        for name in sorted(self.create - CREATABLE):
            raise UsageError(f"--create does not know {name}; it knows {', '.join(sorted(CREATABLE))}.")
        if self.patient == "create" and "Patient" not in self.create:
            raise UsageError("--patient create needs Patient in --create.")
        if self.batches and self.write == "create":
            raise UsageError("--bundle-type batch cannot go with --write create: nothing could refer to what is new.")

    @property
    def batches(self) -> bool:
        """Whether the entries of a bundle are processed one by one, so that urn:uuid references do not resolve."""
        return self.shape != "ndjson" and self.bundle_type == "batch"

    @property
    def patient_reference(self) -> str | None:
        """The literal reference that `--patient Patient/ID` gives."""
        return self.patient if _PATIENT_REFERENCE.fullmatch(self.patient) else None

    def keeps_id(self, ours: bool) -> bool:
        """Whether the body of a resource has its id: where it is put by it, and where nobody assigns another."""
        if self.shape == "ndjson" or self.bundle_type == "collection":
            return True
        return ours and self.write == "put"


def parse_create(text: str) -> frozenset[str]:
    """The names of a `--create` list; `none` for no companions at all. Other versions' names count as R4's.

    Raises:
        UsageError: a name that is not a companion's.
    """
    names = {name.strip() for name in text.split(",")} - {"", "none"}
    chosen = frozenset(_OTHER_NAMES.get(name, name) for name in names)
    Policy(create=chosen).check()
    return chosen


def check_study(study: Study, policy: Policy) -> None:
    """Refuse a study whose patient the chosen way cannot name. For every study, before anything is written.

    Raises:
        UsageError: `--patient create` or `identifier`, and the PatientID or its system is missing.
    """
    patient = study.patient
    if policy.patient not in ("create", "identifier") or patient.kind != "person" or patient.reference:
        return
    if patient.identifier is None:
        raise UsageError(f"--patient {policy.patient} needs a PatientID in every study; at least one has none.")
    if patient.identifier.system is None:
        raise UsageError(
            f"--patient {policy.patient} needs a system for every PatientID; at least one has none "
            "(--system patient=URI or the config's [issuers] gives it)."
        )


class StudyGate:
    """`check_study`, and what only shows over all studies: `--patient Patient/ID` stands for one patient."""

    def __init__(self, policy: Policy) -> None:
        self._policy = policy
        self._first: tuple[str, ...] | None = None

    def admit(self, study: Study) -> None:
        """Look at one study; hold nothing of it but its patient's identity.

        Raises:
            UsageError: as `check_study`, or a second patient for one `Patient/ID`.
        """
        check_study(study, self._policy)
        if self._policy.patient_reference is None:
            return
        identity = _patient_identity(study.patient, study.uid)
        if self._first not in (None, identity):
            raise UsageError("--patient Patient/ID stands for one patient, and the input holds more than one.")
        self._first = identity


def _patient_identity(patient: Patient, study_uid: str) -> tuple[str, ...]:
    """PatientID and issuer, compared literally; a patient without an ID is a patient of its own study."""
    identifier = patient.identifier
    if identifier is None:
        return (study_uid,)
    return (identifier.value, identifier.system or "", identifier.assigner or "")


def _check_choice(option: str, value: str, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise UsageError(f"{option} takes one of {', '.join(allowed)}.")
