"""What a status means for the next try, and how long to wait before it."""

from __future__ import annotations

import random
import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.server.retry import Meaning, backoff, delay, meaning, retry_after
from dicom2fhir.server.target import Timing

NOW = datetime(2024, 2, 29, 12, 0, 0, tzinfo=UTC)
MIDNIGHT = "Fri, 01 Mar 2024 00:00:00 GMT"


def asked(text: str, **headers: str) -> float:
    return retry_after({"retry-after": text, **headers}, NOW.timestamp())


SPECIAL = {
    Meaning.DECIDED: {304, 501},
    Meaning.BUSY: {408, 425, 429},
    Meaning.CONFLICT: {409},
    Meaning.UNAUTHORIZED: {401},
    Meaning.FORBIDDEN: {403, 407},
}
USUAL = {2: Meaning.DECIDED, 3: Meaning.REDIRECT, 4: Meaning.DECIDED}


def test_every_status_has_its_meaning() -> None:
    expected = {status: USUAL.get(status // 100, Meaning.FAULT) for status in range(100, 1000)}
    expected |= {status: what for what, statuses in SPECIAL.items() for status in statuses}
    assert {status: meaning(status, {}) for status in expected} == expected
    expected[503] = Meaning.BUSY
    assert {status: meaning(status, {"retry-after": "x"}) for status in expected} == expected


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("120", 120),
        (" 0 ", 0),
        ("9" * 5000, float("9" * 300)),
        (MIDNIGHT, 43_200),
        ("Friday, 01-Mar-24 00:00:00 GMT", 43_200),
        ("Fri Mar  1 00:00:00 2024", 43_200),
        ("Thu, 29 Feb 2024 11:59:59 GMT", 0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("Fri, 99 Mar 2024 00:00:00 GMT", 0),
        ("-5", 0),
        ("1.5", 0),
        ("1e9", 0),
        ("²", 0),
        ("١٢", 0),
        ("soon", 0),
        ("10, 20", 0),
        ("", 0),
    ],
)
def test_seconds_and_dates_are_understood_and_nothing_else(text: str, seconds: float) -> None:
    assert asked(text) == seconds


def test_the_date_that_has_no_zone_is_in_utc_wherever_we_are(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as elsewhere:
        elsewhere.setenv("TZ", "Asia/Kolkata")
        time.tzset()
        assert asked("Fri Mar  1 00:00:00 2024") == 43_200
    time.tzset()


def test_a_date_counts_from_the_servers_clock() -> None:
    assert asked(MIDNIGHT, date="Thu, 29 Feb 2024 23:59:00 GMT") == 60
    assert asked(MIDNIGHT, date="yesterday") == 43_200
    assert retry_after({}, 0.0) == 0


@given(st.text() | st.from_regex(r"[A-Z][a-z]{2}, \d{1,9} [A-Z][a-z]{2} \d{1,9} \d\d:\d\d:\d\d .{0,9}", fullmatch=True))
def test_whatever_is_asked_is_a_time_to_wait(text: str) -> None:
    assert asked(text) >= 0
    assert asked(MIDNIGHT, date=text) >= 0


@given(st.integers(0, 10**6), st.integers(-720, 720))
def test_a_date_is_a_moment_in_any_zone(seconds: int, minutes: int) -> None:
    moment = (NOW + timedelta(seconds=seconds)).astimezone(timezone(timedelta(minutes=minutes)))
    assert asked(format_datetime(moment)) == seconds


TIMING = Timing(backoff_min=1.0, backoff_max=60.0, retry_after_max=300.0)


@given(st.integers(1, 10_000), st.integers())
def test_the_backoff_is_anything_up_to_a_bound_that_doubles(tried: int, seed: int) -> None:
    assert 0 <= backoff(TIMING, tried, random.Random(seed)) <= min(60.0, 2.0 ** min(tried - 1, 10))


def test_the_backoff_uses_all_of_its_room_and_the_chance_that_is_given() -> None:
    chance = random.Random(7)
    for tried, bound in ((1, 1.0), (2, 2.0), (6, 32.0), (7, 60.0), (99, 60.0)):
        waits = [backoff(TIMING, tried, chance) for _ in range(200)]
        assert min(waits) < bound / 10
        assert bound * 0.9 < max(waits) <= bound
    assert backoff(TIMING, 5, random.Random(7)) == backoff(TIMING, 5, random.Random(7))


@pytest.mark.parametrize(("text", "least", "most"), [("7", 7, 7), ("9999", 300, 300), ("junk", 0, 1), ("0", 0, 1)])
def test_the_longer_of_both_is_waited_up_to_what_may_be_asked(text: str, least: float, most: float) -> None:
    assert least <= delay(TIMING, 1, random.Random(1), {"retry-after": text}) <= most


def test_the_own_backoff_counts_where_it_is_longer() -> None:
    own = backoff(TIMING, 6, random.Random(3))
    assert own > 1
    assert delay(TIMING, 6, random.Random(3), {"retry-after": "1"}) == own
