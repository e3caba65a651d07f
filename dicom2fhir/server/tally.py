"""What became of the studies that were to be sent. Plain data."""

from __future__ import annotations

from dataclasses import dataclass

from dicom2fhir.errors import Exit


@dataclass(slots=True)
class Tally:
    """Studies (in `send`: Bundles) by their end, and what it took: requests, repeated ones among them, bytes sent."""

    accepted: int = 0
    pending: int = 0
    unknown: int = 0
    refused: int = 0
    requests: int = 0
    retries: int = 0
    bytes: int = 0

    @property
    def total(self) -> int:
        """All of them; must be the number of those that were handed over."""
        return self.accepted + self.pending + self.unknown + self.refused


@dataclass(frozen=True, slots=True)
class Delivered:
    """The end of a delivery: the numbers, what else the user should know, and why it stopped early, if it did.

    `created`, `changed`, `unchanged` and `skipped` say how the accepted ones came to be; `earlier` are
    accepted ones that an earlier run with the same state had sent; `left_over` are studies of earlier runs
    that are still on their way. `stopped` is the sentence of what ended the sending, `cause` its exit code.
    """

    tally: Tally
    created: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: int = 0
    earlier: int = 0
    left_over: int = 0
    stopped: str = ""
    cause: Exit = Exit.OK
