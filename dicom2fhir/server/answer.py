"""What comes of a request: an answer, or that there is none to rely on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Answer:
    """A server's decision. `headers` have lower-case names.

    `cut`: there was more of a body than may be read, or none that can be read; `body` is empty then.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    cut: bool = False

    def json(self) -> Any | None:
        """The body as a JSON object, None where it is anything else: HTML, an array, text in another encoding."""
        try:
            value = json.loads(self.body.decode("utf-8-sig"))
        except (ValueError, RecursionError):
            return None
        return value if isinstance(value, dict) else None


class Unclear(Exception):
    """The request may or may not have been done, and doing it twice could do harm. `status`: 0 without an answer."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(f"outcome unknown ({status})" if status else "outcome unknown")
        self.status = status


class KeepsFailing(Exception):
    """All tries are spent, although the server is there. `status` is the last one, 0 without an answer."""

    def __init__(self, status: int = 0) -> None:
        super().__init__(f"the server keeps answering {status}" if status else "this request is never answered")
        self.status = status
