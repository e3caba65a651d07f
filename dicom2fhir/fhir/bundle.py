"""Resources -> the entries of transaction, batch and collection Bundles (hl7.org/fhir/R4/http#transaction)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from dicom2fhir.fhir.elements import Json
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.problems import Problem


@dataclass(frozen=True, slots=True)
class Entry:
    """One resource and how it is found again.

    `id` and `full_url` are known even where the body leaves the id out. `condition` is the search that
    finds the resource (percent-encoded, without its type). `ours` are the study, its endpoints and key
    objects: they may be written over; all others are only ever created where nothing is found.
    """

    resource: Json
    id: str
    full_url: str
    ours: bool
    condition: str | None

    @property
    def type(self) -> str:
        """The resource's type."""
        return str(self.resource["resourceType"])


@dataclass(frozen=True, slots=True)
class Emission:
    """What one study became: companions before those that refer to them, the ImagingStudy, its key objects.

    `id` is the ImagingStudy's. `wrap` makes an entry of a Bundle in the version's own form.
    """

    study_uid: str
    id: str
    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]
    series_count: int
    instance_count: int
    wrap: Callable[[Entry, Policy], Json]

    @property
    def resources(self) -> tuple[Json, ...]:
        """The resources alone, for formats without Bundles."""
        return tuple(entry.resource for entry in self.entries)


def shell(policy: Policy) -> Json:
    """A Bundle without its entries, which come last."""
    return {"resourceType": "Bundle", "type": policy.bundle_type}


def bundle(emission: Emission, policy: Policy) -> Json:
    """The Bundle of one study."""
    return {**shell(policy), "entry": [emission.wrap(entry, policy) for entry in emission.entries]}


def entry(entry: Entry, policy: Policy) -> Json:
    """One entry of a Bundle: fullUrl, resource and, but for collections, request."""
    wrapped: Json = {"fullUrl": entry.full_url, "resource": entry.resource}
    if policy.bundle_type != "collection":
        wrapped["request"] = request(entry, policy)
    return wrapped


def request(entry: Entry, policy: Policy) -> Json:
    """The request that writes an entry: as the policy says for ours, always a conditional create for the others."""
    if entry.ours and policy.write == "put":
        return {"method": "PUT", "url": f"{entry.type}/{entry.id}"}
    if entry.ours and policy.write == "create":
        return {"method": "POST", "url": entry.type}
    if entry.condition is None:
        raise ValueError(f"a {entry.type} without a search that finds it cannot be written conditionally")
    if entry.ours and policy.write == "conditional-update":
        return {"method": "PUT", "url": f"{entry.type}?{entry.condition}"}
    return {"method": "POST", "url": entry.type, "ifNoneExist": entry.condition}
