"""Reading in guarded processes: a file that hangs, eats memory or kills its reader is one lost file.

Each worker is a Python process of its own (`worker_main`). It gets chunks of paths on its standard input and
answers with readings on its standard output, in order; before each file it writes into shared memory which
file of its life it is on. The parent never blocks on a worker: it waits for all of them at once, looks at
those numbers, and kills whoever stays on one file for longer than the deadline. Chunks are as large as a worker's
pace allows: small where files take long, so that no worker is left with many of them when the others are done.

A frame is four bytes of length (big-endian) and as many bytes of marshal data: to a worker a list of paths,
from a worker (`read`, files, seconds, results), or (event, text) with the event `failed` or `bug`. The first frame
to a worker is a pickle of (reader, arguments, fetch, pack, prepare, memory limit).

A file on which a worker dies gets a second try as the first file of a fresh process: whether it is lost never
depends on the files that were read before it.
"""

from __future__ import annotations

import fcntl
import marshal
import mmap
import os
import pickle
import selectors
import signal
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any

from dicom2fhir.errors import EnvironmentFailed, UsageError
from dicom2fhir.problems import Code
from dicom2fhir.worker_main import BEAT, HEAD, OUT_OF_MEMORY, frame

CHUNK = 64
"""Paths a message, the fewest and the first."""
_LARGEST = 1024
_TOGETHER = 256
"""Paths of one folder that are never parted."""
_SPAN = 0.02
"""Seconds of work a message, from there on; a worker has at most three messages."""
PACE = 0.1
"""Seconds that the parent waits for results, or crawls for paths, before it looks around."""
_SILENCE = 120.0
"""Seconds that a worker with work may be on no file: starting, or sending its results."""
_FAILURES = 3
_REAPING = 2.0
_PIPE = 1 << 20

Reading = tuple[Any, ...]
"""What a reader gives for a file, in marshal's plain types; nothing here looks into it."""
Result = tuple[str, Reading]
"""A path and its reading; where a task packs its readings, what its packer makes of them."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one file may cost: `deadline` in seconds, `memory` in bytes above what the idle process needs."""

    deadline: float = 30.0
    memory: int = 1 << 30


@dataclass(frozen=True, slots=True)
class Task:
    """What a worker does: it calls `prepare()` once, then `reader(path, *arguments)` for each file.

    With `fetch` it is `reader(fetch(path), *arguments)`: where that takes long, several files are fetched ahead, by
    threads: it may wait, and raise nothing but MemoryError. With `pack`, `pack(paths, readings)` is what is sent.
    All are named `package.module:function` and imported in the worker only. `arguments` must be picklable.
    An exception of the reader is ("skip", "malformed", …); MemoryError must reach the worker.
    """

    reader: str
    arguments: tuple[object, ...] = ()
    prepare: str = ""
    fetch: str = ""
    pack: str = ""


def read_all(
    found: Iterable[list[str]],
    task: Task,
    limits: Limits,
    jobs: int,
    tick: Callable[[], None] | None = None,
    spare: Spare | None = None,
) -> Generator[Result, None, None]:
    """Read every file once in up to `jobs` processes; results come as they are ready, in no order.

    `found` are lists of paths, crawled no further than the workers can follow. The reading of a file that was given
    up is ("skip", "deadline" | "memory-limit" | "worker-died", message, ""). `tick` is called at least four times a
    second while results are awaited. However the iteration ends, the processes are gone when it has. `spare` is a
    process that was started already.

    Raises EnvironmentFailed when workers cannot be started, TypeError when the reader gives what is not plain.
    """
    if jobs < 1:
        raise UsageError("at least one process must read")
    with closing(_Pool(task, limits, jobs, spare)) as pool:
        yield from pool.read(iter(found), tick)


class _Pool:
    """The workers, each in its slot, and the files that wait to be read again."""

    def __init__(self, task: Task, limits: Limits, jobs: int, spare: Spare | None) -> None:
        self._limits, self._spare = limits, spare
        self._first_frame = frame(
            pickle.dumps((task.reader, task.arguments, task.fetch, task.pack, task.prepare, limits.memory))
        )
        self._workers: list[_Worker | None] = [None] * jobs
        self._waiting: deque[list[str]] = deque()
        """Files that were crawled or must be read again."""
        self._failures = 0
        self._reason = ""
        self._selector = selectors.DefaultSelector()

    def close(self) -> None:
        """Kill and reap the workers."""
        workers = [worker for worker in self._workers if worker is not None]
        for worker in workers:
            worker.kill()
        for worker in workers:
            worker.close()
        self._selector.close()

    def read(self, found: Iterator[list[str]], tick: Callable[[], None] | None) -> Iterator[Result]:
        """See `read_all`."""
        # A look counts for a quarter of the deadline at most: while this process stood still (Ctrl-Z, a slow
        # consumer) no file gets older, and none is given up after fewer than four looks.
        step = self._limits.deadline / 4
        wait = min(PACE, step)
        then = ticked = monotonic()
        while True:
            hurry = self._feed(found)
            if not any(worker and worker.pending for worker in self._workers):
                return
            for key, events in self._selector.select(0 if hurry else wait):
                yield from self._serve(key.data, events)
            now = monotonic()
            yield from self._watch(min(now - then, step))
            then = now
            if tick and now - ticked >= PACE:
                ticked = now
                tick()

    def _feed(self, found: Iterator[list[str]]) -> bool:
        """Give chunks to the least busy until all have work; True when it stopped for lack of time only."""
        until = monotonic() + PACE
        while True:
            slot = min(range(len(self._workers)), key=self._load)
            worker = self._workers[slot]
            size = worker.chunk if worker else CHUNK
            if self._load(slot) > 2 * size:
                return False
            chunk = self._chunk(found, size, until)
            if not chunk:
                return False
            self._give(slot, chunk)
            if monotonic() > until:
                return True

    def _load(self, slot: int) -> int:
        worker = self._workers[slot]
        return len(worker.pending) if worker else 0

    def _chunk(self, found: Iterator[list[str]], size: int, until: float) -> list[str]:
        """About so many files: what was found together is read together, for it is alike."""
        chunk: list[str] = []
        while len(chunk) < size and not (chunk and monotonic() > until):
            paths = self._waiting.popleft() if self._waiting else next(found, None)
            if paths is None:
                break
            if len(paths) > max(2 * size, _TOGETHER):
                self._waiting.appendleft(paths[size:])
                paths = paths[:size]
            chunk += paths
        return chunk

    def _give(self, slot: int, chunk: list[str]) -> None:
        worker = self._workers[slot] or self._start(slot)
        worker.pending.extend(chunk)
        self._send(worker, frame(marshal.dumps(chunk)))

    def _start(self, slot: int) -> _Worker:
        while True:
            try:
                worker = self._workers[slot] = (self._spare and self._spare.take()) or _Worker()
                worker.slot = slot
                break
            except OSError as error:
                self._reason = os.strerror(error.errno) if error.errno else type(error).__name__
                self._count_failure()
        self._selector.register(worker.output, selectors.EVENT_READ, worker)
        self._send(worker, self._first_frame)
        return worker

    def _send(self, worker: _Worker, data: bytes) -> None:
        """Send what the pipe takes now, and the rest when it takes more."""
        waited = bool(worker.unsent)
        worker.unsent += data
        worker.flush()
        if worker.unsent and not waited:
            self._selector.register(worker.input, selectors.EVENT_WRITE, worker)
        if waited and not worker.unsent:
            self._selector.unregister(worker.input)

    def _serve(self, worker: _Worker, events: int) -> list[Result]:
        if worker is not self._workers[worker.slot]:
            return []  # buried on account of another event of the same moment
        if events & selectors.EVENT_WRITE:
            self._send(worker, b"")
            return []
        alive = worker.fetch()
        results = self._received(worker)
        return results if alive else results + self._bury(worker)

    def _received(self, worker: _Worker) -> list[Result]:
        """The results in the whole frames that a worker has sent."""
        results: list[Result] = []
        for message in worker.messages():
            if message[0] == "read":
                _, count, seconds, packed = message
                worker.answered(count, seconds)
                self._failures = 0
                results += packed
            elif message[0] == "bug":
                raise TypeError(message[1])
            else:
                self._reason = message[1]
        return results

    def _watch(self, elapsed: float) -> list[Result]:
        """Give up the files that take too long."""
        results: list[Result] = []
        for worker in self._workers:
            if worker is None:
                continue
            beat = worker.beats.view[0]
            stays = worker.pending and beat == worker.beat
            worker.age = worker.age + elapsed if stays else 0.0
            worker.beat = beat
            if worker.age > (self._limits.deadline if beat else _SILENCE):
                results += self._bury(worker, overdue=True)
        return results

    def _bury(self, worker: _Worker, *, overdue: bool = False) -> list[Result]:
        """End a worker, decide about the file that it was on, and let its other files be read again.

        Results that it sent and that have not arrived are among these: they are read again, not given twice.
        """
        self._retire(worker)
        worker.kill()
        beat = worker.beats.view[0]
        status = worker.close()
        results: list[Result] = []
        suspect: str | None = None
        if beat == 0 or (overdue and beat != worker.beat):
            self._count_failure()  # on no file, or it just got further than the one it was ended for
        else:
            self._failures = 0
            suspect = worker.take(beat - worker.read - 1)
        self._waiting.appendleft(list(worker.pending))
        if suspect and (overdue or beat == 1):
            results.append((suspect, self._verdict(status, overdue)))
        elif suspect:
            self._give(worker.slot, [suspect])
        return results

    def _retire(self, worker: _Worker) -> None:
        self._workers[worker.slot] = None
        self._selector.unregister(worker.output)
        if worker.unsent:
            self._selector.unregister(worker.input)

    def _verdict(self, status: int | None, overdue: bool) -> Reading:
        if overdue:
            return "skip", Code.DEADLINE.value, f"Not read within {self._limits.deadline:g} s.", ""
        if status == OUT_OF_MEMORY:
            return "skip", Code.MEMORY_LIMIT.value, f"Needs more than {self._limits.memory >> 20} MiB.", ""
        return "skip", Code.WORKER_DIED.value, f"The reading process ended with {_ending(status)}.", ""

    def _count_failure(self) -> None:
        self._failures += 1
        if self._failures >= _FAILURES:
            reason = f": {self._reason}" if self._reason else ""
            raise EnvironmentFailed(f"reading processes ended {_FAILURES} times without reading a file{reason}")


class _Worker:
    """One process, seen from the parent."""

    def __init__(self, modules: tuple[str, ...] = ()) -> None:
        """Start it; it imports the `modules` before it knows what it will read. Raises OSError."""
        self.slot = -1
        self.beats = _Beats()
        self.pending: deque[str] = deque()
        """The files that it has, in order; results come in the same order."""
        self.read = 0
        """How many files it has answered for."""
        self.chunk = CHUNK
        """How many files it is given at once."""
        self.beat = 0
        self.age = 0.0
        self.unsent = bytearray()
        self._arrived = bytearray()
        try:
            self._process, self._life = _process(self.beats.fd, modules)
        except OSError:
            self.beats.close()
            raise
        assert self._process.stdin
        assert self._process.stdout
        self.input, self.output = self._process.stdin.fileno(), self._process.stdout.fileno()
        for fd in (self.input, self.output):
            os.set_blocking(fd, False)
        _widen(self.output)

    def flush(self) -> None:
        """Write of `unsent` what fits."""
        with suppress(BlockingIOError):
            try:
                while self.unsent:
                    del self.unsent[: os.write(self.input, self.unsent)]
            except BrokenPipeError:
                self.unsent.clear()  # it is dead, as the end of its output will say

    def fetch(self) -> bool:
        """Take what has arrived; False at the end of its output."""
        try:
            data = os.read(self.output, _PIPE)
        except BlockingIOError:
            return True
        self._arrived += data
        return bool(data)

    def messages(self) -> Iterator[Any]:
        """The messages of the whole frames that have arrived."""
        start = 0
        while (end := start + HEAD + int.from_bytes(self._arrived[start : start + HEAD], "big")) <= len(self._arrived):
            yield marshal.loads(self._arrived[start + HEAD : end])
            start = end
        del self._arrived[:start]

    def answered(self, count: int, seconds: float) -> None:
        """So many files were read in so many seconds."""
        for _ in range(count):
            self.pending.popleft()
        self.read += count
        self.age = 0.0
        wanted = int(_SPAN * count / seconds) if seconds > 0 else _LARGEST
        self.chunk = min(max(CHUNK, wanted, self.chunk // 2), _LARGEST, 2 * self.chunk)

    def take(self, index: int) -> str:
        """Remove one of the pending files."""
        found = self.pending[index]
        del self.pending[index]
        return found

    def kill(self) -> None:
        """Kill it; nothing happens to a dead one."""
        self._process.kill()

    def close(self) -> int | None:
        """Reap it, once killed, and close the pipes. Returns its exit status, None where the kernel keeps it."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        os.close(self._life)
        self.beats.close()
        try:
            return self._process.wait(_REAPING)
        except subprocess.TimeoutExpired:
            return None  # one that waits for a dead mount does not even die; it must not hold up the others


class Spare:
    """A process that is started before it is known what it will read, so that it is ready when that is known.

    A context manager; a process that nobody took is ended with it.
    """

    def __init__(self, *modules: str) -> None:
        """`modules` are what the reader will be found in."""
        self._worker: _Worker | None = None
        with suppress(OSError):  # whoever needs a process will see for himself
            self._worker = _Worker(modules)

    def take(self) -> _Worker | None:
        """The process, once."""
        worker, self._worker = self._worker, None
        return worker

    def __enter__(self) -> Spare:
        return self

    def __exit__(self, *_: object) -> None:
        worker = self.take()
        if worker is not None:
            worker.kill()
            worker.close()


class _Beats:
    """Shared memory of one number: the file that a worker is on."""

    def __init__(self) -> None:
        if hasattr(os, "memfd_create"):
            self.fd = os.memfd_create("dicom2fhir")
        else:
            with tempfile.TemporaryFile() as file:
                self.fd = os.dup(file.fileno())
        os.ftruncate(self.fd, BEAT)
        self._map = mmap.mmap(self.fd, BEAT)
        self.view = memoryview(self._map).cast("Q")

    def close(self) -> None:
        """Let go of it."""
        self.view.release()
        self._map.close()
        os.close(self.fd)


def _process(beats_fd: int, modules: tuple[str, ...]) -> tuple[subprocess.Popen[bytes], int]:
    """A new process, and the end of a pipe that it lives as long as. Raises OSError."""
    theirs, ours = os.pipe()
    command = [sys.executable, "-P", "-m", "dicom2fhir.worker_main", str(beats_fd), str(theirs), *modules]
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            bufsize=0,
            pass_fds=(beats_fd, theirs),
            env=_environment(),
        )
    except BaseException:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    return process, ours


def _environment() -> dict[str, str]:
    """This process's environment, so that a worker finds the same modules and means the same file names."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    environment["PYTHONPATH"] = os.pathsep.join(path or "." for path in sys.path)
    environment["PYTHONUTF8"] = str(sys.flags.utf8_mode)
    # glibc sets 64 MiB of addresses aside for each thread, which a worker's limit would count
    environment["MALLOC_ARENA_MAX"] = "1"
    return environment


def _widen(pipe: int) -> None:
    """Let a worker go on while the parent is busy; what the kernel does not grant is not needed."""
    if hasattr(fcntl, "F_SETPIPE_SZ"):
        with suppress(OSError):
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE)


def _ending(status: int | None) -> str:
    if status is None:
        return "no status"
    if status >= 0:
        return f"status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"
