"""The referee: whether a resource or a Bundle is what its FHIR version says.

Two passes. The models of fhir.resources (R4 through R4B's: every element that is written here has the
same type and cardinality in both, as HL7's StructureDefinitions say) know elements and types. A walk of our
own, guided by the same models, sees what they let pass: empty and null values, a text where a number
belongs, unknown codes of required lists, references to the wrong type or to nothing, contained resources that
nobody refers to (dom-2 to dom-5), Bundles without requests.

A fault names a path and a rule, never a value.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, get_args, get_origin

PACKAGES: Mapping[str, str] = {"r4": "fhir.resources.R4B"}
"""The package of models for each version."""

_NOT_TEXT = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f]")
_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")
_CODE = re.compile(r"\S+(\s\S+)*")
_DICOM_UID = re.compile(r"urn:oid:[0-9]+(\.[0-9]+)*")
_LITERAL = re.compile(r"(?:.*/)?([A-Z][A-Za-z]+)/[A-Za-z0-9\-.]{1,64}(?:/_history/[A-Za-z0-9\-.]{1,64})?")

_RULES: Mapping[str, str] = {
    "extra_forbidden": "there is no such element",
    "missing": "the element is required",
    "model_field_validation.missing": "the element is required",
    "string_pattern_mismatch": "the text does not have the form of its type",
    "greater_than_equal": "the number is out of range",
    "less_than_equal": "the number is out of range",
}

Path = tuple[Any, ...]  # (parent path, name or index); made into text only for a fault


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong (a rule, no value), and where (`ImagingStudy.series[0].uid`)."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class _Element:
    """What a version says about one element."""

    many: bool
    model: type | None
    primitive: type | tuple[type, ...]
    pattern: re.Pattern[str] | None
    codes: frozenset[str]
    targets: frozenset[str]
    any_resource: bool


@dataclass(slots=True)
class _Document:
    """One resource that is not contained, while it is walked."""

    kind: str
    model_of: Callable[[str], type[Any] | None]
    entries: Mapping[str, str]
    contained: dict[str, str] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    urns: list[tuple[Path, str]] = field(default_factory=list)
    faults: list[tuple[Path, str]] = field(default_factory=list)


def check(resource: Any, version: str) -> list[Fault]:
    """All faults of one resource, or of one Bundle and what is in it; an empty list: it is what it should be.

    Raises:
        KeyError: there is no referee for `version`.
    """
    package = PACKAGES[version]
    kind = resource.get("resourceType") if isinstance(resource, dict) else None
    model = _model(package, kind) if isinstance(kind, str) else None
    if model is None or not isinstance(kind, str):
        return [Fault("$", "it is not a resource of this version")]
    try:
        faults = _own_faults(package, kind, resource, model)
    except RecursionError:
        return [Fault(kind, "it is nested too deeply")]
    known = {fault.path for fault in faults}
    return faults + [fault for fault in _model_faults(model, kind, resource) if fault.path not in known]


def _own_faults(package: str, kind: str, resource: Any, model: Any) -> list[Fault]:
    entries = dict(_entry_types(resource)) if kind == "Bundle" else {}
    document = _Document(kind, lambda name: _model(package, name), entries)
    root: Path = ((), kind)
    _walk_resource(document, root, resource, model)
    if kind == "Bundle":
        _check_bundle(document, root, resource)
    return [Fault(_text(path), message) for path, message in document.faults]


# The models ---------------------------------------------------------------------------------------


@cache
def _model(package: str, name: str) -> type | None:
    """The model of a resource type, None when the version has none of that name."""
    if not re.fullmatch(r"[A-Z][A-Za-z]*", name):
        return None
    try:
        module = importlib.import_module(f"{package}.{name.lower()}")
    except ModuleNotFoundError:
        return None
    model = getattr(module, name, None)
    return model if isinstance(model, type) and getattr(model, "has_resource_base", bool)() else None


def _model_faults(model: Any, kind: str, resource: Any) -> Iterator[Fault]:
    from pydantic import ValidationError

    try:
        model.model_validate(resource)
    except ValidationError as error:
        for one in error.errors(include_url=False, include_context=False, include_input=False):
            yield Fault(_location(kind, one["loc"]), _RULES.get(one["type"], "the value does not fit its element"))
    except Exception:  # the models leak KeyError, TypeError and others on what is no FHIR at all
        yield Fault(kind, "the models cannot read it")


def _location(kind: str, steps: tuple[int | str, ...]) -> str:
    path: Path = ((), kind)
    for step in steps:
        path = (path, step)
    return _text(path)


@cache
def _shape(model: Any) -> dict[str, _Element]:
    """JSON name -> element, read from a model's fields."""
    shape = {}
    for name, info in model.model_fields.items():
        if name not in ("fhir_comments", "resource_type"):
            shape[info.alias or name] = _element(info.annotation, info.json_schema_extra or {})
    return shape


def _element(annotation: Any, extra: Mapping[str, Any]) -> _Element:
    many, base, kind = False, annotation, ""
    while (arguments := [a for a in get_args(base) if a is not type(None)]) and hasattr(base, "__args__"):
        if get_origin(base) is Annotated or hasattr(base, "__metadata__"):
            base, kind = base.__origin__, type(base.__metadata__[0]).__name__
            continue
        many = many or get_origin(base) is list
        base = arguments[0]
    model = base.get_model_klass() if hasattr(base, "get_model_klass") else None
    codes = frozenset(extra.get("enum_values") or ())
    return _Element(
        many=many,
        model=model,
        primitive=_json_type(base),
        pattern={"Id": _ID, "Code": _CODE}.get(kind),
        codes=frozenset() if "+" in codes else codes,  # '+' marks a list that goes on
        targets=frozenset(extra.get("enum_reference_types") or ()) - {"Resource"},
        any_resource=getattr(model, "__name__", "") == "Resource",
    )


def _json_type(base: Any) -> type | tuple[type, ...]:
    if base in (bool, int):
        return base  # type: ignore[no-any-return]
    return (int, float) if getattr(base, "__name__", "") == "Decimal" else str


# The walk -----------------------------------------------------------------------------------------


def _walk_resource(document: _Document, path: Path, resource: Any, model: Any) -> None:
    """A resource that is not contained, with what it contains."""
    contained = resource.get("contained")
    for index, one in enumerate(contained if isinstance(contained, list) else ()):
        _admit_contained(document, ((path, "contained"), index), one)
    _walk(document, path, resource, model)
    if document.contained.keys() - document.used:
        document.faults.append(((path, "contained"), "a contained resource is not referred to (dom-3)"))


def _admit_contained(document: _Document, path: Path, resource: Any) -> None:
    if not isinstance(resource, dict) or not isinstance(resource.get("id"), str):
        document.faults.append((path, "a contained resource needs an id"))
        return
    if resource["id"] in document.contained:
        document.faults.append((path, "the id is used twice"))
    document.contained[resource["id"]] = str(resource.get("resourceType"))
    if _refers_to_its_container(resource):
        document.used.add(resource["id"])
    if "contained" in resource:
        document.faults.append(((path, "contained"), "contained resources do not nest (dom-2)"))
    meta = resource.get("meta")
    for name in ("versionId", "lastUpdated", "security"):
        if isinstance(meta, dict) and name in meta:
            document.faults.append((((path, "meta"), name), "a contained resource has none (dom-4, dom-5)"))


def _refers_to_its_container(node: Any) -> bool:
    if isinstance(node, dict):
        return node.get("reference") == "#" or any(map(_refers_to_its_container, node.values()))
    return isinstance(node, list) and any(map(_refers_to_its_container, node))


def _walk(document: _Document, path: Path, body: Any, model: Any) -> None:
    """One object; elements that the version does not have are the models' to find."""
    shape = _shape(model)
    for name, value in body.items():
        element = shape.get(name)
        if element is None:
            continue
        if element.many:
            _walk_list(document, (path, name), value, element, "_" + name in body or name.startswith("_"))
        else:
            _walk_value(document, (path, name), value, element)
    rule = _CONSTRAINTS.get(model.__name__)
    if rule is not None and (message := rule(body)):
        document.faults.append((path, message))


def _walk_list(document: _Document, path: Path, values: Any, element: _Element, gaps: bool) -> None:
    if not isinstance(values, list):
        document.faults.append((path, "the element repeats, so it is a list"))
        return
    if not values:
        document.faults.append((path, "an empty list"))
    for index, value in enumerate(values):
        if value is not None or not gaps:
            _walk_value(document, (path, index), value, element)


def _walk_value(document: _Document, path: Path, value: Any, element: _Element) -> None:
    if element.model is None:
        message = _primitive_fault(value, element)
        if message:
            document.faults.append((path, message))
    elif not isinstance(value, dict):
        document.faults.append((path, "an object is asked for"))
    elif not value:
        document.faults.append((path, "an empty object"))
    elif element.any_resource:
        _walk_inner(document, path, value)
    else:
        if "reference" in value:
            _check_reference(document, path, value, element.targets)
        _walk(document, path, value, element.model)


def _walk_inner(document: _Document, path: Path, resource: Any) -> None:
    """A resource inside another: contained, or in an entry of a Bundle, where it has its own contained ones."""
    model = document.model_of(str(resource.get("resourceType")))
    if model is None:
        document.faults.append((path, "it is not a resource of this version"))
    elif document.kind == "Bundle":
        inner = _Document(str(resource["resourceType"]), document.model_of, document.entries)
        _walk_resource(inner, path, resource, model)
        document.faults.extend(inner.faults)
        document.urns.extend(inner.urns)
    else:
        _walk(document, path, resource, model)


def _primitive_fault(value: Any, element: _Element) -> str | None:
    if not isinstance(value, element.primitive) or isinstance(value, bool) != (element.primitive is bool):
        return "the value is not of the JSON type of its element"
    if not isinstance(value, str):
        return None
    if not value or value.isspace():
        return "an empty text"
    if _NOT_TEXT.search(value):
        return "the text holds control characters"
    if element.pattern is not None and not element.pattern.fullmatch(value):
        return "the text does not have the form of its type"
    if element.codes and value not in element.codes:
        return "the code is not in the required list"
    return None


def _check_reference(document: _Document, path: Path, value: Any, targets: frozenset[str]) -> None:
    literal = value["reference"]
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
        match = _LITERAL.fullmatch(literal)
        found = match[1] if match else None
    if found and targets and found not in targets:
        document.faults.append((path, "the reference is to a wrong type of resource"))


# Invariants and Bundles ---------------------------------------------------------------------------


def _check_identifier(body: Any) -> str | None:
    value = body.get("value")
    if body.get("system") == "urn:dicom:uid" and isinstance(value, str) and not _DICOM_UID.fullmatch(value):
        return "a UID under urn:dicom:uid is written as urn:oid:"
    return None


def _check_extension(body: Any) -> str | None:
    values = sum(name.startswith(("value", "_value")) for name in body)
    return None if bool(values) != ("extension" in body) else "an extension has either a value or extensions (ext-1)"


def _check_organization(body: Any) -> str | None:
    return None if "name" in body or "identifier" in body else "a name or an identifier is needed (org-1)"


def _check_contact(body: Any) -> str | None:
    known = {"name", "telecom", "address", "organization"} & body.keys()
    return None if known else "a contact needs details or an organization (pat-1)"


_CONSTRAINTS: Mapping[str, Callable[[Any], str | None]] = {
    "Identifier": _check_identifier,
    "Extension": _check_extension,
    "Organization": _check_organization,
    "PatientContact": _check_contact,
}


def _entry_types(bundle: Any) -> Iterator[tuple[str, str]]:
    entries = bundle.get("entry")
    for entry in entries if isinstance(entries, list) else ():
        if isinstance(entry, dict) and isinstance(entry.get("resource"), dict):
            yield str(entry.get("fullUrl")), str(entry["resource"].get("resourceType"))


def _check_bundle(document: _Document, root: Path, bundle: Any) -> None:
    kind, entries = bundle.get("type"), bundle.get("entry")
    seen: set[str] = set()
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        if not isinstance(entry, dict):
            continue
        path = ((root, "entry"), index)
        if ("request" in entry) != (kind in ("transaction", "batch", "history")):
            document.faults.append((path, "a request belongs to transactions and batches, and only there (bdl-3)"))
        url = entry.get("fullUrl")
        if isinstance(url, str) and url in seen:
            document.faults.append(((path, "fullUrl"), "the fullUrl is used twice (bdl-7)"))
        seen.add(str(url))
    for path, literal in document.urns:
        if kind == "batch":
            document.faults.append((path, "a batch resolves no urn"))
        elif literal not in document.entries:
            document.faults.append((path, "no entry has this fullUrl"))


def _text(path: Path) -> str:
    steps: list[str] = []
    while path:
        path, step = path
        steps.append(f"[{step}]" if isinstance(step, int) else f".{step}")
    return "".join(reversed(steps)).removeprefix(".")
