"""What is seen while a run goes on."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
from typing import Any

import pytest

from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.progress import PERIOD, Lines, Pace, describe, watch
from dicom2fhir.pipeline import Progress

READING = Progress("reading", 12_345, 0, 3)
WRITING = Progress("writing", 12_345, 7, 4, 40)


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_words() -> None:
    assert describe(READING, 410.4) == "reading: 12,345 files, 410 files/s, 3 problems"
    assert describe(WRITING, 410.4) == "writing: 12,345 files, 410 files/s, 7 of 40 studies, 4 problems"


def test_the_rate_is_that_of_reading() -> None:
    clock = Clock()
    pace = Pace(clock)
    clock.now += 10
    assert pace.rate(READING) == 1234.5
    assert pace.rate(WRITING) == 1234.5
    clock.now += 1000
    assert pace.rate(WRITING) == 1234.5


def test_a_line_every_thirty_seconds() -> None:
    assert PERIOD == 30
    clock, stream = Clock(), io.StringIO()
    lines = Lines(Talk(stream=stream), clock)
    for _ in range(100):
        lines(READING)
        clock.now += 1
    assert len(stream.getvalue().splitlines()) == 3


def test_a_line_for_programs() -> None:
    clock, stream = Clock(), io.StringIO()
    lines = Lines(Talk(form="json", stream=stream), clock)
    clock.now += 31
    lines(WRITING)
    row = json.loads(stream.getvalue())
    assert (row["event"], row["phase"], row["files"], row["studies"]) == ("progress", "writing", 12_345, 7)


@pytest.mark.parametrize(("talk", "wanted"), [(Talk(-1), True), (Talk(), False)])
def test_silence(talk: Talk, wanted: bool) -> None:
    with watch(talk, wanted=wanted) as hook:
        assert not isinstance(hook, Lines)
        hook(READING)


def on_terminal(code: str) -> bytes:
    """What a program writes to its standard error where that is a terminal."""
    parent, child = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    with subprocess.Popen([sys.executable, "-c", code], stderr=child, stdout=subprocess.PIPE, env=env) as process:
        os.close(child)
        seen = b""
        try:
            while piece := os.read(parent, 4096):
                seen += piece
        except OSError:  # the terminal's other end is closed
            pass
        os.close(parent)
    assert process.returncode == 0
    return seen


SCRIPT = """
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.progress import watch
from dicom2fhir.pipeline import Progress
with watch(Talk(), wanted=True{}) as hook:
    hook(Progress("reading", 12345, 0, 3))
    import time; time.sleep(0.3)
    hook(Progress("writing", 12345, 7, 4, 40))
    import threading; assert threading.active_count() == 1  # beside a thread nothing would be forked
    time.sleep(0.3)
"""


@pytest.mark.parametrize(("more", "writing"), [("", True), (", data_on_terminal=True", False)])
def test_a_bar_on_a_terminal(more: str, writing: bool) -> None:
    seen: Any = on_terminal(SCRIPT.format(more))
    assert b"reading: 12,345 files" in seen
    assert (seen.count(b"7 of 40 studies") > 1) == writing
