"""What the server refused: files that are whole, private, and can be sent again."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dicom2fhir.errors import EnvironmentFailed
from dicom2fhir.problems import Code
from dicom2fhir.server.deadletters import DeadLetters, letters
from dicom2fhir.server.journal import Journal

OUTCOME = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "diagnostics": "Schädel 山田"}]}


@pytest.fixture
def folder(tmp_path: Path) -> DeadLetters:
    made = DeadLetters(str(tmp_path / "refused"))
    made.open()
    return made


def files(tmp_path: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (tmp_path / "refused").iterdir()}


def test_a_letter_is_the_bundle_and_the_answer(folder: DeadLetters, tmp_path: Path) -> None:
    for body in (b"{}", b'{"later":1}'):
        folder.write("a1", body, Code.SERVER_REFUSED, 422, OUTCOME)
        found = files(tmp_path)
        assert set(found) == {"a1.json", "a1.outcome.json"}
        assert found["a1.json"] == body + b"\n"
        assert json.loads(found["a1.outcome.json"]) == {"code": "server-refused", "status": 422, "outcome": OUTCOME}
        assert "Schädel 山田".encode() in found["a1.outcome.json"]
    assert list(folder.names()) == ["a1"]
    folder.remove("a1")
    folder.remove("a1")
    assert files(tmp_path) == {}


def test_letters_are_listed_without_the_answers(folder: DeadLetters, tmp_path: Path) -> None:
    for name in ("b", "a"):
        folder.write(name, b"{}", Code.AMBIGUOUS_MATCH, None, None)
    (tmp_path / "refused" / "._c.json").touch()
    (tmp_path / "refused" / "notes.txt").touch()
    assert letters(str(tmp_path / "refused")) == [str(tmp_path / "refused" / f"{name}.json") for name in "ab"]
    with pytest.raises(EnvironmentFailed) as failed:
        letters(str(tmp_path / "nowhere"))
    assert "nowhere" not in str(failed.value)


def test_dots_in_a_name_hide_nothing_and_meet_nothing(folder: DeadLetters, tmp_path: Path) -> None:
    odd = {"x", "x.outcome", ".", "..", ".x.json.part", "." * 64}
    for name in odd:
        folder.write(name, name.encode(), Code.SERVER_REFUSED, None, None)
    assert set(folder.names()) == odd
    assert len(letters(str(tmp_path / "refused"))) == len(odd)
    assert files(tmp_path)["x.json"] == b"x\n"
    folder.open()
    assert set(folder.names()) == odd


deep: Any = []
for _ in range(100_000):
    deep = [deep]


@pytest.mark.parametrize(
    ("outcome", "kept"),
    [
        (None, None),
        ({"text": "\ud800"}, {"text": "\ud800"}),
        ({"\udc00": 'a"\\'}, {"\udc00": 'a"\\'}),
        ({"large": 10**40}, {"large": 10**40}),
        ({"score": float("nan")}, None),
        ({"score": float("inf")}, None),
        pytest.param({"nested": deep}, None, id="nested"),
    ],
)
def test_whatever_a_server_says_the_answer_is_json(
    folder: DeadLetters, tmp_path: Path, outcome: Any, kept: Any
) -> None:
    folder.write("a", b"{}", Code.SERVER_REFUSED, 400, outcome)
    data = files(tmp_path)["a.outcome.json"]
    assert json.loads(data.decode()) == {"code": "server-refused", "status": 400, "outcome": kept}


@pytest.mark.parametrize("mask", [0, 0o777])
def test_letters_are_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    before = os.umask(mask)
    try:
        folder = DeadLetters(str(tmp_path / "refused"))
        folder.open()
        folder.write("a", b"{}", Code.SERVER_REFUSED, None, None)
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "refused").stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "refused").iterdir()} == {0o600}


def test_a_failing_disk_leaves_the_earlier_letter(
    folder: DeadLetters, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.write("a", b"{}", Code.SERVER_REFUSED, 400, OUTCOME)
    before = files(tmp_path)

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(EnvironmentFailed, match="No space left"):
        folder.write("a", b"{1}", Code.SERVER_REFUSED, 422, OUTCOME)
    assert files(tmp_path) == before


def test_what_a_killed_run_left_half_written_goes(folder: DeadLetters, tmp_path: Path) -> None:
    (tmp_path / "refused" / ".a.json.part").write_bytes(b"half")
    (tmp_path / "refused" / "kept.json").touch()
    folder.open()
    assert set(files(tmp_path)) == {"kept.json"}


# in a journal


@contextmanager
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(str(tmp_path), "http://server", "r4")
    made.open()
    try:
        yield made
    finally:
        made.close()


def refuse(tmp_path: Path, *ids: str, digest: bytes = b"1") -> None:
    with journal(tmp_path) as made:
        for id in ids:
            made.put(id, "1.2", digest, b"{%s}" % digest)
            made.refused(id, Code.SERVER_REFUSED, 422, OUTCOME)


def test_a_refused_parcel_has_its_letter_until_it_is_accepted(tmp_path: Path) -> None:
    refuse(tmp_path, "a", "b")
    assert files(tmp_path)["a.json"] == b"{1}\n"
    assert json.loads(files(tmp_path)["a.outcome.json"])["outcome"] == OUTCOME
    with journal(tmp_path) as made:
        assert made.put("a", "1.2", b"1", b"{1}") == "refused"
        assert made.body("a") == b"{1}"
        made.sending("a")
        assert "a.json" in files(tmp_path)
        made.accepted("a")
        assert set(files(tmp_path)) == {"b.json", "b.outcome.json"}


def test_a_changed_parcel_has_no_letter_any_more(tmp_path: Path) -> None:
    refuse(tmp_path, "a")
    with journal(tmp_path) as made:
        assert made.put("a", "1.2", b"2", b"{2}") == "pending"
        assert files(tmp_path) == {}
    refuse(tmp_path, "a", digest=b"3")
    assert files(tmp_path)["a.json"] == b"{3}\n"


def test_the_letter_comes_before_the_row(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*values: object) -> None:
        raise EnvironmentFailed("full")

    with journal(tmp_path) as made:
        made.put("a", "1.2", b"1", b"{1}")
        with monkeypatch.context() as patched:
            patched.setattr(DeadLetters, "write", fail)
            with pytest.raises(EnvironmentFailed):
                made.refused("a", Code.SERVER_REFUSED)
        assert made.counts()["pending"] == 1  # type: ignore[index]


def test_the_letter_of_what_was_accepted_goes_at_the_next_opening(tmp_path: Path) -> None:
    refuse(tmp_path, "a", "b")
    left = files(tmp_path)
    with journal(tmp_path) as made:
        made.put("a", "1.2", b"1", b"{1}")
        made.accepted("a")
    for name, data in left.items():
        (tmp_path / "refused" / name).write_bytes(data)
    (tmp_path / "refused" / "strange.json").touch()
    with journal(tmp_path):
        assert set(files(tmp_path)) == {"b.json", "b.outcome.json", "strange.json"}
