"""Both ledgers: within one run they say the same, and no more than one end of each parcel."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom2fhir.errors import Dicom2FhirError
from dicom2fhir.problems import Code
from dicom2fhir.server.journal import Journal
from dicom2fhir.server.ledger import Ledger, Memory, State

ENDS: dict[State, Callable[[Ledger, str], None]] = {
    State.ACCEPTED: lambda ledger, name: ledger.accepted(name),
    State.UNKNOWN: lambda ledger, name: ledger.unknown(name),
    State.REFUSED: lambda ledger, name: ledger.refused(name, Code.SERVER_REFUSED, 422),
    State.PENDING: lambda ledger, name: ledger.pending(name),
}


def put(ledger: Ledger, number: int, text: str = "x") -> State:
    body = f'{{"{number}":"{text}"}}'.encode()
    return ledger.put(f"id-{number}", f"1.2.{number}", hashlib.sha256(body).digest(), body)


def names(ledger: Ledger) -> list[str]:
    return [name for _, name in ledger.waiting(0, 1000)]


@pytest.fixture(params=["memory", "journal"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    made: Ledger = Memory() if request.param == "memory" else Journal(str(tmp_path / "state"), "http://server", "r4")
    made.open()
    yield made
    made.close()
    made.close()


def test_parcels_wait_in_the_order_of_putting(ledger: Ledger) -> None:
    for number in (3, 1, 2):
        assert put(ledger, number) is State.PENDING
    assert [ledger.body(name) for name in names(ledger)] == [b'{"3":"x"}', b'{"1":"x"}', b'{"2":"x"}']
    (first, name), (second, _) = ledger.waiting(0, 2)
    assert ledger.waiting(first, 1) == [(second, ledger.waiting(0, 2)[1][1])]
    ledger.sending(name)
    assert ledger.waiting(0, 1)[0][0] == second
    put(ledger, 4)
    assert [ledger.body(name) for _, name in ledger.waiting(second, 9)] == [b'{"2":"x"}', b'{"4":"x"}']


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("sent", [0, 1, 2])
def test_a_parcel_comes_to_one_end(ledger: Ledger, end: State, sent: int) -> None:
    put(ledger, 1)
    (name,) = names(ledger)
    for _ in range(sent):
        ledger.sending(name)
    ENDS[end](ledger, name)
    assert ledger.counts() == {state: int(state is end) for state in State}
    assert names(ledger) == []
    assert list(ledger.unsent()) == (["1.2.1"] if end is State.PENDING else [])
    assert ledger.held == 0
    for again in ENDS.values():
        with pytest.raises(LookupError):
            again(ledger, name)
    for move in (ledger.sending, ledger.body):
        with pytest.raises(LookupError):
            move(name)
    assert ledger.counts()[end] == 1


def test_what_was_never_put_cannot_be_moved(ledger: Ledger) -> None:
    for move in (ledger.sending, ledger.accepted, ledger.body):
        with pytest.raises(LookupError):
            move("7")


def test_the_same_id_again_is_another_parcel(ledger: Ledger) -> None:
    for text in "ab":
        assert put(ledger, 1, text) is State.PENDING
    ledger.accepted(names(ledger)[0])
    assert put(ledger, 1, "a") is State.PENDING
    assert [ledger.body(name) for name in names(ledger)] == [b'{"1":"b"}', b'{"1":"a"}']
    assert sum(ledger.counts().values()) == 3


def test_what_began_and_came_to_no_end_is_unsent(ledger: Ledger) -> None:
    for number in range(600):
        put(ledger, number)
    for number, name in enumerate(names(ledger)):
        if number % 3:
            (ledger.sending if number % 3 == 1 else ledger.unknown)(name)
    assert list(ledger.unsent()) == [f"1.2.{number}" for number in range(600) if number % 3 != 2]


def test_one_thread_puts_and_another_sends(ledger: Ledger) -> None:
    total = 300
    taken: list[bytes] = []

    def send() -> None:
        last = 0
        while len(taken) < total:
            for place, name in ledger.waiting(last, 7):
                ledger.sending(name)
                taken.append(ledger.body(name))
                ledger.accepted(name)
                last = place

    sender = threading.Thread(target=send)
    sender.start()
    for number in range(total):
        put(ledger, number)
    sender.join(60)
    assert taken == [f'{{"{number}":"x"}}'.encode() for number in range(total)]
    assert ledger.counts()[State.ACCEPTED] == total


def test_memory_holds_what_may_still_be_sent() -> None:
    ledger = Memory()
    for number in range(4):
        put(ledger, number)
    held = [len(ledger.body(name)) for name in names(ledger)]
    assert ledger.held == sum(held)
    for name, end in zip(names(ledger), ENDS.values(), strict=True):
        end(ledger, name)
        held.pop()
        assert ledger.held == sum(held)


steps = st.one_of(
    st.tuples(st.just("put"), st.integers(0, 3), st.sampled_from("ab")),
    st.tuples(st.sampled_from(["sending", "body", *ENDS]), st.integers(1, 9)),
    st.tuples(st.just("waiting"), st.integers(0, 9), st.integers(1, 3)),
)


def told(ledger: Ledger, called: dict[str, int], step: tuple[Any, ...]) -> Any:
    """What a ledger answers to a step, with its own names as the number of the put; `called` knows them."""
    kind, *values = step
    if kind == "put":
        put(ledger, *values)
        (name,) = set(names(ledger)) - called.keys()
        called[name] = len(called) + 1
        return None
    if kind == "waiting":
        return [(place, called[name]) for place, name in ledger.waiting(*values)]
    name = next((name for name, number in called.items() if number == values[0]), "99")
    try:
        return ENDS[kind](ledger, name) if kind in ENDS else getattr(ledger, kind)(name)
    except LookupError:
        return LookupError


@given(st.lists(steps, max_size=25))
def test_memory_and_journal_say_the_same(course: list[tuple[Any, ...]]) -> None:
    memory: dict[str, int] = {}
    journal: dict[str, int] = {}
    with TemporaryDirectory() as folder:
        kept, fleeting = Journal(folder, "http://server", "r4"), Memory()
        kept.open()
        try:
            for step in course:
                assert told(kept, journal, step) == told(fleeting, memory, step)
                assert kept.counts() == fleeting.counts()
                assert list(kept.unsent()) == list(fleeting.unsent())
        except Dicom2FhirError as error:
            pytest.fail(str(error))
        finally:
            kept.close()
