"""`Idempotency-Key`: a question that is sent twice is answered once."""

import asyncio
from typing import Any

import pytest
from sqlalchemy import text

from serving.audit import repeats
from tests.fakes.engine import Fault
from tests.serving.conftest import Gateway


async def ask(gateway: Gateway, key: str, **fields: Any) -> tuple[int, bytes, dict[str, str]]:
    body = {"model": "plain", "messages": [{"role": "user", "content": "What is the annual fee?"}]} | fields
    async with gateway.http.post("/v1/chat/completions", json=body, headers={"idempotency-key": key}) as response:
        told = {name.lower(): value for name, value in response.headers.items()}
        return response.status, await response.read(), told


@pytest.mark.parametrize("stream", [True, False])
async def test_a_finished_answer_is_given_again_byte_for_byte(gateway: Gateway, stream: bool) -> None:
    """With its headers, without the engine, and in one receipt."""
    first = await ask(gateway, "one", stream=stream)
    generated = gateway.engine.generations
    again = await ask(gateway, "one", stream=stream)
    assert first[0] == again[0] == 200
    assert first[1] == again[1]
    assert all(again[2][name] == first[2][name] for name in ("content-type", "x-groundtone-receipt"))
    assert gateway.engine.generations == generated
    assert len(await gateway.receipts()) == 1


async def test_the_same_key_with_another_body_is_refused(gateway: Gateway) -> None:
    """Whoever did that meant two questions."""
    assert (await ask(gateway, "one"))[0] == 200
    status, body, _ = await ask(gateway, "one", seed=7)
    assert (status, b"idempotency_key_reused" in body) == (422, True)
    assert (await ask(gateway, "another", seed=7))[0] == 200
    assert (await ask(gateway, "x" * 256))[0] == 400


async def test_a_duplicate_waits_for_the_answer_in_the_making(gateway: Gateway) -> None:
    """Both get it, and it was made once."""
    gateway.engine.pause_after = 2
    both = [asyncio.create_task(ask(gateway, "one", stream=True)) for _ in range(2)]
    await gateway.engine.until(lambda engine: engine.open_streams == 1)
    await asyncio.sleep(2 * repeats.LOOK_AGAIN_SECONDS)
    gateway.engine.resume()
    one, other = await asyncio.gather(*both)
    assert one[:2] == other[:2]
    assert gateway.engine.generations == 1


@pytest.mark.parametrize("by", ["an error", "its client"])
async def test_an_answer_that_broke_off_may_be_asked_for_again(gateway: Gateway, by: str) -> None:
    """Only what came to its end is kept."""
    if by == "an error":
        gateway.engine.fault = Fault.HTTP500
        assert (await ask(gateway, "one"))[0] == 503
        gateway.engine.fault = None
    else:
        gateway.engine.pause_after = 2
        client = asyncio.create_task(ask(gateway, "one"))
        await gateway.engine.until(lambda engine: engine.open_streams == 1)
        client.cancel()
        await asyncio.wait({client})
        gateway.engine.resume()
    async with asyncio.timeout(20):
        while (await ask(gateway, "one"))[0] != 200:
            await asyncio.sleep(0.1)


async def test_a_client_that_leaves_while_its_key_is_looked_up_does_not_keep_it(gateway: Gateway) -> None:
    """The record is slow: the claim comes through when nobody waits for it any more."""
    database = gateway.services.record.database
    with database.begin() as connection:
        connection.execute(text("UPDATE repeats SET name = name"))
        client = asyncio.create_task(ask(gateway, "one"))
        await asyncio.sleep(0.2)
        client.cancel()
        await asyncio.wait({client})
    async with asyncio.timeout(30):
        assert (await ask(gateway, "one"))[0] == 200


async def test_a_dead_gateways_key_is_free_and_an_old_answer_forgotten(gateway: Gateway) -> None:
    """A key that nobody will ever answer must not be waited for."""
    assert (await ask(gateway, "one"))[0] == 200
    with gateway.services.record.database.begin() as connection:
        connection.execute(text("UPDATE repeats SET body = NULL, writer = 'nobody'"))
    generated = gateway.engine.generations
    assert (await ask(gateway, "one"))[0] == 200
    assert gateway.engine.generations == generated + 1
    with gateway.services.record.database.begin() as connection:
        connection.execute(text("UPDATE repeats SET claimed = '2026-01-01 00:00:00'"))
    assert (await ask(gateway, "one", seed=7))[0] == 200
