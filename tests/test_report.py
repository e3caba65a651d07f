"""The accounting: its identities, its exit code, its file, its last words."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dicom2fhir.errors import Exit, OutputExists, UsageError
from dicom2fhir.problems import MEANINGS, Bucket, Code, Problem
from dicom2fhir.report import (
    Files,
    Instances,
    Report,
    SeriesCount,
    Studies,
    check_report_path,
    summary_lines,
    write_report,
)

ROWS = {
    Code.NOT_DICOM: 1,
    Code.DEADLINE: 1,
    Code.BAD_UID: 1,
    Code.PERMISSION: 1,
    Code.SYMLINK: 2,
    Code.DICOMDIR: 1,
    Code.DUPLICATE_IDENTICAL: 2,
    Code.DUPLICATE_CONFLICTING: 1,
    Code.PATIENT_CONFLICT: 2,
    Code.NO_TIME_ZONE: 2,
}


def full(**changes: Any) -> Report:
    """A report in which every bucket has something and every identity holds."""
    values: dict[str, Any] = {
        "files": Files(seen=16, dicom=10, not_dicom=1, rejected=2, unreadable=1, excluded=2),
        "instances": Instances(10, 4, duplicate_identical=2, duplicate_conflicting=1, out_of_scope=1, withheld=2),
        "series": SeriesCount(3),
        "studies": Studies(found=3, emitted=2, withheld=1),
        "numbered": 4,
        "distinct": 4,
        "problem_counts": ROWS,
        "seconds": 1.23456,
    }
    return Report("1.0", "r4", **values | changes)


def good(**changes: Any) -> Report:
    """A report of a run that lost nothing."""
    values: dict[str, Any] = {
        "files": Files(seen=1, dicom=1),
        "instances": Instances(1, 1),
        "series": SeriesCount(1),
        "studies": Studies(1, 1),
        "numbered": 1,
        "distinct": 1,
    }
    return Report("1.0", "r4", **values | changes)


def test_the_identities_hold() -> None:
    assert full().identities() == []
    assert good().identities() == []
    assert Report("1.0", "r4").identities() == []


def _break(part: str, name: str) -> Callable[[Report], None]:
    def change(report: Report) -> None:
        target = getattr(report, part) if part else report
        setattr(target, name, getattr(target, name) + 1)

    return change


@pytest.mark.parametrize(
    ("part", "name"),
    [("files", n) for n in Files.__slots__ if n != "containers"]
    + [("instances", n) for n in Instances.__slots__]
    + [("studies", n) for n in Studies.__slots__]
    + [("", "numbered"), ("", "distinct")],
)
def test_every_count_is_held_by_an_identity(part: str, name: str) -> None:
    report = full()
    _break(part, name)(report)
    assert report.identities()
    assert report.exit_code is Exit.BUG


@pytest.mark.parametrize("code", [code for code in ROWS if MEANINGS[code].bucket is not Bucket.NOTE])
def test_what_was_not_emitted_has_a_row(code: Code) -> None:
    report = full(problem_counts={**ROWS, code: ROWS[code] - 1})
    assert len(report.identities()) == 1


@pytest.mark.parametrize(
    ("report", "expected"),
    [
        (good(), Exit.OK),
        (full(), Exit.INPUT_LOST),
        (Report("1.0", "r4"), Exit.NOTHING_FOUND),
        (Report("1.0", "r4", Files(1, 0, not_dicom=1), problem_counts={Code.NOT_DICOM: 1}), Exit.NOTHING_FOUND),
        (Report("1.0", "r4", Files(1, 0, rejected=1), problem_counts={Code.BAD_UID: 1}), Exit.INPUT_LOST),
        (Report("1.0", "r4", Files(1, 0, unreadable=1), problem_counts={Code.IO_ERROR: 1}), Exit.INPUT_LOST),
        (good(problem_counts={Code.PATIENT_FORCED: 1}), Exit.INPUT_LOST),
        (good(problem_counts={Code.VALUE_INVALID: 9, Code.PATIENT_WITHOUT_SYSTEM: 1}), Exit.OK),
        (
            good(files=Files(3, 1, not_dicom=1, excluded=1), problem_counts={Code.NOT_DICOM: 1, Code.SYMLINK: 1}),
            Exit.OK,
        ),
        (full(causes=(Exit.REFUSED,)), Exit.REFUSED),
        (full(causes=(Exit.REFUSED, Exit.ENVIRONMENT)), Exit.ENVIRONMENT),
        (full(causes=(Exit.ENVIRONMENT,), numbered=5), Exit.BUG),
    ],
)
def test_exit_codes(report: Report, expected: Exit) -> None:
    assert report.exit_code is expected


def test_the_file(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path_bytes = os.fsdecode(b"scan\xff\n\xc3\xa4.dcm")
    problems = [Problem(Code.BAD_UID, "1.2/3", path_bytes, "why", 1), Problem(Code.DATE_INVALID, "1.2/x", count=7)]
    write_report(str(path), full().to_json(), iter(problems))
    assert json.loads(path.read_bytes()) == {
        "version": "1.0",
        "to": "r4",
        "files": {
            "seen": 16, "dicom": 10, "not_dicom": 1, "rejected": 2, "unreadable": 1, "excluded": 2, "containers": 0,
        },
        "instances": {
            "dicom": 10, "emitted": 4, "duplicate_identical": 2, "duplicate_conflicting": 1, "out_of_scope": 1,
            "withheld": 2,
        },
        "series": {"emitted": 3},
        "studies": {"found": 3, "emitted": 2, "withheld": 1},
        "problems": [
            {
                "severity": "error", "code": "bad-uid", "where": "1.2/3", "path": "scan\\xff\nä.dcm", "message": "why",
                "count": 1,
            },
            {"severity": "warning", "code": "date-invalid", "where": "1.2/x", "path": "", "message": "", "count": 7},
        ],
        "seconds": 1.235,
        "exit_code": 3,
    }  # fmt: skip
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["report.json"]


def test_a_report_without_problems_is_json_too(tmp_path: Path) -> None:
    write_report(str(tmp_path / "r"), good().to_json(), [])
    assert json.loads((tmp_path / "r").read_bytes())["problems"] == []


def test_a_report_is_written_whole_or_not(tmp_path: Path) -> None:
    def failing() -> Any:
        yield Problem(Code.NOT_DICOM)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_report(str(tmp_path / "r"), good().to_json(), failing())
    assert os.listdir(tmp_path) == []
    with pytest.raises(UsageError):
        write_report(str(tmp_path / "none" / "r"), good().to_json(), [])


def test_only_a_report_is_written_over(tmp_path: Path) -> None:
    path = tmp_path / "r"
    check_report_path(str(path))
    write_report(str(path), good().to_json(), [])
    check_report_path(str(path))
    path.write_text('{"resourceType":"Bundle"}')
    with pytest.raises(OutputExists):
        check_report_path(str(path))
    check_report_path(str(path), overwrite=True)
    path.write_bytes(b"")
    check_report_path(str(path))


def test_a_lossless_run_says_one_line() -> None:
    assert summary_lines(good(seconds=2.0)) == ["1 study, 1 series, 1 instance written; 1 file seen in 2.0 s."]


def test_a_dry_run_says_so() -> None:
    assert "would be written (dry run)" in summary_lines(good(), dry_run=True)[0]


def test_the_summary_names_what_was_lost_and_what_helps() -> None:
    lines = summary_lines(full(problem_counts={**ROWS, Code.PATIENT_WITHOUT_SYSTEM: 2}))
    for expected in (
        "2 studies, 3 series, 4 instances written; 16 files seen in 1.2 s.",
        "1 file not DICOM: not-dicom 1.",
        "2 files rejected: bad-uid 1, deadline 1.",
        "1 file or folder not readable: permission 1.",
        "2 files or folders left out: symlink 2.",
        "1 instance out of scope: dicomdir 1.",
        "3 instances duplicates: duplicate-identical 2, duplicate-conflicting 1.",
        "2 instances withheld, of 1 study (3 were found): patient-conflict 2.",
        "2 of 3 studies have no time zone; `--timezone Europe/Berlin` keeps their times.",
    ):
        assert expected in lines
    for option in ("--force-patient", "--deadline", "--follow-symlinks", "--system patient=URI (or [issuers]"):
        assert any(option in line for line in lines)


@pytest.mark.parametrize("code", [code for code, meaning in MEANINGS.items() if meaning.bucket is Bucket.NOTE])
def test_every_note_is_named(code: Code) -> None:
    assert any(f"{code} 5" in line for line in summary_lines(good(problem_counts={code: 5})))


def test_a_broken_identity_is_told() -> None:
    assert any("does not hold" in line for line in summary_lines(full(numbered=9)))


def test_a_report_to_a_device_leaves_the_device() -> None:
    check_report_path("/dev/null")
    write_report("/dev/null", good().to_json(), [])
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)
