"""What became of every parcel: the interface, and the one of it that forgets when the run ends.

pending -> sending -> accepted | unknown | refused | pending again. What is accepted rests until its content changes;
all others are sent again when a later run puts them. Each parcel comes to one end a run.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from dicom2fhir.problems import Code

if TYPE_CHECKING:
    from dicom2fhir.server.parcels import Parcel


class State(StrEnum):
    """Where a parcel is. `UNKNOWN`: the server may or may not have taken it."""

    PENDING = "pending"
    SENDING = "sending"
    ACCEPTED = "accepted"
    UNKNOWN = "unknown"
    REFUSED = "refused"


class Ledger(Protocol):
    """The memory of a delivery. `put` is called by the thread that converts, the rest by the one that sends.

    What a method notes is lasting, as far as the kind is, when it returns. A name that this run did not put, or
    whose parcel came to its end, is a `LookupError`. Every method may raise `EnvironmentFailed`.
    """

    @property
    def own_paths(self) -> tuple[str, ...]:
        """Folders of this ledger's own, as absolute paths: not to be read as input."""
        ...

    @property
    def held(self) -> int:
        """How many bytes of Bundles lie in memory."""
        ...

    def open(self) -> None:
        """Hold what must be held."""
        ...

    def close(self) -> None:
        """Let go of it; may come twice, and after an `open` that failed."""
        ...

    def put(self, id: str, uid: str, digest: bytes, body: bytes) -> State:
        """Take a parcel: `digest` stands for its content, `body` is its Bundle's JSON, `id` 1-64 of `A-Za-z0-9.-`.

        New, or changed since it was put before: pending. Otherwise the state that it had, and where that is
        accepted there is nothing to send. An id that comes again in one run is another parcel, with a name of its own.
        """
        ...

    def waiting(self, after: int, most: int) -> list[tuple[int, str]]:
        """(place, name) of parcels that this run put and did not begin to send, in the order of putting.

        At most `most`, those after the place `after` (0: from the first).
        """
        ...

    def body(self, name: str) -> bytes:
        """The Bundle that was put."""
        ...

    def sending(self, name: str) -> None:
        """A request with it goes out now; may be said again before the next one."""
        ...

    def accepted(self, name: str) -> None:
        """An end: the server has it, and its body can be forgotten."""
        ...

    def unknown(self, name: str) -> None:
        """An end: the server may have it."""
        ...

    def refused(self, name: str, code: Code, status: int | None = None, outcome: Any = None) -> None:
        """An end: the server, or a rule of ours, will not have it. `status` (HTTP) and `outcome` are the server's."""
        ...

    def pending(self, name: str) -> None:
        """An end: the server does not have it, and this run tries no more."""
        ...

    def unsent(self) -> Iterator[str]:
        """The Study Instance UIDs of what came to no end, or is pending again, in the order of putting."""
        ...

    def counts(self) -> dict[State, int]:
        """How many parcels of this run are in each state; every state is there."""
        ...

    def left_over(self) -> int:
        """How many parcels of earlier runs are pending or unknown, and were not put by this one."""
        ...

    def left_behind(self) -> Iterator[Parcel]:
        """Those parcels, in the order of putting; each may be put while the next is waited for."""
        ...


@dataclass(slots=True)
class _Held:
    """A parcel that is not settled. The body is None when this run tries no more."""

    uid: str
    body: bytes | None
    state: State = State.PENDING


class Memory:
    """A ledger without a disk: what came to its end is only counted. The names are its own."""

    own_paths: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._place = 0
        self._parcels: dict[int, _Held] = {}
        self._ended: Counter[State] = Counter()
        self._held = 0

    @property
    def held(self) -> int:
        """See `Ledger`."""
        return self._held

    def open(self) -> None:
        """See `Ledger`."""

    def close(self) -> None:
        """See `Ledger`."""

    def put(self, id: str, uid: str, digest: bytes, body: bytes) -> State:
        """See `Ledger`."""
        with self._lock:
            self._place += 1
            self._parcels[self._place] = _Held(uid, body)
            self._held += len(body)
        return State.PENDING

    def waiting(self, after: int, most: int) -> list[tuple[int, str]]:
        """See `Ledger`."""
        found: list[tuple[int, str]] = []
        with self._lock:
            for place in range(after + 1, self._place + 1):
                if len(found) == most:
                    break
                held = self._parcels.get(place)
                if held is not None and held.body is not None and held.state is State.PENDING:
                    found.append((place, str(place)))
        return found

    def body(self, name: str) -> bytes:
        """See `Ledger`."""
        with self._lock:
            return self._under_way(name)[1]

    def sending(self, name: str) -> None:
        """See `Ledger`."""
        with self._lock:
            self._under_way(name)[0].state = State.SENDING

    def accepted(self, name: str) -> None:
        """See `Ledger`."""
        self._end(name, State.ACCEPTED)

    def unknown(self, name: str) -> None:
        """See `Ledger`."""
        self._end(name, State.UNKNOWN)

    def refused(self, name: str, code: Code, status: int | None = None, outcome: Any = None) -> None:
        """See `Ledger`; what the server said is not kept."""
        self._end(name, State.REFUSED)

    def pending(self, name: str) -> None:
        """See `Ledger`."""
        with self._lock:
            held, body = self._under_way(name)
            held.state, held.body = State.PENDING, None
            self._held -= len(body)

    def _end(self, name: str, state: State) -> None:
        with self._lock:
            self._held -= len(self._under_way(name)[1])
            del self._parcels[int(name)]
            self._ended[state] += 1

    def _under_way(self, name: str) -> tuple[_Held, bytes]:
        held = self._parcels.get(int(name))
        if held is None or held.body is None:
            raise LookupError("no such parcel is under way")
        return held, held.body

    def unsent(self) -> Iterator[str]:
        """See `Ledger`."""
        with self._lock:
            uids = [held.uid for held in self._parcels.values()]
        yield from uids

    def counts(self) -> dict[State, int]:
        """See `Ledger`."""
        with self._lock:
            open_ones = Counter(held.state for held in self._parcels.values())
            return {state: self._ended[state] + open_ones[state] for state in State}

    def left_over(self) -> int:
        """See `Ledger`."""
        return 0

    def left_behind(self) -> Iterator[Parcel]:
        """See `Ledger`."""
        return iter(())
