"""The servers themselves: that they are what they say, take what we make, and end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from asking import Client
from servers import TESTS, VERSIONS, Fleet, Hapi, Orthanc, ServerFailed

CLEAN = TESTS.parent / "testdata/clean"
STUDY, SERIES, INSTANCE = "0020000D", "0020000E", "00080018"
Json = dict[str, Any]


@pytest.fixture(params=VERSIONS)
def server(request: pytest.FixtureRequest, hapi: Fleet) -> Hapi:
    """The server of each version."""
    return hapi(request.param)


def converted(version: str, *folders: Path) -> list[Json]:
    """What the command makes of folders: one transaction a study."""
    command = [sys.executable, "-m", "dicom2fhir", "convert", "--quiet", "--to", version, *map(str, folders)]
    done = subprocess.run(command, capture_output=True, check=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def written(server: Hapi, bundle: Json) -> list[tuple[str, str]]:
    """What became of each entry: its status, and where it lies with its version."""
    answer = server.client.post("", bundle)
    assert answer.status == 200, answer.body
    responses = [entry["response"] for entry in answer.json["entry"]]
    assert len(responses) == len(bundle["entry"])
    return [(response["status"].partition(" ")[0], response["location"]) for response in responses]


def found(orthanc: Orthanc, path: str, **wanted: str) -> list[Json]:
    """What QIDO-RS finds."""
    answers: list[Json] = Client(orthanc.dicom_web, "application/dicom+json").get(path, wanted).json
    return answers


def uid(found: Json, tag: str) -> str:
    """A UID of what QIDO-RS found."""
    value: str = found[tag]["Value"][0]
    return value


def patient(identity: str, **more: Any) -> Json:
    """A patient with an id of ours."""
    return {"resourceType": "Patient", "id": identity, "identifier": [{"system": "urn:x-test", "value": "1"}], **more}


def test_a_server_is_of_its_version(server: Hapi) -> None:
    answer = server.client.get("metadata")
    assert answer.headers.get_content_type() == server.client.media_type
    assert answer.json["fhirVersion"] == VERSIONS[server.version]


def test_what_is_stored_is_what_we_sent_and_sent_again_changes_nothing(server: Hapi) -> None:
    bundles = converted(server.version, CLEAN / "laterality-both", CLEAN / "key-object", CLEAN / "request-attributes")
    first = [written(server, bundle) for bundle in bundles]
    sent = [entry["resource"] for bundle in bundles for entry in bundle["entry"]]
    for study in (resource for resource in sent if resource["resourceType"] == "ImagingStudy"):
        (stored,) = server.client.search("ImagingStudy", {"_id": study["id"]})
        assert stored["series"] == study["series"]
        assert stored == server.client.get(f"ImagingStudy/{study['id']}").json
    assert len(bundles) >= 3
    assert [written(server, bundle) for bundle in bundles] == [
        [("200", location) for _, location in entries] for entries in first
    ]


def test_a_search_repeated_is_not_from_a_cache_and_reads_every_page(server: Hapi) -> None:
    wanted = {"identifier": "urn:x-test|1", "_count": "2"}
    expected: list[str] = []
    for identity in "abcde":
        assert server.client.ids("Patient", wanted) == expected
        assert server.client.put(f"Patient/{identity}", patient(identity)).status == 201
        expected.append(identity)
    assert server.client.ids("Patient", wanted) == expected
    for identity in expected:
        assert server.client.delete(f"Patient/{identity}").status in (200, 204)
    assert server.client.ids("Patient", wanted) == []


@pytest.mark.parametrize("fault", [{"shoeSize": 43}, {"birthDate": "2024-02-30"}, {"active": "yes"}], ids=str)
def test_what_its_version_does_not_know_is_refused(server: Hapi, fault: Json) -> None:
    answer = server.client.put("Patient/wrong", patient("wrong", **fault))
    assert answer.status == 400
    assert answer.json["resourceType"] == "OperationOutcome"
    assert server.client.get("Patient/wrong").status == 404


def test_the_time_that_it_takes_is_told(server: Hapi) -> None:
    before = server.timing()
    server.client.get("Patient/nobody")
    spent = server.timing().since(before)
    assert spent.requests == 1
    assert 0 < spent.busy == pytest.approx(spent.seconds)


def test_flags_make_it_as_servers_are() -> None:
    with Hapi("r4", "--lenient", "--no-update-as-create", "--cache-searches") as server:
        wanted = {"identifier": "urn:x-test|1"}
        assert server.client.ids("Patient", wanted) == []
        created = server.client.post("Patient", patient("ignored", shoeSize=43))
        assert created.status == 201
        assert "shoeSize" not in created.json
        assert server.client.get("Patient", wanted, Cache_Control="max-age=60").json["total"] == 0
        assert server.client.ids("Patient", wanted) == [created.json["id"]]
        refused = server.client.put("Patient/ours", patient("ours"))
        assert (refused.status, refused.json["resourceType"]) == (404, "OperationOutcome")


def test_it_ends_when_nobody_holds_its_standard_input() -> None:
    assert subprocess.run(Hapi("r4").command, stdin=subprocess.DEVNULL, timeout=60, check=False).returncode == 0


def test_one_that_does_not_start_says_why() -> None:
    with pytest.raises(ServerFailed, match=r"HAPI r9 ended with exit code 2: usage: .*dstu2\|r4\|r4b"), Hapi("r9"):
        pass


def test_a_failure_to_start_is_remembered() -> None:
    fleet = Fleet()
    with pytest.raises(ServerFailed) as first:
        fleet("r9")
    with pytest.raises(ServerFailed) as second:
        fleet("r9")
    assert second.value is first.value
    fleet.end()


def test_orthanc_has_what_it_was_given(orthanc: Orthanc) -> None:
    files = sorted((CLEAN / "description-tie").iterdir())
    assert len({orthanc.receive(file) for file in files}) == len(files) == 3
    (study,) = found(orthanc, "studies")
    assert study["00201208"]["Value"] == [3]
    (bundle,) = converted("r4", orthanc.storage)  # which holds Orthanc's own files, too
    (ours,) = [entry["resource"] for entry in bundle["entry"] if entry["resource"]["resourceType"] == "ImagingStudy"]
    assert ours["identifier"][0]["value"] == f"urn:oid:{uid(study, STUDY)}"
    assert ours["numberOfInstances"] == 3


@pytest.mark.parametrize(
    ("media_type", "beginning"), [("image/png", b"\x89PNG\r\n\x1a\n"), ("image/jpeg", b"\xff\xd8\xff")]
)
def test_orthanc_renders_an_instance(orthanc: Orthanc, media_type: str, beginning: bytes) -> None:
    orthanc.receive(CLEAN / "rle-pixels/1.dcm")
    orthanc.receive(CLEAN / "header-only/1.dcm")
    answers = [
        Client(orthanc.dicom_web, media_type).get(
            f"studies/{uid(one, STUDY)}/series/{uid(one, SERIES)}/instances/{uid(one, INSTANCE)}/rendered"
        )
        for case in ("rle-pixels", "header-only")
        for one in found(orthanc, "instances", PatientID=case)
    ]
    assert [answer.status for answer in answers] == [200, 400]
    assert answers[0].headers.get_content_type() == media_type
    assert answers[0].body.startswith(beginning)


def test_orthanc_refuses_what_is_no_image(orthanc: Orthanc) -> None:
    with pytest.raises(AssertionError, match="400"):
        orthanc.receive(Path(__file__))
