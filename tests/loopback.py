"""HTTP/1.1 on loopback for servers of the tests' own: one asyncio loop in a background thread, nothing but the library.

A server is a subclass of `Loopback` that says how it answers. What goes over the wire stays visible: every request is
in `log`, and `traffic` knows how many were in flight at once and which names two of them had in common.
A request is in flight from its head until its answer is written or its client has gone, whichever comes first.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self, TypeVar

Returned = TypeVar("Returned")
_REASONS = {one.value: one.phrase for one in HTTPStatus}
_HEAD_LIMIT = 1 << 16
_RESET = struct.pack("ii", 1, 0)  # SO_LINGER on, no time: closing sends RST


@dataclass(frozen=True, slots=True)
class Request:
    """What came in. `path` is below the server's base without a slash before it; outside the base it keeps one."""

    number: int
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out; Content-Length is added."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""

    def head(self, length: int | None = None) -> bytes:
        """The status line and headers; `length` is what Content-Length says, where it is to say something else."""
        reason = _REASONS.get(self.status, "Unknown")
        headers = {**self.headers, "Content-Length": str(len(self.body) if length is None else length)}
        return start(self.status, reason, headers)

    def wire(self) -> bytes:
        """All of it as bytes."""
        return self.head() + self.body


def start(status: int, reason: str, headers: Mapping[str, str]) -> bytes:
    """A status line and headers as bytes."""
    lines = [f"HTTP/1.1 {status} {reason}", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


@dataclass(slots=True)
class Record:
    """One line of the log. `at` is in seconds of the monotonic clock; `processed` says that the server acted on it.

    `status` is None where no status was sent, `fault` the name of what disturbed it, `in_flight` counts itself.
    """

    number: int
    at: float
    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    size: int = 0
    status: int | None = None
    fault: str | None = None
    in_flight: int = 0
    processed: bool = False
    names: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Overlap:
    """Two requests, by their numbers, that were in flight at once and had a name in common."""

    name: str
    first: int
    second: int


class Traffic:
    """Who is in flight: how many at most, and which two had a name in common."""

    def __init__(self) -> None:
        self.most = 0
        self.overlaps: list[Overlap] = []
        self._now: dict[Exchange, frozenset[str]] = {}

    def enter(self, exchange: Exchange) -> int:
        """One more request; how many there are now."""
        self._now[exchange] = frozenset()
        self._forget_the_gone(but=exchange)
        self.most = max(self.most, len(self._now))
        return len(self._now)

    def claim(self, exchange: Exchange, names: frozenset[str]) -> None:
        """What a request is about, for as long as it is in flight."""
        if exchange not in self._now:
            return
        if any(names & others for others in self._now.values()):
            self._forget_the_gone(but=exchange)
        for other, others in self._now.items():
            for name in sorted(names & others):
                self.overlaps.append(Overlap(name, other.request.number, exchange.request.number))
        self._now[exchange] = names

    def leave(self, exchange: Exchange) -> None:
        """It was answered, or its client has gone."""
        self._now.pop(exchange, None)

    def _forget_the_gone(self, but: Exchange) -> None:
        """A client that closes and sends anew may be heard of in the other order: ask the sockets themselves."""
        for exchange in [one for one in self._now if one is not but and one.connection.left()]:
            self.leave(exchange)


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other."""

    def __init__(self, server: Loopback) -> None:
        self.server = server
        self.transport: asyncio.Transport
        self.gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._room = asyncio.Event()
        self._room.set()
        self._buffer = bytearray()
        self._exchange: Exchange | None = None  # from its head on, until it is served
        self._task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.server.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self.eof_received()
        self.server.connections.discard(self)

    def eof_received(self) -> None:
        if not self.gone.done():
            self.gone.set_result(None)
        self._room.set()

    def pause_writing(self) -> None:
        self._room.clear()

    def resume_writing(self) -> None:
        self._room.set()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        self._advance()

    async def room(self) -> None:
        """Returns when more can be written, or when there is nobody left to write to."""
        await self._room.wait()

    def left(self) -> bool:
        """Whether the client has closed its end, even where the loop has not seen it yet."""
        if self.gone.done() or self.transport.is_closing():
            return True
        with self.transport.get_extra_info("socket").dup() as twin:
            try:
                return not twin.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
            except BlockingIOError:
                return False
            except OSError:
                return True

    def abort(self) -> None:
        """Drops the connection, and whatever is being served on it."""
        self.transport.abort()
        if self._task is not None:
            self._task.cancel()

    def _advance(self) -> None:
        if self._task is not None:
            return
        if self._exchange is None and not self._take_head():
            return
        assert self._exchange is not None
        if self._exchange.early or self._take_body():
            self._task = asyncio.get_running_loop().create_task(self._serve(self._exchange))

    def _take_head(self) -> bool:
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0:
            if len(self._buffer) > _HEAD_LIMIT:
                self.transport.abort()
            return False
        lines = bytes(self._buffer[:end]).decode("latin-1").split("\r\n")
        del self._buffer[: end + 4]
        method, _, rest = lines[0].partition(" ")
        target = rest.rpartition(" ")[0]
        pairs = (line.partition(":") for line in lines[1:])
        headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
        self._exchange = self.server.begin(self, method, target, headers)
        return True

    def _take_body(self) -> bool:
        assert self._exchange is not None
        headers = self._exchange.request.headers
        if "chunked" in headers.get("transfer-encoding", ""):
            taken = dechunk(self._buffer)
        else:
            length = int(headers.get("content-length", "0"))
            taken = (bytes(self._buffer[:length]), length) if len(self._buffer) >= length else None
        if taken is None:
            return False
        body, used = taken
        del self._buffer[:used]
        self._exchange.take(body)
        return True

    async def _serve(self, exchange: Exchange) -> None:
        try:
            await self.server.serve(exchange)
        finally:
            self.server.traffic.leave(exchange)
            self._task = self._exchange = None
        if exchange.request.headers.get("connection", "").lower() == "close":
            self.transport.close()
        if not self.transport.is_closing():
            self._advance()


def dechunk(buffer: bytearray) -> tuple[bytes, int] | None:
    """The body of a chunked message and how many bytes it took; None while it is not all there."""
    body, at = bytearray(), 0
    while True:
        end = buffer.find(b"\r\n", at)
        if end < 0:
            return None
        size = int(bytes(buffer[at:end]).partition(b";")[0], 16)
        at = end + 2 + size + 2
        if len(buffer) < at:
            return None
        if size == 0:
            return bytes(body), at
        body += buffer[end + 2 : end + 2 + size]


class Exchange:
    """One request and whatever is done about it: what a fault works with."""

    def __init__(self, connection: Connection, request: Request, record: Record) -> None:
        self.connection = connection
        self.request = request
        self.record = record
        self.act: Callable[[Exchange], Awaitable[None]] | None = None
        self.early = False  # whether it is acted on before its body is there

    def take(self, body: bytes) -> None:
        """The body has come."""
        self.request = replace(self.request, body=body)
        self.record.size = len(body)

    async def process(self, body: bytes | None = None) -> Answer:
        """Let the server do what was asked (or what `body` asks instead); its answer, not sent yet."""
        request = self.request if body is None else replace(self.request, body=body)
        self.record.processed = True
        return await self.connection.server.answer(request)

    def send(self, answer: Answer) -> None:
        """Answer, all at once."""
        self.record.status = answer.status
        self.write(answer.wire())

    def write(self, data: bytes) -> None:
        """Bytes as they are, unless nobody is there."""
        if not self.connection.gone.done() and not self.connection.transport.is_closing():
            self.connection.transport.write(data)

    async def room(self) -> None:
        """Returns when the client has taken what was written, or has gone."""
        await self.connection.room()

    @property
    def gone(self) -> bool:
        """Whether the client is known to have gone."""
        return self.connection.gone.done() or self.connection.transport.is_closing()

    async def until_gone(self, seconds: float) -> bool:
        """Wait until the client goes, at most so many seconds; whether it went."""
        return bool((await asyncio.wait([self.connection.gone], timeout=seconds))[0])

    def close(self) -> None:
        """Send what was written, then FIN."""
        self.connection.transport.close()

    def reset(self) -> None:
        """RST: what was written may be lost."""
        wire = self.connection.transport.get_extra_info("socket")
        if wire is not None and wire.fileno() >= 0:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.connection.transport.abort()


class Loopback:
    """A server on 127.0.0.1 in a thread of its own, as a context manager.

    Leaving it raises what went wrong inside: a test must not pass because its server was broken.
    """

    def __init__(self, *, prefix: str = "", port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        self.prefix = prefix
        self.log: list[Record] = []
        self.traffic = Traffic()
        self.failures: list[Exception] = []
        self.connections: set[Connection] = set()
        self.errands: set[asyncio.Task[None]] = set()  # what goes on beside the exchanges
        self._count = 0
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop | None = None
        self._listener: asyncio.Server | None = None
        # Bound and never listening: the port stays ours, and refuses, while the server is down.
        self._place = _bound(port)
        self.port: int = self._place.getsockname()[1]

    # What subclasses say.

    async def answer(self, request: Request) -> Answer:
        """How a request is answered."""
        raise NotImplementedError

    def names(self, request: Request) -> frozenset[str]:
        """What a request is about: no two in flight should have a name in common."""
        return frozenset()

    def disturb(self, exchange: Exchange) -> None:
        """The place to give an exchange something else to do than to be answered."""

    # What tests say.

    @property
    def origin(self) -> str:
        """scheme://host:port."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    @property
    def base(self) -> str:
        """The address that clients are given, without a slash at its end."""
        return self.origin + self.prefix

    @property
    def max_in_flight(self) -> int:
        """How many requests were in flight at once, at most."""
        return self.traffic.most

    def clear_log(self) -> None:
        """Forget what was logged and counted."""
        self.ask(self._clear_log)

    def _clear_log(self) -> None:
        self.log.clear()
        self.traffic = Traffic()

    @contextlib.contextmanager
    def away(self) -> Iterator[None]:
        """While this lasts every connection is dropped, and a new one refused."""
        self.ask(self.down)
        try:
            yield
        finally:
            self.wait_for(self.up())

    def __enter__(self) -> Self:
        started = threading.Event()
        self._loop = asyncio.new_event_loop()
        self._loop.call_soon(started.set)
        self._thread = threading.Thread(target=self._loop.run_forever, name=type(self).__name__, daemon=True)
        self._thread.start()
        started.wait()
        self.wait_for(self.up())
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        loop = self._loop
        assert loop is not None
        self.wait_for(self._end())
        loop.call_soon_threadsafe(loop.stop)
        self._thread.join()
        loop.close()
        self._loop = None
        self._place.close()
        if self.failures and error is None:
            raise ExceptionGroup(f"{type(self).__name__} failed", self.failures)
        if self.failures and error is not None:
            error.add_note(f"{type(self).__name__} itself failed: {self.failures!r}")

    def ask(self, function: Callable[..., Returned], *arguments: Any) -> Returned:
        """Call a function where nothing else happens at the same time."""
        if self._loop is None or threading.current_thread() is self._thread:
            return function(*arguments)

        async def call() -> Returned:
            return function(*arguments)

        return self.wait_for(call())

    def wait_for(self, work: Any) -> Any:
        """Run a coroutine in the server's loop and wait for it."""
        assert self._loop is not None
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    # What happens in the loop's thread.

    def down(self) -> None:
        """Stop listening and drop every connection; what was being served is not served."""
        if self._listener is not None:
            self._listener.close()
            self._listener = None
        for connection in list(self.connections):
            connection.abort()

    async def up(self) -> None:
        """Listen (again) on the same port."""
        if self._listener is None:
            loop = asyncio.get_running_loop()
            wire = _bound(self.port)
            self._listener = await loop.create_server(lambda: Connection(self), sock=wire, ssl=self._tls, backlog=256)

    async def _end(self) -> None:
        self.down()
        others = asyncio.all_tasks() - {asyncio.current_task()}  # type: ignore[arg-type]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)
        await asyncio.sleep(0)  # connections are lost one turn after they are aborted

    def begin(self, connection: Connection, method: str, target: str, headers: Mapping[str, str]) -> Exchange:
        """A request's head has come: it is in flight and in the log."""
        self._count += 1
        path, _, query = target.partition("?")
        if path == self.prefix or path.startswith(self.prefix + "/"):
            path = path[len(self.prefix) + 1 :]
        record = Record(self._count, time.monotonic(), method, path, query, headers)
        exchange = Exchange(connection, Request(self._count, method, path, query, headers), record)
        if not path.startswith("/_"):
            record.in_flight = self.traffic.enter(exchange)
            self.log.append(record)
            self.disturb(exchange)
        return exchange

    async def serve(self, exchange: Exchange) -> None:
        """Answer, or do what disturbs the exchange instead."""
        try:
            exchange.record.names = self.names(exchange.request)
            self.traffic.claim(exchange, exchange.record.names)
            if exchange.act is None:
                exchange.send(await exchange.process())
            else:
                await exchange.act(exchange)
        except Exception as failure:
            self.failures.append(failure)
            exchange.reset()


def _bound(port: int) -> socket.socket:
    """A socket bound to a port of 127.0.0.1 that others of ours may be bound to as well."""
    wire = socket.socket()
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    wire.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    wire.bind(("127.0.0.1", port))
    return wire
