"""Where in a JSON text each value stands, for messages about indented files."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

_TOKEN = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|[{}\[\],:]|[^\s{}\[\],:"]+', re.DOTALL)


@dataclass(slots=True)
class Places:
    """Line numbers (from 0) of the elements of one JSON text, and the keys that an object has twice."""

    lines: dict[str, int] = field(default_factory=dict)
    twice: list[tuple[str, int]] = field(default_factory=list)
    """(path, line) of the later one of two."""

    def line(self, path: str) -> int:
        """The line of an element; of one that is not there, that of what it is missing from."""
        while path and path not in self.lines:
            path = re.sub(r"(\.[^.\[\]]*|\[\d+\]|^[^.\[\]]+)$", "", path)
        return self.lines.get(path, 0)


@dataclass(slots=True)
class _Open:
    """An object or a list whose end has not come yet."""

    path: str
    keys: set[str] | None
    at: str = ""
    index: int = 0
    wants_key: bool = True

    def here(self) -> str:
        return self.at if self.keys is not None else f"{self.path}[{self.index}]"


def places(text: str, root: str) -> Places:
    """The places of a text that has been parsed as JSON; `root` is what paths call the whole."""
    found, stack, line, last = Places(), list[_Open](), 0, 0
    for token in _TOKEN.finditer(text):
        line, last = line + text.count("\n", last, token.start()), token.start()
        word, top = token[0], stack[-1] if stack else None
        if word in "]}":
            stack.pop()
        elif word == "," and top is not None:
            top.index += 1
            top.wants_key = True
        elif word == ":" and top is not None:
            top.wants_key = False
        elif top is not None and top.keys is not None and top.wants_key:
            _key(found, top, json.loads(word), line)
        else:
            path = top.here() if top else root
            found.lines.setdefault(path, line)
            if word in "[{":
                stack.append(_Open(path, set() if word == "{" else None))
    return found


def _key(found: Places, top: _Open, name: str, line: int) -> None:
    top.at = f"{top.path}.{name}"
    if top.keys is not None and name in top.keys:
        found.twice.append((top.at, line))
    elif top.keys is not None:
        top.keys.add(name)
        found.lines.setdefault(top.at, line)
