"""What the command sends to a server, and what the server then holds: read back over HTTP, with nothing of the
package's own code. `Stock` is testdata/clean on a server that was empty.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from servers import TESTS, Hapi
from shown import SHOWN

SAID = SHOWN.setdefault("real servers", [])
"""The lines of the section at the end of a run."""

CLEAN = TESTS.parent / "testdata/clean"
PATIENTS, ORDERS = "https://hospital.example/patients", "https://hospital.example/orders"
SYSTEMS = ("--system", f"patient={PATIENTS}", "--system", f"accession={ORDERS}")
EVERYTHING = (
    "Patient,Endpoint,Practitioner,PractitionerRole,Organization,Device,Specimen,BodyStructure,"
    "ServiceRequest,Encounter,EpisodeOfCare,Procedure,Location"
)
OPTIONS = (*SYSTEMS, "--wado-rs", "http://pacs.example/dicom-web", "--create", EVERYTHING)
"""What the stock is sent with: all that the command may create, so that there is something to search by."""
ORDER = {"dstu2": "DiagnosticOrder", "stu3": "ProcedureRequest"}
"""What a ServiceRequest is called in earlier versions."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the command: exit code, what it said, what it wrote to standard output, and its report."""

    code: int
    said: str
    output: str
    report: Json

    @property
    def delivery(self) -> Json:
        """What the report says of the delivery."""
        found: Json = self.report["delivery"]
        return found


def run(command: str, *arguments: str | Path, folder: Path) -> Run:
    """`dicom2fhir COMMAND ARGUMENTS` as a process; its report lies in `folder` while it runs."""
    report = folder / "report.json"
    report.unlink(missing_ok=True)
    reported = ("--report", report) if command != "doctor" else ()
    words = [sys.executable, "-m", "dicom2fhir", command, *arguments, *reported]
    done = subprocess.run(list(map(str, words)), capture_output=True, text=True, check=False)
    told = json.loads(report.read_text(encoding="utf-8")) if report.exists() else {}
    return Run(done.returncode, done.stderr, done.stdout, told)


def convert(server: Hapi, *arguments: str | Path, folder: Path) -> Run:
    """Converts to a server, in its version."""
    return run("convert", *arguments, "--to", server.version, "--server", server.base, folder=folder)


def bundles(server: Hapi, *arguments: str | Path, folder: Path) -> list[Json]:
    """What the command would send, as it prints it."""
    done = run("convert", *arguments, "--to", server.version, folder=folder)
    assert done.code == 0, done.said
    return [json.loads(line) for line in done.output.splitlines()]


def entries(sent: Sequence[Json]) -> Iterator[Json]:
    """The entries of Bundles, one after the other."""
    for bundle in sent:
        yield from bundle["entry"]


def studies(sent: Sequence[Json]) -> list[Json]:
    """The ImagingStudies of Bundles."""
    return [one["resource"] for one in entries(sent) if one["resource"]["resourceType"] == "ImagingStudy"]


def counts(server: Hapi, kinds: Sequence[str]) -> dict[str, int]:
    """How many resources of each type the server counts."""
    totals = {kind: server.client.get(kind, {"_summary": "count"}).json["total"] for kind in kinds}
    return {kind: total for kind, total in totals.items() if total}


def versions(server: Hapi, kinds: Sequence[str]) -> dict[str, str]:
    """`Type/id` -> versionId of every resource of these types that the server holds."""
    asked = {"_count": "500", "_elements": "identifier"}
    found = (one for kind in kinds for one in server.client.search(kind, asked))
    return {f"{one['resourceType']}/{one['id']}": one["meta"]["versionId"] for one in found}


def all_kinds(server: Hapi) -> list[str]:
    """The types that the server may hold anything of that the command could have written."""
    known = {one["type"] for one in server.client.get("metadata").json["rest"][0]["resource"]}
    ours = {*EVERYTHING.split(","), "ImagingStudy", "ImagingSelection", "ImagingManifest", "ImagingObjectSelection"}
    others = {"DiagnosticOrder", "ProcedureRequest", "BodySite", "Basic", "DocumentReference", "Group"}
    return sorted(known & (ours | others))


class Stock:
    """testdata/clean, sent to a server that was empty: what was to be sent, and the run that sent it."""

    def __init__(self, server: Hapi, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.bundles = bundles(server, CLEAN, *OPTIONS, folder=folder)
        self.run = self.send()
        assert self.run.code == 0, self.run.said
        self.counts = counts(server, all_kinds(server))
        self._places: dict[str, str] = {}

    def send(self) -> Run:
        """Converts testdata/clean to the server, now or once more."""
        return convert(self.server, CLEAN, *OPTIONS, folder=self.folder)

    @cached_property
    def studies(self) -> dict[str, Json]:
        """The ImagingStudies that were sent, by their ids."""
        return {one["id"]: one for one in studies(self.bundles)}

    @cached_property
    def emitted(self) -> dict[str, int]:
        """How many resources of each type were sent; one identity is one, however many Bundles bring it."""
        found = {(one["resource"]["resourceType"], one["fullUrl"]) for one in entries(self.bundles)}
        return dict(Counter(kind for kind, _ in found))

    def place(self, full_url: str) -> str:
        """Where the server has what the Bundles call by a fullUrl: what was created by a condition is asked for."""
        if full_url not in self._places:
            request = self._requests[full_url]
            kind, _, condition = f"{request['url']}?{request.get('ifNoneExist', '')}".partition("?")
            self._places[full_url] = kind if not condition else self._only(f"{kind}?{condition}")
        return self._places[full_url]

    @cached_property
    def _requests(self) -> dict[str, Json]:
        return {one["fullUrl"]: one["request"] for one in entries(self.bundles)}

    def _only(self, search: str) -> str:
        (found,) = self.server.client.search(search)
        return f"{found['resourceType']}/{found['id']}"
