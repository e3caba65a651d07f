"""How a command ends: exit codes, one sentence, and nothing of the input in it."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import sqlite3
import time
from typing import NoReturn

import pytest

from dicom2fhir.cli.guard import Terminated, guarded
from dicom2fhir.cli.logs import Talk
from dicom2fhir.errors import (
    AccountingBroken,
    ConfigurationError,
    EnvironmentFailed,
    Exit,
    OutputExists,
    OutputLocked,
    UsageError,
)


def ending(failure: BaseException, **talk: object) -> tuple[Exit, str]:
    def work() -> NoReturn:
        raise failure

    stream = io.StringIO()
    return guarded(work, Talk(stream=stream, **talk)), stream.getvalue()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (UsageError("why"), 2),
        (OutputExists("why"), 2),
        (ConfigurationError("why"), 4),
        (EnvironmentFailed("why"), 5),
        (OutputLocked("why"), 11),
        (AccountingBroken("why"), 70),
    ],
)
def test_ours(failure: BaseException, code: int) -> None:
    assert ending(failure) == (code, "dicom2fhir: why.\n")


@pytest.mark.parametrize(
    ("failure", "code", "said"),
    [
        (KeyboardInterrupt(), 130, "dicom2fhir: interrupted.\n"),
        (Terminated(), 143, "dicom2fhir: terminated.\n"),
        (BrokenPipeError(), 141, ""),
        (OSError(errno.ENOSPC, "x", "/home/doe"), 5, "dicom2fhir: the environment failed: No space left on device.\n"),
        (
            sqlite3.OperationalError("database or disk is full"),
            5,
            "dicom2fhir: the environment failed: the temporary database cannot be written.\n",
        ),
    ],
)
def test_signals_and_the_machine(failure: BaseException, code: int, said: str) -> None:
    assert ending(failure) == (code, said)


def test_a_bug_names_its_type_and_place_and_no_value() -> None:
    code, said = ending(ValueError("Doe^John 1.2.3"))
    assert code == 70
    assert said.startswith("dicom2fhir: a bug: ValueError at dicom2fhir/cli/guard.py:")
    assert "Doe" not in said
    assert "Doe" in ending(ValueError("Doe^John"), identifiers=True)[1]


def test_quiet_still_says_why() -> None:
    assert ending(UsageError("why"), verbosity=-1) == (2, "dicom2fhir: why.\n")


def test_json() -> None:
    _, said = ending(UsageError("why"), form="json")
    row = json.loads(said)
    assert (row["level"], row["message"], row["exit_code"]) == ("error", "why.", 2)
    assert row["time"].endswith("Z")


def test_loudness() -> None:
    stream = io.StringIO()
    for verbosity in (-1, 0, 1):
        talk = Talk(verbosity, stream=stream)
        talk.info(f"info {verbosity}")
        talk.debug(f"debug {verbosity}")
    assert stream.getvalue() == "info 0\ninfo 1\ndebug 1\n"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_work_in_order(number: signal.Signals) -> None:
    cleaned = []

    def work() -> Exit:
        try:
            os.kill(os.getpid(), number)
            time.sleep(10)
        finally:
            cleaned.append(True)
        return Exit.OK

    before = signal.getsignal(number)
    assert guarded(work, Talk(stream=io.StringIO())) is Exit.TERMINATED
    assert cleaned == [True]
    assert signal.getsignal(number) is before


def test_nohup_stays() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:

        def work() -> Exit:
            os.kill(os.getpid(), signal.SIGHUP)
            return Exit.OK

        assert guarded(work, Talk(stream=io.StringIO())) is Exit.OK
    finally:
        signal.signal(signal.SIGHUP, before)
