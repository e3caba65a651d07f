"""The study index: headers in any order in, studies in order out; what is lost has a row."""

from __future__ import annotations

import hashlib
import json
import os
import random
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir import index as index_module
from dicom2fhir.dicom.record import Record
from dicom2fhir.dicom.records import PIXELS_CUT
from dicom2fhir.dicom.runs import pack
from dicom2fhir.errors import EnvironmentFailed
from dicom2fhir.index import StudyIndex
from dicom2fhir.problems import Code, Problem

CT = "1.2.840.10008.5.1.4.1.1.2"


class Feed:
    """Gives records to an index as a reader does: each context once, unless told otherwise."""

    def __init__(self, index: StudyIndex) -> None:
        self._index = index
        self._given: set[bytes] = set()

    def __call__(
        self, study: str, series: str, uid: str, path: str = "", *, again: bool = False, own: Any = None, **context: str
    ) -> None:
        values = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPClassUID": CT, **context}
        body = json.dumps(values, sort_keys=True)
        digest = hashlib.blake2b(body.encode(), digest_size=16).digest()
        given = digest in self._given and not again
        self._given.add(digest)
        add(self._index, digest, None if given else body, uid, own or {}, path or f"/{uid}")


def add(index: StudyIndex, digest: bytes, body: str | None, uid: str, own: dict[str, Any], path: str) -> None:
    """One record, as a run of its own."""
    record: Record = ("header", digest, body, tuple(sorted(own)), uid, tuple(own[key] for key in sorted(own)))
    for _, (_, digest, body, _, uids, rest) in pack([path], [record]):
        index.add(digest, body, uids, rest)


@pytest.fixture
def index() -> Iterator[StudyIndex]:
    with StudyIndex() as index:
        yield index


@pytest.fixture
def feed(index: StudyIndex) -> Feed:
    return Feed(index)


def listed(index: StudyIndex) -> list[tuple[str, str, str]]:
    """Every instance in the order in which it comes."""
    return [(study.uid, one.context.series, one.uid) for study in index.studies() for one in study.instances]


def rows(index: StudyIndex) -> list[tuple[str, str, str]]:
    return [(problem.code.value, problem.where, problem.path) for problem in index.problems()]


# Order


def test_interleaved_studies_come_out_one_by_one_in_order(index: StudyIndex, feed: Feed) -> None:
    wanted = [(f"1.{a}", f"1.{a}.{b}", f"1.{a}.{b}.{c}") for a in (10, 2, 9) for b in (3, 1) for c in (2, 11)]
    for row in random.Random(5).sample(wanted, len(wanted)):
        feed(*row)
    index.settle()
    assert listed(index) == sorted(wanted)
    assert list(index.study_uids()) == ["1.10", "1.2", "1.9"]
    assert index.study_count() == 3
    assert [index.distinct_instances(uid) for uid in index.study_uids()] == [4, 4, 4]
    assert index.distinct_instances("1.3") == 0


def test_what_a_record_says_comes_back_whole(index: StudyIndex, feed: Feed) -> None:
    feed(
        "1.1",
        "1.1.1",
        "1.1.1.1",
        PatientName="Müller^Jörg=山田^太郎",
        own={"InstanceNumber": "3", "": [["date-invalid", "X"]]},
    )
    index.settle()
    (study,) = index.studies()
    (one,) = study.instances
    assert one.context.values == {"PatientName": "Müller^Jörg=山田^太郎"}
    assert (one.context.sop_class, one.values, one.notes) == (CT, {"InstanceNumber": "3"}, (("date-invalid", "X"),))


def test_instances_share_a_context_and_a_series_may_have_several(index: StudyIndex, feed: Feed) -> None:
    for number in range(6):
        feed("1.1", "1.1.1", f"1.1.1.{number}", StudyDescription="ab"[number % 2])
    index.settle()
    (study,) = index.studies()
    contexts = [one.context for one in study.instances]
    assert len({id(context) for context in contexts}) == 2
    assert [context.values["StudyDescription"] for context in contexts] == list("ababab")


def test_a_context_may_be_given_again_and_is_kept_once(index: StudyIndex, feed: Feed) -> None:
    for number in range(4):
        feed("1.1", "1.1.1", f"1.1.1.{number}", again=number % 2 == 0)
    index.settle()
    assert len(listed(index)) == 4
    assert index._db.execute("SELECT count(*) FROM contexts").fetchone() == (1,)


def test_a_context_that_fell_out_of_memory_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index_module, "_CONTEXTS_KEPT", 2)
    with StudyIndex() as index:
        feed = Feed(index)
        for number in range(50):
            feed("1.1", f"1.1.{number % 5}", f"1.1.{number % 5}.{number}")
        index.settle()
        assert len(listed(index)) == 50
        assert len(index._ids) <= 2


def test_a_record_without_any_context_is_a_bug(index: StudyIndex) -> None:
    with pytest.raises(LookupError):
        add(index, b"?" * 16, None, "1.2", {}, "/x")


# Duplicates

COPIES = [
    {"path": "/b/1", "own": {"InstanceNumber": "1"}},
    {"path": "/a/2", "own": {"InstanceNumber": "1"}},
    {"path": "/c/3", "own": {"InstanceNumber": "2"}},
    {"path": "/d/4", "own": {"InstanceNumber": "2"}},
    {"path": "/e/5", "own": {"InstanceNumber": "1"}, "StudyDescription": "other"},
]


def with_copies(copies: list[Any]) -> tuple[Any, list[tuple[str, str, str]]]:
    with StudyIndex() as index:
        feed = Feed(index)
        feed("1.1", "1.1.1", "1.1.1.1")
        for copy in copies:
            feed("1.1", "1.1.1", "1.1.1.2", **copy)
        index.settle()
        (study,) = index.studies()
        assert [one.uid for one in study.instances] == ["1.1.1.1", "1.1.1.2"]
        kept = study.instances[1]
        return (kept.values, kept.context.values), rows(index)


def test_which_duplicate_stays_never_depends_on_order_or_paths() -> None:
    results = [with_copies(list(copies)) for copies in permutations(COPIES)]
    assert all(result == results[0] for result in results)
    renamed = [{**copy, "path": f"/{5 - number}"} for number, copy in enumerate(COPIES)]
    assert with_copies(renamed)[0] == results[0][0]


def test_every_duplicate_has_a_row_that_says_how_it_differs() -> None:
    kept, found = with_copies(COPIES)
    same = [copy for copy in COPIES if (copy["own"], "StudyDescription" in copy) == (kept[0], bool(kept[1]))]
    codes = [code for code, _, _ in found]
    assert codes.count("duplicate-identical") == len(same) - 1
    assert codes.count("duplicate-conflicting") == len(COPIES) - len(same)
    assert {where for _, where, _ in found} == {"1.1/1.1.1/1.1.1.2"}
    assert len({path for _, _, path in found}) == len(COPIES) - 1


def test_records_that_differ_only_in_a_note_are_identical_and_one_of_them_stays(index: StudyIndex) -> None:
    """A copy that is cut inside its pixels: which one stays does not depend on the paths."""
    body = json.dumps({"StudyInstanceUID": "1", "SeriesInstanceUID": "2", "SOPClassUID": CT})
    whole: dict[str, Any] = {}
    for uid, paths in (("1.1", ("/a", "/b")), ("1.2", ("/b", "/a"))):
        for own, path in zip((whole, {"": [PIXELS_CUT]}), paths, strict=True):
            add(index, b"c" * 16, body, uid, own, path)
    index.settle()
    (study,) = index.studies()
    assert len({one.notes for one in study.instances}) == 1
    assert [code for code, _, _ in rows(index)] == ["duplicate-identical"] * 2


def test_one_instance_in_two_series_and_studies_stays_in_each(index: StudyIndex, feed: Feed) -> None:
    for study, series in (("1.1", "1.1.1"), ("1.1", "1.1.2"), ("1.2", "1.1.1")):
        feed(study, series, "1.9")
        feed(study, series, "1.9", "/copy")
        feed(study, series, f"{series}.1{study}")
    index.settle()
    places = ["1.1/1.1.1/1.9", "1.1/1.1.2/1.9", "1.2/1.1.1/1.9"]
    assert [where for code, where, _ in rows(index) if code == "instance-in-two-series"] == places
    assert [code for code, _, _ in rows(index)].count("duplicate-identical") == 3
    assert len(listed(index)) == 6


def test_a_series_uid_in_two_studies_is_two_series(index: StudyIndex, feed: Feed) -> None:
    feed("1.1", "1.5", "1.5.1")
    feed("1.2", "1.5", "1.5.2")
    index.settle()
    assert listed(index) == [("1.1", "1.5", "1.5.1"), ("1.2", "1.5", "1.5.2")]
    assert rows(index) == []


@given(st.lists(st.tuples(*[st.integers(0, 2)] * 4), max_size=40), st.randoms())
def test_counts_hold_for_any_records(records: list[tuple[int, ...]], chance: random.Random) -> None:
    def run(order: list[tuple[int, ...]]) -> tuple[Any, ...]:
        with StudyIndex() as index:
            feed = Feed(index)
            for study, series, uid, own in order:
                feed(f"1.{study}", f"2.{series}", f"3.{uid}", own={"N": str(own)})
            index.settle()
            counts = index.problem_counts()
            lost = counts.get(Code.DUPLICATE_IDENTICAL, 0) + counts.get(Code.DUPLICATE_CONFLICTING, 0)
            emitted = sum(len(study.instances) for study in index.studies())
            assert emitted + lost == len(order)
            assert emitted == sum(map(index.distinct_instances, index.study_uids()))
            assert emitted == len({record[:3] for record in order})
            said = [[(one.uid, one.values) for one in study.instances] for study in index.studies()]
            return said, [(code, where) for code, where, _ in rows(index)]

    shuffled = list(records)
    chance.shuffle(shuffled)
    assert run(records) == run(shuffled)


# Problems


def test_notes_of_one_place_are_one_row_and_losses_have_one_each(index: StudyIndex) -> None:
    for _ in range(3):
        index.note(Problem(Code.DATE_INVALID, "1.2/1.3", count=2))
        index.note(Problem(Code.TRUNCATED_HEADER, "", "/same"))
    index.note(Problem(Code.DATE_INVALID, "1.2"))
    assert [(problem.code.value, problem.where, problem.count) for problem in index.problems()] == [
        ("date-invalid", "1.2", 1),
        ("date-invalid", "1.2/1.3", 6),
        *[("truncated-header", "", 1)] * 3,
    ]
    assert index.problem_counts() == {Code.DATE_INVALID: 2, Code.TRUNCATED_HEADER: 3}


def test_problems_come_in_an_order_of_their_own(index: StudyIndex) -> None:
    problems = [
        Problem(code, where, path, "m") for code in (Code.NOT_DICOM, Code.BAD_UID) for where in "ba" for path in "ba"
    ]
    for problem in random.Random(3).sample(problems, len(problems)):
        index.note(problem)
    assert list(index.problems()) == sorted(problems, key=lambda p: (p.code.value, p.where, p.path))


def test_names_that_are_no_text_come_back_as_they_were(index: StudyIndex, feed: Feed) -> None:
    odd = [os.fsdecode(b"/a\xff\xfe/b"), "/new\nline", "/Grüße", "/quote'\"; --"]
    for path in odd:
        index.note(Problem(Code.NOT_DICOM, "", path))
        feed("1.1", "1.1.1", "1.1.1.1", path)
    index.settle()
    assert {problem.path for problem in index.problems() if problem.code is Code.NOT_DICOM} == set(odd)
    duplicates = {problem.path for problem in index.problems() if problem.code is Code.DUPLICATE_IDENTICAL}
    assert len(duplicates) == 3
    assert duplicates < set(odd)


def test_withholding_gives_each_instance_a_row(index: StudyIndex, feed: Feed) -> None:
    for study in ("1.1", "1.2"):
        for number in (1, 2):
            feed(study, f"{study}.5", f"{study}.5.{number}", f"/{study}/{number}")
            feed(study, f"{study}.5", f"{study}.5.{number}", f"/{study}/{number} copy")
    index.settle()
    assert index.withhold("1.1", Code.PATIENT_CONFLICT) == 2
    assert index.withhold("1.2", Code.UID_NOT_AN_OID, ["1.2.5.2", "1.2.5.7"]) == 1
    assert index.withhold("1.2", Code.UID_NOT_AN_OID, ["1.2.5.1"], series="1.2.6") == 0
    withheld = [row for row in rows(index) if not row[0].startswith("duplicate")]
    assert withheld == [
        ("patient-conflict", "1.1/1.1.5/1.1.5.1", "/1.1/1"),
        ("patient-conflict", "1.1/1.1.5/1.1.5.2", "/1.1/2"),
        ("uid-not-an-oid", "1.2/1.2.5/1.2.5.2", "/1.2/2"),
    ]


def test_one_uid_in_two_series_is_withheld_in_the_one_that_is_named(index: StudyIndex, feed: Feed) -> None:
    for series in ("1.1.5", "1.1.6"):
        for number in (1, 2):
            feed("1.1", series, f"1.1.9.{number}", f"/{series}/{number}")
    index.settle()
    assert index.withhold("1.1", Code.UID_NOT_AN_OID, ["1.1.9.1"], series="1.1.6") == 1
    assert index.withhold("1.1", Code.INVALID_RESOURCE, series="1.1.5") == 2
    withheld = [row for row in rows(index) if row[2]]
    assert withheld == [
        ("invalid-resource", "1.1/1.1.5/1.1.9.1", "/1.1.5/1"),
        ("invalid-resource", "1.1/1.1.5/1.1.9.2", "/1.1.5/2"),
        ("uid-not-an-oid", "1.1/1.1.6/1.1.9.1", "/1.1.6/1"),
    ]


def test_studies_and_problems_can_be_read_while_problems_are_written(index: StudyIndex, feed: Feed) -> None:
    for number in range(5000):
        feed(f"1.{number}", f"1.{number}.1", f"1.{number}.1.1")
    index.settle()
    for study in index.studies():
        index.note(Problem(Code.NO_TIME_ZONE, study.uid))
        index.first_seen(study.uid, b"x")
    assert sum(1 for _ in index.problems()) == 5000


def test_resources_met_before(index: StudyIndex) -> None:
    assert [index.first_seen("a", b"1"), index.first_seen("a", b"1"), index.first_seen("a", b"2")] == [
        "new",
        "same",
        "differs",
    ]
    assert index.first_seen("b", b"2") == "new"
    assert index.first_seen("a", b"1") == "same"


# The temporary file


def held() -> list[tuple[str, os.stat_result]]:
    """The index files that this process has open."""
    found = []
    for fd in os.listdir("/proc/self/fd"):
        try:
            target, status = os.readlink(f"/proc/self/fd/{fd}"), os.stat(f"/proc/self/fd/{fd}")
        except OSError:
            continue
        if "dicom2fhir-" in target:
            found.append((target, status))
    return found


@pytest.fixture
def scratch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_the_file_is_private_and_has_no_name(scratch: Path) -> None:
    with StudyIndex() as index:
        Feed(index)("1", "1.1", "1.1.1")
        index.settle()
        ((target, status),) = held()
        assert target.startswith(str(scratch))
        assert stat.S_IMODE(status.st_mode) == 0o600
        assert status.st_nlink == 0
        assert list(scratch.iterdir()) == []
    assert held() == []


def test_it_is_gone_after_an_exception_too(scratch: Path) -> None:
    with pytest.raises(KeyboardInterrupt), StudyIndex():
        raise KeyboardInterrupt
    assert held() == []
    assert list(scratch.iterdir()) == []


def test_no_place_for_it_is_the_environment_s_fault(scratch: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(scratch / "missing"))
    with pytest.raises(EnvironmentFailed):
        StudyIndex()


def fill(index: StudyIndex, count: int) -> None:
    feed = Feed(index)
    for number in range(count):
        feed("1", "1.1", f"1.1.{number}")


def test_a_full_disk_is_the_environment_s_fault(index: StudyIndex) -> None:
    index._db.execute("PRAGMA max_page_count = 40")
    with pytest.raises(EnvironmentFailed), index:
        fill(index, 20_000)
    assert held() == []


def test_a_wrong_statement_is_not(index: StudyIndex) -> None:
    with pytest.raises(sqlite3.OperationalError), index:
        index._db.execute("SELECT nothing")


# Memory

SCRIPT = """
import hashlib, json, sys
from dicom2fhir import index as module
from dicom2fhir.dicom.runs import pack
from dicom2fhir.index import StudyIndex
from dicom2fhir.problems import Code
module._SCHEMA = module._SCHEMA.replace("-16384", "-1024")
kind, count = sys.argv[1], int(sys.argv[2])
def peak():
    lines = open("/proc/self/status").read().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])
before = peak()
with StudyIndex() as index:
    given = set()
    for number in range(count):
        series = number % 300
        uids = {"StudyInstanceUID": f"1.{series // 3}", "SeriesInstanceUID": f"1.{series}", "SOPClassUID": "1"}
        body = json.dumps(uids)
        digest = hashlib.blake2b(body.encode(), digest_size=16).digest()
        uid = {"plain": number, "duplicate": series, "shared": number % (count // 2)}[kind]
        path = f"/archive/of/some/depth/{number}"
        record = ("header", digest, None if series in given else body, (), f"1.2.840.{uid}", ())
        ((_, run),) = pack([path], [record])
        index.add(run[1], run[2], *run[4:])
        given.add(series)
    index.settle()
    for study in index.studies():
        index.withhold(study.uid, Code.PATIENT_CONFLICT)
    for problem in index.problems():
        pass
    print((peak() - before) // 1024)
"""


@pytest.mark.parametrize("kind", ["plain", "duplicate", "shared"])
def test_memory_does_not_grow_with_the_files(kind: str) -> None:
    """Neither with instances nor with problems: with 1 MiB of cache, 60,000 of them take a few MiB and no more."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, kind, "60000"], capture_output=True, check=True, text=True)
    assert int(done.stdout) < 10


# What key objects ask


def test_where_an_instance_lies(index: StudyIndex, feed: Feed) -> None:
    for study, series, uid in (("1.2", "1.2.1", "1.9"), ("1.1", "1.1.1", "1.9"), ("1.1", "1.1.2", "1.8")):
        feed(study, series, uid)
    index.settle()
    for records in index.studies():  # also while studies are being read
        assert index.places("1.9") == [("1.1", "1.1.1"), ("1.2", "1.2.1")]
        assert index.study(records.uid) == records
    assert index.places("1.7") == []
    assert index.study("1.7").instances == ()
