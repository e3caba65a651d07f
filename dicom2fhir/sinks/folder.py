"""A folder that is ours: marker first, files whole, what is not ours untouched, the manifest last.

- `.dicom2fhir` is the marker, the lock, and a list of every name that was ever written here. Only names in
  that list are ever removed, so that a stranger's file is safe even after `--overwrite`.
- `manifest.json` says that the folder is complete. It goes before the first change and comes back last.
- A killed run leaves whole files, temporary names and no manifest; repeating the command mends all of it.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from io import FileIO

from dicom2fhir.encode import compact
from dicom2fhir.errors import OutputExists
from dicom2fhir.storage import OUTPUT_MARKER, WholeFile, environment, hold, make_folders, sync_folder

MANIFEST = "manifest.json"
FIRST_LINE = b"The output of dicom2fhir; the names below are its files.\n"
BATCH = 64

_OUR_NAMES = re.compile(r"[A-Za-z][A-Za-z0-9.-]{0,200}\.(json|ndjson)")


class OwnedFolder:
    """One output folder, held for one run."""

    def __init__(self, path: str, *, overwrite: bool = False) -> None:
        self.path = os.path.realpath(path)
        self._overwrite = overwrite
        self._marker: FileIO | None = None
        self._made: list[str] = []
        self._earlier: set[str] = set()
        self._known: set[str] = set()
        self._open_files: dict[str, WholeFile] = {}
        self._manifest: WholeFile | None = None
        self._file_count = 0
        self._unsynced = 0

    def open(self) -> None:
        """Make the folder where it is missing, mark it, hold it; see `Sink.open` for what it raises."""
        with environment("creating the output folder"):
            self._made += make_folders(self.path, "the output folder")
            self._check_owner()
            marker = os.path.join(self.path, OUTPUT_MARKER)
            fresh = not os.path.lexists(marker)
            self._marker = hold(marker, "the output")
            if fresh:
                self._made.append(marker)
            self._earlier = self._read_marker()
            self._known = set(self._earlier)
            sync_folder(self.path)

    def _check_owner(self) -> None:
        with os.scandir(self.path) as entries:
            names = {entry.name for entry in entries}
        if names and OUTPUT_MARKER not in names and not self._overwrite:
            raise OutputExists("the output folder holds files of others; --overwrite writes beside them")

    def _read_marker(self) -> set[str]:
        assert self._marker is not None
        self._marker.seek(0)
        text = self._marker.readall()
        if not text:
            self._marker.write(FIRST_LINE)
        elif not text.endswith(b"\n"):  # killed inside a line
            self._marker.write(b"\n")
        return {line for line in text.decode("utf-8", "replace").split("\n")[1:] if _OUR_NAMES.fullmatch(line)}

    def create(self, name: str) -> WholeFile:
        """A new file of ours, to be given back with `keep`."""
        self._begin()
        self._earlier.discard(name)
        with environment("writing the output folder"):
            self._note(name)
            file = WholeFile(os.path.join(self.path, name))
        self._open_files[name] = file
        return file

    def _begin(self) -> None:
        """Before the first change: the folder is not complete any more, and must not say so."""
        if self._manifest is not None:
            return
        with environment("writing the output folder"):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(self.path, MANIFEST))
            self._manifest = WholeFile(os.path.join(self.path, MANIFEST))
            self._manifest.write(b'{"files":[')

    def _note(self, name: str) -> None:
        if name in self._known:
            return
        assert self._marker is not None
        self._marker.write(name.encode() + b"\n")
        self._known.add(name)

    def keep(self, name: str, resources: int) -> None:
        """Finish a file that `create` gave; `resources` is how many FHIR resources it holds."""
        assert self._manifest is not None
        file = self._open_files.pop(name)
        with environment("writing the output folder"):
            try:
                file.commit()
            except BaseException:
                file.discard()
                raise
            row = {"name": name, "size": file.size, "sha256": file.sha256, "resources": resources}
            self._manifest.write((b",\n" if self._file_count else b"\n") + compact(row))
            self._file_count += 1
            self._sync_sometimes()

    def _sync_sometimes(self) -> None:
        self._unsynced += 1
        if self._unsynced >= BATCH:
            self._unsynced = 0
            sync_folder(self.path)

    def finish(self, counts: dict[str, int]) -> None:
        """Remove what an earlier run left, write the manifest with `counts`, give the folder free."""
        self._begin()
        assert self._manifest is not None
        assert self._marker is not None
        with environment("writing the output folder"):
            self._sweep()
            os.fsync(self._marker.fileno())
            sync_folder(self.path)
            totals = {"files": self._file_count, **counts}
            self._manifest.write(b'\n],\n"counts":' + compact(totals) + b"}\n")
            self._manifest.commit()
            sync_folder(self.path)
        self._marker.close()

    def _sweep(self) -> None:
        for name in sorted(self._earlier):
            for path in (os.path.join(self.path, name), os.path.join(self.path, f".{name}.part")):
                with suppress(FileNotFoundError, IsADirectoryError):
                    os.unlink(path)

    def abort(self) -> None:
        """Remove temporary files; where nothing was written yet, the folder is left as it was found."""
        untouched = self._manifest is None
        for file in (*self._open_files.values(), *([self._manifest] if self._manifest else [])):
            file.discard()
        self._open_files.clear()
        if untouched:
            self._undo()
        if self._marker is not None:
            self._marker.close()

    def _undo(self) -> None:
        for path in reversed(self._made):
            with suppress(OSError):
                if os.path.basename(path) == OUTPUT_MARKER:
                    os.unlink(path)
                else:
                    os.rmdir(path)
