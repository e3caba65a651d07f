"""Requests to one FHIR server: each waits its turn, is tried again where that does no harm, and ends with a decision.

What a status means stands in `retry.meaning`, what follows from it in `_heard`, and what from silence in
`_unheard`. Three rules hold everywhere:

- What may have been done, and would do harm if it were done twice, is not sent again: that is `Unclear`.
- What no try can mend stops everything: the request that meets it raises it, and every later one too, unsent.
- Exceptions hold no address, header or body, and none of the library's own exceptions hangs on them.
"""

from __future__ import annotations

import asyncio
import gzip
import random
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from time import monotonic
from types import TracebackType
from typing import NoReturn, Self

from dicom2fhir import __version__
from dicom2fhir.errors import Dicom2FhirError, NotAuthorized, ServerAway, ServerMisconfigured
from dicom2fhir.server.address import below
from dicom2fhir.server.answer import Answer, KeepsFailing, Unclear
from dicom2fhir.server.auth import Auth
from dicom2fhir.server.pace import Pace
from dicom2fhir.server.retry import Meaning, delay, meaning
from dicom2fhir.server.target import Target, Timing
from dicom2fhir.server.wire import Lost, Reply, Wire

__all__ = ["Answer", "Client", "KeepsFailing", "Target", "Timing", "Unclear"]

_READS = frozenset(("GET", "HEAD"))
_CONFLICTS = 5
"""Tries of a request that meets another writer."""
_NO_BASE = frozenset((404, 405, 410))


@dataclass(slots=True)
class _Call:
    """One request of the caller's, and what its tries met so far.

    `repeatable`: doing it twice does no harm. `heard`: how many answers the server had given, to anybody, when
    this request was last without one.
    """

    method: str
    url: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(repr=False)
    repeatable: bool
    base_level: bool
    heard: int
    tries: int = 0
    faults: int = 0
    conflicts: int = 0
    generation: int = 0
    renewed: bool = False


class Client:
    """An async context manager, for one event loop.

    `requests` counts tries, `retries` those after the first of a request, `bytes` the bodies sent, each time.
    `tries` is `Timing.tries`. Raises ConfigurationError where the CA file is of no use.
    """

    def __init__(self, target: Target, auth: Auth, *, chance: random.Random | None = None) -> None:
        self.requests = self.retries = self.bytes = 0
        self.tries = target.timing.tries
        self._target, self._timing, self._auth = target, target.timing, auth
        self._chance = chance or random.Random()
        self._wire, self._pace = Wire(target), Pace(target.connections)
        self._stopped: tuple[type[Dicom2FhirError], str] | None = None
        self._stopping = asyncio.Event()
        self._renewing = asyncio.Lock()
        self._generation = 0
        self._answers = 0
        self._silent_since: float | None = None

    async def __aenter__(self) -> Self:
        await self._wire.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._wire.__aexit__(kind, value, trace)

    async def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        idempotent: bool,
        base_level: bool = False,
    ) -> Answer:
        """The server's decision: 2xx, 304, or a refusal (4xx, 501) that the caller judges.

        `path` is relative to the base and may have a query; "" is the base itself. `idempotent` says that doing
        it twice does no harm; reading never does. With `base_level` 404, 405 and 410 mean that there is no server.
        `headers` take the place of the usual ones and of the target's.

        Raises:
            Unclear: it may have been done, and is not idempotent.
            KeepsFailing: the tries are spent; it may have been done.
            NotAuthorized, ServerMisconfigured, ServerAway: nothing more will be sent; it may have been done.
            UsageError: `path` leads out of the base.
        """
        call = self._call(method, path, body, headers or {}, idempotent, base_level)
        while True:
            reply, turn = await self._try(call)
            if isinstance(reply, Lost):
                await self._unheard(call, reply)
                await self.pause(call.tries)
                continue
            answer = Answer(reply.status, reply.headers, reply.body, reply.state != "whole")
            if await self._heard(call, reply, turn):
                return answer
            await self.pause(call.tries, answer)

    async def pause(self, tried: int, answer: Answer | None = None) -> None:
        """Wait before another try, after `tried` of them; longer where the answer asks for it. A stop ends it."""
        headers = {} if answer is None else answer.headers
        with suppress(TimeoutError):
            async with asyncio.timeout(delay(self._timing, max(1, tried), self._chance, headers)):
                await self._stopping.wait()

    def _call(
        self,
        method: str,
        path: str,
        body: bytes | None,
        headers: Mapping[str, str],
        idempotent: bool,
        base_level: bool,
    ) -> _Call:
        url = below(self._target.base, path)
        repeatable = idempotent or method in _READS
        given = _lower(dict(self._target.headers)) | _lower(headers)
        packed = gzip.compress(body, mtime=0) if body is not None and self._target.gzip else body
        every = self._usual(method, body is not None) | given
        return _Call(method, url, every, packed, repeatable, base_level, self._answers)

    def _usual(self, method: str, has_body: bool) -> dict[str, str]:
        """The headers of a request. Servers answer repeated searches from a cache unless they are told not to."""
        kind = self._target.media_type
        headers = {"accept": kind, "accept-encoding": "identity", "user-agent": f"dicom2fhir/{__version__}"}
        headers |= {"cache-control": "no-cache"} if method in _READS else {"prefer": "return=minimal"}
        if has_body:
            headers |= {"content-type": kind} | ({"content-encoding": "gzip"} if self._target.gzip else {})
        return headers

    async def _try(self, call: _Call) -> tuple[Reply | Lost, int]:
        """Send it once, when it is its turn; the turn's number comes with the reply."""
        async with self._pace as turn:
            self._raise_if_stopped()
            call.generation = self._generation
            authorization = await self._authorization()
            self._raise_if_stopped()
            call.tries += 1
            self.requests += 1
            self.retries += call.tries > 1
            reply = await self._wire.send(call.method, call.url, {**call.headers, **authorization}, call.body)
            if call.body is not None and (isinstance(reply, Reply) or reply.sent):
                self.bytes += len(call.body)
            return reply, turn

    async def _heard(self, call: _Call, reply: Reply, turn: int) -> bool:
        """Whether a reply is the end of a request; False where it is to be tried again."""
        self._answers, self._silent_since = self._answers + 1, None
        what = meaning(reply.status, reply.headers)
        self._stop_if_hopeless(call, what, reply.status)
        if what is Meaning.UNAUTHORIZED:
            await self._renew(call)
            return False
        call.renewed = False
        if what is Meaning.DECIDED:
            return self._decided(call, reply)
        if what is Meaning.CONFLICT:
            call.conflicts += 1
            return not call.repeatable or call.conflicts >= _CONFLICTS
        if reply.status == 429:
            self._pace.slow_down(turn)
        if what is Meaning.FAULT and not call.repeatable:
            raise Unclear(reply.status)
        self._count_fault(call, reply.status)
        return False

    def _decided(self, call: _Call, reply: Reply) -> bool:
        """As `_heard`, for a decision that may have come in part only."""
        if reply.state != "broken" or (reply.status >= 400 and not call.repeatable):
            self._pace.succeeded()
            return True
        if not call.repeatable:
            raise Unclear(reply.status)
        self._count_fault(call, reply.status)
        return False

    async def _unheard(self, call: _Call, lost: Lost) -> None:
        """Return where a request without an answer is to be tried again.

        While nobody gets an answer only time counts. A request that alone gets none has its tries, and no more.
        """
        now = monotonic()
        self._silent_since = now if self._silent_since is None else self._silent_since
        if lost.hopeless:
            self._stop(ServerMisconfigured, lost.hopeless)
        if lost.sent and not call.repeatable:
            raise Unclear
        if self._answers > call.heard:
            call.heard = self._answers
            self._count_fault(call, 0)
        if now - self._silent_since >= self._timing.give_up:
            if lost.sent and await self._is_there():
                raise KeepsFailing
            self._stop(ServerAway, f"the server has not answered for {self._timing.give_up:g} s")

    async def _is_there(self) -> bool:
        """Whether the server, which takes a request but does not answer it, answers anything at all."""
        async with self._pace:
            self.requests += 1
            reply = await self._wire.send("GET", below(self._target.base, "metadata"), self._usual("GET", False), None)
        if isinstance(reply, Reply):
            self._answers, self._silent_since = self._answers + 1, None
        return isinstance(reply, Reply)

    def _count_fault(self, call: _Call, status: int) -> None:
        call.faults += 1
        if call.faults >= self._timing.tries:
            raise KeepsFailing(status)

    async def _authorization(self) -> dict[str, str]:
        try:
            header = await self._auth.header()
        except Dicom2FhirError as raised:
            failure = raised
        else:
            return {} if header is None else {"authorization": header}
        self._stop(type(failure), str(failure))

    async def _renew(self, call: _Call) -> None:
        """After a 401: other credentials, got once for all who wait; return where the request can be tried again."""
        if call.renewed or not await self._renewed(call.generation):
            self._stop(NotAuthorized, "the server does not accept the credentials, or wants some (401): --auth")
        call.renewed = True

    async def _renewed(self, generation: int) -> bool:
        """Whether there are other credentials than those of `generation`."""
        async with self._renewing:
            self._raise_if_stopped()
            if generation < self._generation:
                return True
            try:
                new = await self._auth.refresh()
            except Dicom2FhirError as raised:
                failure = raised
            else:
                self._generation += new
                return new
        self._stop(type(failure), str(failure))

    def _stop_if_hopeless(self, call: _Call, what: Meaning, status: int) -> None:
        if what is Meaning.REDIRECT:
            sentence = "the server redirects ({}), which is never followed: --server takes its final address"
        elif what is Meaning.FORBIDDEN:
            sentence = "the server forbids what was asked ({}): the account may not do this, or not here"
        elif call.base_level and status in _NO_BASE:
            sentence = "there is no FHIR server at this address ({}): --server takes the FHIR base"
        else:
            return
        self._stop(ServerMisconfigured, sentence.format(status))

    def _stop(self, kind: type[Dicom2FhirError], sentence: str) -> NoReturn:
        """End this request and all others. Each raises an exception of its own."""
        self._stopped = self._stopped or (kind, sentence)
        self._stopping.set()
        raise kind(sentence)

    def _raise_if_stopped(self) -> None:
        if self._stopped is not None:
            kind, sentence = self._stopped
            raise kind(sentence)


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
