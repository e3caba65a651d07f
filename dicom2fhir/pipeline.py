"""The whole way from files to FHIR: the only room that sees both ends."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Generator, Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Literal

from dicom2fhir import __version__
from dicom2fhir.dicom.records import Scope, StudyRecords
from dicom2fhir.fhir.dialect import Dialect, hold
from dicom2fhir.fhir.policy import Policy, StudyGate
from dicom2fhir.fhir.rehearsal import rehearsing
from dicom2fhir.fhir.versions import DIALECTS
from dicom2fhir.index import StudyIndex
from dicom2fhir.mapping import Elsewhere, Settings, build_study
from dicom2fhir.model import Study
from dicom2fhir.press import Counts, Press, Pressed
from dicom2fhir.presses import press_all, worth
from dicom2fhir.problems import Bucket, Code, Problem
from dicom2fhir.report import Report, SendReport, write_report
from dicom2fhir.sinks.base import Sender, Sink
from dicom2fhir.sources.base import Found
from dicom2fhir.workers import Limits, Spare, Task, read_all

if TYPE_CHECKING:
    from dicom2fhir.server.delivery import Delivery
    from dicom2fhir.server.parcels import Parcel

_HEADER = "dicom2fhir.dicom.header"


@dataclass(frozen=True, slots=True)
class Options:
    """Everything a run needs to know besides its input and output."""

    to: str = "r4"
    policy: Policy = field(default_factory=Policy)
    mapping: Settings = field(default_factory=Settings)
    scope: Scope = field(default_factory=Scope)
    limits: Limits = field(default_factory=Limits)
    reader: Literal["auto", "pydicom"] = "auto"
    jobs: int = 1
    validate: bool = True
    report: str | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is: files read, studies done of `total_studies` (None while reading), problems so far.

    While sending, the studies that are done are those that have come to an end at the server.
    """

    phase: Literal["reading", "writing", "sending"]
    files: int
    studies: int
    problems: int
    total_studies: int | None = None


def reading_task(options: Options) -> Task:
    """How a run's files are read."""
    return Task(
        f"{_HEADER}:read_fetched",
        (options.scope, options.reader),
        prepare=f"{_HEADER}:quiet",
        fetch=f"{_HEADER}:fetch_file",
        pack="dicom2fhir.dicom.runs:pack",
    )


OnEvent = Callable[[Progress], None]
Source = Iterable[Found | Problem]


def _ignore(event: Progress) -> None:
    """The hook of those who do not watch."""


def convert(
    source: Source, sink: Sink, options: Options, on_event: OnEvent = _ignore, spare: Spare | None = None
) -> Report:
    """Read the source, write every study into the sink, account for every file.

    Nothing is written before the crawl has ended. Whatever ends the run early leaves the sink aborted. `spare` is a
    reading process that was started already.

    Raises:
        UsageError: the options ask for what these studies do not allow; nothing was written.
        EnvironmentFailed: the machine failed; the same command resumes.
    """
    dialect = DIALECTS[options.to]
    dialect.check(options.policy)
    with StudyIndex() as index:
        run = _Run(index, options, on_event)
        try:
            sink.open(index)
            with rehearsing(options.to) if options.validate else nullcontext():
                run.read(source, spare)
            run.write(dialect, sink)
            if isinstance(sink, Sender):
                run.settle(sink)
            sink.finish()
        except BaseException:
            sink.abort()
            raise
        report = run.close()
        if options.report is not None:
            write_report(options.report, report.to_json(), index.problems())
        return report


def send(
    letters: Iterable[Parcel | Problem], delivery: Delivery, report: SendReport, on_event: OnEvent = _ignore
) -> list[Problem]:
    """Send what lies ready, account for every Bundle in `report`; the problems, of input and of delivery.

    Raises as `convert` does.
    """
    problems: list[Problem] = []
    try:
        delivery.open()
        for each in letters:
            if isinstance(each, Problem):
                report.malformed += 1
                problems.append(each)
            else:
                delivery.hand_over(each)
                report.bundles += 1
            problems += delivery.problems()
        total = report.bundles
        report.delivery = delivery.close(lambda left: on_event(Progress("sending", 0, total - left, 0, total)))
    except BaseException:
        delivery.abort()
        raise
    problems += delivery.problems()
    report.undelivered_counts = Counter(each.code for each in problems if each.code is not Code.MALFORMED)
    return problems


def survey(
    source: Source,
    options: Options,
    visit: Callable[[Study | None, str, list[Problem]], None],
    on_event: OnEvent = _ignore,
) -> tuple[Report, list[Problem]]:
    """The same crawl without writing: `visit` gets every study (None where it is withheld), its UID and problems.

    Returns the report, which counts as emitted what was shown, and the problems of files that belong to no study.
    """
    with StudyIndex() as index:
        run = _Run(index, options, on_event)
        run.read(source)
        outside = [problem for problem in index.problems() if problem.bucket is not Bucket.NOTE]
        for records in index.studies():
            study, problems = run.map(records)
            visit(study, records.uid, problems)
            run.count_study(records.uid, study, problems)
            if study is not None:
                run.count_emitted(study.uid, Counts(len(study.series), study.instance_count, study.instance_count))
        return run.close(), outside


class _Run:
    """One run: its index, its report, its clock."""

    def __init__(self, index: StudyIndex, options: Options, on_event: OnEvent) -> None:
        self._index, self._options, self._on_event = index, options, on_event
        self._report = Report(__version__, options.to)
        self._started = monotonic()
        self._problems = 0
        self._total: int | None = None
        self._elsewhere = Elsewhere(index, options.mapping)

    def read(self, source: Source, spare: Spare | None = None) -> None:
        """Crawl and read everything into the index."""
        task = reading_task(self._options)
        limits, jobs = self._options.limits, self._options.jobs
        # closed at once where this ends early: no process and no temporary file waits for the garbage collector
        with (
            closing(self._found(source)) as files,
            closing(read_all(files, task, limits, jobs, self._tick, spare)) as results,
        ):
            for path, reading in results:
                if reading[0] == "run":
                    self._add(*reading[1:])
                else:
                    self._skip(Problem(Code(reading[1]), reading[3], path, reading[2]))
        self._index.settle()
        self._total = self._index.study_count()
        self._tick()

    def _add(self, digest: bytes, body: str | None, count: int, uids: str, rest: bytes) -> None:
        self._report.files.dicom += count
        self._report.instances.dicom += count
        self._index.add(digest, body, uids, rest)

    def _found(self, source: Source) -> Generator[list[str], None, None]:
        for item in source:
            if isinstance(item, Found):
                self._report.files.seen += len(item.paths)
                yield item.paths
            else:
                self._report.files.seen += 1
                self._skip(item)

    def _tick(self) -> None:
        self._event("reading" if self._total is None else "writing", self._report.studies.found, self._total)

    def _event(self, phase: Literal["reading", "writing", "sending"], studies: int, total: int | None) -> None:
        files = self._report.files
        done = files.dicom + files.not_dicom + files.rejected + files.unreadable + files.excluded
        self._on_event(Progress(phase, done, studies, self._problems, total))

    def _skip(self, problem: Problem) -> None:
        """Count a file that gave no instance of a study in the bucket of its code."""
        self._keep(problem)
        files, instances = self._report.files, self._report.instances
        if problem.bucket is Bucket.OUT_OF_SCOPE:
            files.dicom += 1
            instances.dicom += 1
            instances.out_of_scope += 1
        else:
            setattr(files, problem.bucket.value, getattr(files, problem.bucket.value) + 1)

    def _keep(self, problem: Problem) -> None:
        self._problems += 1
        self._index.note(problem)

    def settle(self, sink: Sender) -> None:
        """Wait for what was sent; what was not accepted has rows of its own, for it was written here."""
        emitted = self._report.studies.emitted
        self._report.delivery = sink.settle(lambda left: self._event("sending", emitted - left, emitted))
        self._keep_written(sink.problems())

    def _keep_written(self, problems: Iterable[Problem]) -> None:
        """Keep what a sink says: notes, and studies that a server did not accept."""
        for problem in problems:
            if problem.bucket is Bucket.NOTE:
                self._keep(problem)
            else:
                self._problems += 1
                self._index.note_undelivered(problem)

    def map(self, records: StudyRecords) -> tuple[Study | None, list[Problem]]:
        """One study and its problems, in the light of the others."""
        return build_study(records, self._options.mapping, self._elsewhere)

    def write(self, dialect: Dialect, sink: Sink) -> None:
        """Press every study (see `press`), write it and account for it."""
        self._admit_all(dialect)
        options = self._options
        press = Press(dialect, options.policy, options.mapping, self._elsewhere, sink.encode, options.validate)
        with closing(press_all(self._index.all_rows(), press, self._presses(sink))) as pressed:
            for each in pressed:
                self._write(each, sink)
                self._tick()

    def _presses(self, sink: Sink) -> int:
        """How many processes press besides this one; none for a sender, whose threads have begun."""
        if isinstance(sink, Sender):
            return 0
        return worth(self._options.jobs, self._report.instances.dicom, self._index.study_count())

    def _admit_all(self, dialect: Dialect) -> None:
        """Some ways of naming the patient are impossible for some studies: known before anything is written."""
        if self._options.policy.patient in ("auto", "contained"):
            return
        gate = StudyGate(self._options.policy)
        for records in self._index.studies():
            study, _ = self.map(records)
            if study is not None and hold(study, dialect).study is not None:
                gate.admit(study)

    def count_study(self, uid: str, study: Study | None, problems: list[Problem]) -> None:
        """Count a mapped study and keep its problems; one without a single patient is withheld."""
        self._count(uid, problems, Code.PATIENT_CONFLICT if study is None else None)

    def _count(self, uid: str, problems: list[Problem], withheld: Code | None) -> None:
        self._report.studies.found += 1
        for problem in problems:
            self._keep(problem)
        if withheld is not None:
            self._withhold(uid, withheld)

    def _withhold(self, uid: str, code: Code) -> None:
        self._report.studies.withheld += 1
        self._report.instances.withheld += self._index.withhold(uid, code)

    def _write(self, pressed: Pressed, sink: Sink) -> None:
        """Account for a study, and write what the version can hold of it; the rest, or all of it, is withheld."""
        self._count(pressed.uid, pressed.problems, pressed.withheld)
        if pressed.withheld is None:
            self._keep_written(sink.write(pressed.encoded))
            self.count_emitted(pressed.uid, pressed.counts, self._leave_out(pressed))

    def _leave_out(self, pressed: Pressed) -> int:
        """Account for the instances of a written study that the version cannot hold; how many."""
        parts = pressed.left_out.items()
        return sum(self._index.withhold(pressed.uid, Code.UID_NOT_AN_OID, uids, series) for series, uids in parts)

    def count_emitted(self, uid: str, counts: Counts, left_out: int = 0) -> None:
        """Count a study that was written, or in a survey shown."""
        report = self._report
        report.instances.withheld += left_out
        report.studies.emitted += 1
        report.series.emitted += counts.series
        report.instances.emitted += counts.instances
        report.numbered += counts.numbered
        report.distinct += self._index.distinct_instances(uid) - left_out

    def close(self) -> Report:
        """The report with everything that was counted."""
        counts = self._index.problem_counts()
        self._report.instances.duplicate_identical = counts.get(Code.DUPLICATE_IDENTICAL, 0)
        self._report.instances.duplicate_conflicting = counts.get(Code.DUPLICATE_CONFLICTING, 0)
        self._report.problem_counts = counts
        self._report.undelivered_counts = self._index.undelivered_counts()
        self._report.seconds = monotonic() - self._started
        return self._report
