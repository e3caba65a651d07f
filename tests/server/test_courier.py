"""Patience: what is tried how often, and what is said of it in the end."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import faults
import pytest
from delivering import QUICK, deliver, made, many, of, patient, study, writes
from fhirserver import FhirServer

from dicom2fhir.errors import Exit
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.server.manner import Manner

THRICE = replace(QUICK, tries=3)
BATCH = Policy(bundle_type="batch")


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with FhirServer() as one:
        yield one


@pytest.mark.parametrize(
    ("status", "ends", "code", "requests"),
    [
        (429, (0, 1, 0, 0), "not-sent", 3),
        (503, (0, 1, 0, 0), "not-sent", 3),
        (500, (0, 0, 1, 0), "outcome-unknown", 3),
        (409, (0, 0, 0, 1), "server-refused", 3),
    ],
)
def test_an_entry_that_always_fails_ends_after_the_tries_of_one_request(
    server: FhirServer, status: int, ends: tuple[int, ...], code: str, requests: int
) -> None:
    server.script([faults.entries({-1: status}).on("POST").repeated(100)])
    sent = deliver(server, [made(study(1), BATCH)], timing=THRICE)
    assert (sent.ends, sent.codes) == (ends, [code])
    assert len(writes(server)) == requests


def test_an_entry_that_was_perhaps_created_is_looked_for(server: FhirServer) -> None:
    """A batch that creates cannot be made here; somebody else's can be sent."""
    bundle = made(study(1, endpoint=False), Policy(write="create", create=frozenset(), patient="contained"))
    server.script([faults.entries({-1: 500}).on("POST")])
    sent = deliver(server, [{**bundle, "type": "batch"}], timing=THRICE)
    assert sent.ends == (1, 0, 0, 0)
    assert len(server.resources("ImagingStudy")) == 1


def test_a_read_that_somebody_else_answers_is_made_again(server: FhirServer) -> None:
    deliver(server, [made(study(1, 2))])
    for fault in ("200-html", "200-empty", "200-outcome", "200-array", "200-half"):
        server.script([faults.KINDS[fault].on("GET", "ImagingStudy/*")])
        assert deliver(server, [made(study(1, 1))], timing=THRICE).told.unchanged == 1
        server.script([faults.KINDS[fault].on("GET", "ImagingStudy*")])
        assert deliver(server, many(3, patients=1), timing=THRICE).ends[0] >= 2
    assert server.resources("ImagingStudy")[0]["numberOfInstances"] == 2


def test_a_search_that_hides_what_it_counts_is_made_again(server: FhirServer) -> None:
    """Else the study would be taken for new, and be written over."""
    policy = Policy(write="conditional-update")
    deliver(server, [made(study(1, 5), policy)])
    server.clear_log()
    server.script([faults.KINDS["200-short"].on("GET", "ImagingStudy").repeated(2)])
    assert deliver(server, [made(study(1, 1), policy)]).told.unchanged == 1
    assert not writes(server)
    assert not server.unused


def test_a_stored_study_that_is_too_long_to_be_read_is_refused(server: FhirServer) -> None:
    deliver(server, [made(study(1, 1000))])
    sent = deliver(server, [made(study(1, 1))], max_answer=50_000)
    assert (sent.codes, sent.ends) == (["merge-impossible"], (0, 0, 0, 1))
    assert server.resources("ImagingStudy")[0]["numberOfInstances"] == 1000


def test_only_one_try_is_enough_for_a_merge(server: FhirServer) -> None:
    """Rounds of merging are not tries of a request."""
    deliver(server, [made(study(1, 2))])
    stored = server.resources("ImagingStudy")[0]

    async def act(exchange: Any) -> None:
        server.add({**stored, "description": "x"})
        exchange.send(await exchange.process())

    server.script([faults.Fault("meanwhile", act, method="POST")])
    assert deliver(server, [made(study(1, 3))], timing=replace(QUICK, tries=1)).told.changed == 1


def test_one_refused_study_stops_nobody_else(server: FhirServer) -> None:
    server.script([faults.KINDS["400"].on("POST").repeated(3)])
    sent = deliver(server, many(10))
    assert sent.ends == (7, 0, 0, 3)
    assert all(each.where.startswith("1.2.3.") and "HTTP 400" in each.message for each in sent.problems)


def test_a_server_that_does_not_let_clients_choose_ids_and_says_so_late() -> None:
    """As HAPI does."""
    with FhirServer(update_create=None) as server:
        server.script([faults.KINDS["404"].on("POST")])
        sent = deliver(server, many(3), connections=1)
        assert (sent.ends, sent.told.cause) == ((0, 3, 0, 0), Exit.CONFIGURATION)
        assert "--write conditional-update" in sent.told.stopped
        assert writes(server) == ["POST "]


def test_studies_of_one_patient_are_sent_one_after_the_other() -> None:
    with FhirServer(latency=0.005, races="duplicate") as server:
        deliver(server, [made(study(number, of=patient("P1"))) for number in range(12)])
        assert not server.overlaps()
        assert [len(server.resources(kind)) for kind in ("Patient", "Practitioner", "Endpoint")] == [1, 1, 1]


def test_single_requests_come_in_the_order_of_what_refers_to_what(server: FhirServer) -> None:
    deliver(server, [made(study(1))], manner=Manner(single=True), connections=1)
    assert [each.partition("/")[0] for each in writes(server)][-1] == "PUT ImagingStudy"
    subject = server.resources("ImagingStudy")[0]["subject"]["reference"]
    assert server.read(subject)["identifier"] == of(made(study(1)), "Patient")["identifier"]


def test_what_was_looked_up_while_it_was_written_is_looked_up_again(server: FhirServer) -> None:
    """The answer to the second search was made before the first of two Bundles of one study was written."""

    async def late(exchange: Any) -> None:
        answer = await exchange.process()
        while not server.store.resources("ImagingStudy"):
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        exchange.send(answer)

    policy = Policy(write="conditional-update")
    server.script(
        [faults.slow(0).on("GET", "ImagingStudy"), faults.Fault("late", late, method="GET", path="ImagingStudy")]
    )
    bundles = [made(study(1, 4), policy), made(study(1, 1), policy)]
    told = deliver(server, bundles, manner=Manner(lookup=1)).told
    assert (told.created, told.unchanged) == (1, 1)
    assert server.resources("ImagingStudy")[0]["numberOfInstances"] == 4


@pytest.mark.parametrize("fault", ["200-html-before", "200-html", "endless-after"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_a_single_request_that_somebody_else_answers_is_settled(server: FhirServer, fault: str, method: str) -> None:
    server.script([faults.KINDS[fault].on(method)])
    sent = deliver(server, many(2), manner=Manner(single=True), connections=1)
    assert sent.ends == (2, 0, 0, 0)
    assert len(server.resources("ImagingStudy")) == 2
    assert set(server.versions().values()) == {1}
