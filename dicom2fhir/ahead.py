"""Fetching ahead: while one file is read, the next ones are already being opened, each by a thread that waits.

Threads are enough, because what they do is wait; how many there are follows from how long the reader has to wait for
them. Results come in the order in which they were asked for, so that whoever counts files need not know of this.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from time import monotonic
from typing import Any

FEWEST = 8
MOST = 32
"""Files that are fetched at once."""
_LOOK = 16
"""Files after which is asked whether there are enough threads."""
_PATIENCE = 0.1
"""The share of its time that a reader may wait before there are more of them."""
_STACK = 256 * 1024
"""Bytes of a thread's stack: it calls nothing deep, and address space counts against a reader's limit."""

Fetch = Callable[[str], Any]


class _Errand:
    """One file to fetch."""

    __slots__ = ("done", "failure", "fetched", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.fetched: Any = None
        self.failure: BaseException | None = None
        self.done = threading.Lock()
        self.done.acquire()


class Ahead:
    """Fetches some files ahead, in the order in which they are begun."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._errands: SimpleQueue[_Errand | None] = SimpleQueue()
        self._begun: deque[_Errand] = deque()
        self._threads = 0
        self._waited, self._taken, self._since = 0.0, 0, monotonic()
        self._grow(FEWEST)

    def _grow(self, threads: int) -> None:
        """Start so many threads; where the system gives no more, those that there are must do."""
        before = threading.stack_size(_STACK)
        with suppress(RuntimeError):
            for _ in range(min(threads, MOST - self._threads)):
                threading.Thread(target=self._run, daemon=True).start()
                self._threads += 1
        threading.stack_size(before)

    def _run(self) -> None:
        while (errand := self._errands.get()) is not None:
            self._do(errand)

    def _do(self, errand: _Errand) -> None:
        try:
            errand.fetched = self._fetch(errand.path)
        except BaseException as failure:  # whoever takes it will hear; a thread that ended would leave him waiting
            errand.failure = failure
        errand.done.release()

    def close(self) -> None:
        """Let the threads end, each when it has fetched what it is on."""
        for _ in range(self._threads):
            self._errands.put(None)
        self._threads = 0

    @property
    def begun(self) -> int:
        """How many files were begun and not taken."""
        return len(self._begun)

    def has_room(self) -> bool:
        """Whether one more can be begun: each thread has one file to fetch and one that waits for it."""
        return len(self._begun) < max(2 * self._threads, 1)

    def begin(self, path: str) -> None:
        """Have a file fetched; where there is no thread, here."""
        errand = _Errand(path)
        self._begun.append(errand)
        if self._threads:
            self._errands.put(errand)
        else:
            self._do(errand)

    def next_path(self) -> str:
        """The file that `take` will give."""
        return self._begun[0].path

    def take(self) -> Any:
        """What was fetched for the file that was begun first; waits for it, and raises what fetching it raised."""
        errand = self._begun.popleft()
        began = monotonic()
        errand.done.acquire()
        self._waited += monotonic() - began
        self._taken += 1
        if self._taken == _LOOK:
            self._adapt()
        if errand.failure is not None:
            raise errand.failure
        return errand.fetched

    def _adapt(self) -> None:
        now = monotonic()
        if self._waited > _PATIENCE * (now - self._since):
            self._grow(self._threads)
        self._waited, self._taken, self._since = 0.0, 0, now
