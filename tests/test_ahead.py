"""Files that lie far away are fetched ahead, in order, each once; one that cannot be fetched hurts nobody else."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing

import pytest

from dicom2fhir import ahead, worker_main
from dicom2fhir.ahead import Ahead
from dicom2fhir.workers import Limits, Task, read_all

FAR = Task("misbehaving:read_far", fetch="misbehaving:fetch_far")
LIMITS = Limits(deadline=1.0, memory=64 << 20)
Opened = Callable[[worker_main.Fetch], Ahead]


@pytest.fixture(autouse=True)
def _leaves_nothing() -> Iterator[None]:
    """No process, and no thread beside which nothing could be forked."""
    before = threading.active_count()
    yield
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)
    until = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < until:
        time.sleep(0.01)
    assert threading.active_count() == before


@pytest.fixture
def opened() -> Iterator[Opened]:
    """What fetches ahead, closed in the end."""
    with ExitStack() as stack:
        yield lambda fetch: stack.enter_context(closing(Ahead(fetch)))


def test_what_was_begun_first_comes_first_however_long_it_takes(opened: Opened) -> None:
    def fetch(path: str) -> str:
        time.sleep(0.03 if path == "0" else 0.0)
        return f"{path}, fetched"

    fetcher = opened(fetch)
    for number in range(2 * ahead.FEWEST):
        assert fetcher.has_room()
        fetcher.begin(str(number))
    assert not fetcher.has_room()
    assert fetcher.next_path() == "0"
    assert [fetcher.take() for _ in range(fetcher.begun)] == [f"{n}, fetched" for n in range(2 * ahead.FEWEST)]
    assert fetcher.has_room()


def test_what_fetching_raises_is_raised_where_it_is_taken(opened: Opened) -> None:
    def fetch(path: str) -> str:
        raise MemoryError(path)

    fetcher = opened(fetch)
    fetcher.begin("1")
    with pytest.raises(MemoryError, match="1"):
        fetcher.take()


def test_there_are_more_threads_while_the_reader_waits_and_no_more_than_the_most(opened: Opened) -> None:
    before = threading.active_count()
    fetcher = opened(lambda path: time.sleep(0.002))
    seen = []
    for _ in range(12 * ahead._LOOK):
        while fetcher.has_room():
            fetcher.begin("x")
        fetcher.take()
        seen.append(threading.active_count() - before)
    assert seen[0] == ahead.FEWEST
    assert seen == sorted(seen)
    assert seen[-1] == ahead.MOST


def test_there_are_not_when_it_does_not_wait(opened: Opened) -> None:
    before = threading.active_count()
    fetcher = opened(lambda path: None)
    for _ in range(4 * ahead._LOOK):
        while fetcher.has_room():
            fetcher.begin("x")
        time.sleep(0.005)
        fetcher.take()
    assert threading.active_count() - before == ahead.FEWEST


def far(names: list[str], jobs: int = 1) -> dict[str, tuple[object, ...]]:
    results = list(read_all([names], FAR, LIMITS, jobs))
    readings = dict(results)
    assert len(readings) == len(results) == len(names)
    return readings


def test_each_far_file_is_read_once_and_by_several_threads() -> None:
    readings = far([f"far-{n}" for n in range(2000)], jobs=2)
    assert {reading[:2] for reading in readings.values()} == {("header", "fetched")}
    assert len({reading[2:] for reading in readings.values()}) > 2 * ahead.FEWEST


@pytest.mark.parametrize(
    ("deed", "code"),
    [("spin", "deadline"), ("eat", "memory-limit"), ("segfault", "worker-died"), ("nomemory", "memory-limit")],
)
@pytest.mark.parametrize("place", [0, 40, 199])
def test_one_that_cannot_be_fetched_is_lost_and_no_other(deed: str, code: str, place: int) -> None:
    names = [f"far-{n}" for n in range(200)]
    names[place] = f"{deed}-x"
    lost = {name: reading[1] for name, reading in far(names).items() if reading[0] == "skip"}
    assert lost == {f"{deed}-x": code}


def test_files_that_come_near_again_are_read_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_main, "_REQUESTS", 2)
    fetched_by: list[int] = []
    delay = [0.002]

    def fetch(path: str) -> str:
        time.sleep(delay[0])
        fetched_by.append(threading.get_ident())
        return path

    service = served(fetch, [[f"{n}" for n in range(64)]] * 40, lambda: delay.__setitem__(0, 0.0))
    service.run()
    here = [thread == threading.get_ident() for thread in fetched_by]
    assert here[:8] == [True] * 8
    assert not any(here[8:64])
    assert sum(here[-640:]) > 320  # all, but where a busy machine makes one file seem far


def test_there_is_one_set_of_threads_however_often_files_come_near_and_go_far(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_main, "_REQUESTS", 1)
    before = threading.active_count()
    threads = []

    def fetch(path: str) -> str:
        threads.append(threading.active_count())
        time.sleep(0.003)
        return path

    requests = [[f"{n}" for n in range(20)]] * 60
    service = served(fetch, requests, lambda: None)
    service.run()
    assert ahead.FEWEST <= max(threads) - before <= ahead.MOST


@pytest.mark.parametrize("possible", [0, 1, 11])
def test_where_no_more_threads_can_be_started_those_that_there_are_do(
    possible: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[threading.Thread] = []
    start = threading.Thread.start

    def limited(thread: threading.Thread) -> None:
        if len(started) == possible:
            raise RuntimeError("can't start new thread")
        started.append(thread)
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    fetched: list[str] = []

    def fetch(path: str) -> str:
        time.sleep(0.003)
        fetched.append(path)
        return path

    service = served(fetch, [[f"{r}-{n}" for n in range(30)] for r in range(12)], lambda: None)
    service.run()
    assert len(fetched) == len(set(fetched)) == 12 * 30
    assert len(started) == possible


def served(fetch: worker_main.Fetch, requests: list[list[str]], halfway: object) -> worker_main._Service:
    """A service whose requests lie in a pipe; `halfway` is called when half of them have been taken."""
    readable, writable = os.pipe()
    for request in requests:
        os.write(writable, worker_main.frame(worker_main.marshal.dumps(request)))
    os.close(writable)
    nowhere = os.open(os.devnull, os.O_WRONLY)

    class Requests(worker_main._Requests):
        taken = 0

        def receive(self) -> bytes | None:
            self.taken += 1
            if self.taken == len(requests) // 2:
                halfway()  # type: ignore[operator]
            return super().receive()

    outbox = worker_main._Outbox(nowhere, worker_main._pairs, memoryview(bytearray(8)).cast("Q"))
    return worker_main._Service(Requests(readable), outbox, fetch, lambda fetched: ("header", fetched))
