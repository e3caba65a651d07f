"""From FHIR that lies in files to parcels: a Bundle as it is, several studies in one apart, bare resources together."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from dicom2fhir.fhir.stored import address, references
from dicom2fhir.server.parcels import OURS, STUDY, Json, Parcel, entries, kind, parcel

ORDER = (
    "Organization", "Location", "Practitioner", "PractitionerRole", "Patient", "Device", "Group", "Endpoint",
    "BodyStructure", "BodySite", "Specimen", "EpisodeOfCare", "Encounter", "ServiceRequest", "DiagnosticOrder",
    "ProcedureRequest", "Procedure", STUDY, *sorted(OURS - {STUDY, "Endpoint"}),
)  # fmt: skip
"""Types of resources, those that others refer to first."""
_URL = re.compile(r"[A-Z][A-Za-z]{1,63}(/(?!\.\.?$)[A-Za-z0-9.-]{1,64}|\?[!-\"$-~]+)?")
"""Where an entry may be written: a type, a resource, or what a search finds. Anything else could lead elsewhere."""
_TOGETHER = 50
"""Bare resources that make up one Bundle, at most."""


class NoFhir(ValueError):
    """It is neither a Bundle that can be sent nor a resource with an id; the message says what it lacks."""


def parcels(bundle: Json) -> Iterator[Parcel]:
    """The parcels of a transaction or batch Bundle: one for each study, one for what belongs to none.

    Raises NoFhir where it is no such Bundle.
    """
    check_bundle(bundle)
    if sum(kind(entry) == STUDY for entry in entries(bundle)) < 2:
        yield parcel(bundle)
        return
    for group in _by_study(entries(bundle)):
        yield parcel({"resourceType": "Bundle", "type": bundle["type"], "entry": group})


def check_bundle(bundle: Json) -> None:
    """Raises NoFhir for what cannot be sent as it is."""
    if bundle.get("type") not in ("transaction", "batch"):
        raise NoFhir("a Bundle that is neither transaction nor batch")
    if not entries(bundle) or not all(map(_is_entry, entries(bundle))):
        raise NoFhir("a Bundle with an entry that has no fullUrl, no resource or no PUT or POST")


def _is_entry(entry: Any) -> bool:
    if not isinstance(entry, dict):
        return False
    resource, request = entry.get("resource"), entry.get("request")
    if not isinstance(resource, dict) or not isinstance(request, dict):
        return False
    texts = (resource.get("resourceType"), request.get("url"), entry.get("fullUrl"))
    if request.get("method") not in ("PUT", "POST") or not all(isinstance(text, str) for text in texts):
        return False
    return _URL.fullmatch(request["url"]) is not None


def _by_study(listed: list[Json]) -> Iterator[list[Json]]:
    """Each study with what it refers to and what refers to it, in the order of the Bundle; then what is left."""
    urls = {entry["fullUrl"]: entry for entry in listed}
    rest = dict.fromkeys(urls)
    for study in (entry for entry in listed if kind(entry) == STUDY):
        own = [entry for entry in listed if entry is not study and study["fullUrl"] in references(entry["resource"])]
        wanted = _reachable([study, *own], urls)
        yield [entry for entry in listed if entry["fullUrl"] in wanted]
        rest = {url: None for url in rest if url not in wanted}
    if rest:
        yield [urls[url] for url in rest]


def _reachable(start: list[Json], urls: dict[str, Json]) -> set[str]:
    found: set[str] = set()
    waiting = [entry["fullUrl"] for entry in start]
    while waiting:
        url = waiting.pop()
        if url in urls and url not in found:
            found.add(url)
            waiting += references(urls[url]["resource"])
    return found


class Sorting:
    """Makes parcels of what lies in one file. Bare resources with ids go together, up to a study at a time."""

    def __init__(self) -> None:
        self._group: list[Json] = []

    def feed(self, value: Any) -> Iterator[Parcel]:
        """The parcels that are complete with one more JSON value. Raises NoFhir."""
        if not isinstance(value, dict):
            raise NoFhir("no JSON object")
        if value.get("resourceType") != "Bundle":
            yield from self._add(value)
        elif value.get("type") == "collection":
            for entry in entries(value):
                yield from self._add(entry.get("resource") if isinstance(entry, dict) else None)
        else:
            yield from self.end()
            yield from parcels(value)

    def _add(self, resource: Any) -> Iterator[Parcel]:
        self._group.append(_put(resource))
        if kind(self._group[-1]) == STUDY or len(self._group) == _TOGETHER:
            yield from self.end()

    def end(self) -> Iterator[Parcel]:
        """The parcel of what is left."""
        if self._group:
            group, self._group = self._group, []
            yield parcel({"resourceType": "Bundle", "type": "transaction", "entry": group})


def _put(resource: Any) -> Json:
    """The entry that puts a bare resource under its id. Raises NoFhir."""
    if not isinstance(resource, dict) or not resource.get("id"):
        raise NoFhir("a resource without an id")
    where = address(f"{resource.get('resourceType')}/{resource['id']}")
    if where is None or not isinstance(resource.get("resourceType"), str):
        raise NoFhir("a resource without a type, or with an id that is none")
    return {
        "fullUrl": f"urn:uuid:{uuid5(NAMESPACE_URL, where)}",
        "resource": resource,
        "request": {"method": "PUT", "url": where},
    }
