"""The questions that a FHIR version must answer, and the one walk over a study that asks them.

A version states its whole answer as a `Dialect`: tables of element names in its own order, each with
the function that fills it, and one `Kind` for each companion resource that it has. It borrows from
other versions by name. There is no other place where versions differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, NamedTuple, TypeVar, get_args

from dicom2fhir.errors import UsageError
from dicom2fhir.fhir import companions, elements
from dicom2fhir.fhir.bundle import Emission, Entry
from dicom2fhir.fhir.companions import Facts, Name, Placement
from dicom2fhir.fhir.elements import Json
from dicom2fhir.fhir.identity import full_url, identifier_query, resource_id, resource_uuid
from dicom2fhir.fhir.policy import BundleType, Policy
from dicom2fhir.model import (
    Code,
    Concept,
    Identifier,
    Instance,
    KeyObject,
    Selected,
    SelectedSeries,
    SelectedStudy,
    Series,
    Study,
)
from dicom2fhir.problems import Code as ProblemCode
from dicom2fhir.problems import Problem

T = TypeVar("T")
R = TypeVar("R")
Rows = Mapping[str, Callable[["Scope", Any], Any]]
"""Element name -> what fills it, in the version's order of elements. None or empty: the element is left out."""

CLINICAL_INFORMATION = "ImagingStudy.clinicalInformation"

Oid = Literal["study", "series", "instance", "sop-class"]
"""A UID of an ImagingStudy, by whose it is."""


class Kind(NamedTuple):
    """How a version says one kind of companion: its resource type, and the body without type and id."""

    type: str
    build: Callable[[Scope, Any], Json]


class Part(NamedTuple):
    """What one resource says of a key object: all of it, or one series; `uid` is the document's, or made for it."""

    document: KeyObject
    studies: tuple[SelectedStudy, ...]
    id: str
    uid: str


class Form(NamedTuple):
    """How a version says a key object: its resource type, the body (None: it cannot), and the search that finds it.

    `by_series`: a resource is about one series, so that a document may become several. `places` tells, for the
    documentation, which element a field of the model fills.
    """

    type: str
    build: Callable[[Scope, Part], Json | None]
    find: Callable[[Part], str]
    places: Mapping[str, str]
    by_series: bool = False


@dataclass(frozen=True, slots=True)
class Dialect:
    """One FHIR version's answers.

    `identifier` and `coding` give the version's systems; `logical` its Reference without a literal target
    (type, identifier, display), None in a version that has no such thing; `find_study` the search that finds
    a study's resource; `unsaid` counts values that no element can take, by what they would be called;
    `bundle_types` are the kinds of Bundle that the version has, `media_type` is what its JSON is called (HTTP);
    `key_objects` are the forms of key objects by the user's choice, "auto" the version's own;
    `oids` are the UIDs that the version puts into elements of type `oid` (see `hold`);
    `places` tells, for the documentation, which element a field of the model fills.
    """

    name: str
    release: str
    study: Rows
    series: Rows
    instance: Callable[[Instance], Json]
    kinds: Mapping[Name, Kind]
    identifier: Callable[[Identifier], Json]
    coding: Callable[[Code], Json]
    find_study: Callable[[Study], str]
    logical: Callable[[str, Json | None, str | None], Json | None] | None
    unsaid: Callable[[Study], Mapping[str, int]]
    wrap: Callable[[Entry, Policy], Json]
    places: Mapping[str, str]
    place: Callable[[Name, Facts, Policy], Placement] = companions.place
    oids: frozenset[Oid] = frozenset()
    key_objects: Mapping[str, Form] = field(default_factory=dict)
    bundle_types: tuple[BundleType, ...] = get_args(BundleType)
    media_type: str = "application/fhir+json"

    def check(self, policy: Policy) -> None:
        """Refuse a policy that cannot be done at all, or not in this version.

        Raises:
            UsageError: see `Policy.check`; `--patient identifier` where references have no identifier;
                `--availability` where studies have none; a form of key objects that it does not have;
                a type of Bundle that the version does not have.
        """
        policy.check()
        if policy.availability is not None and "availability" not in self.study:
            raise UsageError(f"--availability: a study in {self.name} has none (up to STU3 it has).")
        if policy.shape != "ndjson" and policy.bundle_type not in self.bundle_types:
            raise UsageError(f"--bundle-type: {self.name} knows {', '.join(self.bundle_types)}.")
        if policy.key_objects in ("basic", "document") and policy.key_objects not in self.key_objects:
            raise UsageError(f"--key-objects {policy.key_objects}: {self.name} has no such form (r4 and r4b have).")
        if policy.patient == "identifier" and self.logical is None:
            raise UsageError(f"--patient identifier: a reference in {self.name} has no identifier.")


@dataclass(frozen=True, slots=True)
class Held:
    """What a version can hold of a study: the study without the rest, None where nothing of it is left.

    `left_out` names that rest, for the accounting: the SOP Instance UIDs by series, None for the series as a whole.
    """

    study: Study | None
    left_out: Mapping[str, frozenset[str] | None] = field(default_factory=dict)


@dataclass(slots=True)
class _Run:
    """What grows while one study is rendered."""

    study: Study
    dialect: Dialect
    policy: Policy
    id: str
    entries: dict[str, Entry] = field(default_factory=dict)
    built: dict[tuple[Name, Any], Entry] = field(default_factory=dict)
    problems: dict[tuple[ProblemCode, str], Problem] = field(default_factory=dict)

    def note(self, problem: Problem) -> None:
        """Keep a problem once, with its largest count: a companion may be built for several resources."""
        known = self.problems.get((problem.code, problem.where))
        if known is None or known.count < problem.count:
            self.problems[problem.code, problem.where] = problem


class Scope:
    """One entry's resource while it is built: what it refers to and what it contains."""

    def __init__(self, run: _Run) -> None:
        self._run = run
        self._contained: dict[tuple[Name, Any], tuple[str, Json]] = {}
        self._said: dict[tuple[Callable[..., Any], int], tuple[Any, Any]] = {}
        self.study = run.study
        self.dialect = run.dialect
        self.policy = run.policy

    def once(self, say: Callable[[Scope, T], R], value: T) -> R:
        """What `say` makes of a value, for one object of the model once: series share them, and what is said of them.

        What it reports must be of the study, not of one series; then saying it again would report nothing more.
        """
        key = (say, id(value))
        if key not in self._said:
            self._said[key] = (value, say(self, value))  # with the value, so that no other one gets its identity
        found: R = self._said[key][1]
        return found

    def coding(self, code: Code) -> Json:
        """A Coding in the version's systems."""
        return self.dialect.coding(code)

    def concept(self, concept: Concept | None) -> Json | None:
        """A CodeableConcept, None when nothing is known."""
        if concept is None:
            return None
        return elements.filled({"coding": [self.coding(code) for code in concept.codes], "text": concept.text}) or None

    def concepts(self, concepts: tuple[Concept, ...]) -> list[Json]:
        """The CodeableConcepts, each once."""
        return elements.unique(map(self.concept, concepts))

    def identifier(self, identifier: Identifier | None) -> Json | None:
        """An Identifier in the version's systems."""
        return self.dialect.identifier(identifier) if identifier else None

    def identifiers(self, identifiers: tuple[Identifier, ...]) -> list[Json]:
        """The Identifiers, each once."""
        return elements.unique(map(self.identifier, identifiers))

    def lose(self, element: str, why: str, count: int = 1, series: Series | None = None) -> None:
        """Report values that the version has no place for; `element` is where they would have gone."""
        where = "/".join((self.study.uid, *((series.uid,) if series else ()), element))
        self._run.note(Problem(ProblemCode.NOT_IN_THIS_VERSION, where, message=why, count=count))

    @property
    def subject_type(self) -> str:
        """The resource type of whoever was imaged: Patient, Device or Group."""
        if self._literal_subject:
            return next((part for part in self._literal_subject.split("/")[-2:-1]), "Patient")
        return self.dialect.kinds[companions.subject_name(self.study.patient)].type

    def subject(self) -> Json:
        """The reference to whoever was imaged."""
        if self._literal_subject:
            return {"reference": self._literal_subject}
        return self.refer(companions.subject_name(self.study.patient), self.study.patient) or {}

    @property
    def _literal_subject(self) -> str | None:
        return self.study.patient.reference or self.policy.patient_reference

    def note(self, problem: Problem) -> None:
        """Report anything else, once for each code and place."""
        self._run.note(problem)

    def refer_study(self, uid: str, identifier: Json) -> Json | None:
        """The reference to an ImagingStudy: this one's is literal, others are known by their identifier alone."""
        if uid == self.study.uid:
            found = self._literal("ImagingStudy", self._run.id, ours=True)
            if found is not None:
                return found
        return self.dialect.logical("ImagingStudy", identifier, None) if self.dialect.logical else None

    def placement(self, name: Name, value: Any) -> Placement:
        """Where a companion lies."""
        return self.dialect.place(name, companions.facts(name, value), self.policy)

    def refer(self, name: Name, value: Any) -> Json | None:
        """A reference to a companion, which is created or contained on the way as the policy says."""
        known = companions.facts(name, value)
        placement = self.dialect.place(name, known, self.policy)
        if placement == "created":
            return self._link(name, known, self._create(name, value, known))
        if placement == "contained":
            return {"reference": "#" + self._contain(name, value)}
        reference = self._logical(name, known)
        if reference is None:
            self.lose(self.dialect.kinds[name].type, "It has neither an identifier nor a name to be referred to by.")
        return reference

    def own_identifier(self, name: Name, value: Any) -> Json:
        """The Identifier that is made from the id of a resource of ours."""
        return _own_identifier(self._id(name, companions.facts(name, value)))

    def assemble(self, resource_type: str, identifier: str | None, body: Json) -> Json:
        """The finished resource, keys in FHIR's order: id, meta, contained, the rest."""
        contained = [resource for _, resource in self._contained.values()]
        head = {"resourceType": resource_type, "id": identifier, "meta": body.get("meta"), "contained": contained}
        return elements.filled(head) | {key: value for key, value in body.items() if key != "meta"}

    def _id(self, name: Name, known: Facts) -> str:
        namespace, identity = known.identity or _identity_of(known)
        return resource_id(self.dialect.kinds[name].type, namespace, identity, self.policy.id_key)

    def _logical(self, name: Name, known: Facts) -> Json | None:
        if self.dialect.logical is None:
            return {"display": known.display} if known.display else None
        return self.dialect.logical(self.dialect.kinds[name].type, self._found_by(name, known), known.display)

    def _found_by(self, name: Name, known: Facts) -> Json | None:
        if known.ours:
            return _own_identifier(self._id(name, known))
        return self.identifier(known.identifiers[0]) if known.identifiers else None

    def _literal(self, resource_type: str, identifier: str, ours: bool) -> Json | None:
        """The literal reference to what has an entry; None where there is none that would resolve."""
        if self.policy.shape == "ndjson":
            return {"reference": f"{resource_type}/{identifier}"}
        if not self.policy.batches:
            return {"reference": full_url(identifier)}
        # A batch resolves no urn:uuid; only what is put under our id has an address that is known beforehand.
        return {"reference": f"{resource_type}/{identifier}"} if ours and self.policy.write == "put" else None

    def _link(self, name: Name, known: Facts, entry: Entry) -> Json | None:
        literal = self._literal(entry.type, entry.id, entry.ours)
        if literal is not None:
            return literal
        found_by = self._found_by(name, known) if known.ours else self.identifier(known.qualified)
        return self.dialect.logical(entry.type, found_by, known.display) if self.dialect.logical else None

    def _contain(self, name: Name, value: Any) -> str:
        known = self._contained.get((name, value))
        if known is not None:
            return known[0]
        kind = self.dialect.kinds[name]
        stem = kind.type.lower()
        local = f"{stem}-{1 + sum(other.startswith(stem + '-') for other, _ in self._contained.values())}"
        self._contained[name, value] = (local, {})  # takes its number before what it refers to itself
        body = kind.build(self, value)
        body.pop("meta", None)  # invariants dom-4 and dom-5
        self._contained[name, value] = (local, {"resourceType": kind.type, "id": local} | body)
        return local

    def _create(self, name: Name, value: Any, known: Facts) -> Entry:
        run = self._run
        if (name, value) in run.built:
            return run.built[name, value]
        kind = self.dialect.kinds[name]
        identifier = self._id(name, known)
        scope = Scope(run)
        body = kind.build(scope, value)
        resource = scope.assemble(kind.type, identifier if self.policy.keeps_id(known.ours) else None, body)
        condition = _query(self._found_by(name, known) if known.ours else self.identifier(known.qualified))
        made = Entry(resource, identifier, full_url(identifier), known.ours, condition)
        entry = run.entries.setdefault(identifier, made)
        if entry.resource != resource:
            where = f"{self.study.uid}/{kind.type}"
            run.note(Problem(ProblemCode.COMPANION_DIFFERS, where, message="The study describes it in two ways."))
        run.built[name, value] = entry
        return entry


def hold(study: Study, dialect: Dialect) -> Held:
    """Leave out what a version cannot hold: objects whose UIDs its elements of type `oid` refuse.

    DICOM files have UIDs with leading zeros or a first arc above 2. Where the version has such a UID in an `id`, it
    is written as it is; where it is an `oid`, whatever it identifies is withheld (`uid-not-an-oid`): the instance,
    the series with all its instances, the study; also a study of which no instance would be left. A version says in
    `Dialect.oids` which UIDs these are and need do no more: the study that is held is recounted, the pipeline calls
    this before `render` and accounts for the rest. Instances that are counted but not listed have no UID to refuse.
    """
    if not dialect.oids:
        return Held(study)
    if "study" in dialect.oids and not elements.is_oid(study.uid):
        return Held(None)
    left_out: dict[str, frozenset[str] | None] = {}
    kept = tuple(one for one in (_hold_series(each, dialect.oids, left_out) for each in study.series) if one)
    if not left_out:
        return Held(study)
    documents = tuple(one for one in study.key_objects if not _is_left_out(one, left_out))
    return Held(replace(study, series=kept, key_objects=documents) if kept else None, left_out)


def _is_left_out(document: KeyObject, left_out: Mapping[str, frozenset[str] | None]) -> bool:
    """Whether a key object's own instance is not emitted; then what it says is not said either."""
    uids = left_out.get(document.series or "", frozenset())
    return uids is None or document.uid in uids


def _hold_series(one: Series, oids: frozenset[Oid], left_out: dict[str, frozenset[str] | None]) -> Series | None:
    if "series" in oids and not elements.is_oid(one.uid):
        left_out[one.uid] = None
        return None
    kept = tuple(each for each in one.instances if _holds_instance(each, oids))
    refused = len(one.instances) - len(kept)
    if not refused:
        return one
    left_out[one.uid] = frozenset(each.uid for each in one.instances if not _holds_instance(each, oids))
    return replace(one, instances=kept, instance_count=one.instance_count - refused) if kept else None


def _holds_instance(one: Instance, oids: frozenset[Oid]) -> bool:
    if "instance" in oids and not elements.is_oid(one.uid):
        return False
    return "sop-class" not in oids or elements.is_oid(one.sop_class)


def render(study: Study, dialect: Dialect, policy: Policy) -> Emission:
    """One study in one FHIR version: its companions, the ImagingStudy, and after it its key objects.

    The study must have passed `hold`, its patient `policy.check_study`. What the version cannot say is among the
    emission's problems (`not-in-this-version`).
    """
    identifier = resource_id("ImagingStudy", elements.DICOM_UID, study.uid, policy.id_key)
    run = _Run(study, dialect, policy, identifier)
    scope = Scope(run)
    body = fill(dialect.study, scope, study)
    for element, count in dialect.unsaid(study).items():
        scope.lose(element, f"{dialect.name} has no element for it.", count)
    if study.clinical_information and "Study.clinical_information" not in dialect.places:
        # One ballot alone ever had an element for it, so the others need not each say that they have none.
        scope.lose(CLINICAL_INFORMATION, f"{dialect.name} has no element for it.", len(study.clinical_information))
    resource = scope.assemble("ImagingStudy", identifier if policy.keeps_id(ours=True) else None, body)
    entry = Entry(resource, identifier, full_url(identifier), True, dialect.find_study(study))
    documents = [*_key_objects(run), *_manifest(run)]
    return Emission(
        study_uid=study.uid,
        id=identifier,
        entries=(*run.entries.values(), entry, *documents),
        problems=tuple(run.problems.values()),
        series_count=len(study.series),
        instance_count=resource.get("numberOfInstances", 0),  # what was written, for the accounting
        wrap=dialect.wrap,
    )


def _key_objects(run: _Run) -> list[Entry]:
    """The study's key objects in the form that was chosen."""
    chosen, forms = run.policy.key_objects, run.dialect.key_objects
    if chosen == "off":
        return []
    if chosen in forms:
        return [entry for document in run.study.key_objects for entry in _say(run, forms[chosen], document)]
    others = " or ".join(forms)
    why = f"{run.dialect.name} has no resource for it" + (f" (--key-objects {others})." if others else ".")
    for document in run.study.key_objects:
        where = f"{run.study.uid}/{document.series}/{document.uid}/ImagingSelection"
        run.note(Problem(ProblemCode.NOT_IN_THIS_VERSION, where, message=why))
    return []


def _manifest(run: _Run) -> list[Entry]:
    """The manifest of what was written, where that was asked for and the instances are listed."""
    study = run.study
    if not run.policy.manifest or any(len(one.instances) != one.instance_count for one in study.series):
        return []
    if "auto" not in run.dialect.key_objects:
        why = f"{run.dialect.name} has no resource for a manifest."
        run.note(Problem(ProblemCode.NOT_IN_THIS_VERSION, f"{study.uid}/ImagingManifest", message=why))
        return []
    listed = tuple(
        SelectedSeries(one.uid, tuple(Selected(each.uid, each.sop_class) for each in one.instances), one.endpoints)
        for one in study.series
    )
    title = Concept((Code("113030", elements.DCM, "Manifest"),))
    document = KeyObject(None, (SelectedStudy(study.uid, listed, study.accessions),), title=title)
    return _say(run, run.dialect.key_objects["auto"], document)


def _say(run: _Run, form: Form, document: KeyObject) -> list[Entry]:
    """The resources of one document, or of one manifest."""
    # With the study, for a copied file may carry its SOP Instance UID into the study of another patient.
    namespace, name = ("manifest", ()) if document.uid is None else (elements.DICOM_UID, (document.uid,))
    entries = []
    for suffix, studies in _split(form, document):
        identity = "/".join((run.study.uid, *name, *suffix))
        identifier = resource_id(form.type, namespace, identity, run.policy.id_key)
        part = Part(document, studies, identifier, document.uid or f"2.25.{resource_uuid(identifier).int}")
        scope = Scope(run)
        body = form.build(scope, part)
        if body is not None:
            resource = scope.assemble(form.type, identifier if run.policy.keeps_id(ours=True) else None, body)
            entries.append(Entry(resource, identifier, full_url(identifier), True, form.find(part)))
    return entries


def _split(form: Form, document: KeyObject) -> list[tuple[tuple[str, ...], tuple[SelectedStudy, ...]]]:
    """What each resource is about, with what tells it from the others."""
    if not form.by_series:
        return [((), document.studies)]
    return [
        ((study.uid, series.uid or ""), (replace(study, series=(series,)),))
        for study in document.studies
        for series in study.series
    ]


def fill(rows: Rows, scope: Scope, value: Any) -> Json:
    """The elements of one table that have something to say about `value`."""
    said = ((name, answer(scope, value)) for name, answer in rows.items())
    return {name: found for name, found in said if found or found == 0}  # see `elements.filled`


def series(scope: Scope, study: Study) -> list[Json]:
    """Every series of a study, in the version's form. What one says like the one before it, the two share."""
    said: Json = {}
    listed = []
    for one in study.series:
        body = fill(scope.dialect.series, scope, one)
        said = {name: said[name] if said.get(name) == value else value for name, value in body.items()}
        listed.append(said)
    return listed


def instances(scope: Scope, one: Series) -> list[Json]:
    """Every listed instance of a series, in the version's form."""
    instance = scope.dialect.instance
    return list(map(instance, one.instances))


def _identity_of(known: Facts) -> tuple[str, str]:
    identifier = known.qualified
    if identifier is None or identifier.system is None:
        raise ValueError("a companion without a qualified identifier has no id")
    return identifier.system, identifier.value


def _own_identifier(identifier: str) -> Json:
    return {"system": elements.RFC_3986, "value": full_url(identifier)}


def _query(identifier: Json | None) -> str | None:
    return identifier_query(identifier["system"], identifier["value"]) if identifier else None
