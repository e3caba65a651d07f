"""Files that hang, eat memory or kill their reader are each one lost file; every other one is read once."""

from __future__ import annotations

import itertools
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from dicom2fhir import workers
from dicom2fhir.errors import EnvironmentFailed, UsageError
from dicom2fhir.workers import Limits, Task, read_all

TASK = Task("misbehaving:read")
LIMITS = Limits(deadline=1.0, memory=64 << 20)

VERDICTS = {
    "hang": "deadline",
    "spin": "deadline",
    "eat": "memory-limit",
    "nibble": "memory-limit",
    "segfault": "worker-died",
    "exit": "worker-died",
    "quit": "worker-died",
    "hangup": "worker-died",
    "raise": "malformed",
    "recurse": "malformed",
    "shout": "",
    "eatonce": "",
    "exitonce": "",
    "fine": "",
}


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    """No process and no descriptor may be left, whatever a test did."""
    before = os.listdir("/proc/self/fd")
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    assert len(os.listdir("/proc/self/fd")) == len(before)


def found(names: list[str]) -> list[list[str]]:
    return [[f"/nowhere/{name}"] for name in names]


def read(names: list[str], jobs: int = 1, **options: Any) -> dict[str, tuple[Any, ...]]:
    """Readings by name; fails when a file comes twice."""
    arguments = {"task": TASK, "limits": LIMITS, "jobs": jobs, **options}
    results = list(read_all(found(names), **arguments))
    readings = {path.rpartition("/")[2]: reading for path, reading in results}
    assert len(readings) == len(results)
    return readings


def code(reading: tuple[Any, ...]) -> str:
    return str(reading[1]) if reading[0] == "skip" else ""


def verdict_of(name: str) -> str:
    return VERDICTS[name.partition("-")[0]]


@pytest.mark.parametrize("deed", sorted(VERDICTS))
def test_one_misbehaving_file_is_one_verdict_and_its_neighbours_are_read(deed: str) -> None:
    names = [f"fine-{n}" for n in range(20)]
    names.insert(10, f"{deed}-x")
    readings = read(names)
    assert {name: code(reading) for name, reading in readings.items()} == {name: verdict_of(name) for name in names}


@pytest.mark.parametrize("jobs", [1, 2, 3])
def test_each_of_thousands_is_read_exactly_once_among_deaths(jobs: int) -> None:
    chance = random.Random(jobs)
    deeds = ["segfault", "exit", "exitonce", "eatonce", "raise", "eat"]
    names = [f"fine-{n}" for n in range(3000)] + [f"{deed}-{n}" for n in range(2) for deed in deeds] + ["hang-0"]
    chance.shuffle(names)
    readings = read(names, jobs)
    assert {name: code(reading) for name, reading in readings.items()} == {name: verdict_of(name) for name in names}


def test_two_killers_side_by_side_first_and_last() -> None:
    names = ["exit-0", "segfault-0", "fine-0", "exit-1", "hang-0", "exit-2"]
    readings = read(names)
    assert {name: code(reading) for name, reading in readings.items()} == {name: verdict_of(name) for name in names}


def test_nothing_of_a_file_gets_into_a_verdict(capfd: pytest.CaptureFixture[str]) -> None:
    names = ["raise-Doe", "recurse-Doe", "shout-Doe", "quit-Doe", "segfault-Doe", "eat-Doe", "hang-Doe"]
    texts = [text for reading in read(names).values() if reading[0] == "skip" for text in reading]
    assert "Doe" not in " ".join(texts)
    assert capfd.readouterr() == ("", "")
    assert "The reading process ended with SIGSEGV." in texts
    assert "Needs more than 64 MiB." in texts
    assert "Not read within 1 s." in texts
    assert "The reader failed: ValueError." in texts


def test_the_memory_limit_counts_from_what_the_process_needs_itself() -> None:
    readings = read(["fine-0"], limits=Limits(deadline=5.0, memory=4 << 20))
    assert code(readings["fine-0"]) == ""


def test_nothing_to_read_starts_nothing() -> None:
    assert read([], jobs=4) == {}
    assert list(read_all(iter(()), Task("no.such.module:f"), LIMITS, 1)) == []


def test_few_files_start_one_process_and_many_all() -> None:
    task = Task("misbehaving:facts", prepare="misbehaving:prepare")
    few = read([f"{n}" for n in range(workers.CHUNK)], jobs=3, task=task)
    assert len({reading[1] for reading in few.values()}) == 1
    many = read([f"{n}" for n in range(20 * workers.CHUNK)], jobs=3, task=task)
    assert len({reading[1] for reading in many.values()}) == 3
    assert {reading[2:] for reading in many.values()} == {(1, True, True)}  # prepared once, deaf to SIGINT, quiet


def test_arguments_reach_the_reader_and_odd_names_come_back_unchanged() -> None:
    names = [os.fsdecode(b"\xff\xfe-\n"), "名前", "a" * 4000]
    readings = read(names, task=Task("misbehaving:read", ("one", "two")))
    assert readings == {name: ("header", f"/nowhere/{name}", "one", "two") for name in names}


def test_long_paths_behind_a_hanging_file_do_not_block_the_parent() -> None:
    names = ["hang-0", *(f"{n:04}" + "x" * 4000 for n in range(300))]
    readings = read(names)
    assert len(readings) == 301
    assert code(readings["hang-0"]) == "deadline"


def test_results_stream_and_the_crawl_is_lazy() -> None:
    crawled = 0

    def endless() -> Iterator[list[str]]:
        nonlocal crawled
        for crawled in itertools.count(1):
            yield [f"/nowhere/fine-{crawled}"]

    results = read_all(endless(), TASK, LIMITS, 2)
    for _ in range(1000):
        next(results)
    assert crawled <= 1000 + 2 * 4 * workers._LARGEST
    results.close()  # type: ignore[attr-defined]


def test_slow_files_are_delivered_before_their_chunk_ends() -> None:
    results = read_all(found([f"doze-{n}" for n in range(60)]), TASK, LIMITS, 1)
    began = time.monotonic()
    next(results)
    assert time.monotonic() - began < 4
    results.close()  # type: ignore[attr-defined]


def test_many_slow_files_are_not_one_long_one() -> None:
    readings = read([f"doze-{n}" for n in range(12)])
    assert {code(reading) for reading in readings.values()} == {""}


def test_the_caller_hears_ticks_while_a_file_takes_its_time() -> None:
    ticks: list[float] = []
    read(["sleep-0"], limits=Limits(deadline=30.0), tick=lambda: ticks.append(time.monotonic()))
    assert len(ticks) >= 4


def test_no_file_ages_while_everything_stands_still() -> None:
    # as after Ctrl-Z, or a laptop's sleep
    stand_still: list[int] = []

    def tick() -> None:
        if stand_still:
            process = stand_still.pop()
            os.kill(process, signal.SIGSTOP)
            time.sleep(1.5 * LIMITS.deadline)
            os.kill(process, signal.SIGCONT)

    results = read_all(found([f"{n}" for n in range(4)]), Task("misbehaving:slow_facts"), LIMITS, 1, tick)
    _, first = next(results)
    stand_still.append(first[1])
    assert [reading[:2] for _, reading in results] == [first[:2]] * 3
    assert not stand_still


def test_processes_killed_from_outside_lose_nothing() -> None:
    names = [f"{n}" for n in range(1500)]
    read_names = []
    for number, (path, reading) in enumerate(read_all(found(names), Task("misbehaving:facts"), LIMITS, 2)):
        read_names.append(path.rpartition("/")[2])
        assert reading[0] == "facts"
        if number % 300 == 150:
            with suppress(ProcessLookupError):
                os.kill(reading[1], signal.SIGKILL)
    assert sorted(read_names) == sorted(names)


def test_results_larger_than_the_pipes() -> None:
    readings = read([f"fine-{n}" for n in range(40)], task=Task("misbehaving:read", ("x" * 3_000_000,)))
    assert {len(reading[2]) for reading in readings.values()} == {3_000_000}


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_exception_of_the_caller_ends_the_processes(error: type[BaseException]) -> None:
    def tick() -> None:
        raise error

    with pytest.raises(error):
        list(read_all(found(["hang-0"] * 200), TASK, Limits(deadline=30), 2, tick))


def test_an_exception_of_the_crawl_ends_the_processes() -> None:
    def crawl() -> Iterator[list[str]]:
        yield from found(["spin-0"] * 100)
        raise EnvironmentFailed

    with pytest.raises(EnvironmentFailed):
        list(read_all(crawl(), TASK, Limits(deadline=30), 2))


@pytest.mark.parametrize(
    ("task", "reason"),
    [
        (Task("no_such_module_anywhere:read"), "ModuleNotFoundError"),
        (Task("misbehaving:no_such_function"), "AttributeError"),
        (Task("misbehaving:read", prepare="misbehaving:fails_to_prepare"), "LookupError$"),
        (Task("misbehaving:read", prepare="misbehaving:dies_to_prepare"), "without reading a file$"),
    ],
)
def test_workers_that_cannot_start_fail_the_run(task: Task, reason: str) -> None:
    with pytest.raises(EnvironmentFailed, match=reason):
        read(["fine-0"], task=task)


def test_an_interpreter_that_is_not_there_fails_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")
    with pytest.raises(EnvironmentFailed, match="No such file"):
        read(["fine-0"])


def test_a_reading_that_is_not_plain_is_a_bug() -> None:
    with pytest.raises(TypeError, match="plain"):
        read(["fine-0"], task=Task("misbehaving:not_plain"))


def test_no_process_to_read_is_a_usage_error() -> None:
    with pytest.raises(UsageError):
        read(["fine-0"], jobs=0)


PARENT = """
import sys
from dicom2fhir.workers import Limits, Task, read_all

paths = [f"{sys.argv[1]}-{n}" for n in range(200)]
list(read_all([paths], Task("misbehaving:read"), Limits(deadline=60), 1))
"""


@pytest.mark.parametrize("deed", ["hang", "spin"])
def test_a_killed_parent_leaves_no_process(deed: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-c", PARENT, deed]
    with subprocess.Popen(command, env=environment, cwd=tmp_path) as parent:
        child = _busy_child(parent.pid)
        parent.send_signal(signal.SIGKILL)
    gone = _gone(child)
    if not gone:
        os.kill(child, signal.SIGKILL)
    assert gone


def _busy_child(parent: int) -> int:
    """The process number of the parent's only child, once it has had time to hang."""
    children = Path(f"/proc/{parent}/task/{parent}/children")
    until = time.monotonic() + 20
    while time.monotonic() < until:
        numbers = children.read_text().split()
        if numbers and b"worker_main" in Path(f"/proc/{numbers[0]}/cmdline").read_bytes():
            time.sleep(1.0)
            return int(numbers[0])
        time.sleep(0.02)
    raise AssertionError("no worker was started")


def _gone(process: int) -> bool:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        try:
            state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            return True
        if state in "ZX":
            return True
        time.sleep(0.02)
    return False
