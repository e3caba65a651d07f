"""Every fault of the wire: what the client makes of it, and how often it asked."""

from __future__ import annotations

import asyncio
import gzip
import random
import socket
import tracemalloc
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest
from server.wires import (
    PEM,
    Act,
    Wires,
    after,
    bomb,
    drip,
    endless,
    hang_up,
    html,
    message,
    nobody,
    raw,
    reply,
    reset,
    silence,
)

from dicom2fhir import __version__
from dicom2fhir.errors import (
    ConfigurationError,
    Dicom2FhirError,
    NotAuthorized,
    ServerAway,
    ServerMisconfigured,
    UsageError,
)
from dicom2fhir.server.auth import Auth, NoAuth
from dicom2fhir.server.client import Answer, Client, KeepsFailing, Target, Timing, Unclear

PATIENT = Timing(backoff_min=0.001, backoff_max=0.01, retry_after_max=0.02, tries=4)
HASTY = replace(PATIENT, connect=0.5, read=0.15, total=0.3)
"""For servers that never answer in time, however slow the machine is."""
FAILURES = (Dicom2FhirError, KeepsFailing, Unclear)
Outcome = Answer | Exception


class Tokens:
    """An Auth with tokens that are given out in turn; counts what is asked of it."""

    def __init__(self, *tokens: str) -> None:
        self.tokens, self.refreshes = list(tokens), 0

    async def header(self) -> str | None:
        await asyncio.sleep(0)
        return f"Bearer {self.tokens[0]}"

    async def refresh(self) -> bool:
        self.refreshes += 1
        await asyncio.sleep(0.01)
        return len(self.tokens) > 1 and bool(self.tokens.pop(0))


def target(server: Wires, **options: Any) -> Target:
    return Target(server.base, **{"timing": PATIENT, **options})


def play(work: Callable[[Wires, Client], Awaitable[Any]], *script: Act, **options: Any) -> Any:
    """Run `work` with a server that plays a script and a client of it."""
    auth: Auth = options.pop("auth", NoAuth())
    wires = {name: options.pop(name) for name in ("after", "early", "tls") if name in options}

    async def scene() -> Any:
        async with Wires(list(script), **wires) as server, Client(target(server, **options), auth) as client:
            return await work(server, client)

    return asyncio.run(scene())


async def ask(client: Client, path: str = "Patient/a", method: str = "PUT", **options: Any) -> Outcome:
    """What becomes of a request, exceptions included."""
    body = None if method == "GET" else b'{"resourceType":"Patient"}'
    try:
        return await client.request(method, path, body, **{"idempotent": True, **options})
    except FAILURES as failure:
        return failure


def single(*script: Act, method: str = "PUT", idempotent: bool = True, **options: Any) -> tuple[Outcome, Wires]:
    """What becomes of one request, and what the server saw."""

    async def work(server: Wires, client: Client) -> tuple[Outcome, Wires]:
        return await ask(client, method=method, idempotent=idempotent), server

    outcome: tuple[Outcome, Wires] = play(work, *script, **options)
    return outcome


def told(outcome: Outcome) -> str:
    """An outcome in short: a status, or a failure and its status."""
    if isinstance(outcome, Answer):
        return f"{outcome.status}{' cut' if outcome.cut else ''}"
    return f"{type(outcome).__name__}{f' {outcome.status}' if isinstance(outcome, KeepsFailing | Unclear) else ''}"


# What goes out


def test_requests_say_what_they_are_and_addresses_go_out_as_they_are_given() -> None:
    path = "ImagingStudy?identifier=urn%3Adicom%3Auid%7Curn%3Aoid%3A1.2&patient=a%5C%2Cb,c"

    async def work(server: Wires, client: Client) -> None:
        await client.request("GET", path, idempotent=False)
        own = {"If-None-Exist": "x", "Prefer": "return=representation", "X-KEY": "mine"}
        await client.request("POST", "", b"{}", own, idempotent=True)
        read, written = server.received
        assert (read.method, read.path, read.body) == ("GET", f"/fhir/{path}", b"")
        assert (written.method, written.path, written.body) == ("POST", "/fhir", b"{}")
        assert read.headers == {
            "host": f"127.0.0.1:{server.port}",
            "accept": "application/json+fhir",
            "accept-encoding": "identity",
            "cache-control": "no-cache",
            "user-agent": "theirs",
            "x-key": "k",
        }
        shared = {name: read.headers[name] for name in ("host", "accept", "accept-encoding", "user-agent")}
        assert written.headers == shared | {
            "content-type": "application/json+fhir",
            "content-length": "2",
            "if-none-exist": "x",
            "prefer": "return=representation",
            "x-key": "mine",
        }
        assert (client.requests, client.retries, client.bytes) == (2, 0, 2)

    play(work, media_type="application/json+fhir", headers=(("X-Key", "k"), ("USER-AGENT", "theirs")))


def test_a_request_is_sent_as_what_it_is_unless_it_is_said_otherwise() -> None:
    async def work(server: Wires, client: Client) -> None:
        for method, body in (("GET", None), ("PUT", b"{}"), ("DELETE", None)):
            await client.request(method, "a", body, idempotent=True)
        sent = [each.headers for each in server.received]
        assert {each["user-agent"] for each in sent} == {f"dicom2fhir/{__version__}"}
        assert {each["accept"] for each in sent} == {"application/fhir+json"}
        assert [each.get("content-type") for each in sent] == [None, "application/fhir+json", None]
        assert [each.get("prefer") for each in sent] == [None, "return=minimal", "return=minimal"]

    play(work)


@pytest.mark.parametrize("size", [0, 1, 1 << 16, 3_000_001])
@pytest.mark.parametrize("packed", [False, True])
def test_bodies_of_any_size_arrive_and_are_packed_only_on_request(size: int, packed: bool) -> None:
    body = random.Random(size).randbytes(size)

    async def work(server: Wires, client: Client) -> None:
        assert (await client.request("POST", "", body, idempotent=True)).status == 200
        (seen,) = server.received
        assert seen.headers.get("content-encoding") == ("gzip" if packed else None)
        assert (gzip.decompress(seen.body) if packed else seen.body) == body
        assert client.bytes == len(seen.body)

    play(work, gzip=packed)


def test_answers_come_with_their_headers_and_a_connection_is_used_again() -> None:
    async def work(server: Wires, client: Client) -> None:
        first = await client.request("GET", "a", idempotent=True)
        assert (first.status, first.headers["etag"], first.body) == (200, 'W/"3"', b'{"a":1}')
        assert first.json() == {"a": 1}
        assert (await client.request("GET", "b", idempotent=True)).status == 404
        assert (await client.request("DELETE", "c", idempotent=True)).status == 204
        assert server.connections == 1

    play(work, reply(body=b'{"a":1}', ETag='W/"3"'), reply(404), raw(b"HTTP/1.1 204 X\r\n\r\n"))


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (b"", None),
        (b"[1]", None),
        (b"7", None),
        (b"<html>{}</html>", None),
        (b'{"a": "\xff"}', None),
        (b'{"a":' * 100_000, None),
        (b'{"a":' + b"9" * 5000 + b"}", None),
    ],
)
def test_a_body_is_json_or_nothing(body: bytes, value: object) -> None:
    assert Answer(200, {}, body).json() == value


def test_nothing_is_taken_from_the_environment_and_no_cookie_is_kept(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login me password mine\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")

    async def work(server: Wires, client: Client) -> None:
        for _ in range(2):
            assert told(await ask(client, method="GET")) == "200"
        assert not any({"authorization", "cookie"} & set(each.headers) for each in server.received)

    play(work, reply(Set_Cookie="a=b"))


def test_a_proxy_is_used_where_it_is_asked_for() -> None:
    async def scene() -> None:
        async with Wires() as proxy, nobody() as port:
            there = Target(f"http://127.0.0.1:{port}/fhir", timing=PATIENT, proxy=f"http://127.0.0.1:{proxy.port}")
            async with Client(there, NoAuth()) as client:
                assert told(await ask(client, method="GET")) == "200"
            assert proxy.asked == [f"GET http://127.0.0.1:{port}/fhir/Patient/a"]

    asyncio.run(scene())


def test_a_proxy_that_refuses_is_a_matter_of_configuration() -> None:
    async def scene() -> None:
        for status, kind in ((407, ServerMisconfigured), (503, ServerAway)):
            async with Wires(after=reply(status)) as proxy:
                timing = replace(PATIENT, give_up=0.05)
                there = Target("https://127.0.0.1:9", timing=timing, proxy=f"http://127.0.0.1:{proxy.port}")
                async with Client(there, NoAuth()) as client:
                    assert isinstance(await ask(client, idempotent=False), kind)
                assert all(each.startswith("CONNECT ") for each in proxy.asked)

    asyncio.run(scene())


@pytest.mark.parametrize(
    "path", ["../admin", "a/../../b", "/a", "a//b", "%2e%2e/a", "a\\..\\..\\b", "a#b", "a b", "a\n"]
)
def test_nothing_is_sent_to_another_place_than_below_the_base(path: str) -> None:
    async def work(server: Wires, client: Client) -> None:
        assert isinstance(await ask(client, path), UsageError)
        assert not server.connections

    play(work)


@pytest.mark.parametrize(
    "header", [("a b", "c"), ("a", "b\r\nc: d"), ("a", "ä"), ("Host", "x"), ("content-length", "1")]
)
def test_a_header_that_is_none_is_refused_without_repeating_it(header: tuple[str, str]) -> None:
    with pytest.raises(UsageError) as raised:
        Target("http://localhost", headers=(header,))
    assert header[1] not in str(raised.value).split()


# The table of faults: one fault, then all is well

WHOLE = message(200, b'{"a":1}')
PART = message(200, b'{"a"', {"Content-Length": "1000"})
SENT: dict[str, tuple[Act, str]] = {
    "reset before headers": (reset(), "Unclear 0"),
    "hung up before headers": (hang_up(), "Unclear 0"),
    "reset within headers": (reset(WHOLE[:20]), "Unclear 0"),
    "hung up within headers": (raw(WHOLE[:20], stays=False), "Unclear 0"),
    "reset within the body": (reset(PART), "Unclear 200"),
    "hung up within the body": (raw(PART, stays=False), "Unclear 200"),
    "not HTTP": (raw(b"SSH-2.0-OpenSSH_9\r\n", stays=False), "Unclear 0"),
    "headers without end": (raw(b"HTTP/1.1 200 X\r\n" + b"a: b\r\n" * 40_000), "Unclear 0"),
    "500": (html(500), "Unclear 500"),
    "502": (html(502), "Unclear 502"),
    "503 without a time": (html(503), "Unclear 503"),
    "504": (html(504), "Unclear 504"),
    "599": (reply(599), "Unclear 599"),
    "503 and a broken body": (raw(message(503, b"", {"Content-Length": "9"}), stays=False), "Unclear 503"),
}
TURNED_AWAY: dict[str, Act] = {
    "408": reply(408),
    "425": reply(425),
    "429": html(429),
    "429 with a time": reply(429, retry_after=0),
    "503 with a time": html(503, retry_after=0),
}
SLOW: dict[str, tuple[Act, str]] = {
    "silence": (silence(), "Unclear 0"),
    "dripping headers": (drip(WHOLE, pause=0.03), "Unclear 0"),
    "dripping body": (drip(PART, skip=len(PART) - 3, pause=0.13), "Unclear 200"),
    "endless interim answers": (endless(b"", b"HTTP/1.1 103 X\r\nLink: " + b"x" * 9999 + b"\r\n\r\n"), "Unclear 0"),
    "a body without end, slowly": (drip(message(200, b" " * 1000), skip=60, pause=0.03), "Unclear 200"),
}


@pytest.mark.parametrize("fault", SENT)
def test_what_may_have_been_done_is_done_again_only_where_that_does_no_harm(fault: str) -> None:
    act, unclear = SENT[fault]
    outcome, server = single(act, reply(201), idempotent=True)
    assert (told(outcome), len(server.received)) == ("201", 2)
    outcome, server = single(act, reply(201), idempotent=False)
    assert (told(outcome), len(server.received)) == (unclear, 1)
    outcome, server = single(act, reply(200), idempotent=False, method="GET")
    assert (told(outcome), len(server.received)) == ("200", 2)


@pytest.mark.parametrize("idempotent", [True, False])
@pytest.mark.parametrize("fault", TURNED_AWAY)
def test_what_was_turned_away_is_sent_again(fault: str, idempotent: bool) -> None:
    outcome, server = single(TURNED_AWAY[fault], reply(201), idempotent=idempotent)
    assert (told(outcome), len(server.received)) == ("201", 2)


@pytest.mark.parametrize("fault", SLOW)
def test_no_request_takes_longer_than_its_deadline_however_busy_the_server_is(fault: str) -> None:
    act, unclear = SLOW[fault]
    outcome, server = single(act, reply(201), idempotent=False, timing=HASTY)
    assert (told(outcome), len(server.received)) == (unclear, 1)


def test_a_deadline_that_is_over_is_a_fault_like_others() -> None:
    outcome, server = single(drip(WHOLE, pause=0.03), after=reply(201), timing=replace(HASTY, read=60.0))
    assert told(outcome) == "201"
    assert len(server.received) >= 2


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_connection_that_breaks_before_anything_is_sent_is_made_again(idempotent: bool) -> None:
    """The first handshake gets no further than the server's reset: nothing was sent."""
    outcome, server = single(early=[reset()], tls=True, cacert=str(PEM), idempotent=idempotent)
    assert (told(outcome), server.connections, len(server.received)) == ("200", 2, 1)


@pytest.mark.parametrize("idempotent", [True, False])
def test_a_server_that_refuses_connections_is_waited_for(idempotent: bool) -> None:
    async def scene() -> None:
        async with nobody() as port:
            there = Target(f"http://127.0.0.1:{port}/fhir", timing=PATIENT)
            client = Client(there, NoAuth())
            waiting = asyncio.create_task(ask(client, idempotent=idempotent))
            while client.requests < 3:
                await asyncio.sleep(0.001)
        async with client, Wires(port=port) as server:
            assert told(await waiting) == "200"
            assert len(server.received) == 1
            assert client.requests == client.retries + 1 > 3
            assert client.bytes == len(server.received[0].body)

    asyncio.run(scene())


@pytest.mark.parametrize("status", [200, 201, 204, 304, 400, 404, 405, 406, 410, 412, 413, 415, 422, 428, 501])
@pytest.mark.parametrize("idempotent", [True, False])
def test_a_decision_is_one(status: int, idempotent: bool) -> None:
    bare = status in (204, 304)
    outcome, server = single(raw(b"HTTP/1.1 %d X\r\n\r\n" % status) if bare else reply(status), idempotent=idempotent)
    assert (told(outcome), len(server.received)) == (str(status), 1)


def test_a_refusal_that_breaks_off_is_still_one_where_asking_again_could_do_harm() -> None:
    broken = raw(message(422, b"{", {"Content-Length": "9"}), stays=False)
    outcome, server = single(broken, idempotent=False)
    assert (told(outcome), len(server.received)) == ("422 cut", 1)
    outcome, server = single(broken, reply(422), idempotent=True)
    assert (told(outcome), len(server.received)) == ("422", 2)


def test_who_meets_another_writer_tries_five_times() -> None:
    outcome, server = single(after=reply(409))
    assert (told(outcome), len(server.received)) == ("409", 5)
    outcome, server = single(reply(409), reply(409), reply(201))
    assert (told(outcome), len(server.received)) == ("201", 3)
    outcome, server = single(after=reply(409), idempotent=False)
    assert (told(outcome), len(server.received)) == ("409", 1)


@pytest.mark.parametrize(
    ("act", "end"),
    [
        (html(500), "KeepsFailing 500"),
        (reply(429), "KeepsFailing 429"),
        (raw(PART, stays=False), "KeepsFailing 200"),
        (html(503, retry_after=0), "KeepsFailing 503"),
    ],
)
def test_tries_are_spent_at_last(act: Act, end: str) -> None:
    async def work(server: Wires, client: Client) -> None:
        assert told(await ask(client)) == end
        assert (len(server.received), client.requests, client.retries) == (4, 4, 3)

    play(work, after=act)


RETRY_AFTER = {
    "seconds": ("1", True),
    "huge": ("9" * 400, True),
    "far date": ("Fri, 31 Dec 9999 23:59:59 GMT", True),
    "past date": ("Sun, 06 Nov 1994 08:49:37 GMT", False),
    "garbage": ("soon", False),
    "negative": ("-7", False),
    "two": ("1, 1", False),
}


@pytest.mark.parametrize("form", RETRY_AFTER)
def test_the_server_may_ask_for_a_wait_up_to_a_bound(form: str) -> None:
    text, waits = RETRY_AFTER[form]
    timing = replace(PATIENT, backoff_max=0.0, retry_after_max=0.05 if waits else 60.0)
    outcome, server = single(reply(429, retry_after=text), reply(), timing=timing, idempotent=False)
    first, second = server.received
    assert told(outcome) == "200"
    assert not waits or second.at - first.at >= 0.05


def test_a_part_that_failed_is_waited_for_in_the_same_way() -> None:
    async def work(_: Wires, client: Client) -> None:
        loop = asyncio.get_running_loop()
        begun = loop.time()
        await client.pause(0)
        await client.pause(99)
        await client.pause(1, Answer(200, {"retry-after": "7"}, b""))
        assert loop.time() - begun >= 0.02

    play(work)


def test_too_many_requests_make_fewer_at_once() -> None:
    async def together(writer: asyncio.StreamWriter) -> bool:
        """429, once four requests are there; from then on the most at once is counted anew."""
        (server,) = playing
        while len(server.received) < 4:
            await asyncio.sleep(0.001)
        assert server.most in (4, 0)
        server.most = 0
        return await reply(429)(writer)

    async def work(server: Wires, client: Client) -> None:
        playing.append(server)
        assert [told(each) for each in await asyncio.gather(*(ask(client) for _ in range(4)))] == ["200"] * 4
        assert (server.most, len(server.received)) == (2, 8)

    playing: list[Wires] = []
    play(work, *[together] * 4, after=after(0.02, reply()))


def test_more_at_once_again_when_all_goes_well() -> None:
    async def work(server: Wires, client: Client) -> None:
        for _ in range(3):
            assert told(await ask(client)) == "200"
        server.most = 0
        await asyncio.gather(ask(client), ask(client))
        assert server.most == 2

    play(work, reply(429), after=after(0.02, reply()), connections=2)


def test_no_more_requests_at_once_than_allowed_and_a_wait_is_no_turn() -> None:
    async def work(server: Wires, client: Client) -> None:
        first = asyncio.create_task(ask(client, "first"))
        while not server.received:
            await asyncio.sleep(0.001)
        assert told(await ask(client, "second")) == "200"
        assert not first.done()
        first.cancel()
        assert [told(each) for each in await asyncio.gather(*(ask(client) for _ in range(4)))] == ["200"] * 4
        assert server.most == 1

    play(work, reply(503, retry_after=60), connections=1, timing=replace(PATIENT, retry_after_max=60.0))


# What stops everything


async def stopped(client: Client, kind: type[Exception]) -> None:
    """Every later request is the same failure, unsent, in an exception of its own."""
    before = client.requests
    failures = [await ask(client, path, method) for path, method in (("a", "GET"), ("", "POST"))]
    assert [type(each) for each in failures] == [kind, kind]
    assert failures[0] is not failures[1]
    assert client.requests == before


@pytest.mark.parametrize("status", [300, 301, 302, 303, 305, 307, 308])
@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_a_redirect_is_never_followed(status: int, method: str) -> None:
    async def scene() -> None:
        async with Wires() as other, Wires([reply(status, b"", Location=f"{other.base}/secret-place")]) as server:
            async with Client(target(server), NoAuth()) as client:
                outcome = await ask(client, method=method)
                assert type(outcome) is ServerMisconfigured
                assert "secret" not in str(outcome)
                await stopped(client, ServerMisconfigured)
            assert (other.connections, len(server.received)) == (0, 1)

    asyncio.run(scene())


@pytest.mark.parametrize(
    ("status", "base_level"), [(403, False), (403, True), (407, False), (404, True), (405, True), (410, True)]
)
def test_what_no_try_can_mend_stops_everything(status: int, base_level: bool) -> None:
    async def work(server: Wires, client: Client) -> None:
        outcome = await ask(client, "", "POST", base_level=base_level)
        assert type(outcome) is ServerMisconfigured
        assert str(status) in str(outcome)
        await stopped(client, ServerMisconfigured)
        assert len(server.received) == 1

    play(work, html(status))


def test_a_stop_ends_the_waits_of_others() -> None:
    async def work(server: Wires, client: Client) -> None:
        waiting = asyncio.create_task(ask(client, "a"))
        while not server.received:
            await asyncio.sleep(0.001)
        assert type(await ask(client, "b")) is ServerMisconfigured
        assert type(await waiting) is ServerMisconfigured
        assert len(server.received) == 2

    play(work, reply(429, retry_after=300), reply(403), timing=Timing())


def test_a_401_is_one_refresh_for_all_who_wait() -> None:
    tokens = Tokens("old", "new", "newer")

    async def work(server: Wires, client: Client) -> None:
        assert [told(each) for each in await asyncio.gather(*(ask(client) for _ in range(4)))] == ["200"] * 4
        assert tokens.refreshes == 1
        used = [each.headers["authorization"] for each in server.received]
        assert used == ["Bearer old"] * 4 + ["Bearer new"] * 4

    play(work, *[after(0.05, reply(401))] * 4, auth=tokens)


def test_a_token_may_end_more_than_once_in_a_run_and_in_a_request() -> None:
    tokens = Tokens("1", "2", "3", "4")

    async def work(server: Wires, client: Client) -> None:
        assert told(await ask(client)) == "200"
        assert told(await ask(client)) == "200"
        assert (tokens.refreshes, len(server.received)) == (3, 6)

    play(work, reply(401), reply(), reply(401), html(500), reply(401), reply(), auth=tokens)


@pytest.mark.parametrize(("tokens", "requests"), [(("only",), 1), (("old", "new", "newest"), 2)])
def test_a_second_401_stops_everything(tokens: tuple[str, ...], requests: int) -> None:
    async def work(server: Wires, client: Client) -> None:
        assert type(await ask(client)) is NotAuthorized
        await stopped(client, NotAuthorized)
        assert len(server.received) == requests

    play(work, after=reply(401), auth=Tokens(*tokens))


def test_who_cannot_say_who_we_are_stops_everything() -> None:
    class Broken(Tokens):
        async def header(self) -> str | None:
            return await super().header() if self.tokens else self.fail()

        async def refresh(self) -> bool:
            self.refreshes += 1
            return bool(self.fail())

        def fail(self) -> None:
            raise ConfigurationError("no secret")

    async def work(server: Wires, client: Client) -> None:
        assert {type(each) for each in await asyncio.gather(*(ask(client) for _ in range(3)))} == {ConfigurationError}
        await stopped(client, ConfigurationError)
        assert auth.refreshes <= 1

    for auth in (Broken("old"), Broken()):
        play(work, after=after(0.02, reply(401)), auth=auth)


def test_after_a_stop_nobody_is_asked_who_we_are_and_whoever_just_was_sends_nothing() -> None:
    class Slow(Tokens):
        asked = 0

        async def header(self) -> str | None:
            self.asked += 1
            if self.asked == 2:
                await leave.wait()
            return await super().header()

    async def work(server: Wires, client: Client) -> None:
        first = asyncio.create_task(ask(client))
        while not server.received:
            await asyncio.sleep(0.001)
        second = asyncio.create_task(ask(client))
        assert type(await first) is ServerMisconfigured
        leave.set()
        assert type(await second) is ServerMisconfigured
        await stopped(client, ServerMisconfigured)
        assert (slow.asked, len(server.received)) == (2, 1)

    leave, slow = asyncio.Event(), Slow("t")
    play(work, after(0.02, reply(403)), auth=slow)


def test_a_certificate_that_is_not_trusted_stops_everything_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(PEM))  # not what `--cacert` says

    async def work(server: Wires, client: Client) -> None:
        outcome = await ask(client)
        assert type(outcome) is ServerMisconfigured
        assert "--cacert" in str(outcome)
        await stopped(client, ServerMisconfigured)
        assert (server.received, client.bytes) == ([], 0)

    play(work, tls=True)
    for trust in ({"cacert": str(PEM)}, {"insecure_tls": True}):
        assert told(single(tls=True, **trust)[0]) == "200"


def test_a_ca_file_must_be_one(tmp_path: Any) -> None:
    (tmp_path / "empty.pem").write_text("nothing")
    for name in ("empty.pem", "none.pem"):
        with pytest.raises(ConfigurationError, match="CA file"):
            Client(Target("https://localhost", cacert=str(tmp_path / name)), NoAuth())


# Silence


def test_a_server_that_stays_away_ends_everything() -> None:
    async def scene() -> None:
        async with nobody() as port:
            there = Target(f"http://127.0.0.1:{port}/fhir", timing=replace(PATIENT, give_up=0.1, tries=2))
            async with Client(there, NoAuth()) as client:
                outcomes = await asyncio.gather(ask(client), ask(client, idempotent=False), ask(client, method="GET"))
                assert [type(each) for each in outcomes] == [ServerAway] * 3
                assert client.requests > 6
                await stopped(client, ServerAway)

    asyncio.run(scene())


def test_a_server_that_refuses_connections_is_not_asked_whether_it_is_there() -> None:
    async def scene() -> None:
        async with nobody() as port:
            there = Target(f"http://127.0.0.1:{port}/fhir", timing=replace(PATIENT, give_up=0.0))
            async with Client(there, NoAuth()) as client:
                assert type(await ask(client)) is ServerAway
                assert client.requests == 1

    asyncio.run(scene())


def test_a_connection_that_is_never_made_has_a_deadline_and_nothing_was_sent() -> None:
    async def scene() -> None:
        with (
            socket.create_server(("127.0.0.1", 0), backlog=0) as deaf,
            socket.socket() as fill,
            socket.socket() as more,
        ):
            for each in (fill, more):
                each.setblocking(False)
                each.connect_ex(deaf.getsockname())
            there = Target(
                f"http://127.0.0.1:{deaf.getsockname()[1]}", timing=replace(HASTY, connect=0.1, give_up=0.15)
            )
            async with Client(there, NoAuth()) as client:
                assert type(await ask(client, idempotent=False)) is ServerAway
                assert (client.requests > 1, client.bytes) == (True, 0)

    asyncio.run(scene())


def test_a_server_that_goes_away_is_waited_for_however_many_tries_it_takes() -> None:
    outcome, server = single(html(500), after=hang_up(), timing=replace(PATIENT, give_up=0.2))
    assert type(outcome) is ServerAway
    assert len(server.received) > PATIENT.tries


def test_a_request_that_alone_is_never_answered_has_its_tries_and_no_more() -> None:
    async def work(server: Wires, client: Client) -> None:
        bad = asyncio.create_task(ask(client, "bad"))
        while not bad.done():
            assert told(await ask(client, "good", "GET")) == "200"
        assert told(bad.result()) == "KeepsFailing 0"
        assert server.asked.count("PUT bad") >= 4

    async def moody(writer: asyncio.StreamWriter) -> bool:
        return await (reset() if server_of[0].asked[-1] == "PUT bad" else reply())(writer)

    async def remember(server: Wires, client: Client) -> None:
        server_of.append(server)
        await work(server, client)

    server_of: list[Wires] = []
    play(remember, after=moody, connections=1)


@pytest.mark.parametrize("there", [True, False])
def test_before_the_server_counts_as_away_it_is_asked_whether_it_is_there(there: bool) -> None:
    """A study that makes a server fall over must not end every run."""

    async def moody(writer: asyncio.StreamWriter) -> bool:
        probed = there and server_of[0].asked[-1] == "GET metadata"
        return await (reply(401) if probed else hang_up())(writer)

    async def work(server: Wires, client: Client) -> None:
        server_of.append(server)
        assert told(await ask(client)) == ("KeepsFailing 0" if there else "ServerAway")
        assert server.asked.count("GET metadata") == 1
        assert "authorization" not in server.received[-1].headers
        assert not there or "authorization" in server.received[0].headers

    server_of: list[Wires] = []
    play(work, after=moody, auth=Tokens("t"), timing=replace(PATIENT, give_up=0.05))


def test_an_answer_of_any_kind_ends_the_silence() -> None:
    acts = [act for _ in range(12) for act in (hang_up(), html(500))]
    timing = replace(PATIENT, give_up=0.0001, tries=99)
    outcome, server = single(*acts, reply(), timing=timing, method="GET")
    assert (told(outcome), len(server.received)) == ("200", 25)
    assert "GET metadata" not in server.asked


# Bodies

MUCH = 1 << 16


def chunked(body: bytes) -> Act:
    """A body that does not say how long it is."""
    return raw(message(200, b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body), {"Transfer-Encoding": "chunked"}))


@pytest.mark.parametrize(
    ("act", "cut"),
    [
        (endless(b"HTTP/1.1 200 X\r\n\r\n", bytes(1 << 16)), True),
        (
            endless(b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + bytes(1 << 16) + b"\r\n"),
            True,
        ),
        (raw(message(200, bytes(MUCH), {"Content-Length": str(1 << 40)})), True),
        (bomb(MUCH + 1), True),
        (bomb(16 << 20), True),
        (bomb(MUCH), False),
        (chunked(bytes(MUCH)), False),
        (chunked(bytes(MUCH + 1)), True),
        (reply(200, bytes(MUCH)), False),
        (reply(200, bytes(MUCH + 1)), True),
        (reply(200, b"{}", content_encoding="identity"), False),
        (reply(200, b"{}", content_encoding="br"), True),
        (reply(200, b"{}", content_encoding="gzip"), True),
        (reply(200, gzip.compress(b"{}")[:-3], content_encoding="gzip"), True),
        (reply(200, gzip.compress(b"{}") + b"{}", content_encoding="x-gzip"), True),
    ],
)
@pytest.mark.parametrize("idempotent", [True, False])
def test_a_body_that_is_too_long_or_cannot_be_unpacked_is_no_body(act: Act, cut: bool, idempotent: bool) -> None:
    outcome, server = single(act, idempotent=idempotent, max_answer=MUCH)
    assert isinstance(outcome, Answer)
    assert (outcome.status, outcome.cut, len(server.received)) == (200, cut, 1)
    assert bool(outcome.body) != cut


def test_an_answer_of_eight_megabytes_is_read() -> None:
    outcome, _ = single(bomb(8 << 20))
    assert isinstance(outcome, Answer)
    assert len(outcome.body) == 8 << 20
    assert told(single(bomb((8 << 20) + 1))[0]) == "200 cut"


def test_a_bomb_is_not_unpacked() -> None:
    huge = bomb(64 << 20)
    tracemalloc.start()
    try:
        assert told(single(huge, max_answer=MUCH)[0]) == "200 cut"
        assert tracemalloc.get_traced_memory()[1] < 16 << 20
    finally:
        tracemalloc.stop()


def test_a_body_that_is_packed_without_being_asked_is_read() -> None:
    outcome, _ = single(reply(200, gzip.compress(b'{"a":1}'), content_encoding="GZIP"))
    assert isinstance(outcome, Answer)
    assert outcome.json() == {"a": 1}


def test_a_body_shorter_than_its_length_is_broken_and_one_that_is_longer_is_not_json() -> None:
    outcome, server = single(raw(message(200, b"{}", {"Content-Length": "3"}), stays=False), reply(201))
    assert (told(outcome), len(server.received)) == ("201", 2)

    async def work(server: Wires, client: Client) -> None:
        answer = await client.request("GET", "a", idempotent=True)
        assert (answer.status, answer.json()) == (200, None)
        assert told(await ask(client)) == "200"

    play(work, raw(message(200, b'{"a":1}', {"Content-Length": "3"})))


@pytest.mark.parametrize("tls", [False, True])
def test_what_is_left_of_one_answer_is_not_taken_for_the_next(tls: bool) -> None:
    async def work(server: Wires, client: Client) -> None:
        assert told(await ask(client, "a", "GET")) == "200"
        assert told(await ask(client, "b", "POST", idempotent=False)) == "Unclear 0"
        assert told(await ask(client, "c", "GET")) == "202"
        assert told(await ask(client, "d")) == "204"
        assert (server.asked, server.connections) == (["GET a", "POST b", "GET c", "PUT d", "PUT d"], 3)

    twice = raw(message(200, b"{}") + message(201, b"{}"))
    left = raw(message(202, b"{}") + b"{}")
    bare = raw(b"HTTP/1.1 204 X\r\n\r\n")
    play(work, twice, silence(), left, bare, bare, tls=tls, insecure_tls=tls)


# At random


@pytest.mark.parametrize("seed", range(15))
def test_whatever_happens_nothing_is_done_twice_that_must_not_be(seed: int) -> None:
    """Of a request that must not be done twice no try comes after one that may have been done."""
    chance = random.Random(seed)
    doubtful = [act for act, _ in SENT.values()]
    harmless = list(TURNED_AWAY.values())
    script = [chance.choice(doubtful if chance.random() < 0.3 else harmless) for _ in range(20)]
    tries = [act in doubtful for act in script]
    first = tries.index(True) + 1 if True in tries else len(tries) + 1
    outcome, server = single(*script, idempotent=False, timing=replace(PATIENT, tries=99))
    assert len(server.received) == first
    assert isinstance(outcome, Unclear if True in tries else Answer)
    outcome, server = single(*script, idempotent=True, timing=replace(PATIENT, tries=99))
    assert (told(outcome), len(server.received)) == ("200", 21)
