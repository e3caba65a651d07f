"""What a worker process runs: `python -m dicom2fhir.worker_main BEATS_FD LIFE_FD [MODULE…]`; `workers` starts it.

Nothing but frames goes out: what a reader prints, warns or logs ends nowhere, for it may hold patient data.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import marshal
import mmap
import os
import pickle
import resource
import select
import signal
import sys
import warnings
from collections.abc import Callable, Iterator
from importlib import import_module
from time import monotonic
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dicom2fhir.ahead import Ahead

OUT_OF_MEMORY = 86
"""The exit status that says: this file needed more memory than the limit."""
HEAD = 4
"""Bytes of a frame's length."""
BEAT = 8
"""Bytes of memory that it shares with the parent: the number of the file it is on, from 1; 0 while it is on none."""
_FLUSH = 0.1
"""Seconds after which readings are sent, however few they are."""
_PIECE = 1 << 16
_FAR = 0.0003
"""Seconds of fetching a file, on average, from which on files are fetched ahead."""
_SHOWN = 8
"""Files that must show it."""
_REQUESTS = 64
"""Requests after which is asked again whether files are far away."""

Reading = tuple[Any, ...]
Fetch = Callable[[str], Any]
Pack = Callable[[list[str], list[Reading]], list[Any]]


def main() -> None:
    """Read what standard input asks for until it ends."""
    beats_fd, life = map(int, sys.argv[1:3])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(life)
    requests, answers = _take_pipes()
    beats = memoryview(mmap.mmap(beats_fd, 0)).cast("Q")
    try:
        for module in sys.argv[3:]:
            import_module(module)
        reader, arguments, fetch, pack, prepare, memory = pickle.loads(requests.receive() or b"")
        if prepare:
            _named(prepare)()
        read = _named(reader)
        outbox = _Outbox(answers, _named(pack) if pack else _pairs, beats)
        service = _Service(requests, outbox, _named(fetch) if fetch else _as_it_is, lambda it: read(it, *arguments))
    except Exception as error:
        _send(answers, ("failed", type(error).__name__))
        return
    _silence()
    gc.collect()
    gc.freeze()
    _limit(memory)
    service.run()


def frame(payload: bytes) -> bytes:
    """A payload with its length before it."""
    return len(payload).to_bytes(HEAD, "big") + payload


class _Requests:
    """Frames that come through a pipe."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe
        self._arrived = bytearray()

    def receive(self) -> bytes | None:
        """The next one, waited for; None after the last."""
        while (whole := self._whole()) is None:
            data = os.read(self._pipe, _PIECE)
            if not data:
                return None
            self._arrived += data
        return whole

    def _whole(self) -> bytes | None:
        end = HEAD + int.from_bytes(self._arrived[:HEAD], "big")
        if len(self._arrived) < max(end, HEAD):
            return None
        payload = bytes(self._arrived[HEAD:end])
        del self._arrived[:end]
        return payload

    def receive_if_there(self) -> bytes | None:
        """The next one, if it has begun to arrive."""
        if self._arrived or select.select([self._pipe], [], [], 0)[0]:
            return self.receive()
        return None


class _Outbox:
    """Collects readings, and sends them when a request is done or they get old."""

    def __init__(self, pipe: int, pack: Pack, beats: memoryview) -> None:
        self._pipe, self._pack, self._beats = pipe, pack, beats
        self._number = 0
        self._paths: list[str] = []
        self._readings: list[Reading] = []
        self._since = monotonic()

    def work_begins(self) -> None:
        """What came before was waiting for work."""
        self._since = monotonic()

    def begin(self, path: str) -> None:
        """Say which file comes next."""
        self._number += 1
        self._beats[0] = self._number
        self._paths.append(path)

    def add(self, reading: Reading) -> None:
        """Keep the reading of the file that was begun."""
        self._readings.append(reading)
        if monotonic() - self._since > _FLUSH:
            self.send()

    def send(self) -> None:
        """Send what there is, and how many seconds it took."""
        self._beats[0] = 0
        if self._readings:
            seconds = monotonic() - self._since
            _send(self._pipe, ("read", len(self._readings), seconds, self._pack(self._paths, self._readings)))
            self._paths, self._readings = [], []
        self._since = monotonic()


class _Service:
    """Reads what is asked for: one file after the other, or where files are far away, while others are fetched."""

    def __init__(self, requests: _Requests, outbox: _Outbox, fetch: Fetch, read: Callable[[Any], Reading]) -> None:
        self._requests, self._outbox, self._fetch, self._read = requests, outbox, fetch, read
        self._ahead: Ahead | None = None

    def run(self) -> None:
        """Serve until there are no more requests."""
        try:
            self._serve()
        finally:
            if self._ahead is not None:
                self._ahead.close()

    def _serve(self) -> None:
        while (request := self._requests.receive()) is not None:
            self._outbox.work_begins()
            paths = iter(marshal.loads(request))
            if self._read_each(paths):
                self._read_behind(paths)
            self._outbox.send()

    def _read_each(self, paths: Iterator[str]) -> bool:
        """Read one after the other, as long as files are near: there a thread costs more than a file.

        True where they are far away; then there may be paths left.
        """
        outbox, fetch, read = self._outbox, self._fetch, self._read
        shown = _SHOWN if self._ahead is None else 1
        fetching = 0.0
        for number, path in enumerate(paths, 1):
            outbox.begin(path)
            began = monotonic()
            try:
                fetched = fetch(path)
            except MemoryError:
                os._exit(OUT_OF_MEMORY)
            fetching += monotonic() - began
            outbox.add(_guarded(read, fetched))
            if number >= shown and fetching > _FAR * max(number, _SHOWN):
                return fetch is not _as_it_is
        return False

    def _read_behind(self, paths: Iterator[str]) -> None:
        """Read these files and those of the requests that come meanwhile; after some of them look anew."""
        ahead = self._ahead = _ahead(self._fetch) if self._ahead is None else self._ahead
        requests = _REQUESTS
        while True:
            while ahead.has_room():
                path = next(paths, None)
                if path is not None:
                    ahead.begin(path)
                elif requests and (request := self._requests.receive_if_there()) is not None:
                    requests -= 1
                    paths = iter(marshal.loads(request))
                else:
                    break
            if not ahead.begun:
                return
            self._outbox.begin(ahead.next_path())
            self._outbox.add(_guarded(self._read_taken, ahead))

    def _read_taken(self, ahead: Ahead) -> Reading:
        return self._read(ahead.take())


def _ahead(fetch: Fetch) -> Ahead:
    from dicom2fhir.ahead import Ahead  # threads and queues are for those who need them

    return Ahead(fetch)


def _pairs(paths: list[str], readings: list[Reading]) -> list[Any]:
    """What is sent where nothing packs it."""
    return list(zip(paths, readings, strict=True))


def _as_it_is(path: str) -> str:
    """What is fetched for a reader that fetches itself."""
    return path


def _guarded(read: Callable[[Any], Reading], fetched: Any) -> Reading:
    """One reading. No text of an exception leaves: it may hold patient data."""
    try:
        return read(fetched)
    except MemoryError:
        os._exit(OUT_OF_MEMORY)
    except Exception as error:
        return "skip", "malformed", f"The reader failed: {type(error).__name__}.", ""


def _send(answers: int, message: Any) -> None:
    try:
        payload = marshal.dumps(message)
    except ValueError:
        payload = marshal.dumps(("bug", "a reader gave what is not of a plain type"))
    view = memoryview(frame(payload))
    while view:
        view = view[os.write(answers, view) :]


def _take_pipes() -> tuple[_Requests, int]:
    """The two pipes, under numbers that a reader does not know; standard input and output lead nowhere then."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return _Requests(requests), answers


def _die_with(life: int) -> None:
    """Let the kernel end this process when the parent's end of a pipe is closed, however the parent went.

    End of input would do for a worker that waits; one that hangs inside C code would stay for ever.
    """
    if hasattr(os, "O_ASYNC"):
        fcntl.fcntl(life, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(life, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)


def _silence() -> None:
    warnings.resetwarnings()
    warnings.simplefilter("ignore")
    logging.disable()


def _limit(memory: int) -> None:
    """Let address space grow by so many bytes from here, and leave no core dump with patient data."""
    for kind, wanted in ((resource.RLIMIT_AS, _address_space() + memory), (resource.RLIMIT_CORE, 0)):
        hard = resource.getrlimit(kind)[1]
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        try:
            resource.setrlimit(kind, (soft, hard))
        except (OSError, ValueError):  # a system without this limit: the deadline is what remains
            continue


def _address_space() -> int:
    """Bytes of address space in use now."""
    try:
        with open("/proc/self/statm", "rb") as statm:
            return int(statm.read().split()[0]) * resource.getpagesize()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _named(name: str) -> Callable[..., Any]:
    module, _, function = name.partition(":")
    return getattr(import_module(module), function)  # type: ignore[no-any-return]


if __name__ == "__main__":
    main()
