"""A list of paths is read as it comes; every line is a file, a folder or one Problem."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from dicom2fhir.problems import Problem
from dicom2fhir.sources.base import Found
from dicom2fhir.sources.directory import EVERYTHING, Selection
from dicom2fhir.sources.filelist import LONGEST, FileList


@pytest.fixture(autouse=True)
def _tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a/b").mkdir(parents=True)
    for name in ("a/f", "a/b/g", "h", "new\nline", "blank ", "a/x.tmp"):
        Path(name).touch()
    Path(os.fsdecode(b"\xff")).touch()
    os.mkfifo("fifo")
    os.symlink("a", "link")


def listed(lines: bytes, separator: bytes = b"\n", selection: Selection = EVERYTHING) -> list[str]:
    source = FileList(io.BytesIO(lines), separator, selection)
    return [path for each in source for path in (each.paths if isinstance(each, Found) else [_said(each)])]


def _said(problem: Problem) -> str:
    return f"{problem.path} {problem.code.value}"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (b"", []),
        (b"\n\n", []),
        (b"h", ["h"]),
        (b"h\na/f\n", ["h", "a/f"]),
        (b"blank \n", ["blank "]),
        (b"\xff\n", ["\udcff"]),
        (b"h\r\n", ["h\r vanished"]),
        (b"nowhere\nh\n", ["nowhere vanished", "h"]),
        (b"h/below\n", ["h/below vanished"]),
        (b"fifo\n", ["fifo special-file"]),
        (b"nul\0byte\n", ["nul\0byte vanished"]),
        (b"a\n", ["a/f", "a/x.tmp", "a/b/g"]),
        (b"link/b\n", ["link/b/g"]),
        (b"x" * 5000, ["x" * 5000 + " io-error"]),
    ],
)
def test_lines(lines: bytes, expected: list[str]) -> None:
    assert listed(lines) == expected


def test_nul_separated() -> None:
    assert listed(b"new\nline\0h\0\0", b"\0") == ["new\nline", "h"]


@pytest.mark.parametrize(
    "lines", [b"h\nh\n", b"h\n./h\na/../h\n", b"h\nlink/../h\n", b"nowhere\nnowhere\n", b"fifo\nfifo\n"]
)
def test_a_path_listed_twice_is_one(lines: bytes) -> None:
    assert len(listed(lines)) == 1


@pytest.mark.parametrize("lines", [b"a\na/f\na/b\na/b/g\na/x.tmp\n", b"a/b/g\na/f\na\nlink\nlink/f\na/x.tmp\n"])
def test_folders_and_what_is_in_them_may_both_be_listed(lines: bytes) -> None:
    assert sorted(os.path.realpath(path) for path in listed(lines)) == [
        os.path.realpath(path) for path in ("a/b/g", "a/f", "a/x.tmp")
    ]


def test_exclusion_holds() -> None:
    assert listed(b"a/x.tmp\nh\na\n", selection=Selection(exclude=("*.tmp",))) == [
        "a/x.tmp excluded",
        "h",
        "a/f",
        "a/b/g",
    ]


def test_own_output_is_left_out() -> None:
    own = Selection(own_output=(os.path.abspath("a/f"),))
    assert listed(b"a/f\nlink/f\nh\n", selection=own) == ["a/f own-output", "h"]


@pytest.mark.parametrize("size", [LONGEST + 1, LONGEST + 2, 3 * LONGEST + 7])
def test_a_stream_without_lines_does_not_fill_the_memory(size: int) -> None:
    pieces: list[int] = []

    class Counting(io.BytesIO):
        def read1(self, size: int | None = -1, /) -> bytes:
            pieces.append(size or 0)
            return super().read1(size)

    too_long, following = FileList(Counting(b"x" * size + b"\nh\n"))
    assert isinstance(too_long, Problem)
    assert too_long.path == ""
    assert following == Found(["h"])
    assert max(pieces) <= LONGEST


def test_lines_are_used_before_the_stream_ends() -> None:
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as stream, os.fdopen(writing, "wb", buffering=0) as writer:
        crawl = iter(FileList(stream))
        writer.write(b"h\na/")
        assert next(crawl) == Found(["h"])
        writer.write(b"f\n")
        assert next(crawl) == Found(["a/f"])
