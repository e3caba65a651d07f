"""The table of faults: each alone, met by the real command line; what was required, and what has to come of it.

`python tests/faulttable.py` prints the table with what happens. The requests are those that the server saw.
"""

from __future__ import annotations

import json
import os
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import faults
from delivering import FAST, Ended, Reader, command, lines, made, of, patient, study
from faults import KINDS, Fault
from fhirserver import FhirServer
from loopback import Answer, Loopback, Request
from tokens import TokenEndpoint

from dicom2fhir.fhir.policy import Policy

SECRET = "s3cret-0f-the-table"
TRIES = ("--tries", "3")
SHORT = ("--read-timeout", "0.4", "--request-deadline", "0.6")
SOON = ("--give-up-after", "0.3")


class Elsewhere(Loopback):
    """A server that must see nothing."""

    async def answer(self, request: Request) -> Answer:
        return Answer(200, {"Content-Type": "application/fhir+json"}, b'{"resourceType":"Bundle"}')


@dataclass(slots=True)
class Scene:
    """What a row is played on."""

    server: FhirServer
    other: Elsewhere
    tokens: TokenEndpoint
    folder: Path
    base: str = ""

    @property
    def state(self) -> Path:
        return self.folder / "state"


@dataclass(frozen=True, slots=True)
class Row:
    """One fault. `ends` are accepted, pending, unknown, refused; None where the command ended before it counted.

    `bundles` is how many Bundles the server saw, `asked` how often it was asked for /metadata, `prepare` makes the
    fault; `stored` says how many of the studies have to be on the server then, `also` what else must be so.
    """

    fault: str
    required: str
    prepare: Callable[[Scene], Any]
    exit: int
    ends: tuple[int, int, int, int] | None
    bundles: int
    options: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)
    stored: int | None = None
    version: str = "1"
    codes: tuple[str, ...] = ()
    asked: int = 1
    also: Callable[[Scene, Ended], bool] | None = None


def post(*kinds: str | Fault, times: int = 1) -> Callable[[Scene], None]:
    """These faults to the Bundles that come first."""
    found = [(KINDS[one] if isinstance(one, str) else one).on("POST").repeated(times) for one in kinds]
    return lambda scene: scene.server.script(found)


ALL = 10_000
CREATE = Policy(write="create", create=frozenset(("Patient", "Practitioner")))
BATCH = Policy(bundle_type="batch")


def _tokens(scene: Scene, *, forever: bool = False) -> None:
    scene.server.habits = scene.server.habits.__class__(authorization=scene.tokens)
    if forever:
        scene.server.script([KINDS["401"].on("POST").repeated(ALL)])
    else:

        async def act(exchange: Any) -> None:
            scene.tokens._good.clear()
            exchange.send(await exchange.process())

        scene.server.script([Fault("expired", act, method="POST")])


def _stored(scene: Scene, times: int) -> None:
    """The first study is there, and somebody writes it each time just before we do."""
    own = of(made(study(1, 1, of=patient("P1"))))
    held = {**own, "subject": {"reference": scene.server.add(of(made(study(1)), "Patient"))}}
    held.pop("endpoint"), held["series"][0].pop("performer")
    scene.server.add(held)
    scene.server.clear_log()
    number = iter(range(ALL))

    async def act(exchange: Any) -> None:
        scene.server.add({**held, "description": str(next(number))})
        exchange.send(await exchange.process())

    scene.server.script([Fault("meanwhile", act, method="POST", times=times)])


def _twice(scene: Scene) -> None:
    for _ in range(2):
        scene.server.add(of(made(study(1)), "Patient"))
    scene.server.clear_log()


def _down(scene: Scene) -> None:
    scene.server.ask(scene.server.down)


def _habits(**some: Any) -> Callable[[Scene], None]:
    def prepare(scene: Scene) -> None:
        scene.server.habits = scene.server.habits.__class__(**some)

    return prepare


def _elsewhere(code: int, method: str, path: str = "*") -> Callable[[Scene], None]:
    return lambda scene: scene.server.script([faults.redirect(code, scene.other.base).on(method, path).repeated(ALL)])


def _nowhere(scene: Scene) -> None:
    scene.base = "https://server.invalid/fhir"


def _not_loopback(scene: Scene) -> None:
    scene.base = "http://server.invalid/fhir"


def _with_password(scene: Scene) -> None:
    scene.base = scene.server.base.replace("://", f"://user:{SECRET}@")


def _letters(scene: Scene, ended: Ended) -> bool:
    """The refused Bundle lies beside what the server said, private; the log says nothing of it."""
    found = sorted(each for each in (scene.state / "refused").iterdir() if each.name.endswith(".outcome.json"))
    told = [json.loads(each.read_text()) for each in found]
    private = all(each.stat().st_mode & 0o777 == 0o600 for each in (scene.state / "refused").iterdir())
    said = all(each["outcome"]["issue"][0]["code"] == "invalid" for each in told)
    message = next(row["message"] for row in ended.report["problems"] if row["code"] == "server-refused")
    return bool(told) and private and said and "ImagingStudy.series[0].uid" in message and "Doe" not in ended.err


def _one_refresh(scene: Scene, ended: Ended) -> bool:
    return scene.tokens.grants == 2


def _only_failed(scene: Scene, ended: Ended) -> bool:
    """The second Bundle that was sent held nothing but the one entry that had failed."""
    bundles = [one for one in scene.server.log if one.method == "POST"]
    return len(bundles[1].names) == len([name for name in bundles[1].names if name.startswith("ImagingStudy")]) > 0


def _size_named(scene: Scene, ended: Ended) -> bool:
    message = ended.report["problems"][0]["message"]
    return "bytes" in message and "--max-instances" in message


AUTH = ("--auth", "client-credentials", "--client-id", "dicom2fhir", "--token-url", "{tokens}")
BEARER = ("--auth", "bearer")


ROWS: tuple[Row, ...] = (
    # Nobody there.
    Row("refused from the start", "exit 5 after the budget", _down, 5, None, 0, SOON, asked=0),
    Row("no such host", "exit 5 after the budget", _nowhere, 5, None, 0, SOON, asked=0),
    Row("away while sending, then back", "retried, all accepted", post(faults.away(0.15)), 0, (2, 0, 0, 0), 3),
    Row(
        "away for good", "stops after the budget, keeps the rest: exit 5", post(faults.away(30)), 5, (0, 2, 0, 0),
        1, SOON, stored=0, codes=("not-sent", "not-sent"),
    ),
    # Nothing comes back.
    Row("reset before headers", "retried", post("reset"), 0, (2, 0, 0, 0), 3),
    Row("closed before headers", "retried", post("close"), 0, (2, 0, 0, 0), 3),
    Row("reset mid-body", "PUT: sent again", post("reset-early"), 0, (2, 0, 0, 0), 3),
    Row("reset mid-body, create", "searched first", post("reset-early"), 0, (2, 0, 0, 0), 3, policy=CREATE),
    Row("reset when done", "PUT: sent again", post("reset-after"), 0, (2, 0, 0, 0), 3),
    Row("reset when done, create", "searched first, found", post("reset-after"), 0, (2, 0, 0, 0), 2, policy=CREATE),
    Row("timeout, not done", "PUT: sent again", post("hang"), 0, (2, 0, 0, 0), 3, SHORT),
    Row("timeout when done", "PUT: sent again", post("hang-after"), 0, (2, 0, 0, 0), 3, SHORT),
    Row("timeout when done, create", "searched first, found", post("hang-after"), 0, (2, 0, 0, 0), 2, SHORT, CREATE),
    Row("a byte now and then", "the total deadline ends it", post(faults.drip(0.05)), 0, (2, 0, 0, 0), 3, SHORT),
    Row("cut in the answer", "sent again", post("cut-after"), 0, (2, 0, 0, 0), 3),
    Row("no HTTP", "sent again", post("garbage"), 0, (2, 0, 0, 0), 3),
    Row("Content-Length too long", "sent again", post("length-long-after"), 0, (2, 0, 0, 0), 3),
    # Too busy.
    *(
        Row(f"{code}, Retry-After: {name}", "waited for, up to a cap", post(f"{code}-{name}"), 0, (2, 0, 0, 0), 3)
        for code in (429, 503)
        for name in faults.RETRY_AFTER
    ),
    Row("429 without end", "not sent: exit 5", post("429", times=ALL), 5, (0, 2, 0, 0), 6, TRIES, stored=0,
        codes=("not-sent", "not-sent")),
    Row("503 without end", "not sent: exit 5", post("503", times=ALL), 5, (0, 2, 0, 0), 6, TRIES, stored=0,
        codes=("not-sent", "not-sent")),
    # Broken.
    *(
        Row(f"{code} with HTML{', done' * done}", "retried", post(f"{code}{'-after' * done}"), 0, (2, 0, 0, 0), 3)
        for code in (500, 502, 504)
        for done in (False, True)
    ),
    Row("500 when done, create", "searched first, found", post("500-after"), 0, (2, 0, 0, 0), 2, policy=CREATE),
    Row("500 without end", "unknown: exit 6", post("500", times=ALL), 6, (0, 0, 2, 0), 6, TRIES, stored=0,
        codes=("outcome-unknown", "outcome-unknown")),
    # Who we are, and where.
    Row("401: the token ran out", "one refresh", _tokens, 0, (2, 0, 0, 0), 3, AUTH, also=_one_refresh),
    Row("401 without end", "one refresh, then exit 4", lambda scene: _tokens(scene, forever=True), 4, (0, 2, 0, 0),
        2, AUTH, stored=0, codes=("not-sent", "not-sent"), also=_one_refresh),
    Row("401, a token from a file", "exit 4, nothing more", post("401", times=ALL), 4, (0, 2, 0, 0), 1, BEARER,
        stored=0, codes=("not-sent", "not-sent")),
    Row("403", "exit 4, nothing more", post("403", times=ALL), 4, (0, 2, 0, 0), 1, stored=0,
        codes=("not-sent", "not-sent")),
    *(
        Row(f"{code} on the base", "exit 4, nothing more", post(faults.status(code, html=True), times=ALL), 4,
            (0, 2, 0, 0), 1, stored=0, codes=("not-sent", "not-sent"))
        for code in (404, 405)
    ),
    *(
        Row(f"{code} on /metadata", "exit 4, nothing more",
            lambda scene, code=code: scene.server.script([KINDS[str(code)].on("GET", "metadata")]), 4, None, 0)
        for code in (401, 403, 404, 405)
    ),
    # Others were quicker.
    Row("409 once", "retried", post("409"), 0, (2, 0, 0, 0), 3),
    Row("409 without end", "refused", post("409", times=ALL), 6, (0, 0, 0, 2), 10, stored=0,
        codes=("server-refused", "server-refused")),
    Row("412: several patients match", "refused: ambiguous-match", _twice, 6, (1, 0, 0, 1), 2,
        codes=("ambiguous-match",), stored=1),
    Row("If-Match: written meanwhile", "read again, merged", lambda scene: _stored(scene, 2), 0, (2, 0, 0, 0),
        4, version="any"),
    Row("If-Match: always written meanwhile", "refused after three merges", lambda scene: _stored(scene, 3), 6,
        (1, 0, 0, 1), 4,
        version="any", codes=("server-refused",), stored=2),
    # Too large, or wrong.
    Row("413: too many entries", "halved", _habits(max_entries=2), 0, (2, 0, 0, 0), 6),
    Row("413: one resource too large", "refused with its size", _habits(max_bytes=900), 6, (0, 0, 0, 2), 12,
        stored=0, codes=("too-large-for-server",) * 2, also=_size_named),
    *(
        Row(f"{code} with an OperationOutcome", "refused, kept with its outcome", post(str(code)), 6, (1, 0, 0, 1),
            2, stored=1, codes=("server-refused",), also=_letters)
        for code in (400, 422)
    ),
    # Success that is none.
    *(
        Row(f"200, {what}", "looked at, then settled", post(name), 0, (2, 0, 0, 0), 2)
        for name, what in (
            ("200-html", "HTML"), ("200-empty", "nothing"), ("200-outcome", "an OperationOutcome"),
            ("200-array", "an array"), ("200-half", "half the JSON"), ("200-short", "an entry too few"),
            ("200-long", "an entry too many"), ("202-accepted", "202 and nothing"),
            ("length-short-after", "Content-Length too short"), ("bomb-after", "a gzip bomb of 64 MB"),
            ("endless-after", "a body without end"),
        )
    ),
    Row("200, gzip that nobody asked for", "read", post("gzip-after"), 0, (2, 0, 0, 0), 2),
    Row("200 of somebody in between", "looked at, sent again", post("200-html-before"), 0, (2, 0, 0, 0), 3),
    *(
        Row(f"an entry of {code} within a 200", "that entry again", post(f"entry-{code}"), 0, (2, 0, 0, 0), 3,
            policy=BATCH, also=_only_failed)
        for code in (408, 409, 425, 429, 500, 503)
    ),
    *(
        Row(f"an entry of {code} within a 200", f"refused: {code_}", post(f"entry-{code}"), 6, (1, 0, 0, 1), 2,
            policy=BATCH, stored=1, codes=(code_,))
        for code, code_ in ((400, "server-refused"), (412, "ambiguous-match"), (422, "server-refused"))
    ),
    # Elsewhere.
    *(
        Row(f"{code} on a write", "not followed: exit 4", _elsewhere(code, "POST"), 4, (0, 2, 0, 0), 1, stored=0,
            codes=("not-sent", "not-sent"))
        for code in (301, 302, 303, 307, 308)
    ),
    Row("302 on a read", "not followed: exit 4", _elsewhere(302, "GET", "metadata"), 4, None, 0),
    Row("http:// to another host", "exit 2, nothing sent", _not_loopback, 2, None, 0, asked=0),
    Row("user:password@ in the address", "exit 2, nothing sent", _with_password, 2, None, 0, asked=0,
        also=lambda scene, ended: SECRET not in ended.err),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Played:
    """What came of a row, as seen from outside."""

    row: Row
    ended: Ended
    bundles: int
    asked: int
    reads: int
    stored: int
    versions: frozenset[str]
    journal: dict[str, int]
    faults: list[str]

    @property
    def ends(self) -> tuple[int, int, int, int] | None:
        return self.ended.ends if "delivery" in self.ended.report else None

    @property
    def requests(self) -> str:
        return f"{self.asked} /metadata, {self.reads} reads, {self.bundles} Bundles"

    @property
    def happened(self) -> str:
        names = ("accepted", "pending", "unknown", "refused")
        told = ", ".join(f"{number} {name}" for name, number in zip(names, self.ends or (), strict=False) if number)
        return f"exit {self.ended.code}{': ' if told else ''}{told}"


def play(row: Row, folder: Path) -> Played:
    """Play one row, and look at everything that it left behind."""
    with FhirServer() as server, Elsewhere() as other, TokenEndpoint(secret=SECRET) as tokens:
        scene = Scene(server, other, tokens, folder, server.base)
        bundles = [made(study(number, 2, of=patient(f"P{number}")), row.policy) for number in (1, 2)]
        (folder / "bundles.ndjson").write_bytes(lines(bundles))
        row.prepare(scene)
        ended = _run(scene, row)
        seen = [(one.method, one.path) for one in server.log]
        bundles, asked = seen.count(("POST", "")), seen.count(("GET", "metadata"))
        server._script.clear()
        server._chance = lambda: None
        server.habits = server.habits.__class__()
        server.wait_for(server.up())
        reader = Reader(server.base)
        wrong = [f"{name} twice" for name in server.duplicates()] if row.prepare is not _twice else []
        wrong += [f"{one.name} at once" for one in server.overlaps()]
        wrong += ["something went elsewhere"] if other.log else []
        wrong += ["what else was required"] if row.also is not None and not row.also(scene, ended) else []
        wrong += ["the secret was told"] if SECRET in ended.err + ended.out + json.dumps(ended.report) else []
        versions = frozenset(reader.versions("ImagingStudy", "Practitioner", "Endpoint").values())
        counts = (bundles, asked, len(seen) - bundles - asked)
        return Played(row, ended, *counts, len(reader.all("ImagingStudy")), versions, journal(scene.state), wrong)


def _run(scene: Scene, row: Row) -> Ended:
    arguments = [*FAST, *(each.format(tokens=scene.tokens.base) for each in row.options)]
    os.environ["DICOM2FHIR_SECRET"] = SECRET
    hidden = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy"), f"http://127.0.0.1:{scene.other.port}")
    os.environ.update(hidden)  # nobody asked for it
    try:
        return command(
            "send", scene.folder / "bundles.ndjson", "--server", scene.base, "--state", scene.state,
            "--connections", "1", "-v", *arguments, report=scene.folder / "report.json",
        )  # fmt: skip
    finally:
        for name in ("DICOM2FHIR_SECRET", *hidden):
            del os.environ[name]


def journal(state: Path) -> dict[str, int]:
    """How many parcels of a state folder are in each state."""
    if not (state / "journal.sqlite").exists():
        return {}
    with closing(sqlite3.connect(state / "journal.sqlite")) as database:
        return dict(database.execute("SELECT state, count(*) FROM parcels GROUP BY state"))


def lacks(played: Played) -> list[str]:
    """Everything that is not as the row demands, in words; nothing where all is well."""
    row, ended = played.row, played.ended
    accepted, pending, unknown, refused = row.ends or (0, 0, 0, 0)
    wanted = {"accepted": accepted, "pending": pending, "unknown": unknown, "refused": refused}
    stored = row.stored if row.stored is not None else accepted
    pairs: Sequence[tuple[str, object, object]] = (
        ("exit", ended.code, row.exit),
        ("ends", played.ends, row.ends),
        ("Bundles", played.bundles, row.bundles),
        ("/metadata", played.asked, row.asked),
        ("more than 9 reads", played.reads > 9, False),
        ("studies on the server", played.stored, stored),
        ("versions", played.versions - {"1"}, frozenset()),
        ("journal", played.journal, {state: number for state, number in wanted.items() if number}),
        ("codes", tuple(ended.codes) if ended.report else (), row.codes),
    )
    wrong = [f"{name}: {found!r} is not {due!r}" for name, found, due in pairs if found != due]
    return [each for each in wrong if not (each.startswith("versions") and row.version == "any")] + played.faults


def table(played: Sequence[Played]) -> list[str]:
    """The lines of the table."""
    rows = [("fault", "required", "what happened", "requests")]
    rows += [(one.row.fault, one.row.required, one.happened, one.requests) for one in played]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return ["  ".join([*(text.ljust(width) for text, width in zip(row, widths, strict=False)), row[3]]) for row in rows]


def main() -> None:
    """Play every row and print the table; the exit code says whether all was as it must be."""
    played, wrong = [], 0
    for row in ROWS:
        with tempfile.TemporaryDirectory() as folder:
            played.append(play(row, Path(folder)))
        for each in lacks(played[-1]):
            wrong += 1
            print(f"{row.fault}: {each}", file=sys.stderr)
    print("\n".join(table(played)))
    sys.exit(wrong > 0)


if __name__ == "__main__":
    sys.path.append(str(Path(__file__).parent))
    main()
