"""The three formats on one stream, and the streams."""

from __future__ import annotations

import gzip
import json
import os
import stat
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from sinks.emissions import POLICY, Memory, resource, study, write_all

from dicom2fhir import encode
from dicom2fhir.errors import EnvironmentFailed, OutputExists, OutputLocked, UsageError
from dicom2fhir.fhir.bundle import bundle
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.problems import Code
from dicom2fhir.sinks.choose import choose
from dicom2fhir.sinks.files import SingleFile, Stdout

PATIENT = resource("Patient", "p" * 32, gender="female")
OTHER = resource("Patient", "p" * 32, gender="male")
PRACTITIONER = resource("Practitioner", "q" * 32, active=True)
RENAMED = resource("Practitioner", "q" * 32, active=False)


def written(path: Path, shape: Any, *emissions: Any, policy: Policy = POLICY, **options: Any) -> bytes:
    write_all(choose(str(path), shape, **options), emissions, policy)
    return path.read_bytes()


def test_bundles_are_one_a_line(tmp_path: Path) -> None:
    one, two = study(0, PATIENT), study(1, PATIENT)
    data = written(tmp_path / "out.ndjson", "bundles", one, two)
    assert data == encode.compact(bundle(one, POLICY)) + b"\n" + encode.compact(bundle(two, POLICY)) + b"\n"
    assert "Schädel 山田".encode() in data


@pytest.mark.parametrize("policy", [Policy(), Policy(bundle_type="collection")], ids=lambda p: p.bundle_type)
@pytest.mark.parametrize("pretty", [False, True])
def test_one_bundle_is_what_encoding_the_whole_would_write(tmp_path: Path, policy: Policy, pretty: bool) -> None:
    one, two = study(0, PATIENT), study(1, PATIENT, PRACTITIONER)
    data = written(tmp_path / "out.json", "bundle", one, two, pretty=pretty, policy=policy)
    whole = bundle(one, policy)
    whole["entry"] += bundle(study(1, PRACTITIONER), policy)["entry"]
    assert data == (encode.pretty if pretty else encode.compact)(whole) + b"\n"


def test_a_bundle_without_entries_is_not_written(tmp_path: Path) -> None:
    assert written(tmp_path / "out.json", "bundle") == b""


@pytest.mark.parametrize("shape", ["bundle", "ndjson"])
def test_each_identity_once_and_the_first_wins(tmp_path: Path, shape: Any) -> None:
    path = tmp_path / "out"
    sink = choose(str(path), shape)
    emissions = [study(0, PATIENT, PRACTITIONER), study(1, PATIENT, RENAMED), study(2, OTHER, PRACTITIONER)]
    problems = write_all(sink, emissions)
    text = path.read_text(encoding="utf-8")
    assert text.count('"resourceType":"Patient"') == 1
    assert '"male"' not in text
    assert '"active":true' in text
    assert '"active":false' not in text
    assert [(p.code, p.where) for p in problems] == [
        (Code.COMPANION_DIFFERS, "1.2.1/Practitioner"),
        (Code.PATIENT_DIFFERS, "1.2.2/Patient"),
    ]


def test_separate_bundles_each_say_all(tmp_path: Path) -> None:
    data = written(tmp_path / "out", "bundles", study(0, PATIENT), study(1, OTHER))
    assert data.count(b'"resourceType":"Patient"') == 2


def test_ndjson_is_one_resource_a_line(tmp_path: Path) -> None:
    lines = written(tmp_path / "out.ndjson", "ndjson", study(0, PATIENT), study(1, PATIENT)).splitlines()
    assert [json.loads(line)["resourceType"] for line in lines] == ["Patient", "ImagingStudy", "ImagingStudy"]


def test_gz_has_no_time_and_no_name(tmp_path: Path) -> None:
    one = written(tmp_path / "a.ndjson.gz", "bundles", study(0))
    two = written(tmp_path / "bb.json.gz", "bundles", study(0))
    assert one == two
    assert one[3:8] == b"\0\0\0\0\0"  # flags and mtime of RFC 1952
    assert gzip.decompress(one) == encode.compact(bundle(study(0), POLICY)) + b"\n"


def test_a_file_appears_only_when_whole(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    sink = choose(str(path), "bundles")
    sink.open(Memory())
    sink.write(sink.encode(study(0), POLICY))
    assert not path.exists()
    sink.finish()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["out.ndjson"]


@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.gz"])
def test_an_aborted_file_leaves_nothing(tmp_path: Path, name: str) -> None:
    sink = choose(str(tmp_path / name), "bundles")
    sink.open(Memory())
    sink.write(sink.encode(study(0), POLICY))
    sink.abort()
    sink.abort()
    del sink
    assert os.listdir(tmp_path) == []


def test_an_existing_file_needs_overwrite(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    path.write_text("mine")
    with pytest.raises(OutputExists):
        choose(str(path), "bundles").open(Memory())
    assert path.read_text() == "mine"
    assert written(path, "bundles", study(0), overwrite=True) == encode.compact(bundle(study(0), POLICY)) + b"\n"


def test_a_link_is_written_through(tmp_path: Path) -> None:
    target, link = tmp_path / "real.ndjson", tmp_path / "link.ndjson"
    target.touch()
    link.symlink_to(target)
    written(link, "bundles", study(0), overwrite=True)
    assert link.is_symlink()
    assert target.stat().st_size > 0


def test_what_a_killed_run_left_is_used_again(tmp_path: Path) -> None:
    (tmp_path / ".out.ndjson.part").write_bytes(b"half" * 5000)
    path = tmp_path / "out.ndjson"
    assert written(path, "bundles", study(0)) == encode.compact(bundle(study(0), POLICY)) + b"\n"


def test_two_runs_cannot_write_one_file(tmp_path: Path) -> None:
    first, second = SingleFile(str(tmp_path / "out")), SingleFile(str(tmp_path / "out"), overwrite=True)
    first.open()
    with pytest.raises(OutputLocked):
        second.open()
    second.abort()
    first.write(b"x")
    first.commit()
    assert (tmp_path / "out").read_bytes() == b"x"
    second.open()
    second.abort()
    assert (tmp_path / "out").read_bytes() == b"x"


def test_a_temporary_name_that_is_a_link_is_not_followed(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("keep")
    (tmp_path / ".out.part").symlink_to(victim)
    with pytest.raises(EnvironmentFailed):
        SingleFile(str(tmp_path / "out")).open()
    assert victim.read_text() == "keep"


def test_errors_name_no_paths(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as missing:
        SingleFile(str(tmp_path / "secret" / "out")).open()
    assert "secret" not in str(missing.value)
    with pytest.raises(EnvironmentFailed) as failed:
        SingleFile(str(tmp_path / ("long" * 63))).open()
    assert str(failed.value) == "creating the output failed: File name too long"


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_is_the_environments_fault() -> None:
    sink = choose("/dev/full", "bundles")
    sink.open(Memory())
    large = study(0, resource("Patient", "p" * 32, text="x" * 100_000))
    with pytest.raises(EnvironmentFailed, match="No space left"):
        sink.write(sink.encode(large, POLICY))
    sink.abort()


def test_a_device_needs_no_overwrite_and_stays_a_device() -> None:
    write_all(choose("/dev/null", "bundles"), [study(0)])
    assert stat.S_ISCHR(os.stat("/dev/null").st_mode)


def test_a_fifo_is_written_straight(tmp_path: Path) -> None:
    fifo = tmp_path / "pipe"
    os.mkfifo(fifo)
    received: list[bytes] = []
    reader = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    reader.start()
    write_all(choose(str(fifo), "bundles"), [study(0)])
    reader.join(10)
    assert received == [encode.compact(bundle(study(0), POLICY)) + b"\n"]


def test_stdout_gets_whole_lines_and_an_abort_keeps_the_rest_back(capfdbinary: Any) -> None:
    stdout = Stdout()
    stdout.open()
    for number in range(3):
        stdout.write(b"%d" % number + b"x" * 30_000 + b"\n")
    stdout.write(b"never seen")
    stdout.abort()
    out = capfdbinary.readouterr().out
    assert [line[:1] for line in out.splitlines()] == [b"0", b"1", b"2"]


def test_a_closed_pipe_is_told_as_such() -> None:
    code = "from dicom2fhir.sinks.files import Stdout\ntry:\n while True: Stdout().write(b'x' * 70000)\n"
    code += "except BrokenPipeError: import os; os._exit(41)"
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) == 41


def test_a_dry_run_writes_nothing_and_notes_the_same(tmp_path: Path) -> None:
    sink = choose(str(tmp_path / "out"), "ndjson", dry_run=True)
    problems = write_all(sink, [study(0, PATIENT), study(1, OTHER)])
    assert [p.code for p in problems] == [Code.PATIENT_DIFFERS]
    assert os.listdir(tmp_path) == []
    assert sink.own_paths == ()


@pytest.mark.parametrize(
    ("destination", "shape", "pretty"),
    [
        ("folder/", "bundle", False),
        (None, "bundles", True),
        ("-", "ndjson", True),
        ("out.ndjson", "bundles", True),
        ("folder/", "ndjson", True),
    ],
)
def test_what_does_not_go_together(destination: str | None, shape: Any, pretty: bool) -> None:
    with pytest.raises(UsageError):
        choose(destination, shape, pretty=pretty)


def test_own_paths_are_the_file_and_its_temporary_name(tmp_path: Path) -> None:
    sink = choose(str(tmp_path / "out.ndjson"), "bundles")
    sink.open(Memory())
    assert set(sink.own_paths) == {str(tmp_path / "out.ndjson"), *(str(p) for p in tmp_path.iterdir())}
    sink.abort()
