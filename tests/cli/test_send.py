"""`dicom2fhir send` and `convert --server`: what is taken, how it ends, what is left behind, what is never told."""

from __future__ import annotations

import gzip
import json
import os
import re
import shutil
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import faults
import pytest
from check import FOLDERS
from delivering import FAST, Ended, Reader, command, lines, made, many, numbers, of, patient, send, study, writes
from fhirserver import FhirServer
from tokens import TokenEndpoint

from dicom2fhir.fhir.policy import Policy

SECRET = "tok-PLANTED-b7e1c9"


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with FhirServer() as one:
        yield one


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    file = tmp_path / "bundles.ndjson"
    file.write_bytes(lines(many(4)))
    return file


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few of the clean cases, one of them with key objects."""
    folder = tmp_path_factory.mktemp("input")
    for case in (
        "us",
        "key-object",
        "key-object-nested",
        "requester",
        "encounter",
        "retrieve-url",
        "no-issuer-two-folders",
    ):
        shutil.copytree(FOLDERS[case], folder / case)
    return folder


def convert(server: FhirServer, *arguments: object, **more: Any) -> Ended:
    return command("convert", "--server", server.base, *FAST, *arguments, **more)


# What is taken --------------------------------------------------------------------------------------


def test_lines_from_standard_input(server: FhirServer) -> None:
    done = send(server, "-", stdin=lines(many(3)))
    assert (done.code, done.out) == (0, "")
    assert "3 Bundles accepted by the server: 3 new" in done.err
    assert len(Reader(server.base).all("ImagingStudy")) == 3


def test_a_folder_that_convert_wrote(server: FhirServer, tmp_path: Path) -> None:
    """One file a study, and a manifest that is no Bundle."""
    assert command("convert", FOLDERS["us"], "-o", f"{tmp_path}/out/").code == 0
    done = send(server, tmp_path / "out", report=tmp_path / "report.json")
    assert (done.code, done.ends) == (0, (1, 0, 0, 0))
    assert done.report["bundles"] == {"found": 1, "malformed": 0}


@pytest.mark.parametrize("one_file", [True, False])
def test_ndjson_of_bare_resources(server: FhirServer, source: Path, tmp_path: Path, one_file: bool) -> None:
    """In one file, and in a folder by type, whatever the order of the names."""
    target = tmp_path / "out.ndjson" if one_file else f"{tmp_path}/out/"
    assert command("convert", source, "--format", "ndjson", "-o", target).code == 0
    done = send(server, target, report=tmp_path / "report.json")
    assert done.code == 0, done.err + str(done.report["problems"])
    before = Reader(server.base).versions()
    assert set(before.values()) == {"1"}
    server.clear_log()
    assert send(server, target).code == 0
    assert not writes(server)
    assert Reader(server.base).versions() == before


def test_one_bundle_of_several_studies_is_taken_apart(server: FhirServer, source: Path, tmp_path: Path) -> None:
    assert command("convert", source, "--format", "bundle", "-o", tmp_path / "all.json").code == 0
    whole = json.loads((tmp_path / "all.json").read_bytes())
    uids = {entry["resource"]["id"] for entry in whole["entry"] if entry["resource"]["resourceType"] == "ImagingStudy"}
    done = send(server, tmp_path / "all.json", report=tmp_path / "report.json")
    assert (done.code, done.ends) == (0, (len(uids), 0, 0, 0)), done.report["problems"]
    assert {one["id"] for one in Reader(server.base).all("ImagingStudy")} == uids
    assert not server.duplicates()


def test_what_is_no_fhir_is_counted_and_the_rest_is_sent(server: FhirServer, tmp_path: Path) -> None:
    garbage = [
        b"{oh no",
        b"[]",
        b'{"resourceType":"Patient"}',
        b'{"resourceType":"Bundle","type":"searchset"}',
        b"null",
    ]
    garbage.append(b'{"resourceType":"Bundle","type":"transaction","entry":[{"resource":{"resourceType":"Basic"}}]}')
    file = tmp_path / "mixed.ndjson.gz"
    file.write_bytes(gzip.compress(lines(many(1)) + b"\n".join(garbage) + b"\n" + lines([made(study(9))])))
    done = send(server, file, report=tmp_path / "report.json")
    assert (done.code, done.ends, done.codes) == (3, (2, 0, 0, 0), ["malformed"] * 6)
    assert done.report["bundles"] == {"found": 2, "malformed": 6}
    assert {row["path"] for row in done.report["problems"]} == {f"{file}:{line}" for line in range(2, 8)}


def test_nothing_to_send(server: FhirServer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert send(server, tmp_path / "empty").code == 9
    assert send(server).code == 2
    assert send(server, tmp_path / "missing").code == 2
    assert command("send", "-").code == 2


# How it ends ----------------------------------------------------------------------------------------


def test_the_report_counts_what_came_of_the_studies(server: FhirServer, bundles: Path, tmp_path: Path) -> None:
    server.script([faults.KINDS["422"].on("POST"), faults.KINDS["500-after"].on("POST")])
    done = send(server, bundles, "--connections", 1, report=tmp_path / "report.json")
    told = done.report["delivery"]
    assert list(told) == ["accepted", "pending", "unknown", "refused", "requests", "retries", "bytes"]
    assert (done.code, done.ends, told["requests"], told["retries"]) == (6, (3, 0, 0, 1), len(server.log), 1)
    assert told["bytes"] == sum(one.size for one in server.log)
    assert stat.S_IMODE((tmp_path / "report.json").stat().st_mode) == 0o600


def test_what_was_refused_outweighs_what_was_lost(server: FhirServer, tmp_path: Path) -> None:
    done = send(server, "-", stdin=lines(many(1)) + b"{}\n", report=tmp_path / "report.json")
    assert done.code == 3
    server.script([faults.KINDS["422"].on("POST")])
    assert send(server, "-", stdin=lines([made(study(5))]) + b"{}\n").code == 6


def test_two_runs_on_one_state(server: FhirServer, bundles: Path, tmp_path: Path) -> None:
    from dicom2fhir.server.journal import Journal

    first = Journal(str(tmp_path / "state"), server.base, "r4")
    first.open()
    try:
        assert send(server, bundles, "--state", tmp_path / "state").code == 11
    finally:
        first.close()
    assert not server.log


def test_a_state_belongs_to_one_server(server: FhirServer, bundles: Path, tmp_path: Path) -> None:
    assert send(server, bundles, "--state", tmp_path / "state").code == 0
    with FhirServer() as another:
        assert send(another, bundles, "--state", tmp_path / "state").code == 2
        assert not another.log


def test_the_same_command_resumes(server: FhirServer, bundles: Path, tmp_path: Path) -> None:
    state, report = tmp_path / "state", tmp_path / "report.json"
    server.script([faults.slow(0).on("POST"), faults.away(60).on("POST")])
    done = send(server, bundles, "--state", state, "--connections", 1, "--give-up-after", 0.2, report=report)
    assert done.code == 5
    assert done.ends[0] + done.ends[1] == 4
    assert done.ends[0] >= 1
    server.wait_for(server.up())
    before = {one["id"] for one in Reader(server.base).all("ImagingStudy")}
    server.clear_log()
    again = send(server, bundles, "--state", state, report=report)
    assert (again.code, again.ends) == (0, (4, 0, 0, 0))
    assert f"{done.ends[0]} sent by an earlier run" in again.err
    touched = {name.partition("/")[2] for one in server.log for name in one.names if name.startswith("ImagingStudy/")}
    assert not touched & before
    assert set(Reader(server.base).versions("ImagingStudy").values()) == {"1"}


def test_send_without_a_file_sends_what_is_left(server: FhirServer, bundles: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    server.script([faults.KINDS["429"].on("POST").repeated(100)])
    assert send(server, bundles, "--state", state, "--tries", 2).code == 5
    server._script.clear()
    one = send(server, "-", "--state", state, stdin=lines([made(study(77))]))
    assert "4 Bundles of earlier runs not accepted yet" in one.err
    done = send(server, "--state", state, report=tmp_path / "report.json")
    assert (done.code, done.ends) == (0, (4, 0, 0, 0))
    assert send(server, "--state", state).code == 9


def test_what_has_changed_is_sent_again(server: FhirServer, tmp_path: Path) -> None:
    state = tmp_path / "state"
    assert send(server, "-", "--state", state, stdin=lines(many(3))).code == 0
    server.clear_log()
    grown = [*many(3)[:2], made(study(3, 5, of=patient("P3")))]
    assert "1 changed, 2 sent by an earlier run" in send(server, "-", "--state", state, stdin=lines(grown)).err
    assert len(writes(server)) == 1
    assert sorted(numbers(Reader(server.base).all("ImagingStudy")).values()) == [2, 2, 5]


@pytest.mark.parametrize("named", ["state", "state/refused"])
def test_dead_letters_are_sent_again(server: FhirServer, bundles: Path, tmp_path: Path, named: str) -> None:
    state = tmp_path / "state"
    server.script([faults.KINDS["422"].on("POST").repeated(2)])
    assert send(server, bundles, "--state", state, "--connections", 1).code == 6
    assert len(list((state / "refused").iterdir())) == 4
    done = send(server, tmp_path / named, "--state", state, report=tmp_path / "report.json")
    assert (done.code, done.ends) == (0, (2, 0, 0, 0))
    assert not list((state / "refused").iterdir())
    assert len(Reader(server.base).all("ImagingStudy")) == 4


def test_a_dry_run_writes_nothing_and_counts_as_if(server: FhirServer, bundles: Path, tmp_path: Path) -> None:
    state, report = tmp_path / "state", tmp_path / "report.json"
    done = send(server, bundles, "--state", state, "--dry-run", report=report)
    assert (done.code, done.ends) == (0, (4, 0, 0, 0))
    assert "would be accepted (dry run): 4 new" in done.err
    assert not writes(server)
    assert not state.exists()


# convert --server -----------------------------------------------------------------------------------


def test_convert_sends_what_it_converts(server: FhirServer, source: Path, tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    done = convert(server, source, "--state", tmp_path / "state", report=report)
    assert (done.code, done.out) == (0, "")
    emitted = done.report["studies"]["emitted"]
    assert done.ends == (emitted, 0, 0, 0)
    studies = Reader(server.base).all("ImagingStudy")
    assert len(studies) == emitted
    assert sum(one["numberOfInstances"] for one in studies) == done.report["instances"]["emitted"]
    server.clear_log()
    again = convert(server, source, report=report)
    assert (again.code, again.ends) == (0, (emitted, 0, 0, 0))
    assert f"{emitted} unchanged" in again.err
    assert not writes(server)


def test_input_lost_and_studies_refused(server: FhirServer, tmp_path: Path) -> None:
    shutil.copytree(FOLDERS["us"], tmp_path / "in" / "us")
    shutil.copytree(FOLDERS["bad-uid"], tmp_path / "in" / "bad")
    assert convert(server, tmp_path / "in", report=tmp_path / "report.json").code == 3
    with FhirServer() as another:
        another.script([faults.KINDS["422"].on("POST")])
        done = convert(another, tmp_path / "in", report=tmp_path / "report.json")
    assert done.code == 6
    assert {"bad-uid", "server-refused"} <= set(done.codes)
    assert sum(done.ends) == done.report["studies"]["emitted"]


def test_convert_of_nothing(server: FhirServer, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert convert(server, tmp_path / "empty").code == 9


@pytest.mark.parametrize(
    "options",
    [("-o", "-"), ("--format", "ndjson"), ("--bundle-type", "collection"), ("--pretty",), ("--to", "dstu2-ballot2")],
)
def test_what_cannot_be_sent(server: FhirServer, options: tuple[str, ...]) -> None:
    assert convert(server, FOLDERS["us"], *options).code in (2, 4)
    assert not writes(server)


def test_key_objects_that_did_not_change_are_not_sent_again(server: FhirServer) -> None:
    for write in ("put", "conditional-update"):
        for _ in range(2):
            server.clear_log()
            source = FOLDERS["key-object"]
            assert convert(server, source, "--write", write, "--key-objects", "basic", "--manifest").code in (0, 6)
        assert not writes(server)
        server.store.__init__(server.rules)  # type: ignore[misc]


def test_without_a_state_nothing_of_a_patient_is_left(server: FhirServer, source: Path, tmp_path: Path) -> None:
    """Whatever else may lie in the temporary folder while it runs."""
    (tmp_path / "tmp").mkdir()
    done = _outside(server, "convert", str(source), TMPDIR=str(tmp_path / "tmp"))
    assert done.returncode == 0
    assert b"Without --state nothing is remembered" in done.stderr
    assert not list((tmp_path / "tmp").rglob("*"))


# What is never told ---------------------------------------------------------------------------------


def _outside(server: FhirServer, *arguments: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "dicom2fhir", *arguments, "--server", server.base, *FAST]
    return subprocess.run(command, capture_output=True, env=os.environ | env, timeout=120, check=False)


def test_a_planted_secret_is_told_to_nobody_but_the_server(bundles: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET + "\n")
    (tmp_path / "key").write_text(SECRET + "-header\n")
    planted = ("--header", f"X-Api-Key:@{tmp_path}/key", "--secret-file", str(tmp_path / "secret"), "-v")
    every = [("--log-format", "json"), ("--log-format", "text", "--log-identifiers")]
    with TokenEndpoint(secret=SECRET) as tokens:
        grant = ("--auth", "client-credentials", "--client-id", "dicom2fhir", "--token-url", tokens.base)
        ways: list[tuple[Any, tuple[str, ...]]] = [
            (f"Bearer {SECRET}", ("--auth", "bearer")),
            (None, ("--auth", "basic", "--user", "me")),
            (tokens, grant),
        ]
        for number, (authorization, options) in enumerate(ways):
            for fault in (None, "401", "422", "reset", "500", "200-html"):
                with FhirServer(authorization=authorization) as server:
                    server.script([faults.KINDS[fault].on("POST").repeated(10_000)] if fault else [])
                    state = tmp_path / f"state-{number}-{fault}"
                    log = every[number % 2]
                    given = (*options, *planted, *log, "--state", state, "--tries", 2, "--give-up-after", 0.1)
                    told = send(server, bundles, *given, report=tmp_path / "report.json")
                    assert (told.code == 0) == (fault in (None, "200-html")), told.err
                    assert any(SECRET in str(one.headers) for one in server.log)
                    shown = {one.headers.get("authorization", SECRET) for one in server.log}
                    hidden = (SECRET, *tokens.tokens, *shown)
                    texts = [told.out, told.err, json.dumps(told.report), *_contents(state)]
                    assert not [each for each in hidden for text in texts if each in text]


def _contents(folder: Path) -> list[str]:
    return [path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file()]


def test_one_refresh_serves_all_connections(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with TokenEndpoint(secret=SECRET) as tokens, FhirServer(authorization=tokens, latency=0.02) as server:

        async def expire(exchange: Any) -> None:
            tokens._good.clear()
            exchange.send(await exchange.process())

        server.script([faults.slow(0).on("POST"), faults.Fault("expired", expire, method="POST")])
        grant = ("--auth", "client-credentials", "--client-id", "dicom2fhir", "--token-url", tokens.base)
        given = (*grant, "--secret-file", tmp_path / "secret", "--connections", 4)
        assert send(server, "-", *given, stdin=lines(many(20))).code == 0
        assert sum(one.status == 401 for one in server.log) > 1
        assert tokens.grants == 2
        assert len(server.resources("ImagingStudy")) == 20


def test_a_bug_shows_no_secret(server: FhirServer, bundles: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even with the traceback that --log-identifiers gives."""

    def broken(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setenv("DICOM2FHIR_SECRET", SECRET)
    monkeypatch.setattr("dicom2fhir.server.post.judge", broken)
    done = send(server, bundles, "--auth", "bearer", "-v", "--log-identifiers")
    assert done.code == 70
    assert "ZeroDivisionError" in done.err
    assert SECRET not in done.err
    assert "urn:dicom:uid" not in done.err


def test_the_list_of_processes_shows_no_secret(bundles: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text(SECRET)
    with FhirServer(latency=0.5, authorization=f"Bearer {SECRET}") as server:
        given = ("--secret-command", f"cat {tmp_path}/secret", "--auth", "bearer")
        command = [sys.executable, "-m", "dicom2fhir", "send", str(bundles), "--server", server.base, *given, "-q"]
        run = subprocess.Popen(command)
        seen = ""
        while run.poll() is None:
            seen += "".join(_read(path) for path in Path("/proc").glob("[0-9]*/cmdline"))
            time.sleep(0.1)
        assert run.returncode == 0
        assert "dicom2fhir" in seen
        assert SECRET not in seen


def _read(path: Path) -> str:
    try:
        return path.read_bytes().decode("latin-1")
    except OSError:
        return ""


@pytest.mark.parametrize(
    "base", ["http://server.invalid/fhir", "https://user:{}@server.invalid/fhir", "https://x/?a={}"]
)
def test_addresses_that_are_refused(base: str, bundles: Path) -> None:
    done = command("send", bundles, "--server", base.format(SECRET), *FAST)
    assert done.code == 2
    assert SECRET not in done.err


def test_a_secret_in_the_argument_list_is_refused(server: FhirServer, bundles: Path) -> None:
    done = send(server, bundles, "--header", f"Authorization: Bearer {SECRET}")
    assert done.code == 2
    assert SECRET not in done.err
    assert not server.log


def test_no_identifier_is_told(server: FhirServer, bundles: Path) -> None:
    server.script([faults.KINDS["422"].on("POST"), faults.KINDS["reset"].on("POST")])
    done = send(server, bundles, "-v", "--connections", 1)
    assert done.code == 6
    assert not re.search(r"1\.2\.3\.|Doe|P1\b|site\.example|ImagingStudy/", done.err)


def test_interrupted_while_sending(bundles: Path, tmp_path: Path) -> None:
    """SIGTERM ends it at once, and the same command does the rest."""
    with FhirServer(latency=0.2) as server:
        state = ("--state", str(tmp_path / "state"), "--connections", "1")
        command = [sys.executable, "-m", "dicom2fhir", "send", str(bundles), "--server", server.base, *state, *FAST]
        run = subprocess.Popen(command, stderr=subprocess.PIPE)
        while not writes(server):
            time.sleep(0.01)
        run.terminate()
        assert b"terminated" in run.communicate(timeout=20)[1]
        assert run.returncode == 143
        server.habits = server.habits.__class__()
        assert send(server, bundles, *state).code == 0
        assert set(Reader(server.base).versions().values()) == {"1"}
        assert len(server.resources("ImagingStudy")) == 4


def test_a_port_that_nobody_listens_at(bundles: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        base = f"http://127.0.0.1:{taken.getsockname()[1]}/fhir"
        done = command("send", bundles, "--server", base, *FAST, "--give-up-after", 0.1)
    assert done.code == 5
    assert "has not answered" in done.err


def test_two_patients_of_one_number_stay_two(server: FhirServer) -> None:
    """From DICOM files, without a system for the number."""
    assert convert(server, FOLDERS["no-issuer-two-folders"]).code == 0
    assert not server.resources("Patient")
    assert all(one["contained"] for one in Reader(server.base).all("ImagingStudy"))


def test_what_is_ours_is_written_as_the_user_chose(server: FhirServer) -> None:
    for number, write in enumerate(("put", "conditional-update", "conditional-create", "create")):
        policy = Policy(write=write)  # type: ignore[arg-type]
        assert send(server, "-", stdin=lines([made(study(number, endpoint=False), policy)])).code == 0
    ids = {one["id"]: one["identifier"][0]["value"] for one in Reader(server.base).all("ImagingStudy")}
    chosen = of(made(study(0)))["id"]
    assert list(ids.values()).count("urn:oid:1.2.3.0") == 1
    assert [each for each in ids if each == chosen] == [chosen]
