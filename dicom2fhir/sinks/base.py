"""What every sink is, and what it asks of whoever feeds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

if TYPE_CHECKING:
    from dicom2fhir.fhir.bundle import Emission
    from dicom2fhir.fhir.policy import Policy
    from dicom2fhir.problems import Problem
    from dicom2fhir.server.tally import Delivered

Format = Literal["bundles", "bundle", "ndjson"]
Novelty = Literal["new", "same", "differs"]
Waiting = Callable[[int], None]
"""Hears, several times a second, how many studies are still on their way."""
Encoded = Any
"""What a sink writes of one study: but for a `Sender`'s bytes, text and numbers, in tuples and lists, and no more."""


class Seen(Protocol):
    """The memory of which resources were written; the study index offers it."""

    def first_seen(self, resource_id: str, digest: bytes) -> Novelty:
        """Whether a resource of that id was met before, and with the same content."""
        ...


class Sink(Protocol):
    """One destination. The order of calls: `open`, any number of `write`, then `finish` or `abort`.

    `write` takes what `encode` gives, which may be called in another process.

    `open` checks and locks the destination before the crawl starts, and writes nothing a reader could take
    for output. Raises `OutputExists`, `OutputLocked`, `UsageError`; every method may raise
    `EnvironmentFailed`, and `BrokenPipeError` where stdout is a pipe that was closed.
    """

    @property
    def own_paths(self) -> tuple[str, ...]:
        """Files and folders that are this run's output, as absolute paths: not to be read as input."""
        ...

    def open(self, seen: Seen) -> None:
        """Make sure that the destination can be written, and hold it."""
        ...

    def encode(self, emission: Emission, policy: Policy) -> Encoded:
        """What is to be written of one study: it depends on nothing but the study, and changes nothing."""
        ...

    def write(self, encoded: Encoded) -> tuple[Problem, ...]:
        """Take one study; studies come sorted by Study Instance UID."""
        ...

    def finish(self) -> None:
        """Make what was written whole and lasting."""
        ...

    def abort(self) -> None:
        """Remove what is not whole. Never raises for a file that is not there; may follow a failed `finish`."""
        ...


@runtime_checkable
class Sender(Protocol):
    """A sink whose studies are another's to accept: between the last `write` and `finish` comes `settle`."""

    def settle(self, waiting: Waiting) -> Delivered:
        """Wait until every study has come to an end, and say what became of them."""
        ...

    def problems(self) -> tuple[Problem, ...]:
        """The studies that were not accepted, as far as known and not told by `write` yet."""
        ...
