"""Limits on answers in the making and on those that wait: in all and per assistant, and when to come back."""

import asyncio
from contextlib import ExitStack

import pytest

from common.errors import EngineUnavailable, Overloaded, RateLimited
from common.settings import Assistant
from serving.capacity import FIRST_GUESS, Capacity, Room
from tests.fakes.engine import Fault
from tests.serving.conftest import Gateway

DESK = Assistant(name="desk")
BOUNDED = Assistant(name="bounded", max_answers=1, max_waiting=1)


async def test_turns_come_in_the_order_of_coming_and_the_excess_goes_at_once() -> None:
    """Two are made, two wait, the fifth is refused; who ends lets the next one in."""
    capacity = Capacity(limit=2, places=2)
    with ExitStack() as fourth, ExitStack() as third, ExitStack() as second, ExitStack() as first:
        turns = [stack.enter_context(capacity.place(DESK)) for stack in (first, second, third, fourth)]
        assert [turn.done() for turn in turns] == [True, True, False, False]
        with pytest.raises(Overloaded), capacity.place(DESK):
            pass
        second.close()
        assert [turn.done() for turn in turns] == [True, True, True, False]
        first.close()
        assert turns[3].done()
    assert (capacity.taken, capacity.waiting) == (0, 0)


async def test_when_to_come_back_follows_from_those_before_and_how_long_answers_take() -> None:
    """As many answers must end as wait, and one more; they end in the time that the last ones took."""
    room = Room(limit=4, places=9, taken=4)
    assert room.retry_after() == pytest.approx(FIRST_GUESS / 4)
    room.waiting = 7
    assert room.retry_after() == pytest.approx(8 * FIRST_GUESS / 4)
    room.seconds = 30.0
    assert room.retry_after() == pytest.approx(60.0)
    assert RateLimited("", "", retry_after=room.retry_after() + 0.1).headers() == {"retry-after": "61"}


async def test_the_time_of_an_answer_is_learned_from_those_that_are_given() -> None:
    """A failure takes no time at all, and must not tell everybody to come back at once."""
    capacity = Capacity(limit=1, places=0)
    for _ in range(200):
        with capacity.place(DESK):
            pass
    assert capacity.seconds < 0.1
    capacity.seconds = 30.0
    with pytest.raises(EngineUnavailable), capacity.place(DESK):
        raise EngineUnavailable("", "")
    assert capacity.seconds == 30.0


async def test_an_assistants_limit_is_its_own() -> None:
    """Its excess is refused as its own, its waiters hold up nobody, and the others have the rest of the room."""
    capacity = Capacity(limit=3, places=5)
    with ExitStack() as stack:
        turns = [stack.enter_context(capacity.place(BOUNDED)) for _ in range(2)]
        with pytest.raises(RateLimited) as refused, capacity.place(BOUNDED):
            pass
        assert refused.value.retry_after == pytest.approx(2 * FIRST_GUESS)
        turns += [stack.enter_context(capacity.place(DESK)) for _ in range(2)]
        assert [turn.done() for turn in turns] == [True, False, True, True]


async def test_a_waiting_question_is_answered_and_the_excess_told_when_to_come_back(gateway: Gateway) -> None:
    """Over HTTP: one is made, one waits, the third gets 503 with the time that the two before it will take."""
    capacity = gateway.services.capacity
    capacity.limit, capacity.places, capacity.seconds = 1, 1, 20.0
    gateway.engine.pause_after = 0
    first = asyncio.create_task(gateway.ask())
    await gateway.engine.until(lambda engine: engine.open_streams == 1)
    second = asyncio.create_task(gateway.ask())
    async with asyncio.timeout(10):
        while not capacity.waiting:
            await asyncio.sleep(0)
    refused = await gateway.ask()
    assert (refused.status, refused.headers["retry-after"]) == (503, "40")
    assert gateway.engine.open_streams == 1
    gateway.engine.resume()
    assert [(await task).status for task in (first, second)] == [200, 200]


async def test_an_assistant_with_as_many_answers_as_it_may_have_is_a_429(gateway: Gateway) -> None:
    """And another one answers meanwhile."""
    gateway.services.capacity._rooms["plain"] = Room(limit=1, places=0)
    gateway.engine.pause_after = 0
    first = asyncio.create_task(gateway.ask())
    await gateway.engine.until(lambda engine: engine.open_streams == 1)
    refused = await gateway.ask()
    assert refused.status == 429
    assert (await refused.json())["error"]["code"] == "rate_limit_exceeded"
    assert int(refused.headers["retry-after"]) >= 1
    other = asyncio.create_task(gateway.ask(model="unguarded"))
    await gateway.engine.until(lambda engine: engine.open_streams == 2)
    gateway.engine.resume()
    assert [(await task).status for task in (first, other)] == [200, 200]


async def test_who_leaves_while_waiting_gives_up_the_place(gateway: Gateway) -> None:
    """No engine hears of the question, its receipt says aborted, and the next one has the place."""
    capacity = gateway.services.capacity
    capacity.limit, capacity.places = 1, 1
    gateway.engine.pause_after = 0
    first = asyncio.create_task(gateway.ask())
    await gateway.engine.until(lambda engine: engine.open_streams == 1)
    second = asyncio.create_task(gateway.ask())
    async with asyncio.timeout(10):
        while not capacity.waiting or len(await gateway.receipts()) < 2:
            await asyncio.sleep(0.01)
    second.cancel()
    async with asyncio.timeout(10):
        while capacity.waiting:
            await asyncio.sleep(0.01)
    assert (await gateway.last())["ended"] == "aborted"
    assert gateway.engine.open_streams == 1
    gateway.engine.resume()
    assert (await first).status == 200
    assert (capacity.taken, capacity.waiting) == (0, 0)


async def test_a_full_engine_is_told_of_with_the_time_of_this_room(gateway: Gateway) -> None:
    """It does not say when, so what is in the making here has to tell."""
    gateway.services.capacity.seconds = 50.0
    gateway.engine.fault = Fault.FULL
    refused = await gateway.ask()
    assert (refused.status, refused.headers["retry-after"]) == (503, "50")
