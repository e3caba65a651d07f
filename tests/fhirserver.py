"""A FHIR server of the tests' own, in memory, on loopback: it keeps its word, and breaks it where a script says so.

    with FhirServer(version="r4") as server:
        server.script(["503-date", None, faults.hang().on("POST")])
        ...  # talk to server.base
        assert not server.overlaps()

`python tests/fhirserver.py --version r4` serves on its own: it prints its base and ends when its standard input does.
`ServerProcess` starts one so, for clients that are killed; `GET /_store` asks it for what it holds, `DELETE /_store`
empties it.
"""

from __future__ import annotations

import argparse
import asyncio
import copy
import gzip
import http.client
import json
import subprocess
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from email.utils import format_datetime
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Protocol, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from faults import PASSING, Faulty, outcome
from fhirstore import RELEASES, Json, Operation, Refused, Result, Rules, Store, Version, identities_of, searches
from loopback import Answer, Overlap, Request

_PRESENTATION = frozenset(("_count", "_elements", "_format", "_pretty", "_sort", "_summary", "_total"))


class Accepting(Protocol):
    """Who knows whether an Authorization header will do, as a TokenEndpoint does."""

    def accepts(self, header: str) -> bool:
        """Whether it will do."""
        ...


@dataclass(frozen=True, slots=True)
class Habits:
    """How a server answers, apart from what its store decides (`Rules`). Pages, statuses and links are HAPI's.

    latency        seconds before a request is acted on
    races          what becomes of writes that decide the same thing at once: None one waits for the other, duplicate
                   each decides on its own and both create (hapi-fhir#3141), conflict the later one gets 409 (HAPI-0550)
    window         seconds between deciding and acting, for `races`
    stale          repeated searches are answered from a cache unless Cache-Control: no-cache is sent
    authorization  the Authorization header that must be sent, or who knows; without it 401
    page, pages    entries of a page where no _count is given, and at most
    max_entries    of a bundle; more are 413
    max_bytes      of a request's body; more are 413
    links          the base that absolute links are made with, where it is not the server's (behind a proxy)
    strict         Content-Type other than the version's is 415, Accept without it 406; else only what is no JSON is 400
    statement      top-level elements that replace those of the capability statement
    """

    latency: float = 0.0
    races: Literal["duplicate", "conflict"] | None = None
    window: float = 0.01
    stale: bool = False
    authorization: str | Accepting | None = None
    page: int = 10
    pages: int = 50
    max_entries: int | None = None
    max_bytes: int | None = None
    links: str | None = None
    strict: bool = False
    statement: Mapping[str, Any] = field(default_factory=dict)


class FhirServer(Faulty):
    """One FHIR endpoint at `base`. Keywords are those of `Rules`, of `Habits`, and port and tls."""

    def __init__(self, **switches: Any) -> None:
        rules = {one.name: switches.pop(one.name) for one in fields(Rules) if one.name in switches}
        habits = {one.name: switches.pop(one.name) for one in fields(Habits) if one.name in switches}
        super().__init__(prefix="/fhir", **switches)
        self.rules = Rules(**rules)
        self.habits = Habits(**habits)
        self.store = Store(self.rules)
        self._cache: dict[str, Answer] = {}
        self._pages: list[tuple[str, list[str], frozenset[str]]] = []

    # What tests ask.

    def resources(self, kind: str) -> list[Json]:
        """The resources of a type that are there, as copies."""
        return self.ask(lambda: copy.deepcopy(self.store.resources(kind)))

    def read(self, reference: str) -> Json:
        """Type/id as it stands, as a copy.

        Raises:
            Refused: it is not there.
        """
        version = self.ask(self.store.read, *reference.split("/"))
        return dict(copy.deepcopy(version.resource or {}))

    def history(self, reference: str) -> list[Version]:
        """Every version of Type/id, the oldest first."""
        return self.ask(lambda: list(self.store.history(reference)))

    def versions(self) -> dict[str, int]:
        """Type/id -> the number of its newest version, of all that ever was."""
        return self.ask(self.store.versions)

    def duplicates(self) -> list[str]:
        """`Type identity` of what more than one resource claims to be."""
        return self.ask(self.store.duplicates)

    def overlaps(self, *kinds: str) -> list[Overlap]:
        """Writes in flight at once that named one thing: a study (by id, condition or UID) or a patient's condition.

        `kinds` are other resource types, without them these two.
        """
        chosen = kinds or ("ImagingStudy", "Patient")
        return self.ask(lambda: [one for one in self.traffic.overlaps if one.name.startswith(chosen)])

    def add(self, resource: Json) -> str:
        """Put a resource there as somebody else might have, with its id or a new one; `Type/id`."""
        kind, body = resource["resourceType"], copy.deepcopy(resource)
        method, url = ("PUT", f"{kind}/{body['id']}") if "id" in body else ("POST", kind)
        done = self.ask(self._freely, Operation(method, url, body))
        return f"{done.type}/{done.id}"

    def remove(self, reference: str) -> None:
        """Delete Type/id as somebody else might have."""
        self.ask(self._freely, Operation("DELETE", reference))

    def _freely(self, operation: Operation) -> Result:
        """Without the rules that servers differ in."""
        self.store.rules = Rules(self.rules.version, referential=False, numeric_ids=True)
        try:
            return self.store.write([operation])[0]
        finally:
            self.store.rules = self.rules

    # The wire.

    def names(self, request: Request) -> frozenset[str]:
        """What a write is about; reads are about nothing."""
        if request.method not in ("POST", "PUT", "DELETE") or request.path.endswith("_search"):
            return frozenset()
        try:
            operations = self._operations(request)
        except (Refused, ValueError, LookupError, TypeError, AttributeError):
            return frozenset()
        return frozenset(name for operation in operations for name in _names(operation))

    def _operations(self, request: Request) -> list[Operation]:
        if request.path == "":
            return [_operation(entry, self.base) for entry in _json(request).get("entry", ())]
        return [_single(request)]

    async def answer(self, request: Request) -> Answer:
        """What a FHIR server answers."""
        if request.path.startswith("/"):
            return self._outside(request)
        try:
            self._admit(request)
            if self.habits.latency:
                await asyncio.sleep(self.habits.latency)
            answer = await self._route(request)
        except Refused as refusal:
            answer = self._answer(request, refusal.status, outcome(refusal.code, refusal.text))
        except (ValueError, LookupError, TypeError, AttributeError) as broken:
            text = f"HAPI-0450: Failed to parse request body as JSON resource. Error was: {broken}"
            answer = self._answer(request, 400, outcome("processing", text))
        return answer

    def _outside(self, request: Request) -> Answer:
        """What is no FHIR: the store as a whole, for tests of other processes."""
        if request.path != "/_store":
            return Answer(404, {"Content-Type": "text/html"}, b"<html>Not found</html>")
        if request.method == "DELETE":
            self.store = Store(self.rules)
            self._clear_log()
            return Answer(204)
        return Answer(200, {"Content-Type": "application/json"}, json.dumps(self.inventory()).encode())

    def inventory(self) -> Json:
        """All that is there and what happened, as JSON: see `ServerProcess`."""
        types = sorted(self.store.types)
        return {
            "resources": {kind: found for kind in types if (found := self.store.resources(kind))},
            "versions": self.store.versions(),
            "duplicates": self.store.duplicates(),
            "overlaps": [one.name for one in self.traffic.overlaps],
            "max_in_flight": self.traffic.most,
            "requests": len(self.log),
            "faults": Counter(one.fault for one in self.log if one.fault),
        }

    def _admit(self, request: Request) -> None:
        wanted, shown = self.habits.authorization, request.headers.get("authorization", "")
        if wanted is not None and not (wanted == shown if isinstance(wanted, str) else wanted.accepts(shown)):
            raise Refused(401, "who are you", "login")
        if self.habits.max_bytes is not None and len(request.body) > self.habits.max_bytes:
            raise Refused(413, "the request is too large", "too-long")
        if request.method in ("POST", "PUT") and not request.path.endswith("_search"):
            self._check_media(request)

    def _check_media(self, request: Request) -> None:
        sent, wanted = request.headers.get("content-type", ""), request.headers.get("accept", "*/*")
        if self.habits.strict:
            if sent.partition(";")[0].strip() != self._media:
                raise Refused(415, f"{sent} is not {self._media}", "not-supported")
            if self._media not in wanted and "*/*" not in wanted:
                raise Refused(406, f"{wanted} cannot be had", "not-supported")
        if "json" not in sent:
            raise Refused(400, f'HAPI-0449: Incorrect Content-Type header value of "{sent}"')

    @property
    def _media(self) -> str:
        return "application/json+fhir" if self.rules.version == "dstu2" else "application/fhir+json"

    async def _route(self, request: Request) -> Answer:
        kind, *rest = request.path.split("/")
        if request.method == "GET":
            return self._get(request, kind, rest)
        if request.path == "":
            return await self._bundle(request)
        if rest == ["_search"] and request.method == "POST":
            return self._search(request, kind, parse_qsl(request.body.decode(), keep_blank_values=True))
        return self._written(request, (await self._write([_single(request)]))[0])

    # Reading.

    def _get(self, request: Request, kind: str, rest: list[str]) -> Answer:
        if request.path == "metadata":
            return self._answer(request, 200, self._statement())
        parameters = parse_qsl(request.query, keep_blank_values=True)
        if request.path == "":
            return self._page(request, dict(parameters))
        if not rest:
            return self._search(request, kind, parameters)
        if kind == "Patient" and len(rest) == 2 and rest[1] in self.store.types:
            return self._search(request, rest[1], [*parameters, ("patient", rest[0])])  # the compartment
        if rest[1:2] == ["_history"]:
            return self._history(request, f"{kind}/{rest[0]}", rest[2:])
        if len(rest) > 1:
            raise Refused(400, f"HAPI-0287: Unable to handle {request.path}")
        return self._shown(request, 200, self.store.read(kind, rest[0]))

    def _history(self, request: Request, reference: str, number: list[str]) -> Answer:
        versions = self.store.history(reference)
        if number:
            for version in versions:
                if number == [str(version.number)] and version.resource is not None:
                    return self._shown(request, 200, version)
            raise Refused(404, f"Version {reference}/_history/{number[0]} is not known", "not-found")
        url = f"{self._links}/{reference}"
        entries = [_past(url, version) for version in reversed(versions)]
        return self._answer(request, 200, {"resourceType": "Bundle", "type": "history", "entry": entries})

    def _search(self, request: Request, kind: str, parameters: Sequence[tuple[str, str]]) -> Answer:
        key = f"{kind}?{urlencode(sorted(parameters))}"
        fresh = "no-cache" in request.headers.get("cache-control", "")
        if self.habits.stale and not fresh and key in self._cache:
            return self._cache[key]
        ids = self.store.search(kind, [pair for pair in parameters if pair[0] not in _PRESENTATION])
        how = dict(parameters)
        if how.get("_summary") == "count" or how.get("_count") == "0":
            answer = self._answer(request, 200, {"resourceType": "Bundle", "type": "searchset", "total": len(ids)})
        else:
            self._pages.append((kind, ids, frozenset(filter(None, how.get("_elements", "").split(",")))))
            answer = self._part(request, len(self._pages) - 1, 0, how.get("_count"))
        self._cache[key] = answer
        return answer

    def _page(self, request: Request, how: Mapping[str, str]) -> Answer:
        if "_getpages" not in how:
            raise Refused(400, "HAPI-0287: This is the base URL of FHIR server.")
        token = int(how["_getpages"])
        if token >= len(self._pages):
            raise Refused(410, "Search ID does not exist and may have expired", "not-found")
        return self._part(request, token, int(how.get("_getpagesoffset", "0")), how.get("_count"))

    def _part(self, request: Request, token: int, offset: int, count: str | None) -> Answer:
        kind, ids, elements = self._pages[token]
        size = min(int(count) if count else self.habits.page, self.habits.pages)
        found = [self.store.read(kind, one) for one in ids[offset : offset + size] if self._still(kind, one)]
        bundle: Json = {
            "resourceType": "Bundle",
            "type": "searchset",
            "link": [{"relation": "self", "url": self._links}],
        }
        if offset + size < len(ids):
            query = f"_getpages={token}&_getpagesoffset={offset + size}&_count={size}&_bundletype=searchset"
            bundle["link"].append({"relation": "next", "url": f"{self._links}?{query}"})
        elif offset == 0:
            bundle["total"] = len(ids)  # HAPI leaves it out where there are pages
        entries = [self._match(kind, version.resource, elements) for version in found]
        return self._answer(request, 200, bundle | ({"entry": entries} if entries else {}))

    def _still(self, kind: str, identifier: str) -> bool:
        version = self.store.current(kind, identifier)
        return version is not None and version.resource is not None

    def _match(self, kind: str, resource: Json | None, elements: frozenset[str]) -> Json:
        assert resource is not None
        if elements:
            tag = {"code": "SUBSETTED", "display": "Resource encoded in summary mode"}
            meta = resource["meta"] | {"tag": [*resource["meta"].get("tag", ()), tag]}
            shown = {name: resource[name] for name in resource if name in elements | {"resourceType", "id"}}
            resource = {"resourceType": kind, "id": resource["id"], "meta": meta} | shown | {"meta": meta}
        url = f"{self._links}/{kind}/{resource['id']}"
        return {"fullUrl": url, "resource": resource, "search": {"mode": "match"}}

    def _statement(self) -> Json:
        """CapabilityStatement, or Conformance."""
        rules = self.rules
        old = rules.version == "dstu2"
        codes = [code for code in ("transaction", "batch") if getattr(rules, code)]
        said = None not in (rules.transaction, rules.batch) or codes
        rest = {"mode": "server", "resource": [self._stated(kind) for kind in sorted(self.store.types)]}
        return {
            "resourceType": "Conformance" if old else "CapabilityStatement",
            "status": "active",
            "date": "2024-01-01",
            "kind": "instance",
            "software": {"name": "the tests' own"},
            "implementation": {"description": "in memory", "url": self._links},
            "fhirVersion": RELEASES[rules.version],
            "format": [self._media],
            "rest": [rest | ({"interaction": [{"code": code} for code in codes]} if said else {})],
            **self.habits.statement,
        }

    def _stated(self, kind: str) -> Json:
        rules = self.rules
        codes = ("read", "vread", "update", "delete", "history-instance", "create", "search-type")
        switches = {
            "conditionalCreate": rules.conditional_create,
            "conditionalUpdate": rules.conditional_update,
            "updateCreate": rules.update_create,
        }
        return {
            "type": kind,
            "interaction": [{"code": code} for code in codes],
            "versioning": "versioned-update",
            **{name: value for name, value in switches.items() if value is not None},
            "searchParam": [{"name": name} for name in searches(rules.version, kind)],
        }

    # Writing.

    async def _write(self, operations: Sequence[Operation]) -> list[Result]:
        if self.habits.races is None:
            return self.store.write(operations)
        before = self.store.state(operations)
        await asyncio.sleep(self.habits.window)
        if self.habits.races == "duplicate":
            return self.store.write(operations, before[0])
        if self.store.state(operations) != before:
            raise Refused(409, "HAPI-0550: HAPI-0823: The operation has failed with a version constraint failure")
        return self.store.write(operations)

    async def _bundle(self, request: Request) -> Answer:
        bundle = _json(request)
        kind = bundle.get("type")
        if bundle.get("resourceType") != "Bundle" or kind not in ("transaction", "batch"):
            raise Refused(400, 'HAPI-1814: Incorrect resource type found, expected "Bundle"')
        if self.rules.transaction is False and self.rules.batch is False:
            raise Refused(405, "bundles are not supported", "not-supported")
        if getattr(self.rules, kind) is False:
            raise Refused(400, f"a {kind} is not supported", "not-supported")
        operations = self._operations(request)
        if self.habits.max_entries is not None and len(operations) > self.habits.max_entries:
            raise Refused(413, f"at most {self.habits.max_entries} entries", "too-costly")
        work = self._transaction if kind == "transaction" else self._batch
        answer: Json = {"resourceType": "Bundle", "type": f"{kind}-response"}
        if entries := await work(operations, _prefers(request, "representation")):
            answer["entry"] = entries
        return self._answer(request, 200, answer)

    async def _transaction(self, operations: Sequence[Operation], whole: bool) -> list[Json]:
        done = iter(await self._write([one for one in operations if one.method != "GET"]))
        return [self._looked_up(one) if one.method == "GET" else self._entry(next(done), whole) for one in operations]

    async def _batch(self, operations: Sequence[Operation], whole: bool) -> list[Json]:
        return [await self._alone(operation, whole) for operation in operations]

    async def _alone(self, operation: Operation, whole: bool) -> Json:
        try:
            if operation.method == "GET":
                return self._looked_up(operation)
            return self._entry((await self._write([operation]))[0], whole)
        except Refused as refusal:
            return self._responded({"status": _phrase(refusal.status)}, outcome(refusal.code, refusal.text))

    def _looked_up(self, operation: Operation) -> Json:
        path, _, query = operation.url.partition("?")
        headers = {"cache-control": "no-cache"}
        kind, *rest = path.split("/")
        answer = self._get(Request(0, "GET", path, query, headers), kind, rest)
        return {"resource": json.loads(answer.body), "response": {"status": _phrase(answer.status)}}

    def _entry(self, result: Result, whole: bool) -> Json:
        response: Json = {"status": _phrase(result.status)}
        if result.version is not None:
            response["location"] = f"{result.type}/{result.id}/_history/{result.version.number}"
            response["etag"] = str(result.version.number)  # as HAPI writes it here: no W/, no quotes
            response["lastModified"] = result.version.at.isoformat(timespec="milliseconds")
        entry = self._responded(response, _well())
        if whole and result.version is not None and result.version.resource is not None:
            entry["resource"] = result.version.resource
        return entry

    def _responded(self, response: Json, told: Json) -> Json:
        """DSTU2 has no response.outcome: HAPI puts it where the resource would be."""
        if self.rules.version == "dstu2":
            return {"resource": told, "response": response}
        return {"response": response | {"outcome": told}}

    def _written(self, request: Request, result: Result) -> Answer:
        if request.method == "DELETE":
            return self._answer(request, 200, _well())
        assert result.version is not None
        minimal = _prefers(request, "minimal")
        answer = self._shown(request, result.status, result.version, minimal)
        if request.method != "POST":
            return answer
        return Answer(answer.status, {**answer.headers, "Location": answer.headers["Content-Location"]}, answer.body)

    # Answers.

    @property
    def _links(self) -> str:
        return self.habits.links or self.base

    def _shown(self, request: Request, status: int, version: Version, minimal: bool = False) -> Answer:
        assert version.resource is not None
        kind, identifier = version.resource["resourceType"], version.resource["id"]
        headers = {
            "ETag": f'W/"{version.number}"',
            "Content-Location": f"{self._links}/{kind}/{identifier}/_history/{version.number}",
            "Last-Modified": format_datetime(version.at, usegmt=True),
        }
        if minimal:
            return Answer(status, headers)
        return self._answer(request, status, version.resource, headers)

    def _answer(self, request: Request, status: int, body: Json, headers: Mapping[str, str] | None = None) -> Answer:
        accepted = request.headers.get("accept", "")
        media = next(
            (kind for kind in ("application/fhir+json", "application/json+fhir") if kind in accepted), self._media
        )
        own = {"Content-Type": f"{media};charset=UTF-8"} | dict(headers or {})
        if status == 401:
            own["WWW-Authenticate"] = 'Bearer realm="fhir", error="invalid_token"'
        return Answer(status, own, json.dumps(body, ensure_ascii=False).encode())


def _json(request: Request) -> Json:
    body = request.body
    if request.headers.get("content-encoding") == "gzip":
        try:
            body = gzip.decompress(body)
        except (OSError, EOFError, zlib.error):
            raise Refused(400, "the body is no gzip") from None
    value = json.loads(body)
    if not isinstance(value, dict):
        raise Refused(400, "HAPI-1861: Failed to parse JSON encoded FHIR content")
    return value


def _operation(entry: Json, base: str) -> Operation:
    asked = entry["request"]
    return Operation(
        asked["method"],
        asked["url"].removeprefix(base).removeprefix("/"),
        entry.get("resource"),
        asked.get("ifNoneExist"),
        asked.get("ifMatch"),
        entry.get("fullUrl"),
    )


def _single(request: Request) -> Operation:
    url = f"{request.path}?{request.query}" if request.query else request.path
    body = _json(request) if request.method in ("POST", "PUT") else None
    headers = request.headers
    return Operation(request.method, url, body, headers.get("if-none-exist"), headers.get("if-match"))


def _names(operation: Operation) -> Iterator[str]:
    """What a write names: the resource by its id, by its condition, and a study by its UID whatever the way."""
    if operation.method == "GET":
        return
    if operation.id is not None:
        yield f"{operation.type}/{operation.id}"
    if operation.condition is not None:
        yield f"{operation.type}?{unquote(operation.condition.rpartition('?')[2])}"
    if operation.type == "ImagingStudy" and operation.resource is not None:
        yield from (f"ImagingStudy {name}" for name in identities_of(operation.resource))


def _past(url: str, version: Version) -> Json:
    response = {"status": "200", "etag": f'W/"{version.number}"', "lastModified": version.at.isoformat()}
    entry: Json = {"fullUrl": url, "request": {"method": version.method, "url": url}, "response": response}
    return entry | ({"resource": version.resource} if version.resource is not None else {})


def _prefers(request: Request, what: str) -> bool:
    return f"return={what}" in request.headers.get("prefer", "")


def _phrase(status: int) -> str:
    return f"{status} {HTTPStatus(status).phrase}"


def _well() -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "information", "code": "informational"}]}


class ServerProcess:
    """A server in a process of its own, as a context manager; `arguments` as the command line takes them.

    Its standard input is a pipe of ours: it ends when we do, however that happens.
    """

    def __init__(self, *arguments: str) -> None:
        self._command = [sys.executable, str(Path(__file__).resolve()), *arguments]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.base = self._process.stdout.readline().strip()
        if not self.base:
            raise RuntimeError("the server did not start")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.communicate(timeout=60)
        if self._process.returncode and error is None:
            raise RuntimeError(f"the server ended with {self._process.returncode}")

    def inventory(self) -> Json:
        """`FhirServer.inventory` of the other process."""
        return dict(json.loads(self._ask("GET")))

    def empty(self) -> None:
        """Forget all that was stored and counted."""
        self._ask("DELETE")

    def _ask(self, method: str) -> bytes:
        address = urlsplit(self.base)
        connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
        try:
            connection.request(method, "/_store")
            return connection.getresponse().read()
        finally:
            connection.close()


_OPTIONS: dict[str, tuple[str, Callable[[str], Any]]] = {
    "port": ("0 chooses one", int),
    "latency": ("seconds before a request is acted on", float),
    "races": ("duplicate | conflict", str),
    "mismatch": ("status of an If-Match that does not hold", int),
    "authorization": ("the Authorization header that must be sent", str),
}


def _arguments(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="fhirserver", description="A FHIR server in memory that forgets all.")
    parser.add_argument("--version", choices=sorted(RELEASES), default="r4")
    for name, (text, kind) in _OPTIONS.items():
        parser.add_argument(f"--{name}", type=kind, help=text)
    parser.add_argument("--rate", type=float, default=0.0, help="share of requests that a fault disturbs")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", default=",".join(PASSING), help="the faults to choose from")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str]) -> None:
    """Serve until standard input ends."""
    options = _arguments(arguments)
    switches = {name: value for name in _OPTIONS if (value := getattr(options, name)) is not None}
    with FhirServer(version=options.version, **switches) as server:
        if options.rate:
            server.random_faults(options.seed, options.rate, options.kinds.split(","))
        print(server.base, flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1:])
