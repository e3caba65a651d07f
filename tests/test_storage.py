"""Whole files, and folders that are ours."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from pathlib import Path

import pytest

from dicom2fhir.errors import EnvironmentFailed, OutputLocked, UsageError
from dicom2fhir.storage import WholeFile, environment, hold, make_folders, sync_folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


@pytest.mark.parametrize("mask", [0, 0o777])
def test_folders_are_made_from_the_top_and_private(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        made = make_folders(str(tmp_path / "a" / "b"), "the output")
    finally:
        os.umask(before)
    assert made == [str(tmp_path / "a"), str(tmp_path / "a" / "b")]
    assert [mode(Path(folder)) for folder in made] == [0o700, 0o700]
    assert make_folders(str(tmp_path / "a" / "b"), "the output") == []


def test_folders_are_made_all_or_none(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        make_folders(str(tmp_path / "a" / "b" / ("c" * 300)), "the output")
    assert os.listdir(tmp_path) == []


def test_a_folder_that_another_run_makes_first_is_not_ours_to_undo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mkdir = os.mkdir

    def slower(path: str, mode: int) -> None:
        if path.endswith("a"):
            mkdir(path, 0o755)
        mkdir(path, mode)

    monkeypatch.setattr(os, "mkdir", slower)
    assert make_folders(str(tmp_path / "a" / "b"), "the output") == [str(tmp_path / "a" / "b")]
    assert mode(tmp_path / "a") == 0o755


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="the state cannot be made: a part of its path is a file"):
        make_folders(str(tmp_path / "file" / "below"), "the state")


def test_a_held_file_is_held_once(tmp_path: Path) -> None:
    path = tmp_path / "held"
    with hold(str(path), "the state") as file:
        file.write(b"one\n")
        open_files = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OutputLocked, match="another run holds the state"):
            hold(str(path), "the state")
        assert len(os.listdir("/proc/self/fd")) == open_files
    with hold(str(path), "the state") as file:
        file.write(b"two\n")
    assert path.read_bytes() == b"one\ntwo\n"


@pytest.mark.parametrize(("number", "goes_on"), [(errno.ENOLCK, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_file_system_without_locks_goes_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, goes_on: bool
) -> None:
    def fail(*values: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(fcntl, "flock", fail)
    if goes_on:
        hold(str(tmp_path / "held"), "the state").close()
    else:
        with pytest.raises(OSError, match="Input/output"):
            hold(str(tmp_path / "held"), "the state")


@pytest.mark.parametrize(("number", "goes_on"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)])
def test_a_file_system_that_cannot_sync_folders_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, goes_on: bool
) -> None:
    def fail(descriptor: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fail)
    if goes_on:
        sync_folder(str(tmp_path))
    else:
        with pytest.raises(OSError, match="Input/output"):
            sync_folder(str(tmp_path))


def test_a_failing_file_system_is_told_without_paths(tmp_path: Path) -> None:
    with pytest.raises(EnvironmentFailed) as failed, environment("reading the secret"):
        (tmp_path / "nowhere").read_bytes()
    assert str(failed.value) == "reading the secret failed: No such file or directory"
    with pytest.raises(BrokenPipeError), environment("writing"):
        raise BrokenPipeError


def test_a_whole_file_knows_itself_and_replaces_the_earlier_one(tmp_path: Path) -> None:
    path = tmp_path / "whole"
    path.write_text("earlier")
    file = WholeFile(str(path))
    assert file.write(b"ab") == 2
    file.write(b"c")
    assert path.read_text() == "earlier"
    assert (file.size, file.sha256) == (3, hashlib.sha256(b"abc").hexdigest())
    file.commit()
    file.discard()
    assert path.read_text() == "abc"
    assert mode(path) == 0o600
    assert os.listdir(tmp_path) == ["whole"]


def test_a_discarded_file_was_never_there(tmp_path: Path) -> None:
    file = WholeFile(str(tmp_path / "whole"))
    file.write(b"abc")
    file.discard()
    file.discard()
    assert os.listdir(tmp_path) == []
