"""One harness for every case of testdata/ and every FHIR version: what does the case become?

`result(golden, version)` is what `dicom2fhir convert` makes of a case's folder alone: its bundles, and the report
without the seconds. A golden is the name of a case, or `case+variant` for the case with the variant's options.
`python tests/check.py --write` makes tests/expected/<golden>/<version>.json; whoever does that reads the
difference, because the files are the promise.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any
from unittest.mock import patch
from zoneinfo import ZoneInfo

from dicom2fhir import pipeline
from dicom2fhir.dicom.runs import pack
from dicom2fhir.encode import compact
from dicom2fhir.fhir.bundle import Emission, bundle
from dicom2fhir.fhir.policy import CREATABLE, Policy
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.mapping import Settings
from dicom2fhir.model import Code, Concept, Endpoint
from dicom2fhir.pipeline import Options
from dicom2fhir.problems import Problem
from dicom2fhir.sinks.base import Seen
from dicom2fhir.sources.base import Found
from dicom2fhir.sources.directory import Paths
from dicom2fhir.workers import Limits, Result, Task, read_all

EXPECTED = Path(__file__).parent / "expected"
TESTDATA = Path(__file__).parent.parent / "testdata"
FOLDERS = {path.name: path for group in ("clean", "faults") for path in sorted((TESTDATA / group).iterdir())}
"""Every case and its folder."""

SITE = Settings(
    timezone=ZoneInfo("Europe/Berlin"),
    systems={"patient": "https://site.example/patients", "accession": "https://site.example/accessions"},
    issuers={"Sample Hospital": "https://sample.example/patients", "SAMPLE RIS": "https://sample.example/ris"},
    coding_schemes={"99NOWHERE": "https://site.example/codes"},
    body_parts={"LEFT BIG TOE XYZ": Concept((Code("723717002", "http://snomed.info/sct", "Left great toe"),))},
    modalities={"XYZZY": "MR"},
    endpoints=(
        Endpoint("wado-rs", "https://pacs.example/dicom-web"),
        Endpoint("wado-uri", "https://pacs.example/wado"),
        Endpoint("iid", "https://viewer.example/iid"),
    ),
)
VARIANTS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "created": (
        {"policy": Policy(create=CREATABLE)},
        (
            "encounter",
            "encounter-without-issuer",
            "location-department",
            "performed-step",
            "request-at-the-top",
            "request-attributes",
            "request-without-accession",
            "requester",
        ),
    ),
    "site": (
        {"mapping": SITE},
        (
            "accession-issuer-local",
            "accession-plain",
            "body-part-unknown",
            "code-without-system",
            "issuer-dns",
            "issuer-text",
            "key-object",
            "key-object-frames",
            "key-object-of-two-studies",
            "key-object-segments",
            "no-issuer-two-folders",
            "no-patient-id",
            "other-patient-ids",
            "retrieve-url",
            "retrieve-url-of-a-series",
            "time-zone",
            "time-zone-absent",
            "unknown-modality",
        ),
    ),
    "manifest": ({"mapping": SITE, "policy": Policy(manifest=True)}, ("key-object-nested", "us")),
    "forced": ({"mapping": Settings(force_patient=True)}, ("patient-disagreement", "issuer-disagreement")),
    "series-only": ({"mapping": Settings(series_only=True)}, ("us", "duplicate-identical")),
}
"""Options that show what the defaults do not, and the cases that they are tried on."""
GOLDENS = (*FOLDERS, *(f"{case}+{variant}" for variant, (_, cases) in VARIANTS.items() for case in cases))
"""Every golden's name."""


class Collected:
    """A sink that keeps the bundles, each as the bytes that would be written."""

    own_paths: tuple[str, ...] = ()

    def __init__(self) -> None:
        self.lines: list[bytes] = []

    def open(self, seen: Seen) -> None:
        """Nothing to prepare."""

    def encode(self, emission: Emission, policy: Policy) -> list[bytes]:
        """One study's bundle."""
        return [compact(bundle(emission, policy))]

    def write(self, encoded: list[bytes]) -> tuple[Problem, ...]:
        """Keep it."""
        self.lines += encoded
        return ()

    def finish(self) -> None:
        """Nothing to finish."""

    def abort(self) -> None:
        """Forget what is not whole."""
        self.lines.clear()

    @property
    def bundles(self) -> list[Any]:
        """The bundles."""
        return [json.loads(line) for line in self.lines]


def convert(folder: Path, options: Options) -> dict[str, Any]:
    """The bundles of a folder and its report without the seconds and the program's version; paths below the folder."""
    sink = Collected()
    with tempfile.TemporaryDirectory() as scratch:
        options = replace(options, report=f"{scratch}/report.json")
        pipeline.convert(Paths([str(folder)]), sink, options)
        report = json.loads(Path(scratch, "report.json").read_text(encoding="utf-8"))
    del report["seconds"], report["version"]
    for problem in report["problems"]:
        problem["path"] = problem["path"].removeprefix(f"{folder}/")
    return {"bundles": sink.bundles, "report": report}


def result(golden: str, version: str = "r4", **more: Any) -> dict[str, Any]:
    """What a golden becomes, with `more` options; testdata/ is read once a run of the tests, whatever the version."""
    case, _, variant = golden.partition("+")
    options = (VARIANTS[variant][0] if variant else {}) | more
    with patch.object(pipeline, "read_all", replay):
        return convert(FOLDERS[case], Options(to=version, **options))


def expected(golden: str, version: str = "r4") -> Any:
    """What the golden is promised to become."""
    return json.loads((EXPECTED / golden / f"{version}.json").read_text(encoding="utf-8"))


def text(found: dict[str, Any]) -> str:
    """A result as its file has it."""
    return json.dumps(found, ensure_ascii=False, indent=1) + "\n"


def replay(found: Iterable[list[str]], task: Task, limits: Limits, jobs: int, *_: object) -> Iterator[Result]:
    """In place of `read_all`: what workers have read of testdata/, once a run of the tests."""
    assert task == pipeline.reading_task(Options())
    for paths in found:
        yield from pack(paths, [_readings(task)[path] for path in paths])


@cache
def _readings(task: Task) -> dict[str, Any]:
    """What the real workers read in every file. They give a context once; here each record has its own."""
    source = (found.paths for found in Paths([str(path) for path in FOLDERS.values()]) if isinstance(found, Found))
    readings = dict(read_all(source, replace(task, pack=""), Limits(), 2))
    bodies = {reading[1]: reading[2] for reading in readings.values() if reading[0] == "header" and reading[2]}
    return {path: _with_body(reading, bodies) for path, reading in readings.items()}


def _with_body(reading: tuple[Any, ...], bodies: dict[bytes, str]) -> tuple[Any, ...]:
    return (*reading[:2], bodies[reading[1]], *reading[3:]) if reading[0] == "header" else reading


def write() -> None:
    """Make tests/expected/ again, and take away what nobody expects any more."""
    wanted = {EXPECTED / golden / f"{version}.json" for golden in GOLDENS for version in DIALECTS}
    for path in set(EXPECTED.rglob("*.json")) - wanted:
        path.unlink()
        if not any(path.parent.iterdir()):
            path.parent.rmdir()
    for path in sorted(wanted):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text(result(path.parent.name, path.stem)), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1:] != ["--write"]:
        sys.exit("usage: python tests/check.py --write")
    write()
