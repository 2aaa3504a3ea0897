"""How many answers are in the making and how many wait for their turn: in all, and for each assistant.

A gateway lets in about as many as the engine computes at once, so that no queue grows there. A few may wait here; the
excess is refused at once, with the time after which there should be room.
"""

import asyncio
import math
import time
from collections import deque
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field

from common.errors import GroundtoneError, Overloaded, RateLimited
from common.settings import Assistant
from serving.metrics import QUEUE_DEPTH, WAITING

FIRST_GUESS = 2.0
"""Seconds that an answer takes, as long as none has ended."""
_RECENT = 0.1
"""The weight of the newest answer in the mean: about the last twenty count."""


@dataclass(slots=True)
class Room:
    """`limit` answers in the making, and `places` to wait in."""

    limit: float
    places: float
    taken: int = 0
    waiting: int = 0
    seconds: float = FIRST_GUESS

    @property
    def free(self) -> bool:
        return self.taken < self.limit

    def retry_after(self) -> float:
        """Seconds until a newcomer has its turn: as many must end as wait, and one more (Little's law)."""
        return (self.waiting + 1) * self.seconds / max(1, self.taken)


@dataclass(slots=True)
class _Waiter:
    assistant: Room
    turn: "asyncio.Future[None]"
    began: float | None = None


@dataclass(slots=True)
class Capacity(Room):
    """The room of one gateway process, with a smaller one inside for each assistant that has a limit of its own."""

    _rooms: dict[str, Room] = field(default_factory=dict[str, Room])
    _line: deque[_Waiter] = field(default_factory=deque[_Waiter])

    @contextmanager
    def place(self, assistant: Assistant) -> Generator["asyncio.Future[None]"]:
        """A place for one answer: its turn has come when the future is done, in the order of coming.

        Raises at once Overloaded where the service, RateLimited where the assistant has neither room nor place.
        """
        mine = self._rooms.setdefault(assistant.name, Room(*_limits(assistant)))
        self._admit(mine, assistant)
        waiter = _Waiter(mine, asyncio.get_running_loop().create_future())
        self._line.append(waiter)
        self._count(waiter, waiting=1)
        self._call()
        served = True
        try:
            yield waiter.turn
        except GroundtoneError as error:
            served = False
            if isinstance(error, Overloaded):
                # The engine refused it: it has as much to do as this room, or more.
                error.retry_after = self.retry_after()
            raise
        finally:
            self._leave(waiter, served)

    def _admit(self, mine: Room, assistant: Assistant) -> None:
        if self.free and mine.free:
            return
        if self.waiting < self.places and mine.waiting < mine.places:
            return
        if not mine.free:
            raise RateLimited(
                f"The assistant `{assistant.name}` answers as many questions as it may.",
                "Ask again after `Retry-After`.",
                retry_after=mine.retry_after(),
            )
        raise Overloaded(
            "The service answers as many questions as it can.",
            "Ask again after `Retry-After`.",
            retry_after=self.retry_after(),
        )

    def _call(self) -> None:
        """Gives every turn that can be given: whoever waits for its assistant alone holds up no other."""
        for waiter in list(self._line):
            if not self.free:
                return
            if waiter.assistant.free and not waiter.turn.done():
                self._line.remove(waiter)
                self._count(waiter, waiting=-1, taken=1)
                waiter.began = time.monotonic()
                waiter.turn.set_result(None)

    def _leave(self, waiter: _Waiter, served: bool) -> None:
        if waiter.began is None:
            self._line.remove(waiter)
            self._count(waiter, waiting=-1)
            return
        self._count(waiter, taken=-1)
        if served:
            took = time.monotonic() - waiter.began
            for room in (self, waiter.assistant):
                room.seconds += _RECENT * (took - room.seconds)
        self._call()

    def _count(self, waiter: _Waiter, waiting: int = 0, taken: int = 0) -> None:
        for room in (self, waiter.assistant):
            room.waiting += waiting
            room.taken += taken
        WAITING.inc(waiting)
        QUEUE_DEPTH.inc(taken)


def _limits(assistant: Assistant) -> tuple[float, float]:
    given = (assistant.max_answers, assistant.max_waiting)
    return tuple(math.inf if limit is None else limit for limit in given)  # pyright: ignore[reportReturnType] # two
