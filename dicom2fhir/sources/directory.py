"""Files and folders of a local file system, walked with scandir: every error is counted, nothing is opened.

Where one file could be met twice (PATHs that overlap, symbolic links that are followed, a list of paths) what
was met is remembered by its real path, on disk: memory does not grow with the tree.
"""

from __future__ import annotations

import errno
import functools
import os
import re
import sqlite3
import stat
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from fnmatch import translate
from itertools import islice, pairwise
from operator import attrgetter
from typing import NamedTuple

from dicom2fhir.errors import EnvironmentFailed, UsageError
from dicom2fhir.problems import Code, Problem
from dicom2fhir.sources.base import Found, refusal
from dicom2fhir.storage import MARKERS

SORTED_AT_ONCE = 4096
"""Entries of one folder that are held to be sorted; larger folders come in batches of so many."""
_NO_NAMES = ("", ".", "..")
_name = attrgetter("name")


@dataclass(frozen=True, slots=True)
class Selection:
    """What a crawl leaves out, and whether it follows symbolic links below the PATHs.

    `exclude` are fnmatch patterns (case matters, `*` crosses `/`) for an entry's name or its path below its
    PATH; a folder that matches is not entered. `own_output` are the files and folders that the run writes.
    """

    exclude: tuple[str, ...] = ()
    follow_symlinks: bool = False
    own_output: tuple[str, ...] = ()


EVERYTHING = Selection()


class Paths:
    """The files named, and those below the folders named. A PATH that is itself a symbolic link is followed.

    Raises UsageError for a PATH that does not exist.
    """

    def __init__(self, paths: Sequence[str], selection: Selection = EVERYTHING) -> None:
        _check_exist(paths)
        self._paths = tuple(paths)
        self._selection = selection
        self._overlapping = _overlap(paths)

    def __iter__(self) -> Iterator[Found | Problem]:
        """Crawl, PATH by PATH."""
        with closing(Walk(self._selection, overlapping=self._overlapping)) as walk:
            for path in self._paths:
                yield from walk.given(path)


class Walk:
    """One crawl of what is given to it, path by path."""

    def __init__(self, selection: Selection, *, overlapping: bool) -> None:
        self._excluded = _matcher(selection.exclude)
        self._follow = selection.follow_symlinks
        self._real_folder = functools.lru_cache(maxsize=1024)(os.path.realpath)
        self._own = self._by_folder(selection.own_output)
        self._met = _Met() if overlapping or selection.follow_symlinks else None

    def close(self) -> None:
        """Forget what was met."""
        if self._met is not None:
            self._met.close()

    def given(self, path: str) -> Iterator[Found | Problem]:
        """What a path that was named by the user stands for: a file, or all files below a folder."""
        met = self._given(path)
        if isinstance(met, _Folder):
            yield from self._below(met)
        elif met is not None:
            yield met

    def _given(self, path: str) -> _Answer:
        try:
            status = os.lstat(path)
            real = self._real(path)
            if stat.S_ISLNK(status.st_mode):
                status, real = os.stat(path), os.path.realpath(path)
        except (OSError, ValueError) as error:
            return self._problem(refusal(error, path), path)
        name = os.path.basename(path.rstrip("/"))
        if self._excluded and name not in _NO_NAMES and self._excluded(name):
            return self._problem(Problem(Code.EXCLUDED, path=path), real)
        return self._by_mode(status.st_mode, path, real)

    def _by_mode(self, mode: int, path: str, real: str) -> _Answer:
        folder, name = os.path.split(real)
        if name in self._own.get(_prefix(folder), ()):
            return self._problem(Problem(Code.OWN_OUTPUT, path=path), real)
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            return self._problem(Problem(Code.SPECIAL_FILE, path=path), real)
        if self._met is not None and not self._met.first(real):
            return None
        return Found([path]) if stat.S_ISREG(mode) else _Folder(path, _prefix(real))

    def _below(self, root: _Folder) -> Iterator[Found | Problem]:
        start = len(_prefix(root.path))
        waiting = [root]
        while waiting:
            folders: list[_Folder] = []
            yield from self._listing(waiting.pop(), start, folders)
            waiting.extend(reversed(folders))

    def _listing(self, folder: _Folder, start: int, folders: list[_Folder]) -> Iterator[Found | Problem]:
        """One folder's own files; its folders are added to `folders`."""
        if any(os.path.lexists(_prefix(folder.path) + marker) for marker in MARKERS):
            yield Problem(Code.OWN_OUTPUT, path=folder.path)
            return
        own = self._own.get(folder.prefix, frozenset())
        try:
            with os.scandir(folder.path) as entries:
                while batch := sorted(islice(entries, SORTED_AT_ONCE), key=_name):
                    files: list[str] = []
                    for entry in batch:
                        met = self._entry(entry, folder.prefix, start, own)
                        if isinstance(met, str):
                            files.append(met)
                        elif isinstance(met, _Folder):
                            folders.append(met)
                        elif met is not None:
                            yield met
                    if files:
                        yield Found(files)
        except OSError as error:
            yield refusal(error, folder.path)

    def _entry(self, entry: os.DirEntry[str], prefix: str, start: int, own: frozenset[str]) -> str | _Answer:
        """What an entry is; a path stands for a file to read."""
        path = entry.path
        if self._excluded and (self._excluded(entry.name) or self._excluded(path[start:])):
            return self._problem(Problem(Code.EXCLUDED, path=path), prefix + entry.name)
        if entry.name in own:
            return self._problem(Problem(Code.OWN_OUTPUT, path=path), prefix + entry.name)
        try:
            return self._by_kind(entry, path, prefix)
        except OSError as error:
            return self._problem(refusal(error, path), prefix + entry.name)

    def _by_kind(self, entry: os.DirEntry[str], path: str, prefix: str) -> str | _Answer:
        """The entry's kind comes with the listing: no system call but where the file system does not tell it."""
        if entry.is_file(follow_symlinks=False):
            return path if self._met is None or self._met.first(prefix + entry.name) else None
        if entry.is_dir(follow_symlinks=False):
            known = self._met is not None and not self._met.first(prefix + entry.name)
            return None if known else _Folder(path, f"{prefix}{entry.name}/")
        if entry.is_symlink():
            return self._link(path, prefix + entry.name)
        return self._problem(Problem(Code.SPECIAL_FILE, path=path), prefix + entry.name)

    def _link(self, path: str, real: str) -> _Answer:
        if not self._follow:
            return self._problem(Problem(Code.SYMLINK, path=path), real)
        try:
            return self._by_mode(os.stat(path).st_mode, path, os.path.realpath(path))
        except OSError as error:
            if error.errno != errno.ELOOP:
                raise
            return self._problem(Problem(Code.SYMLINK, path=path, message="The link leads back to itself."), real)

    def _problem(self, problem: Problem, real: str) -> Problem | None:
        """The problem, unless it was met before. A file left out under one name may still come under another."""
        return problem if self._met is None or self._met.first(f"{problem.code}\0{real}") else None

    def _real(self, path: str) -> str:
        """The real path of what is no link itself; folders are resolved once."""
        folder, name = os.path.split(path)
        if name in _NO_NAMES:
            return os.path.realpath(path)
        return _prefix(self._real_folder(folder or ".")) + name

    def _by_folder(self, paths: Iterable[str]) -> dict[str, frozenset[str]]:
        """Names by the real path of their folder, with its slash."""
        names: dict[str, frozenset[str]] = {}
        for path in paths:
            folder, name = os.path.split(os.path.realpath(path))
            names[_prefix(folder)] = names.get(_prefix(folder), frozenset()) | {name}
        return names


class _Folder(NamedTuple):
    """A folder to list: its path as shown, and its real path with a slash at the end."""

    path: str
    prefix: str


_Answer = Found | Problem | _Folder | None
"""None: met before."""


class _Met:
    """The real paths met so far, in a nameless temporary database that SQLite keeps on disk when it grows."""

    def __init__(self) -> None:
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        self._db.execute("CREATE TABLE met (path BLOB PRIMARY KEY) WITHOUT ROWID")
        self._db.execute("PRAGMA journal_mode = OFF")
        self._db.execute("BEGIN")

    def first(self, path: str) -> bool:
        """Whether it is the first time. Raises EnvironmentFailed where there is no room for temporary files."""
        try:
            cursor = self._db.execute("INSERT OR IGNORE INTO met VALUES (?)", (os.fsencode(path),))
        except sqlite3.Error as error:
            raise EnvironmentFailed("The list of files already met cannot be written.") from error
        return cursor.rowcount == 1

    def close(self) -> None:
        """Let SQLite remove its file."""
        self._db.close()


def _prefix(folder: str) -> str:
    return folder if folder.endswith("/") else folder + "/"


def _matcher(patterns: Iterable[str]) -> Callable[[str], object] | None:
    """One expression for all patterns; a slash at a pattern's end means nothing more than itself without."""
    expressions = [translate(pattern.rstrip("/")) for pattern in patterns]
    return re.compile("|".join(expressions)).match if expressions else None


def _check_exist(paths: Sequence[str]) -> None:
    for number, path in enumerate(paths, 1):
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError, ValueError):
            raise UsageError(f"PATH number {number} of {len(paths)} does not exist") from None
        except OSError:
            continue  # it is there and cannot be looked at: counted when the crawl meets it


def _overlap(paths: Sequence[str]) -> bool:
    """Whether a PATH is another, or lies below it."""
    # with its slash, a folder is followed directly by what lies below it
    real = sorted(_prefix(os.path.realpath(path)) for path in paths)
    return any(later.startswith(earlier) for earlier, later in pairwise(real))
