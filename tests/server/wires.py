"""A server that does to each request what its script says, down to the bytes; it knows nothing of FHIR.

`PEM` is the certificate of an authority of these tests alone, made anew each time, that vouches for localhost.
"""

from __future__ import annotations

import asyncio
import atexit
import gzip
import socket
import ssl
import struct
import tempfile
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Any, Self

import trustme

_AUTHORITY = trustme.CA()
_FOLDER = tempfile.TemporaryDirectory()
atexit.register(_FOLDER.cleanup)
PEM = Path(_FOLDER.name) / "authority.pem"
_AUTHORITY.cert_pem.write_to_path(str(PEM))

Act = Callable[[asyncio.StreamWriter], Awaitable[bool]]
"""Answers one request, or does not; whether the connection is good for another one."""


@dataclass(frozen=True)
class Received:
    """One request, as it came. `headers` have lower-case names; `at` is the clock's time at its end."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    at: float


@dataclass
class Wires:
    """An async context manager: plays `script`, one act a request, and then `after` for good.

    `early` acts come before TLS and before a request is read, one a connection. `most` is how many requests were
    under way at once.
    """

    script: list[Act] = field(default_factory=list)
    after: Act | None = None
    early: list[Act] = field(default_factory=list)
    tls: bool = False
    port: int = 0
    received: list[Received] = field(default_factory=list)
    connections: int = 0
    most: int = 0
    _busy: int = 0

    async def __aenter__(self) -> Self:
        self._tasks: set[asyncio.Task[None]] = set()
        self._script, self._early = deque(self.script), deque(self.early)
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def base(self) -> str:
        return f"{'https' if self.tls else 'http'}://127.0.0.1:{self.port}/fhir"

    @property
    def asked(self) -> list[str]:
        """The requests, as `GET metadata`."""
        return [f"{each.method} {each.path.removeprefix('/fhir').removeprefix('/')}" for each in self.received]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                if self._early:
                    await self._early.popleft()(writer)
                if self.tls:
                    await writer.start_tls(_certificate())
                while await self._answer(reader, writer):
                    pass
        finally:
            writer.transport.abort()
            self._tasks.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        self.received.append(await _read(reader))
        act = self._script.popleft() if self._script else self.after or reply()
        self._busy += 1
        self.most = max(self.most, self._busy)
        try:
            return await act(writer)
        finally:
            self._busy -= 1


def _certificate() -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    _AUTHORITY.issue_cert("localhost", "127.0.0.1").configure_cert(context)
    return context


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("ascii").split("\r\n")
    method, path, _ = head[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Received(method, path, headers, body, monotonic())


@asynccontextmanager
async def nobody() -> AsyncIterator[int]:
    """A port that refuses connections: bound, but not listening."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


def message(status: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
    lines = [f"HTTP/1.1 {status} X", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if not {"content-length", "transfer-encoding"} & {name.lower() for name in headers or {}}:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def reply(status: int = 200, body: bytes = b'{"resourceType":"Basic"}', **headers: Any) -> Act:
    """A plain answer; `retry_after=1` is the header Retry-After."""
    return raw(message(status, body, {name.replace("_", "-"): str(value) for name, value in headers.items()}))


def html(status: int, **headers: Any) -> Act:
    return reply(status, b"<html><script>{</script>", content_type="text/html", **headers)


def raw(data: bytes, *, stays: bool = True) -> Act:
    """These bytes, and then the end of the connection unless it `stays`."""

    async def act(writer: asyncio.StreamWriter) -> bool:
        writer.write(data)
        await writer.drain()
        if not stays:
            writer.close()
            await writer.wait_closed()
        return stays

    return act


def after(seconds: float, act: Act) -> Act:
    async def waiting(writer: asyncio.StreamWriter) -> bool:
        await asyncio.sleep(seconds)
        return await act(writer)

    return waiting


def hang_up() -> Act:
    """The end of the connection, properly, without an answer."""
    return raw(b"", stays=False)


def reset(before: bytes = b"") -> Act:
    """RST, after these bytes."""

    async def act(writer: asyncio.StreamWriter) -> bool:
        writer.write(before)
        await writer.drain()
        await asyncio.sleep(0.02 if before else 0)
        linger = struct.pack("ii", 1, 0)
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        writer.transport.abort()
        return False

    return act


def silence() -> Act:
    async def act(_: asyncio.StreamWriter) -> bool:
        await asyncio.Event().wait()
        return False

    return act


def drip(data: bytes, skip: int = 0, pause: float = 0.01) -> Act:
    """All bytes but the first ones one at a time."""

    async def act(writer: asyncio.StreamWriter) -> bool:
        writer.write(data[:skip])
        for place in range(skip, len(data)):
            writer.write(data[place : place + 1])
            await writer.drain()
            await asyncio.sleep(pause)
        return True

    return act


def endless(head: bytes, piece: bytes) -> Act:
    """An answer without an end."""

    async def act(writer: asyncio.StreamWriter) -> bool:
        writer.write(head)
        while True:
            writer.write(piece)
            await writer.drain()

    return act


def bomb(size: int) -> Act:
    """A small body that unpacks to `size` bytes."""
    return reply(200, gzip.compress(bytes(size), mtime=0), content_encoding="gzip")
