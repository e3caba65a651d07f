"""A small client of the tests' own: what a server holds is asked for over HTTP, and never with the package's code."""

from __future__ import annotations

import json
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from typing import Any

Json = dict[str, Any]
Parameters = Mapping[str, str] | Sequence[tuple[str, str]]

_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever the status."""

    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True, slots=True)
class Client:
    """Asks below one base address. What is read is never from a server's cache."""

    base: str
    media_type: str = "application/fhir+json"

    def get(self, path: str, parameters: Parameters = (), **headers: str) -> Answer:
        """GET `base/path?parameters`; a header is named `If_Match=…`, and `path` may be a whole address."""
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        return self._ask("GET", path + query, None, headers)

    def post(self, path: str, body: Json | bytes, **headers: str) -> Answer:
        """POST; bytes go as they are."""
        return self._ask("POST", path, body, headers)

    def put(self, path: str, body: Json | bytes, **headers: str) -> Answer:
        """PUT; bytes go as they are."""
        return self._ask("PUT", path, body, headers)

    def delete(self, path: str, **headers: str) -> Answer:
        """DELETE."""
        return self._ask("DELETE", path, None, headers)

    def search(self, path: str, parameters: Parameters = ()) -> list[Json]:
        """Every resource that a search finds, over all its pages.

        Raises:
            AssertionError: the server refused the search.
        """
        found = []
        answer = self.get(path, parameters)
        while True:
            assert answer.status == 200, (answer.status, answer.body)
            page = answer.json
            found += [entry["resource"] for entry in page.get("entry", ())]
            following = [link["url"] for link in page.get("link", ()) if link["relation"] == "next"]
            if not following:
                return found
            answer = self.get(following[0])

    def ids(self, path: str, parameters: Parameters = ()) -> list[str]:
        """The ids of what a search finds, sorted."""
        return sorted(resource["id"] for resource in self.search(path, parameters))

    def _ask(self, method: str, path: str, body: Json | bytes | None, headers: Mapping[str, str]) -> Answer:
        address = path if "://" in path else f"{self.base}/{path}".rstrip("/")
        data = json.dumps(body).encode() if isinstance(body, dict) else body
        standard = {"Accept": self.media_type, "Cache-Control": "no-cache"}
        if data is not None:
            standard["Content-Type"] = f"{self.media_type}; charset=utf-8"
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(address, data=data, headers=standard | given, method=method)
        try:
            with _OPENER.open(request, timeout=120) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as refused:
            with refused:
                return Answer(refused.code, refused.headers, refused.read())
