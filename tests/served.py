"""What a FHIR server makes of a Bundle, as HAPI does: addresses, versions, another order, other local ids.

It stands in for a server where only what becomes of the resources matters; it knows nothing of the code under test.
"""

from __future__ import annotations

import json
from typing import Any

from dicom2fhir.fhir.identity import identifier_query, search_value

Json = dict[str, Any]


def serve(bundle: Json, held: dict[str, Json] | None = None) -> dict[str, Json]:
    """All resources by `Type/id` after a Bundle upon what is `held`; nothing is written over but by PUT."""
    held = dict(held or {})
    places: dict[str, str] = {}
    for number, entry in enumerate(bundle["entry"], start=len(held)):
        places[entry["fullUrl"]] = next(
            iter(found(entry, held)), f"{entry['resource']['resourceType']}/{1000 + number}"
        )
    for entry in bundle["entry"]:
        place = places[entry["fullUrl"]]
        if entry["request"]["method"] == "PUT" or place not in held:
            version = int(held[place]["meta"]["versionId"]) + 1 if place in held else 1
            held[place] = as_stored(entry["resource"], place, places, version)
    return held


def study_of(held: dict[str, Json]) -> Json:
    """The one ImagingStudy of what a server holds."""
    (study,) = (resource for resource in held.values() if resource["resourceType"] == "ImagingStudy")
    return study


def as_stored(resource: Json, place: str, places: dict[str, str], version: int = 1) -> Json:
    """One resource as it is read: every `urn:uuid:` that was given a place is that place."""
    text = json.dumps(resource)
    for url, found in places.items():
        text = text.replace(f'"reference": "{url}"', f'"reference": "{found}"')
    for number, inner in enumerate(reversed(resource.get("contained", ()))):
        text = text.replace(f'"reference": "#{inner["id"]}"', f'"reference": "#v{version}-{number}"')
        text = text.replace(f'"id": "{inner["id"]}"', f'"id": "v{version}-{number}"')
    body: Json = json.loads(text, object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    given = {"versionId": str(version), "lastUpdated": "2026-01-01T00:00:00.000+00:00", "source": "#Xq3"}
    return body | {"id": place.partition("/")[2], "meta": body.get("meta", {}) | given}


def found(entry: Json, held: dict[str, Json]) -> list[str]:
    """Where the resources are that the condition of an entry finds, or where it is put."""
    request = entry["request"]
    kind, _, query = request["url"].partition("?")
    query = query or request.get("ifNoneExist", "")
    if request["method"] == "PUT" and not query:
        return [str(request["url"])]
    return [place for place, one in held.items() if one.get("resourceType") == kind and query in _queries(one)]


def _queries(resource: Json) -> set[str]:
    """The searches that find a resource."""
    listed = resource.get("identifier", [])
    numbers = [one for one in (listed if isinstance(listed, list) else [listed]) if one.keys() >= {"system", "value"}]
    study = {f"study={search_value(resource['uid'])}"} if "uid" in resource else set()
    return {identifier_query(one["system"], one["value"]) for one in numbers} | study
