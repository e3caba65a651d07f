"""How many requests are under way at once: fewer when the server has too many, slowly more when it copes."""

from __future__ import annotations

import asyncio
from collections import deque


class Pace:
    """Turns, given in the order in which they were asked for; for one event loop.

    `async with pace as turn:` holds a turn, a number that grows. `limit` is how many there are now.
    """

    def __init__(self, connections: int) -> None:
        self._most = self.limit = max(1, connections)
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._taken = 0
        self._turns = 0
        self._slowed = 0
        self._in_a_row = 0

    async def __aenter__(self) -> int:
        if self._taken >= self.limit:  # nobody waits while there are free turns
            await self._wait()
        else:
            self._taken += 1
        self._turns += 1
        return self._turns

    async def __aexit__(self, *_: object) -> None:
        self._taken -= 1
        self._hand_on()

    def slow_down(self, turn: int) -> None:
        """The server had too many requests: halve the limit, unless it was halved since this turn began."""
        self._in_a_row = 0
        if turn > self._slowed:
            self._slowed = self._turns
            self.limit = max(1, self.limit // 2)

    def succeeded(self) -> None:
        """A request was answered well; as many of them in a row as the limit raise it by one."""
        self._in_a_row += 1
        if self._in_a_row >= self.limit < self._most:
            self._in_a_row = 0
            self.limit += 1
            self._hand_on()

    async def _wait(self) -> None:
        """Until a turn was handed to us; one that comes when we are gone already is handed on."""
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        try:
            await mine
        except asyncio.CancelledError:
            if mine.done() and not mine.cancelled():
                self._taken -= 1
            self._hand_on()
            raise

    def _hand_on(self) -> None:
        """Give free turns to those who wait. A turn counts as taken from here on, so that nobody gets in between."""
        while self._waiting and self._taken < self.limit:
            mine = self._waiting.popleft()
            if not mine.done():
                self._taken += 1
                mine.set_result(None)
