"""Entries on the wire: as one Bundle, as several where one is too large, or as one request each."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from itertools import count
from typing import TYPE_CHECKING

from dicom2fhir.encode import compact
from dicom2fhir.errors import ServerMisconfigured
from dicom2fhir.fhir.stored import redirected
from dicom2fhir.problems import Code
from dicom2fhir.server.answer import KeepsFailing
from dicom2fhir.server.manner import Manner
from dicom2fhir.server.parcels import Json, chunks, kind, repeatable, target
from dicom2fhir.server.preflight import OWN_IDS_DENIED
from dicom2fhir.server.refusal import Changed, Refused, Unsettled
from dicom2fhir.server.verdict import (
    EntryVerdict,
    denies_own_ids,
    describe_outcome,
    judge,
    judge_single,
    outcome_of,
    own_words,
    too_large,
)

if TYPE_CHECKING:
    from dicom2fhir.server.client import Answer, Client

Places = dict[str, str]
"""fullUrl -> the reference that the server gave."""
_WELL = range(200, 300)
_CONFLICT = 409
_NOT_DONE = frozenset((408, _CONFLICT, 425, 429, 503))
"""Statuses of what was turned away before anything was done."""
_NO_BASE = frozenset((404, 405, 410))
"""Without an OperationOutcome: there is nobody to give one."""


class Poster:
    """Sends the entries of one plan at a time; what is not settled is raised."""

    def __init__(self, client: Client, manner: Manner) -> None:
        self._client, self._manner = client, manner

    async def send(self, entries: Sequence[Json], bundle_type: str) -> Places:
        """Write entries that come before those that refer to them; where they are then.

        Raises:
            Refused: the server will not have one of them.
            Changed: a stored resource, or the number of matches, is not what was seen.
            Unsettled: the outcome is not known, and writing again could do harm, or has been tried enough.
        """
        groups = deque(chunks(list(entries), self._most(entries), self._manner.most_bytes))
        places: Places = {}
        while groups:
            group = _moved(groups.popleft(), places)
            answer = await self._transmit(group, bundle_type)
            if not too_large(answer.status, answer.json()):
                places |= await self._settle(group, answer, bundle_type)
                places |= await self._locate(group, places) if groups else {}
            elif len(group) == 1:
                raise _too_large(group[0], answer)
            else:
                middle = len(group) // 2
                groups.extendleft((group[middle:], group[:middle]))
        return places

    def _most(self, entries: Sequence[Json]) -> int | None:
        """How many of these entries go together."""
        if self._manner.single:
            return 1
        conditional = any("?" in (target(entry) or "") for entry in entries)
        bounds = (self._manner.most_entries, self._manner.most_conditional if conditional else None)
        return min((bound for bound in bounds if bound is not None), default=None)

    async def _transmit(self, group: list[Json], bundle_type: str) -> Answer:
        return await (self._one(group[0]) if self._manner.single else self._bundle(group, bundle_type))

    async def _bundle(self, group: list[Json], bundle_type: str) -> Answer:
        body = compact({"resourceType": "Bundle", "type": bundle_type, "entry": group})
        answer = await self._client.request("POST", "", body, idempotent=all(map(repeatable, group)))
        if answer.status in _NO_BASE and outcome_of(answer.json()) is None:
            raise ServerMisconfigured(f"the server takes no Bundles at this address ({answer.status})")
        return answer

    async def _one(self, entry: Json) -> Answer:
        """One entry as a request of its own (hl7.org/fhir/R4/http#create, #update)."""
        request = entry["request"]
        headers = {"If-Match": request.get("ifMatch"), "If-None-Exist": request.get("ifNoneExist")}
        given = {name: value for name, value in headers.items() if value is not None}
        body = compact(entry["resource"])
        return await self._client.request(request["method"], request["url"], body, given, idempotent=repeatable(entry))

    async def _settle(self, group: list[Json], answer: Answer, bundle_type: str) -> Places:
        """Where each entry of a group is; what can be tried again is, as long as the client's patience lasts."""
        places: Places = {}
        for attempt in count(1):
            verdicts = self._verdicts(group, answer)
            places |= _places(group, verdicts)
            failed = [each for each in zip(group, verdicts, strict=True) if each[1].kind == "retry"]
            if not failed:
                break
            group = _moved([entry for entry, _ in failed], places)
            self._check_patience(failed, attempt, answer.status == _CONFLICT)
            await self._client.pause(attempt, answer)
            answer = await self._transmit(group, bundle_type)
        return places

    def _check_patience(self, failed: list[tuple[Json, EntryVerdict]], attempt: int, whole_conflict: bool) -> None:
        """Raise where what failed is not to be tried again: it may have been done, or was tried often enough."""
        if any(not repeatable(entry) and each.status not in _NOT_DONE for entry, each in failed):
            raise Unsettled
        tried = whole_conflict and all(repeatable(entry) for entry, _ in failed)  # by the client
        if not tried and attempt < self._client.tries:
            return
        for entry, verdict in failed:
            if verdict.status != _CONFLICT:
                raise KeepsFailing(verdict.status)
            raise _refusal(entry, verdict)

    def _verdicts(self, group: list[Json], answer: Answer) -> list[EntryVerdict]:
        """What became of each entry. Raises for what was not done and is not to be tried again as it is."""
        verdicts = self._judged(group, answer)
        if any(denies_own_ids(verdict.status, verdict.outcome, group) for verdict in verdicts):
            raise ServerMisconfigured(OWN_IDS_DENIED.sentence)
        for entry, verdict in zip(group, verdicts, strict=True):
            if verdict.kind == "conflict" or (verdict.status == _CONFLICT and _has_version(group)):
                raise _conflict(group, verdict)
            if verdict.kind == "refused":
                raise _refusal(entry, verdict)
        return verdicts

    def _judged(self, group: list[Json], answer: Answer) -> list[EntryVerdict]:
        """As the server says. Raises Unsettled where somebody else has answered, or it said nothing that tells."""
        if not self._manner.single:
            verdicts = judge(answer, group)
        else:
            foreign = answer.cut or (answer.body and answer.json() is None)
            verdicts = None if foreign and answer.status in _WELL else [judge_single(answer, group[0])]
        if verdicts is None:
            raise Unsettled
        return verdicts

    async def _locate(self, group: list[Json], places: Places) -> Places:
        """Where entries are whose places the answer does not tell: what was found by a condition is found again."""
        found: Places = {}
        for entry in group:
            condition = entry["request"].get("ifNoneExist")
            if entry["fullUrl"] not in places and condition is not None:
                page = (await self._client.request("GET", f"{kind(entry)}?{condition}", idempotent=True)).json() or {}
                ids = [each.get("resource", {}).get("id") for each in page.get("entry", ())]
                if len(ids) != 1:
                    raise Unsettled
                found[entry["fullUrl"]] = f"{kind(entry)}/{ids[0]}"
        return found


def _places(group: list[Json], verdicts: list[EntryVerdict]) -> Places:
    told = zip(group, verdicts, strict=True)
    return {entry["fullUrl"]: each.location for entry, each in told if each.kind == "done" and each.location}


def _moved(group: list[Json], places: Places) -> list[Json]:
    """Entries that refer to what was written before by its place."""
    return [redirected(entry, lambda reference: places.get(reference, reference)) for entry in group]


def _has_version(group: list[Json]) -> bool:
    return any("ifMatch" in entry["request"] for entry in group)


def _conflict(group: list[Json], verdict: EntryVerdict) -> Exception:
    """Several matches cannot be mended; a version that is not the stored one any more can."""
    code = Code.SERVER_REFUSED if verdict.status == _CONFLICT else Code.AMBIGUOUS_MATCH
    refused = Refused(code, _said(verdict), verdict.status, verdict.outcome)
    return Changed(refused) if _has_version(group) else refused


def _refusal(entry: Json, verdict: EntryVerdict) -> Refused:
    return Refused(Code.SERVER_REFUSED, f"{kind(entry)}: {_said(verdict)}", verdict.status, verdict.outcome)


def _too_large(entry: Json, answer: Answer) -> Refused:
    size = f"{kind(entry)} of {len(compact(entry['resource'])):,} bytes: --max-instances N lists fewer instances"
    return Refused(Code.TOO_LARGE_FOR_SERVER, size, answer.status, answer.json())


def _said(verdict: EntryVerdict) -> str:
    """The status, what is wrong and where, and the server's own words: for the report alone, for they may repeat
    what was sent.
    """
    parts = (f"HTTP {verdict.status}", describe_outcome(verdict.outcome), own_words(verdict.outcome))
    return ": ".join(part for part in parts if part)
