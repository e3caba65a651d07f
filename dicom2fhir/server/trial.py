"""A throwaway study, sent to a server, read, sent again and removed: whether it does what it says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from dicom2fhir.fhir.bundle import bundle
from dicom2fhir.fhir.dialect import render
from dicom2fhir.model import Endpoint, Identifier, Instance, Modality, Patient, Series, Study
from dicom2fhir.server.answer import Answer, KeepsFailing, Unclear
from dicom2fhir.server.parcels import STUDY, Json, entries, kind, study_entry, study_uid, target
from dicom2fhir.server.plan import Planner
from dicom2fhir.server.post import Places, Poster
from dicom2fhir.server.refusal import Changed, Refused, Unsettled
from dicom2fhir.server.stored import Shelf

if TYPE_CHECKING:
    from dicom2fhir.fhir.dialect import Dialect
    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.server.client import Client
    from dicom2fhir.server.manner import Manner

_CT = Modality("CT", "Computed Tomography", acquires=True)
_CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
_GONE = frozenset((200, 202, 204, 404, 410))


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a trial: what was tried, whether it went as it should, and what was said."""

    what: str
    done: bool
    detail: str = ""


def throwaway(dialect: Dialect, policy: Policy, token: UUID) -> Json:
    """The Bundle of a study, with a patient and an endpoint, that nobody else has: its names are made of `token`."""
    patient = Patient(identifiers=(Identifier(str(token), "patient", "urn:ietf:rfc:3986"),))
    uid = f"2.25.{token.int}"
    series = Series(f"{uid}.1"[:64], _CT, 1, instances=(Instance(f"2.25.{token.int ^ 1}", _CT_IMAGE, number=1),))
    endpoint = Endpoint("wado-rs", f"https://trial.invalid/{token}")
    return bundle(render(Study(uid, patient, (series,), endpoints=(endpoint,)), dialect, policy), policy)


class Trial:
    """One trial; `steps` grows with each step. What was written is removed whatever happens."""

    def __init__(self, client: Client, base: str, manner: Manner, made: Json) -> None:
        self._client, self._made = client, made
        self._shelf = Shelf(client, base)
        self._planner, self._poster = Planner(self._shelf, manner), Poster(client, manner)
        self.steps: list[Step] = []

    async def run(self) -> None:
        """Send, read, send again, remove. Raises what stops all sending (`Dicom2FhirError`)."""
        places: Places = {}
        try:
            places = await self._poster.send(entries(self._made), self._made["type"])
            self.steps.append(Step("send a study", True, ", ".join(sorted(map(_type, places.values())))))
            await self._read(places)
        except Refused as refused:
            self.steps.append(Step("send a study", False, refused.message))
        except (Changed, Unsettled, Unclear, KeepsFailing):
            self.steps.append(Step("send a study", False, "the server gave no answer that can be relied on"))
        finally:
            await self._remove(places or await self._whereabouts())

    async def _read(self, places: Places) -> None:
        """Read it, and see that nothing would be written if it came again."""
        entry = study_entry(self._made)
        where = places.get(entry["fullUrl"]) if entry else None
        held = await self._shelf.read(where) if where else None
        found = held is not None and study_uid(held[0]) == study_uid(entry["resource"] if entry else {})
        self.steps.append(Step("read it", found))
        if found and where:
            plan = await self._planner.plan(self._made, [where.partition("/")[2]])
            self.steps.append(Step("send it again", plan.fate in ("unchanged", "skipped"), plan.fate))

    async def _whereabouts(self) -> Places:
        """Where what was sent is, as far as it is anywhere, after an answer that does not tell."""
        found: Places = {}
        for entry in entries(self._made):
            query = self._planner.query(self._made) if kind(entry) == STUDY else None
            where = f"{STUDY}?{query[0]}" if query else target(entry)
            held = await self._held(where) if where else None
            if held is not None:
                found[entry["fullUrl"]] = f"{kind(entry)}/{held[0]['id']}"
        return found

    async def _held(self, where: str) -> tuple[Json, str | None] | None:
        try:
            return await (self._shelf.look if "?" in where else self._shelf.read)(where)
        except (Refused, Unsettled, KeepsFailing):
            return None

    async def _remove(self, places: Places) -> None:
        """The study first, then what it refers to."""
        order = {entry["fullUrl"]: number for number, entry in enumerate(entries(self._made))}
        studies = {entry["fullUrl"] for entry in entries(self._made) if kind(entry) == STUDY}
        for url in sorted(places, key=lambda one: (one not in studies, -order[one])):
            answer = await self._delete(places[url])
            removed = answer is not None and answer.status in _GONE
            self.steps.append(Step(f"remove {_type(places[url])}", removed, "" if removed else places[url]))

    async def _delete(self, where: str) -> Answer | None:
        try:
            return await self._client.request("DELETE", where, idempotent=True)
        except (Unclear, KeepsFailing):
            return None


def _type(place: str) -> str:
    return place.partition("/")[0]


async def trial(client: Client, base: str, manner: Manner, dialect: Dialect, policy: Policy) -> list[Step]:
    """The steps of a trial with a study that nobody else has."""
    one = Trial(client, base, manner, throwaway(dialect, policy, uuid4()))
    await one.run()
    return one.steps
