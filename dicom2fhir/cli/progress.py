"""What is seen while a run goes on: a bar on a terminal, a line every 30 seconds elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TYPE_CHECKING

from dicom2fhir.cli.logs import Talk

if TYPE_CHECKING:
    from dicom2fhir.pipeline import Progress

PERIOD = 30.0
REFRESH = 0.1
"""Seconds between two pictures of a bar."""
Hook = Callable[["Progress"], None]


@contextmanager
def watch(talk: Talk, *, wanted: bool, data_on_terminal: bool = False) -> Iterator[Hook]:
    """A hook for the pipeline's events. `data_on_terminal`: what is written appears there, so the bar makes room."""
    if not wanted or talk.verbosity < 0 or sys.stderr is None:
        yield _ignore
    elif talk.form == "text" and sys.stderr.isatty():
        with _bar(data_on_terminal) as hook:
            yield hook
    else:
        yield Lines(talk)


def _ignore(event: Progress) -> None:
    """Nobody watches."""


class Pace:
    """Files a second since the first event."""

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._start = clock()
        self._end: float | None = None

    def rate(self, event: Progress) -> float:
        """Once the reading has ended the rate stays what it was."""
        if event.phase != "reading" and self._end is None:
            self._end = self._clock()
        return event.files / max((self._end or self._clock()) - self._start, 0.001)


def describe(event: Progress, rate: float) -> str:
    """One line: files, rate, studies, problems."""
    studies = f"{event.studies:,} of {event.total_studies:,}" if event.total_studies is not None else "?"
    parts = [f"{event.files:,} files", f"{rate:,.0f} files/s"] if event.files else []
    if event.total_studies is not None:
        parts.append(f"{studies} studies")
    return f"{event.phase}: {', '.join([*parts, f'{event.problems:,} problems'])}"


class Lines:
    """A line every `PERIOD` seconds."""

    def __init__(self, talk: Talk, clock: Callable[[], float] = monotonic) -> None:
        self._talk = talk
        self._clock = clock
        self._pace = Pace(clock)
        self._next = clock() + PERIOD

    def __call__(self, event: Progress) -> None:
        """Say how far it is, when it is time to."""
        rate = self._pace.rate(event)
        if self._clock() < self._next:
            return
        self._next = self._clock() + PERIOD
        self._talk.info(
            describe(event, rate),
            event="progress",
            phase=event.phase,
            files=event.files,
            studies=event.studies,
            problems=event.problems,
        )


@contextmanager
def _bar(data_on_terminal: bool) -> Iterator[Hook]:
    from rich.console import Console
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress

    columns = (BarColumn(bar_width=24), TextColumn("{task.description}", markup=False))
    # drawn on events and not by a thread, beside which the pipeline could start no presses
    with RichProgress(*columns, console=Console(stderr=True), transient=True, auto_refresh=False) as bar:
        task = bar.add_task("reading", total=None)
        pace, drawn = Pace(), 0.0

        def hook(event: Progress) -> None:
            nonlocal drawn
            if data_on_terminal and event.phase != "reading":
                bar.stop()
            if monotonic() < drawn + REFRESH:
                return
            drawn = monotonic()
            bar.update(task, description=describe(event, pace.rate(event)), total=event.total_studies)
            if event.phase != "reading":
                bar.update(task, completed=event.studies)
            bar.refresh()

        yield hook
