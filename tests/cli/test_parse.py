"""Option texts and what they stand for; what is refused, and with which exit code."""

from __future__ import annotations

from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from dicom2fhir.cli import parse
from dicom2fhir.errors import ConfigurationError, UsageError
from dicom2fhir.mapping import Target
from dicom2fhir.model import Code, Concept

HEADER = "system,value,reference,new_system,new_value\n"


def test_lists() -> None:
    assert parse.comma_lists(["a, b", "c,,b"]) == {"a", "b", "c"}
    assert parse.modality_terms(["sr,KO"]) == {"SR", "KO"}
    assert parse.class_uids(["1.2.3, 1.2.4"]) == {"1.2.3", "1.2.4"}
    for text in ("CT Image Storage", "1.2.", "1" * 65):
        with pytest.raises(UsageError):
            parse.class_uids([text])


def test_zone() -> None:
    assert parse.zone(None) is None
    assert parse.zone("Europe/Berlin") == ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("name", ["Europe/Atlantis", "", "+01:00", "../etc/passwd", "/etc/hosts", "Europe", "a\0b"])
def test_no_zone(name: str) -> None:
    with pytest.raises(UsageError):
        parse.zone(name)


def test_systems() -> None:
    assert parse.systems(["accession=urn:oid:1.2.3", "patient = https://a.example/ids?x=1"]) == {
        "accession": "urn:oid:1.2.3",
        "patient": "https://a.example/ids?x=1",
    }


@pytest.mark.parametrize(
    "text", ["patient", "study=urn:x:y", "patient=1.2.3", "patient=", "patient=a b", "patient=x|y:z"]
)
def test_no_systems(text: str) -> None:
    with pytest.raises(UsageError):
        parse.systems([text])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://pacs.example/dicom-web", "https://pacs.example/dicom-web"),
        ("http://pacs.example:8080/rs/", "http://pacs.example:8080/rs"),
        ("https://[::1]/wado", "https://[::1]/wado"),
        ("https://pacs.example/studieslist", "https://pacs.example/studieslist"),
    ],
)
def test_addresses(text: str, expected: str) -> None:
    assert parse.address(text, "--wado-rs") == expected


@pytest.mark.parametrize(
    "text",
    [
        "pacs.example/rs",
        "/rs",
        "ftp://pacs.example/",
        "https:///rs",
        "https://pacs.example/rs?x=1",
        "https://pacs.example/rs#x",
        "https://pacs.example/rs/studies",
        "https://pacs.example/rs/studies/1.2.3",
        "https://pacs.example/a b",
        "https://pacs.example:99999/",
        "https://[::1/",
        "",
    ],
)
def test_no_addresses(text: str) -> None:
    with pytest.raises(UsageError):
        parse.address(text, "--wado-rs")


def test_id_key(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_bytes(b"\x00secret \r\n")
    assert parse.id_key(str(key)) == b"\x00secret "
    assert parse.id_key(None) is None
    key.write_bytes(b"\n")
    for path in (key, tmp_path / "missing", tmp_path):
        with pytest.raises(ConfigurationError) as failure:
            parse.id_key(str(path))
        assert str(tmp_path) not in str(failure.value)


def test_patient_map(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_text(
        "\ufeff" + HEADER + "urn:oid:1.2,A1,Patient/7,,\n"
        ',"12,34",,urn:oid:1.3,B\n'
        "\n"
        ",C,https://fhir.example/r4/Patient/c,,\n"
        ",D,,,E\n"
        ",D,,,E\n",
        encoding="utf-8",
    )
    assert parse.patient_map(str(path)) == {
        ("urn:oid:1.2", "A1"): Target(reference="Patient/7"),
        ("", "12,34"): Target(system="urn:oid:1.3", value="B"),
        ("", "C"): Target(reference="https://fhir.example/r4/Patient/c"),
        ("", "D"): Target(value="E"),
    }
    assert parse.patient_map(None) == {}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "system,value\n",
        HEADER + "urn:oid:1.2,,Patient/7,,\n",
        HEADER + ",SECRET,,,\n",
        HEADER + ",SECRET,Patient/7,,E\n",
        HEADER + ",SECRET,Patient/7,urn:oid:1.2,\n",
        HEADER + ",SECRET,Group/7,,\n",
        HEADER + ",SECRET,Patient/a b,,\n",
        HEADER + "1.2.3,SECRET,Patient/7,,\n",
        HEADER + ",SECRET,,nowhere,E\n",
        HEADER + ",SECRET,Patient/7\n",
        HEADER + ",SECRET,Patient/7,,\n,SECRET,Patient/8,,\n",
        HEADER + ',"SECRET,Patient/7,,\n',
    ],
)
def test_no_patient_map(tmp_path: Path, text: str) -> None:
    path = tmp_path / "map.csv"
    path.write_text(text)
    with pytest.raises(ConfigurationError) as failure:
        parse.patient_map(str(path))
    assert "SECRET" not in str(failure.value)


def test_a_patient_map_that_is_no_text(tmp_path: Path) -> None:
    path = tmp_path / "map.csv"
    path.write_bytes(HEADER.encode() + b",\xff,Patient/7,,\n")
    for bad in (path, tmp_path / "missing"):
        with pytest.raises(ConfigurationError):
            parse.patient_map(str(bad))


def test_tables() -> None:
    assert parse.uri_table("issuers", {"HOSP ": "urn:oid:1.2.3"}) == {"HOSP": "urn:oid:1.2.3"}
    assert parse.modality_table({"MRT": "mr"}) == {"MRT": "MR"}
    assert parse.body_part_table({"KNIE": "72696002", "HWS": "SCT 122494005"}) == {
        "KNIE": Concept((Code("72696002", parse.SCT),)),
        "HWS": Concept((Code("122494005", parse.SCT),)),
    }
    own = {"X1": {"code": "x-1", "system": "urn:oid:1.2.3", "display": "Somewhere"}}
    assert parse.body_part_table(own) == {"X1": Concept((Code("x-1", "urn:oid:1.2.3", "Somewhere"),), "Somewhere")}


@pytest.mark.parametrize(
    "table",
    [
        {"KNIE": 72696002},
        {"KNIE": "T-D9200"},
        {"KNIE": {"display": "Knee"}},
        {"KNIE": {"code": "1", "colour": "red"}},
        {"KNIE": {"code": 72696002}},
        {"KNIE": {"code": "1", "system": "1.2.3"}},
        {"KNIE": " "},
    ],
)
def test_no_body_parts(table: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        parse.body_part_table(table)


def test_no_tables() -> None:
    for table in ({"HOSP": "1.2.3"}, {"HOSP": 5}, {"HOSP": "hospital"}):
        with pytest.raises(ConfigurationError):
            parse.uri_table("issuers", table)
    for table in ({"MRT": "MRT"}, {"MRT": 5}):
        with pytest.raises(ConfigurationError):
            parse.modality_table(table)
