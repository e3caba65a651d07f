"""What the file system refuses is named by its cause."""

from __future__ import annotations

import errno

import pytest

from dicom2fhir.problems import Bucket, Code
from dicom2fhir.sources.base import refusal


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (PermissionError(errno.EACCES, "x"), Code.PERMISSION),
        (PermissionError(errno.EPERM, "x"), Code.PERMISSION),
        (FileNotFoundError(errno.ENOENT, "x"), Code.VANISHED),
        (NotADirectoryError(errno.ENOTDIR, "x"), Code.VANISHED),
        (OSError(errno.ESTALE, "x"), Code.VANISHED),
        (OSError(errno.EIO, "x"), Code.IO_ERROR),
        (OSError(errno.ENAMETOOLONG, "x"), Code.IO_ERROR),
        (OSError("without a number"), Code.IO_ERROR),
        (ValueError("embedded null byte"), Code.VANISHED),
    ],
)
def test_every_refusal_is_unreadable_by_its_cause(error: OSError | ValueError, code: Code) -> None:
    problem = refusal(error, "a/path")
    assert (problem.code, problem.path, problem.message) == (code, "a/path", "")
    assert problem.bucket is Bucket.UNREADABLE
