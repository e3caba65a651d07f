"""`dicom2fhir validate`: which line of which file, and what JSON is none."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path
from typing import Any

import pytest
import samples

from dicom2fhir.cli import validate
from dicom2fhir.cli.logs import Talk
from dicom2fhir.cli.options import Validate
from dicom2fhir.errors import Exit
from dicom2fhir.fhir.validate import VERSIONS


def lines_of(path: Path | str, capsys: pytest.CaptureFixture[str], to: str = "r4") -> list[str]:
    """The lines that the command writes, without the file's folder."""
    code = validate.validate(Validate(files=[str(path)], to=to), Talk(verbosity=-1))
    lines = capsys.readouterr().out.splitlines()
    assert code is (Exit.INPUT_LOST if lines else Exit.OK)
    return [line.removeprefix(str(Path(path).parent) + "/") for line in lines]


def faulty() -> dict[str, Any]:
    study = samples.study("r4", "Patient/1")
    study["series"][1]["instance"][0]["uid"] = "a_b"
    del study["series"][0]["modality"]
    return study


@pytest.mark.parametrize("to", VERSIONS)
def test_every_version_is_validated(to: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x.json").write_text(json.dumps(samples.bundle(to), indent=1))
    assert lines_of(tmp_path / "x.json", capsys, to) == []
    other = "r4" if to != "r4" else "stu3"
    if to != "r4b":  # which is r4's twin
        assert lines_of(tmp_path / "x.json", capsys, other)


def test_indented_json_has_the_line_of_the_element(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = json.dumps(faulty(), indent=2)
    (tmp_path / "x.json").write_text(text)
    uid = next(number for number, line in enumerate(text.splitlines(), 1) if "a_b" in line)
    series = next(number for number, line in enumerate(text.splitlines(), 1) if '"series"' in line) + 1
    assert lines_of(tmp_path / "x.json", capsys) == [
        f"x.json:{series} ImagingStudy.series[0].modality the element is required",
        f"x.json:{uid} ImagingStudy.series[1].instance[0].uid the text does not have the form of its type",
    ]


def test_a_line_of_ndjson_has_its_own_number(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = json.dumps(samples.study("r4", "Patient/1")), json.dumps(faulty())
    (tmp_path / "x.ndjson.gz").write_bytes(gzip.compress(f"\n\n{good}\n\n{bad}\n{good}\n".encode()))
    assert [line.split(" ")[0] for line in lines_of(tmp_path / "x.ndjson.gz", capsys)] == ["x.ndjson.gz:5"] * 2


def test_keys_that_are_there_twice(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = json.dumps(samples.study("r4", "Patient/1"))
    (tmp_path / "x.json").write_text(text.replace('"description"', '\n"status": "available", "description"'))
    assert lines_of(tmp_path / "x.json", capsys) == ["x.json:2 ImagingStudy.status the key is there twice"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n\n",
        b"null",
        b"{",
        b'{"resourceType": "Patient", "x": NaN}',
        b"[-Infinity]",
        b"[" * 100_000,
        b"\xff\xfe\x00",
    ],
)
def test_what_is_no_json(data: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_bytes(data)
    (line,) = lines_of(tmp_path / "x", capsys)
    assert line.partition(" ")[2] == "$ it is not JSON"


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_a_byte_order_mark_does_no_harm(encoding: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "x").write_bytes(json.dumps(faulty(), ensure_ascii=False, indent=0).replace("\n", " ").encode(encoding))
    assert len(lines_of(tmp_path / "x", capsys)) == 2


def test_a_fault_is_one_line_whatever_the_key(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = {"resourceType": "Patient", "a\nb": 1, "\ud800": 2, "é": 3}
    (tmp_path / "x\udcff").write_bytes(json.dumps(odd).encode())
    assert lines_of(tmp_path / "x\udcff", capsys) == [
        "x\\xff:1 Patient.a\\nb there is no such element",
        "x\\xff:1 Patient.\\ud800 there is no such element",
        "x\\xff:1 Patient.é there is no such element",
    ]


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    pipe = io.TextIOWrapper(io.BytesIO(json.dumps(faulty()).encode()))
    monkeypatch.setattr("sys.stdin", pipe)
    assert [line.split(" ")[0] for line in lines_of("-", capsys)] == ["-:1", "-:1"]
