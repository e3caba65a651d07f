"""StudyIndex: headers in any order go in, studies in order come out.

A temporary SQLite file holds each context once and a slim row an instance, so memory does not grow with the number
of files. It also keeps the problems, because a damaged archive has millions. The file has mode 0600 and loses its
name as soon as it is open: however the process ends, nothing of it stays.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections import OrderedDict
from collections.abc import Iterable, Iterator
from typing import Literal

from dicom2fhir.dicom.records import Context, InstanceRecord, StudyRecords, parse_context, parse_owns
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
CREATE TABLE instances (series INTEGER NOT NULL, uid TEXT NOT NULL, digest BLOB NOT NULL, context INTEGER NOT NULL,
                        own TEXT NOT NULL, path BLOB NOT NULL);
CREATE TABLE problems (code TEXT NOT NULL, place TEXT NOT NULL, path BLOB NOT NULL, message TEXT NOT NULL,
                       count INTEGER NOT NULL);
CREATE TABLE undelivered (code TEXT NOT NULL, place TEXT NOT NULL, path BLOB NOT NULL, message TEXT NOT NULL,
                          count INTEGER NOT NULL);
CREATE TABLE notes (code TEXT NOT NULL, place TEXT NOT NULL, path BLOB NOT NULL, message TEXT NOT NULL,
                    count INTEGER NOT NULL, PRIMARY KEY (code, place, path)) WITHOUT ROWID;
CREATE TABLE resources (id TEXT PRIMARY KEY, digest BLOB NOT NULL) WITHOUT ROWID;
"""
_DUPLICATES = (
    """
    CREATE TABLE repeated AS
    SELECT series, uid, min(digest) AS kept FROM instances GROUP BY series, uid HAVING count(*) > 1
    """,
    """
    CREATE TABLE aside AS SELECT id, same FROM (
        SELECT i.rowid AS id, i.digest = r.kept AS same,
               row_number() OVER (PARTITION BY i.series, i.uid ORDER BY i.digest, i.own, i.path) AS place
        FROM repeated r JOIN instances i ON i.series = r.series AND i.uid = r.uid
    ) WHERE place > 1
    """,
    f"""
    INSERT INTO problems
    SELECT iif(a.same, '{Code.DUPLICATE_IDENTICAL}', '{Code.DUPLICATE_CONFLICTING}'),
           s.study || '/' || s.uid || '/' || i.uid, i.path, '', 1
    FROM aside a JOIN instances i ON i.rowid = a.id JOIN series s ON s.id = i.series
    """,
    "DELETE FROM instances WHERE rowid IN (SELECT id FROM aside)",
    "DROP TABLE aside",
    "DROP TABLE repeated",
)
"""What sets duplicates aside. Of records with one digest the path decides which is called the duplicate, no more."""
_SHARED = f"""
    INSERT INTO notes
    SELECT '{Code.INSTANCE_IN_TWO_SERIES}', s.study || '/' || s.uid || '/' || i.uid, x'', '', 1
    FROM instances i JOIN series s ON s.id = i.series
    WHERE i.uid IN (SELECT uid FROM instances GROUP BY uid HAVING count(*) > 1)
"""
_BATCH = 2000
_CONTEXTS_KEPT = 4096


_MACHINE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})


class StudyIndex:
    """Collects header records, finds duplicates, gives studies in order of their UIDs.

    A context manager; what the disk does to it inside (full, gone) leaves as EnvironmentFailed.
    """

    def __init__(self) -> None:
        try:
            self._db = _temporary_database()
        except (OSError, sqlite3.OperationalError):
            raise EnvironmentFailed("no temporary file can be made for the study index (TMPDIR says where)") from None
        self._rows: list[tuple[int, str, bytes, int, str, bytes]] = []
        self._ids: OrderedDict[bytes, tuple[int, int]] = OrderedDict()

    def __enter__(self) -> StudyIndex:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        self.close()
        if isinstance(error, sqlite3.OperationalError) and error.sqlite_errorcode & 0xFF in _MACHINE:
            raise EnvironmentFailed("the study index's temporary file failed (TMPDIR says where it lies)") from None

    def close(self) -> None:
        """Let go of the temporary file."""
        self._db.close()

    def add(self, digest: bytes, body: str | None, uid: str, own: str, record: bytes, path: str) -> None:
        """Take one header record (see `dicom.header.Record`); `path` is the file it came from."""
        series, context = self._context(digest, body)
        self._rows.append((series, uid, record, context, own, os.fsencode(path)))
        if len(self._rows) >= _BATCH:
            self._flush()

    def _flush(self) -> None:
        self._db.executemany("INSERT INTO instances VALUES (?, ?, ?, ?, ?, ?)", self._rows)
        self._rows.clear()

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
        """End of the crawl: sort, and set duplicates aside. Of several the record with the lowest digest stays."""
        self._flush()
        self._db.execute("CREATE INDEX in_series ON instances (series, uid, digest)")
        self._set_duplicates_aside()
        self._note_shared_instances()

    def _set_duplicates_aside(self) -> None:
        for statement in _DUPLICATES:
            self._db.execute(statement)

    def _note_shared_instances(self) -> None:
        """One SOP Instance UID in two series stays in each (contract: Duplicates)."""
        self._db.execute(_SHARED)

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
        sql = "SELECT count(*) FROM (SELECT DISTINCT i.series, i.uid FROM instances i JOIN series s ON s.id = i.series"
        (count,) = self._db.execute(sql + " WHERE s.study = ?)", (study,)).fetchone()
        return int(count)

    def studies(self) -> Iterator[StudyRecords]:
        """Every study after `settle`, sorted by UID; one is in memory at a time."""
        for uid in self.study_uids():
            yield self.study(uid)

    def study(self, uid: str) -> StudyRecords:
        """One study after `settle`; without instances where nothing of it was read."""
        return StudyRecords(uid, tuple(self._instances(uid)))

    def places(self, uid: str) -> list[tuple[str, str]]:
        """(study, series) of every instance with a SOP Instance UID, sorted."""
        self._db.execute("CREATE INDEX IF NOT EXISTS by_uid ON instances (uid)")  # only key objects ask
        sql = "SELECT s.study, s.uid FROM instances i JOIN series s ON s.id = i.series WHERE i.uid = ? ORDER BY 1, 2"
        return [(study, series) for study, series in self._db.execute(sql, (uid,))]

    def _instances(self, study: str) -> Iterator[InstanceRecord]:
        series = self._db.execute("SELECT id FROM series WHERE study = ? ORDER BY uid", (study,)).fetchall()
        sql = "SELECT uid, context, own FROM instances WHERE series = ? ORDER BY uid"
        for (number,) in series:
            rows = self._db.execute(sql, (number,)).fetchall()
            contexts = {context: self._body(context) for context in {row[1] for row in rows}}
            for (uid, context, _), said in zip(rows, parse_owns(row[2] for row in rows), strict=True):
                yield InstanceRecord(uid, contexts[context], *said)

    def _body(self, context: int) -> Context:
        (body,) = self._db.execute("SELECT body FROM contexts WHERE id = ?", (context,)).fetchone()
        return parse_context(body)

    def withhold(self, study: str, code: Code, uids: Iterable[str] | None = None, series: str | None = None) -> int:
        """One row for every instance that is not emitted: the study's or one series', all or those named; how many."""
        wanted = None if uids is None else set(uids)
        rows = self._db.execute(
            "SELECT s.uid, i.uid, i.path FROM instances i JOIN series s ON s.id = i.series"
            " WHERE s.study = ? AND s.uid = ifnull(?, s.uid) ORDER BY s.uid, i.uid",
            (study, series),
        ).fetchall()
        rows = [row for row in rows if wanted is None or row[1] in wanted]
        for of_series, uid, path in rows:
            self.note(Problem(code, f"{study}/{of_series}/{uid}", os.fsdecode(path)))
        return len(rows)

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
