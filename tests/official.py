"""The official referee from Python: one JVM judges many resources, and its messages come back by the resource's name.

tests/referee/ holds the program and says what it is; `tests/referee/build.sh` makes it.
"""

from __future__ import annotations

import json
import re
import subprocess
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

JAR = Path(__file__).parent / "referee/target/referee.jar"
VERSIONS = ("dstu2-ballot2", "dstu2", "stu3", "r4", "r4b", "r5", "r6")
"""The versions that it knows. `r6-ballot2` is beyond it, and so are R6's companions, which it judges as R5's."""
_JAVA = ("java", "-Xmx2g", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-jar")  # short-lived: start fast
_INDEX = re.compile(r"\[\d+\]|/\*.*?\*/")


@dataclass(frozen=True, slots=True)
class Message:
    """One sentence of the referee on a resource; `location` is the element without indices, `at` the exact one."""

    name: str
    severity: str
    id: str
    at: str
    text: str

    @property
    def location(self) -> str:
        """The element's path, the same for every item of a list."""
        return _INDEX.sub("", self.at)

    @property
    def is_error(self) -> bool:
        """Whether the resource is wrong."""
        return self.severity in ("error", "fatal")


def judge(version: str, resources: Iterable[tuple[str, Mapping[str, Any] | str]]) -> list[Message]:
    """What the official referee says of named resources, given as objects or as JSON text on one line.

    Raises:
        RuntimeError: it died, or did not see every resource.
    """
    names = []
    with tempfile.NamedTemporaryFile("w", suffix=".ndjson", encoding="utf-8") as file:
        for name, resource in resources:
            names.append(name)
            text = resource if isinstance(resource, str) else json.dumps(resource, ensure_ascii=False)
            file.write(text.replace("\n", " ") + "\n")
        file.flush()
        done = subprocess.run([*_JAVA, str(JAR), version, file.name], capture_output=True, text=True, check=False)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    if done.returncode not in (0, 3) or not lines or lines[-1].get("resources") != len(names):
        raise RuntimeError(f"The official referee of {version} failed: {done.stderr[-2000:]}")
    return [_message(names, line) for line in lines[:-1]]


def _message(names: list[str], line: Mapping[str, Any]) -> Message:
    return Message(names[line["line"] - 1], line["severity"], line["id"], line["location"], line["text"])


def by_name(messages: Iterable[Message]) -> dict[str, list[Message]]:
    """The messages of each resource."""
    found = defaultdict(list)
    for message in messages:
        found[message.name].append(message)
    return found


def groups(messages: Iterable[Message]) -> Counter[tuple[str, str]]:
    """How many there are of each (severity, message id)."""
    return Counter((message.severity, message.id) for message in messages)
