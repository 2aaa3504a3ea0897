"""What a client sees when something behind the gateway fails, and what the record says of it."""

import asyncio
from typing import Any

import aiohttp
import orjson
import pytest
import uvicorn
from sqlalchemy import text

from serving.audit.record import Record
from serving.engine import replicas
from serving.pool import KEPT
from tests.fakes.engine import Fault
from tests.serving.conftest import Gateway


@pytest.mark.parametrize("fault", [Fault.REFUSE, Fault.HTTP500])
async def test_an_engine_that_fails_before_the_answer_is_a_503(gateway: Gateway, fault: Fault) -> None:
    """No byte had left, so the status says it, with when to come back."""
    gateway.engine.fault = fault
    response = await gateway.ask()
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "engine_unavailable"
    assert int(response.headers["retry-after"]) >= 1
    assert (await gateway.last())["ended"] == "failed"


async def test_a_hanging_engine_is_given_up_within_its_deadline(gateway: Gateway) -> None:
    """Silence is an error too."""
    gateway.engine.fault = Fault.HANG
    response = await gateway.ask()
    assert response.status == 503


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.GARBAGE])
async def test_a_stream_that_breaks_ends_with_a_typed_error(gateway: Gateway, fault: Fault) -> None:
    """After the first byte: one error event, [DONE], and never a second try.

    A reset may overtake the bytes before it; then nothing had left, and the status says it.
    """
    gateway.engine.fault = fault
    asked = len(gateway.engine.chats)
    response = await gateway.ask(stream=True)
    frames = (await response.text()).strip().split("\n\n")
    if response.status == 503:
        assert fault is Fault.RESET
        frames = [f"data: {frames[0]}", "data: [DONE]"]
    assert frames[-1] == "data: [DONE]"
    assert orjson.loads(frames[-2].removeprefix("data: "))["error"]["code"] == "engine_unavailable"
    sent = [chat for chat in list(gateway.engine.chats)[asked:] if chat.get("stream")]
    assert len(sent) == 1
    outcome = await gateway.last()
    assert outcome["ended"] == "failed"


async def test_another_models_answer_is_refused(gateway: Gateway) -> None:
    """An answer under another name was not made by what the receipt says."""
    gateway.engine.fault = Fault.WRONG_MODEL
    assert (await gateway.ask()).status == 503


async def test_the_engine_comes_back_by_itself(gateway: Gateway) -> None:
    """A restarted engine has forgotten its adapters: they are back before it takes questions."""
    gateway.engine.fault = Fault.REFUSE
    assert (await gateway.ask(model="tuned")).status == 503
    gateway.engine.loaded.clear()
    gateway.engine.fault = None
    async with asyncio.timeout(20):
        while (response := await gateway.ask(model="tuned")).status != 200:
            await asyncio.sleep(0.1)
    assert (await response.json())["choices"][0]["message"]["content"].startswith("Thank you")
    assert gateway.adapter in gateway.engine.loaded


async def test_an_adapter_that_changes_nothing_is_not_served(gateway: Gateway) -> None:
    """vLLM says nothing when module names don't fit; the gateway's probe does."""
    gateway.engine.fault = Fault.REFUSE
    assert (await gateway.ask(model="tuned")).status == 503
    gateway.engine.loaded.clear()
    gateway.engine.ineffective.add(gateway.adapter)
    gateway.engine.fault = None
    async with asyncio.timeout(20):
        while True:
            ready = await (await gateway.http.get("/readyz")).json()
            if ready["reasons"] and "change nothing" in ready["reasons"][0]:
                break
            await asyncio.sleep(0.1)
    assert (await gateway.ask(model="tuned")).status == 503


async def test_an_unreachable_knowledge_process_is_a_503(gateway: Gateway) -> None:
    """An assistant with knowledge never answers without it."""
    gateway.knowledge.listening = False
    response = await gateway.ask()
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "knowledge_unavailable"


async def asker(gateway: Gateway, *, stream: bool) -> "asyncio.Task[Any]":
    async def ask() -> None:
        response = await gateway.ask(stream=stream)
        async for _ in response.content.iter_any():
            pass

    return asyncio.create_task(ask())


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("pause_after", [0, 3])
async def test_a_client_that_leaves_frees_the_engine(gateway: Gateway, stream: bool, pause_after: int) -> None:
    """Before the first token or in the middle, streamed or not: the engine stops, the record says `aborted`."""
    gateway.engine.pause_after = pause_after
    client = await asker(gateway, stream=stream)
    await gateway.engine.until(lambda engine: engine.open_streams == 1)
    client.cancel()
    await asyncio.wait({client})
    await gateway.engine.until(lambda engine: engine.open_streams == 0)
    assert (await gateway.last())["ended"] == "aborted"
    assert gateway.services.capacity.taken == 0


async def test_a_client_that_leaves_while_searching_asks_no_engine(gateway: Gateway) -> None:
    """What nobody waits for is not begun."""
    gateway.knowledge.held = True
    chats = len(gateway.engine.chats)
    client = await asker(gateway, stream=True)
    await gateway.knowledge.until(lambda knowledge: bool(knowledge.searches))
    client.cancel()
    await asyncio.wait({client})
    assert (await gateway.last())["ended"] == "aborted"
    gateway.knowledge.release()
    assert len([c for c in list(gateway.engine.chats)[chats:] if c.get("stream")]) == 0


async def test_without_a_record_nothing_is_answered(gateway: Gateway) -> None:
    """An intent that can't be made durable is a 503; once the record works again, so does the answer."""
    database = gateway.services.record.database
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE intents RENAME TO gone"))
    chats = len([c for c in gateway.engine.chats if c.get("stream")])
    response = await gateway.ask()
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "audit_unavailable"
    assert len([c for c in gateway.engine.chats if c.get("stream")]) == chats
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO intents"))
    assert (await gateway.ask()).status == 200


async def test_an_outcome_that_could_not_be_written_is_written_later(gateway: Gateway) -> None:
    """The answer has happened: its outcome waits for the record instead of being lost."""
    database = gateway.services.record.database
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE outcomes RENAME TO gone"))
    response = await gateway.ask()
    assert response.status == 503
    with database.begin() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO outcomes"))
    assert (await gateway.last())["ended"] in ("answered", "failed")


async def test_open_entries_of_a_dead_gateway_are_closed_as_crashed(
    gateway: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that was killed left an intent without an outcome; the next one says so."""
    with gateway.services.record.database.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO intents VALUES ('r_dead', 'default', 'admin', 'nobody', '2026-01-01 00:00:00', '{}', 'd')"
            )
        )
    url = gateway.services.settings.audit_url
    async with Record.open(url):
        assert (await gateway.receipt("r_dead"))["ended"] == "crashed"


async def test_more_answers_than_there_is_room_for_are_refused_at_once(gateway: Gateway) -> None:
    """The excess gets a 503 with Retry-After instead of a place in an endless queue."""
    gateway.services.capacity.limit = 1
    gateway.engine.pause_after = 0
    client = await asker(gateway, stream=True)
    await gateway.engine.until(lambda engine: engine.open_streams == 1)
    response = await gateway.ask()
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "overloaded"
    gateway.engine.resume()
    await client
    assert (await gateway.ask()).status == 200


async def test_a_draining_gateway_says_so(gateway: Gateway) -> None:
    """So that a balancer looks elsewhere; what reaches it all the same is answered."""
    gateway.services.life.draining = True
    assert (await gateway.http.get("/readyz")).status == 503
    assert (await gateway.ask()).status == 200


async def test_a_full_engine_is_not_a_broken_one(gateway: Gateway) -> None:
    """The excess is refused with when to come back, and the replica goes on serving: its next answer is good."""
    gateway.engine.fault = Fault.FULL
    response = await gateway.ask()
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "overloaded"
    assert int(response.headers["retry-after"]) >= 1
    gateway.engine.fault = None
    assert (await gateway.ask()).status == 200


def test_check_interval_is_short() -> None:
    """A replica that comes back is noticed within seconds."""
    assert replicas.CHECK_SECONDS <= 5


async def test_a_slow_reader_does_not_stall_others(gateway: Gateway) -> None:
    """A client that reads nothing holds up its own answer only."""
    gateway.engine.answer = ["word "] * 20_000
    slow = await gateway.ask(stream=True)
    gateway.engine.answer = "Short."
    async with asyncio.timeout(10):
        assert (await gateway.ask()).status == 200
    slow.close()
    assert isinstance(slow, aiohttp.ClientResponse)


async def test_an_engine_that_drips_is_silent(gateway: Gateway) -> None:
    """One byte at a time is no answer: the deadline is per event."""
    gateway.engine.drip_seconds = 0.2
    gateway.engine.fault = Fault.DRIP
    response = await gateway.ask()
    assert response.status == 503


def test_no_question_is_sent_on_a_connection_that_its_server_is_about_to_close() -> None:
    """uvicorn closes an idle connection without a word, and a question that is on its way then is lost."""
    assert uvicorn.Config("nothing", log_config=None).timeout_keep_alive > KEPT
