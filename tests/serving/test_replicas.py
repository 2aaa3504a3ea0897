"""Several engine replicas: which one is asked, and what a client sees of one that dies."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest

from serving.engine.replica import Replica
from tests.fakes import wire
from tests.fakes.engine import FakeEngine, Fault
from tests.fakes.server import Connection, Request
from tests.serving.conftest import Gateway

CHAT = "/v1/chat/completions"
ANSWER = "The annual fee is 11,000 yen."


@pytest.fixture
async def second(gateway: Gateway) -> AsyncIterator[FakeEngine]:
    """Another engine, with all adapters. Of two that are as busy the gateway asks the first."""
    async with FakeEngine() as engine:
        for one in (gateway.engine, engine):
            one.answer = ANSWER
        replicas = gateway.services.engine
        replica = Replica(engine.url, replicas._replicas[0].session, replicas._replicas[0].settings)
        replicas._replicas.append(replica)
        await replicas._bring_in_line(replica)
        yield engine
        replicas._replicas.remove(replica)


def asked(engine: FakeEngine) -> list[dict[str, Any]]:
    """The questions that it was sent: the gateway's probes are not streamed."""
    return [chat for chat in engine.chats if chat.get("stream")]


def content(frames: str) -> str:
    """What a stream says."""
    *events, done = [frame.removeprefix("data: ") for frame in frames.split("\n\n") if frame]
    assert done == "[DONE]"
    return "".join(
        choice["delta"].get("content") or "" for event in events for choice in orjson.loads(event)["choices"]
    )


async def test_the_least_busy_replica_is_asked(gateway: Gateway, second: FakeEngine) -> None:
    """While one generates, new questions go to the other, whatever model they are for; then it is asked again."""
    gateway.engine.pause_after = 2
    busy = asyncio.create_task(gateway.ask())
    await gateway.engine.until(lambda engine: engine.open_streams == 1)
    assert [(await gateway.ask(model=model)).status for model in ("plain", "tuned")] == [200, 200]
    assert (len(asked(gateway.engine)), len(asked(second))) == (1, 2)
    gateway.engine.resume()
    assert (await busy).status == 200
    second.pause_after = gateway.engine.pause_after = None
    assert (await gateway.ask()).status == 200
    assert (len(asked(gateway.engine)), len(asked(second))) == (2, 2)


async def test_another_replica_is_asked_as_long_as_nothing_was_generated(gateway: Gateway, second: FakeEngine) -> None:
    """One of two engines is away: no question fails."""
    gateway.engine.fault = Fault.REFUSE
    assert {(await gateway.ask(model="tuned", stream=stream)).status for stream in (True, False)} == {200}


@pytest.mark.parametrize("fault", [Fault.RESET, Fault.GARBAGE])
@pytest.mark.parametrize("model", ["plain", "regenerating"])
async def test_an_answer_that_is_not_streamed_is_begun_anew_elsewhere(
    gateway: Gateway, second: FakeEngine, model: str, fault: Fault
) -> None:
    """The client has nothing of it yet: it gets one whole answer, by the same request, with one receipt."""
    gateway.engine.fault = fault
    gateway.engine.answer = ["https", "://exam", "ple.com", " says 9", ",000 yen."]  # in the middle of a link
    response = await gateway.ask(model=model, seed=7, temperature=0.5)
    assert response.status == 200
    body: dict[str, Any] = await response.json()
    assert body["choices"][0]["message"]["content"] == ANSWER
    assert [figure["text"] for figure in body["groundtone"]["guard"]["figures"]] == ["11,000 yen"]
    assert asked(gateway.engine) == asked(second)
    assert len(asked(second)) == 1
    [receipt] = await gateway.receipts()
    assert receipt["receipt"] == response.headers["x-groundtone-receipt"] == body["groundtone"]["receipt"]
    assert (receipt["ended"], receipt["outcome"]["output"]) == ("answered", [ANSWER])


async def test_each_replica_is_asked_once(gateway: Gateway, second: FakeEngine) -> None:
    """When all have failed it is the client's turn, with a typed error and one failed outcome."""
    gateway.engine.fault = second.fault = Fault.GARBAGE
    response = await gateway.ask()
    assert response.status == 503
    assert (await response.json())["error"]["code"] == "engine_unavailable"
    assert (len(asked(gateway.engine)), len(asked(second))) == (1, 1)
    assert [receipt["ended"] for receipt in await gateway.receipts()] == ["failed"]


async def test_a_stream_that_has_said_nothing_is_begun_anew_elsewhere(gateway: Gateway, second: FakeEngine) -> None:
    """A role alone is no part of an answer."""
    route = gateway.engine._routes["POST", CHAT]

    async def dies(request: Request, connection: Connection) -> None:
        if not request.json.get("stream"):
            return await route(request, connection)
        gateway.engine.generations += 1
        await connection.start_stream()
        await connection.chunk(wire.Chunks(request.json["model"]).role(0, None))
        return connection.cut()

    gateway.engine._routes["POST", CHAT] = dies
    response = await gateway.ask(stream=True)
    text = await response.text()
    assert response.status == 200
    assert content(text) == ANSWER
    assert text.count('"role"') == 1
    assert (gateway.engine.generations, second.generations) == (1, 1)
    [receipt] = await gateway.receipts()
    assert (receipt["ended"], receipt["outcome"]["output"]) == ("answered", [ANSWER])


async def test_a_stream_that_has_said_something_is_not(gateway: Gateway, second: FakeEngine) -> None:
    """Half an answer and another one would be neither: it ends with a typed error."""
    gateway.engine.fault = Fault.GARBAGE
    text = await (await gateway.ask(stream=True)).text()
    assert '"engine_unavailable"' in text
    assert text.endswith("data: [DONE]\n\n")
    assert asked(second) == []
    assert (await gateway.last())["ended"] == "failed"


@pytest.mark.parametrize("stream", [True, False])
async def test_a_replica_that_is_silent_is_given_up_for_another(
    gateway: Gateway, second: FakeEngine, stream: bool
) -> None:
    """Of a machine that lost its power no connection says so."""
    replica = gateway.services.engine._replicas[0]
    replica.settings = replica.settings.model_copy(update={"silence_timeout": 0.3})
    gateway.engine.fault = Fault.HANG
    response = await gateway.ask(stream=stream)
    assert response.status == 200
    assert ANSWER.split()[-1] in await response.text()
    assert len(asked(second)) == 1
