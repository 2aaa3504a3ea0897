"""Stable and canary side by side, by what the record holds of the answers that people got."""

import asyncio
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from common.wilson import wilson
from serving.audit.comparison import _difference, _figure, _median
from tests.serving.conftest import Gateway, session
from tests.serving.test_adapters_api import another, registered

__all__ = ["another"]

COMPARISON = "/v1/adapters/kitahama/comparison"


async def ask(gateway: Gateway, conversation: str, question: str) -> dict[str, Any]:
    response = await gateway.ask(question, model="tuned", groundtone={"conversation": conversation})
    assert response.status == 200
    return (await response.json())["groundtone"]


async def test_the_answers_of_both_versions_are_counted(gateway: Gateway, another: Path) -> None:
    """Invented figures, abstentions, length, latency and ratings, each with its cases; and only what is compared."""
    await ask(gateway, "before", "What is the annual fee?")
    version = await registered(gateway, another)
    body = {"version": version, "share": 50}
    assert (await gateway.http.put("/v1/adapters/kitahama/channels/canary", json=body)).status == 200
    channels = gateway.services.registry.channels("kitahama")
    sides: dict[str, list[str]] = {gateway.adapter: [], version: []}
    for i in range(40):
        sides[channels.pick("kitahama", f"c{i}") or ""].append(f"c{i}")
    stable, canary = (conversations[:6] for conversations in sides.values())
    gateway.engine.answer = lambda messages: "It is 7 yen." if "invent" in str(messages[-1]) else "We do not say."
    told = [await ask(gateway, c, "What is the annual fee?") for c in stable]
    told += [await ask(gateway, c, "Please invent an annual fee.") for c in canary]
    gateway.knowledge.findings = replace(gateway.knowledge.findings, weak=True, evidence=())
    await ask(gateway, canary[0], "What is the annual fee?")
    await gateway.ask()  # by the base model
    for receipt in (told[0]["receipt"], told[-1]["receipt"]):
        await gateway.http.post(f"/v1/receipts/{receipt}/feedback", json={"rating": "bad"})
    found = await (await gateway.http.get(COMPARISON)).json()
    assert found["since"] == channels.side_by_side()
    assert (found["stable"]["version"], found["canary"]["version"]) == (gateway.adapter, version)
    one, other = found["stable"]["metrics"], found["canary"]["metrics"]
    assert (one["abstained"]["n"], other["abstained"]["n"]) == (6, 7)
    assert (one["abstained"]["value"], other["abstained"]["value"]) == (0, round(1 / 7, 4))
    assert one["flagged"] == {"value": 0, "low": 0, "high": round(wilson(0, 6)[1], 4), "n": 6}
    assert (other["flagged"]["value"], other["wrong figures"]["value"]) == (1, 1)
    assert found["difference"]["flagged"]["value"] == 1
    assert found["difference"]["flagged"]["low"] > 0
    assert (one["characters"]["value"], other["characters"]["value"]) == (len("We do not say."), len("It is 7 yen."))
    assert 0 < one["seconds"]["low"] <= one["seconds"]["value"] <= one["seconds"]["high"]
    assert one["disliked"] == other["disliked"] | {"n": 1}
    assert "wrong figures" not in found["difference"]


async def test_without_two_versions_there_is_nothing_to_compare(gateway: Gateway) -> None:
    """409, which says what to do; and who may not read adapters learns nothing."""
    response = await gateway.http.get(COMPARISON)
    assert (response.status, (await response.json())["error"]["code"]) == (409, "conflict")
    made = await gateway.http.post("/v1/keys", json={"name": "chat", "scopes": ["chat"]})
    async with session(gateway.url, (await made.json())["key"]) as chat:
        assert (await chat.get(COMPARISON)).status == 403


async def test_another_tenants_answers_are_not_counted(gateway: Gateway, another: Path) -> None:
    """What is told are numbers, and of the caller's own tenant only."""
    from serving.audit.comparison import compare

    await ask(gateway, "c", "What is the annual fee?")
    await gateway.last()
    database = gateway.services.record.database
    for tenant, counted in (("default", True), ("other", False)):
        found = await asyncio.to_thread(compare, database, tenant, gateway.adapter, "kitahama@0", None)
        assert bool(found["stable"]["metrics"]) is counted


@pytest.mark.parametrize("n", [1, 2, 9, 200])
def test_the_bounds_of_a_median_hold_it(n: int) -> None:
    """In at least 93 of 100 draws the true median lies between them, where there are values enough for bounds."""
    drawn = random.Random(n)
    medians = [_median([drawn.expovariate(1.0) for _ in range(n)]) for _ in range(1000)]
    held = sum(m["low"] <= 0.6931 <= m["high"] for m in medians)
    assert n < 9 or held >= 930
    assert all(m["low"] <= m["value"] <= m["high"] for m in medians)


def test_a_difference_of_shares_is_newcombes() -> None:
    """Method 10 of Newcombe, Statistics in Medicine 17 (1998) 873, on his example: 56 of 70 and 48 of 80."""
    one, other = (_figure(r / n, *wilson(r, n), n) for r, n in ((48, 80), (56, 70)))
    found = _difference(one, other)
    assert found == pytest.approx({"value": 0.2, "low": 0.0524, "high": 0.3339}, abs=1e-3)
