"""The whole way, with real workers and a sink in memory: what is lost is counted, and every identity holds."""

from __future__ import annotations

import io
import json
import os
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from builders import FAULTS, dataset, encode, uid, write
from check import Collected, replay

from dicom2fhir import pipeline
from dicom2fhir.dicom.records import Scope
from dicom2fhir.errors import EnvironmentFailed, Exit, UsageError
from dicom2fhir.fhir import versions
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.mapping import Settings
from dicom2fhir.model import Study
from dicom2fhir.pipeline import Options, Progress, convert, survey
from dicom2fhir.problems import Code, Problem
from dicom2fhir.report import Report
from dicom2fhir.sinks.choose import choose
from dicom2fhir.sources.directory import Paths, Selection
from dicom2fhir.sources.filelist import FileList

DICOMDIR = FAULTS / "dicomdir" / "DICOMDIR"


class Recorder(Collected):
    """A sink that remembers what was asked of it."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    def open(self, seen: Any) -> None:
        self.calls.append("open")

    def write(self, encoded: list[bytes]) -> tuple[Problem, ...]:
        self.calls.append("write")
        return super().write(encoded)

    def finish(self) -> None:
        self.calls.append("finish")

    def abort(self) -> None:
        self.calls.append("abort")


def run(source: Any, options: Options | None = None, sink: Any = None) -> tuple[Report, Recorder]:
    """Convert; every identity has to hold."""
    sink = sink or Recorder()
    source = Paths([str(source)]) if isinstance(source, Path) else source
    report = convert(source, sink, options or Options())
    assert report.identities() == []
    return report, sink


def objects(folder: Path, **named: Any) -> Path:
    """A folder of files by their names."""
    for name, content in named.items():
        write(folder / name, content)
    return folder


def studies(sink: Collected) -> list[str]:
    """The Study Instance UIDs in the order in which they were written."""
    resources = [entry["resource"] for bundle in sink.bundles for entry in bundle["entry"]]
    written = [each for each in resources if each["resourceType"] == "ImagingStudy"]
    return [each["identifier"][0]["value"].removeprefix("urn:oid:") for each in written]


def codes(report: Report) -> dict[str, int]:
    return {code.value: count for code, count in report.problem_counts.items()}


# Everything at once


def everything(folder: Path) -> Path:
    """A folder with one of each fate."""
    good = dataset()
    return objects(
        folder,
        a=good,
        b=good,
        c=dataset(InstanceNumber="9"),
        d=dataset(study=2, PatientID="A"),
        e=dataset(study=2, number=2, PatientID="B"),
        f=dataset(study=3),
        g=encode(dataset(study=3, number=2))[:-400],
        h=dataset(study=3, number=3, SOPInstanceUID="x"),
        i=b"no DICOM at all",
        j=b"",
        k=DICOMDIR.read_bytes(),
        l=dataset("hanging-protocol"),
        m=dataset("sr", study=3, series=2),
        skip_me=b"anything",
    )


def test_every_file_has_one_fate(tmp_path: Path) -> None:
    everything(tmp_path / "in")
    os.mkfifo(tmp_path / "in" / "fifo")
    os.symlink("a", tmp_path / "in" / "link")
    out = tmp_path / "report.json"
    source = Paths([str(tmp_path / "in")], Selection(exclude=("skip*",)))
    report, sink = run(source, Options(scope=Scope(frozenset({"SR"})), report=str(out)))
    assert report.exit_code is Exit.INPUT_LOST
    said = json.loads(out.read_text())
    assert said["files"] == {
        "seen": 16, "dicom": 9, "not_dicom": 2, "rejected": 2, "unreadable": 0, "excluded": 3, "containers": 0,
    }  # fmt: skip
    counts = said["instances"]
    assert counts.pop("duplicate_identical") + counts.pop("duplicate_conflicting") == 2
    assert counts == {"dicom": 9, "emitted": 2, "out_of_scope": 3, "withheld": 2}
    assert said["studies"] == {"found": 3, "emitted": 2, "withheld": 1}
    assert said["series"] == {"emitted": 2}
    assert said["exit_code"] == 3
    assert studies(sink) == [uid(1), uid(3)]
    lost = sorted((row["code"], os.path.basename(row["path"])) for row in said["problems"] if row["path"])
    identical = {"a", "b", "c"} & {name for code, name in lost if code.startswith("duplicate")}
    assert len(identical) == 2
    assert [row for row in lost if not row[0].startswith("duplicate")] == [
        ("bad-uid", "h"),
        ("dicomdir", "k"),
        ("empty-file", "j"),
        ("excluded", "skip_me"),
        ("excluded-modality", "m"),
        ("not-a-patient-object", "l"),
        ("not-dicom", "i"),
        ("patient-conflict", "d"),
        ("patient-conflict", "e"),
        ("special-file", "fifo"),
        ("symlink", "link"),
        ("truncated-header", "g"),
    ]


@pytest.mark.parametrize("jobs", [1, 2])
def test_neither_processes_nor_order_nor_place_change_a_byte(jobs: int, tmp_path: Path) -> None:
    one, two = everything(tmp_path / "one"), tmp_path / "elsewhere" / "two"
    for number, path in enumerate(sorted(one.iterdir(), reverse=True)):
        write(two / f"{number % 3}" / path.name, path.read_bytes())
    first, second = run(one)[1], run(two, Options(jobs=jobs))[1]
    assert first.lines == second.lines
    assert len(first.lines) == 2


@pytest.mark.parametrize("case", sorted(path.name for path in FAULTS.iterdir()))
def test_identities_hold_for_every_fault_and_no_message_holds_a_value(case: str, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    with patch.object(pipeline, "read_all", replay):
        run(FAULTS / case, Options(report=str(out)))
    messages = [row["message"] for row in json.loads(out.read_text())["problems"]]
    assert not any("Testperson" in message or "1.2.826" in message for message in messages)


# Withheld


def test_a_study_of_two_patients_is_withheld_whole(tmp_path: Path) -> None:
    folder = objects(tmp_path, a=dataset(PatientID="A"), b=dataset(number=2, PatientID="B"), c=dataset(study=2))
    report, sink = run(folder)
    assert (report.studies.withheld, report.instances.withheld, report.exit_code) == (1, 2, Exit.INPUT_LOST)
    assert studies(sink) == [uid(2)]


def test_a_forced_patient_is_written_and_still_an_exit_of_3(tmp_path: Path) -> None:
    folder = objects(tmp_path, a=dataset(PatientID="A"), b=dataset(number=2, PatientID="B"))
    report, sink = run(folder, Options(mapping=Settings(force_patient=True)))
    assert studies(sink) == [uid(1)]
    assert (report.studies.withheld, report.exit_code) == (0, Exit.INPUT_LOST)


@pytest.fixture
def liar(monkeypatch: pytest.MonkeyPatch) -> None:
    """A version that writes a status which FHIR does not know, for studies of more than one series."""
    honest = versions.DIALECTS["r4"]

    def status(scope: Any, study: Study) -> str:
        return "available" if len(study.series) == 1 else "imagined"

    wrong = replace(honest, study={**honest.study, "status": status})
    monkeypatch.setattr(pipeline, "DIALECTS", {"r4": wrong})


def two_studies(folder: Path) -> Path:
    return objects(folder, a=dataset(), b=dataset(series=2), c=dataset(series=2), d=dataset(study=2))


@pytest.mark.usefixtures("liar")
def test_what_fails_the_referee_withholds_its_study_alone(tmp_path: Path) -> None:
    report, sink = run(two_studies(tmp_path))
    assert studies(sink) == [uid(2)]
    assert (report.studies.found, report.studies.emitted, report.studies.withheld) == (2, 1, 1)
    assert (report.instances.withheld, report.instances.duplicate_identical) == (2, 1)
    assert codes(report)["invalid-resource"] == 2
    assert report.exit_code is Exit.INPUT_LOST


@pytest.mark.usefixtures("liar")
def test_without_the_referee_it_is_written_and_the_accounting_stays(tmp_path: Path) -> None:
    report, sink = run(two_studies(tmp_path), Options(validate=False))
    assert studies(sink) == [uid(1), uid(2)]
    assert (report.exit_code, report.instances.emitted) == (Exit.OK, 3)


def test_without_the_referee_uids_are_checked_all_the_same(tmp_path: Path) -> None:
    report, _ = run(objects(tmp_path, a=dataset(SeriesInstanceUID="1.2.x")), Options(validate=False))
    assert codes(report) == {"bad-uid": 1}
    assert report.exit_code is Exit.INPUT_LOST


def test_a_count_that_was_not_written_is_a_bug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The accounting reads what the resource says, not what the model meant."""
    honest = versions.DIALECTS["r4"]
    wrong = replace(honest, study={**honest.study, "numberOfInstances": lambda scope, study: 7})
    monkeypatch.setattr(pipeline, "DIALECTS", {"r4": wrong})
    report = convert(Paths([str(objects(tmp_path, a=dataset()))]), Recorder(), Options())
    assert report.exit_code is Exit.BUG
    assert len(report.identities()) == 1


def test_what_an_oid_refuses_is_withheld_where_the_version_has_oids(tmp_path: Path) -> None:
    """Each in a study of its own: one of two instances, all of one series, all of a study, the study itself."""
    folder = objects(
        tmp_path,
        a=dataset(),
        b=dataset(number=2, SOPInstanceUID="1.2.03"),
        c=dataset(number=2, SOPInstanceUID="1.2.03", InstanceNumber="7"),
        d=dataset(study=2),
        e=dataset(study=2, series=2, SeriesInstanceUID="3.2.1"),
        f=dataset(study=2, series=2, number=2, SeriesInstanceUID="3.2.1"),
        g=dataset(study=2, SeriesInstanceUID="1.2.08", SOPInstanceUID=uid(2, 1, 1)),
        h=dataset(study=3, SOPClassUID="1.2.00"),
        i=dataset(StudyInstanceUID="1.2.04"),
        j=dataset(StudyInstanceUID="1.2.04", number=2),
    )
    report, sink = run(folder, Options(to="stu3"))
    assert (report.studies.found, report.studies.emitted, report.studies.withheld) == (4, 2, 2)
    assert (report.instances.emitted, report.instances.withheld, report.instances.duplicate_conflicting) == (2, 7, 1)
    assert codes(report)["uid-not-an-oid"] == 7
    assert report.exit_code is Exit.INPUT_LOST
    written = [bundle["entry"][-1]["resource"] for bundle in sink.bundles]
    assert [each["uid"] for each in written] == [f"urn:oid:{uid(number)}" for number in (1, 2)]
    assert all((each["numberOfSeries"], each["numberOfInstances"]) == (1, 1) for each in written)
    as_ids, _ = run(folder, Options(to="r4"))
    assert (as_ids.instances.emitted, as_ids.instances.withheld) == (9, 0)


def test_a_study_that_is_withheld_needs_no_patient(tmp_path: Path) -> None:
    settings = Settings(systems={"patient": "http://p"})
    folder = objects(tmp_path, a=dataset(PatientID="1"), b=dataset(StudyInstanceUID="1.2.04", PatientID=None))
    options = Options(to="stu3", policy=Policy(patient="create"), mapping=settings)
    assert run(folder, options)[0].studies.withheld == 1
    with pytest.raises(UsageError):
        run(folder, replace(options, to="r4"))


# Scope and lists


def test_scope_is_counted_and_leaves_no_empty_study(tmp_path: Path) -> None:
    folder = objects(tmp_path, a=dataset(), b=dataset("sr", series=2), c=dataset("sr", study=2))
    report, sink = run(folder, Options(scope=Scope(frozenset({"SR"}))))
    assert (report.studies.found, report.instances.out_of_scope, report.files.dicom) == (1, 2, 3)
    assert studies(sink) == [uid(1)]
    assert report.exit_code is Exit.OK
    report, _ = run(folder, Options(scope=Scope(sop_classes=frozenset({"1.2.840.10008.5.1.4.1.1.2"}))))
    assert codes(report)["excluded-sop-class"] == 1
    report, sink = run(folder, Options(scope=Scope(frozenset({"SR", "CT"}))))
    assert (report.studies.found, sink.lines, report.exit_code) == (0, [], Exit.NOTHING_FOUND)


def test_counts_hold_where_instances_are_not_listed(tmp_path: Path) -> None:
    folder = objects(tmp_path, a=dataset(), b=dataset(number=2), c=dataset(study=2))
    for settings, listed in (
        (Settings(series_only=True), 0),
        (Settings(max_instances=1), 1),
        (Settings(max_instances=2), 3),
    ):
        report, sink = run(folder, Options(mapping=settings))
        text = b"".join(sink.lines)
        assert (report.instances.emitted, text.count(b'"sopClass"')) == (3, listed)
        assert codes(report).get("instances-omitted", 0) == {0: 2, 1: 1, 3: 0}[listed]


def test_a_file_reached_twice_is_one(tmp_path: Path) -> None:
    folder = objects(tmp_path / "in", a=dataset(), b=dataset(number=2))
    for paths in ([folder, folder], [folder, folder / "a"], [folder / "a", folder], [tmp_path, folder / "b", folder]):
        report, _ = run(Paths([str(path) for path in paths]))
        assert (report.files.seen, report.instances.emitted) == (2, 2)


@pytest.mark.parametrize("separator", [b"\n", b"\0"])
def test_a_list_of_paths(separator: bytes, tmp_path: Path) -> None:
    folder = objects(tmp_path / "in", a=dataset(), b=dataset(number=2))
    lines = [folder / "a", folder / "gone", folder, folder / "b", ""]
    listed = separator.join(os.fsencode(str(line)) for line in lines)
    report, _ = run(FileList(io.BytesIO(listed), separator))
    assert (report.files.seen, report.instances.emitted) == (3, 2)
    assert codes(report)["vanished"] == 1
    assert report.exit_code is Exit.INPUT_LOST


def test_nothing_found(tmp_path: Path) -> None:
    report, sink = run(objects(tmp_path, a=b"text"))
    assert (report.exit_code, sink.lines, sink.calls) == (Exit.NOTHING_FOUND, [], ["open", "finish"])


def test_files_that_are_lost_are_never_nothing_found(tmp_path: Path) -> None:
    report, _ = run(objects(tmp_path, a=encode(dataset())[:200]))
    assert report.exit_code is Exit.INPUT_LOST


# Dry runs


@pytest.mark.parametrize("shape", ["bundles", "bundle", "ndjson"])
def test_a_dry_run_counts_as_if(shape: Any, tmp_path: Path) -> None:
    folder, out = everything(tmp_path / "in"), tmp_path / "out"
    options = Options(policy=Policy(shape=shape))
    said = {}
    for name, dry in (("wet", False), ("dry", True)):
        report = replace(options, report=str(tmp_path / f"{name}.json"))
        run(folder, report, choose(str(out), shape, dry_run=dry, overwrite=True))
        said[name] = json.loads((tmp_path / f"{name}.json").read_text())
        del said[name]["seconds"]
        assert out.exists() == (not dry)
        out.unlink(missing_ok=True)
    assert said["wet"] == said["dry"]


# What ends a run early


def failing(when: str, error: BaseException) -> Recorder:
    class Failing(Recorder):
        def _maybe(self, name: str) -> None:
            if name == when:
                raise error

        def open(self, seen: Any) -> None:
            super().open(seen)
            self._maybe("open")

        def write(self, encoded: list[bytes]) -> tuple[Problem, ...]:
            self._maybe("write")
            return super().write(encoded)

        def finish(self) -> None:
            self._maybe("finish")

    return Failing()


@pytest.mark.parametrize("when", ["open", "write", "finish"])
@pytest.mark.parametrize("error", [KeyboardInterrupt(), EnvironmentFailed("full"), BrokenPipeError()], ids=repr)
def test_whatever_ends_a_run_aborts_the_sink_and_leaves_no_report(
    when: str, error: BaseException, tmp_path: Path
) -> None:
    sink, out = failing(when, error), tmp_path / "report.json"
    with pytest.raises(type(error)):
        convert(Paths([str(objects(tmp_path / "in", a=dataset()))]), sink, Options(report=str(out)))
    assert sink.calls[-1] == "abort"
    assert "finish" not in sink.calls
    assert not out.exists()


@pytest.mark.parametrize("phase", ["reading", "writing"])
def test_an_interrupt_leaves_neither_processes_nor_files(phase: str, tmp_path: Path) -> None:
    def interrupt(event: Progress) -> None:
        if event.phase == phase:
            raise KeyboardInterrupt

    folder = objects(tmp_path, **{f"n{number}": dataset(number=number) for number in range(1, 30)})
    sink, before = Recorder(), open_files()
    with pytest.raises(KeyboardInterrupt):
        convert(slowly(folder), sink, Options(jobs=2), interrupt)
    assert sink.calls == ["open", "abort"]
    assert children() == []
    assert open_files() == before


def slowly(folder: Path) -> Iterator[Any]:
    """A source that takes its time, so that there is progress to tell."""
    for found in Paths([str(folder)]):
        time.sleep(0.02)
        yield found


def test_a_failing_index_leaves_no_processes(tmp_path: Path) -> None:
    folder = objects(tmp_path, **{f"n{number}": dataset(number=number) for number in range(1, 30)})
    with patch.object(pipeline.StudyIndex, "add", side_effect=EnvironmentFailed("full")) as add:
        with pytest.raises(EnvironmentFailed) as caught:
            convert(Paths([str(folder)]), Recorder(), Options(jobs=2))
        assert caught.traceback  # while the frames of the failure are alive
        assert children() == []
    assert add.call_count == 1


def children() -> list[str]:
    """Worker processes of this process."""
    mine = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
            command = (status.parent / "cmdline").read_bytes()
        except OSError:
            continue
        if f"PPid:\t{os.getpid()}\n" in text and b"worker_main" in command:
            mine.append(text)
    return mine


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.parametrize(
    "policy",
    [Policy(patient="create"), Policy(patient="identifier"), Policy(bundle_type="batch", write="create")],
    ids=repr,
)
def test_what_the_studies_do_not_allow_is_known_before_anything_is_written(policy: Policy, tmp_path: Path) -> None:
    sink = Recorder()
    folder = objects(tmp_path, a=dataset(IssuerOfPatientID="1.2.3"), b=dataset(study=2, PatientID="other"))
    with pytest.raises(UsageError):
        convert(Paths([str(folder)]), sink, Options(policy=policy))
    assert "write" not in sink.calls


def test_one_reference_is_for_one_patient(tmp_path: Path) -> None:
    folder, policy = objects(tmp_path, a=dataset(), b=dataset(study=2)), Policy(patient="Patient/7")
    mapping = Settings(patient_reference="Patient/7")
    sink = Recorder()
    with pytest.raises(UsageError):
        convert(Paths([str(folder)]), sink, Options(policy=policy, mapping=mapping))
    assert sink.calls == ["open", "abort"]
    objects(tmp_path, b=dataset(study=2, PatientID="tests"))
    report, _ = run(folder, Options(policy=policy, mapping=mapping))
    assert report.studies.emitted == 2


# Progress, problems, surveys


def test_progress_never_goes_back_and_ends_at_the_whole(tmp_path: Path) -> None:
    events: list[Progress] = []
    convert(Paths([str(everything(tmp_path))]), Recorder(), Options(), events.append)
    assert [event.files for event in events] == sorted(event.files for event in events)
    assert {event.total_studies for event in events if event.phase == "writing"} == {3}
    last = events[-1]
    assert (last.phase, last.files, last.studies) == ("writing", 14, 3)
    assert all(event.total_studies is None for event in events if event.phase == "reading")


def test_a_sink_s_problems_are_in_the_report(tmp_path: Path) -> None:
    folder = objects(
        tmp_path, a=dataset(IssuerOfPatientID="1.2.3"), b=dataset(study=2, PatientID="tests", IssuerOfPatientID="1.2.3")
    )
    write(tmp_path / "b", dataset(study=2, PatientID="tests", IssuerOfPatientID="1.2.3", PatientSex="M"))
    report, _ = run(folder, Options(policy=Policy(shape="ndjson")), choose(str(tmp_path) + "/../out/", "ndjson"))
    assert codes(report)["patient-differs"] == 1
    assert report.exit_code is Exit.OK


def test_a_survey_shows_every_study_and_what_belongs_to_none(tmp_path: Path) -> None:
    shown: dict[str, Study | None] = {}

    def visit(study: Study | None, name: str, problems: list[Problem]) -> None:
        shown[name] = study

    report, outside = survey(Paths([str(everything(tmp_path))]), Options(), visit)
    assert list(shown) == [uid(1), uid(2), uid(3)]
    assert [study is None for study in shown.values()] == [False, True, False]
    assert report.identities() == []
    assert report.exit_code is Exit.INPUT_LOST
    assert (report.studies.found, report.studies.withheld, report.files.rejected) == (3, 1, 2)
    outsiders = {problem.code for problem in outside}
    assert {Code.NOT_DICOM, Code.TRUNCATED_HEADER, Code.DICOMDIR} <= outsiders
    assert Code.NO_TIME_ZONE not in outsiders


def test_a_survey_writes_nothing(tmp_path: Path) -> None:
    everything(tmp_path / "in")
    before = sorted(tmp_path.rglob("*"))
    survey(Paths([str(tmp_path / "in")]), Options(report=str(tmp_path / "report.json")), lambda *_: None)
    assert sorted(tmp_path.rglob("*")) == before
