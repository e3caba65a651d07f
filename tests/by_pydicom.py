"""`pytest --reader pydicom`: all that tests read is read by pydicom, in whatever process, and the scanner never is.

Commands are told by the environment, as a user would; `Options()` and `read_file()` by their defaults, which a test
that names a reader does not use. `no_scanner/` holds that nothing else reads.
"""

from __future__ import annotations

import os
import re
import runpy
import sys
import tempfile
from functools import cache, partialmethod
from pathlib import Path

TESTS = Path(__file__).parent
NO_SCANNER = TESTS / "no_scanner"
READS = re.compile(r"(dicom2fhir\.|import )pipeline\b|dicom(\.| import )header\b|[\"'](convert|inspect)[\"']")
"""How a module shows that it reads DICOM: by what it imports or lets others import, or by a command's name."""
_IMPORTED = re.compile(r"^\s*(?:from|import) (\w+)", re.MULTILINE)


@cache
def reads(module: Path) -> bool:
    """Whether a module of tests may read DICOM, by itself or by modules of tests that it imports.

    One that may not is left out. conftest.py holds in every run that no command reads there.
    """
    return any(READS.search(_text(each)) for each in _together(module, set()))


def _together(module: Path, seen: set[Path]) -> set[Path]:
    seen.add(module)
    for name in _IMPORTED.findall(_text(module)):
        for each in (module.parent / f"{name}.py", TESTS / f"{name}.py"):
            if each.exists() and each not in seen:
                _together(each, seen)
    return seen


@cache
def _text(module: Path) -> str:
    return module.read_text(encoding="utf-8")


def begin() -> None:
    """Let pydicom read in this process from here, and in those that it starts."""
    handle, os.environ["SCANNER_CALLS"] = tempfile.mkstemp(prefix="scanner-calls-")
    os.close(handle)
    _watch()
    _read_by_pydicom()


def end() -> None:
    """Leave no file."""
    os.unlink(os.environ.pop("SCANNER_CALLS"))


def scanner_calls() -> str:
    """A line for each time that the scanner was called since this was asked last: the process."""
    with open(os.environ["SCANNER_CALLS"], "r+", encoding="utf-8") as calls:
        said = calls.read()
        calls.truncate(0)
    return said


def _watch() -> None:
    """Take the scanner away: here, from workers, which get our sys.path, and from commands."""
    runpy.run_path(str(NO_SCANNER / "sitecustomize.py"))
    sys.path.insert(0, str(NO_SCANNER))
    others = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(NO_SCANNER), *([others] if others else ())])


def _read_by_pydicom() -> None:
    from dicom2fhir.dicom.header import read_file
    from dicom2fhir.pipeline import Options

    os.environ["DICOM2FHIR_READER"] = "pydicom"
    read_file.__defaults__ = ("pydicom",)
    Options.__init__ = partialmethod(Options.__init__, reader="pydicom")  # type: ignore[method-assign,assignment]
