"""The referee: whether a resource or a Bundle is what its FHIR version says, for every version.

What a version says comes from the models of fhir.resources (STU3, R4 through R4B's, R4B, R5) and, where the package
has none, from element tables of the same content (DSTU2 and its second ballot; ImagingStudy, ImagingSelection and
their companions in R6 and its second ballot; data types and all else of R6 are R5's). One walk sees every value:
unknown and missing elements, one where a list belongs, JSON and FHIR types, required codes, empty and null values,
references to the wrong kind of resource or to nothing, contained resources that nobody refers to (dom-1 to dom-5),
invariants, Bundles.

Where models exist they have a second say, so that no mistake of the walk goes unseen: they are given every structure
that occurs, once, and of the items of a list only one of each structure, because the walk has seen the values.

Most resources are plainly right, which a glance sees sooner than the walk by the same shapes and checks (glance.py).
What it doubts is walked as if it had not looked.

A fault names a path and a rule, never a value.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, get_args, get_origin

from dicom2fhir.fhir import alike, invariants, primitives
from dicom2fhir.fhir.glance import LITERAL, Glance
from dicom2fhir.fhir.invariants import Rules
from dicom2fhir.fhir.primitives import Check
from dicom2fhir.fhir.shapes import ANY_RESOURCE, Element, Shape, Table, shape


@dataclass(frozen=True, slots=True)
class Version:
    """Where a version's shapes come from, and what is its own beside them."""

    package: str | None
    """The package of models, None where there is none."""
    types: Mapping[str, Check]
    rules: Rules
    table: str | None = None
    """The element table, which is asked before the package."""
    absent: frozenset[str] = frozenset()
    """Resources of the package that the version does not have."""
    request: str = "request"
    response: str = "response"
    """What a Bundle's entry calls the request of a transaction and its answer."""
    early: bool = False
    """Before R4: contained resources have no narrative (dom-1), and `#` does not count as a use of them (dom-3)."""


_ONLY_IN_R4B = frozenset((
    "AdministrableProductDefinition", "Citation", "ClinicalUseDefinition", "EvidenceReport", "Ingredient",
    "ManufacturedItemDefinition", "MedicinalProductDefinition", "NutritionProduct", "PackagedProductDefinition",
    "RegulatedAuthorization", "SubscriptionStatus", "SubscriptionTopic", "SubstanceDefinition",
))  # fmt: skip

VERSIONS: Mapping[str, Version] = {
    "dstu2-ballot2": Version(
        None,
        primitives.BEFORE_R4,
        invariants.COMMON,
        "dstu2-ballot2",
        request="transaction",
        response="transactionResponse",
        early=True,
    ),
    "dstu2": Version(None, primitives.BEFORE_R4, invariants.COMMON, "dstu2", early=True),
    "stu3": Version("fhir.resources.STU3", primitives.BEFORE_R4, invariants.COMMON, early=True),
    "r4": Version("fhir.resources.R4B", primitives.R4, invariants.FROM_R4, absent=_ONLY_IN_R4B),
    "r4b": Version("fhir.resources.R4B", primitives.R4, invariants.FROM_R4),
    "r5": Version("fhir.resources", primitives.R5, invariants.FROM_R5),
    "r6-ballot2": Version("fhir.resources", primitives.R5, invariants.FROM_R5, "r6-ballot2"),
    "r6": Version("fhir.resources", primitives.R5, invariants.R6, "r6"),
}

_LISTS: Mapping[str, Mapping[str, str]] = {
    "fhir.resources.STU3": {
        "Encounter.status": "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
        "EncounterStatusHistory.status":
            "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
        "ProcedureRequest.intent":
            "proposal plan order original-order reflex-order filler-order instance-order option",
        "DeviceUdi.entryType": "barcode rfid manual card self-reported unknown",
    },
    "fhir.resources.R4B": {
        "Encounter.status": "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
        "EncounterStatusHistory.status":
            "planned arrived triaged in-progress onleave finished cancelled entered-in-error unknown",
        "DeviceUdiCarrier.entryType": "barcode rfid manual card self-reported unknown",
    },
    "fhir.resources": {
        "ServiceRequest.intent":
            "proposal plan directive order original-order reflex-order filler-order instance-order option",
    },
}  # fmt: skip
"""Required lists that the models give in part (they end in `+`), from the value sets of each version."""

_RULES: Mapping[str, str] = {
    "extra_forbidden": "there is no such element",
    "missing": "the element is required",
    "model_field_validation.missing": "the element is required",
    "string_pattern_mismatch": primitives.WRONG_FORM,
    "greater_than_equal": primitives.RANGE,
    "less_than_equal": primitives.RANGE,
}

Path = tuple[Any, ...]  # (parent path, name or index); made into text only for a fault


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong (a rule, no value), and where (`ImagingStudy.series[0].uid`)."""

    path: str
    message: str


@dataclass(slots=True)
class _Document:
    """One resource that is not contained, while it is walked."""

    kind: str
    library: _Library
    entries: Mapping[str, str]
    """The kinds of resources by the fullUrls of a Bundle's entries."""
    urls: Mapping[str, str]
    """Those that a reference may name: in a batch none."""
    contained: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    urns: list[tuple[Path, str]] = field(default_factory=list)
    faults: list[tuple[Path, str]] = field(default_factory=list)
    resources: list[tuple[Path, str, Any]] = field(default_factory=list)
    walked: set[tuple[int, int]] = field(default_factory=set)
    """Objects that were walked, each with the element that it was: one may lie at several places."""


def check(resource: Any, version: str) -> list[Fault]:
    """All faults of one resource, or of one Bundle and what is in it; an empty list: it is what it should be.

    Raises:
        KeyError: there is no referee for `version`.
    """
    library = _library(version)
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    of_kind = library.resource(kind) if isinstance(kind, str) else None
    if of_kind is None or not isinstance(kind, str):
        return [Fault("$", "it is not a resource of this version")]
    if library.glance.finds_right(resource, of_kind):
        return []
    entries = dict(_entry_types(resource)) if kind == "Bundle" else {}
    document = _Document(kind, library, entries, {} if resource.get("type") == "batch" else entries)
    root: Path = ((), kind)
    try:
        _walk_resource(document, root, resource, of_kind)
        if kind == "Bundle":
            _check_bundle(document, root, resource)
        faults = dict.fromkeys(Fault(_text(path), message) for path, message in document.faults)
        return [*faults, *_second_say(document, {fault.path for fault in faults})]
    except RecursionError:
        return [Fault(kind, "it is nested too deeply")]


def definition(kind: str, version: str) -> Shape | None:
    """What a version says about a kind of resource, elements in their order; None: it has no such kind.

    Raises:
        KeyError: there is no referee for `version`.
    """
    return _library(version).resource(kind)


def _second_say(document: _Document, known: set[str]) -> Iterator[Fault]:
    """What the models find where nothing is `known`: not at these paths, and not in what they lie in.

    Details are looked for only where there is a fault.
    """
    for path, kind, resource in document.resources:
        model = document.library.model(kind)
        of_kind = document.library.resource(kind)
        if model is None or of_kind is None:
            continue
        if not known and document.library.accepts(kind, resource):
            continue
        for steps, message in _model_faults(model, _apart(resource, of_kind)):
            where = path
            for step in steps:
                where = (where, step)
            text = _text(where)
            if not any((one + ".").startswith((text + ".", text + "[")) for one in known):
                known.add(text)
                yield Fault(text, message)


# What a version says --------------------------------------------------------------------------------


class _Library:
    """The shapes of one version."""

    def __init__(self, version: Version) -> None:
        self.version = version
        self._table = Table(version.table, version.types, self._type) if version.table else None
        self._shapes: dict[str, Shape | None] = {}
        self._of_models: dict[Any, Shape] = {}
        self.glance = Glance(self.resource, version.rules, self.accepts, early=version.early)

    def resource(self, kind: str) -> Shape | None:
        """The shape of a kind of resource, None when the version has none of that name."""
        if kind not in self._shapes:
            own = self._table.resource(kind) if self._table else None
            model = None if own else self.model(kind)
            self._shapes[kind] = self._of(model) if model else own
        return self._shapes[kind]

    def model(self, kind: str) -> Any:
        """The model of a kind of resource, None when the version's word is a table's, or there is none."""
        version = self.version
        if version.package is None or kind in version.absent or (self._table and self._table.resource(kind)):
            return None
        model = _class(version.package, kind)
        return model if model is not None and model.has_resource_base() else None

    def accepts(self, kind: str, resource: Any) -> bool:
        """Whether the models find nothing wrong with a resource that the walk finds right; where there is none: yes."""
        model, of = self.model(kind), self.resource(kind)
        return model is None or of is None or not any(_model_faults(model, alike.thin(resource, of)))

    def _type(self, name: str) -> Shape | None:
        model = _class(self.version.package, name) if self.version.package else None
        return None if model is None else self._of(model)

    def _of(self, model: Any) -> Shape:
        if model not in self._of_models:
            self._of_models[model] = self._make(model)
        return self._of_models[model]

    def _make(self, model: Any) -> Shape:
        order = {name.removesuffix("_fhir"): at for at, name in enumerate(model.elements_sequence())}
        fields = [
            (info.alias or name, info, info.json_schema_extra or {})
            for name, info in model.model_fields.items()
            if name not in ("fhir_comments", "resource_type")
        ]
        fields.sort(key=lambda one: order.get(one[0].removeprefix("_"), 0))
        elements = {name: self._element(model, name, info.annotation, extra) for name, info, extra in fields}
        if model.has_resource_base():
            elements["resourceType"] = Element(check=self.version.types["code"])
        required = [frozenset((n,)) for n, info, e in fields if info.is_required() or e.get("element_required")]
        choices = {e["one_of_many"] for _, _, e in fields if e.get("one_of_many_required")}
        of_choices = [frozenset(n for n, _, e in fields if e.get("one_of_many") == one) for one in sorted(choices)]
        return shape(model.__name__, elements, iter((*required, *of_choices)))

    def _element(self, model: Any, name: str, annotation: Any, extra: Mapping[str, Any]) -> Element:
        many, base, kind = _read(annotation)
        choice = extra.get("one_of_many") or ""
        if base.__name__ == f"{ANY_RESOURCE}Type":
            return Element(many)
        if hasattr(base, "get_model_klass"):  # which imports it: only what occurs is loaded
            targets = frozenset(extra.get("enum_reference_types") or ()) - {ANY_RESOURCE}
            inner = cache(lambda: self._of(base.get_model_klass()))
            return Element(many, None, inner, targets=targets, choice=choice)
        listed = _LISTS[self.version.package or ""].get(f"{model.__name__}.{name}")
        codes = frozenset(listed.split() if listed else extra.get("enum_values") or ())
        check = self.version.types[kind]
        if kind == "code" and codes and "+" not in codes:  # '+' marks a list that goes on
            check = primitives.one_of(codes)
        return Element(many, check, choice=choice)


@cache
def _library(version: str) -> _Library:
    return _Library(VERSIONS[version])


@cache
def _class(package: str, name: str) -> Any:
    """The model of a type or resource by its name, None when the package has none."""
    if not re.fullmatch(r"[A-Z][A-Za-z]*", name):
        return None
    try:
        module = importlib.import_module(f"{package}.{name.lower()}")
    except ModuleNotFoundError:
        return None
    model = getattr(module, name, None)
    return model if isinstance(model, type) and hasattr(model, "has_resource_base") else None


def _read(annotation: Any) -> tuple[bool, Any, str]:
    """(repeats, class, name of the primitive type) of a field's annotation."""
    many, base, kind = False, annotation, ""
    while (arguments := [a for a in get_args(base) if a is not type(None)]) and hasattr(base, "__args__"):
        if get_origin(base) is Annotated or hasattr(base, "__metadata__"):
            kind = next((k for m in base.__metadata__ if (k := getattr(m, "__visit_name__", ""))), kind)
            base = base.__origin__
            continue
        many = many or get_origin(base) is list
        base = arguments[0]
    return many, base, kind or ("boolean" if base is bool else getattr(base, "__visit_name__", "string"))


# The models' second say -------------------------------------------------------------------------------


def _model_faults(model: Any, resource: Any) -> Iterator[tuple[tuple[int | str, ...], str]]:
    from pydantic import ValidationError

    try:
        model.model_validate(resource)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            yield one["loc"], _RULES.get(one["type"], "the value does not fit its element")
    except RecursionError:
        raise
    except Exception:  # the models leak KeyError, TypeError and others on what is no FHIR at all
        yield (), "the models cannot read it"


def _apart(value: Any, of: Shape) -> Any:
    """A copy of an object without the resources inside it, which are heard by themselves."""
    if isinstance(value, list):
        return [_apart(one, of) for one in value]
    if not isinstance(value, dict):
        return value
    copy = {}
    for name, one in value.items():
        element = of.elements.get(name)
        if element is None or element.check is not None:
            copy[name] = one
        elif element.shape is not None:
            copy[name] = _apart(one, element.shape())
    return copy


# The walk -----------------------------------------------------------------------------------------


def _walk_resource(document: _Document, path: Path, resource: Any, of: Shape) -> None:
    """A resource that is not contained, with what it contains."""
    contained = resource.get("contained")
    for index, one in enumerate(contained if isinstance(contained, list) else ()):
        _admit_contained(document, ((path, "contained"), index), one)
    _walk_body(document, path, resource, of)
    if document.contained.keys() - document.used:
        document.faults.append(((path, "contained"), "a contained resource is not referred to (dom-3)"))


def _admit_contained(document: _Document, path: Path, resource: Any) -> None:
    if not isinstance(resource, dict) or not isinstance(resource.get("id"), str):
        document.faults.append((path, "a contained resource needs an id"))
        return
    early = document.library.version.early
    if resource["id"] in document.contained:
        document.faults.append((path, "the id is used twice"))
    document.contained[resource["id"]] = str(resource.get("resourceType"))
    if not early and _refers_to_its_container(resource):
        document.used.add(resource["id"])
    if "contained" in resource:
        document.faults.append(((path, "contained"), "contained resources do not nest (dom-2)"))
    if early and "text" in resource:
        document.faults.append(((path, "text"), "a contained resource has no narrative (dom-1)"))
    meta = resource.get("meta")
    for name in ("versionId", "lastUpdated", "security"):
        if isinstance(meta, dict) and name in meta:
            document.faults.append((((path, "meta"), name), "a contained resource has none (dom-4, dom-5)"))


def _refers_to_its_container(node: Any) -> bool:
    if isinstance(node, dict):
        return node.get("reference") == "#" or any(map(_refers_to_its_container, node.values()))
    return isinstance(node, list) and any(map(_refers_to_its_container, node))


def _walk_body(document: _Document, path: Path, resource: Any, of: Shape) -> None:
    """A resource, wherever it lies."""
    if of.by_name_only:
        document.faults.append((path, "the version has this kind of resource, the referee does not know it"))
        return
    document.resources.append((path, of.name, resource))
    _walk(document, path, resource, of)


def _walk(document: _Document, path: Path, body: Any, of: Shape) -> None:
    """One object."""
    elements, choices = of.elements, set[str]()
    for name, value in body.items():
        element = elements.get(name)
        if element is None:
            document.faults.append(((path, name), "there is no such element"))
            continue
        if element.choice:
            if element.choice in choices:
                document.faults.append(((path, name), "only one type of a choice may be there"))
            choices.add(element.choice)
        if element.many:
            _walk_list(document, (path, name), value, element, "_" + name in body or name.startswith("_"))
        elif element.check is None:
            _walk_value(document, (path, name), value, element)
        elif message := element.check(value):
            document.faults.append(((path, name), message))
    if not of.simply <= body.keys() or len(of.simply) < len(of.required):
        _find_missing(document, path, body, of)
    for rule in document.library.version.rules.get(of.name, ()):
        if message := rule(body):
            document.faults.append((path, message))


def _find_missing(document: _Document, path: Path, body: Any, of: Shape) -> None:
    for names in of.required:
        if not any(name in body or "_" + name in body for name in names):
            document.faults.append(((path, min(names)), "the element is required"))


def _walk_list(document: _Document, path: Path, values: Any, element: Element, gaps: bool) -> None:
    if not isinstance(values, list):
        document.faults.append((path, "the element repeats, so it is a list"))
        return
    if not values:
        document.faults.append((path, "an empty list"))
    for index, value in enumerate(values):
        if value is None and gaps:
            continue
        if element.check is None:
            _walk_value(document, (path, index), value, element)
        elif message := element.check(value):
            document.faults.append(((path, index), message))


def _walk_value(document: _Document, path: Path, value: Any, element: Element) -> None:
    """What is no primitive: an object, or a whole resource."""
    if not isinstance(value, dict):
        document.faults.append((path, "an object is asked for"))
    elif not value:
        document.faults.append((path, "an empty object"))
    elif element.shape is None:
        _walk_inner(document, path, value)
    elif (known := (id(value), id(element))) not in document.walked:
        document.walked.add(known)
        if element.codes and not element.lists(value):
            document.faults.append((path, primitives.NOT_LISTED))
        if "reference" in value:
            _check_reference(document, path, value["reference"], element.targets)
        if element.targets and "type" in value and not element.may_be(value["type"]):
            document.faults.append(((path, "type"), "the reference is to a wrong type of resource"))
        _walk(document, path, value, element.shape())


def _walk_inner(document: _Document, path: Path, resource: Any) -> None:
    """A resource inside another: contained, or in an entry of a Bundle, where it has its own contained ones."""
    of = document.library.resource(str(resource.get("resourceType")))
    if of is None:
        document.faults.append((path, "it is not a resource of this version"))
    elif document.kind == "Bundle":
        if document.library.glance.finds_right(resource, of, document.urls):
            return
        inner = _Document(of.name, document.library, document.entries, document.urls)
        _walk_resource(inner, path, resource, of)
        document.faults.extend(inner.faults)
        document.urns.extend(inner.urns)
        document.resources.extend(inner.resources)
    else:
        _walk_body(document, path, resource, of)


def _check_reference(document: _Document, path: Path, literal: Any, targets: frozenset[str]) -> None:
    """A literal reference; one of a CodeableReference is looked at again where it is a Reference."""
    if isinstance(literal, dict):
        _check_reference(document, (path, "reference"), literal.get("reference"), targets)
    if not isinstance(literal, str):
        return
    found: str | None
    if literal.startswith("#"):
        document.used.add(literal[1:])
        found = document.contained.get(literal[1:], document.kind if literal == "#" else None)
        if found is None:
            document.faults.append((path, "nothing that is contained has this id (ref-1)"))
    elif literal.startswith("urn:"):
        document.urns.append((path, literal))
        found = document.entries.get(literal)
    else:
        match = LITERAL.fullmatch(literal)
        found = match[1] if match else None
        if found is not None and document.library.resource(found) is None:
            document.faults.append((path, "there is no such kind of resource"))
    if found and targets and found not in targets:
        document.faults.append((path, "the reference is to a wrong type of resource"))


# Bundles ------------------------------------------------------------------------------------------


_ASKING = frozenset(("transaction", "batch", "history"))
_ANSWERING = frozenset(("transaction-response", "batch-response", "history"))


def _entry_types(bundle: Any) -> Iterator[tuple[str, str]]:
    entries = bundle.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield str(entry.get("fullUrl")), str(entry["resource"].get("resourceType"))


def _check_bundle(document: _Document, root: Path, bundle: Any) -> None:
    kind, entries = bundle.get("type"), bundle.get("entry")
    if "total" in bundle and kind not in ("searchset", "history"):
        document.faults.append(((root, "total"), "a total belongs to searches and histories (bdl-1)"))
    seen: set[str] = set()
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict):
            continue
        path = ((root, "entry"), index)
        document.faults.extend((path, message) for message in _entry_faults(document, kind, entry))
        asked = document.library.version.request
        document.faults.extend(((path, asked), message) for message in _request_faults(entry.get(asked), entry))
        url = entry.get("fullUrl")
        if isinstance(url, str) and url in seen:
            document.faults.append(((path, "fullUrl"), "the fullUrl is used twice (bdl-7)"))
        if isinstance(url, str) and "/_history/" in url:
            document.faults.append(((path, "fullUrl"), "a fullUrl names no version (bdl-8)"))
        seen.add(str(url))
    for path, literal in document.urns:
        if kind == "batch":
            document.faults.append((path, "a batch resolves no urn"))
        elif literal not in document.entries:
            document.faults.append((path, "no entry has this fullUrl"))


def _entry_faults(document: _Document, kind: Any, entry: Any) -> Iterator[str]:
    asks, answers = document.library.version.request, document.library.version.response
    if (asks in entry) != (kind in _ASKING):
        yield "a request belongs to transactions and batches, and only there (bdl-3)"
    if answers in entry and kind not in _ANSWERING:
        yield "a response belongs to answers (bdl-4)"
    if "search" in entry and kind != "searchset":
        yield "a search belongs to its results (bdl-2)"
    if "resource" not in entry and asks not in entry and answers not in entry:
        yield "an entry without a resource, a request or a response (bdl-5)"


def _request_faults(request: Any, entry: Any) -> Iterator[str]:
    """What is written has a body, and its address names the body's kind and id."""
    if not isinstance(request, dict) or request.get("method") not in ("POST", "PUT"):
        return
    resource = entry.get("resource")
    if not isinstance(resource, dict):
        yield "what is written needs a resource"
        return
    kind, _, own = str(request.get("url")).partition("?")[0].partition("/")
    if kind != resource.get("resourceType") or (own and own != resource.get("id")):
        yield "the request is for another resource than that of its entry"
    if "ifNoneExist" in request and request["method"] != "POST":
        yield "ifNoneExist belongs to POST"


def _text(path: Path) -> str:
    steps: list[str] = []
    while path:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return "".join(reversed(steps)).removeprefix(".")
