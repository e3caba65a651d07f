"""Turns: never more than the limit, none lost, in order; the limit falls fast and grows slowly."""

from __future__ import annotations

import asyncio
import random

import pytest

from dicom2fhir.server.pace import Pace


async def _settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


class Crowd:
    """Tasks that hold a turn until they are told to leave."""

    def __init__(self, pace: Pace) -> None:
        self.pace, self.inside, self.order, self.most = pace, 0, [], 0  # type: ignore[var-annotated]
        self.doors: dict[int, asyncio.Event] = {}
        self.tasks: dict[int, asyncio.Task[None]] = {}

    async def _stay(self, name: int) -> None:
        async with self.pace:
            self.inside += 1
            self.most = max(self.most, self.inside)
            self.order.append(name)
            try:
                await self.doors[name].wait()
            finally:
                self.inside -= 1

    async def come(self, *names: int) -> None:
        for name in names:
            self.doors[name] = asyncio.Event()
            self.tasks[name] = asyncio.create_task(self._stay(name))
        await _settled()

    async def go(self, *names: int) -> None:
        for name in names:
            self.doors[name].set()
        await _settled()


def test_turns_are_given_in_order_and_never_more_than_there_are() -> None:
    async def scene() -> None:
        crowd = Crowd(Pace(2))
        await crowd.come(*range(5))
        assert crowd.order == [0, 1]
        await crowd.go(1)
        assert crowd.order == [0, 1, 2]
        await crowd.go(0, 2, 3, 4)
        assert (crowd.order, crowd.most, crowd.inside) == ([0, 1, 2, 3, 4], 2, 0)

    asyncio.run(scene())


@pytest.mark.parametrize("connections", [-1, 0, 1])
def test_there_is_always_one(connections: int) -> None:
    pace = Pace(connections)
    pace.slow_down(1)
    assert pace.limit == 1


def test_the_limit_halves_once_a_round_trip() -> None:
    async def scene() -> None:
        pace = Pace(8)
        turns = [await pace.__aenter__() for _ in range(8)]
        limits = []
        for turn in turns:
            pace.slow_down(turn)
            limits.append(pace.limit)
        assert limits == [4] * 8
        for _ in turns:
            await pace.__aexit__()
        for expected in (2, 1, 1):
            async with pace as turn:
                pace.slow_down(turn)
            assert pace.limit == expected

    asyncio.run(scene())


def test_the_limit_grows_by_one_after_as_many_successes_in_a_row() -> None:
    pace = Pace(4)
    pace.slow_down(1)
    limits = []
    for _ in range(9):
        pace.succeeded()
        limits.append(pace.limit)
    assert limits == [2, 3, 3, 3, 4, 4, 4, 4, 4]


def test_a_row_ends_with_too_many_requests() -> None:
    async def scene() -> None:
        pace = Pace(4)
        async with pace as early, pace as late:
            pace.slow_down(late)
            pace.succeeded()
            pace.slow_down(early)
            pace.succeeded()
            assert pace.limit == 2
            pace.succeeded()
            assert pace.limit == 3

    asyncio.run(scene())


def test_nobody_comes_in_while_the_limit_is_lower_than_those_inside_and_growing_lets_in() -> None:
    async def scene() -> None:
        pace = Pace(4)
        crowd = Crowd(pace)
        await crowd.come(*range(6))
        pace.slow_down(4)
        await crowd.go(0, 1)
        assert crowd.order == [0, 1, 2, 3]
        await crowd.go(2)
        assert crowd.order == [0, 1, 2, 3, 4]
        pace.succeeded()
        pace.succeeded()
        await _settled()
        assert crowd.order == [0, 1, 2, 3, 4, 5]
        await crowd.go(3, 4, 5)

    asyncio.run(scene())


@pytest.mark.parametrize("seed", range(20))
def test_turns_are_not_lost_whoever_is_cancelled_and_when(seed: int) -> None:
    async def scene() -> None:
        chance = random.Random(seed)
        pace = Pace(3)
        crowd = Crowd(pace)
        for name in range(40):
            crowd.doors[name] = asyncio.Event()
            crowd.tasks[name] = asyncio.create_task(crowd._stay(name))
            for _ in range(chance.randrange(3)):
                await asyncio.sleep(0)
            for deed in chance.sample(("cancel", "leave", "slow", "well"), 2):
                other = chance.randrange(name + 1)
                match deed:
                    case "cancel":
                        crowd.tasks[other].cancel()
                    case "leave":
                        crowd.doors[other].set()
                    case "slow":
                        pace.slow_down(chance.randrange(name + 1))
                    case "well":
                        pace.succeeded()
        await crowd.go(*range(40))
        async with asyncio.timeout(5):
            await asyncio.gather(*crowd.tasks.values(), return_exceptions=True)
        assert (crowd.inside, crowd.most <= 3) == (0, True)
        turns = [await pace.__aenter__() for _ in range(pace.limit)]
        assert len(turns) == pace.limit

    asyncio.run(scene())


def test_a_turn_that_comes_as_its_owner_goes_is_handed_on() -> None:
    async def scene() -> None:
        crowd = Crowd(Pace(1))
        await crowd.come(0, 1, 2)
        crowd.doors[0].set()
        while crowd.inside:  # 0 has left, so that the turn is 1's, who has not run yet
            await asyncio.sleep(0)
        crowd.tasks[1].cancel()
        await _settled()
        assert crowd.order == [0, 2]
        await crowd.go(2)

    asyncio.run(scene())
