"""A resource as a server holds it, beside the one that would be written: where its references lead, whether both say
the same, whether they are about the same patient.

A server gives ids, versions and times, puts an address where a Bundle had `urn:uuid:`, may call what is contained by
other names and writes keys in its own order (hl7.org/fhir/R4/http#update, hl7.org/fhir/R4/http#trules). None of that
is a difference. Everything here goes by the names of elements that are there, and so holds for every FHIR version.
What a server sent is read leniently: a part of an unexpected form is compared as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from dicom2fhir.fhir.elements import Json

Condition = tuple[str, str | None, str]
"""What a conditional request looks for: resource type, system, value; without a system a UID (`urn:oid:`)."""

GIVEN_BY_SERVERS = frozenset(("versionId", "lastUpdated", "source"))
"""What every new version of a resource gets in `meta`."""

LABELS = ("profile", "security", "tag")
"""What may be attached to a resource in `meta`, and stays there when it is updated (hl7.org/fhir/R4/resource#Meta)."""

_ADDRESS = re.compile(r"([A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?")
_CHARACTERS = re.compile(r"\\([\\,|$])|(.)", re.DOTALL)
_SUBJECTS = ("subject", "patient")


# References -----------------------------------------------------------------------------------------


def address(reference: str) -> str | None:
    """`Type/id` of a relative reference, without the version that it may name; None: it is of another kind."""
    found = _ADDRESS.fullmatch(reference)
    return found[1] if found else None


def references(resource: Json) -> list[str]:
    """Where a resource and what it contains refer to: `Type/id` and `urn:uuid:...`, each once, in their order.

    `#x` and the absolute URLs of other servers are left out: see `relative` for those of the server itself.
    """
    found = (address(one) or one for one in literals(resource))
    return list(dict.fromkeys(one for one in found if one.startswith("urn:") or address(one)))


def relative(resource: Json, base: str) -> Json:
    """The resource with references below the server's own address, as some servers write them, made relative."""
    prefix = base.rstrip("/") + "/"

    def shorter(reference: str) -> str:
        rest = reference.removeprefix(prefix)
        return rest if _ADDRESS.fullmatch(rest) else reference

    shortened: Json = redirected(resource, shorter)
    return shortened


def redirected(node: Any, to: Callable[[str], str]) -> Any:
    """Some JSON, however deep, in which every literal reference `r` is `to(r)`; parts without any are not copied."""
    made = [node]
    waiting: list[tuple[Any, Any]] = [(made, 0)]
    while waiting:
        holder, key = waiting.pop()
        value = holder[key]
        if isinstance(value, dict):
            holder[key] = copy = dict(value)
            waiting += [(copy, name) for name, one in copy.items() if name == "reference" or _may_refer(one)]
        elif isinstance(value, list):
            holder[key] = items = list(value)
            waiting += [(items, place) for place, one in enumerate(items) if _may_refer(one)]
        elif isinstance(value, str):  # of what is no object and no list only references wait
            holder[key] = to(value)
    return made[0]


def literals(node: Any) -> Iterator[str]:
    """Every literal reference in some JSON; without recursion, for nobody knows how deep a server's answer goes."""
    waiting = [node]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            if isinstance(one.get("reference"), str):
                yield one["reference"]
            one = list(one.values())
        if isinstance(one, list):
            waiting += [each for each in reversed(one) if _may_refer(each)]


def _may_refer(node: Any) -> bool:
    """Whether a reference could lie in some JSON; a quick no to the thousands of instances of a study."""
    if not isinstance(node, dict):
        return isinstance(node, list)
    if "reference" in node:
        return True
    for value in node.values():
        if isinstance(value, list):
            return True
        if isinstance(value, dict) and (
            "reference" in value or any(isinstance(e, (dict, list)) for e in value.values())
        ):
            return True
    return False


# What an entry of a Bundle stands for ---------------------------------------------------------------


def condition(resource_type: str, query: str) -> Condition | None:
    """What the search of a conditional request (`identifier=system%7Cvalue`, `study=urn%3Aoid%3A...`) looks for.

    The query may stand behind `Type?`. It is percent-decoded, then freed of the backslashes before `\\ , | $`
    (hl7.org/fhir/R4/search#escaping). `identifier=urn%3Aoid%3A...` looks for a `uid` (DSTU2's ImagingObjectSelection).
    None: it asks for anything else than one thing that is told from all others.
    """
    parameter, _, wanted = query.rpartition("?")[2].partition("=")
    parts = [] if "&" in wanted else _parts(unquote_plus(wanted))
    if parameter == "identifier" and len(parts) == 2 and all(parts):
        return resource_type, parts[0], parts[1]
    if parameter in ("study", "identifier") and len(parts) == 1 and parts[0].startswith("urn:oid:"):
        return resource_type, None, parts[0]
    return None


def _parts(wanted: str) -> list[str]:
    """A search value cut at its bars; nothing where it is several values."""
    parts = [""]
    for escaped, plain in _CHARACTERS.findall(wanted):
        if plain == ",":
            return []
        if plain == "|":
            parts.append("")
        else:
            parts[-1] += escaped or plain
    return parts


def placed(entry: Json) -> str | None:
    """`Type/id` of an entry that is put under an id; None: its id is the server's to say."""
    request = entry.get("request", {})
    return address(request.get("url", "")) if request.get("method") == "PUT" else None


def sought(entry: Json) -> Condition | None:
    """What a conditional entry looks for; None: it looks for nothing, or for what `condition` cannot tell."""
    request = entry.get("request", {})
    kind, _, query = request.get("url", "").partition("?")
    query = query or request.get("ifNoneExist", "")
    return condition(kind, query) if query else None


def meets(resource: Json, wanted: Condition) -> bool:
    """Whether a resource is what a condition looks for."""
    kind, system, value = wanted
    if resource.get("resourceType") != kind:
        return False
    if system is None:
        return bool(resource.get("uid") == value)
    return any(one.get("system") == system and one.get("value") == value for one in objects(resource.get("identifier")))


def resolve(ours: Json, bundle: Json, known: Mapping[str, Json]) -> Json:
    """A resource of a Bundle with `Type/id` in place of every reference to an entry whose address is known.

    That is the address that an entry is put to, or that of the one resource among `known` (reference -> resource as
    the server has it) which the entry's condition looks for. Other references stay as they are.
    """
    entries = _by_url(bundle)
    addresses: dict[str, str] = {}

    def resolved(reference: str) -> str:
        if reference not in addresses:
            entry = entries.get(reference)
            addresses[reference] = (_whereabouts(entry, known) if entry else None) or reference
        return addresses[reference]

    found: Json = redirected(ours, resolved)
    return found


def _by_url(bundle: Json) -> Mapping[str, Json]:
    return {entry["fullUrl"]: entry for entry in bundle.get("entry", ()) if "fullUrl" in entry}


def _whereabouts(entry: Json, known: Mapping[str, Json]) -> str | None:
    wanted = sought(entry)
    if wanted is None:
        return placed(entry)
    found = {address(reference) for reference, resource in known.items() if meets(resource, wanted)}
    return found.pop() if len(found) == 1 else None


# What a resource says -------------------------------------------------------------------------------


class Contained:
    """What a resource contains, by its local ids; and what each says, whatever its id."""

    def __init__(self, resource: Json) -> None:
        inside = objects(resource.get("contained"))
        self.bodies: dict[str, Json] = {one["id"]: one for one in inside if isinstance(one.get("id"), str)}
        self._marks: dict[str, str] = {}

    def body(self, local: str) -> Json:
        """One contained resource without its id."""
        return {name: value for name, value in self.bodies[local].items() if name != "id"}

    def mark(self, local: str) -> str:
        """The same for all that says the same."""
        if local not in self._marks:
            self._marks[local] = "#" + local  # what leads back to itself is known by its name
            text = json.dumps(self.plain(self.body(local)), sort_keys=True)
            self._marks[local] = "#" + hashlib.sha256(text.encode()).hexdigest()
        return self._marks[local]

    def plain(self, node: Any) -> Any:
        """Some JSON with every reference in the one form that is compared: a mark, or an address without version."""
        return redirected(node, self._plainly)

    def reached(self, node: Any) -> list[str]:
        """The local ids that some JSON refers to, and those that these refer to."""
        found: dict[str, None] = {}
        waiting = [node]
        while waiting:
            names = dict.fromkeys(one[1:] for one in literals(waiting.pop()) if one[:1] == "#")
            fresh = [name for name in names if name in self.bodies and name not in found]
            found |= dict.fromkeys(fresh)
            waiting += [self.bodies[name] for name in fresh]
        return list(found)

    def _plainly(self, reference: str) -> str:
        if reference[:1] == "#":
            return self.mark(reference[1:]) if reference[1:] in self.bodies else reference
        return address(reference) or reference


def same(stored: Json, ours: Json) -> bool:
    """Whether a server that has `stored` need not be sent `ours`: for resources of any type, references resolved.

    What servers add is no difference: version and times, labels in `meta`, a narrative, an id where ours has none,
    other ids of what is contained, another order of keys; nor is the order of a study's series and instances.
    """
    try:
        known = ours.get("id") in (None, stored.get("id"))
        return known and labels(ours).keys() <= labels(stored).keys() and _said(stored) == _said(ours)
    except RecursionError:
        return False


def labels(resource: Json) -> dict[tuple[str, str], Any]:
    """The profiles, security labels and tags in `meta`, each by its element and what tells it from another."""
    meta = resource.get("meta")
    lists = [(name, meta.get(name)) for name in LABELS] if isinstance(meta, dict) else []
    return {(name, _name_of(one)): one for name, found in lists if isinstance(found, list) for one in found}


def _name_of(label: Any) -> str:
    """A profile is its URL, a Coding its system and code, anything else all that it says."""
    told = isinstance(label, dict) and "code" in label
    return json.dumps([label.get("system"), label["code"]] if told else label, sort_keys=True)


def objects(value: Any) -> list[Json]:
    """The objects among the values of an element, be it a list or a single one."""
    return [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, dict)]


def _said(resource: Json) -> tuple[Any, list[str]]:
    """All that is compared: the body, and what is contained without being referred to."""
    inside = Contained(resource)
    body = {name: value for name, value in resource.items() if name not in ("id", "meta", "text", "contained")}
    if isinstance(body.get("series"), list):
        body["series"] = _in_order([_with_instances_in_order(one) for one in body["series"]])
    loose = inside.bodies.keys() - set(inside.reached(body))
    return inside.plain(body), sorted(map(inside.mark, loose))


def _with_instances_in_order(series: Any) -> Any:
    ordered = isinstance(series, dict) and isinstance(series.get("instance"), list)
    return series | {"instance": _in_order(series["instance"])} if ordered else series


def _in_order(items: list[Any]) -> list[Any]:
    return sorted(items, key=lambda one: str(one.get("uid")) if isinstance(one, dict) else "")


# Whose study it is ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Subject:
    """Who was imaged, by one of these: an address, an identifier that finds one person, all that is said of them."""

    address: str | None = None
    identity: Condition | None = None
    body: Any = None


def subject_name(study: Json) -> str | None:
    """What a version calls the one who was imaged, None where the study does not say."""
    return next((name for name in _SUBJECTS if isinstance(study.get(name), dict)), None)


def same_patient(stored: Json, ours: Json, known: Mapping[str, Json], bundle: Json | None = None) -> bool:
    """Whether two studies of one UID are of one patient (phantom, group); when that is not certain they are not.

    `ours` is resolved; `bundle` is where it lies, so that a reference which is still a `urn:uuid:` can be followed.
    They are of one patient when

    - both refer to one address, or the stored one refers to an address where, among `known`, the identifier is found
      that our reference, or the condition of our entry, asks for;
    - both name one identifier, with its system;
    - the stored one contains a resource that says what ours says, contained or in an entry of its own. Ours may
      have gained what theirs lacks of an identifier: its system, its assigner.
    """
    try:
        theirs, mine = _subject(stored, {}), _subject(ours, _by_url(bundle or {}))
    except RecursionError:
        return False
    if theirs.address and mine.address:
        return theirs.address == mine.address
    if theirs.body is not None and mine.body is not None:
        return _has_not_changed(theirs.body, mine.body)
    if theirs.identity and mine.identity:
        return _is_one(theirs.identity, mine.identity)
    return _is_there(theirs, mine, known) or _is_there(mine, theirs, known)


def _subject(study: Json, entries: Mapping[str, Json]) -> _Subject:
    name = subject_name(study)
    reference: Json = study[name] if name else {}
    literal = reference.get("reference")
    if not isinstance(literal, str):
        return _Subject(identity=_logical(reference))
    if literal[:1] == "#":
        inside = Contained(study)
        body = inside.bodies.get(literal[1:])
        return _Subject(body=_description(inside, body) if body else None)
    entry = entries.get(literal)
    if entry is None or placed(entry):
        return _Subject(address=(placed(entry) if entry else None) or address(literal) or literal)
    resource = entry.get("resource", {})
    return _Subject(identity=sought(entry), body=_description(Contained(resource), resource))


def _logical(reference: Json) -> Condition | None:
    """The identifier in a reference; its type is empty in versions whose references have none."""
    one = reference.get("identifier")
    system, value = (one.get("system"), one.get("value")) if isinstance(one, dict) else (None, None)
    return (str(reference.get("type", "")), system, value) if system and value else None


def _description(inside: Contained, body: Json) -> Any:
    """All that is said of someone; labels are left out, for what is contained can have none (dom-4)."""
    return inside.plain(
        {name: value for name, value in body.items() if name not in ("id", "meta", "text", "contained")}
    )


def _has_not_changed(stored: Json, ours: Json) -> bool:
    theirs, mine = objects(stored.get("identifier")), objects(ours.get("identifier"))
    if len(theirs) != len(mine) or not all(map(_has_at_most_gained, theirs, mine)):
        return False
    return {**stored, "identifier": None} == {**ours, "identifier": None}


def _has_at_most_gained(stored: Json, ours: Json) -> bool:
    gained = {"system", "assigner"} - stored.keys()
    return {name: value for name, value in ours.items() if name not in gained} == stored


def _is_one(one: Condition, other: Condition) -> bool:
    return one[1:] == other[1:] and (one[0] == other[0] or "" in (one[0], other[0]))


def _is_there(at: _Subject, other: _Subject, known: Mapping[str, Json]) -> bool:
    """Whether the resource at one's address has the identifier of the other."""
    resource = known.get(at.address or "")
    if resource is None or other.identity is None:
        return False
    kind, system, value = other.identity
    return meets(resource, (kind or str(resource.get("resourceType")), system, value))
