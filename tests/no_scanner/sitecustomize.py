"""Where this folder is on PYTHONPATH, a process that lets the scanner read a file fails, and leaves a line in the file
that $SCANNER_CALLS names. Workers and commands inherit both. It costs a process nothing that reads no DICOM.
"""

from __future__ import annotations

import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any

WATCHED = "dicom2fhir.dicom.header"


class _Watch(MetaPathFinder):
    """Takes the scanner away from the one module that reads with it, as soon as that is imported."""

    def find_spec(self, name: str, path: Any, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != WATCHED:
            return None
        sys.meta_path.remove(self)
        spec = find_spec(name)
        assert spec is not None
        assert spec.loader is not None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            assert hasattr(module, "scan"), f"{WATCHED} scans by another name now"
            module.scan = _refused  # type: ignore[attr-defined]

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def _refused(*_: object) -> None:
    with open(os.environ["SCANNER_CALLS"], "a", encoding="utf-8") as calls:
        calls.write(f"{os.getpid()}\n")
    raise AssertionError("the scanner was called")


sys.meta_path.insert(0, _Watch())
