"""What a FHIR server keeps and how it decides, without HTTP (hl7.org/fhir/R4/http.html), as HAPI 8.8 was seen to do.

Every interaction is an `Operation`; a transaction is several of them that happen together or not at all.
Of search parameters it knows those that decide about writing; others are refused (400), as unknown ones are.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]
Token = tuple[str | None, str]
Conditions = Mapping[tuple[str, str], Sequence[str]]

RELEASES = {
    "dstu2": "1.0.2",
    "stu3": "3.0.2",
    "r4": "4.0.1",
    "r4b": "4.3.0",
    "r5": "5.0.0",
    "r6-ballot2": "6.0.0-ballot2",
    "r6": "6.0.0-snapshot1",
}
_EVERY = (
    "Basic Device DocumentReference Encounter EpisodeOfCare Group ImagingStudy Location "
    "Organization Patient Practitioner Procedure Specimen"
)
_R4 = f"{_EVERY} BodyStructure Endpoint PractitionerRole ServiceRequest"
_R5 = f"{_R4} ImagingSelection"
TYPES = {
    "dstu2": f"{_EVERY} BodySite DiagnosticOrder ImagingObjectSelection",
    "stu3": f"{_EVERY} BodySite Endpoint ImagingManifest PractitionerRole ProcedureRequest",
    "r4": _R4,
    "r4b": _R4,
    "r5": _R5,
    "r6-ballot2": _R5,
    "r6": _R5,
}
_STUDY_R4 = "_id identifier patient subject status series instance"
STUDY_SEARCHES = {"dstu2": "_id patient study series uid", "stu3": "_id identifier patient study series uid"}
_OTHER_SEARCHES = "_id identifier patient subject"
_VALID_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_LITERAL = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9.\-]{1,64}")
_NESTED = (dict, list)
_SERVERS_OWN = ("versionId", "lastUpdated", "source")


class Refused(Exception):
    """Anything but success. `status` is HTTP's, `code` the OperationOutcome's; the text may hold patient data."""

    def __init__(self, status: int, text: str, code: str = "processing") -> None:
        super().__init__(text)
        self.status, self.text, self.code = status, text, code


@dataclass(frozen=True, slots=True)
class Rules:
    """What servers differ in.

    Of the last five True is said in /metadata and done, None is done without being said, False is neither.

    version            the FHIR version, as `--to` names it
    keeps_unchanged    an update that changes nothing makes no version (HAPI)
    referential        a reference to what is not there is refused, 400; what is referred to cannot be deleted, 409
    numeric_ids        clients may choose ids of digits alone (HAPI: 400)
    mismatch           the status of an If-Match that does not hold: 412 by the specification, 409 by HAPI
    """

    version: str = "r4"
    keeps_unchanged: bool = True
    referential: bool = True
    numeric_ids: bool = False
    mismatch: int = 412
    transaction: bool | None = True
    batch: bool | None = True
    conditional_create: bool | None = True
    conditional_update: bool | None = True
    update_create: bool | None = True


@dataclass(frozen=True, slots=True)
class Operation:
    """One interaction. `url` is relative to the base, with its condition where it has one."""

    method: str
    url: str
    resource: Json | None = None
    if_none_exist: str | None = None
    if_match: str | None = None
    full_url: str | None = None

    @property
    def type(self) -> str:
        """The resource type that the url names."""
        return re.split(r"[/?]", self.url, maxsplit=1)[0]

    @property
    def id(self) -> str | None:
        """The id that the url names."""
        path = self.url.partition("?")[0]
        return path.partition("/")[2] or None

    @property
    def condition(self) -> str | None:
        """The search that decides what is written."""
        if self.method == "POST":
            return self.if_none_exist
        return self.url.partition("?")[2] if "?" in self.url else None


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a resource; a deleted one has no resource."""

    number: int
    method: str
    at: datetime
    resource: Json | None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of an operation: an HTTP status, the resource's address and the version that stands now."""

    status: int
    type: str
    id: str
    version: Version | None


@dataclass(slots=True)
class _Step:
    operation: Operation
    deed: str  # create, update, match, delete
    type: str
    id: str

    @property
    def reference(self) -> str:
        return f"{self.type}/{self.id}"


class Store:
    """All resources with all their versions, in the order in which they came."""

    def __init__(self, rules: Rules) -> None:
        self.rules = rules
        self.types = frozenset(TYPES[rules.version].split())
        self._kept: dict[str, dict[str, list[Version]]] = {}
        self._index: dict[tuple[str, str, str | None, str | None], dict[str, None]] = {}
        self._referred: dict[str, Counter[str]] = {}
        self._numbers = count(1000)

    # Reading.

    def history(self, reference: str) -> list[Version]:
        """Every version of Type/id, the oldest first; none where it was never there."""
        kind, _, identifier = reference.partition("/")
        return self._kept.get(kind, {}).get(identifier, [])

    def current(self, kind: str, identifier: str) -> Version | None:
        """The newest version, which may be a deleted one; None where there never was one."""
        versions = self._kept.get(kind, {}).get(identifier)
        return versions[-1] if versions else None

    def read(self, kind: str, identifier: str) -> Version:
        """The newest version.

        Raises:
            Refused: 404 never there, 410 deleted.
        """
        version = self.current(kind, identifier)
        if version is None:
            raise Refused(404, f"HAPI-2001: Resource {kind}/{identifier} is not known", "not-found")
        if version.resource is None:
            raise Refused(410, "Resource was deleted", "deleted")
        return version

    def resources(self, kind: str) -> list[Json]:
        """The resources of a type that are there."""
        newest = (versions[-1].resource for versions in self._kept.get(kind, {}).values())
        return [resource for resource in newest if resource is not None]

    def versions(self) -> dict[str, int]:
        """Type/id -> the number of the version that stands, deleted ones too."""
        return {f"{kind}/{one}": list_[-1].number for kind, all_ in self._kept.items() for one, list_ in all_.items()}

    def duplicates(self) -> list[str]:
        """`Type name`s of identities that more than one resource has: a study by its UID, others by an identifier."""
        found = []
        for kind in self._kept:
            identities = Counter(name for one in self.resources(kind) for name in set(identities_of(one)))
            found += [f"{kind} {name}" for name, times in identities.items() if times > 1]
        return sorted(found)

    def search(self, kind: str, parameters: Iterable[tuple[str, str]]) -> list[str]:
        """The ids that match all parameters; within one, values separated by commas are alternatives.

        Raises:
            Refused: 404 an unknown type, 400 an unknown parameter or none at all of a condition's.
        """
        self._check_type(kind)
        found: dict[str, None] | None = None
        for name, value in parameters:
            matching = self._matching(kind, name, value)
            found = matching if found is None else {one: None for one in found if one in matching}
        if found is None:
            found = dict.fromkeys(self._kept.get(kind, {}))
        return [one for one in found if (version := self.current(kind, one)) and version.resource is not None]

    def _matching(self, kind: str, name: str, value: str) -> dict[str, None]:
        if name not in searches(self.rules.version, kind):
            raise Refused(400, f'HAPI-0524: Unknown search parameter "{name}" for resource type "{kind}"')
        found: dict[str, None] = {}
        for alternative in split(value, ","):
            if name == "_id":
                found |= {alternative: None} if self.current(kind, alternative) else {}
            else:
                found |= self._having(kind, name, *asked(name, alternative))
        return found

    def _having(self, kind: str, name: str, system: str | None, value: str | None) -> dict[str, None]:
        if name in _INDEXED:
            return self._index.get((f"{kind} {name}", system, value), {})  # type: ignore[arg-type]
        everything = ((one["id"], _TOKENS[name](one)) for one in self.resources(kind))
        return {id_: None for id_, tokens in everything if any(each[1] == value for each in tokens)}

    def _check_type(self, kind: str) -> None:
        if kind not in self.types:
            raise Refused(404, f"HAPI-0302: Unknown resource type '{kind}'", "not-supported")

    # Writing.

    def conditions(self, operations: Iterable[Operation]) -> Conditions:
        """What the conditions of some operations match now."""
        asked_for = ((one.type, one.condition) for one in operations)
        return {(kind, text): self._match(kind, text) for kind, text in asked_for if text is not None}

    def state(self, operations: Sequence[Operation]) -> tuple[Any, ...]:
        """What some operations depend on: when it changes under them, they are in conflict."""
        named = [(one.type, one.id) for one in operations if one.id is not None and one.method != "GET"]
        versions = [current.number if (current := self.current(*one)) else 0 for one in named]
        return (self.conditions(operations), versions)

    def write(self, operations: Sequence[Operation], conditions: Conditions | None = None) -> list[Result]:
        """Carry out creates, updates and deletes: all, or none where one is refused. Results in the order asked.

        `conditions` overrules what the conditions match now, as where servers look before they lock.

        Raises:
            Refused: why nothing was done.
        """
        known = self.conditions(operations) if conditions is None else conditions
        steps = [self._plan(operation, known) for operation in operations]
        _check_distinct(steps)
        self._resolve(steps)
        if self.rules.referential:
            self._check_references(steps)
        done = {id(step): self._carry_out(step) for step in sorted(steps, key=lambda step: _ORDER[step.deed])}
        return [done[id(step)] for step in steps]

    def _match(self, kind: str, condition: str) -> Sequence[str]:
        parameters = parse_qsl(condition.partition("?")[2] if "?" in condition else condition, keep_blank_values=True)
        if not parameters:
            raise Refused(400, "a condition without a search parameter")
        return self.search(kind, parameters)

    def _plan(self, operation: Operation, known: Conditions) -> _Step:
        self._check_type(operation.type)
        if operation.method == "DELETE" and operation.id is not None:
            return _Step(operation, "delete", operation.type, operation.id)
        if operation.method not in ("POST", "PUT"):
            raise Refused(405, f"{operation.method} is not supported here", "not-supported")
        if operation.resource is None or operation.resource.get("resourceType") != operation.type:
            raise Refused(400, f"HAPI-1814: Incorrect resource type found, expected {operation.type}")
        return (self._plan_create if operation.method == "POST" else self._plan_update)(operation, known)

    def _plan_create(self, operation: Operation, known: Conditions) -> _Step:
        matches = self._condition(operation, known, self.rules.conditional_create)
        if matches:
            return _Step(operation, "match", operation.type, matches[0])
        return _Step(operation, "create", operation.type, self._number())

    def _plan_update(self, operation: Operation, known: Conditions) -> _Step:
        assert operation.resource is not None
        own = operation.resource.get("id")
        if operation.id is None:
            matches = self._condition(operation, known, self.rules.conditional_update)
            if matches and own not in (None, matches[0]):
                raise Refused(400, "the body's id is not that of the resource that was found")
            chosen = matches[0] if matches else own or self._number()
        else:
            chosen = operation.id
            self._check_chosen(operation.type, chosen, own)
        self._check_version(operation, chosen)
        return _Step(operation, "update", operation.type, chosen)

    def _condition(self, operation: Operation, known: Conditions, allowed: bool | None) -> Sequence[str]:
        if operation.condition is None:
            if operation.method == "POST":
                return ()
            raise Refused(405, "an update needs an id or a condition", "not-supported")
        if allowed is False:
            raise Refused(400, "conditional writes are not supported", "not-supported")
        matches = known[operation.type, operation.condition]
        if len(matches) > 1:
            verb = "CREATE" if operation.method == "POST" else "UPDATE"
            text = f'Failed to {verb} {operation.type} with match URL "{operation.condition}"'
            raise Refused(412, f"HAPI-0958: {text} because this search matched {len(matches)} resources")
        return matches

    def _check_chosen(self, kind: str, chosen: str, own: str | None) -> None:
        if own != chosen:
            raise Refused(400, f'HAPI-0420: Resource body ID of "{own}" does not match URL ID of "{chosen}"')
        if not _VALID_ID.fullmatch(chosen):
            raise Refused(400, f"HAPI-0521: Can not process entity with ID[{chosen}], this is not a valid FHIR ID")
        if self.current(kind, chosen) is not None:
            return
        if self.rules.update_create is False:
            raise Refused(404, f"HAPI-0959: No resource exists with ID[{chosen}], and client-assigned IDs are off")
        if chosen.isdecimal() and not self.rules.numeric_ids:
            raise Refused(400, f"HAPI-0960: Can not create resource with ID[{chosen}]: digits alone")

    def _check_version(self, operation: Operation, chosen: str) -> None:
        current = self.current(operation.type, chosen)
        if operation.if_match is None or current is None:
            return  # HAPI creates what is not there whatever If-Match says
        if version_of(operation.if_match) != str(current.number):
            text = f"Trying to update {operation.type}/{chosen}, but {operation.if_match} is not the current version"
            raise Refused(self.rules.mismatch, f"HAPI-0550: HAPI-0989: {text}", "conflict")

    def _number(self) -> str:
        return str(next(self._numbers))

    def _resolve(self, steps: Sequence[_Step]) -> None:
        """References to entries of the same bundle become references to what the entries stand for."""
        addresses = {step.operation.full_url: step.reference for step in steps if step.operation.full_url}
        for step in steps:
            for holder in reference_holders(step.operation.resource):
                holder["reference"] = addresses.get(holder["reference"], holder["reference"])

    def _check_references(self, steps: Sequence[_Step]) -> None:
        gone = {step.reference for step in steps if step.deed == "delete"}
        written = {step.reference for step in steps} - gone
        for step in steps:
            if step.deed == "delete":
                self._check_free(step.reference, gone | written)
            elif step.deed != "match":
                for text in references(step.operation.resource):
                    self._check_there(step.type, text, written, gone)

    def _check_free(self, reference: str, besides: set[str]) -> None:
        if self.current(*reference.split("/")) and set(self._referred.get(reference, ())) - besides:
            raise Refused(409, f"Unable to delete {reference} because at least one resource refers to it", "conflict")

    def _check_there(self, kind: str, text: str, written: set[str], gone: set[str]) -> None:
        if text.startswith("urn:"):
            raise Refused(400, f"HAPI-0541: Unable to satisfy placeholder ID {text} within resource of type {kind}")
        there = text in written or ((version := self.current(*text.split("/"))) and version.resource is not None)
        if text in gone or not there:
            raise Refused(400, f"HAPI-1094: Resource {text} not found, specified in {kind}")

    def _carry_out(self, step: _Step) -> Result:
        before = self.current(step.type, step.id)
        there = before is not None and before.resource is not None
        if step.deed == "match" or (step.deed == "delete" and not there):
            return Result(200 if step.deed == "match" else 204, step.type, step.id, before)
        if step.deed == "delete":
            return Result(204, step.type, step.id, self._keep(step, None))
        assert step.operation.resource is not None
        if there and self.rules.keeps_unchanged and _same(before.resource, step.operation.resource):  # type: ignore[union-attr]
            return Result(200, step.type, step.id, before)
        return Result(200 if there else 201, step.type, step.id, self._keep(step, step.operation.resource))

    def _keep(self, step: _Step, body: Json | None) -> Version:
        versions = self._kept.setdefault(step.type, {}).setdefault(step.id, [])
        if versions and versions[-1].resource is not None:
            self._note(versions[-1].resource, there=False)
        now = datetime.now(UTC)
        number = len(versions) + 1
        kept = None if body is None else self._dressed(body, step.id, number, now)
        versions.append(Version(number, step.operation.method, now, kept))
        if kept is not None:
            self._note(kept, there=True)
        return versions[-1]

    def _dressed(self, body: Json, identifier: str, number: int, now: datetime) -> Json:
        """A body with what servers add to it."""
        meta = {name: value for name, value in body.get("meta", {}).items() if name not in _SERVERS_OWN}
        own = {"versionId": str(number), "lastUpdated": now.isoformat(timespec="milliseconds")}
        if self.rules.version not in ("dstu2", "stu3"):
            own["source"] = f"#{number}-{identifier[:8]}"
        rest = {name: value for name, value in body.items() if name not in ("resourceType", "id", "meta")}
        return {"resourceType": body["resourceType"], "id": identifier, "meta": own | meta, **rest}

    def _note(self, resource: Json, there: bool) -> None:
        kind, identifier = resource["resourceType"], resource["id"]
        for name in _INDEXED:
            for system, value in _TOKENS[name](resource):
                for key in {(system, value), (ANY, value), (system, ANY)}:
                    ids = self._index.setdefault((f"{kind} {name}", *key), {})
                    if there:
                        ids[identifier] = None
                    else:
                        ids.pop(identifier, None)
        for target in references(resource):
            self._referred.setdefault(target, Counter())[f"{kind}/{identifier}"] += 1 if there else -1
            self._referred[target] += Counter()  # drops what is at zero


_ORDER = {"delete": 0, "create": 1, "match": 1, "update": 2}
ANY = "*"


def searches(version: str, kind: str) -> list[str]:
    """The search parameters that a type has in a version."""
    text = STUDY_SEARCHES.get(version, _STUDY_R4) if kind == "ImagingStudy" else _OTHER_SEARCHES
    return text.split()


def split(text: str, separator: str) -> list[str]:
    """Parts of a search value, cut at separators that no backslash stands before; backslashes are kept."""
    parts, escaped = [""], False
    for character in text:
        if character == separator and not escaped:
            parts.append("")
            continue
        escaped = character == "\\" and not escaped
        parts[-1] += character
    return parts


def unescape(text: str) -> str:
    r"""A search value without the backslashes before \ , | and $."""
    return re.sub(r"\\([\\,|$])", r"\1", text)


def asked(name: str, text: str) -> tuple[str | None, str | None]:
    """What one alternative of a token or reference parameter asks for: (system, value), ANY for no matter which."""
    if name in ("patient", "subject"):
        kind, _, identifier = text.rpartition("/")
        return (kind.rpartition("/")[2] or ANY, identifier)
    parts = [unescape(part) for part in split(text, "|")]
    if len(parts) == 1:
        return (ANY, parts[0])
    return (parts[0] or None, "|".join(parts[1:]) or ANY)


def version_of(etag: str) -> str:
    """The version in W/"3", "3" or 3."""
    return etag.strip().removeprefix("W/").strip('"')


def reference_holders(value: Any) -> list[Json]:
    """Every element, at any depth and in contained resources too, that has a literal reference."""
    found, pending = [], [value]
    for one in pending:  # which grows meanwhile
        if isinstance(one, dict):
            if isinstance(one.get("reference"), str):
                found.append(one)
            pending += [child for child in one.values() if isinstance(child, _NESTED)]
        elif isinstance(one, list):
            pending += one
    return found


def references(resource: Json | None) -> Iterator[str]:
    """Literal references to other resources of the same server, without a version; `urn:` ones as they are."""
    for holder in reference_holders(resource):
        text = holder["reference"].partition("/_history/")[0]
        if text.startswith("urn:") or _LITERAL.fullmatch(text):
            yield text


def identities_of(resource: Json) -> Iterator[str]:
    """What a resource may be the only one to have: a study its UID, others each identifier that has a system."""
    for system, value in _identifiers(resource):
        if system and (resource["resourceType"] != "ImagingStudy" or system == "urn:dicom:uid"):
            yield f"{system}|{value}"
    if resource["resourceType"] == "ImagingStudy" and isinstance(resource.get("uid"), str):
        yield resource["uid"]


def _same(stored: Json | None, body: Json) -> bool:
    return stored is not None and _bare(stored) == _bare(body)


def _bare(resource: Json) -> Json:
    meta = {name: value for name, value in resource.get("meta", {}).items() if name not in _SERVERS_OWN}
    return {name: value for name, value in resource.items() if name not in ("id", "meta")} | {"meta": meta}


def _check_distinct(steps: Sequence[_Step]) -> None:
    """A resource, or a condition, that is there twice makes a transaction fail (R4 http, 3.1.0.11.2)."""
    written = [step.reference for step in steps if step.deed != "match"]
    created = [f"{step.type}?{step.operation.condition}" for step in steps if step.operation.condition is not None]
    for name, times in Counter(written + created).items():
        if times > 1:
            raise Refused(400, f"HAPI-0535: Transaction bundle contains multiple resources with ID: {name}")


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [] if value is None else [value]


def _identifiers(resource: Json) -> Iterator[Token]:
    for one in (*_listed(resource.get("identifier")), *_listed(resource.get("masterIdentifier"))):
        if isinstance(one, dict) and isinstance(one.get("value"), str):
            yield (one.get("system"), one["value"])


def _subjects(resource: Json) -> Iterator[Token]:
    for one in (*_listed(resource.get("subject")), *_listed(resource.get("patient"))):
        text = one.get("reference") if isinstance(one, dict) else None
        if isinstance(text, str) and not text.startswith("#") and "/" in text:
            yield tuple(text.split("/", 1))  # type: ignore[misc]


def _patients(resource: Json) -> Iterator[Token]:
    return (token for token in _subjects(resource) if token[0] == "Patient")


def _status(resource: Json) -> Iterator[Token]:
    return ((None, one) for one in _listed(resource.get("status")))


def _uid(resource: Json) -> Iterator[Token]:
    return ((None, one) for one in _listed(resource.get("uid")))


def _series(resource: Json) -> Iterator[Token]:
    return (token for one in _listed(resource.get("series")) for token in _uid(one))


def _instances(resource: Json) -> Iterator[Token]:
    nested = (each for one in _listed(resource.get("series")) for each in _listed(one.get("instance")))
    return (token for one in nested for token in _uid(one))


_TOKENS: dict[str, Callable[[Json], Iterator[Token]]] = {
    "identifier": _identifiers,
    "patient": _patients,
    "subject": _subjects,
    "status": _status,
    "study": _uid,
    "series": _series,
    "uid": _instances,
    "instance": _instances,
}
_INDEXED = ("identifier", "patient", "subject", "study")  # the others are few and are looked through
