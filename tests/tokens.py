"""A token endpoint for OAuth 2.0 client credentials (RFC 6749, 4.4) that counts what it grants and can take it back."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote_plus

from faults import Faulty
from loopback import Answer, Request


class TokenEndpoint(Faulty):
    """`base` is the address to ask at. Every token begins with `tok-`, so that a leak can be looked for.

    lifetime   seconds that a token is good for; `says` what expires_in says, where that is something else
    says       0 leaves expires_in out
    """

    def __init__(
        self,
        client: str = "dicom2fhir",
        secret: str = "s3cret",
        *,
        lifetime: float = 3600,
        says: int | None = None,
        scope: str | None = None,
        **wire: Any,
    ) -> None:
        super().__init__(prefix="/token", **wire)
        self.client, self.secret, self.scope = client, secret, scope
        self.lifetime, self.says = lifetime, says
        self.tokens: list[str] = []
        self.refused = 0
        self._good: dict[str, float] = {}

    @property
    def grants(self) -> int:
        """How many tokens were given."""
        return len(self.tokens)

    def revoke(self) -> None:
        """No token given so far is good any more."""
        self.ask(self._good.clear)

    def accepts(self, header: str) -> bool:
        """Whether an Authorization header has a token that is good now."""
        kind, _, token = header.partition(" ")
        return kind == "Bearer" and self._good.get(token, 0) > time.monotonic()

    async def answer(self, request: Request) -> Answer:
        """A token, or an error of RFC 6749, 5.2."""
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if request.method != "POST" or request.path != "":
            return _json(405, {"error": "invalid_request"})
        if credentials(request.headers, form) != (self.client, self.secret):
            self.refused += 1
            return _json(401, {"error": "invalid_client"}, {"WWW-Authenticate": 'Basic realm="token"'})
        if form.get("grant_type") != "client_credentials":
            self.refused += 1
            return _json(400, {"error": "unsupported_grant_type"})
        if self.scope is not None and form.get("scope") != self.scope:
            self.refused += 1
            return _json(400, {"error": "invalid_scope"})
        return _json(200, self._grant())

    def _grant(self) -> dict[str, Any]:
        token = f"tok-{self.grants + 1}-QmVhcmVyIG9mIG5vdGhpbmc"
        self.tokens.append(token)
        self._good[token] = time.monotonic() + self.lifetime
        says = int(self.lifetime) if self.says is None else self.says
        return {"access_token": token, "token_type": "Bearer"} | ({"expires_in": says} if says else {})


def credentials(headers: Mapping[str, str], form: Mapping[str, str]) -> tuple[str | None, str | None]:
    """Client and secret, from the header (percent-encoded, then base64: RFC 6749, 2.3.1) or else from the form."""
    kind, _, text = headers.get("authorization", "").partition(" ")
    if kind.lower() != "basic":
        return (form.get("client_id"), form.get("client_secret"))
    try:
        client, _, secret = base64.b64decode(text, validate=True).decode().partition(":")
    except ValueError:
        return (None, None)
    return (unquote_plus(client), unquote_plus(secret))


def _json(status: int, value: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Answer:
    own = {"Content-Type": "application/json", "Cache-Control": "no-store"}
    return Answer(status, own | dict(headers or {}), json.dumps(value).encode())
