"""The program itself: what it reads, where it says a fault lies, how it ends."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from official import JAR, judge
from planted import study

SOUND = study("dstu2-ballot2")
WRONG = SOUND | {"numberOfSeries": "many"}


def run(*arguments: str, stdin: str = "") -> tuple[int, list[dict[str, Any]]]:
    """The program's exit code and its lines."""
    done = subprocess.run(
        ["java", "-jar", str(JAR), *arguments], input=stdin, capture_output=True, text=True, check=False
    )
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_fault_is_told_with_its_file_and_line(tmp_path: Path) -> None:
    file = tmp_path / "two.ndjson"
    file.write_text(f"{json.dumps(SOUND)}\n\n{json.dumps(WRONG)}\n", encoding="utf-8")
    code, (*messages, last) = run("dstu2-ballot2", str(file))
    assert code == 3
    assert {(message["file"], message["line"], message["severity"]) for message in messages} == {
        (str(file), 3, "error")
    }
    assert last == {"version": "dstu2-ballot2", "resources": 2, "errors": len(messages)}


def test_the_line_within_one_document_is_told(tmp_path: Path) -> None:
    file = tmp_path / "one.json"
    text = json.dumps(study("dstu2") | {"started": "2024-13-01"}, indent=1)
    file.write_text(text, encoding="utf-8")
    code, (*messages, last) = run("dstu2", str(file))
    lines = [message["line"] for message in messages if message["severity"] == "error"]
    assert code == 3
    assert [text.splitlines()[line - 1].strip() for line in lines] == ['"started": "2024-13-01",']
    assert last["resources"] == 1


def test_standard_input_is_read() -> None:
    assert run("dstu2-ballot2", "-", stdin=json.dumps(SOUND)) == (
        0,
        [{"version": "dstu2-ballot2", "resources": 1, "errors": 0}],
    )


def test_an_unknown_version_is_a_failure() -> None:
    with pytest.raises(RuntimeError, match="no official referee for r6-ballot2"):
        judge("r6-ballot2", [("x", SOUND)])


def test_wrong_usage_is_told() -> None:
    assert run("r4") == (2, [])
