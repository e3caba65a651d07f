"""Readers that do what damaged files make real ones do. The file name says what; the path need not exist."""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
import warnings
from typing import Any

_prepared: list[str] = []
_read: list[str] = []


def prepare() -> None:
    """Leaves a mark that `read` reports."""
    _prepared.append("prepared")


def read(path: str, *arguments: str) -> tuple[Any, ...]:
    """("header", path, arguments …) after doing what the last part of the path says, up to its first `-`."""
    deed = path.rpartition("/")[2].partition("-")[0]
    if deed in _DEEDS:
        _DEEDS[deed]()
    _read.append(path)
    return ("header", path, *arguments)


def fetch_far(path: str) -> tuple[str, int]:
    """What takes a millisecond, after doing what `read` does."""
    deed = path.partition("-")[0]
    if deed in _DEEDS:
        _DEEDS[deed]()
    time.sleep(0.001)
    return "fetched", threading.get_ident()


def read_far(fetched: tuple[str, int]) -> tuple[Any, ...]:
    """What `fetch_far` fetched."""
    return ("header", *fetched)


def trivial(path: str) -> tuple[Any, ...]:
    """What costs nothing."""
    return ("header", path)


def facts(path: str) -> tuple[Any, ...]:
    """What the process is like."""
    deaf = signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    quiet = warnings.filters[0][0] == "ignore" and not logging.getLogger("pydicom").isEnabledFor(logging.CRITICAL)
    return ("facts", os.getpid(), len(_prepared), deaf, quiet)


def slow_facts(path: str) -> tuple[Any, ...]:
    """The same, after a while."""
    for _ in range(6):  # what is left of one long sleep would pass while the process stands still
        time.sleep(0.05)
    return facts(path)


def fails_to_prepare() -> None:
    """Raises."""
    raise LookupError("Doe^Jane")


def dies_to_prepare() -> None:
    """Ends the process."""
    os._exit(3)


class _Text(str):
    __slots__ = ()


def not_plain(path: str) -> tuple[Any, ...]:
    """What marshal does not take."""
    return ("header", _Text(path))


def _hang() -> None:
    # one operation inside C that never gives way to a signal handler of Python
    10**10**10


def _spin() -> None:
    while True:
        try:
            time.sleep(0.01)
        except BaseException:
            continue


def _eat() -> None:
    hoard = bytearray(8 << 30)
    hoard[::4096] = b"x" * len(hoard[::4096])


def _nibble() -> None:
    hoard = []
    while True:
        hoard.append(bytes(range(256)) * 4096)


def _eat_once() -> None:
    """Too much only for a process that has read before."""
    if _read:
        raise MemoryError


def _segfault() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def _no_memory() -> None:
    raise MemoryError


def _exit() -> None:
    os._exit(0)


def _exit_once() -> None:
    if _read:
        os._exit(0)


def _quit() -> None:
    sys.exit("Doe^Jane")


def _hang_up() -> None:
    os.closerange(0, 64)
    time.sleep(60)


def _shout() -> None:
    print("Doe^Jane" * 100_000)
    os.write(1, b"Doe^Jane")
    os.write(2, b"Doe^Jane")
    warnings.warn("Doe^Jane", stacklevel=1)
    logging.getLogger("pydicom").error("Doe^Jane")
    if sys.stdin:
        sys.stdin.read()


def _raise() -> None:
    raise ValueError("Doe^Jane")


def _recurse() -> None:
    _recurse()


def _doze() -> None:
    time.sleep(0.12)


def _sleep() -> None:
    time.sleep(0.6)


_DEEDS = {
    "hang": _hang,
    "spin": _spin,
    "eat": _eat,
    "nibble": _nibble,
    "eatonce": _eat_once,
    "segfault": _segfault,
    "exit": _exit,
    "exitonce": _exit_once,
    "nomemory": _no_memory,
    "quit": _quit,
    "hangup": _hang_up,
    "shout": _shout,
    "raise": _raise,
    "recurse": _recurse,
    "doze": _doze,
    "sleep": _sleep,
}
