"""The state folder: what it remembers, whose it is, and what is left of it after any end of the process."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import random
import resource
import signal
import sqlite3
import stat
import tempfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest

from dicom2fhir.errors import EnvironmentFailed, OutputExists, OutputLocked, UsageError
from dicom2fhir.problems import Code
from dicom2fhir.server.journal import DATABASE, Journal, is_state
from dicom2fhir.server.ledger import State
from dicom2fhir.storage import OUTPUT_MARKER, STATE_MARKER, hold

SERVER = "http://localhost/secret-base"
NOBODY = 65534


@contextmanager
def journal(folder: Path, server: str = SERVER, to: str = "r4") -> Iterator[Journal]:
    made = Journal(str(folder), server, to)
    made.open()
    try:
        yield made
    finally:
        made.close()


def content(id: str, version: int = 1) -> bytes:
    return json.dumps({"id": id, "version": version, "padding": "x" * 3000}).encode()


def put(made: Journal, id: str, version: int = 1) -> State:
    body = content(id, version)
    return made.put(id, f"1.2.{id}", hashlib.sha256(body).digest(), body)


def rows(folder: Path, sql: str) -> list[Any]:
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        return database.execute(sql).fetchall()


# what it remembers


@pytest.mark.parametrize(
    ("move", "told"),
    [
        (lambda made: None, State.PENDING),
        (lambda made: made.sending("a"), State.UNKNOWN),
        (lambda made: made.accepted("a"), State.ACCEPTED),
        (lambda made: made.unknown("a"), State.UNKNOWN),
        (lambda made: made.refused("a", Code.SERVER_REFUSED), State.REFUSED),
        (lambda made: made.pending("a"), State.PENDING),
    ],
    ids=["put", "sending", "accepted", "unknown", "refused", "pending"],
)
def test_the_next_run_is_told_what_became_of_it(tmp_path: Path, move: Callable[[Journal], None], told: State) -> None:
    with journal(tmp_path) as made:
        put(made, "a")
        move(made)
    with journal(tmp_path) as made:
        assert made.counts() == dict.fromkeys(State, 0)
        assert made.left_over() == (told in (State.PENDING, State.UNKNOWN))
        assert put(made, "a") is told
        assert made.left_over() == 0
        assert made.counts()[told] == 1
        assert [name for _, name in made.waiting(0, 9)] == ([] if told is State.ACCEPTED else ["a"])
        assert list(made.unsent()) == ([] if told is State.ACCEPTED else ["1.2.a"])
    with journal(tmp_path) as made:
        assert put(made, "a", version=2) is State.PENDING
        assert made.body("a") == content("a", 2)
        assert made.counts()[State.PENDING] == 1


def test_an_earlier_runs_parcel_is_not_this_runs(tmp_path: Path) -> None:
    with journal(tmp_path) as made:
        for id in "abc":
            put(made, id)
        made.accepted("a")
    with journal(tmp_path) as made:
        put(made, "b")
        assert [name for _, name in made.waiting(0, 9)] == ["b"]
        assert made.left_over() == 1
        assert sum(made.counts().values()) == 1


def test_an_id_that_comes_again_has_the_same_name_in_the_next_run(tmp_path: Path) -> None:
    with journal(tmp_path) as made:
        for version in (1, 2, 3):
            assert put(made, "a", version) is State.PENDING
        assert [name for _, name in made.waiting(0, 9)] == ["a", "a.2", "a.3"]
        made.accepted("a.2")
    with journal(tmp_path) as made:
        assert [put(made, "a", version) for version in (1, 2, 3)] == ["pending", "accepted", "pending"]
        assert sum(made.counts().values()) == 3


def test_long_ids_that_come_again(tmp_path: Path) -> None:
    ids = ["a" * 63 + end for end in "bbcc"]
    for told in (State.PENDING, State.ACCEPTED):
        with journal(tmp_path) as made:
            assert [put(made, id, version) for version, id in enumerate(ids)] == [told] * 4
            for _, name in made.waiting(0, 9):
                assert len(name) <= 64
                made.accepted(name)


def test_what_earlier_runs_left_can_be_put_again(tmp_path: Path) -> None:
    moves = ["sending", "accepted", "unknown", "pending"]
    with journal(tmp_path) as made:
        for id in ("f", *"edcba", "a"):
            put(made, id)
        for id, move in zip("fedc", moves, strict=True):
            getattr(made, move)(id)
        made.refused("b", Code.SERVER_REFUSED)
        assert list(made.left_behind()) == []
    with journal(tmp_path) as made:
        put(made, "c")
        told = []
        for parcel in made.left_behind():
            assert (parcel.uid, parcel.body) == (f"1.2.{parcel.id[0]}", content(parcel.id[0]))
            told.append((parcel.id, made.put(parcel.id, parcel.uid, parcel.digest, parcel.body)))
        assert told == [("f", "unknown"), ("d", "unknown"), ("a", "pending"), ("a.2", "pending")]
        assert made.left_over() == 0
        assert [name for _, name in made.waiting(0, 9)] == ["c", "f", "d", "a", "a.2"]


@pytest.mark.parametrize("id", ["", "a" * 65, "a/b", "a b", "a\n", "ä"])
def test_an_id_that_is_no_name_of_a_file(tmp_path: Path, id: str) -> None:
    with journal(tmp_path) as made, pytest.raises(ValueError, match="letters"):
        put(made, id)


def test_what_is_accepted_leaves_no_bundle_on_the_disk(tmp_path: Path) -> None:
    rest = random.Random(5)
    bodies = [rest.randbytes(9000) for _ in range(40)]
    with journal(tmp_path) as made:
        for number, body in enumerate(bodies):
            made.put(f"a{number}", "1.2", b"%d" % number, body)
    kept = (tmp_path / DATABASE).read_bytes()
    pieces = [body[size : size + 64] for body in bodies for size in range(0, 9000, 500)]
    assert sum(piece in kept for piece in pieces) > len(pieces) / 2
    with journal(tmp_path) as made:
        for number, body in enumerate(bodies):
            made.put(f"a{number}", "1.2", b"%d" % number, body)
            made.accepted(f"a{number}")
    assert set(os.listdir(tmp_path)) == {DATABASE, STATE_MARKER, "refused"}
    left = (tmp_path / DATABASE).read_bytes()
    assert not any(piece in left for piece in pieces)


def test_every_change_is_written_through(tmp_path: Path) -> None:
    with journal(tmp_path) as made:
        assert made._rows("PRAGMA synchronous") == [(2,)]
        assert made._rows("PRAGMA journal_mode") == [("wal",)]


# whose it is


def test_two_runs_cannot_hold_one_state(tmp_path: Path) -> None:
    with journal(tmp_path) as made:
        put(made, "a")
        with pytest.raises(OutputLocked, match="state"), journal(tmp_path):
            pass
        with pytest.raises(OutputLocked):
            hold(str(tmp_path / STATE_MARKER), "the state")
        made.accepted("a")
    with journal(tmp_path) as made:
        assert put(made, "a") is State.ACCEPTED


def test_without_locks_on_files_the_database_keeps_the_second_run_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_locks(*values: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with journal(tmp_path) as made:
        put(made, "a")
        child = os.fork()
        if child == 0:
            code = 1
            try:
                Journal(str(tmp_path), SERVER, "r4").open()
            except OutputLocked:
                code = 42
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 42


@pytest.mark.parametrize("name", ["notes.txt", ".hidden", OUTPUT_MARKER])
def test_a_folder_of_others_is_left_alone(tmp_path: Path, name: str) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / name).write_text("theirs")
    with pytest.raises(OutputExists), journal(tmp_path):
        pass
    assert os.listdir(tmp_path) == [name]
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_a_state_cannot_lie_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises((UsageError, EnvironmentFailed)) as refused, journal(folder):
            pass
        assert str(tmp_path) not in str(refused.value)


@pytest.mark.parametrize("name", [STATE_MARKER, DATABASE])
def test_a_link_in_the_folder_is_not_followed(tmp_path: Path, name: str) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / STATE_MARKER).touch()
    (tmp_path / "state" / name).unlink(missing_ok=True)
    (tmp_path / "state" / name).symlink_to(tmp_path / "victim")
    with pytest.raises(EnvironmentFailed), journal(tmp_path / "state"):
        pass
    assert not (tmp_path / "victim").exists()


@pytest.mark.parametrize(
    ("server", "to", "named"), [("http://other", "r4", "another server"), (SERVER, "r5", "another FHIR version")]
)
def test_a_state_belongs_to_one_server_and_version(tmp_path: Path, server: str, to: str, named: str) -> None:
    with journal(tmp_path, "http://mistyped", "stu3"):
        pass
    with journal(tmp_path) as made:  # nothing was put: the address may change
        put(made, "a")
    with pytest.raises(UsageError, match=named) as refused, journal(tmp_path, server, to):
        pass
    assert "http" not in str(refused.value)
    with journal(tmp_path) as made:
        assert put(made, "a") is State.PENDING


def test_a_later_layout_is_not_touched(tmp_path: Path) -> None:
    with journal(tmp_path) as made:
        put(made, "a")
    rows(tmp_path, "PRAGMA user_version = 2")
    with pytest.raises(UsageError, match="another version"), journal(tmp_path):
        pass


def test_its_own_path_is_the_folder(tmp_path: Path) -> None:
    assert not is_state(str(tmp_path))
    with journal(tmp_path / "other"):
        assert is_state(str(tmp_path / "other"))
    (tmp_path / "link").symlink_to(tmp_path)
    assert Journal(str(tmp_path / "link" / "state"), SERVER, "r4").own_paths == (str(tmp_path / "state"),)


@pytest.mark.parametrize("mask", [0, 0o777])
def test_everything_is_private_whatever_the_umask(tmp_path: Path, mask: int) -> None:
    folder = tmp_path / "deep" / "state"
    before = os.umask(mask)
    try:
        with journal(folder) as made:
            put(made, "a")
            made.refused("a", Code.SERVER_REFUSED)
            found = {path: stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "deep").rglob("*")}
    finally:
        os.umask(before)
    assert len(found) == 7
    assert folder / f"{DATABASE}-wal" in found
    assert {mode for path, mode in found.items() if path.is_dir()} == {0o700}
    assert {mode for path, mode in found.items() if path.is_file()} == {0o600}


def test_a_folder_that_is_there_already_becomes_private(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    with journal(tmp_path):
        assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o700


# what the disk does to it


@contextmanager
def small_files(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_ends_the_run_and_the_next_one_goes_on(tmp_path: Path) -> None:
    noise = random.Random(1)
    ids = [f"a{number}" for number in range(100)]
    bodies = {id: noise.randbytes(5000) for id in ids}

    told: list[str] = []

    def until_full(move: Callable[[str], object]) -> int:
        for number, id in enumerate(ids):
            try:
                move(id)
            except EnvironmentFailed as error:
                told.append(str(error))
                return number
        pytest.fail("it was never full")

    with journal(tmp_path) as made, small_files(200_000):
        done = until_full(lambda id: made.put(id, "1.2", id.encode(), bodies[id]))
        with pytest.raises(EnvironmentFailed):
            made.refused("a0", Code.SERVER_REFUSED, 422, {"diagnostics": "x" * 300_000})
        accepted = until_full(made.accepted)
        assert accepted < done
        assert all(text.startswith("writing the state failed: ") and str(tmp_path) not in text for text in told)
        assert made.counts()[State.ACCEPTED] == accepted
        assert made.counts()[State.PENDING] == done - accepted
    assert os.listdir(tmp_path / "refused") == []
    with journal(tmp_path) as made:
        assert made.left_over() == done - accepted
        for number, id in enumerate(ids):
            assert made.put(id, "1.2", id.encode(), bodies[id]) is (
                State.ACCEPTED if number < accepted else State.PENDING
            )
        assert all(made.body(name) == bodies[name] for _, name in made.waiting(0, 100))
        assert sum(made.counts().values()) == 100


def test_a_damaged_journal_is_told(tmp_path: Path) -> None:
    with journal(tmp_path) as made:
        for number in range(50):
            put(made, f"a{number}")
    whole = (tmp_path / DATABASE).read_bytes()
    for damaged in (b"not a database" * 1000, whole[:100] + os.urandom(4000) + whole[4100:]):
        (tmp_path / DATABASE).write_bytes(damaged)
        with pytest.raises(EnvironmentFailed, match="damaged"), journal(tmp_path):
            pass
    (tmp_path / DATABASE).write_bytes(whole)
    with closing(sqlite3.connect(tmp_path / DATABASE)) as database, database:
        database.execute("UPDATE spool SET body = x'00'")
    with journal(tmp_path) as made:
        put(made, "a1")
        with pytest.raises(EnvironmentFailed, match="damaged"):
            made.body("a1")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user may enter."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


def as_nobody(work: Callable[[], object]) -> str:
    """What a user without rights meets: the exception's name and text."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            if os.getuid() == 0:
                os.setgroups([])
                os.setgid(NOBODY)
                os.setuid(NOBODY)
            work()
        except Exception as error:
            os.write(writing, f"{type(error).__name__}: {error}".encode())
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        text = answer.read().decode()
    os.waitpid(child, 0)
    return text


def test_a_folder_that_may_not_be_written(open_folder: Path) -> None:
    def attempt() -> str:
        return as_nobody(Journal(str(open_folder / "state"), SERVER, "r4").open)

    open_folder.chmod(0o555)
    denied = "EnvironmentFailed: opening the state failed: Permission denied"
    assert attempt() == denied
    open_folder.chmod(0o755)
    with journal(open_folder / "state") as made:
        put(made, "a")
    modes = {open_folder / "state": 0o555}
    if os.getuid() != 0:  # one's own files can be shut only one by one
        modes |= {path: 0o444 for path in (open_folder / "state").iterdir() if path.is_file()}
    for path, mode in modes.items():
        path.chmod(mode)
    assert attempt() == denied
    (open_folder / "state").chmod(0o755)


# what any end of the process leaves

Known = dict[str, tuple[int, State]]
MOVES = ("sending", "accepted", "unknown", "refused", "pending")


def random_run(folder: Path, seed: int, say: Callable[[object], None]) -> None:
    """Put and move parcels at random; every step is said before it is done and again when it is."""
    chance = random.Random(seed)
    with journal(folder) as made:
        ids = [f"a{number}" for number in range(40)]
        chance.shuffle(ids)
        while ids:
            waiting = [name for _, name in made.waiting(0, 40)]
            if not waiting or chance.random() < 0.4:
                step = ["put", ids.pop(), chance.randrange(3)]
            else:
                step = [chance.choice(MOVES), chance.choice(waiting)]
            say(step)
            if step[0] == "put":
                put(made, str(step[1]), int(step[2]))
            elif step[0] == "refused":
                made.refused(str(step[1]), Code.SERVER_REFUSED, 422, {"of": step[1]})
            else:
                getattr(made, str(step[0]))(step[1])
            say("done")


def after(known: Known, step: list[object]) -> Known:
    """What should be known when a step is done."""
    name = str(step[1])
    if step[0] != "put":
        return known | {name: (known[name][0], State(str(step[0])))}
    same = name in known and known[name][0] == step[2]
    return known | {name: known[name] if same else (int(str(step[2])), State.PENDING)}


def at_rest(known: Known) -> Known:
    return {
        name: (version, State.UNKNOWN if state is State.SENDING else state) for name, (version, state) in known.items()
    }


def killed_run(folder: Path, seed: int, lines: int, seconds: float) -> list[object]:
    """What a run said until it was killed, so many seconds after it had said so many lines."""
    reading, writing = os.pipe()

    def say(step: object) -> None:
        os.write(writing, json.dumps(step).encode() + b"\n")

    child = os.fork()
    if child == 0:
        try:
            random_run(folder, seed, say)
        except BaseException as error:
            say(repr(error))
        finally:
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = list(islice(pipe, lines))
        time.sleep(seconds)
        os.kill(child, signal.SIGKILL)
        said += pipe
    os.waitpid(child, 0)
    return [json.loads(line) for line in said]


def found(folder: Path) -> Known:
    """What the folder knows after it was opened once; that its parts agree is asserted."""
    with journal(folder):
        pass
    known: Known = {}
    spool = dict(rows(folder, "SELECT id, body FROM spool JOIN parcels USING (number)"))
    for name, digest, state in rows(folder, "SELECT id, digest, state FROM parcels"):
        (version,) = (number for number in range(3) if hashlib.sha256(content(name, number)).digest() == digest)
        known[name] = (version, State(state))
        body = None if state == "accepted" else content(name, version)
        assert body == (zlib.decompress(spool[name]) if name in spool else None)
        letters = [folder / "refused" / f"{name}{suffix}" for suffix in (".json", ".outcome.json")]
        if state == "refused":
            assert letters[0].read_bytes() == content(name, version) + b"\n"
            assert json.loads(letters[1].read_bytes())["outcome"] == {"of": name}
        assert state != "accepted" or not any(letter.exists() for letter in letters)
    assert rows(folder, "SELECT count(*) FROM spool") == [(len(spool),)]
    assert not [name for name in os.listdir(folder / "refused") if name.endswith(".part")]
    return known


def test_killed_at_any_moment_nothing_is_lost_and_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(11)
    steps = cut = 0
    known: Known = {}
    for number in range(80):
        folder = tmp_path / f"state{number // 10}"
        known = known if folder.exists() else {}
        lines = chance.choice([0, chance.randrange(1, 50)])
        said = killed_run(folder, number, lines, chance.uniform(0, 0.003 if lines else 0.03))
        last: list[object] | None = None
        for line in said:
            if line == "done":
                assert last is not None
                known, last, steps = after(known, last), None, steps + 1
            else:
                assert isinstance(line, list), line
                last = line
        cut += last is not None
        possible = [at_rest(known), *([at_rest(after(known, last))] if last else [])]
        known = found(folder)
        assert known in possible
    assert cut > 20
    assert steps > 300
