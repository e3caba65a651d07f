"""Files that appear whole or not at all, and the single streams that a sink can write to.

A file is written under a temporary name beside its final one (mode 0600), synced, then renamed.
"""

from __future__ import annotations

import errno
import fcntl
import gzip
import hashlib
import os
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import BinaryIO, Protocol

from dicom2fhir.errors import EnvironmentFailed, OutputExists, OutputLocked, UsageError

STDOUT_CHUNK = 1 << 16


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


def lock(descriptor: int) -> None:
    """Hold a file for this run; raises `OutputLocked` where another run holds it.

    A file system without locks goes without: that is its owner's choice.
    """
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise OutputLocked("another run holds the output") from None
    except OSError as failure:
        if failure.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS):
            raise


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


class Outlet(Protocol):
    """One stream of bytes to somewhere."""

    @property
    def own_paths(self) -> tuple[str, ...]:
        """Paths that this outlet writes."""
        ...

    def open(self) -> None:
        """Check and hold the destination."""
        ...

    def write(self, data: bytes) -> None:
        """Append `data`."""
        ...

    def commit(self) -> None:
        """Make it whole."""
        ...

    def abort(self) -> None:
        """Leave nothing half done where that is possible."""
        ...


class Nowhere:
    """What `--dry-run` writes to."""

    own_paths: tuple[str, ...] = ()

    def open(self) -> None:
        """Nothing to hold."""

    def write(self, data: bytes) -> None:
        """Forget `data`."""

    def commit(self) -> None:
        """Nothing to keep."""

    def abort(self) -> None:
        """Nothing to remove."""


class Stdout:
    """Standard output, in chunks of whole records: an aborted run never ends inside one."""

    own_paths: tuple[str, ...] = ()

    def __init__(self) -> None:
        self._waiting = bytearray()

    def open(self) -> None:
        """Raises `UsageError` where the process was started without a standard output."""
        if sys.stdout is None:
            raise UsageError("standard output is closed; --output names another place")

    def write(self, data: bytes) -> None:
        """Append one record or a part of one; what waits is passed on in chunks of at least 64 KiB."""
        self._waiting += data
        if len(self._waiting) >= STDOUT_CHUNK:
            self.commit()

    def commit(self) -> None:
        """Pass on all that waits."""
        with environment("writing to standard output"):
            sys.stdout.buffer.write(self._waiting)
            self._waiting.clear()
            sys.stdout.buffer.flush()

    def abort(self) -> None:
        """Forget what waits."""
        self._waiting.clear()


class SpecialFile:
    """A device or FIFO that the user named (`/dev/null`): written straight, for it cannot be renamed over."""

    own_paths: tuple[str, ...] = ()

    def __init__(self, path: str) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def open(self) -> None:
        """Open it for writing; a FIFO waits for its reader."""
        with environment("opening the output"):
            self._file = open(self._path, "wb")  # noqa: SIM115 (held until commit or abort)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        assert self._file is not None
        with environment("writing the output"):
            self._file.write(data)

    def commit(self) -> None:
        """Pass on all that waits, and close."""
        with environment("writing the output"):
            if self._file is not None:
                self._file.close()

    def abort(self) -> None:
        """Close; what was passed on cannot be taken back."""
        with suppress(OSError):
            if self._file is not None:
                self._file.close()


class SingleFile:
    """One regular file; compressed where its name ends in `.gz` (RFC 1952, without time and name)."""

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        self._path = os.path.realpath(path)
        self._overwrite = overwrite
        self._whole: WholeFile | None = None
        self._gzip: gzip.GzipFile | None = None

    @property
    def own_paths(self) -> tuple[str, ...]:
        """The file and its temporary name."""
        folder, name = os.path.split(self._path)
        return self._path, os.path.join(folder, f".{name}.part")

    def open(self) -> None:
        """Raises `OutputExists` where there is a file and `overwrite` was not asked, `UsageError` without a folder."""
        if not self._overwrite and os.path.lexists(self._path):
            raise OutputExists("the output file exists; --overwrite replaces it")
        if not os.path.isdir(os.path.dirname(self._path)):
            raise UsageError("the output's folder does not exist")
        with environment("creating the output"):
            self._whole = WholeFile(self._path)
        if self._path.endswith(".gz"):
            self._gzip = gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=self._whole, mtime=0)

    def write(self, data: bytes) -> None:
        """Append `data`."""
        target = self._gzip or self._whole
        assert target is not None
        with environment("writing the output"):
            target.write(data)

    def commit(self) -> None:
        """Finish the file under its own name."""
        assert self._whole is not None
        with environment("writing the output"):
            if self._gzip is not None:
                self._gzip.close()
            self._whole.commit()
            sync_folder(os.path.dirname(self._path))

    def abort(self) -> None:
        """Remove the temporary file."""
        if self._gzip is not None:
            # Without its file a GzipFile cannot write its trailer to what is gone by then.
            self._gzip.fileobj = None  # type: ignore[assignment]
        if self._whole is not None:
            self._whole.discard()


def outlet(destination: str | None, *, overwrite: bool) -> Outlet:
    """The stream for `-o`: None and `-` are standard output, else a device, a FIFO or a file."""
    if destination is None or destination == "-":
        return Stdout()
    try:
        special = not stat.S_ISREG(os.stat(destination).st_mode)
    except OSError:
        special = False
    return SpecialFile(destination) if special else SingleFile(destination, overwrite=overwrite)
