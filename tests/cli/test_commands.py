"""The commands from outside: what goes to standard output, what to standard error, and the exit code."""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import delivering
import pytest

from dicom2fhir.cli.convert import READING
from dicom2fhir.pipeline import Options, reading_task
from dicom2fhir.problems import MEANINGS, Code

CLEAN = Path(__file__).parents[2] / "testdata" / "clean"
FAULTS = Path(__file__).parents[2] / "testdata" / "faults"


def run(
    *arguments: object, stdin: bytes = b"", cwd: Path | None = None, **env: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "dicom2fhir", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        cwd=cwd,
        env={**os.environ, **env},
        timeout=120,
        check=False,
    )


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small clean cases."""
    folder = tmp_path_factory.mktemp("input")
    for case in [path for path in sorted(CLEAN.iterdir()) if path.is_dir()][:3]:
        shutil.copytree(case, folder / case.name)
    return folder


def test_bundles_on_standard_output(files: Path) -> None:
    done = run("convert", files)
    assert done.returncode == 0, done.stderr
    bundles = [json.loads(line) for line in done.stdout.splitlines()]
    assert bundles
    assert {bundle["type"] for bundle in bundles} == {"transaction"}
    assert b"written;" in done.stderr
    assert os.fsencode(files) not in done.stderr


def test_quiet_says_nothing(files: Path) -> None:
    assert run("convert", files, "-q").stderr == b""


def test_json_lines_on_standard_error(files: Path) -> None:
    rows = [json.loads(line) for line in run("convert", files, "--log-format", "json", "-v").stderr.splitlines()]
    assert {"start", "summary", "finished"} <= {row["event"] for row in rows}
    assert rows[-1]["exit_code"] == 0
    assert rows[-1]["studies"]["found"] > 0


def test_the_same_bytes_from_a_list_of_paths(files: Path) -> None:
    named = [os.fsencode(path) for path in files.rglob("*") if path.is_file()]
    expected = run("convert", files).stdout
    assert run("convert", "-", stdin=b"\n".join(named)).stdout == expected
    assert run("convert", "-0", "-", stdin=b"\0".join(reversed(named))).stdout == expected
    assert run("convert", "-", files).returncode == 2


def test_a_file_a_report_and_a_second_run(files: Path, tmp_path: Path) -> None:
    arguments = ("convert", files, "-o", "out.ndjson.gz", "--report", "report.json")
    assert run(*arguments, cwd=tmp_path).returncode == 0
    report = json.loads((tmp_path / "report.json").read_bytes())
    lines = gzip.decompress((tmp_path / "out.ndjson.gz").read_bytes()).splitlines()
    assert report["exit_code"] == 0
    assert report["studies"]["emitted"] == len(lines)
    assert run(*arguments, cwd=tmp_path).returncode == 2
    assert run(*arguments, "--overwrite", cwd=tmp_path).returncode == 0


def test_a_folder_inside_the_input(files: Path, tmp_path: Path) -> None:
    shutil.copytree(files, tmp_path / "in")
    arguments = ("convert", "in", "-o", "in/out/", "--report", "in/out/report.json")
    digests = []
    for _ in range(2):
        done = run(*arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        digests.append(hashlib.sha256((tmp_path / "in/out/manifest.json").read_bytes()).hexdigest())
    assert digests[0] == digests[1]
    report = json.loads((tmp_path / "in/out/report.json").read_bytes())
    assert [row["code"] for row in report["problems"] if row["code"] == "own-output"] == ["own-output"]


def test_ndjson_folder(files: Path, tmp_path: Path) -> None:
    assert run("convert", files, "-o", f"{tmp_path}/out/", "--format", "ndjson").returncode == 0
    assert (tmp_path / "out" / "ImagingStudy.ndjson").is_file()
    done = run("validate", *sorted((tmp_path / "out").glob("*.ndjson")))
    assert (done.returncode, done.stdout) == (0, b"")


def test_a_dry_run_writes_the_report_and_nothing_else(files: Path, tmp_path: Path) -> None:
    done = run("convert", files, "--dry-run", "-o", "out/", "--report", "report.json", cwd=tmp_path)
    assert done.returncode == 0
    assert b"dry run" in done.stderr
    assert os.listdir(tmp_path) == ["report.json"]
    shown = run("convert", files, "--dry-run", "--report", "-", cwd=tmp_path)
    assert json.loads(shown.stdout)["exit_code"] == 0


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("missing",), 2),
        (("{files}", "--to", "r99"), 2),
        (("{files}", "--timezone", "Mars/Base"), 2),
        (("{files}", "--system", "patient=1.2.3"), 2),
        (("{files}", "--wado-rs", "pacs.example"), 2),
        (("{files}", "--create", "Observation"), 2),
        (("{files}", "--patient", "me"), 2),
        (("{files}", "--bundle-type", "batch", "--write", "create"), 2),
        (("{files}", "--pretty"), 2),
        (("{files}", "--format", "bundle", "-o", "out/"), 2),
        (("{files}", "--report", "-"), 2),
        (("{files}", "--report", "none/report.json"), 2),
        (("{files}", "-o", "same", "--report", "same"), 2),
        (("{files}", "-o", "none/out.ndjson"), 2),
        (("{files}", "-o", "{files}/..", "--overwrite"), 2),
        (("{files}", "--id-key-file", "missing"), 4),
        (("{files}", "--patient-map", "missing"), 4),
        (("empty",), 9),
    ],
)
def test_refusals(
    files: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    done = delivering.command("convert", *(text.format(files=files) for text in arguments))
    assert done.code == code, done.err
    assert done.out == ""
    assert done.err
    assert os.listdir(tmp_path) == ["empty"]


def test_a_config_that_is_not_there(files: Path, tmp_path: Path) -> None:
    """It is read before there is a command that could fail."""
    done = run("convert", files, "--config", "missing", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (4, b"")
    assert done.stderr
    assert os.listdir(tmp_path) == []


def test_an_input_is_never_its_own_output(files: Path, tmp_path: Path) -> None:
    source = next(path for path in files.rglob("*") if path.is_file())
    copy = tmp_path / "one.dcm"
    shutil.copy(source, copy)
    for option in ("-o", "--report"):
        assert run("convert", copy, option, copy, "--overwrite").returncode == 2
    assert copy.read_bytes() == source.read_bytes()


@pytest.mark.parametrize("arguments", [["convert", "--format", "ndjson"], ["inspect"], ["inspect", "--json"]])
def test_a_closed_pipe_ends_quietly(arguments: list[str]) -> None:
    command = [sys.executable, "-m", "dicom2fhir", *arguments, str(CLEAN)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        said = process.stderr.read()
        assert process.wait(60) == 141
    assert said == b""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_nothing_behind(tmp_path: Path, number: signal.Signals, code: int) -> None:
    """The list of paths stays open, so that the run waits for more when the signal comes."""
    # A child inherits what is ignored, and a shell's background jobs ignore SIGINT.
    before = signal.signal(number, signal.default_int_handler)
    (tmp_path / "tmp").mkdir()
    command = [sys.executable, "-m", "dicom2fhir", "convert", "-", "-o", "out.ndjson"]
    env = {**os.environ, "TMPDIR": str(tmp_path / "tmp")}
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=env) as process:
        deadline = time.monotonic() + 30
        while not (tmp_path / ".out.ndjson.part").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        signal.signal(number, before)
        process.send_signal(number)
        assert process.wait(60) == code
    assert os.listdir(tmp_path) == ["tmp"]
    assert os.listdir(tmp_path / "tmp") == []


def test_faults_are_told_and_named_in_the_exit_code() -> None:
    done = run("convert", FAULTS / "patient-disagreement", "-v")
    assert done.returncode == 3
    assert b"--force-patient" in done.stderr
    assert MEANINGS[Code.PATIENT_CONFLICT].sentence.encode() in done.stderr
    forced = run("convert", FAULTS / "patient-disagreement", "--force-patient")
    assert forced.returncode == 3
    assert forced.stdout


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_standard_output(files: Path) -> None:
    for command in (["convert", str(files)], ["problems"], ["inspect", str(files), "--json"]):
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [sys.executable, "-m", "dicom2fhir", *command], stdout=full, stderr=subprocess.PIPE, check=False
            )
        assert done.returncode == 5
        assert done.stderr.decode().splitlines()[-1].endswith("No space left on device.")


def test_no_standard_output_at_all(files: Path) -> None:
    script = f'exec {sys.executable} -m dicom2fhir convert "$1" >&-'
    done = subprocess.run(["sh", "-c", script, "sh", files], capture_output=True, check=False)
    assert done.returncode == 2


def test_config_tables_reach_the_mapping(files: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text('format = "ndjson"\n[system]\npatient = "urn:oid:1.2.3.4"\n', encoding="utf-8")
    done = run("convert", files, "--config", config)
    patients = [row for row in map(json.loads, done.stdout.splitlines()) if row["resourceType"] == "Patient"]
    assert any(i.get("system") == "urn:oid:1.2.3.4" for row in patients for i in row.get("identifier", ()))


def test_problems_are_listed() -> None:
    table = run("problems").stdout.decode().splitlines()
    assert len(table) == len(MEANINGS)
    rows = json.loads(run("problems", "--json").stdout)
    assert [row["code"] for row in rows] == [str(code) for code in MEANINGS]
    assert all(row["sentence"] and row["bucket"] for row in rows)


def test_inspect_hides_the_patient(files: Path) -> None:
    shown = json.loads(run("inspect", files, "--json").stdout)
    assert shown["studies"]
    assert all("patient" not in study for study in shown["studies"])
    assert sum(study["instances"] for study in shown["studies"]) == shown["files"]["dicom"]
    named = json.loads(run("inspect", files, "--json", "--show-patient").stdout)
    identifiers = [study["patient"]["identifier"] for study in named["studies"]]
    assert any(identifiers)
    for option in ((), ("--show-patient",)):
        tree = run("inspect", files, *option)
        assert tree.returncode == 0
        assert all(study["uid"].encode() in tree.stdout for study in shown["studies"])
        assert any(text and f"  {text}".encode() in tree.stdout for text in identifiers) == bool(option)


def test_inspect_shows_no_terminal_controls() -> None:
    shown = run("inspect", CLEAN, FAULTS, "--show-patient")
    assert not {*range(32), 127, 0x9B} & {ord(character) for character in shown.stdout.decode()} - {10}


def test_inspect_of_nothing(tmp_path: Path) -> None:
    done = run("inspect", tmp_path, "--json")
    assert done.returncode == 9
    assert json.loads(done.stdout)["studies"] == []


def bundle(**changes: Any) -> dict[str, Any]:
    study = {"resourceType": "ImagingStudy", "status": "available", "subject": {"display": "x"}, **changes}
    return {"resourceType": "Bundle", "type": "collection", "entry": [{"fullUrl": "urn:uuid:0b5fd1b4-7d62-5f39-9d6b-2f4c2f0f5d10", "resource": study}]}  # fmt: skip # noqa: E501


def test_validate_names_file_line_path_and_rule(tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(json.dumps(bundle(), indent=2))
    (tmp_path / "bad.ndjson").write_text(
        json.dumps(bundle()) + "\n\n" + json.dumps(bundle(status="SECRET")) + "\n{oops\n"
    )
    (tmp_path / "bad.json.gz").write_bytes(gzip.compress(json.dumps(bundle(colour="SECRET")).encode()))
    done = run("validate", "good.json", "bad.ndjson", "bad.json.gz", cwd=tmp_path)
    lines = done.stdout.decode().splitlines()
    assert done.returncode == 3
    assert [line.split(" ")[0] for line in lines] == ["bad.ndjson:3", "bad.ndjson:4", "bad.json.gz:1"]
    assert "Bundle.entry[0].resource.status" in lines[0]
    assert "SECRET" not in done.stdout.decode()
    assert run("validate", "good.json", cwd=tmp_path).returncode == 0
    assert run("validate", "-", stdin=json.dumps(bundle()).encode()).returncode == 0
    assert run("validate", "-", stdin=b"[" * 100_000).returncode == 3


@pytest.mark.parametrize("data", [b"", b"null", b'"text"', b"\x1f\x8b\x08 no gzip", b"\xff\xfe"])
def test_validate_what_is_no_resource(tmp_path: Path, data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "x.gz").write_bytes(data)
    (tmp_path / "x.json").write_bytes(data)
    for name in ("x.gz", "x.json"):
        assert delivering.command("validate", name).code == 3
    assert delivering.command("validate", "missing").code == 2
    assert delivering.command("validate", "x.json", "--to", "r99").code == 2


def test_what_is_converted_is_valid(files: Path) -> None:
    assert run("validate", "-", stdin=run("convert", files).stdout).returncode == 0


def test_availability_is_for_versions_that_have_it(tmp_path: Path) -> None:
    study = CLEAN / "us"
    for source in (("--availability", "NEARLINE"), ("--config", tmp_path / "site.toml")):
        (tmp_path / "site.toml").write_text('availability = "NEARLINE"\n')
        found = run("convert", study, "--to", "dstu2", *source)
        assert found.returncode == 0
        assert found.stdout.count(b'"availability":"NEARLINE"') == 2
    later = run("convert", study, "--to", "r4", "--availability", "NEARLINE")
    assert (later.returncode, later.stdout) == (2, b"")
    assert run("convert", study, "--to", "dstu2", "--availability", "SOON").returncode == 2
    assert run("convert", study, "--to", "dstu2-ballot2", "--bundle-type", "batch").returncode == 2
    assert run("convert", study, "--to", "dstu2", DICOM2FHIR_AVAILABILITY="ONLINE").stdout.count(b"ONLINE") == 2


def test_the_process_that_starts_early_has_imported_what_reads() -> None:
    task = reading_task(Options())
    names = (task.reader, task.prepare, task.fetch, task.pack)
    assert {name.partition(":")[0] for name in names} == set(READING)
