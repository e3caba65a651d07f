"""Runs that are killed at any moment, and the same command again until it ends by itself: what is lost, what is there
twice. The server is a process of its own and knows nothing of it. Each run is one too, forked from this one, which has
all modules at hand: hundreds of starts of Python would take longer than what is tested. Nor does it need a disk.

`python tests/killing.py 200` plays so many rounds and prints the figures.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from delivering import FAST, command, lines, many, of
from faulttable import journal
from fhirserver import Json, ServerProcess

from dicom2fhir.fhir.policy import Policy, Write

STUDIES = 30
LATENCY = 0.004


@dataclass(slots=True)
class Toll:
    """What rounds came to. `lost` and `twice` count studies, `different` tells of other ends than a quiet one."""

    rounds: int = 0
    kills: int = 0
    midway: int = 0
    sending: int = 0
    lost: int = 0
    twice: int = 0
    different: list[str] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def good(self) -> bool:
        return not (self.lost or self.twice or self.different)

    def line(self) -> str:
        return (
            f"{self.rounds} rounds, {self.kills} kill -9, {self.midway} of them with some studies accepted and some "
            f"not, {self.sending} with some under way: lost {self.lost}, twice {self.twice}, ends that differ "
            f"{len(self.different)}; {self.seconds:.0f} s"
        )


def rounds(count: int, folder: Path, *, seed: int = 1, write: Write = "put") -> Toll:
    """So many rounds, each from an empty server and no state to a run that ended by itself."""
    policy = Policy(write=write)
    bundles = many(STUDIES, policy, endpoint=write != "create")
    (folder / "bundles.ndjson").write_bytes(lines(bundles))
    chance, toll, began = random.Random(seed), Toll(), time.monotonic()
    with ServerProcess("--latency", str(LATENCY)) as server:
        usual, quiet = _quiet(server, folder)
        for number in range(count):
            server.empty()
            _round(server, folder, folder / f"state{number}", chance, usual, toll)
            _account(server.inventory(), bundles, quiet, journal(folder / f"state{number}"), toll)
    toll.seconds = time.monotonic() - began
    return toll


def _quiet(server: ServerProcess, folder: Path) -> tuple[int, Json]:
    """How many requests an undisturbed run takes, and what it leaves; it loads what later runs need."""
    assert command(*_arguments(server, folder, folder / "quiet")).code == 0
    found = server.inventory()
    return found["requests"], _shape(found)


def _round(server: ServerProcess, folder: Path, state: Path, chance: random.Random, usual: int, toll: Toll) -> None:
    """Kill the command once or more, each time at any moment of its sending; then let it end."""
    toll.rounds += 1
    for _ in range(chance.choice((1, 1, 2))):
        moment, more = server.inventory()["requests"] + chance.randrange(usual), chance.uniform(0, 2 * LATENCY)
        run = Run(_arguments(server, folder, state))
        while run.code is None and server.inventory()["requests"] < moment:
            time.sleep(0.001)
        time.sleep(more)
        toll.kills += run.kill()
        states = journal(state)
        toll.midway += 0 < states.get("accepted", 0) < STUDIES
        toll.sending += states.get("sending", 0) > 0
    code = Run(_arguments(server, folder, state)).end()
    if code:
        toll.different.append(f"round {toll.rounds}: exit {code}")


def _arguments(server: ServerProcess, folder: Path, state: Path) -> list[str]:
    given = ("send", folder / "bundles.ndjson", "--server", server.base, "--state", state, "--connections", 4, "-q")
    return [*map(str, given), *FAST]


class Run:
    """The command in a process of its own."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self._code: int | None = None
        self._pid = os.fork()
        if not self._pid:
            try:
                os._exit(command(*arguments).code)
            finally:
                os._exit(99)

    @property
    def code(self) -> int | None:
        """Its exit code, None while it runs."""
        if self._code is None:
            self._note(os.WNOHANG)
        return self._code

    def kill(self) -> bool:
        """kill -9; whether it was still there."""
        if self.code is not None:
            return False
        os.kill(self._pid, signal.SIGKILL)
        return self.end() == -signal.SIGKILL

    def end(self) -> int:
        """Wait for its end; its exit code."""
        if self._code is None:
            self._note(0)
        assert self._code is not None
        return self._code

    def _note(self, how: int) -> None:
        pid, status = os.waitpid(self._pid, how)
        if pid:
            self._code = os.waitstatus_to_exitcode(status)


def swift() -> tempfile.TemporaryDirectory[str]:
    """A folder in memory where there is one: syncing it costs nothing."""
    return tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)


def _account(found: Json, bundles: Sequence[Json], quiet: Json, states: dict[str, int], toll: Toll) -> None:
    """Add what a round left to the toll."""
    studies = [one["identifier"][0]["value"] for one in found["resources"].get("ImagingStudy", ())]
    wanted = {of(each)["identifier"][0]["value"] for each in bundles}
    toll.lost += len(wanted - set(studies))
    toll.twice += len(studies) - len(set(studies)) + len(found["duplicates"])
    named = f"round {toll.rounds}"
    if _shape(found) != quiet:
        toll.different.append(f"{named}: the resources differ")
    if set(found["versions"].values()) != {1}:
        toll.different.append(f"{named}: something was written twice")
    if states != {"accepted": STUDIES}:
        toll.different.append(f"{named}: the journal says {states}")


def _shape(found: Json) -> Json:
    """What is there, without what each run gets anew: ids that the server chose, times."""
    text = {kind: [_said(one, found["resources"]) for one in each] for kind, each in found["resources"].items()}
    return {kind: sorted(each) for kind, each in text.items()}


def _said(resource: Json, held: Json) -> str:
    names = {f"{kind}/{one['id']}": _identity(one) for kind, each in held.items() for one in each}
    body = {name: value for name, value in resource.items() if name not in ("id", "meta")}
    text = json.dumps(body, sort_keys=True)
    for reference, identity in names.items():
        text = text.replace(f'"{reference}"', f'"{identity}"')
    return text


def _identity(resource: Json) -> str:
    first = (resource.get("identifier") or [{"value": resource["id"]}])[0]
    return f"{resource['resourceType']} {first['value']}"


def main(count: str, write: Write = "put") -> None:
    """Some rounds, and what they came to."""
    with swift() as folder:
        toll = rounds(int(count), Path(folder), write=write)
    print("\n".join([toll.line(), *toll.different]))
    sys.exit(not toll.good)


if __name__ == "__main__":
    main(*sys.argv[1:])  # type: ignore[arg-type]
