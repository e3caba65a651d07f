"""Paths from a stream, as `find` and `locate` print them: one a line, or NUL-separated.

A line is a PATH like those of the command line, but one that does not exist is counted and not the user's
mistake: files go between the listing and the reading. A folder is walked; a path named twice is one.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from io import BufferedIOBase

from dicom2fhir.problems import Code, Problem
from dicom2fhir.sources.base import Found
from dicom2fhir.sources.directory import EVERYTHING, Selection, Walk

LONGEST = 1 << 16
"""Bytes of a line; no file system takes a path as long, and a stream without lines must not fill the memory."""
_PIECE = 1 << 16


class FileList:
    """The files that a binary stream names; it can be crawled once. Empty lines are nothing."""

    def __init__(self, stream: BufferedIOBase, separator: bytes = b"\n", selection: Selection = EVERYTHING) -> None:
        self._stream = stream
        self._separator = separator
        self._selection = selection

    def __iter__(self) -> Iterator[Found | Problem]:
        """Crawl while the stream is still being written."""
        with closing(Walk(self._selection, overlapping=True)) as walk:
            for line in _lines(self._stream, self._separator):
                if len(line) > LONGEST:
                    yield Problem(Code.VANISHED, message="A line that is longer than any path.")
                else:
                    yield from walk.given(os.fsdecode(line))


def _lines(stream: BufferedIOBase, separator: bytes) -> Iterator[bytes]:
    """The non-empty lines without their separators; of one that is too long only its beginning."""
    rest = b""
    while piece := stream.read1(_PIECE):
        *lines, rest = (rest + piece).split(separator)
        yield from filter(None, lines)
        # cut to what still shows that it is too long
        rest = rest[: LONGEST + 1]
    if rest:
        yield rest
