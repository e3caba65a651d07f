"""Secrets from their three places: read each time, whole, and never repeated in a refusal."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

from dicom2fhir.errors import ConfigurationError, UsageError
from dicom2fhir.server.secrets import Secret

PYTHON = sys.executable


def read(secret: Secret) -> str:
    return asyncio.run(secret.read())


def refusal(secret: Secret) -> str:
    with pytest.raises(ConfigurationError) as raised:
        read(secret)
    assert secret.place not in str(raised.value)
    return str(raised.value)


def test_a_file_is_read_each_time(tmp_path: Path) -> None:
    secret = Secret("file", str(tmp_path / "token"))
    for text in ("one\n", "  two words \r\n", "drei-ß\n\n"):
        (tmp_path / "token").write_text(text)
        assert read(secret) == text.strip()


def test_a_command_is_words_and_no_shell(tmp_path: Path) -> None:
    (tmp_path / "to ken").write_text("abc\n")
    assert read(Secret("command", f"cat '{tmp_path}/to ken'")) == "abc"
    assert read(Secret("command", "echo $HOME ; `id` * | cat")) == "$HOME ; `id` * | cat"


def test_a_variable_is_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("one", "zwei-ß "):
        monkeypatch.setenv("THE_TOKEN", text)
        assert read(Secret("environment", "THE_TOKEN")) == text.strip()
    monkeypatch.delenv("THE_TOKEN")
    assert "empty" in refusal(Secret("environment", "THE_TOKEN"))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (b"planted\nplanted", "one line"),
        (b"planted\x00", "one line"),
        (b"planted\x1b[0m", "one line"),
        (b"planted\xff", "one line"),
        (b"planted" * 10_000, "too long"),
    ],
)
def test_what_is_no_secret_is_refused_and_not_repeated(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_bytes(content)
    for secret in (Secret("file", str(tmp_path / "token")), Secret("command", f"cat {tmp_path}/token")):
        sentence = refusal(secret)
        assert reason in sentence
        assert "planted" not in sentence


def test_a_file_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    assert "No such file" in refusal(Secret("file", str(tmp_path / "none")))
    assert "directory" in refusal(Secret("file", str(tmp_path)))


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("print('planted'); raise SystemExit(3)", "exit code 3"),
        ("import sys; sys.exit('planted')", "exit code 1"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", "exit code -15"),
        ("import time; print('planted', flush=True); time.sleep(600)", "in time"),
        ("import os, time; os.close(1); os.close(0); time.sleep(600)", "in time"),
        ("import subprocess, sys; subprocess.Popen(['sleep', '5'])", "in time"),
        ("while True: print('planted')", "too long"),
    ],
)
def test_a_command_must_end_well_and_in_time(code: str, reason: str, capfd: pytest.CaptureFixture[str]) -> None:
    waits = "sleep" in code
    sentence = refusal(Secret("command", f'{PYTHON} -c "{code}"', timeout=0.5 if waits else 30.0))
    assert reason in sentence
    assert "planted" not in sentence
    assert capfd.readouterr() == ("", "")
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_a_command_that_is_none_says_why() -> None:
    assert "cannot be started: No such file" in refusal(Secret("command", "/nowhere/get-token now"))


@pytest.mark.parametrize(
    ("kind", "place"), [("file", ""), ("environment", " "), ("command", ""), ("command", "a 'b"), ("file", "a\0b")]
)
def test_a_place_must_be_one(kind: str, place: str) -> None:
    with pytest.raises(UsageError, match=kind):
        Secret(kind, place)  # type: ignore[arg-type]


def test_it_is_never_shown() -> None:
    secret = Secret("command", "get --password planted")
    assert (repr(secret), str(secret), f"{[secret]}") == ("***", "***", "[***]")
