"""What holds for every input: the same bytes however it is read, counts that agree, resources that are valid.

The test data is read once as it lies there, and then in other orders, from other roots, by other numbers of workers
and in other environments; pydicom's own sample files are held against a plain `pydicom.dcmread` of each.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pydicom
import pydicom.data
import pytest
from check import EXPECTED, GOLDENS, TESTDATA, Collected, expected

from dicom2fhir import pipeline
from dicom2fhir.fhir import validate
from dicom2fhir.pipeline import Options
from dicom2fhir.problems import MEANINGS, Bucket, Code
from dicom2fhir.sources.base import Found
from dicom2fhir.sources.directory import Paths

SAMPLES = Path(pydicom.data.__file__).parent
ENVIRONMENTS = (
    {"PYTHONHASHSEED": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"},
    {"PYTHONHASHSEED": "4242", "TZ": "Asia/Kolkata", "LC_ALL": "C", "LANG": "tr_TR.UTF-8", "PYTHONUTF8": "0"},
)
PROGRAM = """
import sys
from test_properties import outcome, everything
print(outcome(everything(), jobs=2, reader=sys.argv[1]))
"""


def everything() -> list[Found]:
    """Every file of the test data, in order of its path."""
    return sorted(_found(TESTDATA / "clean", TESTDATA / "faults"))


def _found(*folders: Path) -> Iterator[Found]:
    """The files below some folders, one by one."""
    crawled = Paths([str(folder) for folder in folders])
    return (Found([path]) for found in crawled if isinstance(found, Found) for path in found.paths)


def converted(source: list[Found], report: Path, **options: Any) -> tuple[list[bytes], dict[str, Any]]:
    """The lines that are written, and the report."""
    sink = Collected()
    pipeline.convert(source, sink, Options(report=str(report), **options))
    return sink.lines, json.loads(report.read_text(encoding="utf-8"))


def outcome(source: list[Found], root: Path = TESTDATA, **options: Any) -> str:
    """A digest of everything that comes out, but for the seconds and for where the files lie."""
    with tempfile.TemporaryDirectory() as scratch:
        lines, body = converted(source, Path(scratch, "report.json"), **options)
    del body["seconds"]
    text = json.dumps(body).replace(f"{root}/", "")
    return hashlib.sha256(b"\n".join([*lines, text.encode()])).hexdigest()


@pytest.fixture(scope="module")
def usual() -> str:
    """What comes out of the test data as it lies there, read by one worker."""
    return outcome(everything(), jobs=1)


def test_the_order_of_files_and_the_number_of_workers_change_no_byte(usual: str) -> None:
    assert outcome(everything()[::-1], jobs=2) == usual
    mixed = sorted(everything(), key=lambda found: hashlib.sha256(found.paths[0].encode()).digest())
    assert outcome(mixed, jobs=3) == usual


def test_another_root_changes_no_byte(usual: str, tmp_path: Path) -> None:
    for group in ("clean", "faults"):
        shutil.copytree(TESTDATA / group, tmp_path / "another place" / group)
    root = tmp_path / "another place"
    assert outcome(list(_found(root / "faults", root / "clean")), root, jobs=1) == usual


@pytest.mark.parametrize("environment", ENVIRONMENTS, ids=lambda environment: environment["TZ"])
def test_the_environment_changes_no_byte(usual: str, environment: dict[str, str]) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), str(TESTDATA)])
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": path, **environment}
    command = [sys.executable, "-c", PROGRAM, Options().reader]
    done = subprocess.run(command, env=env, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == usual


def studies(golden: Any) -> list[Any]:
    """The ImagingStudies of a golden."""
    resources = (entry["resource"] for bundle in golden["bundles"] for entry in bundle["entry"])
    return [resource for resource in resources if resource["resourceType"] == "ImagingStudy"]


def instances(study: Any) -> list[tuple[str, str, str]]:
    """The instances that an ImagingStudy lists: study, series and SOP Instance UID."""
    uid = study["identifier"][0]["value"].removeprefix("urn:oid:")
    return [(uid, one["uid"], each["uid"]) for one in study["series"] for each in one.get("instance", ())]


@pytest.mark.parametrize("golden", GOLDENS)
def test_counts_hold(golden: str) -> None:
    """The identities of the accounting, from the outside: the report against what was written and its own rows."""
    found = expected(golden)
    report = found["report"]
    files, inside, all_studies = report["files"], report["instances"], studies(found)
    assert files["seen"] == sum(files[b] for b in ("dicom", "not_dicom", "rejected", "unreadable", "excluded"))
    assert files["dicom"] == inside["dicom"] == sum(inside.values()) - inside["dicom"]
    assert inside["emitted"] == sum(study["numberOfInstances"] for study in all_studies)
    assert report["series"]["emitted"] == sum(study["numberOfSeries"] for study in all_studies)
    assert report["studies"]["emitted"] == len(all_studies) == len(found["bundles"])
    assert report["studies"]["found"] == report["studies"]["emitted"] + report["studies"]["withheld"]
    for study in all_studies:
        assert study["numberOfSeries"] == len(study["series"])
        assert study["numberOfInstances"] == sum(one["numberOfInstances"] for one in study["series"])
        if not golden.endswith("+series-only"):
            listed = instances(study)
            assert len(set(listed)) == len(listed) == study["numberOfInstances"]
    assert [row["path"] for row in report["problems"] if _lost(row)] == [
        row["path"] for row in report["problems"] if row["path"]
    ]
    assert files["seen"] - inside["emitted"] == sum(map(_lost, report["problems"]))


def _lost(row: Any) -> bool:
    return MEANINGS[Code(row["code"])].bucket is not Bucket.NOTE


@pytest.mark.parametrize("golden", GOLDENS)
def test_every_resource_is_valid(golden: str) -> None:
    for bundle in expected(golden)["bundles"]:
        assert validate.check(bundle, "r4") == []
        assert [fault for entry in bundle["entry"] for fault in validate.check(entry["resource"], "r4")] == []


@pytest.mark.parametrize("golden", GOLDENS)
def test_references_of_a_bundle_lead_somewhere(golden: str) -> None:
    for bundle in expected(golden)["bundles"]:
        urls = {entry["fullUrl"] for entry in bundle["entry"]}
        literal = {reference for reference in _references(bundle) if not reference.startswith("#")}
        assert literal <= urls
        studies_url = bundle["entry"][-1]["fullUrl"]
        assert urls - literal == {studies_url}
        for entry in bundle["entry"]:
            resource = entry["resource"]
            local = {"#" + inner["id"] for inner in resource.get("contained", ())}
            assert {reference for reference in _references(resource) if reference.startswith("#")} == local


def _references(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        if isinstance(body.get("reference"), str):
            yield body["reference"]
        body = list(body.values())
    if isinstance(body, list):
        for value in body:
            yield from _references(value)


def test_one_identity_has_one_id_everywhere_and_two_have_two() -> None:
    ids: dict[str, set[str]] = {}
    for golden in GOLDENS:
        for bundle in expected(golden)["bundles"]:
            for entry in bundle["entry"]:
                request = entry["request"]
                identity = request.get("ifNoneExist", request["url"])
                ids.setdefault(f"{request['url'].partition('/')[0]} {identity}", set()).add(entry["fullUrl"])
    assert {len(urls) for urls in ids.values()} == {1}
    assert len(set.union(*ids.values())) == len(ids)


def test_nothing_in_the_goldens_says_where_they_were_made() -> None:
    for path in EXPECTED.rglob("*.json"):
        text = path.read_text(encoding="utf-8")
        assert str(TESTDATA) not in text
        assert "seconds" not in text


def plainly_read(path: Path) -> tuple[str, str, str] | None:
    """Study, series and SOP Instance UID as pydicom alone sees them, None where it sees no instance of a series."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ds = pydicom.dcmread(path, stop_before_pixels=True, force=True)
            uids = tuple(str(ds.get(k, "")).strip(" \0") for k in ("StudyInstanceUID", "SeriesInstanceUID"))
            instance = str(ds.get("SOPInstanceUID", "") or ds.file_meta.get("MediaStorageSOPInstanceUID", ""))
    except Exception:  # whatever pydicom raises: it reads no instance
        return None
    return (*uids, instance.strip(" \0")) if all((*uids, instance)) else None  # type: ignore[return-value]


def test_every_sample_file_of_pydicom_is_emitted_once_or_accounted_for(tmp_path: Path) -> None:
    source = list(_found(SAMPLES))
    assert len(source) > 170
    lines, report = converted(source, tmp_path / "report.json", jobs=2)
    bundles = [json.loads(line) for line in lines]
    emitted = Counter(uids for study in studies({"bundles": bundles}) for uids in instances(study))
    lost = Counter(row["path"] for row in report["problems"] if _lost(row))
    read = {path: plainly_read(Path(path)) for found in source for path in found.paths}
    assert set(emitted.values()) == {1}
    assert set(lost.values()) == {1}
    assert {uids for path, uids in read.items() if uids and path not in lost} == set(emitted)
    assert [path for path, uids in read.items() if not uids and path not in lost] == []
    assert report["instances"]["emitted"] == len(emitted) == len(source) - len(lost)
    assert report["exit_code"] == 3
    for bundle in bundles:
        assert [fault for entry in bundle["entry"] for fault in validate.check(entry["resource"], "r4")] == []
