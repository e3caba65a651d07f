"""One request on the wire: deadlines that hold, bodies that end, and nothing of it in any log.

The bare transport of httpx2 is used, without the client around it: so there is no cookie jar, no redirect that
could be followed, no proxy, netrc or certificate from the environment, and no line with an address in a log.

The place for mutual TLS is `_tls`: `context.load_cert_chain` with a certificate and key of our own (`--cert`).
"""

from __future__ import annotations

import asyncio
import logging
import ssl
import zlib
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Literal, Self

import httpx2

from dicom2fhir.errors import ConfigurationError
from dicom2fhir.server.target import Target

_PIECE = 1 << 16
_KEEP_ALIVE = 4.0
"""Seconds that an idle connection is kept: less than servers keep theirs, so that none is used while it is closed."""
_NEVER_SENT = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.ProxyError)
_TALKATIVE = ("httpx2", *(f"httpcore2.{name}" for name in ("connection", "http11", "http2", "proxy", "socks")))

Body = Literal["whole", "cut", "broken"]


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back. `headers` have lower-case names; the body is empty unless it is whole.

    cut: longer than it may be, or in an encoding that was not asked for and is not known.
    broken: the connection failed, or the time was up, before its end.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    state: Body = "whole"


@dataclass(frozen=True, slots=True)
class Lost:
    """No answer. `sent`: the request, or a part of it, may have arrived. `hopeless`: why trying again is no use."""

    sent: bool
    hopeless: str = ""


class Wire:
    """Connections to one server. An async context manager; `send` never raises but for a bug."""

    def __init__(self, target: Target) -> None:
        """Raises ConfigurationError where the CA file is of no use."""
        self._target = target
        _hush()
        context = _tls(target)
        self._transport = httpx2.AsyncHTTPTransport(
            verify=context,
            proxy=_proxy(target.proxy, context),
            limits=httpx2.Limits(max_keepalive_connections=target.connections, keepalive_expiry=_KEEP_ALIVE),
        )

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._transport.__aexit__(kind, value, trace)

    async def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply | Lost:
        """Send one request, once, and read its answer."""
        exchange = _Exchange(self._target)
        try:
            async with asyncio.timeout(self._target.timing.total):
                return await exchange.run(self._transport, method, url, headers, body)
        except (httpx2.TransportError, OSError) as failure:  # TimeoutError and what TLS raises are OSErrors
            return exchange.failed(failure)


class _Exchange:
    """One request under way: how far it got."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._sent = self._turned = False
        self._response: httpx2.Response | None = None

    async def run(
        self,
        transport: httpx2.AsyncHTTPTransport,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
    ) -> Reply:
        timing = self._target.timing
        timeouts = {"connect": timing.connect, "read": timing.read, "write": timing.read, "pool": None}
        length = {} if body is None else {"Content-Length": str(len(body))}
        request = httpx2.Request(
            method,
            url,
            headers={**headers, **length},
            content=None if body is None else _pieces(body),
            extensions={"timeout": timeouts, "trace": self._trace},
        )
        self._response = await transport.handle_async_request(request)
        return await self._read(self._response)

    async def _trace(self, event: str, _: Mapping[str, Any]) -> None:
        """Told by the library where it is.

        An answer that is there without anything read since the request was sent is the rest of an answer to an
        earlier one. Reading, and nothing else on the way, lets the event loop turn. RFC 9112 section 9.2.
        """
        if event.endswith("send_request_headers.started"):
            self._sent = True
        elif event.endswith("receive_response_headers.started"):
            self._turned = False
            asyncio.get_running_loop().call_soon(self._turn)
        elif event.endswith("receive_response_headers.complete") and not self._turned:
            raise httpx2.RemoteProtocolError("an answer without a question")

    def _turn(self) -> None:
        self._turned = True

    async def _read(self, response: httpx2.Response) -> Reply:
        """The answer, its body no longer than it may be; a longer one costs the connection."""
        if _declared(response) > self._target.max_answer:
            await response.aclose()
            return _reply(response, None, "cut")
        body = bytearray()
        async with aclosing(response.aiter_raw()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > self._target.max_answer:
                    return _reply(response, None, "cut")
        plain = _unpacked(bytes(body), response.headers.get("content-encoding", ""), self._target.max_answer)
        return _reply(response, plain, "whole" if plain is not None else "cut")

    def failed(self, failure: Exception) -> Reply | Lost:
        """What a failure leaves: an answer without a body, or none."""
        if self._response is not None:
            return _reply(self._response, None, "broken")
        return Lost(self._sent and not isinstance(failure, _NEVER_SENT), _hopeless(failure))


def _reply(response: httpx2.Response, body: bytes | None, state: Body) -> Reply:
    return Reply(response.status_code, dict(response.headers), body or b"", state)


def _declared(response: httpx2.Response) -> int:
    """The length that a body says it has: digits, or there would be no response."""
    return int(response.headers.get("content-length") or 0)


async def _pieces(body: bytes) -> AsyncIterator[bytes]:
    """A body in pieces, so that the deadline for writing is one for each of them."""
    for start in range(0, len(body), _PIECE):
        yield body[start : start + _PIECE]


def _unpacked(body: bytes, encoding: str, most: int) -> bytes | None:
    """A body that may be packed although it should not be; None where it is unknown, damaged or longer than `most`."""
    if encoding.strip().lower() in ("", "identity"):
        return body
    if encoding.strip().lower() not in ("gzip", "x-gzip", "deflate"):
        return None
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by its first bytes
    try:
        plain = unpacker.decompress(body, most + 1)
    except zlib.error:
        return None
    return plain if unpacker.eof and not unpacker.unused_data and len(plain) <= most else None


def _hopeless(failure: BaseException | None) -> str:
    """Why trying again is no use, if it is none: the reasons lie below the exception that came up."""
    if isinstance(failure, httpx2.ProxyError) and str(failure).startswith("4"):
        return "the proxy refuses to pass this on"
    while failure is not None:
        if isinstance(failure, ssl.SSLCertVerificationError):
            return "the server's certificate is not trusted: --cacert FILE, or at your own risk --insecure-tls"
        failure = failure.__cause__ or failure.__context__
    return ""


def _tls(target: Target) -> ssl.SSLContext:
    """Whom to trust: the system's certificates, the given ones instead, or anybody. Nobody where there is no TLS."""
    if not any(each.startswith("https:") for each in (target.base, target.proxy or "")):
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # without reading all the system's certificates
    if target.insecure_tls:
        return httpx2.create_ssl_context(verify=False, trust_env=False)
    if target.cacert is None:
        return httpx2.create_ssl_context(trust_env=False)
    try:
        return ssl.create_default_context(cafile=target.cacert)
    except ssl.SSLError as failure:
        raise ConfigurationError("the CA file holds no certificates in PEM") from failure
    except OSError as failure:
        raise ConfigurationError(f"the CA file cannot be read: {failure.strerror}") from failure


def _proxy(url: str | None, context: ssl.SSLContext) -> httpx2.Proxy | None:
    if url is None:
        return None
    return httpx2.Proxy(url, ssl_context=context if url.startswith("https:") else None)


def _hush() -> None:
    """Keep the library from telling addresses and headers, whoever listens and at whatever level."""
    for name in _TALKATIVE:
        logging.getLogger(name).addFilter(_loud)


def _loud(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.WARNING
