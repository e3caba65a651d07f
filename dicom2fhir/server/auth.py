"""Who we are, for the server: nobody, a user with a password, the bearer of a token, or a client that gets tokens.

Further kinds have their place here, as further classes of the same shape. SMART Backend Services
(hl7.org/fhir/smart-app-launch/backend-services) is `ClientCredentials` whose request carries a signed
`client_assertion` instead of the secret. Mutual TLS is no header at all: its place is `wire._tls`.
"""

from __future__ import annotations

import asyncio
import base64
import random
import re
from time import monotonic
from typing import Any, Protocol
from urllib.parse import quote_plus, urlencode

from dicom2fhir.errors import ConfigurationError, Dicom2FhirError, NotAuthorized, ServerAway, ServerMisconfigured
from dicom2fhir.server.answer import Answer
from dicom2fhir.server.retry import Meaning, delay, meaning
from dicom2fhir.server.secrets import Secret
from dicom2fhir.server.target import Target
from dicom2fhir.server.wire import Lost, Reply, Wire

_LEEWAY = 30.0
"""Seconds before its end that a token is renewed, or a tenth of its life where that is less."""
_ERRORS = frozenset(
    (
        "invalid_request",
        "invalid_client",
        "invalid_grant",
        "unauthorized_client",
        "unsupported_grant_type",
        "invalid_scope",
    )
)
"""The codes of RFC 6749 section 5.2: the only text of a token endpoint that is ever repeated."""


class Auth(Protocol):
    """How requests say who we are. One event loop; whoever uses it calls `refresh` once for all that wait."""

    async def header(self) -> str | None:
        """The value of `Authorization`, None for none. Raises Dicom2FhirError where it cannot be had."""
        ...

    async def refresh(self) -> bool:
        """The server did not accept the last one: get another. False where there is nothing new to be had."""
        ...


class NoAuth:
    """Nobody."""

    async def header(self) -> str | None:
        """None."""
        return None

    async def refresh(self) -> bool:
        """False."""
        return False


class _FromSecret:
    """A header that is made from a secret, which is read again when the server does not accept it."""

    def __init__(self, secret: Secret) -> None:
        self._secret = secret
        self._header: str | None = None
        self._lock = asyncio.Lock()

    async def header(self) -> str | None:
        """The header. Raises ConfigurationError where the secret cannot be read or used."""
        async with self._lock:
            if self._header is None:
                self._header = self._made(await self._secret.read())
            return self._header

    async def refresh(self) -> bool:
        """Whether the secret is another one by now."""
        async with self._lock:
            before, self._header = self._header, self._made(await self._secret.read())
            return self._header != before

    def _made(self, secret: str) -> str:
        raise NotImplementedError


class Basic(_FromSecret):
    """A user and a password (RFC 7617, in UTF-8)."""

    def __init__(self, user: str, secret: Secret) -> None:
        """Raises ConfigurationError where the user's name cannot be one."""
        if ":" in user or not user.isprintable():
            raise ConfigurationError("a user's name has no colon and no control characters")
        super().__init__(secret)
        self._user = user

    def _made(self, secret: str) -> str:
        return _basic(self._user, secret)


class Bearer(_FromSecret):
    """A token that somebody else gets for us (RFC 6750)."""

    def _made(self, secret: str) -> str:
        return _bearer(secret)


class ClientCredentials:
    """Tokens from a token endpoint (RFC 6749 section 4.4), renewed shortly before they end.

    `endpoint.base` is the endpoint's address as `address.check_token_url` gives it; TLS, proxy, bounds and
    deadlines are the endpoint's own. The client's secret goes into the header (client_secret_basic), or with
    `post` into the body.
    """

    def __init__(
        self, endpoint: Target, client_id: str, secret: Secret, scope: str | None = None, *, post: bool = False
    ) -> None:
        self._endpoint, self._client_id, self._secret = endpoint, client_id, secret
        self._scope, self._post = scope, post
        self._header: str | None = None
        self._ends = float("inf")
        self._lock = asyncio.Lock()
        self._chance = random.Random()

    async def header(self) -> str | None:
        """The header with a token that is not about to end; one token for all who ask at the same time.

        Raises:
            ConfigurationError: the secret cannot be had.
            NotAuthorized: the endpoint does not accept us.
            ServerMisconfigured: it is no token endpoint.
            ServerAway: it does not answer.
        """
        async with self._lock:
            if self._header is None or monotonic() >= self._ends:
                await self._renew()
            return self._header

    async def refresh(self) -> bool:
        """Get another token, whatever is left of the present one. Raises as `header` does."""
        async with self._lock:
            before = self._header
            await self._renew()
            return self._header != before

    async def _renew(self) -> None:
        asked = monotonic()
        reply = await self._ask()
        if isinstance(reply, Dicom2FhirError):
            raise reply
        granted = Answer(reply.status, reply.headers, reply.body).json() or {}
        failure = _refusal(reply.status, granted)
        if failure is not None:
            raise failure
        self._header = _bearer(granted["access_token"])
        life = _seconds(granted.get("expires_in"))
        self._ends = asked + life - min(_LEEWAY, life / 10)

    async def _ask(self) -> Reply:
        """The endpoint's decision; what may be better in a moment is asked again. Raises ServerAway and others."""
        headers, body = self._request(await self._secret.read())
        timing = self._endpoint.timing
        async with Wire(self._endpoint) as wire:
            for tried in range(1, timing.tries + 1):
                reply = await wire.send("POST", self._endpoint.base, headers, body)
                if isinstance(reply, Lost) and reply.hopeless:
                    raise ServerMisconfigured(f"at the token endpoint: {reply.hopeless}")
                if isinstance(reply, Reply) and _is_decision(reply):
                    return reply
                if tried < timing.tries:
                    asked_for = reply.headers if isinstance(reply, Reply) else {}
                    await asyncio.sleep(delay(timing, tried, self._chance, asked_for))
        raise ServerAway("the token endpoint does not answer")

    def _request(self, secret: str) -> tuple[dict[str, str], bytes]:
        """Headers and body. In the header both parts are form-encoded first (RFC 6749 section 2.3.1)."""
        headers = {
            **dict(self._endpoint.headers),
            "Accept": "application/json",
            "Accept-Encoding": "identity",
            "Content-Type": "application/x-www-form-urlencoded",
        }
        form = {"grant_type": "client_credentials"} | ({"scope": self._scope} if self._scope else {})
        if self._post:
            form |= {"client_id": self._client_id, "client_secret": secret}
        else:
            headers["Authorization"] = _basic(quote_plus(self._client_id), quote_plus(secret))
        return headers, urlencode(form).encode()


def _is_decision(reply: Reply) -> bool:
    return reply.state != "broken" and meaning(reply.status, reply.headers) not in (Meaning.BUSY, Meaning.FAULT)


def _refusal(status: int, granted: Any) -> Dicom2FhirError | None:
    """Why an endpoint's decision gives no token; None where it does."""
    if 300 <= status < 400:
        return ServerMisconfigured(f"the token endpoint redirects ({status}), and redirects are not followed")
    if status in (400, 401, 403):
        code = granted.get("error")
        reason = code if isinstance(code, str) and code in _ERRORS else str(status)
        return NotAuthorized(f"the token endpoint does not accept the client: {reason}")
    if status != 200 or not isinstance(granted.get("access_token"), str):
        return ServerMisconfigured(f"the token endpoint gives no token ({status})")
    if str(granted.get("token_type", "bearer")).lower() != "bearer":
        return ServerMisconfigured("the token endpoint gives tokens of another type than bearer")
    return None


def _seconds(value: Any) -> float:
    """`expires_in`, also where it is text as some endpoints write it; without one a token lives until it is refused."""
    try:
        seconds = float(value)
    except (TypeError, ValueError, OverflowError):
        return float("inf")
    return seconds if seconds >= 0 else float("inf")


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _bearer(token: str) -> str:
    """Raises ConfigurationError where a token cannot go into a header (RFC 6750 section 2.1)."""
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise ConfigurationError("the token has characters that no token has")
    return f"Bearer {token}"
