"""What the server holds: asked for many studies at once, read one by one where something is there."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from dicom2fhir.fhir.stored import relative
from dicom2fhir.problems import Code
from dicom2fhir.server.parcels import STUDY, Json, study_uid
from dicom2fhir.server.refusal import Refused, Unsettled

if TYPE_CHECKING:
    from dicom2fhir.server.client import Client

_OK = 200
_GONE = frozenset((404, 410))
_KEPT = 4096
_IDENTIFYING = "_elements=identifier,uid"


class Shelf:
    """The server's side: reads that are never answered from a cache of its own or of the server."""

    def __init__(self, client: Client, base: str) -> None:
        self._client, self._base = client, base
        self._in_bulk = True
        self._known: OrderedDict[str, Json] = OrderedDict()

    async def find_all(self, queries: Sequence[tuple[str, str]]) -> list[list[str]]:
        """For each (search, Study Instance UID): the ids of the studies that it finds; none for what has no study."""
        together: dict[str, list[int]] = {}
        for number, (query, uid) in enumerate(queries):
            name, _, value = query.partition("=")
            if self._in_bulk and uid and value and "&" not in value:
                together.setdefault(name, []).append(number)
        found: list[list[str] | None] = [None if query else [] for query, _ in queries]
        for name, numbers in together.items():
            if len(numbers) > 1:
                await self._find_some(name, numbers, queries, found)
        alone = [number for number, ids in enumerate(found) if ids is None]
        for number, ids in zip(alone, await asyncio.gather(*(self.find(queries[n][0]) for n in alone)), strict=True):
            found[number] = ids
        return [ids or [] for ids in found]

    async def _find_some(
        self, name: str, numbers: list[int], queries: Sequence[tuple[str, str]], found: list[list[str] | None]
    ) -> None:
        """One search for several studies. What it does not settle is left to be asked for one by one."""
        values = ",".join(queries[number][0].partition("=")[2] for number in numbers)
        page = await self._page(f"{STUDY}?{name}={values}&{_IDENTIFYING}&_count={4 * len(numbers)}")
        if page is None:
            self._in_bulk = False
            return
        matches = list(_matches(page))
        if len(matches) < _total(page) or any(link.get("relation") == "next" for link in page.get("link", ())):
            return
        for number in numbers:
            query, uid = queries[number]
            mine = [each for each in matches if _is(each, name, query, uid)]
            found[number] = [each["id"] for each in mine]

    async def find(self, query: str) -> list[str]:
        """The ids of the studies that a search finds; two stand for many. What is searched by id may not be there.

        Raises Refused, Unsettled.
        """
        name, _, value = query.partition("=")
        if name == "_id":
            return [value]
        answer = await self._client.request("GET", f"{STUDY}?{query}&_count=2", idempotent=True)
        page = answer.json()
        if answer.status != _OK:
            told = f"searching for the study gave HTTP {answer.status}"
            raise Refused(Code.SERVER_REFUSED, told, answer.status, page)
        found = [each["id"] for each in _matches(_bundle(page))]
        if len(found) < min(2, _total(_bundle(page))):
            raise Unsettled
        return found

    async def _page(self, path: str) -> Json | None:
        """A page of a search; None where the server does not search like that."""
        answer = await self._client.request("GET", path, idempotent=True)
        return _bundle(answer.json()) if answer.status == _OK else None

    async def read(self, reference: str) -> tuple[Json, str | None] | None:
        """A resource and its ETag; None where there is none, or none any more. Raises Refused, Unsettled."""
        answer = await self._client.request("GET", reference, idempotent=True)
        if answer.status in _GONE:
            return None
        resource = answer.json()
        if answer.cut:
            raise Refused(Code.MERGE_IMPOSSIBLE, "the stored resource is longer than --max-answer", answer.status)
        if answer.status != _OK:
            raise Refused(Code.SERVER_REFUSED, f"reading gave HTTP {answer.status}", answer.status, resource)
        if resource is None or resource.get("resourceType") != reference.partition("/")[0]:
            raise Unsettled
        return relative(resource, self._base), answer.headers.get("etag") or _etag(resource)

    async def look(self, search: str) -> tuple[Json, None] | None:
        """The one resource that `Type?query` finds, None where there is none, or several."""
        page = await self._page(f"{search}&_count=2")
        found = list(_matches(page, search.partition("?")[0])) if page else []
        return (relative(found[0], self._base), None) if len(found) == 1 else None

    async def read_known(self, references: Iterable[str]) -> dict[str, Json]:
        """What references lead to, as far as there is anything; companions are read once, for they do not change."""
        wanted = list(dict.fromkeys(references))
        missing = [each for each in wanted if each not in self._known]
        for reference, found in zip(missing, await asyncio.gather(*map(self.read, missing)), strict=True):
            if found is not None:
                self._known[reference] = found[0]
        known = {each: self._known[each] for each in wanted if each in self._known}
        while len(self._known) > _KEPT:
            self._known.popitem(last=False)
        return known


def _bundle(page: Json | None) -> Json:
    """A page of a search. Raises Unsettled where it is none: somebody in between has answered."""
    if page is None or page.get("resourceType") != "Bundle":
        raise Unsettled
    return page


def _total(page: Json) -> int:
    """How many matches there are, as far as the server says."""
    total = page.get("total")
    return total if isinstance(total, int) else 0


def _matches(page: Json, kind: str = STUDY) -> Iterable[Json]:
    for entry in page.get("entry") or ():
        resource = entry.get("resource") or {}
        if resource.get("resourceType") == kind and entry.get("search", {}).get("mode") != "outcome":
            yield resource


def _is(resource: Json, name: str, query: str, uid: str) -> bool:
    if name == "_id":
        return bool(resource["id"] == query.partition("=")[2])
    return study_uid(resource) == uid


def _etag(resource: Json) -> str | None:
    version: Any = resource.get("meta", {}).get("versionId")
    return f'W/"{version}"' if version else None
