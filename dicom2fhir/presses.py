"""Presses: processes that turn study records into what a sink writes, while this one reads, writes and accounts.

They are forked when the crawl has ended, so that they share what is loaded by then and start within milliseconds. They
touch nothing but a socket each: not the index, not the sink, not the standard streams. A press that dies, or raises,
has changed nothing: its studies are pressed here, and what goes wrong with them goes wrong here, too.
"""

from __future__ import annotations

import gc
import marshal
import os
import selectors
import signal
import sys
import threading
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NoReturn

from dicom2fhir.index import StudyRows, instance_count
from dicom2fhir.mapping import Elsewhere
from dicom2fhir.press import NobodyElse, Press, Pressed

if TYPE_CHECKING:
    from socket import socket

SHARE = 2000
"""Instances a process that make up for starting it."""
STUDY = 20
"""What a study weighs besides its instances."""
SHEET = 200
"""The weight of what is pressed at once: some milliseconds."""
WAITING = 50_000
"""The weight of all that may be under way, or waits to be written."""
_HEAD = 8
"""Bytes of a message's length."""
_PIECE = 1 << 20
_SIGNALS = frozenset({signal.SIGINT, signal.SIGTERM, signal.SIGHUP})


def worth(jobs: int, instances: int, studies: int) -> int:
    """How many presses are worth their start; none where it would be one, for this process can do that itself."""
    count = min(jobs, instances // SHARE, studies)
    return count if count > 1 else 0


def press_all(studies: Iterable[StudyRows], press: Press, count: int) -> Generator[Pressed, None, None]:
    """Press every study, in up to `count` processes besides this one; in the order of the studies.

    However the iteration ends, the processes are gone when it has. Raises what pressing a study raises, at its place.
    """
    with closing(_Presses(press, count)) as presses:
        yield from presses.run(_sheets(studies, press))


@dataclass(slots=True, eq=False)
class _Sheet:
    """Studies that are pressed at once; `here` where no other process can."""

    studies: list[StudyRows]
    weight: int
    here: bool = False
    pressed: list[Pressed] | None = None


def _sheets(studies: Iterable[StudyRows], press: Press) -> Iterator[_Sheet]:
    gathered: list[StudyRows] = []
    total = 0
    for study in studies:
        here, weight = press.asks_about_others(study), STUDY + instance_count(study)
        if gathered and (here or total + weight > SHEET):
            yield _Sheet(gathered, total)
            gathered, total = [], 0
        if here:
            yield _Sheet([study], weight, here=True)
        else:
            gathered.append(study)
            total += weight
    if gathered:
        yield _Sheet(gathered, total)


class _Presses:
    """The presses, and the sheets in the order in which they are to be given back."""

    def __init__(self, press: Press, count: int) -> None:
        self._press, self._left = press, count
        self._presses: list[_Child] = []
        self._queue: deque[_Sheet] = deque()
        self._next: _Sheet | None = None
        self._selector = selectors.DefaultSelector()
        self._frozen = False

    def close(self) -> None:
        """Kill and reap the presses."""
        with _undisturbed():
            self._left = 0
            while self._presses:
                self._dismiss(self._presses[-1])
            self._selector.close()
            if self._frozen:
                gc.unfreeze()

    def run(self, sheets: Iterator[_Sheet]) -> Iterator[Pressed]:
        """See `press_all`."""
        yield from self._press_first(sheets)
        while True:
            self._take(wait=False)
            self._hand_out(sheets)
            if not self._queue:
                return
            first = self._queue[0]
            if first.here and first.pressed is None:
                first.pressed = list(map(self._press.press, first.studies))
            if first.pressed is None:
                self._take(wait=True)
            else:
                self._queue.popleft()
                yield from first.pressed

    def _press_first(self, sheets: Iterator[_Sheet]) -> Iterator[Pressed]:
        """A small sheet comes before all presses, which then share the tables that it takes."""
        self._next = next(sheets, None)
        if self._next is not None and self._next.weight <= 2 * SHEET:
            studies, self._next = self._next.studies, None
            yield from map(self._press.press, studies)

    def _hand_out(self, sheets: Iterator[_Sheet]) -> None:
        """Give sheets to whoever is idle. The next one is read before it is needed."""
        while True:
            self._next = sheet = self._next or next(sheets, None)
            if sheet is None or not self._has_room(sheet.weight):
                return
            if not sheet.here:
                one = self._idle() or self._start()
                if one is None and self._presses:
                    return
                if one is not None and not one.give(sheet):
                    self._dismiss(one)
                    continue
                sheet.here = one is None
            self._queue.append(sheet)
            self._next = None

    def _has_room(self, weight: int) -> bool:
        if not self._queue:
            return True
        return self._is_parallel() and weight + sum(sheet.weight for sheet in self._queue) <= WAITING

    def _is_parallel(self) -> bool:
        return bool(self._presses or self._left)

    def _idle(self) -> _Child | None:
        return next((one for one in self._presses if one.sheet is None), None)

    def _start(self) -> _Child | None:
        """One more press; None where there are enough, or there can be none."""
        if not self._left or not _may_fork():
            self._left = 0
            return None
        self._left -= 1
        self._freeze()
        with _undisturbed():
            try:
                one = _Child(self._press)
            except OSError:  # no more processes or descriptors: those that are there will do
                self._left = 0
                return None
            self._presses.append(one)
            self._selector.register(one.socket, selectors.EVENT_READ, one)
            return one

    def _freeze(self) -> None:
        """Keep the garbage collector from writing into pages that are shared."""
        if not self._frozen and not gc.get_freeze_count():
            gc.freeze()
            self._frozen = True

    def _take(self, *, wait: bool) -> None:
        """Take in what has been pressed; a sheet that was lost is pressed here."""
        if not self._presses:
            return
        for key, _ in self._selector.select(None if wait else 0):
            one: _Child = key.data
            sheet, pressed = one.sheet, one.receive()
            if sheet is not None:
                sheet.pressed, sheet.here = pressed, pressed is None
            if pressed is None:
                self._dismiss(one)

    def _dismiss(self, one: _Child) -> None:
        self._selector.unregister(one.socket)
        self._presses.remove(one)
        one.end()


class _Child:
    """One press, seen from this process: it has a sheet, or is idle."""

    def __init__(self, press: Press) -> None:
        """Raises OSError. Signals must be blocked."""
        from socket import socketpair  # not loaded where nothing is forked

        self.sheet: _Sheet | None = None
        self.socket, theirs = socketpair()
        try:
            with theirs:
                self._pid = os.fork()
                if self._pid == 0:
                    _serve(theirs, press)
        except BaseException:
            self.socket.close()
            raise

    def give(self, sheet: _Sheet) -> bool:
        """Have a sheet pressed; False where the press is dead. It is idle, so it reads, and this does not wait."""
        try:
            _send(self.socket, sheet.studies)
        except OSError:
            return False
        self.sheet = sheet
        return True

    def receive(self) -> list[Pressed] | None:
        """What it has pressed; None where it died, or answers what is no answer."""
        sheet, self.sheet = self.sheet, None
        if sheet is None:
            return None
        try:
            pressed = [Pressed.of(each) for each in _receive(self.socket)]
        except (OSError, EOFError, TypeError, ValueError):
            return None
        return pressed if [each.uid for each in pressed] == [study[0] for study in sheet.studies] else None

    def end(self) -> None:
        """Kill and reap it."""
        self.socket.close()
        with suppress(ProcessLookupError, ChildProcessError):  # somebody else may have reaped it
            os.kill(self._pid, signal.SIGKILL)
            os.waitpid(self._pid, 0)


def _may_fork() -> bool:
    """Whether a forked process is sound: where this one has a single thread, whoever started it.

    Not on macOS, whose libraries may have threads of their own and end a process that was forked beside them.
    """
    if sys.platform != "linux" or threading.active_count() > 1:
        return False
    try:
        return len(os.listdir("/proc/self/task")) == 1
    except OSError:
        return False


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Meanwhile no signal interrupts, so that no process is forgotten."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _serve(parent: socket, press: Press) -> NoReturn:
    """What a press does until its parent is gone: nothing of the parent's is touched, nothing is said."""
    try:
        _detach(parent.fileno())
        alone = replace(press, elsewhere=Elsewhere(NobodyElse(), press.settings))
        while True:
            _send(parent, [alone.press(study).plain() for study in _receive(parent)])
    finally:
        os._exit(1)


def _detach(own: int) -> None:
    """Leave Ctrl-C to the parent, die of other signals, and hold nothing open: no lock, no end of another's pipe."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    for descriptor in map(int, os.listdir("/proc/self/fd")):
        if descriptor > 2 and descriptor != own:
            with suppress(OSError):
                os.close(descriptor)


def _send(to: socket, message: Any) -> None:
    data = marshal.dumps(message)
    to.sendall(len(data).to_bytes(_HEAD, "big"))
    to.sendall(data)


def _receive(of: socket) -> Any:
    """Raises EOFError where there is no whole message, ValueError or TypeError where it is none."""
    return marshal.loads(_exactly(of, int.from_bytes(_exactly(of, _HEAD), "big")))


def _exactly(of: socket, count: int) -> bytes:
    data = bytearray()
    while len(data) < count:
        piece = of.recv(min(count - len(data), _PIECE))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)
