"""From an archive to a picture: Orthanc's own storage folder is converted to HAPI, and a client that knows nothing but
the FHIR server's address and a patient's number fetches the pictures from Orthanc.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from asking import Client
from servers import Hapi, Orthanc
from stock import CLEAN, PATIENTS, SAID, Json, convert, counts

CASES = ("us", "rle-pixels", "description-tie", "one-patient-two-studies", "sr-ko-pr-pdf", "header-only")
"""What Orthanc receives; only an image has a picture."""
PATIENT = "us"
SIGNATURES = {"image/png": b"\x89PNG\r\n\x1a\n", "image/jpeg": b"\xff\xd8\xff"}


@pytest.fixture(scope="module")
def fhir(orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hapi]:
    """A server with what the archive's storage folder became."""
    for case in CASES:
        for file in sorted((CLEAN / case).rglob("*.dcm")):
            orthanc.receive(file)
    folder = tmp_path_factory.mktemp("story")
    with Hapi("r4") as server:
        options = ("--wado-rs", orthanc.dicom_web, "--system", f"patient={PATIENTS}", "--state", folder / "state")
        sent = convert(server, orthanc.storage, *options, folder=folder)
        assert sent.code == 0, sent.said
        told = sent.report
        assert told["delivery"]["accepted"] == told["studies"]["emitted"] == len(orthanc.client.get("studies").json)
        assert told["instances"]["emitted"] == len(orthanc.client.get("instances").json)
        assert told["files"]["not_dicom"] > 0  # Orthanc's own files lie between
        yield server


def available(fhir: Client, number: str) -> list[Json]:
    """What the server answers to "which studies of this patient can be looked at, and where": studies and Endpoints."""
    (patient,) = fhir.search("Patient", {"identifier": f"{PATIENTS}|{number}"})
    wanted = {"patient": patient["id"], "status": "available", "_include": "ImagingStudy:endpoint"}
    return fhir.search("ImagingStudy", wanted)


def pictures(found: list[Json]) -> Iterator[str]:
    """The address of each instance's picture, of the answer alone (PS3.18, Retrieve Rendered)."""
    endpoints = {f"Endpoint/{one['id']}": one for one in found if one["resourceType"] == "Endpoint"}
    for study in found:
        if study["resourceType"] == "ImagingStudy":
            named = [endpoints[one["reference"]] for one in study["endpoint"]]
            (base,) = [one["address"] for one in named if one["connectionType"]["code"] == "dicom-wado-rs"]
            (uid,) = [one["value"] for one in study["identifier"] if one["system"] == "urn:dicom:uid"]
            for series in study["series"]:
                for instance in series["instance"]:
                    path = f"studies/{uid.removeprefix('urn:oid:')}/series/{series['uid']}/instances/{instance['uid']}"
                    yield f"{base}/{path}/rendered"


@pytest.mark.parametrize("media_type", SIGNATURES)
def test_a_client_gets_the_pictures_of_a_patient(fhir: Hapi, media_type: str) -> None:
    addresses = list(pictures(available(fhir.client, PATIENT)))
    assert len(addresses) == len(list((CLEAN / PATIENT).rglob("*.dcm"))) == 2
    for address in addresses:
        answer = Client(address, media_type).get(f"{address}?viewport=64,64")
        assert answer.status == 200, answer.body
        assert answer.headers.get_content_type() == media_type
        assert answer.body.startswith(SIGNATURES[media_type])
        SAID.append(f"story: thumbnail {media_type}, {len(answer.body)} bytes{_pixels(answer.body)}")


def _pixels(picture: bytes) -> str:
    """How large a PNG is, from its header; of a JPEG nothing."""
    if not picture.startswith(SIGNATURES["image/png"]):
        return ""
    width, height = struct.unpack(">II", picture[16:24])
    return f", {width} x {height} pixels"


def test_nobody_else_is_found(fhir: Hapi) -> None:
    found = available(fhir.client, PATIENT)
    assert [one["resourceType"] for one in found] == ["ImagingStudy", "Endpoint"]
    cancelled = {"status": "cancelled", "patient.identifier": f"{PATIENTS}|{PATIENT}"}
    assert fhir.client.search("ImagingStudy", cancelled) == []
    assert fhir.client.search("Patient", {"identifier": f"{PATIENTS}|nobody"}) == []


def test_the_same_command_again_sends_nothing(fhir: Hapi, orthanc: Orthanc, tmp_path: Path) -> None:
    kinds = ("ImagingStudy", "Patient", "Endpoint")
    before = counts(fhir, kinds)
    options = ("--wado-rs", orthanc.dicom_web, "--system", f"patient={PATIENTS}")
    again = convert(fhir, orthanc.storage, *options, folder=tmp_path)
    assert (again.code, again.delivery["bytes"]) == (0, 0), again.said
    assert counts(fhir, kinds) == before
    numbers = ", ".join(f"{kind} {number}" for kind, number in before.items())
    SAID.append(f"story: the server holds {numbers}; sent again: 0 bytes, {again.delivery['requests']} requests")
