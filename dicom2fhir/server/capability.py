"""What a server says it can, and what it lacks for what the options ask: hl7.org/fhir/R4/capabilitystatement.

DSTU2 calls the resource Conformance; the names within are the same. A server must list the resources and
interactions that it supports (hl7.org/fhir/R4/http#capabilities), so a list that is there and lacks something says
no. All else that is not mentioned is unknown, and nobody is refused for it: HAPI mentions neither batches nor
whether clients may choose ids.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from dicom2fhir.errors import ServerMisconfigured

Support = bool | None
"""Whether a server can do something; None: it does not say."""

_KINDS = ("CapabilityStatement", "Conformance")
_RELEASE = re.compile(r"(\d{1,3}\.\d{1,3})(\.\d{1,3}(-[A-Za-z0-9.-]{1,30})?)?", re.ASCII)
_MODES: Mapping[str, tuple[Support, Support]] = {
    "not-supported": (False, False),
    "batch": (False, True),
    "transaction": (True, None),
    "both": (True, True),
}
"""DSTU2's `rest.transactionMode` as (transaction, batch): hl7.org/fhir/DSTU2/valueset-transaction-mode."""
_SHOWN = ("create", "read", "update", "search-type", "delete")


@dataclass(frozen=True, slots=True)
class TypeSupport:
    """What can be done with one type of resource. `update_create`: whether clients may choose ids."""

    interactions: frozenset[str] | None = None
    conditional_create: Support = None
    conditional_update: Support = None
    update_create: Support = None
    searches: frozenset[str] | None = None
    versioning: str | None = None

    def does(self, interaction: str) -> Support:
        """Whether an interaction is supported: create, read, update, search-type, delete ..."""
        return None if self.interactions is None else interaction in self.interactions

    @property
    def if_match(self) -> Support:
        """Whether an update can be made to depend on the version that was read."""
        return {"no-version": False, "versioned-update": True}.get(self.versioning or "")


_UNKNOWN = TypeSupport()


@dataclass(frozen=True, slots=True)
class Capabilities:
    """A server's `/metadata`, as far as it matters here. `types` is None where it lists none."""

    fhir_version: str | None = None
    software: str | None = None
    json: Support = None
    transaction: Support = None
    batch: Support = None
    types: Mapping[str, TypeSupport] | None = field(default=None, repr=False)

    def lists(self, type_name: str) -> Support:
        """Whether the server has a type of resource."""
        return None if self.types is None else type_name in self.types

    def of(self, type_name: str) -> TypeSupport:
        """What can be done with a type of resource."""
        return (self.types or {}).get(type_name, _UNKNOWN)


def read(document: Any) -> Capabilities:
    """The capabilities in the JSON of `/metadata`. Lenient: what has not the expected shape is not mentioned.

    Raises:
        ServerMisconfigured: it is no CapabilityStatement and no Conformance.
    """
    body = _object(document)
    if body.get("resourceType") not in _KINDS:
        raise ServerMisconfigured("The server's /metadata is no CapabilityStatement: --server is a FHIR base address.")
    rest = next((each for each in _objects(body.get("rest")) if each.get("mode", "server") == "server"), {})
    transaction, batch = _bundles(rest)
    version = body.get("fhirVersion")
    return Capabilities(
        fhir_version=version if isinstance(version, str) and _RELEASE.fullmatch(version) else None,
        software=_software(_object(body.get("software"))),
        json=_json(body.get("format")),
        transaction=transaction,
        batch=batch,
        types={each["type"]: _type(each) for each in _objects(rest.get("resource")) if _is_text(each.get("type"))}
        or None,
    )


def _bundles(rest: Mapping[str, Any]) -> tuple[Support, Support]:
    """(transaction, batch). A server that lists one of them and not batch may still take batches, as HAPI does."""
    mode = rest.get("transactionMode")
    if isinstance(mode, str) and mode in _MODES:
        return _MODES[mode]
    codes = _codes(rest.get("interaction"), "code")
    if codes is None:
        return None, None
    return "transaction" in codes, True if "batch" in codes else None if "transaction" in codes else False


def _type(resource: Mapping[str, Any]) -> TypeSupport:
    versioning = resource.get("versioning")
    return TypeSupport(
        interactions=_codes(resource.get("interaction"), "code"),
        conditional_create=_flag(resource.get("conditionalCreate")),
        conditional_update=_flag(resource.get("conditionalUpdate")),
        update_create=_flag(resource.get("updateCreate")),
        searches=_codes(resource.get("searchParam"), "name"),
        versioning=versioning if isinstance(versioning, str) else None,
    )


def _json(formats: Any) -> Support:
    """Whether JSON is among the formats: a media type of any time, or a bare `json`."""
    listed = [each.lower() for each in formats if isinstance(each, str)] if isinstance(formats, list) else []
    return any("json" in each and "ndjson" not in each for each in listed) if listed else None


def _software(software: Mapping[str, Any]) -> str | None:
    """Name and version, without what a terminal could take for a command."""
    named = " ".join(each for each in (software.get("name"), software.get("version")) if isinstance(each, str))
    return "".join(each for each in named if each.isprintable())[:80].strip() or None


def _codes(items: Any, name: str) -> frozenset[str] | None:
    return frozenset(each[name] for each in _objects(items) if _is_text(each.get(name))) or None


def _objects(items: Any) -> Iterator[Mapping[str, Any]]:
    return (each for each in items if isinstance(each, dict)) if isinstance(items, list) else iter(())


def _object(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _flag(value: Any) -> Support:
    return value if isinstance(value, bool) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def same_release(one: str | None, other: str) -> Support:
    """Whether two FHIR versions agree in major and minor; None where the first is not known."""
    found, wanted = _RELEASE.match(one or ""), _RELEASE.match(other)
    return None if found is None or wanted is None else found[1] == wanted[1]


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that a server can or cannot, for people. `detail` is a version or a name."""

    what: str
    support: Support
    detail: str = ""

    @property
    def answer(self) -> str:
        """yes, no or unknown."""
        return "unknown" if self.support is None else "yes" if self.support else "no"


def describe(can: Capabilities, types: Iterable[str]) -> list[Row]:
    """What a server can, in general and for some types of resource."""
    rows = [
        Row("FHIR version", True if can.fhir_version else None, can.fhir_version or ""),
        Row("software", True if can.software else None, can.software or ""),
        Row("JSON", can.json),
        Row("transaction", can.transaction),
        Row("batch", can.batch),
    ]
    return [*rows, *(row for each in types for row in _describe_type(can, each))]


def _describe_type(can: Capabilities, name: str) -> list[Row]:
    listed, known = can.lists(name), can.of(name)
    if listed is False:
        return [Row(name, False)]
    return [
        Row(name, listed),
        *(Row(f"{name}: {each}", known.does(each)) for each in _SHOWN),
        Row(f"{name}: conditional create", known.conditional_create),
        Row(f"{name}: conditional update", known.conditional_update),
        Row(f"{name}: ids chosen by the client", known.update_create),
        Row(f"{name}: If-Match", known.if_match),
    ]
