"""Talk: everything that is said on standard error, as text or as one JSON object a line.

Standard output carries data and nothing else. What is said here never holds patient data, file names or
UIDs, unless `--log-identifiers` was given.
"""

from __future__ import annotations

import sys
from typing import Any, Literal, TextIO

Level = Literal["error", "warning", "info", "debug"]
_LOUDNESS: dict[Level, int] = {"error": -1, "warning": 0, "info": 0, "debug": 1}


class Talk:
    """`verbosity` is -1 (errors only), 0, or 1 (everything); `form` is text or json."""

    def __init__(
        self,
        verbosity: int = 0,
        form: Literal["text", "json"] = "text",
        identifiers: bool = False,
        stream: TextIO | None = None,
    ) -> None:
        self.verbosity, self.form, self.identifiers, self.stream = verbosity, form, identifiers, stream

    def say(self, level: Level, message: str, **fields: Any) -> None:
        """One line, where the level is loud enough. `fields` are for programs and only in the JSON form."""
        stream = self.stream or sys.stderr
        if stream is None or _LOUDNESS[level] > self.verbosity:
            return
        stream.write(self._line(level, message, fields) + "\n")
        stream.flush()

    def _line(self, level: Level, message: str, fields: dict[str, Any]) -> str:
        if self.form == "text":
            return f"dicom2fhir: {message}" if level == "error" else message
        import json
        from datetime import UTC, datetime

        now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"time": now, "level": level, "message": message, **fields}, ensure_ascii=True)

    def error(self, message: str, **fields: Any) -> None:
        """Why the command ended."""
        self.say("error", message, **fields)

    def info(self, message: str, **fields: Any) -> None:
        """What a user wants to know."""
        self.say("info", message, **fields)

    def debug(self, message: str, **fields: Any) -> None:
        """What is told with `-v`."""
        self.say("debug", message, **fields)
