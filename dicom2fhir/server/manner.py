"""How the user wants studies to be delivered. Plain data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OnExisting = Literal["merge", "replace", "skip"]
Requests = Literal["auto", "bundle", "single"]


@dataclass(frozen=True, slots=True)
class Manner:
    """What becomes of studies that are stored already, and how much goes into one request.

    `single`: each resource is a request of its own, in the order of dependency. `most_entries` and
    `most_bytes` bound one Bundle, `most_conditional` one in which a write depends on a search (None: no bound).
    `lookup` studies are asked for in one request. `rounds` is how often a study that changed meanwhile is merged
    anew. `trial`: everything but writing.
    """

    on_existing: OnExisting = "merge"
    single: bool = False
    most_entries: int | None = None
    most_conditional: int | None = None
    most_bytes: int | None = None
    lookup: int = 20
    rounds: int = 3
    trial: bool = False
