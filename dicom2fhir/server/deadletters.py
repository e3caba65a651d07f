"""Dead letters: what the server refused, as files that `send` takes, each with what the server said of it.

`<name>.json` is the Bundle as it was put, `<name>.outcome.json` our code, the HTTP status and the OperationOutcome.
Both may hold patient data: mode 0600, in a folder of mode 0700. A file is there whole or not at all.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from dicom2fhir.problems import Code
from dicom2fhir.storage import WholeFile, environment, sync_folder

_BUNDLE = ".json"
_OUTCOME = ".outcome.json"
_PART = ".part"
_STEM = re.compile(r"(?:[A-Za-z0-9\-]|%2e)+")


def letters(folder: str) -> list[str]:
    """The paths of the Bundles in a folder, sorted; the server's answers beside them are left out."""
    with environment("reading a folder of dead letters"):
        names = sorted(os.listdir(folder))
    return [os.path.join(folder, name) for name in names if _is_letter(name)]


def _is_letter(name: str) -> bool:
    return name.endswith(_BUNDLE) and not name.endswith(_OUTCOME) and not name.startswith(".")


class DeadLetters:
    """The folder of one state, which its run holds."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def open(self) -> None:
        """Make the folder where it is missing, and remove what a killed run left half written."""
        with environment("opening the folder of dead letters"):
            with suppress(FileExistsError):
                os.mkdir(self._folder, 0o700)
            os.chmod(self._folder, 0o700)
            with os.scandir(self._folder) as entries:
                half = [entry.path for entry in entries if entry.name.startswith(".") and entry.name.endswith(_PART)]
            for path in half:
                os.unlink(path)

    def names(self) -> Iterator[str]:
        """The parcels that have a letter, in no order that matters."""
        with environment("reading the folder of dead letters"):
            stems = {file.removesuffix(_OUTCOME).removesuffix(_BUNDLE) for file in os.listdir(self._folder)}
        return (stem.replace("%2e", ".") for stem in stems if _STEM.fullmatch(stem))

    def write(self, name: str, body: bytes, code: Code, status: int | None, outcome: Any) -> None:
        """Write both files, in place of earlier ones; they are lasting when it returns."""
        with environment("writing a dead letter"):
            self._write(name, _OUTCOME, _answer(code, status, outcome))
            self._write(name, _BUNDLE, body + b"\n")
            sync_folder(self._folder)

    def _write(self, name: str, suffix: str, data: bytes) -> None:
        file = WholeFile(self._path(name, suffix))
        try:
            file.write(data)
            file.commit()
        except BaseException:
            file.discard()
            raise

    def remove(self, name: str) -> None:
        """Remove both files, if they are there. A power cut may bring them back."""
        with environment("removing a dead letter"):
            for suffix in (_BUNDLE, _OUTCOME):
                with suppress(FileNotFoundError):
                    os.unlink(self._path(name, suffix))

    def _path(self, name: str, suffix: str) -> str:
        """Where a file lies. Without dots of its own a name is never hidden, nor taken for another's answer."""
        return os.path.join(self._folder, name.replace(".", "%2e") + suffix)


def _answer(code: Code, status: int | None, outcome: Any) -> bytes:
    """What the server said, as JSON for people; an outcome that is no JSON any more is left out."""
    facts = {"code": str(code), "status": status}
    try:
        return _text({**facts, "outcome": outcome})
    except (ValueError, RecursionError):  # NaN, or nested without end
        return _text({**facts, "outcome": None})


def _text(value: dict[str, Any]) -> bytes:
    # half a surrogate pair, which UTF-8 does not have, becomes the escape that JSON has for it
    return json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False).encode("utf-8", "backslashreplace") + b"\n"
