"""What a status means for the next try, and how long to wait before it. Pure functions.

RFC 9110 section 15 (statuses), section 10.2.3 (Retry-After); RFC 6585 section 4 (429).
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import Enum, auto

from dicom2fhir.server.target import Timing


class Meaning(Enum):
    """What an answer's status says about the request."""

    DECIDED = auto()
    """Done, or refused: asking again would give the same."""
    BUSY = auto()
    """Turned away before anything was done."""
    FAULT = auto()
    """Something broke: it may have been done, or not."""
    CONFLICT = auto()
    """Somebody else was writing the same at the same time."""
    UNAUTHORIZED = auto()
    FORBIDDEN = auto()
    REDIRECT = auto()


_MEANINGS = {
    304: Meaning.DECIDED,
    401: Meaning.UNAUTHORIZED,
    403: Meaning.FORBIDDEN,
    407: Meaning.FORBIDDEN,
    408: Meaning.BUSY,
    409: Meaning.CONFLICT,
    425: Meaning.BUSY,
    429: Meaning.BUSY,
    501: Meaning.DECIDED,
}


def meaning(status: int, headers: Mapping[str, str]) -> Meaning:
    """What a status means. 503 turns away when it says when to come back; from a gateway it may mean anything."""
    if status == 503 and "retry-after" in headers:
        return Meaning.BUSY
    if status in _MEANINGS:
        return _MEANINGS[status]
    if 300 <= status < 400:
        return Meaning.REDIRECT
    return Meaning.DECIDED if 200 <= status < 500 else Meaning.FAULT


def backoff(timing: Timing, tried: int, chance: random.Random) -> float:
    """Seconds to wait after `tried` tries: full jitter, anything from nothing to a bound that doubles."""
    bound = timing.backoff_min * 2.0 ** min(tried - 1, 60)
    return chance.uniform(0.0, min(timing.backoff_max, bound))


def delay(timing: Timing, tried: int, chance: random.Random, headers: Mapping[str, str]) -> float:
    """Seconds to wait: the own backoff, or longer where the server asks for it, up to what it may ask for."""
    asked = retry_after(headers, time.time())
    return max(backoff(timing, tried, chance), min(asked, timing.retry_after_max))


def retry_after(headers: Mapping[str, str], now: float) -> float:
    """Seconds that Retry-After asks for: 0 without one, for the past, and for what is neither seconds nor a date.

    A date counts from the server's own Date, where it gives one: clocks differ. `now` is seconds since 1970.
    """
    text = headers.get("retry-after", "").strip()
    if re.fullmatch(r"[0-9]+", text):
        return float(text[:300])
    until = _moment(text)
    return 0.0 if until is None else max(0.0, until - (_moment(headers.get("date", "")) or now))


def _moment(text: str) -> float | None:
    """An HTTP date in one of its three forms (RFC 9110 section 5.6.7), in seconds since 1970."""
    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
