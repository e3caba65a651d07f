"""Write the test data: `python testdata/make.py` makes clean/, faults/ and README.md beside this file again.

`python testdata/make.py FOLDER` writes them into another folder. The same code writes the same bytes.
"""

from __future__ import annotations

import inspect
import shutil
import sys
from pathlib import Path

import cases_faults
import cases_files
import cases_keyobjects
import cases_patient
import cases_series
import cases_study
from dicomdata import Maker, built, case_name, case_number

GROUPS: dict[str, tuple[Maker, ...]] = {
    "clean": (
        *cases_files.CASES,
        *cases_patient.CASES,
        *cases_study.CASES,
        *cases_series.CASES,
        *cases_keyobjects.CASES,
    ),
    "faults": (*cases_faults.CASES, *cases_keyobjects.FAULTS),
}
"""Every case, by its folder."""

INTRODUCTIONS = {
    "clean": "`dicom2fhir convert testdata/clean` converts every instance of these: exit 0.",
    "faults": "Each of these has something that is wrong, contradictory or no object of a study.",
}

HEADER = """# Test data

Small DICOM objects, each case a folder named for what is special about it. Written by `make.py` from `cases_*.py`,
byte for byte the same every time; this page is made from the same functions. Every person, place and number is
invented, every UID lies under a made-up root (one is a made-up UUID), and the pixels are sixteen bytes that count up.
"""


def sentence(maker: Maker) -> str:
    """What is special about a case."""
    return inspect.cleandoc(maker.__doc__ or "").replace("\n", " ")


def check() -> None:
    """No two cases share a name or the number in their UIDs, and each has its sentence."""
    makers = [maker for group in GROUPS.values() for maker in group]
    names = [case_name(maker) for maker in makers]
    assert len({case_number(name) for name in names}) == len(names), "two cases share their UIDs"
    assert all(maker.__doc__ for maker in makers), "a case has no sentence"


def readme() -> str:
    """The page with one sentence for each case."""
    parts = [HEADER]
    for group, makers in GROUPS.items():
        rows = (f"| {case_name(maker)} | {sentence(maker)} |" for maker in sorted(makers, key=case_name))
        parts.append(
            "\n".join([f"\n## {group}", INTRODUCTIONS[group], "", "| case | what is special |", "|---|---|", *rows])
        )
    return "\n".join(parts) + "\n"


def write(folder: Path) -> None:
    """Write all cases and the README into a folder; what lay in its clean/ and faults/ goes."""
    for group, makers in GROUPS.items():
        shutil.rmtree(folder / group, ignore_errors=True)
        for maker in makers:
            for path, content in built(maker).items():
                target = folder / group / case_name(maker) / path
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(content)
    (folder / "README.md").write_text(readme(), encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
