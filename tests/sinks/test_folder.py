"""A folder as output: whole files, a manifest at the end, nothing of others touched."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path
from typing import Any

import pytest
from sinks.emissions import POLICY, Memory, resource, study, write_all

from dicom2fhir.errors import EnvironmentFailed, OutputExists, OutputLocked, UsageError
from dicom2fhir.sinks.choose import choose, is_folder
from dicom2fhir.storage import OUTPUT_MARKER as MARKER

PATIENT = resource("Patient", "p" * 32)


def tree(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def run(folder: Path, *numbers: int, shape: Any = "bundles", **options: Any) -> None:
    write_all(choose(f"{folder}/", shape, **options), [study(n, PATIENT) for n in numbers])


def test_one_file_a_study_and_a_manifest(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "out"
    run(out, 0, 1)
    manifest = json.loads((out / "manifest.json").read_bytes())
    assert sorted(tree(out)) == sorted([MARKER, "manifest.json", "a" * 32 + ".json", "b" * 32 + ".json"])
    assert manifest["counts"] == {"files": 2, "studies": 2, "resources": 4}
    for row in manifest["files"]:
        data = (out / row["name"]).read_bytes()
        assert row["size"] == len(data)
        assert row["sha256"] == hashlib.sha256(data).hexdigest()
        assert row["resources"] == len(json.loads(data)["entry"])
        assert stat.S_IMODE((out / row["name"]).stat().st_mode) == 0o600


def test_pretty_bundles(tmp_path: Path) -> None:
    run(tmp_path / "out", 0, pretty=True)
    assert (tmp_path / "out" / f"{'a' * 32}.json").read_text().startswith('{\n  "resourceType": "Bundle"')


def test_one_file_a_type(tmp_path: Path) -> None:
    run(tmp_path / "out", 0, 1, shape="ndjson")
    out = tree(tmp_path / "out")
    assert sorted(out) == sorted([MARKER, "ImagingStudy.ndjson", "Patient.ndjson", "manifest.json"])
    assert out["Patient.ndjson"].count(b"\n") == 1
    assert out["ImagingStudy.ndjson"].count(b"\n") == 2
    assert json.loads(out["manifest.json"])["counts"] == {"files": 2, "studies": 2, "resources": 3}


@pytest.mark.parametrize("shape", ["bundles", "ndjson"])
def test_a_second_run_gives_the_same_bytes(tmp_path: Path, shape: Any) -> None:
    run(tmp_path / "out", 0, 1, shape=shape)
    before = tree(tmp_path / "out")
    run(tmp_path / "out", 0, 1, shape=shape)
    assert tree(tmp_path / "out") == before


def test_our_earlier_files_go_and_those_of_others_stay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(out, 0, 1)
    (out / "notes.txt").write_text("mine")
    (out / f"{'z' * 32}.json").write_text("looks like ours, never was")
    run(out, 1, 2)
    names = {"notes.txt", "z" * 32 + ".json", "b" * 32 + ".json", "c" * 32 + ".json", "manifest.json", MARKER}
    assert set(tree(out)) == names
    run(out, shape="ndjson")
    assert set(tree(out)) == {"notes.txt", "z" * 32 + ".json", "manifest.json", MARKER}


def test_a_folder_of_others_needs_overwrite_and_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "Observation.ndjson").write_text("theirs")
    with pytest.raises(OutputExists):
        choose(str(tmp_path), "ndjson").open(Memory())
    assert set(tree(tmp_path)) == {"Observation.ndjson"}
    for _ in range(2):
        run(tmp_path, 0, shape="ndjson", overwrite=True)
    assert tree(tmp_path)["Observation.ndjson"] == b"theirs"


def test_a_marker_cannot_point_elsewhere(tmp_path: Path) -> None:
    victim = tmp_path / "victim.json"
    victim.write_text("keep")
    out = tmp_path / "out"
    out.mkdir()
    (out / MARKER).write_text("first line\n../victim.json\n.dicom2fhir\n/etc/hosts.json\n")
    run(out, 0)
    assert victim.read_text() == "keep"
    assert (out / MARKER).exists()


def test_the_manifest_goes_before_the_first_change_and_comes_last(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run(out, 0)
    sink = choose(str(out), "bundles")
    sink.open(Memory())
    assert (out / "manifest.json").exists()
    sink.write(sink.encode(study(1), POLICY))
    assert not (out / "manifest.json").exists()
    assert (out / f"{'a' * 32}.json").exists()  # goes only when the new ones are all there
    sink.finish()
    assert (out / "manifest.json").exists()
    assert not (out / f"{'a' * 32}.json").exists()


@pytest.mark.parametrize("shape", ["bundles", "ndjson"])
def test_an_abort_leaves_no_temporary_names_and_no_manifest(tmp_path: Path, shape: Any) -> None:
    out = tmp_path / "out"
    sink = choose(f"{out}/", shape)
    sink.open(Memory())
    sink.write(sink.encode(study(0), POLICY))
    sink.abort()
    sink.abort()
    assert not [name for name in os.listdir(out) if name.endswith(".part")]
    assert "manifest.json" not in os.listdir(out)
    run(out, 1, shape=shape)
    assert f"{'a' * 32}.json" not in os.listdir(out)


def test_an_abort_before_the_first_study_leaves_everything_as_it_was(tmp_path: Path) -> None:
    sink = choose(f"{tmp_path}/new/deep/", "bundles")
    sink.open(Memory())
    sink.abort()
    assert os.listdir(tmp_path) == []
    run(tmp_path / "old", 0)
    before = tree(tmp_path / "old")
    sink = choose(f"{tmp_path}/old/", "bundles")
    sink.open(Memory())
    sink.abort()
    assert tree(tmp_path / "old") == before


def test_what_a_killed_run_left_is_mended(tmp_path: Path) -> None:
    out = tmp_path / "out"
    sink = choose(f"{out}/", "ndjson")
    sink.open(Memory())
    sink.write(sink.encode(study(0, PATIENT), POLICY))
    killed = {name: data for name, data in tree(out).items() if name != MARKER}
    marker = (out / MARKER).read_bytes() + b"Pat"  # the last line is cut
    sink.abort()
    for name, data in {**killed, MARKER: marker}.items():
        (out / name).write_bytes(data)
    run(out, 1)
    assert set(tree(out)) == {MARKER, "manifest.json", "b" * 32 + ".json"}
    run(out, 2)
    assert set(tree(out)) == {MARKER, "manifest.json", "c" * 32 + ".json"}


def test_two_runs_cannot_hold_one_folder(tmp_path: Path) -> None:
    first, second = choose(f"{tmp_path}/out/", "bundles"), choose(f"{tmp_path}/out/", "bundles")
    first.open(Memory())
    with pytest.raises(OutputLocked):
        second.open(Memory())
    second.abort()
    first.write(first.encode(study(0), POLICY))
    first.finish()
    run(tmp_path / "out", 0)


def test_folders_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError):
        choose(f"{tmp_path}/file/out/", "bundles").open(Memory())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / MARKER).symlink_to(tmp_path / "file")
    with pytest.raises(EnvironmentFailed):
        choose(f"{tmp_path}/out/", "bundles").open(Memory())


def test_what_names_a_folder(tmp_path: Path) -> None:
    assert is_folder(str(tmp_path))
    assert is_folder("new/")
    assert not is_folder(str(tmp_path / "new.json"))
    assert not is_folder("-")
    assert not is_folder(None)
