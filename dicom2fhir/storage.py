"""Files that appear whole or not at all, and folders that are ours: what output, report and state have in common.

A file is written under a temporary name beside its final one (mode 0600), synced, then renamed. A folder of ours
holds a marker, which is its lock too; a crawl leaves such folders out.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from io import FileIO
from typing import BinaryIO

from dicom2fhir.errors import EnvironmentFailed, OutputLocked, UsageError

OUTPUT_MARKER = ".dicom2fhir"
"""A folder that holds a file of this name is this command's output."""
STATE_MARKER = ".dicom2fhir-state"
"""A folder that holds a file of this name is the memory of what was sent to a server."""
MARKERS = (OUTPUT_MARKER, STATE_MARKER)


@contextmanager
def environment(doing: str) -> Iterator[None]:
    """Turn a failing file system into `EnvironmentFailed`; a closed pipe stays what it is.

    The text names what was being done and the system's reason, never a path.
    """
    try:
        yield
    except BrokenPipeError:
        raise
    except OSError as failure:
        reason = os.strerror(failure.errno) if failure.errno else type(failure).__name__
        raise EnvironmentFailed(f"{doing} failed: {reason}") from failure


def sync_folder(path: str) -> None:
    """Make renames in a folder last. A file system that cannot sync a folder is left alone."""
    descriptor = os.open(path or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as failure:
        if failure.errno not in (errno.EINVAL, errno.ENOTSUP):
            raise
    finally:
        os.close(descriptor)


def lock(descriptor: int, what: str = "the output") -> None:
    """Hold a file for this run; raises `OutputLocked`, which names `what`, where another run holds it.

    A file system without locks goes without: that is its owner's choice.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputLocked(f"another run holds {what}") from None
    except OSError as failure:
        if failure.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise


def make_folders(path: str, what: str) -> list[str]:
    """Make a folder and those above it, all or none, mode 0700 whatever the umask; gives the new ones, topmost first.

    Raises `UsageError`, which names `what`, where a part of the path is a file.
    """
    missing = []
    while not os.path.lexists(path):
        missing.append(path)
        path = os.path.dirname(path)
    if not os.path.isdir(path):
        raise UsageError(f"{what} cannot be made: a part of its path is a file")
    made: list[str] = []
    try:
        for folder in reversed(missing):
            with suppress(FileExistsError):  # another run was faster
                os.mkdir(folder, 0o700)
                made.append(folder)
                os.chmod(folder, 0o700)
    except BaseException:
        for folder in reversed(made):
            with suppress(OSError):
                os.rmdir(folder)
        raise
    return made


def hold(path: str, what: str) -> FileIO:
    """A file that is made where it is missing, locked for this run and open for appending; see `lock`."""
    flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    file = FileIO(os.open(path, flags, 0o600), "r+")
    try:
        lock(file.fileno(), what)
    except BaseException:
        file.close()
        raise
    return file


class WholeFile:
    """One file in the making: `write`, then `commit` or `discard`. It knows its size and SHA-256."""

    def __init__(self, path: str) -> None:
        folder, name = os.path.split(path)
        self.path = path
        self.part = os.path.join(folder, f".{name}.part")
        self.size = 0
        self._sha256 = hashlib.sha256()
        self._file = self._create()

    def _create(self) -> BinaryIO:
        """The temporary file, empty and held.

        Whoever held the lock before may have renamed the file away between our opening and our locking it;
        what we hold then is finished output, so that the name is opened afresh.
        """
        while True:
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
            file = os.fdopen(os.open(self.part, flags, 0o600), "wb")
            try:
                lock(file.fileno())
                if self._is_ours(file.fileno()):
                    os.fchmod(file.fileno(), 0o600)
                    file.truncate(0)
                    return file
            except BaseException:
                file.close()
                raise
            file.close()

    def _is_ours(self, descriptor: int) -> bool:
        try:
            return os.path.samestat(os.fstat(descriptor), os.stat(self.part, follow_symlinks=False))
        except FileNotFoundError:
            return False

    @property
    def sha256(self) -> str:
        """The digest of what was written so far, in hexadecimal."""
        return self._sha256.hexdigest()

    def write(self, data: bytes) -> int:
        """Append `data`; says how many bytes that were, as any writer does."""
        self.size += len(data)
        self._sha256.update(data)
        return self._file.write(data)

    def flush(self) -> None:
        """Nothing yet: `commit` does it once."""

    def commit(self) -> None:
        """Sync the file and give it its name. The folder is synced by the caller, once a batch."""
        self._file.flush()
        os.fsync(self._file.fileno())
        os.replace(self.part, self.path)
        self._file.close()

    def discard(self) -> None:
        """Remove the temporary file. After `commit` there is none, and nothing happens."""
        if self._file.closed:
            return
        with suppress(FileNotFoundError):
            os.unlink(self.part)
        # What is still buffered may not fit on the disk that just ran full; the file is gone anyway.
        with suppress(OSError):
            self._file.close()
