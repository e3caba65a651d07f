"""Datasets, files and trees for tests, made with the building blocks of testdata/.

`bare(**keywords)` is a dataset of just these; `dataset(kind, study, series, number, **keywords)` is one of a whole
object. Values are keywords' text, numbers, bytes (written as they are) or lists; a sequence is a list of dicts; None
leaves out. `code(...)` and `issuer(...)` make sequence items; `encode(...)` and `write(...)` make files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dicomdata import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, KINDS, Case, code, encode, issuer, put
from dicomdata import dataset as bare
from pydicom.dataset import Dataset

__all__ = [
    "BIG_ENDIAN",
    "CLEAN",
    "DEFLATED",
    "EXPLICIT",
    "FAULTS",
    "IMPLICIT",
    "KINDS",
    "TESTDATA",
    "bare",
    "code",
    "dataset",
    "encode",
    "issuer",
    "put",
    "tree",
    "uid",
    "write",
]

TESTDATA = Path(__file__).parent.parent / "testdata"
CLEAN = TESTDATA / "clean"
FAULTS = TESTDATA / "faults"

uid = Case("tests").uid
"""`uid(study[, series[, number]])`: the UIDs that `dataset` gives."""

dataset = Case("tests")
"""`dataset(kind="ct", study=1, series=1, number=1, **keywords)`: an object with little more than it must have."""

_NUMBER = b"899998"
"""Stands for the instance's number in a series' file; a number and a UID component of six digits."""


def write(path: Path, ds: Dataset | bytes, syntax: str = EXPLICIT, *, preamble: bool = True, **how: Any) -> Path:
    """Write a dataset (or bytes) to a path, whose folders are made; `how` goes to `encode`. Returns the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(ds if isinstance(ds, bytes) else encode(ds, syntax, preamble=preamble, **how))
    return path


def tree(
    root: Path,
    patients: int = 1,
    studies: int = 1,
    series: int = 1,
    instances: int = 1,
    *,
    fillers: int = 0,
    pixels: int = 16,
) -> list[Path]:
    """A tree of so many patients, studies a patient, series a study and instances a series; returns the files' paths.

    `fillers` private elements of some 40 bytes make the headers longer, `pixels` is the length of the pixel data.
    Instances are numbered from 100001.
    """
    paths = []
    for folder, content in _series(patients, studies, series, fillers, pixels):
        for number in range(100_001, 100_001 + instances):
            replaced = content.replace(_NUMBER, str(number).encode())
            paths.append(write(root / folder / f"{number}.dcm", replaced))
    return paths


def _series(patients: int, studies: int, series: int, fillers: int, pixels: int) -> Iterator[tuple[Path, bytes]]:
    """The folder of each series, and the file of an instance with a stand-in for its number."""
    of_tree = Case("tree")
    for patient in range(1, patients + 1):
        for study in range(1, studies + 1):
            study_number = (patient - 1) * studies + study
            for number in range(1, series + 1):
                ds = of_tree("ct", study_number, number, int(_NUMBER), **_described(patient, study_number, number))
                put(ds, 0x7FE00010, "OW", bytes(pixels))
                _fill(ds, fillers)
                yield Path(f"{patient:05}") / f"{study:03}" / f"{number:03}", encode(ds)


def _described(patient: int, study: int, series: int) -> dict[str, Any]:
    return {
        "PatientName": f"Testperson^Number {patient}",
        "PatientID": f"TREE-{patient:05}",
        "PatientBirthDate": f"{1930 + patient % 70}0102",
        "PatientSex": "FM"[patient % 2],
        "AccessionNumber": f"ACC-{study:06}",
        "StudyDescription": f"Generated study {study}",
        "SeriesDescription": f"Generated series {series}",
        "BodyPartExamined": "CHEST",
        "Manufacturer": "Example Imaging",
        "ManufacturerModelName": "Scanner One",
        "InstitutionName": "Sample Hospital",
    }


def _fill(ds: Dataset, fillers: int) -> None:
    """Private elements of several groups, as scanners write them."""
    for filler in range(fillers):
        group, element = 0x0009 + 2 * (filler // 200), filler % 200
        put(ds, group << 16 | 0x0010, "LO", "D2F TESTDATA")
        put(ds, group << 16 | 0x1000 + element, "LO", f"A private value of some length {filler:05}")
