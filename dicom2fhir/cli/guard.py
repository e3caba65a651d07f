"""How a command ends: every exception becomes one sentence on standard error and an exit code.

Signals become exceptions, so that temporary files are removed on the way out.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from dicom2fhir.cli.logs import Talk
from dicom2fhir.errors import Dicom2FhirError, Exit

_MACHINE = frozenset(
    (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ESTALE)
)


class Terminated(BaseException):
    """SIGTERM, or SIGHUP of a closing terminal."""


def guarded(work: Callable[[], Exit], talk: Talk) -> Exit:
    """Do the work; its exit code, or that of what ended it. Raises nothing."""
    try:
        with _signals():
            code = work()
            if sys.stdout is not None:
                sys.stdout.flush()
            return code
    except BaseException as failure:
        return explain(failure, talk)
    finally:
        _settle_streams()


@contextmanager
def _signals() -> Iterator[None]:
    """While this holds, SIGTERM and SIGHUP raise `Terminated`. A SIGHUP that is ignored (nohup) stays so."""
    earlier: dict[signal.Signals, Any] = {}
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            earlier[number] = signal.signal(number, _terminate)
    try:
        yield
    finally:
        for changed, handler in earlier.items():
            signal.signal(changed, handler)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def explain(failure: BaseException, talk: Talk) -> Exit:
    """The exit code of what ended a command, after one sentence about it. A closed pipe ends quietly."""
    if isinstance(failure, BrokenPipeError):
        return Exit.PIPE_CLOSED
    try:
        return _told(failure, talk)
    except BrokenPipeError:  # standard error is a closed pipe too
        return Exit.PIPE_CLOSED


def _told(failure: BaseException, talk: Talk) -> Exit:
    if isinstance(failure, KeyboardInterrupt):
        code, sentence = Exit.INTERRUPTED, "interrupted"
    elif isinstance(failure, Terminated):
        code, sentence = Exit.TERMINATED, "terminated"
    elif isinstance(failure, Dicom2FhirError):
        code, sentence = failure.exit_code, str(failure).rstrip(".")
    elif _is_machine(failure):
        code, sentence = Exit.ENVIRONMENT, f"the environment failed: {_reason(failure)}"
    else:
        code, sentence = Exit.BUG, f"a bug: {type(failure).__name__} at {_location(failure)}"
        if talk.identifiers:
            sentence += "\n" + "".join(traceback.format_exception(failure)).rstrip()
    talk.error(f"{sentence}.", event="ended", exit_code=int(code))
    return code


def _is_machine(failure: BaseException) -> bool:
    if isinstance(failure, OSError):
        return failure.errno in _MACHINE
    # The database of the study index reports a full disk in its own way; it is not imported for that.
    database = sys.modules.get("sqlite3")
    return database is not None and isinstance(failure, database.OperationalError)


def _reason(failure: BaseException) -> str:
    number = getattr(failure, "errno", None)
    return os.strerror(number) if number else "the temporary database cannot be written"


def _location(failure: BaseException) -> str:
    """File and line of the innermost frame in this package: no values, no paths of the machine."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    frames = traceback.extract_tb(failure.__traceback__)
    ours = [frame for frame in frames if frame.filename.startswith(package)] or list(frames)
    if not ours:
        return "an unknown place"
    return f"{os.path.relpath(ours[-1].filename, os.path.dirname(package))}:{ours[-1].lineno}"


def _settle_streams() -> None:
    """What is still buffered for a closed pipe or a full disk must not complain when the interpreter ends."""
    for stream in (sys.stdout, sys.stderr):
        if stream is None:
            continue
        try:
            stream.flush()
        except OSError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
