"""`dicom2fhir doctor`: what a server can, what it lacks, and a trial that leaves nothing behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import faults
import pytest
from delivering import Ended, command, writes
from fhirserver import FhirServer
from loopback import Loopback

FAST = ("--backoff-min", "0.001", "--backoff-max", "0.01", "--retry-after-max", "0.02", "--give-up-after", "0.2")


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with FhirServer() as one:
        yield one


def doctor(server: Loopback, *arguments: object) -> Ended:
    return command("doctor", "--server", server.base, *FAST, *arguments)


def test_a_good_server(server: FhirServer) -> None:
    done = doctor(server)
    assert done.code == 0
    assert "4.0.1" in done.out
    assert done.out.endswith("Nothing is lacking for these options.\n")
    assert not writes(server)


def test_as_json(server: FhirServer) -> None:
    told = json.loads(doctor(server, "--json", "--trial").out)
    assert (told["good"], told["lacks"]) == (True, [])
    assert {step["done"] for step in told["trial"]} == {True}


@pytest.mark.parametrize("version", ["dstu2", "stu3", "r4", "r4b", "r5", "r6"])
@pytest.mark.parametrize("write", ["put", "conditional-update", "conditional-create", "create"])
def test_a_trial_leaves_nothing_behind(version: str, write: str) -> None:
    with FhirServer(version=version) as server:
        done = doctor(server, "--trial", "--to", version, "--write", write)
        assert done.code == 0, done.out
        assert "done    send it again: " in done.out
        assert server.versions()
        kinds = {name.partition("/")[0] for name in server.versions()}
        assert not [each for kind in kinds for each in server.resources(kind)]


@pytest.mark.parametrize("how", [("--requests", "single"), ("--bundle-type", "batch"), ("--patient", "contained")])
def test_a_trial_is_made_as_studies_would_be_sent(server: FhirServer, how: tuple[str, ...]) -> None:
    assert doctor(server, "--trial", *how).code == 0
    assert not server.resources("ImagingStudy")
    assert ("POST " not in writes(server)) == ("single" in how)


@pytest.mark.parametrize(
    ("rules", "options", "said"),
    [
        ({"version": "r5"}, (), "speaks FHIR 5.0.0, not 4.0.1: --to r5"),
        ({"update_create": False}, (), "updateCreate is off"),
        ({"conditional_update": False}, ("--write", "conditional-update"), "--write put"),
        ({"conditional_create": False}, ("--patient", "create"), "conditional create of"),
        ({"transaction": False}, ("--requests", "bundle"), "--requests auto"),
    ],
)
def test_what_a_server_lacks_is_a_sentence_each(rules: dict[str, Any], options: tuple[str, ...], said: str) -> None:
    with FhirServer(**rules) as server:
        done = doctor(server, "--trial", *options)
        lacks = done.out.partition("\n\n")[2].splitlines()
        assert done.code == 4
        assert all(each.endswith(".") for each in lacks)
        assert any(said in each for each in lacks), lacks
        assert not writes(server)


def test_what_only_a_trial_shows(server: FhirServer) -> None:
    """The server says that it takes studies, and does not."""
    server.script([faults.KINDS["422"].on("POST")])
    done = doctor(server, "--trial")
    assert done.code == 4
    assert "failed  send a study: " in done.out
    assert "HTTP 422" in done.out
    assert not server.resources("ImagingStudy")


def test_what_was_written_is_removed_where_the_answer_is_lost(server: FhirServer) -> None:
    server.script([faults.KINDS["200-html"].on("POST")])
    done = doctor(server, "--trial")
    assert done.code == 4
    assert "no answer that can be relied on" in done.out
    assert not server.resources("ImagingStudy")


def test_what_cannot_be_removed_is_named(server: FhirServer) -> None:
    server.script([faults.KINDS["405"].on("DELETE", "ImagingStudy*")])
    done = doctor(server, "--trial")
    assert done.code == 4
    (left,) = server.resources("ImagingStudy")
    assert f"failed  remove ImagingStudy: ImagingStudy/{left['id']}" in done.out


@pytest.mark.parametrize(
    ("fault", "code"), [("404", 4), ("401", 4), ("403", 4), ("200-html", 4), ("400", 4), ("500", 5), ("reset", 5)]
)
def test_where_there_is_no_server(server: FhirServer, fault: str, code: int) -> None:
    server.script([faults.KINDS[fault].repeated(10_000)])
    done = doctor(server, "--tries", 2)
    assert (done.code, done.out) == (code, "")
    assert done.err.count("\n") == 1


def test_without_an_address() -> None:
    assert command("doctor").code == 2
