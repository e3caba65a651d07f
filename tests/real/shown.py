"""What tests show at the end of a run: a title, and lines below it."""

from __future__ import annotations

SHOWN: dict[str, list[str]] = {}
