"""The tests' own FHIR server over the wire: what it says, what it counts, and that each fault is what its name says."""

from __future__ import annotations

import base64
import gzip
import http.client
import json
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import faults
import pytest
from faults import KINDS, PASSING
from fhirserver import FhirServer, ServerProcess
from loopback import Answer, Loopback, Request, dechunk
from tokens import TokenEndpoint

JSON = "application/fhir+json"
UUID = "urn:uuid:2efd7dce-7aa3-5880-b4f3-66ef9bb2ea57"
CONDITION = "identifier=urn%3Aoid%3A1.2%7CP1"
PATIENT = {"resourceType": "Patient", "identifier": [{"system": "urn:oid:1.2", "value": "P1"}]}


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def issue(self) -> dict[str, Any]:
        return dict(self.json["issue"][0])


_talks: list[Talk] = []


class Talk:
    """A client that keeps its connection and does nothing by itself."""

    def __init__(self, server: Loopback | str, timeout: float = 10) -> None:
        address = urlsplit(server if isinstance(server, str) else server.base)
        self.prefix = address.path
        self.connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=timeout)
        _talks.append(self)

    def __call__(self, method: str, path: str = "", body: Any = None, **headers: str) -> Reply:
        named = {"Accept": JSON, "Content-Type": JSON} | {
            name.replace("_", "-"): text for name, text in headers.items()
        }
        sent = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        between = "" if path.startswith("?") or not path else "/"
        self.connection.request(method, f"{self.prefix}{between}{path}", sent, named)
        answer = self.connection.getresponse()
        return Reply(answer.status, {name.lower(): text for name, text in answer.getheaders()}, answer.read())

    def transaction(self, *entries: Any, kind: str = "transaction", **headers: str) -> Reply:
        return self("POST", "", {"resourceType": "Bundle", "type": kind, "entry": list(entries)}, **headers)


def study(number: int = 1, subject: str = UUID, **more: Any) -> dict[str, Any]:
    identifier = [{"system": "urn:dicom:uid", "value": f"urn:oid:1.2.3.{number}"}]
    own = {"resourceType": "ImagingStudy", "id": f"s{number}", "identifier": identifier, "status": "available"}
    return own | {"subject": {"reference": subject}} | more


def entry(resource: dict[str, Any], condition: str | None = None, **request: str) -> dict[str, Any]:
    kind = resource["resourceType"]
    if condition is None:
        return {"resource": resource, "request": {"method": "PUT", "url": f"{kind}/{resource['id']}"} | request}
    asked = {"method": "POST", "url": kind, "ifNoneExist": condition} | request
    return {"fullUrl": UUID, "resource": resource, "request": asked}


def one_study(number: int = 1) -> tuple[dict[str, Any], dict[str, Any]]:
    return (entry(PATIENT, CONDITION), entry(study(number)))


@pytest.fixture
def server() -> Iterator[FhirServer]:
    with FhirServer() as one:
        yield one


@pytest.fixture
def talk(server: FhirServer) -> Talk:
    return Talk(server)


@pytest.fixture(autouse=True)
def hang_up() -> Iterator[None]:
    yield
    while _talks:
        _talks.pop().connection.close()


def together(*deeds: Callable[[], Any]) -> list[Any]:
    """Several things at once; what each gave, or raised."""
    results: list[Any] = [None] * len(deeds)
    ready = threading.Barrier(len(deeds))

    def run(place: int) -> None:
        ready.wait()
        try:
            results[place] = deeds[place]()
        except (OSError, http.client.HTTPException) as failure:
            results[place] = failure

    threads = [threading.Thread(target=run, args=(place,)) for place in range(len(deeds))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def alone(server: FhirServer, number: int, **headers: str) -> Callable[[], int]:
    """A study sent over a connection of its own; the status."""

    def send() -> int:
        client = Talk(server)
        try:
            return client.transaction(*one_study(number), **headers).status
        finally:
            client.connection.close()

    return send


# What it says.


def test_a_transaction_and_the_same_again(server: FhirServer, talk: Talk) -> None:
    first, second = (talk.transaction(*one_study()) for _ in range(2))
    assert first.headers["content-type"] == "application/fhir+json;charset=UTF-8"
    assert first.json["type"] == "transaction-response"
    responses = [one["response"] for one in first.json["entry"]]
    assert [one["status"] for one in responses] == ["201 Created", "201 Created"]
    assert [one["location"] for one in responses] == ["Patient/1000/_history/1", "ImagingStudy/s1/_history/1"]
    assert {one["etag"] for one in responses} == {"1"}
    assert [one["response"]["status"] for one in second.json["entry"]] == ["200 OK", "200 OK"]
    assert server.versions() == {"Patient/1000": 1, "ImagingStudy/s1": 1}
    assert server.read("ImagingStudy/s1")["subject"] == {"reference": "Patient/1000"}
    whole = talk.transaction(*one_study(), Prefer="return=representation")
    assert whole.json["entry"][1]["resource"] == server.read("ImagingStudy/s1")


def test_a_transaction_that_is_refused_leaves_nothing(server: FhirServer, talk: Talk) -> None:
    refused = talk.transaction(entry(PATIENT, CONDITION), entry(study(subject="Patient/nobody")))
    assert (refused.status, refused.json["resourceType"]) == (400, "OperationOutcome")
    assert server.versions() == {}


def test_a_batch_is_judged_one_by_one(server: FhirServer, talk: Talk) -> None:
    there = server.add(PATIENT)
    search = {"request": {"method": "GET", "url": "ImagingStudy?_id=s1"}}
    answer = talk.transaction(entry(study(1)), entry(study(2, there)), search, kind="batch").json
    assert answer["type"] == "batch-response"
    assert [one["response"]["status"] for one in answer["entry"]] == ["400 Bad Request", "201 Created", "200 OK"]
    assert answer["entry"][0]["response"]["outcome"]["issue"][0]["severity"] == "error"
    assert answer["entry"][2]["resource"]["total"] == 0
    assert set(server.versions()) == {there, "ImagingStudy/s2"}


def test_single_requests(server: FhirServer, talk: Talk) -> None:
    made = talk("POST", "Patient", PATIENT, If_None_Exist=CONDITION)
    assert made.status == 201
    assert made.headers["location"] == f"{server.base}/Patient/1000/_history/1" == made.headers["content-location"]
    assert made.headers["etag"] == 'W/"1"'
    assert parsedate_to_datetime(made.headers["last-modified"])
    again = talk("POST", "Patient", PATIENT, If_None_Exist=CONDITION, Prefer="return=minimal")
    assert (again.status, again.body, again.headers["location"]) == (200, b"", made.headers["location"])
    new = talk("PUT", "ImagingStudy/s1", study(subject="Patient/1000"))
    assert (new.status, "location" in new.headers, new.json) == (201, False, server.read("ImagingStudy/s1"))
    changed = study(subject="Patient/1000", description="x")
    assert talk("PUT", "ImagingStudy/s1", changed, If_Match='W/"1"').headers["etag"] == 'W/"2"'
    assert talk("PUT", "ImagingStudy/s1", study(subject="Patient/1000"), If_Match='W/"1"').status == 412
    url = "ImagingStudy?identifier=urn:dicom:uid%7Curn:oid:1.2.3.1"
    assert talk("PUT", url, changed).status == 200
    assert [one.number for one in server.history("ImagingStudy/s1")] == [1, 2]
    assert talk("DELETE", "Patient/1000").status == 409
    assert [talk("DELETE", "ImagingStudy/s1").status, talk("GET", "ImagingStudy/s1").status] == [200, 410]


def test_reading(server: FhirServer, talk: Talk) -> None:
    server.add(study(subject="Patient/p"))
    server.add(study(subject="Patient/p", description="x"))
    assert talk("GET", "ImagingStudy/s1").json == server.read("ImagingStudy/s1")
    assert talk("GET", "ImagingStudy/s1/_history/1").json["meta"]["versionId"] == "1"
    history = talk("GET", "ImagingStudy/s1/_history").json
    assert [one["resource"]["meta"]["versionId"] for one in history["entry"]] == ["2", "1"]
    found = talk("GET", "Patient/p/ImagingStudy").json
    assert found["entry"][0]["fullUrl"] == f"{server.base}/ImagingStudy/s1"
    for path, status in (
        ("", 400),
        ("Nope/1", 404),
        ("ImagingStudy/s1/_history/7", 404),
        ("ImagingStudy/s1/more", 400),
    ):
        assert talk("GET", path).status == status
    server.remove("ImagingStudy/s1")
    assert talk("GET", "ImagingStudy/s1").status == 410


def test_a_search_comes_in_pages(server: FhirServer, talk: Talk) -> None:
    names = [server.add(study(number, subject="Patient/p", description="x")) for number in range(60)]
    ids = ",".join(f"s{number}" for number in range(70))
    query = f"ImagingStudy?_id={ids}&_elements=id,subject&_count=500"
    first = talk("GET", query).json
    assert len(first["entry"]) == 50  # however many are asked for
    assert "total" not in first
    shown = first["entry"][0]["resource"]
    assert (set(shown), shown["meta"]["tag"][0]["code"]) == ({"resourceType", "id", "meta", "subject"}, "SUBSETTED")
    following = {link["relation"]: link["url"] for link in first["link"]}["next"]
    second = talk("GET", following.removeprefix(server.base)).json
    assert "next" not in {link["relation"] for link in second["link"]}
    seen = [f"ImagingStudy/{one['resource']['id']}" for page in (first, second) for one in page["entry"]]
    assert sorted(seen) == sorted(names)
    assert len(talk("GET", "ImagingStudy").json["entry"]) == 10
    for counted in ("_summary=count", "_count=0"):
        answer = talk("GET", f"ImagingStudy?{counted}").json
        assert (answer["total"], "entry" in answer) == (60, False)
    form = urlencode({"_id": "s1,s2"}).encode()
    posted = talk("POST", "ImagingStudy/_search", form, Content_Type="application/x-www-form-urlencoded").json
    assert posted["total"] == 2
    assert talk("GET", "?_getpages=99").status == 410


def test_links_may_be_made_with_another_base() -> None:
    with FhirServer(links="http://inside:8080/fhir", page=1) as server:
        server.add(study(1, "Patient/p"))
        server.add(study(2, "Patient/p"))
        links = Talk(server)("GET", "ImagingStudy").json["link"]
    assert links[1]["url"].startswith("http://inside:8080/fhir?")


def test_a_search_may_be_stale_unless_it_says_no_cache() -> None:
    with FhirServer(stale=True) as server:
        talk = Talk(server)
        query = "ImagingStudy?_id=s1"
        assert talk("GET", query).json["total"] == 0
        server.add(study(subject="Patient/p"))
        assert talk("GET", query).json["total"] == 0
        assert talk("GET", query, Cache_Control="no-cache").json["total"] == 1
        assert talk("GET", query).json["total"] == 1


@pytest.mark.parametrize(
    ("version", "release", "media", "name"),
    [
        ("dstu2", "1.0.2", "application/json+fhir", "Conformance"),
        ("stu3", "3.0.2", "application/fhir+json", "CapabilityStatement"),
        ("r5", "5.0.0", "application/fhir+json", "CapabilityStatement"),
    ],
)
def test_every_version_says_what_it_is(version: str, release: str, media: str, name: str) -> None:
    with FhirServer(version=version) as server:
        answer = Talk(server)("GET", "metadata", Accept="*/*")
    said = answer.json
    assert (said["resourceType"], said["fhirVersion"], said["format"]) == (name, release, [media])
    assert answer.headers["content-type"].startswith(media)
    assert {one["type"] for one in said["rest"][0]["resource"]} >= {"ImagingStudy", "Patient"}


def test_dstu2_has_the_outcome_where_the_resource_would_be() -> None:
    with FhirServer(version="dstu2") as server:
        answer = Talk(server).transaction(entry(PATIENT, CONDITION)).json["entry"][0]
    assert answer["resource"]["resourceType"] == "OperationOutcome"
    assert "outcome" not in answer["response"]


def test_what_is_said_and_what_is_done() -> None:
    with FhirServer(transaction=None, batch=None, update_create=None, conditional_create=False) as server:
        talk = Talk(server)
        rest = talk("GET", "metadata").json["rest"][0]
        assert "interaction" not in rest
        patient = next(one for one in rest["resource"] if one["type"] == "Patient")
        assert ("updateCreate" in patient, patient["conditionalCreate"]) == (False, False)
        assert patient["conditionalUpdate"] is True
        assert talk.transaction(entry(PATIENT | {"id": "p"})).status == 200  # not said, and done
        assert talk.transaction(entry(PATIENT, CONDITION)).status == 400
    with FhirServer(batch=None, statement={"fhirVersion": "9.9.9"}) as server:
        said = Talk(server)("GET", "metadata").json
        assert (said["fhirVersion"], said["rest"][0]["interaction"]) == ("9.9.9", [{"code": "transaction"}])
    with FhirServer(transaction=False) as server:
        talk = Talk(server)
        assert talk("GET", "metadata").json["rest"][0]["interaction"] == [{"code": "batch"}]
        assert (talk.transaction().status, talk.transaction(kind="batch").status) == (400, 200)
    with FhirServer(transaction=False, batch=False) as server:
        talk = Talk(server)
        assert talk("GET", "metadata").json["rest"][0]["interaction"] == []
        assert talk.transaction().status == 405


def test_limits() -> None:
    with FhirServer(max_entries=2, max_bytes=1000) as server:
        talk = Talk(server)
        assert talk.transaction(*one_study()).status == 200
        too_many = talk.transaction(*one_study(), entry(study(2)))
        assert (too_many.status, too_many.issue["code"]) == (413, "too-costly")
        assert talk.transaction(entry(study(2, "Patient/1000", description="x" * 1000))).status == 413
        assert len(server.versions()) == 2


def test_media_types(talk: Talk) -> None:
    for sent in ("application/fhir+json", "application/json+fhir", "application/json; charset=utf-8"):
        assert talk.transaction(kind="batch", Content_Type=sent).status == 200
    assert talk.transaction(Content_Type="text/plain").status == 400
    packed = gzip.compress(json.dumps({"resourceType": "Bundle", "type": "batch"}).encode())
    assert talk("POST", "", packed, Content_Encoding="gzip").status == 200
    with FhirServer(strict=True, version="dstu2") as server:
        strict = Talk(server)
        asked = [("application/json+fhir",) * 2, (JSON, JSON), ("application/json+fhir", "application/xml+fhir")]
        answers = [strict.transaction(Content_Type=sent, Accept=wanted).status for sent, wanted in asked]
    assert answers == [200, 415, 406]


@pytest.mark.parametrize(
    "body",
    [b"{nojson", b"", b"[]", b'{"resourceType":"Patient"}', b'{"resourceType":"Bundle","type":"batch","entry":[3]}'],
)
def test_what_is_no_bundle(talk: Talk, body: bytes) -> None:
    refused = talk("POST", "", body)
    assert (refused.status, refused.json["resourceType"]) == (400, "OperationOutcome")


def test_authorization() -> None:
    with FhirServer(authorization="Basic dTpw") as server:
        talk = Talk(server)
        refused = talk("GET", "metadata")
        assert (refused.status, refused.headers["www-authenticate"][:6]) == (401, "Bearer")
        assert talk("GET", "metadata", Authorization="Basic dTpw").status == 200


def test_a_body_may_come_in_chunks(server: FhirServer, talk: Talk) -> None:
    pieces = (piece for piece in (b'{"resourceType":"Bundle",', b'"type":"batch"}'))
    talk.connection.request("POST", "/fhir", pieces, {"Content-Type": JSON}, encode_chunked=True)
    assert talk.connection.getresponse().status == 200
    assert server.log[0].size == 40
    assert dechunk(bytearray(b"3;x=y\r\nabc\r\n0\r\n\r\nrest")) == (b"abc", 17)
    assert dechunk(bytearray(b"3\r\nabc\r\n")) is None


# What it counts.


def test_the_log(server: FhirServer, talk: Talk) -> None:
    server.script([None, "500"])
    talk.transaction(*one_study(), User_Agent="me")
    talk("GET", "ImagingStudy?_id=s1")
    first, second = server.log
    assert (first.method, first.path, first.status, first.fault, first.processed) == ("POST", "", 200, None, True)
    assert (second.path, second.query, second.status, second.fault) == ("ImagingStudy", "_id=s1", 500, "500")
    assert (second.processed, second.in_flight, first.headers["user-agent"]) == (False, 1, "me")
    assert first.names == {
        "Patient?identifier=urn:oid:1.2|P1", "ImagingStudy/s1", "ImagingStudy urn:dicom:uid|urn:oid:1.2.3.1",
    }  # fmt: skip
    assert (second.names, first.size > 300, first.at < second.at) == (frozenset(), True, True)
    server.clear_log()
    assert (server.log, server.max_in_flight) == ([], 0)


def test_two_in_flight_that_name_one_thing() -> None:
    with FhirServer(latency=0.25) as server:
        together(alone(server, 1), alone(server, 1), alone(server, 2))
        assert server.max_in_flight == 3
        names = [one.name for one in server.overlaps()]
        assert names.count("ImagingStudy/s1") == 1
        assert names.count("Patient?identifier=urn:oid:1.2|P1") == 3  # each pair of the three
        assert "ImagingStudy/s2" not in names
        assert not server.overlaps("Practitioner")
        server.clear_log()
        assert [alone(server, 1)() for _ in range(2)] == [200, 200]
        assert (server.max_in_flight, server.overlaps()) == (1, [])


def test_who_hung_up_is_not_in_flight_any_more() -> None:
    """A client that gives up and asks anew has one attempt in flight, not two."""
    with FhirServer() as server:
        server.script(["hang"])
        impatient = Talk(server, timeout=0.1)
        with pytest.raises(TimeoutError):
            impatient.transaction(*one_study())
        impatient.connection.close()
        assert alone(server, 1)() == 200
        assert (server.max_in_flight, server.overlaps()) == (1, [])


def test_whom_the_server_has_not_yet_heard_hang_up_counts_as_gone(server: FhirServer) -> None:
    gone, next_ = Talk(server), Talk(server)
    assert next_("GET", "metadata").status == 200
    server.script(["hang"])
    gone.connection.request("GET", "/fhir/metadata")
    while len(server.log) < 2:
        time.sleep(0.001)
    held = threading.Thread(target=server.ask, args=(time.sleep, 0.2))
    held.start()
    time.sleep(0.05)  # the server is busy: both of these wait for it, the hanging up after the request
    next_.connection.request("GET", "/fhir/metadata")
    gone.connection.close()
    held.join()
    assert next_.connection.getresponse().status == 200
    assert server.max_in_flight == 1


def test_a_study_is_known_by_its_uid_whatever_the_way() -> None:
    with FhirServer(latency=0.25) as server:
        there = server.add(PATIENT)
        body = {name: value for name, value in study(1, there).items() if name != "id"}

        def conditional() -> int:
            return Talk(server)("PUT", "ImagingStudy?identifier=urn:dicom:uid%7Curn:oid:1.2.3.1", body).status

        together(alone(server, 1), conditional)
        assert [one.name for one in server.overlaps()] == ["ImagingStudy urn:dicom:uid|urn:oid:1.2.3.1"]


@pytest.mark.parametrize(("races", "statuses", "patients"), [("duplicate", [200, 200], 2), ("conflict", [200, 409], 1)])
def test_races(races: str, statuses: list[int], patients: int) -> None:
    with FhirServer(races=races, window=0.25) as server:
        assert sorted(together(alone(server, 1), alone(server, 2))) == statuses
        assert len(server.resources("Patient")) == patients
        assert bool(server.duplicates()) is (patients == 2)
        assert alone(server, 3)() == (412 if patients == 2 else 200)


def test_without_races_one_waits_for_the_other() -> None:
    with FhirServer(latency=0.1) as server:
        assert together(alone(server, 1), alone(server, 2)) == [200, 200]
        assert len(server.resources("Patient")) == 1


# What goes wrong.


def outcome_of(server: FhirServer, timeout: float = 10) -> Reply | Exception:
    """What one transaction gets, over a connection of its own."""

    def send() -> Reply:
        client = Talk(server, timeout)
        try:
            return client.transaction(*one_study())
        finally:
            client.connection.close()

    reply: Reply | Exception = together(send)[0]
    return reply


BREAKS: dict[str, tuple[type[Exception], bool]] = {
    "reset": (ConnectionResetError, False),
    "reset-early": (ConnectionResetError, False),
    "reset-after": (ConnectionResetError, True),
    "close": (http.client.RemoteDisconnected, False),
    "close-after": (http.client.RemoteDisconnected, True),
    "cut-after": (http.client.IncompleteRead, True),
    "length-long-after": (http.client.IncompleteRead, True),
    "garbage": (http.client.BadStatusLine, False),
}


@pytest.mark.parametrize("name", BREAKS)
def test_faults_that_break_the_connection(server: FhirServer, name: str) -> None:
    error, done = BREAKS[name]
    server.script([name])
    assert type(outcome_of(server)) is error
    assert (len(server.resources("ImagingStudy")) == 1) is done
    assert (server.log[0].fault, server.log[0].processed) == (name, done)
    assert outcome_of(server).status == 200  # type: ignore[union-attr]
    assert server.unused == []


def test_a_reset_while_the_body_is_still_coming(server: FhirServer) -> None:
    server.script(["reset-early"])
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as wire:
        wire.sendall(b"POST /fhir HTTP/1.1\r\nContent-Length: 1000\r\n\r\n{")
        with pytest.raises(ConnectionResetError):
            wire.recv(1)


@pytest.mark.parametrize(("fault", "done"), [(faults.hang(), False), (faults.hang(after=True), True)])
def test_silence(server: FhirServer, fault: faults.Fault, done: bool) -> None:
    server.script([fault])
    assert isinstance(outcome_of(server, timeout=0.1), TimeoutError)
    assert (len(server.resources("Patient")) == 1) is done
    server.script([faults.hang(seconds=0.05)])
    assert isinstance(outcome_of(server), http.client.RemoteDisconnected)


def test_a_drip_outlasts_any_read_timeout(server: FhirServer) -> None:
    server.script([faults.drip(0.0005), faults.slow(0.3)])
    talk = Talk(server, timeout=0.2)
    begun = time.monotonic()
    assert talk("GET", "Patient?_summary=count").json["total"] == 0
    assert time.monotonic() - begun > 0.1  # so long at least, whatever the machine
    with pytest.raises(TimeoutError):
        talk("GET", "Patient?_summary=count")
    assert (server.log[0].fault, server.log[0].status) == ("drip-after", 200)


def test_a_length_that_is_too_small(server: FhirServer) -> None:
    server.script(["length-short-after"])
    reply = outcome_of(server)
    assert isinstance(reply, Reply)
    with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
        _ = reply.json


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 408, 409, 410, 412, 413, 422, 425, 429])
def test_refusals_quote_what_was_sent(server: FhirServer, code: int) -> None:
    server.script([str(code)])
    reply = outcome_of(server)
    assert isinstance(reply, Reply)
    assert (reply.status, "retry-after" in reply.headers) == (code, False)
    assert "P1" in reply.issue["diagnostics"]
    assert reply.issue["expression"]
    assert server.versions() == {}


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_failures_are_pages_for_people(server: FhirServer, code: int) -> None:
    server.script([str(code), f"{code}-after"])
    for done in (False, True):
        reply = outcome_of(server)
        assert isinstance(reply, Reply)
        assert (reply.status, reply.headers["content-type"], reply.body[:5]) == (code, "text/html", b"<!DOC")
        assert (len(server.versions()) == 2) is done


@pytest.mark.parametrize("code", [429, 503])
@pytest.mark.parametrize("form", faults.RETRY_AFTER)
def test_every_form_of_retry_after(server: FhirServer, code: int, form: str) -> None:
    server.script([f"{code}-{form}"])
    reply = outcome_of(server)
    assert isinstance(reply, Reply)
    assert reply.status == code
    said = reply.headers["retry-after"]
    shapes = {"seconds": r"1", "huge": r"\d{5}", "negative": r"-\d", "fraction": r"0\.5", "garbage": r"[a-z ,I]+"}
    if form in shapes:
        assert re.fullmatch(shapes[form], said)
    else:
        wait = parsedate_to_datetime(said).timestamp() - time.time()
        assert (wait > 0) is (form == "date")


@pytest.mark.parametrize("name", ["html", "empty", "outcome", "array", "half", "short", "long", "html-before"])
def test_success_that_is_none(server: FhirServer, name: str) -> None:
    server.script([f"200-{name}"])
    reply = outcome_of(server)
    assert isinstance(reply, Reply)
    assert reply.status == 200
    assert bool(server.versions()) is (name != "html-before")
    shapes = {"html": b"<!DOC", "html-before": b"<!DOC", "empty": b"", "array": b"[]"}
    if name in shapes:
        assert reply.body[:5] == shapes[name]
    elif name == "outcome":
        assert reply.json["resourceType"] == "OperationOutcome"
    elif name == "half":
        with pytest.raises(ValueError, match=r"delimiter|Unterminated|Expecting"):
            _ = reply.json
    else:
        assert len(reply.json["entry"]) == {"short": 1, "long": 3}[name]


def test_entries_that_fail_inside_a_200(server: FhirServer, talk: Talk) -> None:
    there = server.add(PATIENT)
    server.script(["entry-429", faults.entries({0: 503, 2: 422}), "entry-400"])
    three = [entry(study(number, there)) for number in (1, 2, 3)]
    throttled = talk.transaction(*three, kind="batch")
    assert [one["response"]["status"][:3] for one in throttled.json["entry"]] == ["201", "201", "429"]
    assert throttled.headers["retry-after"] == "1"
    assert set(server.versions()) == {there, "ImagingStudy/s1", "ImagingStudy/s2"}
    mixed = talk.transaction(*three, kind="batch")
    assert [one["response"]["status"][:3] for one in mixed.json["entry"]] == ["503", "200", "422"]
    assert "retry-after" not in mixed.headers
    assert talk("GET", "metadata").json["resourceType"] == "CapabilityStatement"  # no bundle: as if nothing were
    assert [one.fault for one in server.log] == ["entry-429", "entry-503-422", None]


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_lead_to_another_server(server: FhirServer, talk: Talk, code: int) -> None:
    with FhirServer() as other:
        server.script([faults.redirect(code, other.base)] * 2)
        assert talk.transaction(*one_study()).headers["location"] == other.base
        reply = talk("GET", "metadata")
        assert (reply.status, reply.headers["location"]) == (code, f"{other.base}/metadata")
        assert other.log == []


def test_bodies_that_grow(server: FhirServer) -> None:
    server.script([faults.bomb(1 << 22), "gzip-after", "endless-after"])
    bomb, packed = outcome_of(server), outcome_of(server)
    assert isinstance(bomb, Reply)
    assert isinstance(packed, Reply)
    assert bomb.headers["content-encoding"] == packed.headers["content-encoding"] == "gzip"
    assert len(bomb.body) < 10_000
    assert len(gzip.decompress(bomb.body)) > 1 << 22
    assert json.loads(gzip.decompress(packed.body))["type"] == "transaction-response"
    client = Talk(server)
    client.connection.request("GET", "/fhir/metadata")
    answer = client.connection.getresponse()
    assert len(answer.read(10_000_000)) == 10_000_000
    client.connection.close()
    answer.close()
    assert outcome_of(server).status == 200  # type: ignore[union-attr]


def test_away_and_back(server: FhirServer, talk: Talk) -> None:
    assert talk.transaction(*one_study()).status == 200
    with server.away():
        assert isinstance(outcome_of(server), ConnectionRefusedError)
        with pytest.raises(OSError, match=r"reset|closed|aborted"):
            talk("GET", "metadata")
    assert outcome_of(server).status == 200  # type: ignore[union-attr]
    server.script([faults.away(0.2)])
    assert isinstance(outcome_of(server), ConnectionResetError | http.client.RemoteDisconnected)
    assert isinstance(outcome_of(server), ConnectionRefusedError)
    until = time.monotonic() + 10
    while isinstance(reply := outcome_of(server), ConnectionRefusedError) and time.monotonic() < until:
        time.sleep(0.02)
    assert isinstance(reply, Reply)
    assert server.versions() == {"Patient/1000": 1, "ImagingStudy/s1": 1}


# Scripts.


def test_a_script_is_followed_in_order_by_whom_it_is_for(server: FhirServer, talk: Talk) -> None:
    server.script([KINDS["503"].on("POST", "").repeated(2), None, KINDS["404"].on(path="Imaging*")])
    assert talk("GET", "Patient").status == 200  # uses up None
    assert talk("GET", "ImagingStudy").status == 404
    assert [talk.transaction(*one_study()).status for _ in range(3)] == [503, 503, 200]
    assert server.faults == {"503": 2, "404": 1}
    assert server.unused == []


def test_random_faults_are_the_same_for_one_seed() -> None:
    def happened(seed: int) -> list[str | None]:
        with FhirServer() as server:
            server.random_faults(seed, 0.5, ["429", "500-after", "200-html"], methods=["POST"])
            talk = Talk(server)
            for _ in range(30):
                assert talk("GET", "metadata").status == 200
                talk.transaction(*one_study())
            return [one.fault for one in server.log if one.method == "POST"]

    first = happened(1)
    assert first == happened(1) != happened(2)
    assert {None, "429", "500-after", "200-html"} == set(first)


def test_every_kind_has_its_name_and_is_asked_for_somewhere(server: FhirServer) -> None:
    assert all(name == fault.name for name, fault in KINDS.items())
    assert set(PASSING) <= set(KINDS)
    for name in PASSING:  # whatever happens, asking again gets what was wanted
        server.script([name])
        outcome_of(server)
    assert outcome_of(server).status == 200  # type: ignore[union-attr]
    assert server.versions() == {"Patient/1000": 1, "ImagingStudy/s1": 1}
    assert set(server.faults) == set(PASSING)


def persistent(server: FhirServer, studies: range) -> Callable[[], int]:
    """Sends studies one after the other, each until it is accepted; how often it had to ask."""

    def send() -> int:
        asked, client = 0, Talk(server)
        for number in studies:
            patient = PATIENT | {"identifier": [{"system": "urn:oid:1.2", "value": f"P{studies.start}"}]}
            entries = (entry(patient, f"identifier=urn:oid:1.2%7CP{studies.start}"), entry(study(number)))
            while True:
                asked += 1
                try:
                    reply = client.transaction(*entries)
                    if reply.status == 200 and len(reply.json.get("entry", ())) == 2:
                        break
                except (OSError, http.client.HTTPException, ValueError):
                    client.connection.close()  # and opened anew by the next request
        return asked

    return send


def test_a_careful_client_gets_everything_there_once_through_all_faults() -> None:
    with FhirServer(races="duplicate", window=0.001) as server:
        server.random_faults(7, 0.3, [*PASSING, faults.hang(seconds=0.02), faults.hang(after=True, seconds=0.02)])
        asked = together(*(persistent(server, range(start, start + 50)) for start in (0, 50, 100, 150)))
        assert all(isinstance(one, int) for one in asked)
        assert len(server.resources("ImagingStudy")) == 200
        assert len(server.resources("Patient")) == 4
        assert (server.duplicates(), server.overlaps()) == ([], [])
        assert set(server.versions().values()) == {1}
        assert 1 < server.max_in_flight <= 4
        assert sum(server.faults.values()) > 50
        assert len(server.log) >= sum(asked) - 20  # a few were cut off before they were read


def test_what_is_broken_inside_is_not_hidden() -> None:
    class Broken(Loopback):
        async def answer(self, request: Request) -> Answer:
            raise LookupError("of its own")

    def ask() -> None:
        with Broken() as server, pytest.raises(ConnectionResetError):
            Talk(server)("GET", "x")

    with pytest.raises(ExceptionGroup, match="Broken failed") as caught:
        ask()
    assert "of its own" in str(caught.value.exceptions[0])


def test_a_port_is_kept_while_the_server_is_down(server: FhirServer) -> None:
    with server.away(), socket.socket() as other, pytest.raises(OSError, match="in use"):
        other.bind(("127.0.0.1", server.port))


# Tokens.


def grant(talk: Talk, body: dict[str, str], **headers: str) -> Reply:
    return talk("POST", "", urlencode(body).encode(), Content_Type="application/x-www-form-urlencoded", **headers)


def test_tokens_are_granted_counted_and_taken_back() -> None:
    form = {"grant_type": "client_credentials"}
    with TokenEndpoint("me", "p:w%", lifetime=3600) as endpoint, FhirServer(authorization=endpoint) as server:
        asker, talk = Talk(endpoint), Talk(server)
        basic = base64.b64encode(b"me:p%3Aw%25").decode()
        given = grant(asker, form, Authorization=f"Basic {basic}").json
        assert (given["token_type"], given["expires_in"]) == ("Bearer", 3600)
        header = f"Bearer {given['access_token']}"
        assert talk("GET", "metadata", Authorization=header).status == 200
        endpoint.revoke()
        assert talk("GET", "metadata", Authorization=header).status == 401
        posted = grant(asker, form | {"client_id": "me", "client_secret": "p:w%"}).json
        assert talk("GET", "metadata", Authorization=f"Bearer {posted['access_token']}").status == 200
        assert (endpoint.grants, endpoint.refused, endpoint.tokens[0]) == (2, 0, given["access_token"])
        endpoint.script(["500"])
        assert grant(asker, form).status == 500


def test_what_a_token_endpoint_refuses() -> None:
    form = {"grant_type": "client_credentials", "client_id": "dicom2fhir", "client_secret": "s3cret", "scope": "a"}
    with TokenEndpoint(scope="a", says=0) as endpoint:
        asker = Talk(endpoint)
        assert "expires_in" not in grant(asker, form).json
        for change, status, error in (
            ({"client_secret": "x"}, 401, "invalid_client"),
            ({"grant_type": "password"}, 400, "unsupported_grant_type"),
            ({"scope": "b"}, 400, "invalid_scope"),
        ):
            reply = grant(asker, form | change)
            assert (reply.status, reply.json) == (status, {"error": error})
        assert grant(asker, form, Authorization="Basic !").status == 401
        assert asker("GET", "").status == 405
        assert (endpoint.grants, endpoint.refused) == (1, 4)


def test_tokens_end_by_themselves() -> None:
    with TokenEndpoint(lifetime=0.05) as endpoint:
        form = {"grant_type": "client_credentials", "client_id": "dicom2fhir", "client_secret": "s3cret"}
        token = f"Bearer {grant(Talk(endpoint), form).json['access_token']}"
        assert endpoint.accepts(token)
        time.sleep(0.06)
        assert not endpoint.accepts(token)
        assert not endpoint.accepts(token.removeprefix("Bearer "))


# In a process of its own.


def test_a_server_of_its_own_process_can_be_asked_and_emptied() -> None:
    with ServerProcess("--version", "r4", "--rate", "1", "--kinds", "500-after", "--races", "duplicate") as server:
        reply = Talk(server.base).transaction(*one_study())
        assert reply.status == 500
        held = server.inventory()
        assert held["versions"] == {"Patient/1000": 1, "ImagingStudy/s1": 1}
        assert held["resources"]["ImagingStudy"][0]["id"] == "s1"
        assert (held["requests"], held["faults"], held["duplicates"], held["overlaps"]) == (1, {"500-after": 1}, [], [])
        server.empty()
        assert (server.inventory()["versions"], server.inventory()["requests"]) == ({}, 0)


def test_tls_is_for_those_who_bring_a_certificate() -> None:
    with FhirServer(tls=ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)) as server:
        assert server.base.startswith("https://127.0.0.1:")
        with pytest.raises(ssl.SSLError), socket.create_connection(("127.0.0.1", server.port)) as wire:
            ssl.create_default_context().wrap_socket(wire, server_hostname="127.0.0.1")
