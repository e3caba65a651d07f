"""The whole of a delivery, against the tests' own server: what comes of studies that are new, the same, or others."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import faults
import pytest
from delivering import Reader, deliver, delivery, made, many, numbers, of, patient, study, writes
from fhirserver import FhirServer

from dicom2fhir.errors import Exit, ServerAway, ServerMisconfigured
from dicom2fhir.fhir.policy import Policy
from dicom2fhir.server.manner import Manner
from dicom2fhir.server.parcels import parcel
from dicom2fhir.server.target import Timing

WRITES = ("put", "conditional-update", "conditional-create", "create")


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with FhirServer() as one:
        yield one


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("single", [False, True])
def test_sending_twice_changes_nothing(server: FhirServer, write: Any, single: bool) -> None:
    policy, manner = Policy(write=write), Manner(single=single)
    bundles = many(5, policy, patients=2, endpoint=write != "create")
    assert deliver(server, bundles, manner=manner).told.created == 5
    before = Reader(server.base).versions()
    assert set(before.values()) == {"1"}
    server.clear_log()
    again = deliver(server, bundles, manner=manner).told
    assert (again.created, again.changed, again.tally.accepted) == (0, 0, 5)
    assert again.skipped == (5 if write in ("conditional-create", "create") else 0)
    assert not writes(server)
    assert Reader(server.base).versions() == before
    assert not server.duplicates()


@pytest.mark.parametrize("version", ["dstu2", "stu3", "r4b", "r5", "r6"])
@pytest.mark.parametrize("write", WRITES)
def test_every_version_is_written_and_found_again(version: str, write: Any) -> None:
    bundles = [
        made(study(each, of=patient(f"P{each}"), endpoint=False), Policy(write=write), version) for each in (1, 2)
    ]
    with FhirServer(version=version) as server:
        assert deliver(server, bundles).told.created == 2
        before = server.versions()
        assert deliver(server, bundles).told.tally.accepted == 2
        assert server.versions() == before
        assert len(server.resources("ImagingStudy")) == 2
        assert not server.duplicates()


@pytest.mark.parametrize("write", ["put", "conditional-update"])
def test_a_grown_study_is_merged_and_a_part_never_shrinks_it(server: FhirServer, write: Any) -> None:
    policy, reader = Policy(write=write), Reader(server.base)
    deliver(server, [made(study(1, 2), policy)])
    assert deliver(server, [made(study(1, 5, series=2), policy)]).told.changed == 1
    (grown,) = reader.all("ImagingStudy")
    assert (grown["numberOfInstances"], grown["numberOfSeries"], grown["meta"]["versionId"]) == (10, 2, "2")
    assert deliver(server, [made(study(1, 1), policy)]).told.unchanged == 1
    (kept,) = reader.all("ImagingStudy")
    assert kept == grown


def test_only_replace_shrinks(server: FhirServer) -> None:
    deliver(server, [made(study(1, 5))])
    assert deliver(server, [made(study(1, 2))], manner=Manner("skip")).told.skipped == 1
    assert numbers(Reader(server.base).all("ImagingStudy")) == {"1.2.3.1": 5}
    assert deliver(server, [made(study(1, 2))], manner=Manner("replace")).told.changed == 1
    assert numbers(Reader(server.base).all("ImagingStudy")) == {"1.2.3.1": 2}


@pytest.mark.parametrize("mismatch", [412, 409])
def test_who_writes_between_our_reading_and_our_writing_loses_nothing(mismatch: int) -> None:
    with FhirServer(mismatch=mismatch) as server:
        deliver(server, [made(study(1, 2))])
        other = of(made(study(1, 4, series=2)))
        stored = server.resources("ImagingStudy")[0]
        server.script([_meanwhile(server, stored | {"series": other["series"], "numberOfInstances": 8})])
        assert deliver(server, [made(study(1, 3, description="Head"))]).told.changed == 1
        found = server.resources("ImagingStudy")[0]
        assert (found["numberOfInstances"], found["description"], found["meta"]["versionId"]) == (8, "Head", "3")


def test_a_study_that_always_changes_is_given_up_after_three_merges(server: FhirServer) -> None:
    deliver(server, [made(study(1, 2))])
    stored = server.resources("ImagingStudy")[0]
    changes = [_meanwhile(server, stored | {"description": str(number)}) for number in range(5)]
    server.clear_log()
    server.script(changes)
    sent = deliver(server, [made(study(1, 3))])
    assert (sent.ends, sent.codes) == ((0, 0, 0, 1), ["server-refused"])
    assert writes(server) == ["POST "] * 3


def _meanwhile(server: FhirServer, resource: dict[str, Any]) -> faults.Fault:
    """A write that finds that somebody else was quicker by a moment."""

    async def act(exchange: Any) -> None:
        server.add(resource)
        exchange.send(await exchange.process())

    return faults.Fault("meanwhile", act, method="POST", path="")


@pytest.mark.parametrize("how", ["merge", "replace"])
@pytest.mark.parametrize("system", [None, "https://site.example/patients"])
@pytest.mark.parametrize("write", ["put", "conditional-update"])
def test_a_copied_uid_never_moves_images_to_another_patient(
    server: FhirServer, how: Any, system: str | None, write: Any
) -> None:
    policy = Policy(write=write)
    deliver(server, [made(study(1, of=patient("A", system)), policy)])
    before = Reader(server.base).versions("ImagingStudy")
    sent = deliver(server, [made(study(1, 9, of=patient("B", system, "Roe")), policy)], manner=Manner(how))
    assert (sent.ends, sent.codes) == ((0, 0, 0, 1), ["patient-conflict"])
    assert Reader(server.base).versions("ImagingStudy") == before


def test_several_stored_studies_are_not_written_over(server: FhirServer) -> None:
    bundle = made(study(1), Policy(write="conditional-update"))
    for _ in range(2):
        server.add(of(bundle) | {"subject": {"display": "x"}})
    sent = deliver(server, [bundle])
    assert (sent.ends, sent.codes) == ((0, 0, 0, 1), ["ambiguous-match"])
    assert not writes(server)


def test_several_patients_with_one_number_are_not_chosen_from(server: FhirServer) -> None:
    bundle = made(study(1))
    for _ in range(2):
        server.add(of(bundle, "Patient"))
    sent = deliver(server, [bundle])
    assert (sent.ends, sent.codes) == ((0, 0, 0, 1), ["ambiguous-match"])
    assert not server.resources("ImagingStudy")


def test_counts_without_lists_cannot_be_merged(server: FhirServer) -> None:
    deliver(server, [made(study(1, 2))])
    server.add({name: one for name, one in server.resources("ImagingStudy")[0].items() if name != "series"})
    sent = deliver(server, [made(study(1, 3))])
    assert (sent.ends, sent.codes) == ((0, 0, 0, 1), ["merge-impossible"])


@pytest.mark.parametrize("single", [False, True])
def test_masters_are_never_written_over(server: FhirServer, single: bool) -> None:
    """Neither those that are found by a condition, nor those that are put by their id."""
    bundle = made(study(1))
    known = of(bundle, "Patient") | {"id": "known", "gender": "female"}
    server.add(known)
    server.add(of(bundle, "Practitioner") | {"id": "op", "active": True})
    before = server.versions()
    put = [_put(known | {"gender": "male"}), _put({"resourceType": "Patient", "id": "new"})]
    condition = next(e["request"]["ifNoneExist"] for e in bundle["entry"] if e["request"].get("ifNoneExist"))
    asked = {**_put(known | {"gender": "male"}), "request": {"method": "PUT", "url": f"Patient?{condition}"}}
    bare = {"resourceType": "Bundle", "type": "transaction", "entry": put}
    sent = deliver(server, [bundle, bare, {**bare, "entry": [asked]}], manner=Manner(single=single))
    assert sent.ends == (3, 0, 0, 0)
    assert {name: server.versions()[name] for name in before} == before
    assert {one["id"] for one in server.resources("Patient")} == {"known", "new"}
    assert server.read("Patient/known")["gender"] == "female"
    assert server.resources("ImagingStudy")[0]["subject"] == {"reference": "Patient/known"} | _display(server)


def _display(server: FhirServer) -> dict[str, str]:
    shown = server.resources("ImagingStudy")[0]["subject"].get("display")
    return {"display": shown} if shown else {}


def _put(resource: dict[str, Any]) -> dict[str, Any]:
    where = f"{resource['resourceType']}/{resource['id']}"
    return {"fullUrl": f"urn:uuid:{where}", "resource": resource, "request": {"method": "PUT", "url": where}}


def test_a_master_that_is_there_is_referred_to_where_it_is(server: FhirServer) -> None:
    bundle = made(study(1))
    server.add({"resourceType": "Patient", "id": "known"})
    own = next(entry for entry in bundle["entry"] if entry["resource"]["resourceType"] == "Patient")
    own["request"], own["resource"]["id"] = {"method": "PUT", "url": "Patient/known"}, "known"
    assert deliver(server, [bundle]).told.created == 1
    assert server.resources("ImagingStudy")[0]["subject"]["reference"] == "Patient/known"
    assert server.versions()["Patient/known"] == 1


def test_two_patients_with_one_number_and_no_system_stay_two(server: FhirServer) -> None:
    bundles = [made(study(each, of=patient("1", None, name))) for each, name in ((1, "Doe"), (2, "Roe"))]
    assert deliver(server, bundles).told.created == 2
    assert not server.resources("Patient")
    names = [one["contained"] for one in server.resources("ImagingStudy")]
    assert sorted("Doe" in str(each) for each in names) == [False, True]


@pytest.mark.parametrize("write", ["put", "conditional-update", "conditional-create"])
def test_an_endpoint_of_many_studies_is_written_once(server: FhirServer, write: Any) -> None:
    deliver(server, many(20, Policy(write=write)))
    assert list(Reader(server.base).versions("Endpoint").values()) == ["1"]
    sent = [one for one in server.log if one.method == "POST" and any(n.startswith("Endpoint") for n in one.names)]
    assert len(sent) == 1


def test_connections_are_used_and_nothing_is_in_flight_twice() -> None:
    with FhirServer(latency=0.01) as server:
        deliver(server, many(40), connections=4)
        assert server.max_in_flight == 4
        assert not server.overlaps()
        assert not server.duplicates()


def test_one_connection_is_one_request_at_a_time() -> None:
    with FhirServer(latency=0.002) as server:
        deliver(server, many(10), connections=1)
        assert server.max_in_flight == 1


def test_a_study_that_comes_twice_is_looked_up_twice(server: FhirServer) -> None:
    """What was looked up ahead is no longer true when the first of the two was written."""
    policy = Policy(write="conditional-update")
    for number in range(5):
        bundles = [made(study(number, 4), policy), made(study(number, 2), policy), made(study(number, 1), policy)]
        told = deliver(server, bundles).told
        assert (told.created, told.unchanged) == (1, 2)
    assert set(numbers(server.resources("ImagingStudy")).values()) == {4}


def test_a_bundle_that_is_too_large_is_halved() -> None:
    with FhirServer(max_entries=1) as server:
        assert deliver(server, [made(study(1))]).told.created == 1
        assert not server.duplicates()
        kinds = ("ImagingStudy", "Patient", "Practitioner", "Endpoint")
        assert [len(server.resources(kind)) for kind in kinds] == [1, 1, 1, 1]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_a_bundle_has_at_most_so_many_entries(most: int) -> None:
    with FhirServer(max_entries=most) as server:
        deliver(server, [made(study(1))], manner=Manner(most_entries=most))
        assert all(one.status != 413 for one in server.log)


def test_one_resource_that_is_too_large_is_refused_with_its_size() -> None:
    with FhirServer(max_bytes=3000) as server:
        sent = deliver(server, [made(study(1, 100)), made(study(2))])
        assert (sent.ends, sent.codes) == ((1, 0, 0, 1), ["too-large-for-server"])
        assert "ImagingStudy of" in sent.problems[0].message
        assert "--max-instances" in sent.problems[0].message


def test_batches_are_judged_entry_by_entry(server: FhirServer) -> None:
    policy = Policy(bundle_type="batch")
    server.script([faults.entries({-1: 503}).on("POST"), faults.entries({0: 429}, retry_after="0").on("POST")])
    sent = deliver(server, many(4, policy), connections=1)
    assert sent.ends == (4, 0, 0, 0)
    assert set(Reader(server.base).versions().values()) == {"1"}


def test_what_a_batch_refuses_is_refused(server: FhirServer) -> None:
    server.script([faults.entries({-1: 422}).on("POST")])
    sent = deliver(server, many(2, Policy(bundle_type="batch")), connections=1)
    assert (sent.ends, sent.codes) == ((1, 0, 0, 1), ["server-refused"])


def test_a_trial_writes_nothing_and_counts_as_if(server: FhirServer) -> None:
    deliver(server, many(2))
    server.clear_log()
    told = deliver(server, [*many(4), made(study(2, 9, of=patient("P2")))], manner=Manner(trial=True)).told
    assert (told.created, told.changed, told.unchanged, told.tally.bytes) == (2, 1, 2, 0)
    assert not writes(server)


# Coming and going -----------------------------------------------------------------------------------

IMPATIENT = Timing(1, 5, 5, backoff_min=0.005, backoff_max=0.02, retry_after_max=0.02, tries=3, give_up=0.3)


def test_a_server_that_goes_leaves_the_rest_to_the_next_run(server: FhirServer, tmp_path: Path) -> None:
    bundles = many(20)
    one = delivery(server.base, state=tmp_path / "state", timing=IMPATIENT)
    one.open()
    for each in bundles[:10]:
        one.hand_over(parcel(each))
    while one.left():
        one._ended.wait(0.01)
    with server.away():
        for each in bundles[10:]:
            one.hand_over(parcel(each))
        told = one.close(lambda left: None)
    problems = list(one.problems())
    assert (told.tally.accepted, told.tally.pending, told.cause) == (10, 10, Exit.ENVIRONMENT)
    assert "has not answered" in told.stopped
    assert [str(each.code) for each in problems] == ["not-sent"] * 10
    server.clear_log()
    again = deliver(server, bundles, state=tmp_path / "state")
    assert (again.ends, again.told.earlier, again.told.created) == ((20, 0, 0, 0), 10, 10)
    named = {name for one in server.log for name in one.names if name.startswith("ImagingStudy/")}
    assert named == {f"ImagingStudy/{of(each)['id']}" for each in bundles[10:]}


def test_without_a_state_what_nobody_will_send_is_not_kept(server: FhirServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom2fhir.server.delivery._ROOM", 20_000)
    one = delivery(server.base, timing=IMPATIENT)
    one.open()
    with server.away():
        for each in many(100):
            one.hand_over(parcel(each))
        held = one._ledger.held
        assert one.close(lambda left: None).tally.pending == 100
    assert held < 40_000


def test_memory_is_bounded_while_the_server_is_slow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dicom2fhir.server.delivery._ROOM", 20_000)
    with FhirServer(latency=0.01) as server:
        one = delivery(server.base)
        one.open()
        most = 0
        for each in many(60):
            one.hand_over(parcel(each))
            most = max(most, one._ledger.held)
        assert one.close(lambda left: None).tally.accepted == 60
    assert most <= 20_000


def test_an_aborted_delivery_leaves_no_thread_and_a_state_that_resumes(tmp_path: Path) -> None:
    bundles = many(30)
    with FhirServer(latency=0.05) as server:
        one = delivery(server.base, state=tmp_path / "state")
        one.open()
        for each in bundles:
            one.hand_over(parcel(each))
        one.abort()
        assert not [each for each in threading.enumerate() if each.name == "delivery"]
    with FhirServer(port=server.port) as back:
        back.store = server.store
        told = deliver(back, bundles, state=tmp_path / "state").told
        assert told.tally.accepted == 30
        assert not back.duplicates()
        assert set(Reader(back.base).versions().values()) == {"1"}


@pytest.mark.parametrize("count", [0, 1])
def test_the_end_is_never_waited_for_in_vain(server: FhirServer, count: int) -> None:
    for _ in range(20):
        assert deliver(server, many(count)).told.tally.accepted == count


def test_a_server_that_is_away_from_the_start(server: FhirServer) -> None:
    with server.away(), pytest.raises(ServerAway):
        deliver(server, many(1), timing=IMPATIENT)


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        ("500", ServerAway),
        ("429", ServerAway),
        ("400", ServerMisconfigured),
        ("404", ServerMisconfigured),
        ("200-html", ServerMisconfigured),
        ("endless-after", ServerMisconfigured),
    ],
)
def test_a_server_that_cannot_say_what_it_can(server: FhirServer, fault: str, error: type[Exception]) -> None:
    server.script([faults.KINDS[fault].repeated(50)])
    with pytest.raises(error):
        deliver(server, many(1), timing=IMPATIENT, max_answer=100_000)
    assert not writes(server)


def test_what_was_sent_comes_to_be_known_by_looking(server: FhirServer) -> None:
    """A plain create is not sent again before it was looked for."""
    server.script([faults.KINDS["reset-after"].on("POST"), None, faults.KINDS["reset"].on("POST")])
    sent = deliver(server, many(2, Policy(write="create"), endpoint=False), connections=1)
    assert (sent.ends, sent.told.created) == ((2, 0, 0, 0), 2)
    assert not server.duplicates()
    assert writes(server) == ["POST "] * 3


def test_a_bundle_without_a_study_that_creates_is_not_sent_again(server: FhirServer) -> None:
    """Nothing tells whether it was done."""
    entry = {
        "fullUrl": "urn:uuid:1",
        "resource": {"resourceType": "Basic"},
        "request": {"method": "POST", "url": "Basic"},
    }
    server.script([faults.KINDS["reset-after"].on("POST")])
    sent = deliver(server, [{"resourceType": "Bundle", "type": "transaction", "entry": [entry]}])
    assert (sent.ends, sent.codes) == ((0, 0, 1, 0), ["outcome-unknown"])
    assert len(server.resources("Basic")) == 1


def test_what_was_never_begun_is_not_of_unknown_outcome(server: FhirServer) -> None:
    server.script([faults.KINDS["500"].on("GET", "ImagingStudy*").repeated(1000)])
    sent = deliver(server, many(1), timing=replace(IMPATIENT, tries=2))
    assert (sent.ends, sent.codes, sent.told.cause) == ((0, 1, 0, 0), ["not-sent"], Exit.ENVIRONMENT)
