"""What a worker process runs: `python -m dicom2fhir.worker_main BEATS_FD SLOT LIFE_FD`; `workers` starts it.

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
import signal
import sys
import warnings
from collections.abc import Callable
from importlib import import_module
from time import monotonic
from typing import Any, BinaryIO

OUT_OF_MEMORY = 86
"""The exit status that says: this file needed more memory than the limit."""
HEAD = 4
"""Bytes of a frame's length."""
BEAT = 8
"""Bytes of shared memory a worker: the number of the file it is on, from 1; 0 while it is on none."""
_FLUSH = 0.1

Read = Callable[..., tuple[Any, ...]]


def main() -> None:
    """Read what standard input asks for until it ends."""
    beats_fd, slot, life = map(int, sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _die_with(life)
    requests, answers = _take_pipes()
    try:
        reader, arguments, prepare, memory = pickle.loads(_receive(requests) or b"")
        if prepare:
            _named(prepare)()
        read: Read = _named(reader)
    except Exception as error:
        _send(answers, ("failed", type(error).__name__))
        return
    _silence()
    gc.collect()
    gc.freeze()
    _limit(memory)
    beats = memoryview(mmap.mmap(beats_fd, 0)).cast("Q")[slot : slot + 1]
    _serve(requests, answers, beats, lambda path: read(path, *arguments))


def frame(payload: bytes) -> bytes:
    """A payload with its length before it."""
    return len(payload).to_bytes(HEAD, "big") + payload


def _serve(requests: BinaryIO, answers: int, beats: memoryview, read: Read) -> None:
    number = 0
    while (request := _receive(requests)) is not None:
        readings: list[tuple[Any, ...]] = []
        sent = monotonic()
        for path in marshal.loads(request):
            number += 1
            beats[0] = number
            readings.append(_guarded(read, path))
            if monotonic() - sent > _FLUSH:
                beats[0] = 0
                _send(answers, readings)
                readings, sent = [], monotonic()
        beats[0] = 0
        _send(answers, readings)


def _guarded(read: Read, path: str) -> tuple[Any, ...]:
    """One reading. No text of an exception leaves: it may hold patient data."""
    try:
        return read(path)
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


def _receive(requests: BinaryIO) -> bytes | None:
    head = requests.read(HEAD)
    if len(head) < HEAD:
        return None
    return requests.read(int.from_bytes(head, "big"))


def _take_pipes() -> tuple[BinaryIO, int]:
    """The two pipes, under numbers that a reader does not know; standard input and output lead nowhere then."""
    requests, answers = os.dup(0), os.dup(1)
    nowhere = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(nowhere, standard)
    os.close(nowhere)
    return os.fdopen(requests, "rb"), answers


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
