"""One tree with everything that can be wrong with an archive, through the command line: it ends and says what was lost.

The files that hang plain pydicom, or ask it for gigabytes, are made here: `testdata/` holds their small relatives.
"""

from __future__ import annotations

import ctypes
import io
import json
import os
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pydicom
import pytest
from builders import DEFLATED, dataset, encode, uid, write

from dicom2fhir.pipeline import Options, convert
from dicom2fhir.sinks.choose import choose
from dicom2fhir.sources.directory import Paths
from dicom2fhir.workers import Limits

UNDEFINED = b"\xff\xff\xff\xff"
DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
ITEM = b"\xfe\xff\x00\xe0"
WITHIN = 60.0
"""Seconds that the whole tree may take (the issue, "Shows" 5)."""
DEADLINE, MEMORY = 4, 100
SECRETS = (b"Testperson", b"TESTPERSON", uid(1).encode())


def before_the_patient(inserted: bytes, **keywords: Any) -> bytes:
    """A good object with private bytes in front of its patient's name."""
    content = encode(dataset(**keywords))
    at = content.index(b"\x10\0\x10\0PN")
    return content[:at] + inserted + content[at:]


def endless(count: int) -> bytes:
    """Values of undefined length, each of which looks like the start of all the others to whoever seeks its end."""
    value = b"\x09\0\x01\x10OB\0\0" + UNDEFINED + ITEM + (20).to_bytes(4, "little") + DELIMITER
    return before_the_patient(value * count, study=91)


def write_heavy(path: Path) -> None:
    """A private sequence of four values of 48 MiB that pydicom keeps though nobody wants them; sparse on the disk."""
    size = 48 << 20
    value = b"\x09\0\x01\x10OB\0\0" + size.to_bytes(4, "little")
    marked = before_the_patient(b"\x09\0\x01\x10SQ\0\0" + UNDEFINED + b"HERE" + DELIMITER, study=92)
    before, after = marked.split(b"HERE")
    with path.open("wb") as file:
        file.write(before)
        for _ in range(4):
            file.write(ITEM + (size + len(value)).to_bytes(4, "little") + value)
            file.seek(size, os.SEEK_CUR)
        file.write(after)


def bomb(mebibytes: int) -> bytes:
    """A deflated file of a thousandth of the size that it inflates to; plain pydicom holds that twice."""
    whole = encode(dataset(study=93), DEFLATED)
    head = whole[: 144 + int.from_bytes(whole[140:144], "little")]
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    block = 64
    length = (mebibytes << 20).to_bytes(4, "little")
    start = squeeze.compress(b"\x08\0\x05\0CS\0\0\x09\0\x01\x10OB\0\0" + length) + squeeze.flush(zlib.Z_FULL_FLUSH)
    zeros = squeeze.compress(bytes(block << 20)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return head + start + zeros * (mebibytes // block) + squeeze.flush()


def nested(depth: int) -> bytes:
    start = b"\x09\0\x01\x10SQ\0\0" + UNDEFINED + ITEM + UNDEFINED
    return before_the_patient(start * depth + (b"\xfe\xff\x0d\xe0" + bytes(4) + DELIMITER) * depth, study=94)


def make_tree(root: Path) -> dict[str, int]:
    """Everything, and how many rows of the report each code has to have for it."""
    for number in range(1, 40):
        write(root / f"good/{number}", dataset(number=number))
    # two patients in one study
    write(root / "conflict/1", dataset(study=2, PatientID="A"))
    write(root / "conflict/2", dataset(study=2, number=2, PatientID="B"))
    # what hangs, eats or is too deep
    write(root / "bad/endless", endless(40_000))
    write_heavy(root / "bad/heavy")
    write(root / "bad/bomb", bomb(4032))
    write(root / "bad/nested", nested(5000))
    write(root / "bad/cut", encode(dataset(study=95))[:500])
    write(root / "bad/empty", b"")
    write(root / "bad/text", b"no DICOM\n")
    # names
    for number, name in enumerate((b"new\nline", b"\xff\xfe not UTF-8", b"-o", b"tab\t'\"$(x)*", "Grüße".encode()), 1):
        folder = os.fsencode(root) + b"/names \xe9/" + name
        os.makedirs(folder)
        Path(os.fsdecode(folder + b"/" + name)).write_bytes(encode(dataset(study=3, number=number)))
    # what is no file
    os.mkfifo(root / "fifo")
    with closing(socket.socket(socket.AF_UNIX)) as listener:
        listener.bind(str(root / "socket"))
    os.symlink(root, root / "loop")
    os.symlink("nowhere", root / "dangling")
    os.symlink("good/1", root / "link")
    # what may not be read
    write(root / "shut/1", dataset(study=4))
    write(root / "closed", dataset(study=5))
    for path, mode in ((root / "shut", 0o700), (root / "closed", 0o600)):
        forbid(path, mode)
    return {
        "deadline": 1,
        "memory-limit": 1,
        "inflate-limit": 1,
        "too-deep": 1,
        "truncated-header": 1,
        "empty-file": 1,
        "not-dicom": 1,
        "patient-conflict": 2,
        "permission": 2,
        "special-file": 2,
        "symlink": 3,
    }


def forbid(path: Path, mode: int) -> None:
    """Make it another user's where there is another; else let nobody read it."""
    if os.geteuid() == 0:
        os.chmod(path, mode)
        os.chown(path, 65534, 65534)
    else:
        os.chmod(path, 0)


def without_root_s_rights() -> None:
    """Before a program starts as root: give up for good what lets root read other users' files."""
    drop, override, search = 24, 1, 2  # PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    libc = ctypes.CDLL(None, use_errno=True)
    for capability in (override, search):
        if os.geteuid() == 0 and libc.prctl(drop, capability, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, dict[str, int]]]:
    root = tmp_path_factory.mktemp("hostile")
    yield root, make_tree(root)
    (root / "shut").chmod(0o700)


def command(*arguments: object) -> tuple[subprocess.CompletedProcess[bytes], float]:
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-m", "dicom2fhir", *map(str, arguments)],
        capture_output=True,
        preexec_fn=without_root_s_rights,
        timeout=2 * WITHIN,
        check=False,
    )
    return done, time.monotonic() - began


@pytest.mark.parametrize("jobs", [1, 2])
def test_the_tree_is_converted_and_every_loss_is_told(
    tree: tuple[Path, dict[str, int]], jobs: int, tmp_path: Path
) -> None:
    root, wanted = tree
    done, seconds = command(
        "convert",
        root,
        "--jobs",
        jobs,
        "--deadline",
        DEADLINE,
        "--memory-limit",
        MEMORY,
        "--report",
        tmp_path / "r.json",
    )
    assert done.returncode == 3, done.stderr
    assert seconds < WITHIN
    said = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert said["exit_code"] == 3
    losses = Counter(row["code"] for row in said["problems"] if row["path"])
    assert losses == wanted
    assert said["files"] == {
        "seen": 39 + 2 + 7 + 5 + 5 + 2,
        "dicom": 39 + 2 + 5,
        "not_dicom": 2,
        "rejected": 5,
        "unreadable": 2,
        "excluded": 5,
        "containers": 0,
    }
    assert said["instances"]["emitted"] == 39 + 5
    assert said["studies"] == {"found": 3, "emitted": 2, "withheld": 1}
    assert [json.loads(line)["type"] for line in done.stdout.splitlines()] == ["transaction"] * 2
    assert not any(secret in done.stderr for secret in (*SECRETS, os.fsencode(root)))


def test_the_neighbours_of_what_kills_a_reader_are_all_read(tmp_path: Path) -> None:
    """Also with one process, and however often it has to be started again."""
    for number in range(1, 200):
        write(tmp_path / "in" / f"{number:03}", dataset(number=number))
    for number in (0, 70, 71):
        write(tmp_path / "in" / f"{number:03} endless", endless(20_000))
    sink, limits = choose(str(tmp_path / "out"), "bundles"), Limits(deadline=1.5)
    report = convert(Paths([str(tmp_path / "in")]), sink, Options(limits=limits, jobs=1))
    assert report.identities() == []
    assert (report.instances.emitted, report.files.rejected) == (199, 3)


def test_following_links_ends_and_meets_each_file_once(tree: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    root, _ = tree
    report = tmp_path / "r.json"
    done, _ = command(
        "convert", root, "--follow-symlinks", "--exclude", "bad", "--dry-run", "--report", report, "--jobs", 1
    )
    assert done.returncode == 3, done.stderr
    said = json.loads(report.read_text(encoding="utf-8"))
    assert said["instances"]["emitted"] == 39 + 5
    assert said["instances"]["duplicate_identical"] == 0


def test_inspect_survives_it_too(tree: tuple[Path, dict[str, int]]) -> None:
    root, _ = tree
    done, _ = command("inspect", root, "--json", "--exclude", "endless", "--exclude", "heavy")
    assert done.returncode == 3, done.stderr
    assert len(json.loads(done.stdout)["studies"]) == 3


def test_names_are_told_as_the_user_would_type_them(tree: tuple[Path, dict[str, int]], tmp_path: Path) -> None:
    root, _ = tree
    copy = os.fsencode(root) + b"/names \xe9/copy \xff"
    Path(os.fsdecode(copy)).write_bytes(encode(dataset(study=3, number=1)))
    done, _ = command("convert", os.fsdecode(os.path.dirname(copy)), "--dry-run", "--report", tmp_path / "r.json")
    os.unlink(copy)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["problems"]
    (path,) = (row["path"] for row in rows if row["code"] == "duplicate-identical")
    assert "names \\xe9/" in path
    assert path.endswith(("copy \\xff", "new\nline"))


# That the files are as bad as they are said to be


def test_the_endless_file_takes_plain_pydicom_a_time_that_grows_with_its_square() -> None:
    def seconds(count: int) -> float:
        began = time.process_time()
        pydicom.dcmread(io.BytesIO(endless(count)), stop_before_pixels=True)
        return time.process_time() - began

    assert seconds(2000) > 8 * seconds(500)


def test_the_bomb_is_whole_and_holds_what_it_says() -> None:
    content = bomb(64)
    assert len(content) < 100_000
    assert len(bomb(4032)) < 10_000_000
    start = 144 + int.from_bytes(content[140:144], "little")
    assert len(zlib.decompress(content[start:], -zlib.MAX_WBITS)) > 64 << 20
