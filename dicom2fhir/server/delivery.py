"""A delivery as the rest of the program sees it: parcels are handed over, and something comes of each.

The main thread converts; an event loop in one thread of its own sends. What they share is the ledger.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from dicom2fhir.errors import Dicom2FhirError, Exit, ServerAway, ServerMisconfigured
from dicom2fhir.problems import Code, Problem
from dicom2fhir.server.answer import KeepsFailing
from dicom2fhir.server.capability import Capabilities, read
from dicom2fhir.server.client import Client
from dicom2fhir.server.courier import Courier
from dicom2fhir.server.ledger import State
from dicom2fhir.server.tally import Delivered, Tally

if TYPE_CHECKING:
    from dicom2fhir.server.auth import Auth
    from dicom2fhir.server.ledger import Ledger
    from dicom2fhir.server.manner import Manner
    from dicom2fhir.server.parcels import Parcel
    from dicom2fhir.server.target import Target

Preflight = Callable[[Capabilities], "Manner"]
"""From what the server can to how studies are delivered; raises `ServerMisconfigured` where it lacks something."""
_OK = 200
_ROOM = 64 * 1024 * 1024
"""Bytes of Bundles that wait in memory where no folder holds them."""


async def ask(client: Client) -> Capabilities:
    """What the server says of itself. Raises `ServerMisconfigured`, `ServerAway`, `NotAuthorized`."""
    try:
        metadata = await client.request("GET", "metadata", idempotent=True, base_level=True)
    except KeepsFailing as failing:
        raise ServerAway(f"asked what it can, {failing}") from None
    if metadata.cut:
        raise ServerMisconfigured("what the server says of itself is longer than --max-answer")
    if metadata.status != _OK:
        raise ServerMisconfigured(f"asked what it can, the server answers {metadata.status}: --server, --auth")
    return read(metadata.json())


class Delivery:
    """One run's delivery. The order of calls: `open`, any number of `hand_over`, then `close` or `abort`."""

    def __init__(self, target: Target, auth: Auth, ledger: Ledger, preflight: Preflight) -> None:
        self._target, self._auth, self._ledger, self._preflight = target, auth, ledger, preflight
        self._problems: deque[Problem] = deque()
        self._handed = self._earlier = 0
        self._client: Client | None = None
        self._courier: Courier | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._task: asyncio.Task[None] | None = None
        self._begun, self._ended = threading.Event(), threading.Event()
        self._stopped: Dicom2FhirError | None = None
        self._failure: BaseException | None = None
        self._thread = threading.Thread(target=self._live, name="delivery", daemon=True)

    @property
    def own_paths(self) -> tuple[str, ...]:
        """Folders that are this delivery's own."""
        return self._ledger.own_paths

    def open(self) -> None:
        """Ask the server what it can. Raises what the preflight does, `NotAuthorized`, `ServerAway`."""
        self._ledger.open()
        self._thread.start()
        self._begun.wait()
        self._raise()
        if self._stopped is not None:
            raise self._stopped

    def hand_over(self, one: Parcel) -> None:
        """Take a parcel; waits while too much is held in memory. After the sending has stopped it stays pending."""
        self._raise()
        self._handed += 1
        forgotten = self._ended.is_set() and not self._ledger.own_paths  # nobody will send it, and nothing keeps it
        if self._ledger.put(one.id, one.uid, one.digest, b"" if forgotten else one.body) is State.ACCEPTED:
            self._earlier += 1
            return
        assert self._courier is not None
        self._call(self._courier.nudge)
        while self._ledger.held > _ROOM and not self._ended.wait(0.05):
            self._call(self._courier.nudge)

    def left_behind(self) -> Iterator[Parcel]:
        """What earlier runs with the same state left to be sent, once this one is open."""
        return self._ledger.left_behind()

    def problems(self) -> Iterator[Problem]:
        """What was found wrong since the last call."""
        while self._problems:
            yield self._problems.popleft()

    def left(self) -> int:
        """How many parcels have come to no end yet."""
        ended = self._courier.ends.total() if self._courier else 0
        return self._handed - self._earlier - ended

    def close(self, waiting: Callable[[int], None]) -> Delivered:
        """Send what is left; `waiting` hears how much that is, several times a second."""
        assert self._courier is not None
        self._call(self._courier.close)
        while not self._ended.wait(0.2):
            waiting(self.left())
        self._raise()
        self._problems.extend(Problem(Code.NOT_SENT, where=uid) for uid in self._ledger.unsent())
        delivered = self._delivered()
        self._ledger.close()
        return delivered

    def abort(self) -> None:
        """Stop at once; what was under way is looked at by the next run."""
        self._call(self._cancel)
        if self._thread.is_alive():
            self._thread.join(10)
        self._ledger.close()

    def _delivered(self) -> Delivered:
        assert self._client is not None
        assert self._courier is not None
        ends, fates, client = self._courier.ends, self._courier.fates, self._client
        pending = self.left()
        tally = Tally(
            ends["accepted"] + self._earlier, pending, ends["unknown"], ends["refused"],
            client.requests, client.retries, client.bytes,
        )  # fmt: skip
        return Delivered(
            tally,
            created=fates["created"],
            changed=fates["changed"],
            unchanged=fates["unchanged"],
            skipped=fates["skipped"],
            earlier=self._earlier,
            left_over=self._ledger.left_over(),
            stopped=str(self._stopped or ""),
            cause=self._stopped.exit_code if self._stopped else Exit.ENVIRONMENT if pending else Exit.OK,
        )

    def _raise(self) -> None:
        if self._failure is not None:
            raise self._failure

    # the loop's side

    def _call(self, what: Callable[[], object]) -> None:
        if self._loop is not None and not self._ended.is_set():
            try:
                self._loop.call_soon_threadsafe(what)
            except RuntimeError:  # the loop closed in this moment
                self._ended.wait()

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    def _live(self) -> None:
        """The thread: whatever ends it is kept for the main thread."""
        try:
            asyncio.run(self._main())
        except asyncio.CancelledError:
            self._stopped = None  # by `abort`
        except Dicom2FhirError as stop:
            self._stopped = stop
        except BaseException as failure:
            self._failure = failure
        finally:
            self._ended.set()
            self._begun.set()

    async def _main(self) -> None:
        self._loop, self._task = asyncio.get_running_loop(), asyncio.current_task()
        async with Client(self._target, self._auth) as client:
            self._client = client
            manner = self._preflight(await ask(client))
            self._courier = Courier(client, self._target, self._ledger, manner, self._problems)
            self._begun.set()
            await self._courier.run()
