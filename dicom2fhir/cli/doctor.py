"""`dicom2fhir doctor`: what a FHIR server can, and what it lacks for the options given."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dicom2fhir.cli import serving, settings
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Doctor
from dicom2fhir.errors import Exit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.server.capability import Capabilities
    from dicom2fhir.server.preflight import Needs
    from dicom2fhir.server.trial import Step


@dataclass(frozen=True, slots=True)
class Findings:
    """What the server says, a sentence for each thing that it lacks, and the steps of the trial, if there was one."""

    can: Capabilities
    lacks: tuple[str, ...]
    steps: tuple[Step, ...] = ()

    @property
    def good(self) -> bool:
        """Whether nothing stands in the way."""
        return not self.lacks and all(step.done for step in self.steps)


def doctor(chosen: Doctor, talk: Talk) -> Exit:
    """Ask the server of `chosen`; the findings go to standard output."""
    from dicom2fhir.fhir.versions import DIALECTS
    from dicom2fhir.server.preflight import needs

    policy = _policy(chosen)
    asked = needs(DIALECTS[chosen.to], policy, chosen.requests)
    found = asyncio.run(_find(chosen, asked, policy))
    lines = _document(found, asked) if chosen.json else "\n".join(_table(found, asked))
    sys.stdout.write(lines + "\n")
    return Exit.OK if found.good else Exit.CONFIGURATION


def _policy(chosen: Doctor) -> Policy:
    from dicom2fhir.fhir.policy import DEFAULT_CREATE, Policy, parse_create
    from dicom2fhir.fhir.versions import DIALECTS

    create = DEFAULT_CREATE if chosen.create is None else parse_create(",".join(chosen.create))
    made = Policy(write=chosen.write, bundle_type=chosen.bundle_type, patient=chosen.patient, create=create)
    DIALECTS[settings.version(chosen.to)].check(made)
    return made


async def _find(chosen: Doctor, asked: Needs, policy: Policy) -> Findings:
    from dicom2fhir.fhir.versions import DIALECTS
    from dicom2fhir.server.client import Client
    from dicom2fhir.server.delivery import ask
    from dicom2fhir.server.manner import Manner
    from dicom2fhir.server.preflight import check
    from dicom2fhir.server.profiles import profile
    from dicom2fhir.server.trial import trial

    dialect = DIALECTS[chosen.to]
    where = serving.target(chosen, dialect)
    async with Client(where, serving.auth(chosen, where)) as client:
        can = profile(chosen.server_profile).told(await ask(client))
        lacks = tuple(lack.sentence for lack in check(can, asked))
        if not chosen.trial or lacks:
            return Findings(can, lacks)
        manner = Manner(single=serving.one_by_one(chosen.requests, can, asked))
        return Findings(can, lacks, tuple(await trial(client, where.base, manner, dialect, policy)))


def _table(found: Findings, asked: Needs) -> Iterator[str]:
    """What is known, a line each, then what is lacking and how the trial went."""
    from dicom2fhir.server.capability import describe

    rows = describe(found.can, asked.types)
    width = max(len(row.what) for row in rows)
    for row in rows:
        yield f"{row.what.ljust(width)}  {row.answer}{f'  {row.detail}' if row.detail else ''}"
    yield ""
    for step in found.steps:
        yield f"{'done  ' if step.done else 'failed'}  {step.what}{f': {step.detail}' if step.detail else ''}"
    yield from found.lacks or (("Nothing is lacking for these options.",) if found.good else ())


def _document(found: Findings, asked: Needs) -> str:
    from dicom2fhir.server.capability import describe

    rows = [{"what": row.what, "answer": row.answer, "detail": row.detail} for row in describe(found.can, asked.types)]
    steps = [{"what": step.what, "done": step.done, "detail": step.detail} for step in found.steps]
    return json.dumps({"good": found.good, "lacks": found.lacks, "server": rows, "trial": steps}, indent=2)
