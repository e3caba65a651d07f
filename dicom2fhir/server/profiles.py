"""What is known of servers before they are asked: limits of a request, and what to expect.

One table, after the servers' own documentation and issue threads. Only what the tests run against is tested.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from dicom2fhir.errors import UsageError
from dicom2fhir.server.capability import Capabilities

_MB = 1_000_000
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Profile:
    """A server's limits; None where there is none, or none is known.

    max_entries: of one Bundle; max_conditional: of one in which a write depends on a search. max_bytes: of one
    request. media_type: where the one of the FHIR version is not taken. transactions: what is so although `/metadata`
    may say otherwise. notes: a sentence each. tested: whether the tests run against such a server.
    """

    max_entries: int | None = None
    max_conditional: int | None = None
    max_bytes: int | None = None
    media_type: str | None = None
    transactions: bool | None = None
    notes: tuple[str, ...] = ()
    tested: bool = False

    def told(self, can: Capabilities) -> Capabilities:
        """The capabilities, corrected where the profile knows better."""
        return can if self.transactions is None else replace(can, transaction=self.transactions)


PROFILES: Mapping[str, Profile] = {
    "generic": Profile(),
    "hapi": Profile(
        notes=(
            "Purely numeric ids are refused; the ids that are made here begin with a letter.",
            "Where update-as-create is off, /metadata does not say so: writing by id is then refused with 404.",
            "Batches are taken although /metadata does not mention them.",
        ),
        tested=True,
    ),
    "azure": Profile(
        max_entries=500,
        notes=("A 429 may be the status of single entries of an answer of 200.",),
    ),
    "google": Profile(
        max_entries=4500,
        max_bytes=50 * _MB,
        notes=("A resource may have 10 MB at most (--max-instances N makes studies smaller).",),
    ),
    "healthlake": Profile(max_entries=160, notes=("R4 only.",)),
    "medplum": Profile(
        max_entries=50,
        max_conditional=8,
        notes=("Two conditional creates at once may both create.",),
    ),
    "firely": Profile(
        max_entries=150,
        max_bytes=5 * _MIB,
        notes=(
            "Two conditional writes at once may both create.",
            "A resource may have 1 MiB at most (--max-instances N makes studies smaller).",
        ),
    ),
    "aidbox": Profile(),
    "blaze": Profile(),
    "oracle": Profile(max_entries=25, transactions=False, notes=("No transactions: each resource is a request.",)),
}
"""The names of `--server-profile`."""


def profile(name: str) -> Profile:
    """The profile of a name.

    Raises:
        UsageError: there is none.
    """
    if name not in PROFILES:
        raise UsageError(f"--server-profile knows {', '.join(PROFILES)}.")
    return PROFILES[name]
