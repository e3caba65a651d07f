"""pydicom is loaded for the files that need it, and its weight is not theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from builders import DEFLATED, EXPLICIT, IMPLICIT, code, dataset, encode, put, write

LOADED = """
import resource, sys
from dicom2fhir.dicom import header
from dicom2fhir.dicom.records import Scope
header.quiet()
print(header.read_file(sys.argv[1], Scope(), *sys.argv[2:])[:2], "pydicom" in sys.modules)
"""
LIMITED = """
import resource, sys
from dicom2fhir.dicom import library
from dicom2fhir.dicom.library import _address_space
limit = _address_space() + (4 << 20)
resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
library.load()
soft, hard = resource.getrlimit(resource.RLIMIT_AS)
print(soft > limit, soft - _address_space() <= 4 << 20, hard == resource.RLIM_INFINITY)
"""


def run(program: str, *arguments: object) -> str:
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.scanner("holds that pydicom is not loaded")
@pytest.mark.parametrize("undefined", [True, False])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, DEFLATED])
def test_an_ordinary_file_is_read_without_pydicom(syntax: str, undefined: bool, tmp_path: Path) -> None:
    ds = dataset(ProcedureCodeSequence=[code("1", "99X", "One")], SpecificCharacterSet="ISO_IR 100")
    path = write(tmp_path / "1", put(ds, 0x00091001, "SQ", [{}]), syntax, undefined=undefined)
    assert run(LOADED, path) == f"{_record(path)} False"


def _record(path: Path) -> tuple[object, ...]:
    from reading import read

    return read(path)[:2]


@pytest.mark.scanner("holds that pydicom is not loaded")
@pytest.mark.parametrize("content", [b"", b"no dicom", encode(dataset("dicomdir"))])
def test_what_is_no_instance_takes_no_pydicom(content: bytes, tmp_path: Path) -> None:
    assert run(LOADED, write(tmp_path / "1", content)).endswith(" False")


@pytest.mark.scanner("holds when pydicom is loaded")
def test_what_is_unusual_takes_pydicom(tmp_path: Path) -> None:
    content = encode(dataset())
    at = content.index(b"\x10\0\x10\0PN")
    unordered = write(tmp_path / "1", content[:at] + b"\x08\0\x10\0LO\2\0ab" + content[at:])
    assert run(LOADED, unordered) == f"{_record(unordered)} True"
    assert run(LOADED, write(tmp_path / "2", content), "pydicom").endswith(" True")


def test_the_memory_limit_grows_by_what_pydicom_takes() -> None:
    assert run(LIMITED) == "True True True"
