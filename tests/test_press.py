"""Studies that are pressed in other processes: the same bytes, the same report, and nothing that is left over."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from builders import dataset, tree, write
from check import FOLDERS, Collected, replay

from dicom2fhir import pipeline, press, presses
from dicom2fhir.errors import EnvironmentFailed
from dicom2fhir.fhir import versions
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.mapping import Elsewhere, Settings, build_study
from dicom2fhir.model import Study
from dicom2fhir.pipeline import Options, Progress, convert
from dicom2fhir.press import NobodyElse, Press, Pressed
from dicom2fhir.presses import worth
from dicom2fhir.problems import Code, Problem
from dicom2fhir.sinks.choose import choose
from dicom2fhir.sources.directory import Paths

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no process is forked there")

HERE = os.getpid()


@pytest.fixture(autouse=True)
def eager(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two studies are worth two processes, and each is handed out alone."""
    monkeypatch.setattr(presses, "SHARE", 1)
    monkeypatch.setattr(presses, "SHEET", 1)


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of each answer of another process, and of each death of one: whether it gave studies."""
    heard: list[bool] = []
    receive = presses._Child.receive

    def listened(self: presses._Child) -> list[Pressed] | None:
        found = receive(self)
        heard.append(bool(found))
        return found

    monkeypatch.setattr(presses._Child, "receive", listened)
    return heard


@pytest.fixture
def testdata(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All cases of the test data together, read beforehand."""
    monkeypatch.setattr(pipeline, "read_all", replay)
    return list(map(str, FOLDERS.values()))


@pytest.fixture(scope="module")
def generated(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Twelve ordinary studies, one of two patients."""
    root = tmp_path_factory.mktemp("generated")
    tree(root, patients=3, studies=4, series=2, instances=3)
    for number, patient in enumerate("AB", 1):
        write(root / patient, dataset(study=9, number=number, PatientID=patient))
    return [str(root)]


def outcome(paths: list[str], folder: Path, name: str = "out.ndjson", shape: Any = "bundles", **more: Any) -> Any:
    """Every byte that is written, and the report without the seconds."""
    pretty, report = more.pop("pretty", False), folder / "report.json"
    options = Options(**{"policy": Policy(shape=shape), "report": str(report), **more})
    folder.mkdir()
    convert(Paths(paths), choose(f"{folder}/{name}", shape, pretty=pretty), options)
    written = {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    said = json.loads(written.pop(report.relative_to(folder)))
    del said["seconds"]
    return written, said


def same_for_all(paths: list[str], folder: Path, **more: Any) -> dict[str, Any]:
    """The report of a run, which one, two and three processes write alike."""
    serial = outcome(paths, folder / "1", jobs=1, **more)
    for jobs in (2, 3):
        assert outcome(paths, folder / str(jobs), jobs=jobs, **more) == serial
    report: dict[str, Any] = serial[1]
    return report


def codes(report: dict[str, Any]) -> set[str]:
    return {problem["code"] for problem in report["problems"]}


@pytest.mark.parametrize("version", versions.DIALECTS)
def test_processes_change_nothing_in_any_version(
    version: str, testdata: list[str], tmp_path: Path, answers: list[bool]
) -> None:
    report = same_for_all(testdata, tmp_path, to=version)
    assert answers.count(True) > report["studies"]["found"]
    assert all(answers)
    assert "patient-conflict" in codes(report)
    assert ("uid-not-an-oid" in codes(report)) == bool(versions.DIALECTS[version].oids)


@pytest.mark.parametrize(
    ("name", "shape", "pretty"),
    [
        ("out/", "bundles", False),
        ("out/", "bundles", True),
        ("out.gz", "bundles", False),
        ("out.json", "bundle", False),
        ("out.json", "bundle", True),
        ("out.json.gz", "bundle", False),
        ("out/", "ndjson", False),
        ("out.ndjson", "ndjson", False),
    ],
)
def test_processes_change_nothing_in_any_format(
    name: str, shape: Any, pretty: bool, testdata: list[str], tmp_path: Path, answers: list[bool]
) -> None:
    report = same_for_all(testdata, tmp_path, name=name, shape=shape, pretty=pretty)
    assert all(answers)
    assert answers
    assert shape == "bundles" or "patient-differs" in codes(report)


def test_processes_change_nothing_in_studies_that_are_pressed_together(
    generated: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bool]
) -> None:
    monkeypatch.setattr(presses, "SHEET", 80)
    assert same_for_all(generated, tmp_path)["studies"] == {"found": 13, "emitted": 12, "withheld": 1}
    assert answers == [True] * len(answers)
    assert 2 < len(answers) < 13


def test_little_may_wait_to_be_written(
    generated: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bool]
) -> None:
    monkeypatch.setattr(presses, "WAITING", 1)
    same_for_all(generated, tmp_path)
    assert all(answers)


@pytest.mark.parametrize("validate", [True, False])
def test_what_fails_the_referee_is_withheld_there_too(
    validate: bool, testdata: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def status(scope: Any, study: Study) -> str:
        return "available" if len(study.series) == 1 else "imagined"

    honest = versions.DIALECTS["r4"]
    monkeypatch.setattr(pipeline, "DIALECTS", {"r4": replace(honest, study={**honest.study, "status": status})})
    report = same_for_all(testdata, tmp_path, validate=validate)
    assert ("invalid-resource" in codes(report)) == validate


def test_key_objects_of_several_studies_are_said_as_ever(testdata: list[str], tmp_path: Path) -> None:
    policy = Policy(key_objects="document", manifest=True)
    same_for_all(testdata, tmp_path, policy=policy, mapping=Settings(max_instances=2))


def test_what_does_not_say_what_lies_elsewhere_raises() -> None:
    elsewhere = Elsewhere(NobodyElse(), Settings())
    for ask in (lambda: elsewhere.was_read("1.2"), lambda: elsewhere.identities("1.2")):
        with pytest.raises(LookupError):
            ask()


def test_what_was_pressed_survives_the_way() -> None:
    counts, problem = press.Counts(1, 2, 3), Problem(Code.DATE_INVALID, "1.2", message="m", count=4)
    for withheld in (None, Code.PATIENT_CONFLICT):
        pressed = Pressed("1.2", [problem], withheld, counts, {"1": frozenset({"2"}), "3": None}, (b"x", 1))
        assert Pressed.of(pressed.plain()) == pressed
    for rubbish in ((), 7, None, ("1.2", [("no-such-code",)], None, (1, 2, 3), {}, b"")):
        with pytest.raises((TypeError, ValueError)):
            Pressed.of(rubbish)  # type: ignore[arg-type]


# Presses that fail


def killed(self: Press) -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def terminated(self: Press) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


def exits(self: Press) -> None:
    os._exit(0)


def out_of_memory(self: Press) -> None:
    raise MemoryError


@pytest.mark.parametrize("fails", [killed, terminated, exits, out_of_memory])
@pytest.mark.parametrize("often", [1, 5])
def test_a_press_that_dies_changes_nothing(
    fails: Callable[[Press], None],
    often: int,
    generated: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    answers: list[bool],
) -> None:
    """Each of them at its first study, or at its fifth."""
    honest, begun = Press.press, []

    def pressed(self: Press, rows: Any) -> Pressed:
        begun.append(rows)
        if os.getpid() != HERE and len(begun) > often:
            fails(self)
        return honest(self, rows)

    monkeypatch.setattr(Press, "press", pressed)
    serial = outcome(generated, tmp_path / "serial", jobs=1)
    begun.clear()
    assert outcome(generated, tmp_path / "parallel", jobs=2) == serial
    assert answers.count(False) == 2
    assert processes() == []


@pytest.mark.parametrize("rubbish", [None, (), ("9.9", [], None, (0, 0, 0), {}, b""), object()], ids=repr)
def test_an_answer_that_is_none_changes_nothing(
    rubbish: Any, generated: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answers: list[bool]
) -> None:
    monkeypatch.setattr(Pressed, "plain", lambda self: rubbish)
    serial = outcome(generated, tmp_path / "serial", jobs=1)
    assert outcome(generated, tmp_path / "parallel", jobs=3) == serial
    assert answers == [False] * 3


def test_an_exception_is_that_of_a_serial_run_and_comes_at_its_place(
    generated: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(records: Any, *rest: Any) -> Any:
        if number[0] == records.uid:
            raise ArithmeticError(records.uid)
        return build_study(records, *rest)

    uids: list[str] = []
    monkeypatch.setattr(press, "build_study", lambda records, *rest: uids.append(records.uid) or fails(records, *rest))
    number = [""]
    convert(Paths(generated), Kept(), Options(jobs=1))
    number[0] = sorted(set(uids))[7]
    sinks = [Kept() for _ in range(3)]
    for jobs, sink in enumerate(sinks, 1):
        with pytest.raises(ArithmeticError, match=number[0].replace(".", r"\.")):
            convert(Paths(generated), sink, Options(jobs=jobs))
    assert sinks[0].lines == sinks[1].lines == sinks[2].lines
    assert len(sinks[0].lines) == 7
    assert processes() == []


class Kept(Collected):
    """A sink that does not forget."""

    def abort(self) -> None:
        """What was written stays to be looked at."""


# Nothing is left over


def processes() -> list[int]:
    """This process's children."""
    found = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            text = status.read_text()
        except OSError:
            continue
        if f"PPid:\t{os.getpid()}\n" in text:
            found.append(int(status.parent.name))
    return found


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


class Forked:
    """Counts the processes that are forked."""

    def __init__(self) -> None:
        self._fork, self.count = os.fork, 0

    def __call__(self) -> int:
        self.count += 1
        return self._fork()


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> Forked:
    counter = Forked()
    monkeypatch.setattr(os, "fork", counter)
    return counter


@pytest.mark.parametrize("error", [KeyboardInterrupt, EnvironmentFailed, BrokenPipeError])
@pytest.mark.parametrize("studies", [0, 1, 3])
def test_whatever_ends_a_run_leaves_neither_processes_nor_descriptors(
    error: type[BaseException], studies: int, generated: list[str], forked: Forked
) -> None:
    def interrupt(event: Progress) -> None:
        if event.phase == "writing" and event.studies == studies:
            raise error

    before = processes(), descriptors()
    with pytest.raises(error) as caught:
        convert(Paths(generated), Collected(), Options(jobs=3), interrupt)
    assert caught.traceback  # while the frames of the failure are alive
    assert (processes(), descriptors()) == before
    assert forked.count == (3 if studies else 0)
    assert signal.pthread_sigmask(signal.SIG_BLOCK, []) == set()


ORPHANS = """
import os, signal, sys
from check import Collected
from dicom2fhir import presses
from dicom2fhir.pipeline import Options, convert
from dicom2fhir.sources.directory import Paths
presses.SHARE = presses.SHEET = 1
def die(event):
    if event.phase == "writing" and event.studies == 3:
        os.kill(os.getpid(), signal.SIGKILL)
convert(Paths(sys.argv[2:]), Collected(), Options(reader=sys.argv[1], jobs=3), die)
"""


def test_presses_end_when_their_parent_is_killed(generated: list[str]) -> None:
    """They hold its standard output, which therefore ends with the last of them."""
    command = [sys.executable, "-c", ORPHANS, Options().reader, *generated]
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(command, capture_output=True, timeout=60, check=False, env=env)
    assert (done.returncode, done.stdout, done.stderr) == (-signal.SIGKILL, b"", b"")


# Where nothing is forked


@pytest.fixture
def bystander() -> Iterator[None]:
    """A thread of somebody else's."""
    over = threading.Event()
    thread = threading.Thread(target=over.wait)
    thread.start()
    yield
    over.set()
    thread.join()


@pytest.mark.usefixtures("bystander")
def test_beside_a_thread_nothing_is_forked(generated: list[str], tmp_path: Path, forked: Forked) -> None:
    same_for_all(generated, tmp_path)
    assert forked.count == 0


def test_where_no_process_can_be_made_this_one_does_it(
    generated: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full() -> int:
        raise BlockingIOError

    before = descriptors()
    monkeypatch.setattr(os, "fork", full)
    same_for_all(generated, tmp_path)
    assert descriptors() == before


def test_what_is_worth_a_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(presses, "SHARE", 2000)
    assert worth(1, 1_000_000, 1000) == 0
    assert worth(8, 3999, 1000) == 0
    assert worth(8, 4000, 1000) == 2
    assert worth(8, 1_000_000, 1) == 0
    assert worth(8, 1_000_000, 5) == 5
    assert worth(8, 1_000_000, 1000) == 8
