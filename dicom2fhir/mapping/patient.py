"""Who was imaged: the Patient Module (PS3.3 C.7.1.1) as one patient, or none where a study names two."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, TypeVar

from dicom2fhir.dicom.names import parse_name
from dicom2fhir.dicom.records import Values
from dicom2fhir.dicom.times import parse_date
from dicom2fhir.dicom.values import BadValue, clean_code, clean_text, first_value, split_values
from dicom2fhir.mapping.evidence import Evidence, Voter, elect
from dicom2fhir.mapping.moments import Moments
from dicom2fhir.mapping.people import People
from dicom2fhir.mapping.settings import Settings, Target
from dicom2fhir.mapping.terms import Terms
from dicom2fhir.model import Concept, Identifier, Moment, Owner, Patient, PatientKind, PersonName
from dicom2fhir.problems import Code

T = TypeVar("T", bound=Hashable)
_ASSIGNERS = (
    "AssigningFacilitySequence",
    "AssigningAgencyOrDepartmentCodeSequence",
    "AssigningJurisdictionCodeSequence",
)
_SEXES: dict[str, Literal["male", "female", "other"]] = {"M": "male", "F": "female", "O": "other"}


@dataclass(frozen=True, slots=True, order=True)
class Identity:
    """What tells patients apart, compared literally: the issuer and the PatientID, "" where there is none."""

    issuer: str
    number: str


class Conflict(Exception):
    """The study's instances name different patients."""


def _issuer_text(values: Values) -> str:
    for item in values.get("IssuerOfPatientIDQualifiersSequence", ()):
        universal = clean_text(item.get("UniversalEntityID", "")) or clean_text(item.get("LocalNamespaceEntityID", ""))
        if universal:
            return universal
    return clean_text(values.get("IssuerOfPatientID", "")) or ""


class Patients:
    """Reads the patient of one study."""

    def __init__(self, settings: Settings, evidence: Evidence, terms: Terms, people: People, moments: Moments) -> None:
        self._settings, self._evidence, self._terms = settings, evidence, terms
        self._people, self._moments = people, moments

    def patient(self) -> tuple[Patient, bool]:
        """The study's patient, and whether `force_patient` had to decide.

        Raises:
            Conflict: more than one PatientID or more than one issuer, and the user did not force a decision.
        """
        identities = {id(voter): self._identity(voter) for voter in self._evidence.voters}
        forced = differ(identities.values())
        if forced and not self._settings.force_patient:
            raise Conflict
        chosen = self._majority(identities) if forced else None
        if chosen is None:
            return self._described(self._evidence), False
        said = [voter for voter in self._evidence.voters if identities[id(voter)] == chosen]
        instances = [instance for voter in said for instance in voter.members]
        return self._described(Evidence(instances, self._evidence.notebook, *self._evidence.place, known=said)), True

    def identities(self) -> frozenset[Identity]:
        """Whom the instances name: more than one only in a study that is withheld, or that leaves a part unsaid."""
        found = {id(voter): self._identity(voter) for voter in self._evidence.voters}
        if differ(found.values()) and self._settings.force_patient:
            return frozenset((self._majority(found),))
        return frozenset(found.values())

    def _majority(self, identities: dict[int, Identity]) -> Identity:
        votes: Counter[Identity] = Counter()
        for voter in self._evidence.voters:
            votes[identities[id(voter)]] += voter.count
        named = {identity: count for identity, count in votes.items() if identity.number} or votes
        return min(named, key=lambda identity: (-named[identity], identity))

    def _identity(self, voter: Voter) -> Identity:
        """The identity after the patient map, which may join two numbers of one person."""
        number = self._identifier(voter)
        target = self._target(number)
        if target is not None and target.reference is not None:
            return Identity("", target.reference)
        if target is not None:
            return Identity(target.system or "", target.value or "")
        said = _issuer_text(voter.values)
        return Identity((number.system if number and said else None) or said, number.value if number else "")

    def _target(self, number: Identifier | None) -> Target | None:
        return self._settings.patient_map.get((number.system or "", number.value)) if number else None

    def _identifier(self, voter: Voter) -> Identifier | None:
        """The PatientID; `--system patient` counts only where no issuer is named."""
        found = self._numbered(voter.values, self._settings.systems.get("patient"))
        anonymous = found and not found.type_code and voter.first("PatientIdentityRemoved") == "YES"
        return replace(found, type_code="ANON") if found and anonymous else found

    def _numbered(self, values: Values, system: str | None = None) -> Identifier | None:
        """A patient's number with its issuer; `system` is that of a number without one."""
        value = clean_text(values.get("PatientID", ""))
        if value is None:
            return None
        qualifiers = values.get("IssuerOfPatientIDQualifiersSequence", [])
        name = clean_text(values.get("IssuerOfPatientID", ""))
        assigner = _assigner(qualifiers)
        found = self._terms.identifier(value, "patient", qualifiers, called=name, system=None if assigner else system)
        return replace(found, assigner=found.assigner or assigner, type_code=_type_code(qualifiers))

    def _described(self, evidence: Evidence) -> Patient:
        """The patient as most instances describe it; a number with an issuer counts before one without."""
        named = [voter for voter in evidence.voters if _issuer_text(voter.values)]
        identifier = elect(named, self._identifier).value or elect(evidence.voters, self._identifier).value
        self._note_partial(evidence, identifier, len(named))
        target = self._target(identifier)
        if target is not None and target.value is not None and identifier is not None:
            identifier = replace(identifier, value=target.value, system=target.system, assigner=None)
        reference = self._settings.patient_reference or (target.reference if target else None)
        patient = replace(self._person(evidence, identifier), reference=reference)
        if identifier and not identifier.system and reference is None and patient.kind == "person":
            self._evidence.note(Code.PATIENT_WITHOUT_SYSTEM, "PatientID")
        return patient

    def _note_partial(self, evidence: Evidence, identifier: Identifier | None, named: int) -> None:
        """Instances that leave out what others say of the patient's identity are no conflict, but worth a note."""
        if identifier is not None and not all(voter.first("PatientID") for voter in evidence.voters):
            self._evidence.note(Code.PATIENT_DIFFERS, "PatientID")
        if 0 < named < len(evidence.voters):
            self._evidence.note(Code.PATIENT_DIFFERS, "IssuerOfPatientID")

    def _person(self, evidence: Evidence, identifier: Identifier | None) -> Patient:
        members = evidence.distinct(self._members)
        birth_date = _elect(evidence, "PatientBirthDate", self._birth_date)
        return Patient(
            kind=_kind(evidence, members),
            identifiers=tuple(dict.fromkeys([*filter(None, [identifier]), *evidence.distinct(self._other_numbers)])),
            names=self._names(evidence),
            sex=_elect(evidence, "PatientSex", self._sex),
            birth_date=birth_date,
            birth_time=_elect(evidence, "PatientBirthTime", partial(self._birth_time, birth_date)),
            species=_elect(evidence, "PatientSpeciesCodeSequence", self._species),
            breeds=_elect(evidence, "PatientBreedCodeSequence", self._breeds) or (),
            neutered=_elect(evidence, "PatientSexNeutered", _neutered),
            owner=_elect(evidence, "ResponsiblePerson", self._owner),
            anonymized=_elect(evidence, "PatientIdentityRemoved", _anonymized) or False,
            members=tuple(members),
        )

    def _names(self, evidence: Evidence) -> tuple[PersonName, ...]:
        """The patient's name, the birth name, and names of which nobody says what they are for."""
        name = _elect(evidence, "PatientName", lambda v: self._name(v, "PatientName"))
        birth = _elect(evidence, "PatientBirthName", lambda v: self._name(v, "PatientBirthName"))
        others = evidence.distinct(
            lambda v: [n for names in self._people.names(v.values, "OtherPatientNames", v.contexts) for n in names]
        )
        return (
            *(replace(part, use="official") for part in name or ()),
            *(replace(part, use="maiden") for part in birth or ()),
            *others,
        )

    def _name(self, voter: Voter, keyword: str) -> tuple[PersonName, ...]:
        try:
            return parse_name(voter.values.get(keyword, ""))
        except BadValue as bad:
            self._evidence.note(bad.code, keyword, voter.count)
            return ()

    def _sex(self, voter: Voter) -> Literal["male", "female", "other", "unknown"] | None:
        """M, F, O; another text says that somebody asked and could not tell; empty says nothing."""
        stated = voter.first("PatientSex")
        if stated is None:
            return None
        known = _SEXES.get(stated.upper())
        if known is None:
            self._evidence.note(Code.VALUE_INVALID, "PatientSex", voter.count)
        return known or "unknown"

    def _birth_date(self, voter: Voter) -> str | None:
        found = self._date(voter)
        stated = bool(voter.values.get("PatientBirthDate"))
        if stated and (found is None or found == "1900-01-01"):  # a placeholder, though it may be somebody's birthday
            self._evidence.note(Code.DATE_INVALID, "PatientBirthDate", voter.count)
        return found

    def _date(self, voter: Voter) -> str | None:
        """The date of birth; years before 1800 stand for an unknown one."""
        try:
            found = parse_date(first_value(voter.values.get("PatientBirthDate", "")) or "")
        except BadValue:
            return None
        return found if found and found >= "1800" else None

    def _birth_time(self, birth_date: str | None, voter: Voter) -> Moment | None:
        """The time of birth, from where the elected date of birth stands too."""
        if not birth_date or not voter.values.get("PatientBirthTime") or self._date(voter) != birth_date:
            return None
        moment = self._moments.of(voter.values, "PatientBirthDate", "PatientBirthTime", voter.values, voter.count)
        return moment if moment and moment.time else None

    def _species(self, voter: Voter) -> Concept | None:
        coded = self._terms.concepts(voter, "PatientSpeciesCodeSequence")
        text = voter.text("PatientSpeciesDescription")
        if coded:
            return replace(coded[0], text=text or coded[0].text)
        return Concept((), text) if text else None

    def _breeds(self, voter: Voter) -> tuple[Concept, ...]:
        coded = self._terms.concepts(voter, "PatientBreedCodeSequence")
        text = voter.text("PatientBreedDescription")
        if len(coded) == 1:
            return (replace(coded[0], text=text or coded[0].text),)
        return coded or ((Concept((), text),) if text else ())

    def _owner(self, voter: Voter) -> Owner | None:
        names = self._name(voter, "ResponsiblePerson")
        return Owner(names, voter.first("ResponsiblePersonRole")) if names else None

    def _other_numbers(self, voter: Voter) -> list[Identifier]:
        """(0010,1002), each with its own issuer, and (0010,1000), which has none. RFID is a microchip in an animal."""
        items = [self._numbered(item) for item in voter.items("OtherPatientIDsSequence")]
        plain = map(clean_text, split_values(voter.values.get("OtherPatientIDs", "")))
        animal = bool(voter.values.get("PatientSpeciesCodeSequence") or voter.values.get("PatientSpeciesDescription"))
        kinds = [item.get("TypeOfPatientID") for item in voter.items("OtherPatientIDsSequence")]
        numbered = [
            replace(number, kind="other", type_code=number.type_code or ("MCN" if kind == "RFID" and animal else None))
            for number, kind in zip(items, kinds, strict=True)
            if number is not None
        ]
        seen = {number.value for number in numbered}
        return [*numbered, *(Identifier(value, "other") for value in plain if value and value not in seen)]

    def _members(self, voter: Voter) -> list[Identifier]:
        items = voter.items("GroupOfPatientsIdentificationSequence")
        return [number for number in map(self._numbered, items) if number is not None]


def _elect(evidence: Evidence, keyword: str, value_of: Callable[[Voter], T | None]) -> T | None:
    """Names, birth dates and the like may differ within a study: a note, no conflict."""
    return evidence.elect(keyword, value_of, conflict=Code.PATIENT_DIFFERS)


def differ(identities: Iterable[Identity]) -> bool:
    """Whether they are of more than one patient: two numbers, or two issuers; what is not said is no difference."""
    numbers, issuers = zip(*((identity.number, identity.issuer) for identity in identities), strict=True)
    return len(set(filter(None, numbers))) > 1 or len(set(filter(None, issuers))) > 1


def _type_code(qualifiers: list[Values]) -> str | None:
    """(0040,0035): a code of HL7 table 0203."""
    return next(filter(None, (clean_code(item.get("IdentifierTypeCode", "")) for item in qualifiers)), None)


def _assigner(qualifiers: list[Values]) -> str | None:
    """Who assigned the number, in words: the facility, the agency or the jurisdiction (0040,0036, 003A, 0039)."""
    words = ("LocalNamespaceEntityID", "CodeMeaning", "UniversalEntityID", "CodeValue")
    items = (item for name in _ASSIGNERS for one in qualifiers for item in one.get(name, ()))
    return next(filter(None, (clean_text(item.get(word, "")) for item in items for word in words)), None)


def _kind(evidence: Evidence, members: list[Identifier]) -> PatientKind:
    if members:
        return "group"
    controls = {voter.first("QualityControlSubject") for voter in evidence.voters}
    return "phantom" if controls == {"YES"} else "person"


def _neutered(voter: Voter) -> bool | None:
    return {"ALTERED": True, "UNALTERED": False}.get(voter.first("PatientSexNeutered") or "")


def _anonymized(voter: Voter) -> bool | None:
    return {"YES": True, "NO": False}.get(voter.first("PatientIdentityRemoved") or "")
