"""The accounting: what was seen, and what became of it. Plain data; the identities are checked here.

The report never holds the problems themselves (there may be millions): only how many rows each code has.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dicom2fhir.encode import compact
from dicom2fhir.errors import Exit, OutputExists
from dicom2fhir.problems import MEANINGS, Bucket, Code, Problem
from dicom2fhir.sinks.files import outlet
from dicom2fhir.storage import environment

if TYPE_CHECKING:
    from dicom2fhir.server.tally import Delivered, Tally

# Where several causes apply, the first of these is the exit code.
PRECEDENCE = (
    Exit.BUG,
    Exit.ENVIRONMENT,
    Exit.CONFIGURATION,
    Exit.REFUSED,
    Exit.INPUT_LOST,
    Exit.NOTHING_FOUND,
    Exit.OK,
)


_FIRST_BYTES = b'{"version":'

FILES = ("file", "files")
PLACES = ("file or folder", "files or folders")
INSTANCES = ("instance", "instances")
STUDIES = ("study", "studies")
BUNDLES = ("Bundle", "Bundles")
LINKS = ("symbolic link", "symbolic links")


@dataclass(slots=True)
class Files:
    """What the crawl met. An unreadable or excluded folder counts as one."""

    seen: int = 0
    dicom: int = 0
    not_dicom: int = 0
    rejected: int = 0
    unreadable: int = 0
    excluded: int = 0
    containers: int = 0


@dataclass(slots=True)
class Instances:
    """What became of each DICOM object."""

    dicom: int = 0
    emitted: int = 0
    duplicate_identical: int = 0
    duplicate_conflicting: int = 0
    out_of_scope: int = 0
    withheld: int = 0


@dataclass(slots=True)
class SeriesCount:
    """Series in what was written."""

    emitted: int = 0


@dataclass(slots=True)
class Studies:
    """Studies with an instance in scope; withheld ones were not written."""

    found: int = 0
    emitted: int = 0
    withheld: int = 0


@dataclass(slots=True)
class Report:
    """One run in numbers.

    `numbered` is the sum of numberOfInstances in what was written, `distinct` the number of distinct
    (study, series, SOP Instance UID) in it: both counted apart from `instances.emitted`, to be compared with it.
    `problem_counts` is the number of rows of each code. `causes` are exit codes that the counts do not show.
    `delivery` is there where studies were sent; `undelivered_counts` are the rows of those that were not accepted.
    """

    version: str
    to: str
    files: Files = field(default_factory=Files)
    instances: Instances = field(default_factory=Instances)
    series: SeriesCount = field(default_factory=SeriesCount)
    studies: Studies = field(default_factory=Studies)
    numbered: int = 0
    distinct: int = 0
    problem_counts: Mapping[Code, int] = field(default_factory=dict)
    seconds: float = 0.0
    causes: tuple[Exit, ...] = ()
    delivery: Delivered | None = None
    undelivered_counts: Mapping[Code, int] = field(default_factory=dict)

    def rows(self, code: Code) -> int:
        """How many rows a code has."""
        return self.problem_counts.get(code, 0)

    def rows_in(self, bucket: Bucket) -> int:
        """How many rows the codes of a bucket have together."""
        return sum(count for code, count in self.problem_counts.items() if MEANINGS[code].bucket is bucket)

    def identities(self) -> list[str]:
        """The identities of the accounting that do not hold, in words and numbers; empty when all is well."""
        return [f"{name}: {left} is not {right}" for name, left, right in _identities(self) if left != right]

    @property
    def exit_code(self) -> Exit:
        """What the process says: the first of `PRECEDENCE` that applies."""
        causes = {Exit.OK, *self.causes, *delivery_causes(self.delivery)}
        if self.identities():
            causes.add(Exit.BUG)
        if _input_lost(self):
            causes.add(Exit.INPUT_LOST)
        if not self.studies.found and not self.files.rejected and not self.files.unreadable:
            causes.add(Exit.NOTHING_FOUND)
        return next(code for code in PRECEDENCE if code in causes)

    def to_json(self) -> dict[str, Any]:
        """The report as its file has it, without the rows of `problems`."""
        return {
            "version": self.version,
            "to": self.to,
            **{name: _numbers(getattr(self, name)) for name in ("files", "instances", "series", "studies")},
            **delivery_json(self.delivery),
            "problems": [],
            "seconds": round(self.seconds, 3),
            "exit_code": int(self.exit_code),
        }


@dataclass(slots=True)
class SendReport:
    """One run of `send` in numbers: Bundles that were found, and JSON that was none."""

    version: str
    to: str
    bundles: int = 0
    malformed: int = 0
    seconds: float = 0.0
    delivery: Delivered | None = None
    undelivered_counts: Mapping[Code, int] = field(default_factory=dict)

    def identities(self) -> list[str]:
        """As `Report.identities`."""
        from dicom2fhir.server.tally import Tally

        tally = self.delivery.tally if self.delivery else Tally()
        rows = sum(self.undelivered_counts.values())
        found = (
            ("bundles = accepted + pending + unknown + refused", self.bundles, tally.total),
            ("bundles - accepted = rows", self.bundles - tally.accepted, rows),
        )
        return [f"{name}: {left} is not {right}" for name, left, right in found if left != right]

    @property
    def exit_code(self) -> Exit:
        """As `Report.exit_code`."""
        causes = {Exit.OK, *delivery_causes(self.delivery)}
        causes |= {Exit.BUG} if self.identities() else set()
        causes |= {Exit.INPUT_LOST} if self.malformed else set()
        causes |= {Exit.NOTHING_FOUND} if not self.bundles and not self.malformed else set()
        return next(code for code in PRECEDENCE if code in causes)

    def to_json(self) -> dict[str, Any]:
        """The report as its file has it, without the rows of `problems`."""
        return {
            "version": self.version,
            "to": self.to,
            "bundles": {"found": self.bundles, "malformed": self.malformed},
            **delivery_json(self.delivery),
            "problems": [],
            "seconds": round(self.seconds, 3),
            "exit_code": int(self.exit_code),
        }


def _numbers(counts: Files | Instances | SeriesCount | Studies | Tally) -> dict[str, int]:
    return {name: getattr(counts, name) for name in counts.__slots__}


def delivery_json(delivery: Delivered | None) -> dict[str, Any]:
    """What a report says of sending, where there was any."""
    return {} if delivery is None else {"delivery": _numbers(delivery.tally)}


def delivery_causes(delivery: Delivered | None) -> set[Exit]:
    """The exit codes that a delivery gives a reason for."""
    if delivery is None:
        return set()
    refused = delivery.tally.refused or delivery.tally.unknown
    return {delivery.cause} | ({Exit.REFUSED} if refused else set())


def _input_lost(report: Report) -> bool:
    lost = report.files.rejected + report.files.unreadable + report.instances.withheld + report.studies.withheld
    return lost > 0 or report.rows(Code.PATIENT_FORCED) > 0


def _identities(report: Report) -> Iterator[tuple[str, int, int]]:
    files, instances, studies = report.files, report.instances, report.studies
    buckets = files.dicom + files.not_dicom + files.rejected + files.unreadable + files.excluded
    duplicates = instances.duplicate_identical + instances.duplicate_conflicting
    fates = instances.emitted + duplicates + instances.out_of_scope + instances.withheld
    yield "files.seen = dicom + not_dicom + rejected + unreadable + excluded", files.seen, buckets
    yield "files.dicom = instances.dicom", files.dicom, instances.dicom
    yield "instances.dicom = emitted + duplicates + out_of_scope + withheld", instances.dicom, fates
    yield "instances.emitted = the sum of numberOfInstances", instances.emitted, report.numbered
    yield "instances.emitted = distinct (study, series, SOP Instance UID)", instances.emitted, report.distinct
    yield "studies.found = emitted + withheld", studies.found, studies.emitted + studies.withheld
    if report.delivery is not None:
        yield "studies.emitted = accepted + pending + unknown + refused", studies.emitted, report.delivery.tally.total
        undelivered = studies.emitted - report.delivery.tally.accepted
        yield "studies.emitted - accepted = rows", undelivered, sum(report.undelivered_counts.values())
    yield "files.not_dicom = rows", files.not_dicom, report.rows_in(Bucket.NOT_DICOM)
    yield "files.rejected = rows", files.rejected, report.rows_in(Bucket.REJECTED)
    yield "files.unreadable = rows", files.unreadable, report.rows_in(Bucket.UNREADABLE)
    yield "files.excluded = rows", files.excluded, report.rows_in(Bucket.EXCLUDED)
    yield "instances.out_of_scope = rows", instances.out_of_scope, report.rows_in(Bucket.OUT_OF_SCOPE)
    yield "instances.duplicate_identical = rows", instances.duplicate_identical, report.rows(Code.DUPLICATE_IDENTICAL)
    conflicting = report.rows(Code.DUPLICATE_CONFLICTING)
    yield "instances.duplicate_conflicting = rows", instances.duplicate_conflicting, conflicting
    yield "instances.withheld = rows", instances.withheld, report.rows_in(Bucket.WITHHELD)


def printable_path(path: str) -> str:
    r"""A path as text: bytes that are no UTF-8 (surrogate escapes in `path`) are written as `\xNN`."""
    return os.fsencode(path).decode("utf-8", "backslashreplace")


def problem_row(problem: Problem) -> dict[str, Any]:
    """One row of the report's `problems`."""
    return {
        "severity": str(problem.severity),
        "code": str(problem.code),
        "where": problem.where,
        "path": printable_path(problem.path),
        "message": problem.message,
        "count": problem.count,
    }


def check_report_path(path: str, *, overwrite: bool = False) -> None:
    """Raises `OutputExists` where a file is there that is not an earlier report, unless `overwrite`."""
    if overwrite or not os.path.isfile(path):
        return
    with environment("reading the earlier report"), open(path, "rb") as file:
        start = file.read(len(_FIRST_BYTES))
    if start and start != _FIRST_BYTES:
        raise OutputExists("the report's file exists and is not a report; --overwrite replaces it")


def write_report(path: str, report: dict[str, Any], problems: Iterable[Problem]) -> None:
    """Write a report, whole or not at all; the rows of its `problems` are streamed. Raises `EnvironmentFailed`.

    `path` is `-` for standard output; what may be written over was checked by `check_report_path`.
    """
    before, after = compact(report).split(b'"problems":[]')
    target = outlet(path, overwrite=True)
    try:
        target.open()
        target.write(before + b'"problems":[')
        for number, problem in enumerate(problems):
            target.write((b",\n" if number else b"\n") + compact(problem_row(problem)))
        target.write(b"]" + after + b"\n")
        target.commit()
    except BaseException:
        target.abort()
        raise


# What was lost, or is less than it could be: the code, what is counted (one, many), what is said of it, what helps.
HINTS: tuple[tuple[Code, tuple[str, str], str, str], ...] = (
    (Code.PATIENT_CONFLICT, INSTANCES, "in a study of several patients", "--force-patient takes the majority's"),
    (Code.PATIENT_FORCED, STUDIES, "of several patients, given to the majority's", "--report FILE names them"),
    (Code.INVALID_RESOURCE, INSTANCES, "in a study that fails the FHIR model: a bug", "--no-validate lets it pass"),
    (Code.DEADLINE, FILES, "too slow to read", "--deadline SECONDS gives more time"),
    (Code.MEMORY_LIMIT, FILES, "too large to read", "--memory-limit MB gives more memory"),
    (Code.SYMLINK, LINKS, "not followed", "--follow-symlinks follows them"),
    (
        Code.PATIENT_WITHOUT_SYSTEM,
        STUDIES,
        "whose patient has no system, so that each holds a patient of its own",
        "--system patient=URI (or [issuers] in the config) links them",
    ),
    (Code.BODY_PART_UNMAPPED, ("body part", "body parts"), "in no table", "[body-parts] in the config adds them"),
    (Code.CODE_WITHOUT_SYSTEM, ("code", "codes"), "of an unknown scheme", "[coding-schemes] in the config adds it"),
    (Code.MODALITY_UNKNOWN, ("modality", "modalities"), "unknown, so OT", "[modalities] in the config maps them"),
)


def summary_lines(report: Report, *, dry_run: bool = False) -> list[str]:
    """What the user is told at the end: what was written, what was lost, and which option helps."""
    lines = [_headline(report, dry_run)]
    if report.delivery is not None:
        lines += delivery_lines(report.delivery, report.undelivered_counts, STUDIES, dry_run=dry_run)
    lines += _bucket_lines(report)
    undated = report.rows(Code.NO_TIME_ZONE)
    if undated:
        lines.append(
            f"{undated} of {_count(report.studies.found, STUDIES)} {'has' if undated == 1 else 'have'} "
            "no time zone; `--timezone Europe/Berlin` keeps their times."
        )
    for code, noun, what, remedy in HINTS:
        if report.rows(code):
            lines.append(f"{_count(report.rows(code), noun)} {what}; {remedy}.")
    notes = _by_code(report, Bucket.NOTE)
    if notes:
        lines.append(f"Notes: {notes} (`dicom2fhir problems` says what they mean).")
    lines += [f"A bug: the accounting does not hold: {broken}." for broken in report.identities()]
    return lines


def delivery_lines(
    delivery: Delivered, undelivered: Mapping[Code, int], noun: tuple[str, str], *, dry_run: bool = False
) -> list[str]:
    """What became of what was sent, why the rest was not accepted, and what helps. `noun` says what was counted."""
    tally = delivery.tally
    fates = (
        (delivery.created, "new"),
        (delivery.changed, "changed"),
        (delivery.unchanged, "unchanged"),
        (delivery.skipped, "there already and skipped"),
        (delivery.earlier, "sent by an earlier run"),
    )
    how = ", ".join(f"{number} {what}" for number, what in fates if number)
    done = "would be accepted (dry run)" if dry_run else "accepted by the server"
    repeated = f", {tally.retries} of them repeated" if tally.retries else ""
    sent = f"{_count(tally.requests, ('request', 'requests'))}{repeated}, {tally.bytes:,} bytes sent"
    lines = [f"{_count(tally.accepted, noun)} {done}{f': {how}' if how else ''}; {sent}."]
    lost = ((tally.refused, "refused"), (tally.unknown, "of unknown outcome"), (tally.pending, "not sent"))
    codes = ", ".join(f"{code} {count}" for code, count in sorted(undelivered.items()))
    if tally.total != tally.accepted:
        lines.append(f"{', '.join(f'{_count(n, noun)} {what}' for n, what in lost if n)}: {codes}.")
    if delivery.stopped:
        lines.append(f"Sending stopped: {delivery.stopped.rstrip('.')}.")
    if delivery.left_over:
        left = _count(delivery.left_over, noun)
        lines.append(f"{left} of earlier runs not accepted yet; `dicom2fhir send --state DIR` sends what waits.")
    return lines


def send_lines(report: SendReport, *, dry_run: bool = False) -> list[str]:
    """What the user of `send` is told at the end."""
    lines = [f"{_count(report.bundles, BUNDLES)} found in {report.seconds:.1f} s."]
    if report.delivery is not None:
        lines += delivery_lines(report.delivery, report.undelivered_counts, BUNDLES, dry_run=dry_run)
    if report.malformed:
        lines.append(
            f"{_count(report.malformed, ('record', 'records'))} that cannot be sent; --report FILE says which."
        )
    return lines + [f"A bug: the accounting does not hold: {broken}." for broken in report.identities()]


def _headline(report: Report, dry_run: bool) -> str:
    done = "would be written (dry run)" if dry_run else "converted" if report.delivery else "written"
    written = ", ".join(
        (
            _count(report.studies.emitted, STUDIES),
            f"{report.series.emitted} series",
            _count(report.instances.emitted, INSTANCES),
        )
    )
    return f"{written} {done}; {_count(report.files.seen, FILES)} seen in {report.seconds:.1f} s."


def _bucket_lines(report: Report) -> list[str]:
    files, instances = report.files, report.instances
    duplicates = instances.duplicate_identical + instances.duplicate_conflicting
    withheld = f"withheld, of {_count(report.studies.withheld, STUDIES)} ({report.studies.found} were found)"
    parts = (
        (files.not_dicom, FILES, "not DICOM", Bucket.NOT_DICOM),
        (files.rejected, FILES, "rejected", Bucket.REJECTED),
        (files.unreadable, PLACES, "not readable", Bucket.UNREADABLE),
        (files.excluded, PLACES, "left out", Bucket.EXCLUDED),
        (instances.out_of_scope, INSTANCES, "out of scope", Bucket.OUT_OF_SCOPE),
        (duplicates, INSTANCES, "duplicates", Bucket.DUPLICATE),
        (instances.withheld, INSTANCES, withheld if report.studies.withheld else "withheld", Bucket.WITHHELD),
    )
    return [f"{_count(n, noun)} {what}: {_by_code(report, bucket)}." for n, noun, what, bucket in parts if n]


def _by_code(report: Report, bucket: Bucket) -> str:
    counts = [(code, report.rows(code)) for code in Code if MEANINGS[code].bucket is bucket and report.rows(code)]
    return ", ".join(f"{code} {count}" for code, count in counts)


def _count(count: int, noun: tuple[str, str]) -> str:
    return f"{count} {noun[0] if count == 1 else noun[1]}"
