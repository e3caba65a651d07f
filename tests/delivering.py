"""Studies on their way to the tests' own server: made, sent by the library or by the command line, read back.

What a test believes of a server it reads over HTTP with code of its own (`Reader`), not from the journal.
"""

from __future__ import annotations

import contextlib
import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from loopback import Loopback

from dicom2fhir.cli.app import app
from dicom2fhir.encode import compact
from dicom2fhir.fhir.bundle import bundle
from dicom2fhir.fhir.dialect import render
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.model import (
    Endpoint,
    Identifier,
    Instance,
    Modality,
    Patient,
    Performer,
    PersonName,
    Practitioner,
    Series,
    Study,
)
from dicom2fhir.problems import Problem
from dicom2fhir.server.auth import Auth, NoAuth
from dicom2fhir.server.delivery import Delivery
from dicom2fhir.server.journal import Journal
from dicom2fhir.server.ledger import Memory
from dicom2fhir.server.manner import Manner
from dicom2fhir.server.parcels import parcel
from dicom2fhir.server.tally import Delivered
from dicom2fhir.server.target import Target, Timing

Json = dict[str, Any]

QUICK = Timing(10.0, 20.0, 30.0, backoff_min=0.001, backoff_max=0.01, retry_after_max=0.02, tries=8, give_up=20.0)
"""Impatient between two tries, and patient with a machine that has other things to do."""
FAST = (
    "--backoff-min", "0.001", "--backoff-max", "0.01", "--retry-after-max", "0.02", "--connect-timeout", "10",
    "--read-timeout", "20", "--request-deadline", "30", "--give-up-after", "20", "--no-progress",
)  # fmt: skip
"""The same on the command line."""
SYSTEM = "https://site.example/patients"
CT = Modality("CT", "Computed Tomography", acquires=True)
CT_IMAGE = "1.2.840.10008.5.1.4.1.1.2"
PRACTITIONER = Practitioner(
    (PersonName("alphabetic", "Operator"),), (Identifier("op-1", "practitioner", "https://site.example/staff"),)
)


# Making ---------------------------------------------------------------------------------------------


def patient(number: str = "P1", system: str | None = SYSTEM, family: str = "Doe") -> Patient:
    return Patient("person", (Identifier(number, "patient", system),), (PersonName("alphabetic", family),))


def study(
    number: int = 1,
    instances: int = 2,
    *,
    of: Patient | None = None,
    series: int = 1,
    endpoint: bool = True,
    **changes: Any,
) -> Study:
    """The study 1.2.3.<number>: some series of so many instances, with an operator and an endpoint that all share."""
    uid = f"1.2.3.{number}"
    made = tuple(
        Series(
            f"{uid}.{each}",
            CT,
            instances,
            number=each,
            performers=(Performer("operator", PRACTITIONER),),
            instances=tuple(Instance(f"{uid}.{each}.{one}", CT_IMAGE, number=one) for one in range(1, instances + 1)),
        )
        for each in range(1, series + 1)
    )
    endpoints = (Endpoint("wado-rs", "https://pacs.example/dicom-web"),) if endpoint else ()
    return Study(uid, of or patient(), made, endpoints=endpoints, **changes)


def made(one: Study, policy: Policy | None = None, to: str = "r4") -> Json:
    """Its Bundle."""
    chosen = policy or Policy()
    return bundle(render(one, DIALECTS[to], chosen), chosen)


def many(count: int, policy: Policy | None = None, *, patients: int = 7, **more: Any) -> list[Json]:
    """Bundles of as many studies, of a few patients; the first study is 1."""
    return [made(study(each, of=patient(f"P{each % patients}"), **more), policy) for each in range(1, count + 1)]


def of(bundle_: Json, kind: str = "ImagingStudy") -> Json:
    """The one resource of a type in a Bundle."""
    (found,) = (entry["resource"] for entry in bundle_["entry"] if entry["resource"]["resourceType"] == kind)
    return dict(found)


def lines(bundles: Iterable[Json]) -> bytes:
    """A Bundle a line."""
    return b"".join(compact(each) + b"\n" for each in bundles)


# Sending --------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Sent:
    """What a delivery said at its end."""

    told: Delivered
    problems: list[Problem]

    @property
    def ends(self) -> tuple[int, int, int, int]:
        """accepted, pending, unknown, refused."""
        tally = self.told.tally
        return tally.accepted, tally.pending, tally.unknown, tally.refused

    @property
    def codes(self) -> list[str]:
        return sorted(str(each.code) for each in self.problems)


def delivery(
    base: str,
    *,
    state: Path | None = None,
    manner: Manner | None = None,
    timing: Timing = QUICK,
    auth: Auth | None = None,
    **target: Any,
) -> Delivery:
    """A delivery that was not opened yet; what the server says of itself changes nothing."""
    ledger = Memory() if state is None else Journal(str(state), base, "r4")
    chosen = manner or Manner()
    return Delivery(Target(base, timing=timing, **target), auth or NoAuth(), ledger, lambda can: chosen)


def deliver(server: Loopback | str, bundles: Iterable[Json], **how: Any) -> Sent:
    """Send Bundles, all the way to the end."""
    one = delivery(server if isinstance(server, str) else server.base, **how)
    problems: list[Problem] = []
    try:
        one.open()
        for each in bundles:
            one.hand_over(parcel(each))
            problems += one.problems()
        told = one.close(lambda left: None)
    except BaseException:
        one.abort()
        raise
    sent = Sent(told, [*problems, *one.problems()])
    assert len(sent.problems) == told.tally.total - told.tally.accepted
    return sent


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it said."""

    code: int
    out: str
    err: str
    report: Json = field(default_factory=dict)

    @property
    def ends(self) -> tuple[int, int, int, int]:
        """accepted, pending, unknown, refused."""
        tally = self.report["delivery"]
        return tally["accepted"], tally["pending"], tally["unknown"], tally["refused"]

    @property
    def codes(self) -> list[str]:
        return sorted(row["code"] for row in self.report["problems"])


def command(*arguments: object, stdin: bytes = b"", report: Path | None = None) -> Ended:
    """`dicom2fhir` with these arguments, in this process, with the report where `report` says."""
    given = [*map(str, arguments), *(("--report", str(report)) if report else ())]
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.StringIO()
    source = io.TextIOWrapper(io.BytesIO(stdin), "utf-8")
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _stdin(source):
        try:
            app(given, prog_name="dicom2fhir")
            code: object = 0
        except SystemExit as end:
            code = end.code or 0
        out.flush()
    said = out.buffer.getvalue().decode()  # type: ignore[attr-defined]
    assert isinstance(code, int), code
    told = json.loads(report.read_bytes()) if report and report.exists() else {}
    return Ended(code, said, err.getvalue(), told)


@contextlib.contextmanager
def _stdin(source: Any) -> Any:
    import sys

    before, sys.stdin = sys.stdin, source
    try:
        yield
    finally:
        sys.stdin = before


def send(server: Loopback, *arguments: object, **more: Any) -> Ended:
    """`dicom2fhir send` to a server, quickly."""
    return command("send", "--server", server.base, *FAST, *arguments, **more)


# Reading back ---------------------------------------------------------------------------------------


class Reader:
    """Reads a FHIR server with urllib alone."""

    def __init__(self, base: str) -> None:
        self.base = base

    def get(self, path: str) -> Json | None:
        """A resource or a page; None where there is none."""
        request = urllib.request.Request(f"{self.base}/{path}", headers={"Cache-Control": "no-cache"})
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return dict(json.load(answer))
        except urllib.error.HTTPError as refused:
            if refused.code in (404, 410):
                return None
            raise

    def all(self, kind: str, **search: str) -> list[Json]:
        """Every resource of a type, page by page."""
        page = self.get(f"{kind}?{urlencode({'_count': '50', **search})}")
        found: list[Json] = []
        while page:
            found += [entry["resource"] for entry in page.get("entry", ())]
            after = next((one["url"] for one in page.get("link", ()) if one["relation"] == "next"), None)
            page = self.get(after.removeprefix(self.base + "/").removeprefix(self.base)) if after else None
        return found

    def versions(self, *kinds: str) -> dict[str, str]:
        """Type/id -> versionId."""
        wanted = kinds or ("ImagingStudy", "Patient", "Practitioner", "Endpoint")
        return {f"{kind}/{one['id']}": one["meta"]["versionId"] for kind in wanted for one in self.all(kind)}


def writes(server: Loopback) -> list[str]:
    """The writes that came, as `POST ` and `PUT ImagingStudy/x`."""
    return [f"{one.method} {one.path}" for one in server.log if one.method in ("POST", "PUT", "DELETE", "PATCH")]


def numbers(studies: Sequence[Json]) -> dict[str, int]:
    """Study Instance UID -> numberOfInstances."""
    return {one["identifier"][0]["value"].removeprefix("urn:oid:"): one["numberOfInstances"] for one in studies}
