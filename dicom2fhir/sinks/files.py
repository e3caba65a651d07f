"""The single streams that a sink or the report can write to."""

from __future__ import annotations

import gzip
import os
import stat
import sys
from contextlib import suppress
from typing import BinaryIO, Protocol

from dicom2fhir.errors import OutputExists, UsageError
from dicom2fhir.storage import WholeFile, environment, sync_folder

STDOUT_CHUNK = 1 << 16


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
