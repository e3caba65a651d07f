"""Who we are: headers, tokens and their renewal, and that nothing secret gets anywhere else."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import sys
import traceback
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode

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

from dicom2fhir.errors import ConfigurationError, Dicom2FhirError, NotAuthorized, ServerAway, ServerMisconfigured
from dicom2fhir.server import auth as auth_module
from dicom2fhir.server.auth import Auth, Basic, Bearer, ClientCredentials, NoAuth
from dicom2fhir.server.client import Answer, Client, KeepsFailing, Target, Timing, Unclear
from dicom2fhir.server.secrets import Secret

TIMING = Timing(backoff_min=0.001, backoff_max=0.01, retry_after_max=0.02, tries=3, give_up=0.05)
PLANTED = "pl4nted-S3cret~token"


@pytest.fixture
def secret(tmp_path: Path) -> Secret:
    (tmp_path / "secret").write_text(PLANTED + "\n")
    return Secret("file", str(tmp_path / "secret"))


def rewrite(secret: Secret, text: str) -> None:
    Path(secret.place).write_text(text)


# Headers from a secret


def test_nobody_has_no_header_and_no_other() -> None:
    assert asyncio.run(NoAuth().header()) is None
    assert asyncio.run(NoAuth().refresh()) is False


def test_a_user_and_a_password_in_utf8(secret: Secret) -> None:
    rewrite(secret, "ö:p w")
    header = asyncio.run(Basic("Müller", secret).header())
    assert header is not None
    assert base64.b64decode(header.removeprefix("Basic ")).decode() == "Müller:ö:p w"
    for user in ("a:b", "a\n"):
        with pytest.raises(ConfigurationError, match="user"):
            Basic(user, secret)


@pytest.mark.parametrize("make", [Bearer, lambda secret: Basic("user", secret)])
def test_a_secret_is_read_again_only_when_it_is_not_accepted(make: Callable[[Secret], Auth], secret: Secret) -> None:
    async def scene() -> None:
        auth = make(secret)
        first = await auth.header()
        rewrite(secret, "another")
        assert await auth.header() == first
        assert await auth.refresh() is True
        assert await auth.header() != first
        assert await auth.refresh() is False

    asyncio.run(scene())


@pytest.mark.parametrize("token", ["two words", "tokén"])
def test_a_token_that_cannot_be_one_is_refused_and_not_repeated(token: str, secret: Secret) -> None:
    rewrite(secret, token)
    with pytest.raises(ConfigurationError) as raised:
        asyncio.run(Bearer(secret).header())
    assert token not in str(raised.value)


# The token endpoint


def grant(token: str = "t", **more: Any) -> Act:
    return reply(200, json.dumps({"access_token": token, "token_type": "Bearer", **more}).encode())


def granted(work: Callable[[Wires, ClientCredentials], Awaitable[Any]], *script: Act, **options: Any) -> Any:
    """Run `work` with a token endpoint that plays a script, and its client."""
    secret = options.pop("secret")
    wires = {name: options.pop(name) for name in ("after",) if name in options}
    ours = {name: options.pop(name) for name in ("scope", "post", "client_id") if name in options}

    async def scene() -> Any:
        async with Wires(list(script), **wires) as server:
            endpoint = Target(server.base + "?tenant=a", **{"timing": TIMING, **options})
            return await work(server, ClientCredentials(endpoint, ours.pop("client_id", "me"), secret, **ours))

    return asyncio.run(scene())


def test_the_secret_goes_into_the_header_form_encoded(secret: Secret) -> None:
    rewrite(secret, "p:w ä&")

    async def work(server: Wires, auth: ClientCredentials) -> None:
        assert await auth.header() == "Bearer t"
        (asked,) = server.received
        assert (asked.method, asked.path) == ("POST", "/fhir?tenant=a")
        assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
        who = base64.b64decode(asked.headers["authorization"].removeprefix("Basic ")).decode()
        assert who == "m%3Ae:" + urlencode({"": "p:w ä&"})[1:]
        assert parse_qs(asked.body.decode()) == {"grant_type": ["client_credentials"], "scope": ["system/*.cruds a"]}

    granted(work, grant(), secret=secret, client_id="m:e", scope="system/*.cruds a")


def test_the_secret_goes_into_the_body_on_request(secret: Secret) -> None:
    async def work(server: Wires, auth: ClientCredentials) -> None:
        assert await auth.header() == "Bearer t"
        (asked,) = server.received
        assert "authorization" not in asked.headers
        expected = {"grant_type": ["client_credentials"], "client_id": ["me"], "client_secret": [PLANTED]}
        assert parse_qs(asked.body.decode()) == expected

    granted(work, grant(), secret=secret, post=True)


@pytest.mark.parametrize(
    ("life", "renewed"),
    [
        ({"expires_in": 3600}, 3570.0),
        ({"expires_in": "3600"}, 3570.0),
        ({"expires_in": 60}, 54.0),
        ({"expires_in": 0}, 0.0),
        ({}, None),
        ({"expires_in": -1}, None),
        ({"expires_in": "soon"}, None),
        ({"expires_in": [1]}, None),
        ({"expires_in": float("nan")}, None),
        ({"expires_in": 10**400}, None),
    ],
)
def test_a_token_is_renewed_shortly_before_it_ends(
    life: dict[str, Any], renewed: float | None, secret: Secret, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(auth_module, "monotonic", lambda: clock[0])

    async def work(server: Wires, auth: ClientCredentials) -> None:
        assert await auth.header() == "Bearer 1"
        if renewed:
            clock[0] += renewed - 0.01
            assert await auth.header() == "Bearer 1"
        clock[0] += 1e9 if renewed is None else 0.02
        assert await auth.header() == ("Bearer 1" if renewed is None else "Bearer 2")
        assert len(server.received) == (1 if renewed is None else 2)

    granted(work, grant("1", **life), grant("2"), secret=secret)


def test_all_who_wait_get_one_token(secret: Secret) -> None:
    async def work(server: Wires, auth: ClientCredentials) -> None:
        assert set(await asyncio.gather(*(auth.header() for _ in range(20)))) == {"Bearer 1"}
        assert len(server.received) == 1
        assert await auth.refresh() is True
        assert await auth.header() == "Bearer 2"
        assert await auth.refresh() is False  # the same one again
        assert len(server.received) == 3

    granted(work, after(0.02, grant("1")), grant("2"), grant("2"), secret=secret)


@pytest.mark.parametrize("fault", [hang_up(), reset(), html(500), html(503), reply(429, retry_after=1)])
def test_an_endpoint_that_stumbles_is_asked_again(fault: Act, secret: Secret) -> None:
    async def work(server: Wires, auth: ClientCredentials) -> None:
        assert await auth.header() == "Bearer t"
        assert len(server.received) == 3

    granted(work, fault, fault, grant(), secret=secret)


@pytest.mark.parametrize(
    ("act", "kind", "words"),
    [
        (reply(400, b'{"error":"invalid_client","error_description":"planted"}'), NotAuthorized, "invalid_client"),
        (reply(401, b'{"error":"planted"}'), NotAuthorized, "401"),
        (reply(400, b'{"error":["planted"]}'), NotAuthorized, "400"),
        (html(403), NotAuthorized, "403"),
        (reply(404), ServerMisconfigured, "404"),
        (reply(200, b"<html>planted</html>"), ServerMisconfigured, "no token"),
        (reply(200, b'{"access_token":7}'), ServerMisconfigured, "no token"),
        (reply(201, b'{"access_token":"planted"}'), ServerMisconfigured, "no token"),
        (reply(200, b'{"access_token":"planted","token_type":"mac"}'), ServerMisconfigured, "bearer"),
        (grant("planted\r\nX: y"), ConfigurationError, "characters"),
        (bomb(10 << 20), ServerMisconfigured, "no token"),
        (endless(b"HTTP/1.1 200 X\r\n\r\n", b'{"access_token":"planted"}' * 4000), ServerMisconfigured, "no token"),
        (html(500), ServerAway, "does not answer"),
        (hang_up(), ServerAway, "does not answer"),
    ],
)
def test_why_there_is_no_token(act: Act, kind: type[Exception], words: str, secret: Secret) -> None:
    async def work(server: Wires, auth: ClientCredentials) -> None:
        with pytest.raises(kind, match=words) as raised:
            await auth.header()
        assert "planted" not in str(raised.value)
        assert len(server.received) == (TIMING.tries if kind is ServerAway else 1)

    granted(work, after=act, secret=secret)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_an_endpoint_that_redirects_is_not_followed(status: int, secret: Secret) -> None:
    async def scene() -> None:
        async with Wires(after=grant()) as other:

            async def work(server: Wires, auth: ClientCredentials) -> None:
                with pytest.raises(ServerMisconfigured, match="redirects"):
                    await auth.header()

            async with Wires([reply(status, b"", Location=other.base)]) as server:
                await work(server, ClientCredentials(Target(server.base, timing=TIMING), "me", secret))
            assert other.connections == 0

    asyncio.run(scene())


def test_an_endpoint_that_is_not_there_or_not_trusted(secret: Secret) -> None:
    async def scene() -> None:
        async with nobody() as port:
            away = ClientCredentials(Target(f"http://127.0.0.1:{port}", timing=TIMING), "me", secret)
            with pytest.raises(ServerAway):
                await away.header()
        async with Wires(after=grant(), tls=True) as server:
            with pytest.raises(ServerMisconfigured, match="--cacert"):
                await ClientCredentials(Target(server.base, timing=TIMING), "me", secret).header()
            trusted = Target(server.base, timing=TIMING, cacert=str(PEM))
            assert await ClientCredentials(trusted, "me", secret).header() == "Bearer t"
            assert len(server.received) == 1

    asyncio.run(scene())


def test_a_run_goes_on_with_a_new_token_that_is_got_once(secret: Secret) -> None:
    """Tokens that live shorter than they say: one refresh each time, whoever meets it."""

    async def scene() -> None:
        valid = ["1"]

        async def give(writer: asyncio.StreamWriter) -> bool:
            return await grant(valid[0])(writer)

        async def guarded(writer: asyncio.StreamWriter) -> bool:
            wants = f"Bearer {valid[0]}"
            fits = server.received[-1].headers["authorization"] == wants
            return await (reply() if fits else reply(401))(writer)

        async with Wires(after=give) as tokens, Wires(after=guarded) as server:
            auth = ClientCredentials(Target(tokens.base, timing=TIMING), "me", secret)
            async with Client(Target(server.base, timing=TIMING, connections=4), auth) as client:
                for token in "12345":
                    valid[0] = token
                    asked = (client.request("POST", "", b"{}", idempotent=False) for _ in range(8))
                    assert {each.status for each in await asyncio.gather(*asked)} == {200}
            assert len(tokens.received) == 5

    asyncio.run(scene())


# The planted token

BAD: dict[str, Act] = {
    "fine": reply(200, Set_Cookie=PLANTED, X_Echo=PLANTED),
    "401": reply(401, PLANTED.encode(), WWW_Authenticate=PLANTED),
    "403": reply(403, PLANTED.encode()),
    "redirect": reply(302, Location=f"http://localhost/{PLANTED}"),
    "422": reply(422, PLANTED.encode()),
    "500": html(500, X_Echo=PLANTED),
    "hung up": hang_up(),
    "reset": reset(),
    "broken body": raw(message(200, PLANTED.encode(), {"Content-Length": "999"}), stays=False),
    "not HTTP": raw(PLANTED.encode() + b"\r\n\r\n", stays=False),
    "bad header": raw(b"HTTP/1.1 200 X\r\n" + PLANTED.encode() + b"\r\n\r\n", stays=False),
    "bad length": raw(b"HTTP/1.1 200 X\r\nContent-Length: " + PLANTED.encode() + b"\r\n\r\n", stays=False),
    "silence": silence(),
    "drip": drip(message(200, PLANTED.encode()), pause=0.02),
    "bomb": bomb(10 << 20),
}
KINDS: dict[str, Callable[[Secret, Target], Auth]] = {
    "none": lambda secret, endpoint: NoAuth(),
    "basic": lambda secret, endpoint: Basic(PLANTED, secret),
    "bearer": lambda secret, endpoint: Bearer(secret),
    "client-credentials": lambda secret, endpoint: ClientCredentials(endpoint, PLANTED, secret),
    "in the body": lambda secret, endpoint: ClientCredentials(endpoint, "me", secret, PLANTED, post=True),
}
HASTY = replace(TIMING, read=0.1, total=0.2)


class Ears(logging.Handler):
    """Hears every logger that there is, at any level."""

    def __init__(self) -> None:
        super().__init__(logging.NOTSET)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.heard.append(f"{record.name} {record.getMessage()} {record.__dict__}")


@pytest.fixture
def ears(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ears]:
    ears = Ears()
    Client(Target("http://localhost"), NoAuth())
    for name in ("", *logging.root.manager.loggerDict):
        logger = logging.getLogger(name)
        monkeypatch.setattr(logger, "level", logging.DEBUG)
        monkeypatch.setattr(logger, "disabled", False)
        monkeypatch.setattr(logger, "handlers", [ears])
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]
    yield ears
    logging.root.manager._clear_cache()  # type: ignore[attr-defined]


def leaks(text: str) -> bool:
    """Whether a text has the planted token, as it is or as Basic writes it."""
    inner = base64.b64encode(b"xx" + PLANTED.encode())[4:-4].decode()
    return PLANTED in text or inner in text or base64.b64encode(PLANTED.encode())[:-4].decode() in text


async def attempt(client: Client, idempotent: bool) -> Answer | Exception:
    try:
        return await client.request("POST", f"Patient?a={PLANTED}", PLANTED.encode(), idempotent=idempotent)
    except (Dicom2FhirError, KeepsFailing, Unclear) as failure:
        return failure


FEW = ("fine", "401", "redirect", "hung up", "broken body")


@pytest.mark.parametrize(
    ("kind", "fault"), [(kind, fault) for kind in KINDS for fault in (BAD if kind == "bearer" else FEW)]
)
def test_what_is_secret_is_in_no_text(kind: str, fault: str, secret: Secret, ears: Ears) -> None:
    """Nor is what the server echoes, nor what stands in an address or a body."""

    async def scene() -> list[object]:
        async with Wires(after=BAD[fault]) as server, Wires(after=grant(PLANTED)) as tokens:
            timing = HASTY if fault in ("silence", "drip") else TIMING
            goal = Target(server.base, headers=(("X-Key", PLANTED),), timing=timing)
            auth = KINDS[kind](secret, Target(tokens.base, timing=TIMING))
            async with Client(goal, auth) as client:
                outcomes = [await attempt(client, idempotent) for idempotent in (True, False)]
            seen = server.received[0]
            assert leaks(seen.headers.get("authorization", "")) == (kind != "none")
            assert all(map(leaks, (seen.path, seen.headers["x-key"], seen.body.decode())))
            return [secret, goal, auth, client, *outcomes]

    logging.getLogger("httpx2.test").debug("heard")
    everything = asyncio.run(scene())
    failures = [each for each in everything if isinstance(each, Exception)]
    traces = ["".join(traceback.format_exception(failure)) for failure in failures]
    assert [(each.__cause__, each.__context__) for each in failures] == [(None, None)] * len(failures)
    assert len(failures) == (0 if fault in ("fine", "422", "bomb") else 2)
    assert any("heard" in text for text in ears.heard)
    assert not [text for text in (*ears.heard, *traces, *map(repr, everything), *map(str, everything)) if leaks(text)]


@pytest.mark.parametrize("fault", ["fine", "401", "hung up", "bad header"])
@pytest.mark.parametrize("post", [False, True])
def test_the_clients_secret_is_in_no_text_when_the_endpoint_fails(
    fault: str, post: bool, secret: Secret, ears: Ears
) -> None:
    async def work(server: Wires, auth: ClientCredentials) -> str:
        with pytest.raises(Dicom2FhirError) as raised:
            await auth.header()
        assert PLANTED in server.received[0].body.decode() or not post
        return "".join(traceback.format_exception(raised.value)) + repr(auth)

    text = granted(work, after=BAD[fault], secret=secret, post=post)
    assert not leaks(text + "".join(ears.heard))


PROGRAM = """
import asyncio, sys
from dicom2fhir.server.auth import Bearer
from dicom2fhir.server.client import Client, Target
from dicom2fhir.server.secrets import Secret

async def main(base, *places):
    for kind, place in zip(places[::2], places[1::2]):
        async with Client(Target(base), Bearer(Secret(kind, place))) as client:
            await client.request("GET", "metadata", idempotent=True)

asyncio.run(main(*sys.argv[1:]))
"""


def command_lines() -> str:
    """Of every process on this machine."""
    texts = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            texts.append(path.read_bytes().replace(b"\0", b" ").decode(errors="replace"))
        except OSError:
            continue  # it has ended
    return "\n".join(texts)


def test_what_is_secret_is_in_no_process_list(secret: Secret, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("THE_TOKEN", PLANTED)
    command = f"sh -c 'sleep 0.2; cat {secret.place}'"
    places = ["file", secret.place, "command", command, "environment", "THE_TOKEN"]

    async def scene() -> list[str]:
        async with Wires(after=after(0.05, reply())) as server:
            program = await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, server.base, *places)
            ending = asyncio.create_task(program.wait())
            seen = []
            while not ending.done():
                seen.append(command_lines())
                await asyncio.sleep(0.02)
            assert ending.result() == 0
            assert [each.headers["authorization"] for each in server.received] == [f"Bearer {PLANTED}"] * 3
            return seen

    seen = asyncio.run(scene())
    assert any("dicom2fhir.server.auth" in text for text in seen)
    assert any("sh -c sleep 0.2" in text for text in seen)
    assert not any(PLANTED in text for text in seen)
