"""The journal of a delivery, for `--state DIR`: what was put, what became of it, and the spool of what must still go.

    DIR/.dicom2fhir-state   the marker, and the lock of the run that holds the folder
    DIR/journal.sqlite      every parcel with its state, and the Bundles of those that are not accepted
    DIR/refused/            dead letters (see `deadletters`)

Folders have mode 0700, files 0600, for they hold patient data. One commit a change, written through (WAL and
synchronous=FULL, sqlite.org/pragma.html#pragma_synchronous), so that the process may end anywhere: a parcel that was
sending then is unknown when the folder is opened again. What is deleted is overwritten (secure_delete).
"""

from __future__ import annotations

import os
import re
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from itertools import count
from typing import Any

from dicom2fhir.errors import EnvironmentFailed, OutputExists, OutputLocked, UsageError
from dicom2fhir.problems import Code
from dicom2fhir.server.deadletters import DeadLetters
from dicom2fhir.server.ledger import State
from dicom2fhir.server.parcels import Parcel
from dicom2fhir.storage import STATE_MARKER, environment, hold, make_folders, sync_folder

DATABASE = "journal.sqlite"
REFUSED = "refused"
FIRST_LINE = b"The state of dicom2fhir: what a server was sent, and what still waits for it. Not to be edited.\n"

_SETTINGS = """
PRAGMA locking_mode = EXCLUSIVE;
PRAGMA journal_mode = WAL;
PRAGMA synchronous = FULL;
PRAGMA secure_delete = ON;
PRAGMA cache_size = -4096;
PRAGMA journal_size_limit = 4194304;
PRAGMA temp_store = MEMORY;
"""
_LAYOUT = 1
_TABLES = (
    "CREATE TABLE bound (server TEXT NOT NULL, version TEXT NOT NULL)",
    f"""
    CREATE TABLE parcels (
        number INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, uid TEXT NOT NULL, digest BLOB NOT NULL,
        state TEXT NOT NULL CHECK (state IN ({", ".join(f"'{state}'" for state in State)})),
        ended INTEGER NOT NULL, place INTEGER NOT NULL UNIQUE)
    """,
    "CREATE TABLE spool (number INTEGER PRIMARY KEY, body BLOB NOT NULL)",
    f"PRAGMA user_version = {_LAYOUT}",
)
"""`place` is the order of putting over all runs, so those of one run are the places above where it began; `ended`
says whether that run came to an end with it. Bundles have a table of their own, lest a change of state rewrite them.
"""
_PUT = """
INSERT INTO parcels (id, uid, digest, state, ended, place) VALUES (?, ?, ?, 'pending', 0, ?)
ON CONFLICT (id) DO UPDATE
SET uid = excluded.uid, digest = excluded.digest, state = excluded.state, ended = 0, place = excluded.place
"""
_PAGE = 256
_ID = re.compile(r"[A-Za-z0-9.\-]{1,64}")
_SHORTENED = 50
"""Characters that an id keeps where a number must be added: the name is an id again."""

_MACHINE = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY})
_DAMAGE = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def is_state(folder: str) -> bool:
    """Whether a folder is a journal's."""
    return os.path.lexists(os.path.join(folder, STATE_MARKER))


class Journal:
    """The `Ledger` that outlives its run. Once it has a parcel it belongs to one server and one FHIR version.

    `open` raises `OutputLocked` while another run holds the folder, `OutputExists` for a folder that holds what is
    not ours, `UsageError` for the state of another server, FHIR version or version of this command. Bodies of what
    is not accepted stay in the folder, for as long as it takes.
    """

    held: int = 0
    """See `Ledger`: Bundles wait on the disk."""

    def __init__(self, folder: str, server: str, to: str) -> None:
        self._folder = os.path.realpath(folder)
        self._bound = (server, to)
        self._letters = DeadLetters(os.path.join(self._folder, REFUSED))
        self._lock = threading.Lock()
        self._marker: FileIO | None = None
        self._db: sqlite3.Connection | None = None
        self._start = self._place = 0

    @property
    def own_paths(self) -> tuple[str, ...]:
        """See `Ledger`."""
        return (self._folder,)

    def open(self) -> None:
        """Hold the folder; it is made where it is missing."""
        try:
            self._hold()
            with _disk("opening the state"):
                self._db = _database(os.path.join(self._folder, DATABASE))
            self._begin()
            self._tidy()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the folder; what waits for its turn has it before."""
        with self._lock:
            if self._db is not None:
                self._db.close()
                self._db = None
        if self._marker is not None:
            self._marker.close()

    def _hold(self) -> None:
        with environment("opening the state"):
            made = make_folders(self._folder, "the state folder")
            names = os.listdir(self._folder)
            if names and STATE_MARKER not in names:
                raise OutputExists("the state folder holds files of others; --state takes an empty or a new folder")
            self._marker = hold(os.path.join(self._folder, STATE_MARKER), "the state")
            os.chmod(self._folder, 0o700)
            os.fchmod(self._marker.fileno(), 0o600)
            if not os.fstat(self._marker.fileno()).st_size:
                self._marker.write(FIRST_LINE)
            _make_private(os.path.join(self._folder, DATABASE))
            for folder in (self._folder, *map(os.path.dirname, made)):
                sync_folder(folder)

    def _begin(self) -> None:
        """Make the tables where there are none, and see in what was found what the last run could not say."""
        with self._transaction() as db:
            self._check_layout(db)
            self._bind(db)
            db.execute("UPDATE parcels SET state = 'unknown' WHERE state = 'sending'")
            (self._start,) = db.execute("SELECT ifnull(max(place), 0) FROM parcels").fetchone()
        self._place = self._start

    def _check_layout(self, db: sqlite3.Connection) -> None:
        (layout,) = db.execute("PRAGMA user_version").fetchone()
        if not layout:
            for statement in _TABLES:
                db.execute(statement)
        elif layout != _LAYOUT:
            raise UsageError("the state was written by another version of dicom2fhir; --state takes a new folder")

    def _bind(self, db: sqlite3.Connection) -> None:
        """A state without parcels may change its server: the address may have been mistyped."""
        known = db.execute("SELECT server, version FROM bound").fetchone()
        if known == self._bound:
            return
        if db.execute("SELECT 1 FROM parcels").fetchone():
            other = "server" if known[0] != self._bound[0] else "FHIR version"
            raise UsageError(f"the state belongs to another {other}; --state takes a folder for each")
        db.execute("DELETE FROM bound")
        db.execute("INSERT INTO bound VALUES (?, ?)", self._bound)

    def _tidy(self) -> None:
        """Remove the dead letters of what was accepted just before the process ended."""
        self._letters.open()
        for name in self._letters.names():
            if self._rows("SELECT 1 FROM parcels WHERE id = ? AND state = 'accepted'", name):
                self._letters.remove(name)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, _disk("writing the state"):
            assert self._db is not None
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield self._db
                self._db.execute("COMMIT")
            except BaseException:
                if self._db.in_transaction:
                    self._db.execute("ROLLBACK")
                raise

    def _rows(self, sql: str, *values: object) -> list[Any]:
        with self._lock, _disk("reading the state"):
            assert self._db is not None
            return self._db.execute(sql, values).fetchall()

    def put(self, id: str, uid: str, digest: bytes, body: bytes) -> State:
        """See `Ledger`. What was being sent when the process ended is unknown."""
        if not _ID.fullmatch(id):
            raise ValueError("the id of a parcel is 1 to 64 letters, digits, hyphens and dots")
        name, state, known = self._name(id)
        if state is not None and known == digest:
            with self._transaction() as db:
                db.execute("UPDATE parcels SET place = ?, ended = (state = 'accepted') WHERE id = ?", self._next(name))
            return state
        packed = zlib.compress(body, 1)
        with self._transaction() as db:
            db.execute(_PUT, (name, uid, digest, self._next(name)[0]))
            db.execute("INSERT OR REPLACE INTO spool SELECT number, ? FROM parcels WHERE id = ?", (packed, name))
        if state is State.REFUSED:
            self._letters.remove(name)
        return State.PENDING

    def _name(self, id: str) -> tuple[str, State | None, bytes]:
        """The name that a parcel has, and what is known of it: the first of id, id.2, id.3 that this run did not put.

        The same input in the same order gives the same names.
        """
        for number in count(1):
            name = id if number == 1 else f"{id[:_SHORTENED]}.{number}"
            found = self._rows("SELECT state, digest, place FROM parcels WHERE id = ?", name)
            if not found:
                return name, None, b""
            ((state, digest, place),) = found
            if place <= self._start:
                return name, State(state), digest
        raise AssertionError("numbers do not end")

    def _next(self, name: str) -> tuple[int, str]:
        self._place += 1
        return self._place, name

    def waiting(self, after: int, most: int) -> list[tuple[int, str]]:
        """See `Ledger`."""
        unbegun = "NOT ended AND state != 'sending'"
        sql = f"SELECT place, id FROM parcels WHERE place > ? AND {unbegun} ORDER BY place LIMIT ?"
        return self._rows(sql, max(after, self._start), most)

    def body(self, name: str) -> bytes:
        """See `Ledger`."""
        found = self._rows("SELECT body FROM spool JOIN parcels USING (number) WHERE id = ? AND NOT ended", name)
        if not found:
            raise LookupError("no such parcel is under way")
        return _unpacked(found[0][0])

    def sending(self, name: str) -> None:
        """See `Ledger`."""
        with self._transaction() as db:
            _move(db, name, State.SENDING)

    def accepted(self, name: str) -> None:
        """See `Ledger`; its dead letter goes too."""
        with self._transaction() as db:
            _move(db, name, State.ACCEPTED)
            db.execute("DELETE FROM spool WHERE number = (SELECT number FROM parcels WHERE id = ?)", (name,))
        self._letters.remove(name)

    def unknown(self, name: str) -> None:
        """See `Ledger`."""
        with self._transaction() as db:
            _move(db, name, State.UNKNOWN)

    def refused(self, name: str, code: Code, status: int | None = None, outcome: Any = None) -> None:
        """See `Ledger`. The dead letter is there before the parcel is called refused."""
        self._letters.write(name, self.body(name), code, status, outcome)
        with self._transaction() as db:
            _move(db, name, State.REFUSED)

    def pending(self, name: str) -> None:
        """See `Ledger`."""
        with self._transaction() as db:
            _move(db, name, State.PENDING)

    def unsent(self) -> Iterator[str]:
        """See `Ledger`. Page by page: no cursor stays open while others write."""
        without_end = "(NOT ended OR state = 'pending')"
        sql = f"SELECT place, uid FROM parcels WHERE place > ? AND {without_end} ORDER BY place LIMIT {_PAGE}"
        rows = self._rows(sql, self._start)
        while rows:
            yield from (uid for _, uid in rows)
            rows = self._rows(sql, rows[-1][0])

    def counts(self) -> dict[State, int]:
        """See `Ledger`."""
        sql = "SELECT state, count(*) FROM parcels WHERE place > ? GROUP BY state"
        return dict.fromkeys(State, 0) | {State(state): number for state, number in self._rows(sql, self._start)}

    def left_over(self) -> int:
        """See `Ledger`."""
        sql = "SELECT count(*) FROM parcels WHERE place <= ? AND state IN ('pending', 'unknown')"
        ((number,),) = self._rows(sql, self._start)
        return int(number)

    def left_behind(self) -> Iterator[Parcel]:
        """See `Ledger`. One Bundle is in memory at a time."""
        waiting = "place > ? AND place <= ? AND state IN ('pending', 'unknown') ORDER BY place LIMIT 1"
        sql = f"SELECT place, id, uid, body FROM parcels JOIN spool USING (number) WHERE {waiting}"
        rows = self._rows(sql, 0, self._start)
        while rows:
            ((place, id, uid, packed),) = rows
            yield Parcel(id, uid, _unpacked(packed))
            rows = self._rows(sql, place, self._start)


def _move(db: sqlite3.Connection, name: str, state: State) -> None:
    ended = state is not State.SENDING
    moved = db.execute("UPDATE parcels SET state = ?, ended = ? WHERE id = ? AND NOT ended", (state, ended, name))
    if moved.rowcount != 1:
        raise LookupError("no such parcel is under way")


def _unpacked(packed: bytes) -> bytes:
    with _disk("reading the state"):
        return zlib.decompress(packed)


@contextmanager
def _disk(doing: str) -> Iterator[None]:
    """Turn what the disk does to the database into `EnvironmentFailed`; SQLite's own words name no path."""
    try:
        yield
    except (sqlite3.DatabaseError, zlib.error) as failure:
        kind = getattr(failure, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        if kind in _DAMAGE or isinstance(failure, zlib.error):
            raise EnvironmentFailed("the state's journal is damaged; --state takes a new folder") from None
        if kind in _MACHINE:
            raise EnvironmentFailed(f"{doing} failed: {failure}") from None
        if kind == sqlite3.SQLITE_BUSY:  # where the file system has no locks for the marker
            raise OutputLocked("another run holds the state") from None
        raise


def _make_private(path: str) -> None:
    """A file with mode 0600 from the start; SQLite gives that of its database to what it makes beside it."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
    try:
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _database(path: str) -> sqlite3.Connection:
    database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    try:
        for setting in _SETTINGS.strip().splitlines():
            database.execute(setting)
    except BaseException:
        database.close()
        raise
    return database
