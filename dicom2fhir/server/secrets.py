"""Secrets: from a file, a command or the environment; never from the argument list, never kept here, never shown."""

from __future__ import annotations

import asyncio
import os
import selectors
import shlex
import subprocess
from dataclasses import dataclass
from time import monotonic
from typing import IO, Literal

from dicom2fhir.errors import ConfigurationError, UsageError

_LONGEST = 1 << 16
_CONTROLS = frozenset(map(chr, (*range(32), 127)))


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """Where a secret is to be had. It is read when it is needed, and again when the server wants another one.

    `place` is a path, a command line (words as in a shell, but no shell) or a variable's name; `timeout` is the
    command's, in seconds. Raises UsageError where the place cannot be one.
    """

    kind: Literal["file", "command", "environment"]
    place: str
    timeout: float = 30.0

    def __post_init__(self) -> None:
        if not self.place.strip() or "\0" in self.place or (self.kind == "command" and not _words(self.place)):
            raise UsageError(f"the {self.kind} that gives the secret cannot be one")

    def __repr__(self) -> str:
        return "***"

    async def read(self) -> str:
        """The secret, without blanks around it. Raises ConfigurationError; its sentence holds nothing of it."""
        raw = await asyncio.to_thread(self._raw)
        if len(raw) > _LONGEST:
            raise ConfigurationError(f"what the {self.kind} gives is too long for a secret")
        text = raw.decode(errors="replace").strip()
        if not text:
            raise ConfigurationError(f"the {self.kind} gives no secret: it is empty")
        if "\ufffd" in text or not _CONTROLS.isdisjoint(text):
            raise ConfigurationError(f"what the {self.kind} gives is no secret of one line in UTF-8")
        return text

    def _raw(self) -> bytes:
        if self.kind == "file":
            return _from_file(self.place)
        if self.kind == "command":
            return _from_command(_words(self.place), self.timeout)
        return os.environb.get(os.fsencode(self.place), b"")


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line)
    except ValueError:
        return []


def _from_file(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read(_LONGEST + 1)
    except OSError as failure:
        reason = failure.strerror
    raise ConfigurationError(f"the secret's file cannot be read: {reason}")


def _from_command(words: list[str], timeout: float) -> bytes:
    """What a command writes on its standard output. Nobody hears what it says besides: that may be the secret too."""
    quiet = subprocess.DEVNULL
    try:
        process = subprocess.Popen(words, stdin=quiet, stdout=subprocess.PIPE, stderr=quiet, bufsize=0)
    except OSError as failure:
        reason = failure.strerror
    else:
        return _output_of(process, monotonic() + timeout)
    raise ConfigurationError(f"the command that gives the secret cannot be started: {reason}")


def _output_of(process: subprocess.Popen[bytes], deadline: float) -> bytes:
    """The output, once the command has ended well; the command is gone afterwards whatever it did."""
    with process:
        try:
            assert process.stdout is not None
            output = _read(process.stdout, deadline)
            too_long = len(output) > _LONGEST  # the caller says so; there is nothing to wait for
            code = 0 if too_long else process.wait(max(0.0, deadline - monotonic()))
        except (TimeoutError, subprocess.TimeoutExpired):
            code = None
        finally:
            process.kill()
    if code is None:
        raise ConfigurationError("the command that gives the secret does not end in time")
    if code != 0:
        raise ConfigurationError(f"the command that gives the secret failed with exit code {code}")
    return output


def _read(stream: IO[bytes], deadline: float) -> bytes:
    """All of a pipe, or a little more than a secret can be. Raises TimeoutError."""
    output = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stream, selectors.EVENT_READ)
        while len(output) <= _LONGEST:
            if not selector.select(max(0.0, deadline - monotonic())):
                raise TimeoutError
            piece = stream.read(_LONGEST)
            if not piece:
                break
            output += piece
    return output
