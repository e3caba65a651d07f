"""What goes wrong between a client and a server: a name in `KINDS` for each fault, and a server to script them in.

`server.script(["503-date", None, faults.hang().on("POST")])` disturbs the first request, lets one pass, then disturbs
the first POST after these. `server.random_faults(seed, rate, kinds)` disturbs what comes when no script is left.
In names, `-after` means that the server did what was asked before the fault; otherwise it did nothing.
"""

from __future__ import annotations

import asyncio
import functools
import json
import random
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from fnmatch import fnmatchcase
from itertools import chain, repeat
from typing import Any

from loopback import Answer, Exchange, Loopback, start

Act = Callable[[Exchange], Awaitable[None]]
PATIENCE = 60.0  # seconds after which a fault that waits for the client to go gives up
HTML = b"<!DOCTYPE html><html><head><title>Error</title></head><body><h1>It works!</h1></body></html>"
_BEGUN = b'{"resourceType":"Bundle","type":"transaction-response","x":"'
_PIECE = b"a" * (1 << 16)


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong, `times` times, to requests of a method and of a path (a pattern as in fnmatch).

    `path` is below the base: "" is the base itself. `early`: before the body has come.
    """

    name: str
    act: Act
    early: bool = False
    method: str | None = None
    path: str | None = None
    times: int = 1

    def on(self, method: str | None = None, path: str | None = None) -> Fault:
        """The same, for some requests only."""
        return replace(self, method=method, path=path)

    def repeated(self, times: int) -> Fault:
        """The same, so often."""
        return replace(self, times=times)

    def concerns(self, exchange: Exchange) -> bool:
        """Whether a request is one of those that it is for."""
        request = exchange.request
        if self.method not in (None, request.method):
            return False
        return self.path is None or fnmatchcase(request.path, self.path)


async def _pass(exchange: Exchange) -> None:
    exchange.record.fault = None
    exchange.send(await exchange.process())


# Nothing comes back, or not all of it.


def reset(*, after: bool = False, early: bool = False) -> Fault:
    """RST instead of an answer; `early`: while the body is still coming."""

    async def act(exchange: Exchange) -> None:
        if after:
            await exchange.process()
        exchange.reset()

    return Fault("reset-early" if early else _named("reset", after), act, early)


def close(*, after: bool = False) -> Fault:
    """The connection ends without an answer, as where a kept one timed out on the other side."""

    async def act(exchange: Exchange) -> None:
        if after:
            await exchange.process()
        exchange.close()

    return Fault(_named("close", after), act)


def cut() -> Fault:
    """Done, but the connection ends in the middle of the answer's body."""

    async def act(exchange: Exchange) -> None:
        answer = await exchange.process()
        exchange.record.status = answer.status
        exchange.write(answer.head() + answer.body[: len(answer.body) // 2])
        exchange.close()

    return Fault("cut-after", act)


def hang(*, after: bool = False, seconds: float = PATIENCE) -> Fault:
    """Silence until the client goes."""

    async def act(exchange: Exchange) -> None:
        if after:
            await exchange.process()
        await exchange.until_gone(seconds)
        exchange.close()

    return Fault(_named("hang", after), act)


def slow(seconds: float) -> Fault:
    """A good answer, late."""

    async def act(exchange: Exchange) -> None:
        await asyncio.sleep(seconds)
        await _pass(exchange)

    return Fault("slow", act)


def drip(seconds: float = 1.0) -> Fault:
    """Done, and the answer comes a byte at a time: no single read ever times out."""

    async def act(exchange: Exchange) -> None:
        answer = await exchange.process()
        exchange.record.status = answer.status
        for byte in answer.wire():
            exchange.write(bytes((byte,)))
            if await exchange.until_gone(seconds):
                return

    return Fault("drip-after", act)


def length(by: int) -> Fault:
    """Done, and Content-Length says so many bytes more, or fewer, than come."""

    async def act(exchange: Exchange) -> None:
        answer = await exchange.process()
        exchange.record.status = answer.status
        exchange.write(answer.head(len(answer.body) + by) + answer.body)
        exchange.close()

    return Fault("length-long-after" if by > 0 else "length-short-after", act)


def garbage() -> Fault:
    """Something that is not HTTP."""

    async def act(exchange: Exchange) -> None:
        exchange.write(b"\x16\x03\x01\x00\x02\x02\x28 this is not HTTP\r\n\r\n")
        exchange.close()

    return Fault("garbage", act)


def bomb(size: int = 64 << 20) -> Fault:
    """Done, and a small gzip body comes, whatever encodings were asked for, that grows to `size` bytes."""

    async def act(exchange: Exchange) -> None:
        await exchange.process()
        exchange.send(Answer(200, {"Content-Type": "application/fhir+json", "Content-Encoding": "gzip"}, _bomb(size)))

    return Fault("bomb-after", act)


@functools.cache
def _bomb(size: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    pieces = [packer.compress(_BEGUN)]
    pieces += [packer.compress(_PIECE) for _ in range(size // len(_PIECE))]
    return b"".join((*pieces, packer.compress(b'"}'), packer.flush()))


def gzipped() -> Fault:
    """Done, and the right answer comes in gzip, whatever encodings were asked for."""

    async def act(exchange: Exchange) -> None:
        answer = await exchange.process()
        packer = zlib.compressobj(wbits=31)
        body = packer.compress(answer.body) + packer.flush()
        exchange.send(replace(answer, headers={**answer.headers, "Content-Encoding": "gzip"}, body=body))

    return Fault("gzip-after", act)


def endless(limit: int = 1 << 30) -> Fault:
    """Done, and a body comes that does not end before the client goes (or before `limit` bytes)."""

    async def act(exchange: Exchange) -> None:
        await exchange.process()
        exchange.record.status = 200
        headers = {"Content-Type": "application/fhir+json", "Transfer-Encoding": "chunked"}
        exchange.write(start(200, "OK", headers))
        for piece in chain((_BEGUN,), repeat(_PIECE, limit // len(_PIECE))):
            exchange.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await exchange.room()
            if exchange.gone:
                return
        exchange.close()

    return Fault("endless-after", act)


def away(seconds: float) -> Fault:
    """The server goes down with everything in flight, refuses connections for a while, and is back with its store."""

    async def act(exchange: Exchange) -> None:
        server = exchange.connection.server
        back = asyncio.get_running_loop().create_task(_return(server, seconds))
        server.errands.add(back)
        back.add_done_callback(server.errands.discard)
        server.down()

    return Fault("away", act)


async def _return(server: Loopback, seconds: float) -> None:
    await asyncio.sleep(seconds)
    await server.up()


# An answer that the client does not want.


def status(
    code: int,
    *,
    after: bool = False,
    retry_after: str | Callable[[], str] | None = None,
    html: bool = False,
    name: str | None = None,
) -> Fault:
    """An answer of some status: an OperationOutcome that quotes what was sent, or a page for people."""

    async def act(exchange: Exchange) -> None:
        if after:
            await exchange.process()
        headers = {"Content-Type": "text/html" if html else "application/fhir+json"}
        if retry_after is not None:
            headers["Retry-After"] = retry_after if isinstance(retry_after, str) else retry_after()
        exchange.send(Answer(code, headers, HTML if html else _quoting(exchange)))

    return Fault(name or _named(str(code), after), act)


def outcome(code: str, text: str, expression: str = "ImagingStudy.series[0].uid") -> dict[str, Any]:
    """An OperationOutcome of one error."""
    return {
        "resourceType": "OperationOutcome",
        "issue": [{"severity": "error", "code": code, "diagnostics": text, "expression": [expression]}],
    }


def _quoting(exchange: Exchange) -> bytes:
    sent = exchange.request.body[:2000].decode("utf-8", "replace")
    return json.dumps(outcome("invalid", f"cannot accept {sent}")).encode()


def redirect(code: int, to: str) -> Fault:
    """A redirect to another base, with the same path below it."""

    async def act(exchange: Exchange) -> None:
        path = exchange.request.path
        exchange.send(Answer(code, {"Location": f"{to}/{path}" if path else to}))

    return Fault(str(code), act)


def date_in(seconds: float) -> Callable[[], str]:
    """An HTTP date, reckoned when it is sent."""
    return lambda: format_datetime(datetime.now(UTC) + timedelta(seconds=seconds), usegmt=True)


RETRY_AFTER: dict[str, str | Callable[[], str]] = {
    "seconds": "1",
    "date": date_in(1.5),
    "past": date_in(-3600),
    "huge": "86400",
    "garbage": "soon, I hope",
    "negative": "-5",
    "fraction": "0.5",
}


# Success that is none.


def success(name: str, body: bytes | Callable[[Answer], bytes], *, after: bool = True, code: int = 200) -> Fault:
    """A 2xx whose body is not the answer's; the body may be made from the right answer."""

    async def act(exchange: Exchange) -> None:
        answer = await exchange.process() if after else Answer(200)
        changed = body if isinstance(body, bytes) else body(answer)
        kind = "text/html" if changed.startswith(b"<") else "application/fhir+json"
        exchange.send(Answer(code, {"Content-Type": kind}, changed))

    return Fault(f"{code}-{name}", act)


def _entries_changed(change: Callable[[list[Any]], list[Any]]) -> Callable[[Answer], bytes]:
    def body(answer: Answer) -> bytes:
        try:
            bundle = json.loads(answer.body)
        except ValueError:
            return answer.body
        return json.dumps({**bundle, "entry": change(bundle.get("entry", []))}).encode()

    return body


def entries(statuses: dict[int, int], *, retry_after: str | None = None, name: str | None = None) -> Fault:
    """Some entries of a bundle fail inside a 200, by index (-1 is the last); the others are done as one would ask them.

    Retry-After, where given, stands on the whole answer (microsoft/fhir-server#1658). What is not a bundle passes.
    """

    async def act(exchange: Exchange) -> None:
        try:
            bundle = json.loads(exchange.request.body)
            asked = bundle["entry"]
        except (ValueError, LookupError, TypeError):
            return await _pass(exchange)
        failing = {index % len(asked): code for index, code in statuses.items()}
        rest = [entry for index, entry in enumerate(asked) if index not in failing]
        answer = await exchange.process(json.dumps({**bundle, "entry": rest}).encode())
        if answer.status != 200:
            return exchange.send(answer)
        done = json.loads(answer.body)
        answers = iter(done.get("entry", ()))
        mixed = [_failed(failing[index]) if index in failing else next(answers) for index in range(len(asked))]
        headers = dict(answer.headers) | ({"Retry-After": retry_after} if retry_after else {})
        exchange.send(Answer(200, headers, json.dumps({**done, "entry": mixed}).encode()))

    return Fault(name or "entry-" + "-".join(str(code) for code in statuses.values()), act)


def _failed(code: int) -> dict[str, Any]:
    return {"response": {"status": str(code), "outcome": outcome("throttled" if code == 429 else "processing", "no")}}


def _named(stem: str, after: bool) -> str:
    return f"{stem}-after" if after else stem


def _all() -> Iterable[Fault]:
    yield from (reset(early=True), reset(), reset(after=True), close(), close(after=True), cut())
    yield from (hang(), hang(after=True), drip(), length(100), length(-10), garbage(), bomb(), gzipped(), endless())
    yield away(0.3)
    for code in (500, 502, 503, 504):
        yield status(code, html=True)
        yield status(code, html=True, after=True)
    for code in (429, 503):
        for name, value in RETRY_AFTER.items():
            yield status(code, retry_after=value, name=f"{code}-{name}")
    yield from (status(code) for code in (400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 422, 425, 429))
    bodies: dict[str, bytes | Callable[[Answer], bytes]] = {
        "html": HTML,
        "empty": b"",
        "outcome": json.dumps(outcome("exception", "all well")).encode(),
        "array": b"[]",
        "half": lambda answer: answer.body[: len(answer.body) // 2],
        "short": _entries_changed(lambda listed: listed[:-1]),
        "long": _entries_changed(lambda listed: [*listed, *listed[-1:]]),
    }
    yield from (success(name, body, code=200) for name, body in bodies.items())
    yield success("html-before", HTML, after=False)
    yield success("accepted", b"", code=202)
    yield from (entries({-1: code}) for code in (400, 408, 409, 412, 422, 425, 500, 503))
    yield entries({-1: 429}, retry_after="1")


KINDS: dict[str, Fault] = {fault.name: fault for fault in _all()}

# After these a client that asks again gets what it wants; the others are decisions.
PASSING: tuple[str, ...] = (
    "reset-early", "reset", "reset-after", "close", "close-after", "cut-after", "garbage", "length-long-after",
    "429", "429-seconds", "429-past", "429-garbage", "503-seconds", "503-date", "503-huge", "503-negative",
    "408", "425", "500", "500-after", "502", "502-after", "503", "503-after", "504", "504-after",
    "200-html", "200-empty", "200-outcome", "200-short", "200-half", "200-html-before",
)  # fmt: skip


class Faulty(Loopback):
    """A server in which faults can be scripted."""

    def __init__(self, **wire: Any) -> None:
        super().__init__(**wire)
        self._script: list[tuple[Fault | None, int]] = []
        self._chance: Callable[[], str | Fault | None] = lambda: None

    def script(self, faults: Iterable[str | Fault | None]) -> None:
        """What happens next, in this order: each to the first request that it is for. None lets one request pass."""
        more = [(one, one.times if one else 1) for one in map(_fault, faults)]
        self.ask(self._script.extend, more)

    def random_faults(
        self, seed: int, rate: float, kinds: Sequence[str | Fault] = PASSING, methods: Collection[str] = ()
    ) -> None:
        """Disturb a share of all requests (of some methods), each time by one of some kinds, the same for one seed."""
        chance = random.Random(seed)

        def draw() -> str | Fault | None:
            return chance.choice(kinds) if chance.random() < rate else None

        self._chance, self._methods = draw, frozenset(methods)

    _methods: frozenset[str] = frozenset()

    @property
    def unused(self) -> list[str]:
        """What is left of the script."""
        return [one.name if one else "-" for one, _ in self._script]

    @property
    def faults(self) -> Counter[str]:
        """How often each fault happened."""
        return self.ask(lambda: Counter(one.fault for one in self.log if one.fault))

    def disturb(self, exchange: Exchange) -> None:
        """Give an exchange its fault."""
        fault = self._scripted(exchange) if self._script else self._drawn(exchange)
        if fault is not None:
            exchange.record.fault, exchange.act, exchange.early = fault.name, fault.act, fault.early

    def _scripted(self, exchange: Exchange) -> Fault | None:
        for place, (fault, times) in enumerate(self._script):
            if fault is None or fault.concerns(exchange):
                self._script[place : place + 1] = [(fault, times - 1)] if times > 1 else []
                return fault
        return None

    def _drawn(self, exchange: Exchange) -> Fault | None:
        if self._methods and exchange.request.method not in self._methods:
            return None
        fault = _fault(self._chance())
        return fault if fault is not None and fault.concerns(exchange) else None


def _fault(one: str | Fault | None) -> Fault | None:
    return KINDS[one] if isinstance(one, str) else one
