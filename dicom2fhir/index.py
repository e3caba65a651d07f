"""StudyIndex: headers in any order go in, studies in order come out.

A temporary SQLite file holds each context once, the instances in the runs in which they came, and two numbers an
instance that show which of them came twice; so memory does not grow with the number of files. It also keeps the
problems, because a damaged archive has millions. The file has mode 0600 and loses its name as soon as it is open:
however the process ends, nothing of it stays.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby, repeat
from operator import attrgetter, itemgetter
from typing import Literal

from dicom2fhir.dicom.record import digest_of
from dicom2fhir.dicom.records import (
    InstanceRecord,
    StudyRecords,
    canonical,
    comparable,
    parse_context,
    parse_row,
)
from dicom2fhir.dicom.runs import Member, repack, said, unpack
from dicom2fhir.errors import EnvironmentFailed
from dicom2fhir.problems import Bucket, Code, Problem

_SCHEMA = """
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA cache_size = -16384;
CREATE TABLE series (id INTEGER PRIMARY KEY, study TEXT NOT NULL, uid TEXT NOT NULL, UNIQUE (study, uid));
CREATE TABLE contexts (id INTEGER PRIMARY KEY, series INTEGER NOT NULL, digest BLOB NOT NULL UNIQUE,
                       body TEXT NOT NULL);
CREATE TABLE runs (series INTEGER NOT NULL, context INTEGER NOT NULL, uids TEXT NOT NULL, rest BLOB NOT NULL);
CREATE TABLE marks (mark INTEGER NOT NULL, series INTEGER NOT NULL);
CREATE TABLE shared (uid TEXT NOT NULL, series INTEGER NOT NULL);
CREATE TABLE counts (series INTEGER PRIMARY KEY, instances INTEGER NOT NULL);
CREATE TABLE problems (code TEXT NOT NULL, place TEXT NOT NULL, path BLOB NOT NULL, message TEXT NOT NULL,
                       count INTEGER NOT NULL);
CREATE TABLE undelivered (code TEXT NOT NULL, place TEXT NOT NULL, path BLOB NOT NULL, message TEXT NOT NULL,
                          count INTEGER NOT NULL);
CREATE TABLE notes (code TEXT NOT NULL, place TEXT NOT NULL, path BLOB NOT NULL, message TEXT NOT NULL,
                    count INTEGER NOT NULL, PRIMARY KEY (code, place, path)) WITHOUT ROWID;
CREATE TABLE resources (id TEXT PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID;
"""
"""`marks` are hashes of SOP Instance UIDs, equal for equal ones; `shared` are the UIDs of marks that came twice.

`counts` says how many instances a series has, without those that came twice.
"""
_TWICE = """
    CREATE TABLE twice AS
    SELECT series, mark FROM marks WHERE mark IN (SELECT mark FROM marks GROUP BY mark HAVING count(*) > 1)
"""
_IN_TWO_SERIES = f"""
    INSERT INTO notes
    SELECT '{Code.INSTANCE_IN_TWO_SERIES}', s.study || '/' || s.uid || '/' || i.uid, x'', '', 1
    FROM shared i JOIN series s ON s.id = i.series
    WHERE i.uid IN (SELECT uid FROM shared GROUP BY uid HAVING count(*) > 1)
"""
_BATCH = 4096
_CONTEXTS_KEPT = 4096
_SERIES_KEPT = 16
_uid = attrgetter("uid")

_MACHINE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


_Copy = tuple[int, Member]
"""An instance, and the number of its context."""
_Runs = list[tuple[int, str, bytes]]
StudyRows = tuple[str, list[tuple[dict[int, str], _Runs]]]
"""A study as plain values: its UID, and of each series the contexts by number, and the runs that refer to them.

A run is the number of its context, the UIDs of its instances, the rest of them (see `dicom.runs.Run`).
"""


class StudyIndex:
    """Collects header records, finds duplicates, gives studies in order of their UIDs.

    A context manager; what the disk does to it inside (full, gone) leaves as EnvironmentFailed.
    """

    def __init__(self) -> None:
        try:
            self._db = _temporary_database()
        except (OSError, sqlite3.OperationalError):
            raise EnvironmentFailed("no temporary file can be made for the study index (TMPDIR says where)") from None
        self._runs: list[tuple[int, int, str, bytes]] = []
        self._marks: list[tuple[int, int]] = []
        self._ids: OrderedDict[bytes, tuple[int, int]] = OrderedDict()
        self._uids = lru_cache(maxsize=_SERIES_KEPT)(self._read_uids)

    def __enter__(self) -> StudyIndex:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in _MACHINE:
            raise EnvironmentFailed("the study index's temporary file failed (TMPDIR says where it lies)") from None

    def close(self) -> None:
        """Let go of the temporary file."""
        self._db.close()

    def add(self, digest: bytes, body: str | None, uids: str, rest: bytes) -> None:
        """Take a run of header records (see `dicom.runs.Run`)."""
        series, context = self._context(digest, body)
        self._runs.append((series, context, uids, rest))
        self._marks += zip(map(hash, uids.split("\n")), repeat(series))
        if len(self._marks) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._keep_runs(self._runs)
        self._db.executemany("INSERT INTO marks VALUES (?, ?)", self._marks)
        self._runs.clear()
        self._marks.clear()

    def _keep_runs(self, runs: Iterable[tuple[int, int, str, bytes]]) -> None:
        self._db.executemany("INSERT INTO runs VALUES (?, ?, ?, ?)", runs)

    def _context(self, digest: bytes, body: str | None) -> tuple[int, int]:
        """(series, context) ids. A reader gives the body once, so what fell out of the cache is looked up."""
        ids = self._ids.get(digest)
        if ids is None:
            ids = self._known(digest) or self._new(digest, body)
            self._ids[digest] = ids
            if len(self._ids) > _CONTEXTS_KEPT:
                self._ids.popitem(last=False)
        return ids

    def _known(self, digest: bytes) -> tuple[int, int] | None:
        found = self._db.execute("SELECT series, id FROM contexts WHERE digest = ?", (digest,)).fetchone()
        return (found[0], found[1]) if found else None

    def _new(self, digest: bytes, body: str | None) -> tuple[int, int]:
        if body is None:
            raise LookupError("a record came before its context")
        context = parse_context(body)
        key = (context.study, context.series)
        self._db.execute("INSERT OR IGNORE INTO series (study, uid) VALUES (?, ?)", key)
        (series,) = self._db.execute("SELECT id FROM series WHERE study = ? AND uid = ?", key).fetchone()
        row = self._db.execute("INSERT INTO contexts (series, digest, body) VALUES (?, ?, ?)", (series, digest, body))
        return series, int(row.lastrowid or 0)

    def note(self, problem: Problem) -> None:
        """Keep a problem. Notes of one code and one place become one row with a count; the rest have a row each."""
        row = (problem.code.value, problem.where, os.fsencode(problem.path), problem.message, problem.count)
        if problem.bucket is Bucket.NOTE:
            self._db.execute(
                "INSERT INTO notes VALUES (?, ?, ?, ?, ?) ON CONFLICT DO UPDATE SET count = count + excluded.count", row
            )
        else:
            self._db.execute("INSERT INTO problems VALUES (?, ?, ?, ?, ?)", row)

    def note_undelivered(self, problem: Problem) -> None:
        """Keep a study that was written and not accepted: a row of the report, and no fate of its instances."""
        row = (problem.code.value, problem.where, os.fsencode(problem.path), problem.message, problem.count)
        self._db.execute("INSERT INTO undelivered VALUES (?, ?, ?, ?, ?)", row)

    def undelivered_counts(self) -> dict[Code, int]:
        """How many studies were written and not accepted, by code."""
        rows = self._db.execute("SELECT code, count(*) FROM undelivered GROUP BY code")
        return {Code(code): count for code, count in rows}

    def settle(self) -> None:
        """End of the crawl: set duplicates aside. Of several the record with the lowest digest stays."""
        self._flush()
        self._db.execute("CREATE INDEX of_series ON runs (series)")
        self._db.execute("INSERT INTO counts SELECT series, count(*) FROM marks GROUP BY series")
        self._db.execute(_TWICE)
        twice = self._db.execute("SELECT series, mark FROM twice ORDER BY series")
        for series, rows in groupby(twice, key=itemgetter(0)):
            self._settle_series(series, {mark for _, mark in rows})
        self._db.execute(_IN_TWO_SERIES)
        self._db.execute("DROP TABLE twice")
        self._db.execute("DROP TABLE shared")

    def _settle_series(self, series: int, marks: set[int]) -> None:
        """Set one series' duplicates aside; what is left of these marks may lie in other series, too."""
        copies = self._copies(series)
        of_uid: dict[str, list[_Copy]] = {}
        for copy in copies:
            if hash(copy[1].uid) in marks:
                of_uid.setdefault(copy[1].uid, []).append(copy)
        self._db.executemany("INSERT INTO shared VALUES (?, ?)", zip(of_uid, repeat(series)))
        aside = {id(other) for several in of_uid.values() for other in self._others(series, several)}
        if aside:
            self._keep_only(series, [copy for copy in copies if id(copy) not in aside])

    def _copies(self, series: int) -> list[_Copy]:
        rows = self._db.execute("SELECT context, uids, rest FROM runs WHERE series = ?", (series,))
        return [(context, member) for context, uids, rest in rows for member in unpack(uids, rest)]

    def _others(self, series: int, several: list[_Copy]) -> list[_Copy]:
        """The copies of one instance but the one that stays, each noted.

        Of records with one digest the path decides which is called the duplicate, no more.
        """
        if len(several) == 1:
            return []
        (kept, *_), *others = ranked = sorted([(*self._rank(copy), copy) for copy in several], key=itemgetter(0, 1, 2))
        (place,) = self._db.execute("SELECT study || '/' || uid FROM series WHERE id = ?", (series,)).fetchone()
        for digest, _, _, (_, member) in others:
            code = Code.DUPLICATE_IDENTICAL if digest == kept else Code.DUPLICATE_CONFLICTING
            self.note(Problem(code, f"{place}/{member.uid}", member.path))
        return [copy for _, _, _, copy in ranked[1:]]

    def _rank(self, copy: _Copy) -> tuple[bytes, str, bytes]:
        """What decides which of an instance's copies stays: its digest, then what it says, then its path."""
        context, member = copy
        (shared,) = self._db.execute("SELECT digest FROM contexts WHERE id = ?", (context,)).fetchone()
        digest = digest_of(shared + comparable(member.keys, member.row).encode("utf-8", "surrogatepass"))
        return digest, canonical(*parse_row(member.keys, member.row)), os.fsencode(member.path)

    def _keep_only(self, series: int, copies: list[_Copy]) -> None:
        self._db.execute("DELETE FROM runs WHERE series = ?", (series,))
        for context, kept in groupby(sorted(copies, key=itemgetter(0)), key=itemgetter(0)):
            self._keep_runs((series, context, *run) for run in repack(member for _, member in kept))
        self._db.execute("UPDATE counts SET instances = ? WHERE series = ?", (len(copies), series))

    def study_uids(self) -> Iterator[str]:
        """The UIDs of all studies, sorted as text."""
        for (uid,) in self._db.execute("SELECT DISTINCT study FROM series ORDER BY study"):
            yield uid

    def study_count(self) -> int:
        """How many studies there are."""
        (count,) = self._db.execute("SELECT count(DISTINCT study) FROM series").fetchone()
        return int(count)

    def distinct_instances(self, study: str) -> int:
        """How many distinct (series, SOP Instance UID) a study has: counted apart from what was mapped."""
        sql = "SELECT total(c.instances) FROM counts c JOIN series s ON s.id = c.series WHERE s.study = ?"
        (count,) = self._db.execute(sql, (study,)).fetchone()
        return int(count)

    def studies(self) -> Iterator[StudyRecords]:
        """Every study after `settle`, sorted by UID; one is in memory at a time."""
        for uid in self.study_uids():
            yield self.study(uid)

    def study(self, uid: str) -> StudyRecords:
        """One study after `settle`; without instances where nothing of it was read."""
        return records_of(self.rows(uid))

    def rows(self, uid: str) -> StudyRows:
        """The same as plain values, which `records_of` takes in any process."""
        series = self._db.execute("SELECT id FROM series WHERE study = ? ORDER BY uid", (uid,)).fetchall()
        return uid, [self._series_rows(number) for (number,) in series]

    def all_rows(self) -> Iterator[StudyRows]:
        """Every study as `studies` gives them, as plain values."""
        for uid in self.study_uids():
            yield self.rows(uid)

    def _series_rows(self, series: int) -> tuple[dict[int, str], _Runs]:
        runs = self._db.execute("SELECT context, uids, rest FROM runs WHERE series = ?", (series,)).fetchall()
        return {context: self._body(context) for context in {run[0] for run in runs}}, runs

    def places(self, uid: str) -> list[tuple[str, str]]:
        """(study, series) of every instance with a SOP Instance UID, sorted."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_mark ON marks (mark)")  # only key objects ask
        sql = (
            "SELECT DISTINCT s.id, s.study, s.uid FROM marks m JOIN series s ON s.id = m.series"
            " WHERE m.mark = ? ORDER BY 2, 3"
        )
        rows = self._db.execute(sql, (hash(uid),)).fetchall()
        return [(study, of_series) for series, study, of_series in rows if uid in self._uids(series)]

    def _read_uids(self, series: int) -> frozenset[str]:
        rows = self._db.execute("SELECT uids FROM runs WHERE series = ?", (series,))
        return frozenset(uid for (uids,) in rows for uid in uids.split("\n"))

    def _body(self, context: int) -> str:
        (body,) = self._db.execute("SELECT body FROM contexts WHERE id = ?", (context,)).fetchone()
        return str(body)

    def withhold(self, study: str, code: Code, uids: Iterable[str] | None = None, series: str | None = None) -> int:
        """One row for every instance that is not emitted: the study's or one series', all or those named; how many."""
        wanted = None if uids is None else set(uids)
        sql = "SELECT id, uid FROM series WHERE study = ? AND uid = ifnull(?, uid) ORDER BY uid"
        count = 0
        for number, of_series in self._db.execute(sql, (study, series)).fetchall():
            for _, member in self._copies(number):
                if wanted is None or member.uid in wanted:
                    self.note(Problem(code, f"{study}/{of_series}/{member.uid}", member.path))
                    count += 1
        return count

    def first_seen(self, resource_id: str, digest: bytes) -> Literal["new", "same", "differs"]:
        """Whether a resource of this id was met before in this run, and whether it said the same."""
        found = self._db.execute("SELECT digest FROM resources WHERE id = ?", (resource_id,)).fetchone()
        if found is None:
            self._db.execute("INSERT INTO resources VALUES (?, ?)", (resource_id, digest))
            return "new"
        return "same" if found[0] == digest else "differs"

    def problem_counts(self) -> dict[Code, int]:
        """How many rows the report has of each code."""
        sql = (
            "SELECT code, count(*) FROM problems GROUP BY code UNION ALL SELECT code, count(*) FROM notes GROUP BY code"
        )
        return {Code(code): count for code, count in self._db.execute(sql)}

    def problems(self) -> Iterator[Problem]:
        """All problems in an order that does not depend on the order of files: by code, place, path."""
        tables = ("problems", "notes", "undelivered")
        sql = " UNION ALL ".join(f"SELECT * FROM {table}" for table in tables) + " ORDER BY 1, 2, 3, 4"
        for code, place, path, message, count in self._db.execute(sql):
            yield Problem(Code(code), place, os.fsdecode(path), message, count)


def records_of(rows: StudyRows) -> StudyRecords:
    """The records that a study's rows stand for."""
    uid, series = rows
    return StudyRecords(uid, tuple(record for each in series for record in _records(*each)))


def _records(bodies: dict[int, str], runs: _Runs) -> list[InstanceRecord]:
    contexts = {number: parse_context(body) for number, body in bodies.items()}
    found = [
        InstanceRecord(uid, contexts[context], values, notes)
        for context, uids, rest in runs
        for uid, values, notes in said(uids, rest)
    ]
    return sorted(found, key=_uid)


def instance_count(rows: StudyRows) -> int:
    """How many instances there are in a study's rows."""
    return sum(1 + uids.count("\n") for _, runs in rows[1] for _, uids, _ in runs)


def _temporary_database() -> sqlite3.Connection:
    """An empty database in a file without a name."""
    handle, path = tempfile.mkstemp(prefix="dicom2fhir-", suffix=".sqlite")  # mkstemp: mode 0600
    try:
        os.close(handle)
        database = sqlite3.connect(path, isolation_level=None)
        database.executescript(_SCHEMA)
        database.execute("BEGIN")
        return database
    finally:
        os.unlink(path)
