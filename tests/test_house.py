"""The house's arrows, held as absences: who imports whom, who prints, who knows DICOM and who FHIR."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import dicom2fhir

ROOT = Path(dicom2fhir.__file__).parent
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.py"))

# What each room may import of the package. A module beside the rooms is a room of its own.
ARROWS: dict[str, set[str]] = {
    "__init__": {"pipeline", "mapping", "fhir", "workers", "errors", "problems", "report", "model", "sources", "sinks"},
    "__main__": {"cli"},
    "problems": set(),
    "errors": set(),
    "encode": set(),
    "storage": {"errors"},
    "model": set(),
    "codes": {"model"},
    "dicom": {"codes", "model", "problems"},
    "sources": {"dicom", "errors", "problems", "storage"},
    "ahead": set(),
    "worker_main": {"ahead"},
    "workers": {"errors", "problems", "worker_main"},
    "index": {"dicom", "errors", "problems"},
    "mapping": {"codes", "dicom", "model", "problems"},
    "fhir": {"errors", "model", "problems"},
    "server": {"encode", "errors", "fhir", "model", "problems", "storage"},
    "sinks": {"encode", "errors", "fhir", "problems", "server", "storage"},
    "press": {"dicom", "fhir", "index", "mapping", "problems"},
    "presses": {"index", "mapping", "press"},
    "report": {"encode", "errors", "problems", "server", "sinks", "storage"},
    "pipeline": {
        "dicom", "errors", "fhir", "index", "mapping", "model", "press", "presses", "problems", "report", "server",
        "sinks", "sources", "workers",
    },
    "cli": {
        "codes", "dicom", "errors", "fhir", "mapping", "model", "pipeline", "problems", "report", "server", "sinks",
        "sources", "workers",
    },
}  # fmt: skip
# No version of FHIR is compared anywhere but where dialects are looked up.
VERSIONS = {"r4", "r4b", "r5", "r6", "stu3", "dstu2"}


def room(module: str) -> str:
    """The room that a file belongs to: its folder, or itself where it lies beside the folders."""
    return module.split("/")[0].removesuffix(".py")


def tree(module: str) -> ast.Module:
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


def imported(module: str) -> Iterator[str]:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_downwards(module: str) -> None:
    own = room(module)
    for name in imported(module):
        parts = name.split(".")
        if parts[0] == "dicom2fhir" and len(parts) > 1 and parts[1] not in ("__version__", own):
            assert parts[1] in ARROWS[own], f"{module} may not import {name}"


@pytest.mark.parametrize("module", MODULES)
def test_foreign_libraries_stay_in_their_rooms(module: str) -> None:
    for name in imported(module):
        top = name.split(".")[0]
        if top == "pydicom":
            assert room(module) == "dicom", f"{module} imports pydicom"
        if name.startswith(("fhir.resources", "fhir_core")):
            assert module == "fhir/validate.py", f"{module} imports fhir.resources"
        if top in ("typer", "rich"):
            assert room(module) == "cli", f"{module} imports {top}"
        assert top != "click", f"{module} imports click, which typer carries itself"


@pytest.mark.parametrize("module", MODULES)
def test_only_the_command_line_prints(module: str) -> None:
    calls = (node for node in ast.walk(tree(module)) if isinstance(node, ast.Call))
    prints = [node.lineno for node in calls if isinstance(node.func, ast.Name) and node.func.id == "print"]
    assert not prints or room(module) == "cli"


@pytest.mark.parametrize("module", MODULES)
def test_nothing_is_swallowed(module: str) -> None:
    handlers = (node for node in ast.walk(tree(module)) if isinstance(node, ast.ExceptHandler))
    assert not [node.lineno for node in handlers if all(isinstance(line, ast.Pass) for line in node.body)]


@pytest.mark.parametrize("module", MODULES)
def test_no_version_flags(module: str) -> None:
    for node in ast.walk(tree(module)):
        if isinstance(node, ast.Compare):
            constants = [c for c in ast.walk(node) if isinstance(c, ast.Constant)]
            assert not [c.value for c in constants if c.value in VERSIONS], f"{module}:{node.lineno}"


def test_every_room_is_known() -> None:
    assert {room(module) for module in MODULES} == set(ARROWS)


def loaded(code: str) -> set[str]:
    program = f"{code}\nimport sys\nprint(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    return set(done.stdout.split("\n")[-2].split())


@pytest.mark.parametrize("code", ["import dicom2fhir", "import dicom2fhir.cli.app", "import dicom2fhir.model"])
def test_importing_costs_nothing_heavy(code: str) -> None:
    heavy = {"pydicom", "fhir.resources", "pydantic", "numpy", "sqlite3", "rich.progress", "zoneinfo"}
    assert not heavy & loaded(code)


def test_the_parent_process_needs_no_pydicom() -> None:
    assert "pydicom" not in loaded("import dicom2fhir.pipeline")


def within(names: set[str], package: str) -> set[str]:
    return {name for name in names if f"{name}.".startswith(f"{package}.")}


@pytest.mark.parametrize("arguments", ["'--help'", "'convert', '--help'"])
def test_help_imports_the_command_line_and_little_else(arguments: str) -> None:
    names = loaded(
        f"import sys; sys.argv = ['dicom2fhir', {arguments}]\n"
        "from dicom2fhir.__main__ import main\n"
        "try: main()\n"
        "except SystemExit: pass"
    )
    rooms = {name.split(".")[1] for name in within(names, "dicom2fhir") - {"dicom2fhir"}}
    assert rooms == {"__main__", "cli", "errors"}
    assert not names & {"rich", "pydantic", "json", "tomllib", "csv", "hashlib", "sqlite3", "zoneinfo", "asyncio"}


@pytest.mark.scanner("holds that pydicom is not loaded")
def test_a_reading_worker_imports_what_reading_needs() -> None:
    names = loaded("import dicom2fhir.dicom.header, dicom2fhir.worker_main")
    rooms = {name.split(".")[1] for name in within(names, "dicom2fhir") - {"dicom2fhir"}}
    assert rooms == {"codes", "dicom", "problems", "worker_main"}
    assert not names & {
        "dataclasses", "inspect", "datetime", "zoneinfo", "pathlib", "tempfile", "importlib.resources", "subprocess",
        "dicom2fhir.dicom.times", "dicom2fhir.dicom.names", "pydicom",
    }  # fmt: skip


CONVERT = """
import os, sys
from dicom2fhir import __main__, pipeline
def convert(*rest): print(*sys.modules); sys.stdout.flush(); os._exit(0)
pipeline.convert = convert
sys.argv = ["dicom2fhir", "convert", os.curdir, "--no-progress"]
__main__.main()
"""


def test_a_conversion_begins_without_what_only_others_need() -> None:
    done = subprocess.run([sys.executable, "-c", CONVERT], capture_output=True, text=True, check=True)
    names = set(done.stdout.split())
    assert "dicom2fhir.mapping" in names
    assert within(names, "dicom2fhir.server") == set()
    dialects = {"dstu2", "dstu2_ballot2", "stu3", "r4", "r4b", "r5", "r6", "r6_ballot2"}
    assert {name.rpartition(".")[2] for name in within(names, "dicom2fhir.fhir")} & dialects == {"r4"}
    assert not names & {"pydicom", "pydantic", "rich", "httpx2", "asyncio", "importlib.metadata", "zoneinfo", "tomllib"}


def test_public_names_are_sorted_and_there() -> None:
    assert list(dicom2fhir.__all__) == sorted(dicom2fhir.__all__)
    assert all(getattr(dicom2fhir, name) is not None for name in dicom2fhir.__all__)


def test_an_unknown_public_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_of_the_kind"):
        dicom2fhir.nothing_of_the_kind  # noqa: B018
