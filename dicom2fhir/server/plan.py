"""What is to be written of a Bundle, given what the server holds: a stored study never shrinks by accident."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from dicom2fhir.fhir import merge, stored
from dicom2fhir.problems import Code
from dicom2fhir.server.manner import Manner
from dicom2fhir.server.parcels import (
    OURS,
    STUDY,
    Json,
    entries,
    kind,
    only_creates,
    search,
    study_entry,
    study_uid,
    target,
)
from dicom2fhir.server.refusal import Refused
from dicom2fhir.server.stored import Shelf

Fate = Literal["created", "changed", "unchanged", "skipped"]
_SHARED = frozenset(("Endpoint",))
"""Ours, and the same for many studies: looked at once a run."""
_KEPT = 1024


@dataclass(frozen=True, slots=True)
class Plan:
    """The entries that are to be sent, none where nothing changes, and what the study becomes by it.

    `version` is the ETag of the stored study that they are made for.
    """

    entries: tuple[Json, ...]
    fate: Fate
    version: str | None = None


class Planner:
    """Plans Bundles one at a time; remembers what of ours is in place already."""

    def __init__(self, shelf: Shelf, manner: Manner) -> None:
        self._shelf, self._manner = shelf, manner
        self._in_place: OrderedDict[str, tuple[Json, str]] = OrderedDict()

    def query(self, bundle: Json) -> tuple[str, str] | None:
        """(search, Study Instance UID) that finds the stored study; None for a Bundle without a study."""
        entry = study_entry(bundle)
        if entry is None:
            return None
        kept, _, condition = (target(entry) or "").partition("?")
        if condition:
            found: str | None = condition
        else:
            found = f"_id={kept.partition('/')[2]}" if kept else search(entry["resource"])
        return (found, study_uid(entry["resource"])) if found else None

    async def plan(self, bundle: Json, found: Sequence[str]) -> Plan:
        """The plan for a Bundle whose study the server holds under the ids `found`. Raises Refused."""
        entry = study_entry(bundle)
        if len(found) > 1:
            raise Refused(Code.AMBIGUOUS_MATCH, "several stored studies have this Study Instance UID")
        held = await self._shelf.read(f"{STUDY}/{found[0]}") if found else None
        if entry is None or held is None:
            return await self._new(bundle)
        if self._manner.on_existing == "skip" or only_creates(entry):
            return Plan((), "skipped")
        return await self._over(bundle, entry, *held)

    async def _new(self, bundle: Json) -> Plan:
        """All entries but those that are in place; of a study that is new only what many share may be."""
        looked_at = _SHARED if study_entry(bundle) else OURS
        missing = await self._missing(entries(bundle), looked_at, bundle)
        return Plan(missing, "created" if missing else "unchanged")

    async def _over(self, bundle: Json, entry: Json, held: Json, etag: str | None) -> Plan:
        """The plan for a study that is stored: what it becomes, if it changes at all."""
        known = await self._shelf.read_known(self._relevant(held, bundle))
        ours = stored.resolve(entry["resource"], bundle, known)
        if not stored.same_patient(held, ours, known, bundle):
            raise Refused(Code.PATIENT_CONFLICT, "the stored study is another patient's")
        new = self._next(held, ours)
        others = await self._missing([each for each in entries(bundle) if each is not entry], OURS, bundle)
        if not stored.same(held, new):
            return Plan((*_before(others), _put(entry, new, held["id"], etag), *_after(others)), "changed", etag)
        if not any(kind(each) in OURS for each in others):
            return Plan((), "unchanged")
        place = {entry["fullUrl"]: f"{STUDY}/{held['id']}"}
        return Plan(_moved(others, place), "changed")

    def _next(self, held: Json, ours: Json) -> Json:
        if self._manner.on_existing == "replace" or stored.same(held, ours):
            return ours
        try:
            return merge.merge(held, ours)
        except merge.MergeImpossible:
            raise Refused(Code.MERGE_IMPOSSIBLE, "instances are counted but not listed") from None

    def _relevant(self, held: Json, bundle: Json) -> Iterable[str]:
        """The stored study's references that could be to what the Bundle finds by a condition."""
        kinds = {kind(each) for each in entries(bundle) if "?" in (target(each) or "")}
        return (each for each in stored.references(held) if each.partition("/")[0] in kinds)

    async def _missing(self, listed: list[Json], kinds: frozenset[str], bundle: Json) -> tuple[Json, ...]:
        """The entries without what is in place: masters that exist, and those of ours among `kinds` that are the same.

        References to these are made literal.
        """
        places = await asyncio.gather(*(self._place(each, kinds, bundle) for each in listed))
        known = {each["fullUrl"]: place for each, place in zip(listed, places, strict=True) if place}
        missing = [_sparing(each) for each, place in zip(listed, places, strict=True) if not place]
        return _moved(missing, known)

    async def _place(self, entry: Json, kinds: frozenset[str], bundle: Json) -> str | None:
        """Where a resource is in place, None where it has to be written or the server finds out."""
        where = target(entry)
        if where is None or kind(entry) == STUDY:
            return None
        if kind(entry) in OURS:
            return await self._unchanged(entry, where, bundle) if kind(entry) in kinds else None
        if only_creates(entry) or "?" in where:
            return None
        return where if await self._shelf.read(where) is not None else None

    async def _unchanged(self, entry: Json, where: str, bundle: Json) -> str | None:
        """Where a resource of ours is in place just as it is."""
        if where in self._in_place:
            resource, reference = self._in_place[where]
            return reference if stored.same(resource, entry["resource"]) else None
        if only_creates(entry):
            return None
        held = await (self._shelf.look if "?" in where else self._shelf.read)(where)
        if held is None:
            return None
        known = await self._shelf.read_known(self._relevant(held[0], bundle))
        if not stored.same(held[0], stored.resolve(entry["resource"], bundle, known)):
            return None
        reference = f"{kind(entry)}/{held[0]['id']}" if "?" in where else where
        self.placed(entry, reference)
        return reference

    def placed(self, entry: Json, reference: str) -> None:
        """Remember that a resource that studies share is in place."""
        where = target(entry)
        if where is not None and kind(entry) in _SHARED:
            self._in_place[where] = (entry["resource"], reference)
            while len(self._in_place) > _KEPT:
                self._in_place.popitem(last=False)


def _sparing(entry: Json) -> Json:
    """The entry so that it does not write over a master: what is found by a condition stays as it is."""
    kept, _, condition = (target(entry) or "").partition("?")
    if kind(entry) in OURS or only_creates(entry) or not condition:
        return entry
    return {**entry, "request": {"method": "POST", "url": kept, "ifNoneExist": condition}}


def _moved(listed: Sequence[Json], places: Mapping[str, str]) -> tuple[Json, ...]:
    """Entries whose references to these places are literal."""
    if not places:
        return tuple(listed)
    return tuple(stored.redirected(each, lambda reference: places.get(reference, reference)) for each in listed)


def _before(listed: Sequence[Json]) -> list[Json]:
    """What a study refers to: all but key objects, which refer to it."""
    return [each for each in listed if kind(each) in _SHARED or kind(each) not in OURS]


def _after(listed: Sequence[Json]) -> list[Json]:
    return [each for each in listed if kind(each) in OURS - _SHARED]


def _put(entry: Json, resource: Json, name: str, etag: str | None) -> Json:
    """The entry that writes a stored study anew, unless it changed meanwhile."""
    request: Json = {"method": "PUT", "url": f"{STUDY}/{name}"}
    if etag is not None:
        request["ifMatch"] = etag
    body = {"resourceType": STUDY, "id": name, **resource}
    return {**entry, "resource": {**body, "id": name}, "request": request}
