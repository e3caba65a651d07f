"""Forty canaries in names, numbers, texts, UIDs and file names of good and damaged files: none is ever said.

They are looked for in all that a run says on standard error, as loud as it can be told to be; the output and the
report hold them, for those are data.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from builders import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, bare, dataset, encode, write
from fuzz import MUTATIONS, Mutator, Original

from dicom2fhir.dicom.scan import Window, scan

WORDS = """
PatientName PatientID IssuerOfPatientID OtherPatientIDs OtherPatientNames PatientBirthName PatientMotherBirthName
PatientAddress PatientTelephoneNumbers MedicalRecordLocator Occupation AdditionalPatientHistory PatientComments
ResponsiblePerson ResponsibleOrganization PatientReligiousPreference ReferringPhysicianName ReferringPhysicianAddress
PerformingPhysicianName OperatorsName NameOfPhysiciansReadingStudy RequestingPhysician InstitutionName
InstitutionAddress StationName AccessionNumber StudyID StudyDescription SeriesDescription AdmissionID
CurrentPatientLocation ServiceEpisodeID RequestedProcedureDescription ReasonForStudy ProtocolName ContentLabel
DeviceSerialNumber
"""
KEYWORDS = WORDS.split()
TEXTS = {keyword: f"QZX{number:02}KANARI" for number, keyword in enumerate(KEYWORDS, 10)}
UIDS = {"StudyInstanceUID": "1.2.77001.1", "SeriesInstanceUID": "1.2.77002.1", "SOPInstanceUID": "1.2.77003.1"}
FOLDER, FILE, NESTED = "QZX80KANARI", "QZX81KANARI", "QZX82KANARI"
CANARIES = (*TEXTS.values(), *(uid.rpartition(".")[0] for uid in UIDS.values()), FOLDER, FILE, NESTED)
MUTANTS = 200
BUG = """
import sys
from dicom2fhir import press
from dicom2fhir.__main__ import main
def fails(records, *_):
    raise ValueError(str(records))
press.build_study = fails
sys.argv[0] = "dicom2fhir"
main()
"""


def planted(number: int, **keywords: Any) -> Any:
    """An object full of canaries."""
    person = {"InstitutionName": NESTED, "PersonTelephoneNumbers": NESTED}
    uids = {**UIDS, "SOPInstanceUID": f"{UIDS['SOPInstanceUID']}.{number}"}
    more = {"ReferringPhysicianIdentificationSequence": [person], "RequestAttributesSequence": [bare(StudyID=NESTED)]}
    return dataset(number=number, **{**TEXTS, **uids, **more, **keywords})


def name(number: int) -> str:
    return f"{FILE}-{number:04}"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Good files, mutants, two patients in one study, bad UIDs, duplicates, text, all below a canary's name."""
    root = tmp_path_factory.mktemp("canaries") / FOLDER
    for number, syntax in enumerate((EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED), 1):
        write(root / "good" / name(number), planted(number), syntax)
    write(root / "twice" / name(1), planted(1, InstanceNumber="9"))
    for keyword, canary in TEXTS.items():
        write(root / "uids" / name(len(keyword)), planted(5, SOPInstanceUID=f"1.2.{canary}"))
    other = {"StudyInstanceUID": "1.2.77001.2", "SeriesInstanceUID": "1.2.77002.2"}
    write(root / "conflict" / name(1), planted(6, PatientID=f"{TEXTS['PatientID']}A", **other))
    write(root / "conflict" / name(2), planted(7, PatientID=f"{TEXTS['PatientID']}B", **other))
    write(root / "text" / name(1), f"{TEXTS['PatientName']}\n".encode() * 100)
    write(
        root / "charset" / name(1), planted(8, SpecificCharacterSet=TEXTS["PatientName"], PatientName=b"\xff\xfe\xe4")
    )
    content = encode(planted(10))
    found = scan(Window(content, len(content)))
    assert found is not None
    for number in range(MUTANTS):
        mutator = Mutator(Original("", content, [*found.starts, found.stop]), random.Random(f"canary {number}"))
        weights, deeds = zip(*MUTATIONS, strict=True)
        for deed in mutator.chance.choices(deeds, weights, k=2):
            if mutator.content:
                deed(mutator)
        write(root / "mutants" / name(number), bytes(mutator.content))
    return root


def run(*arguments: object, program: tuple[str, ...] = ("-m", "dicom2fhir")) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-X", "dev", *program, *map(str, arguments)], capture_output=True, check=False
    )


def said(text: bytes) -> list[str]:
    """The canaries in a text, in whatever case or encoding."""
    forms = {canary: (canary, "".join(f"\\u{ord(each):04x}" for each in canary)) for canary in CANARIES}
    plain = text.replace(b"\0", b"").decode("latin-1").casefold()
    return [canary for canary, written in forms.items() if any(form.casefold() in plain for form in written)]


@pytest.mark.parametrize("form", ["text", "json"])
@pytest.mark.parametrize(
    "reader", [pytest.param("auto", marks=pytest.mark.scanner("names the other reader")), "pydicom"]
)
def test_no_canary_is_said_by_convert(reader: str, form: str, tree: Path, tmp_path: Path) -> None:
    output, report = tmp_path / "out.ndjson", tmp_path / "report.json"
    options = ("-v", "-v", "--log-format", form, "--reader", reader, "--jobs", 2, "--report", report)
    done = run("convert", tree, "--format", "ndjson", "-o", output, *options)
    assert done.returncode == 3, done.stderr
    assert len(done.stderr) > 500
    assert said(done.stderr) == said(done.stdout) == []
    # what is data has them
    assert len(said(output.read_bytes())) > 15
    rows = json.loads(report.read_text(encoding="utf-8"))["problems"]
    assert said(json.dumps([row["path"] for row in rows]).encode()) == [FOLDER, FILE]
    assert said(json.dumps([row["message"] for row in rows]).encode()) == []
    assert len({row["code"] for row in rows}) > 10


@pytest.mark.parametrize(
    "arguments",
    [
        ("convert", "--dry-run", "--exclude", FILE[:5]),
        ("convert", "-o", "/dev/full", "--format", "bundle"),
        ("convert", "--format", "ndjson", "-o", "/dev/null/at/all/"),
        ("convert", "--patient", "Patient/1", "--format", "bundle"),
        ("inspect", "--json", "--exclude", "text"),
    ],
)
def test_no_canary_is_said_however_it_ends(arguments: tuple[object, ...], tree: Path) -> None:
    done = run(*arguments, tree, "-v", "-v")
    assert done.stderr or done.stdout
    assert said(done.stderr) == []


def test_no_canary_is_said_by_a_bug(tree: Path) -> None:
    done = run("convert", tree, "-v", "-v", program=("-c", BUG))
    assert done.returncode == 70, done.stderr
    assert b"a bug: ValueError at" in done.stderr
    assert said(done.stderr) == said(done.stdout) == []
    told = run("convert", tree, "--log-identifiers", program=("-c", BUG))
    assert len(said(told.stderr)) > 15


def test_there_are_forty_and_they_are_found() -> None:
    assert len(set(CANARIES)) >= 40
    assert said(f"x{FILE.lower()}".encode("utf-16")) == [FILE]
