"""Many studies and a server that disturbs a share of all requests: what is on the server afterwards.

`python tests/storm.py 2000 put` is one storm, with its figures.
"""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from delivering import QUICK, Reader, Sent, delivery, many, numbers, of
from faults import KINDS, PASSING, Fault
from faulttable import journal
from fhirserver import FhirServer, Json

from dicom2fhir.fhir.policy import Policy, Write
from dicom2fhir.server.manner import Manner
from dicom2fhir.server.parcels import parcel

WITHIN = tuple(KINDS[f"entry-{code}"].on("POST") for code in (408, 409, 425, 429, 500, 503))
ALL_KINDS: tuple[str | Fault, ...] = (*PASSING, KINDS["409"].on("POST"), *WITHIN)
"""What passes when it is tried again; entries that fail within a 200 among them."""


@dataclass(frozen=True, slots=True)
class Storm:
    """One way of sending, and the server's habits."""

    name: str
    write: Write = "put"
    bundle_type: Literal["transaction", "batch"] = "transaction"
    single: bool = False
    races: str | None = None
    mismatch: int = 412

    @property
    def policy(self) -> Policy:
        return Policy(write=self.write, bundle_type=self.bundle_type)


STORMS = (
    Storm("put"),
    Storm("conditional-update", "conditional-update"),
    Storm("conditional-create", "conditional-create"),
    Storm("create", "create"),
    Storm("put, the server races", races="duplicate"),
    Storm("conditional-update, the server races", "conditional-update", races="duplicate"),
    Storm("conditional-update, 409 for If-Match", "conditional-update", mismatch=409),
    Storm("put, single requests", single=True),
    Storm("conditional-create, single requests", "conditional-create", single=True),
    Storm("create, single requests", "create", single=True),
    Storm("put, batches", bundle_type="batch"),
)


@dataclass(frozen=True, slots=True)
class Weathered:
    """What a storm left. `wrong` is everything that is not as it has to be."""

    sent: Sent
    disturbed: int
    requests: int
    seconds: float
    wrong: list[str]

    def line(self, name: str) -> str:
        tally = self.sent.told.tally
        return (
            f"{name:<38} {tally.accepted} accepted, {tally.pending} pending, {tally.unknown} unknown, {tally.refused} "
            f"refused; {self.requests} requests, {self.disturbed} disturbed; {self.seconds:.0f} s; "
            f"{'; '.join(self.wrong) or 'one resource a study, every version 1'}"
        )


def storm(how: Storm, count: int, folder: Path, *, seed: int = 1, rate: float = 0.2) -> Weathered:
    """Send `count` studies of seven patients over four connections while `rate` of all requests is disturbed."""
    endpoint = how.write != "create"  # which makes one for each study, as it was told to
    bundles = many(count, how.policy, endpoint=endpoint)
    switches: dict[str, Any] = {"mismatch": how.mismatch, "races": how.races, "window": 0.002}
    with FhirServer(**switches) as server:
        began = time.monotonic()
        sent = _sent(server, how, bundles, folder / "state", seed, rate)
        seconds = time.monotonic() - began
        disturbed, requests, overlaps = server.faults.total(), len(server.log), server.overlaps()
        server.random_faults(0, 0.0)
        wrong = [f"{one.name} at once" for one in overlaps] + [f"{one} twice" for one in server.duplicates()]
        wrong += _differences(Reader(server.base), bundles, journal(folder / "state"), sent)
        return Weathered(sent, disturbed, requests, seconds, wrong)


def _sent(server: FhirServer, how: Storm, bundles: Sequence[Json], state: Path, seed: int, rate: float) -> Sent:
    one = delivery(server.base, state=state, manner=Manner(single=how.single), timing=QUICK, connections=4)
    one.open()
    server.clear_log()
    server.random_faults(seed, rate, ALL_KINDS)
    for each in bundles:
        one.hand_over(parcel(each))
    return Sent(one.close(lambda left: None), list(one.problems()))


def _differences(reader: Reader, bundles: Sequence[Json], states: dict[str, int], sent: Sent) -> list[str]:
    """How what is on the server differs from one resource a study, never written twice, as the journal has it."""
    wanted = {of(each)["identifier"][0]["value"].removeprefix("urn:oid:"): 2 for each in bundles}
    studies = reader.all("ImagingStudy")
    versions = set(reader.versions().values())
    accepted = states.get("accepted", 0)
    checks = (
        ("studies", numbers(studies) == wanted and len(studies) == len(bundles)),
        ("patients", len(reader.all("Patient")) == min(7, len(bundles))),
        ("practitioners", len(reader.all("Practitioner")) == 1),
        ("versions", versions == {"1"}),
        ("journal", states == {"accepted": len(bundles)} and accepted == sent.told.tally.accepted),
        ("counts", sent.told.tally.total == len(bundles)),
    )
    return [f"wrong {name}" for name, good in checks if not good]


def main(count: str, name: str, seed: str = "1") -> None:
    """One storm."""
    how = next(one for one in STORMS if one.name == name)
    with tempfile.TemporaryDirectory() as folder:
        print(storm(how, int(count), Path(folder), seed=int(seed)).line(name))


if __name__ == "__main__":
    main(*sys.argv[1:])
