"""Who carries parcels to the server: many at once, never two of one study or one patient, each to a known end.

Parcels are taken in the order in which they were put into the ledger. They are looked up some at a time, wait until
nothing that they write is under way, and are then planned and sent. Every step is in the ledger before it is taken.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter, OrderedDict, deque
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from dicom2fhir.errors import Dicom2FhirError
from dicom2fhir.problems import Code, Problem
from dicom2fhir.server.client import Client, KeepsFailing, Unclear
from dicom2fhir.server.manner import Manner
from dicom2fhir.server.parcels import STUDY, Json, alone, entries, repeatable
from dicom2fhir.server.parcels import target as target_of
from dicom2fhir.server.plan import Fate, Plan, Planner
from dicom2fhir.server.post import Poster
from dicom2fhir.server.refusal import Changed, Refused, Unsettled
from dicom2fhir.server.stored import Shelf

if TYPE_CHECKING:
    from dicom2fhir.server.ledger import Ledger
    from dicom2fhir.server.target import Target

_SETTLED = 10_000
_NOT_PROCESSED = frozenset((429, 503))
_NEVER_TOGETHER = (f"{STUDY}/", f"{STUDY}?", "Patient/", "Patient?", "Group", '"', "{")


@dataclass(slots=True, eq=False)
class _Ready:
    """A parcel that was looked up: `found` are the ids of the stored study, None where that is to be asked again.

    `begun`: something of it was sent. `doubtful`: once nobody knew whether that was done.
    """

    id: str
    uid: str
    alone: frozenset[str]
    found: tuple[str, ...] | None
    begun: bool = False
    doubtful: bool = False

    @property
    def studies(self) -> frozenset[str]:
        """The study that it writes, as it names it."""
        return frozenset(name for name in self.alone if name.startswith(STUDY))


class Courier:
    """One run's sending, within an event loop, of at most `target.connections` parcels at once.

    `ends` counts parcels by their end, `fates` the accepted ones by what the study became. `problems` gets a row for
    each that was refused or lost sight of.
    """

    def __init__(
        self, client: Client, target: Target, ledger: Ledger, manner: Manner, problems: deque[Problem]
    ) -> None:
        self._client, self._ledger, self._manner, self._problems = client, ledger, manner, problems
        self._at_once = target.connections
        self._shelf = Shelf(client, target.base)
        self._planner = Planner(self._shelf, manner)
        self._poster = Poster(client, manner)
        self.ends: Counter[str] = Counter()
        self.fates: Counter[str] = Counter()
        self._closing = False
        self._wake = asyncio.Event()
        self._last = 0
        self._more = True
        self._looking: asyncio.Task[None] | None = None
        self._written: set[str] = set()
        self._ready: deque[_Ready] = deque()
        self._active: dict[asyncio.Task[None], _Ready] = {}
        self._busy: Counter[str] = Counter()
        self._settled: OrderedDict[str, None] = OrderedDict()

    def nudge(self) -> None:
        """A parcel was put into the ledger."""
        self._more = True
        self._wake.set()

    def close(self) -> None:
        """No more parcels will be put."""
        self._closing = True
        self._wake.set()

    async def run(self) -> None:
        """Until every parcel has come to an end. Raises what makes going on pointless (`Dicom2FhirError`)."""
        try:
            while True:
                self._look_ahead()
                self._launch()
                if self._done():
                    return
                await self._wake.wait()
                self._wake.clear()
                self._collect()
        finally:
            await self._give_up()

    def _done(self) -> bool:
        return self._closing and not (self._more or self._looking or self._ready or self._active)

    def _collect(self) -> None:
        """Raise what a task raised: it ends the sending."""
        for task in [task for task in self._active if task.done()]:
            one = self._active.pop(task)
            self._busy -= Counter(one.alone)
            task.result()
        looked = self._looking
        if looked is not None and looked.done():
            self._looking = None
            looked.result()

    async def _give_up(self) -> None:
        tasks = [*self._active, *([self._looking] if self._looking else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        task.add_done_callback(lambda _: self._wake.set())
        return task

    # looking up -----------------------------------------------------------------------------------------

    def _look_ahead(self) -> None:
        """Look some parcels up when few are ready."""
        few = len(self._ready) < 2 * self._at_once
        if not (few and self._more and self._looking is None):
            return
        waiting = self._ledger.waiting(self._last, self._manner.lookup)
        if waiting:
            self._last = waiting[-1][0]
            self._written.clear()
            self._looking = self._start(self._look_up([name for _, name in waiting]))
        else:
            self._more = False

    async def _look_up(self, names: list[str]) -> None:
        parcels = []
        queries = []
        for name in names:
            bundle = json.loads(self._ledger.body(name))
            parcels.append((name, alone(bundle)))
            queries.append(self._planner.query(bundle) or ("", ""))
        try:
            found: list[tuple[str, ...] | None] = [tuple(ids) for ids in await self._shelf.find_all(queries)]
        except (Refused, Unsettled, KeepsFailing):
            found = [None] * len(parcels)
        for (name, targets), (_, uid), ids in zip(parcels, queries, found, strict=True):
            one = _Ready(name, uid, targets, ids)
            if not self._written.isdisjoint(one.studies):  # while it was looked up
                one.found = None
            self._ready.append(one)

    # sending --------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        """Start what may start, in order: a parcel never overtakes one that it shares a target with."""
        blocked: set[str] = set()
        for one in list(self._ready):
            if len(self._active) >= self._at_once:
                return
            targets = one.alone - self._settled.keys()
            if blocked.isdisjoint(targets) and all(self._busy[name] == 0 for name in targets):
                self._ready.remove(one)
                self._busy += Counter(one.alone)
                self._active[self._start(self._carry(one))] = one
            blocked |= targets

    async def _carry(self, one: _Ready) -> None:
        """Bring one parcel to its end, whatever it is."""
        bundle = json.loads(self._ledger.body(one.id))
        try:
            fate = await self._deliver(one, bundle)
        except Refused as refused:
            self._refuse(one, refused)
        except (Unsettled, Unclear):
            self._put_off(one, True)
        except KeepsFailing as failing:
            self._put_off(one, failing.status not in _NOT_PROCESSED)
        except (Dicom2FhirError, asyncio.CancelledError):  # the end of all sending
            self._put_off(one, not all(map(repeatable, entries(bundle))))
            raise
        else:
            self._ledger.accepted(one.id)
            self.ends["accepted"] += 1
            self.fates[fate] += 1
            self._settle(bundle)
        self._forget_lookups(one)

    async def _deliver(self, one: _Ready, bundle: Json) -> Fate:
        """Plan and send until it is settled; what the study became, by the first attempt that may have done it."""
        lost = 0
        changes: list[str | None] = []
        fate: Fate | None = None
        while True:
            try:
                plan = await self._plan(one, bundle)
                fate = fate or plan.fate
                await self._send(one, plan, bundle)
            except Changed as changed:
                changes, fate = [*changes, plan.version], None
                if len(changes) == self._manner.rounds:
                    raise _unmerged(changed.refusal, changes) from None
            except (Unsettled, Unclear):
                lost, one.doubtful = lost + 1, one.begun
                if lost == self._client.tries or (one.begun and not self._can_look(bundle)):
                    raise
            else:
                return fate
            await self._client.pause(len(changes) + lost)

    def _can_look(self, bundle: Json) -> bool:
        """Whether looking tells if a Bundle was written, or writing it again does no harm."""
        return self._planner.query(bundle) is not None or all(map(repeatable, entries(bundle)))

    async def _plan(self, one: _Ready, bundle: Json) -> Plan:
        found, one.found = one.found, None
        if found is None:
            query = self._planner.query(bundle)
            found = tuple(await self._shelf.find(query[0])) if query else ()
        return await self._planner.plan(bundle, found)

    async def _send(self, one: _Ready, plan: Plan, bundle: Json) -> None:
        if not plan.entries or self._manner.trial:
            return
        one.begun = True
        self._ledger.sending(one.id)
        places = await self._poster.send(plan.entries, bundle["type"])
        for entry in plan.entries:
            if entry["fullUrl"] in places:
                self._planner.placed(entry, places[entry["fullUrl"]])

    def _settle(self, bundle: Json) -> None:
        """What is there now may be named by many at once: nobody creates it any more."""
        for name in filter(None, map(target_of, entries(bundle))):
            if not name.startswith(_NEVER_TOGETHER):
                self._settled[name] = None
                self._settled.move_to_end(name)
        while len(self._settled) > _SETTLED:
            self._settled.popitem(last=False)

    def _forget_lookups(self, one: _Ready) -> None:
        """Of a parcel of the same study that was looked up before this one was written."""
        self._written |= one.studies
        for other in self._ready:
            if not one.studies.isdisjoint(other.alone):
                other.found = None

    def _refuse(self, one: _Ready, refused: Refused) -> None:
        self._ledger.refused(one.id, refused.code, refused.status, refused.outcome)
        self.ends["refused"] += 1
        self._problems.append(Problem(refused.code, where=one.uid, message=refused.message))

    def _put_off(self, one: _Ready, uncertain: bool) -> None:
        """End it for this run; `uncertain`: what was sent last may have been done, and doing it twice does harm."""
        if one.doubtful or (one.begun and uncertain):
            self._lose_sight(one)
        else:
            self._ledger.pending(one.id)

    def _lose_sight(self, one: _Ready) -> None:
        self._ledger.unknown(one.id)
        self.ends["unknown"] += 1
        self._problems.append(Problem(Code.OUTCOME_UNKNOWN, where=one.uid))


def _unmerged(refused: Refused, versions: list[str | None]) -> Refused:
    """Why a study was not merged: it was another one every time that it was read, or else as the server says."""
    if len(set(versions)) < len(versions):
        return refused
    return Refused(Code.SERVER_REFUSED, "the stored study changes all the time", refused.status, refused.outcome)
