"""What every source is: an iterable of files to read, and of what cannot be read.

A source lists; it never opens a file (a FIFO would block for ever, a device may act).
"""

from __future__ import annotations

import errno
from collections.abc import Iterator
from typing import NamedTuple, Protocol

from dicom2fhir.problems import Code, Problem


class Found(NamedTuple):
    """Some files to read: their paths as the user would type them, bytes that are no UTF-8 as surrogate escapes."""

    paths: list[str]


class Source(Protocol):
    """Files in no order that matters, each once. A Problem stands for one file or one folder that is not read."""

    def __iter__(self) -> Iterator[Found | Problem]:
        """Crawl."""
        ...


def refusal(error: OSError | ValueError, path: str) -> Problem:
    """The Problem that stands for a path that the file system did not give (ValueError: no path at all)."""
    number = error.errno if isinstance(error, OSError) else errno.ENOENT
    if number in (errno.EACCES, errno.EPERM):
        return Problem(Code.PERMISSION, path=path)
    if number in (errno.ENOENT, errno.ENOTDIR, errno.ESTALE):
        return Problem(Code.VANISHED, path=path)
    return Problem(Code.IO_ERROR, path=path)
