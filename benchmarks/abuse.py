"""How long it takes when clients leave, load is too high, and parts fail, on the deployed topology as processes.

    python -m benchmarks.abuse [--seconds 60] [--write]

Two gateway workers, knowledge with a standby, Chroma and PostgreSQL are real; two fake engines take faults to order,
and the embedder is fake. What must happen is asserted by tests/deploy/test_topology.py; here is how fast it does.
"""

import argparse
import asyncio
import math
import signal
import tempfile
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from benchmarks.soak import sample
from benchmarks.stack import machine, percentile, publish, run
from tests.deploy.clients import Client, client, load, until
from tests.deploy.topology import CONFIGURATION, Process, Topology
from tests.fakes.engine import Fault

CAPACITY = 8
"""Answers in the making per worker of the gateway that gets too many."""
ANSWER_SECONDS = 1.0
SILENCE_SECONDS = 5
Rows = list[tuple[str, str, str]]
WELL: dict[str, Any] = {"fault": None, "pause_after": None, "tokens_per_second": None, "answer": None}


def ms(seconds: Sequence[float]) -> str:
    """Median, 95th and 99th percentile and the longest, in milliseconds."""
    shares = (percentile(seconds, share) for share in (0.5, 0.95, 0.99, 1.0))
    return " / ".join(f"{1000 * value:.0f}" for value in shares) + f" ms of {len(seconds)}"


async def order(topology: Topology, **orders: Any) -> None:
    for engine in topology.engines:
        await asyncio.to_thread(engine.order, **orders)


async def streams(topology: Topology) -> int:
    told = await asyncio.gather(*(asyncio.to_thread(engine.told) for engine in topology.engines))
    return sum(one["open_streams"] for one in told)


async def seconds_until(true: Callable[[], Awaitable[Any]]) -> float:
    started = time.perf_counter()
    while True:
        if await true():
            return time.perf_counter() - started
        await asyncio.sleep(0.002)


def streaming(topology: Topology, count: int) -> Callable[[], Awaitable[bool]]:
    async def true() -> bool:
        return await streams(topology) == count

    return true


def all_in(asking: Client, wanted: bool) -> Callable[[], Awaitable[bool]]:
    """Whether both engines are in by all workers, or one of them is out by one."""

    async def true() -> bool:
        return (await asking.metric("groundtone_engine_up") == 2) is wanted

    return true


def ready(asking: Client, status: int) -> Callable[[], Awaitable[bool]]:
    async def true() -> bool:
        try:
            return (await asking.get("/readyz"))[0] == status
        except aiohttp.ClientError:
            return False

    return true


@asynccontextmanager
async def another(
    topology: Topology, name: str, told: dict[str, str] | None = None, **server: Any
) -> AsyncGenerator[tuple[Process, Client]]:
    """A gateway of its own and its client."""
    process = topology.another_gateway(name, told, workers=2, **server)
    try:
        await asyncio.to_thread(process.up)
        async with client(process.url, topology.key, keep=False) as asking:
            yield process, asking
    finally:
        process.kill()


async def leaving(topology: Topology, asking: Client) -> Rows:
    freed: dict[str, list[float]] = {}
    for name, tokens, stream in (("awaiting the first token", 0, True), ("in a stream", 5, True), ("whole", 5, False)):
        await order(topology, pause_after=tokens)
        for _ in range(30):
            task = asyncio.create_task(asking.ask(stream=stream))
            await seconds_until(streaming(topology, 1))
            task.cancel()
            freed.setdefault(name, []).append(await seconds_until(streaming(topology, 0)))
    rows = [(f"1. client leaves, {name}: engine freed", ms(times), "≤ 200 ms") for name, times in freed.items()]
    await order(topology, **WELL | {"answer": [" word"] * 4000, "tokens_per_second": 50})
    tasks = [asyncio.create_task(asking.ask(stream=True, max_tokens=4000)) for _ in range(200)]
    await seconds_until(streaming(topology, 200))
    for task in tasks:
        task.cancel()
    alive: list[float] = []
    while not alive or sum(alive) < 2.0:
        started = time.perf_counter()
        await asking.get("/livez")
        alive.append(time.perf_counter() - started)
    await until(streaming(topology, 0))
    return [*rows, ("2. 200 clients leave at once: /livez meanwhile", ms(alive), "p99 < 250 ms")]


async def too_much(topology: Topology, seconds: float) -> Rows:
    """An open loop: questions come ten times as fast as they can be answered, whatever becomes of them."""
    await order(topology, answer=[" word"] * 20, tokens_per_second=20 / ANSWER_SECONDS)
    async with another(topology, "full", max_answers=CAPACITY, max_waiting=0) as (gateway, asking):
        alone = [(await first_byte(asking))[1] for _ in range(20)]
        before = sample(gateway).memory
        replies: list[tuple[int, float]] = []

        async def one() -> None:
            replies.append(await first_byte(asking))

        rate = 10 * 2 * CAPACITY / ANSWER_SECONDS
        started = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for number in range(math.ceil(rate * seconds)):
                await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
                group.create_task(one())
            ended = time.perf_counter()
        grown = sample(gateway).memory - before
        recovered = await seconds_until(lambda: admitted(asking)) + time.perf_counter() - ended
    statuses = Counter(status for status, _ in replies)
    taken = [took for status, took in replies if status == 200]
    refused = [took for status, took in replies if status != 200]
    ratio = percentile(taken, 0.95) / percentile(alone, 0.95)
    told = ", ".join(f"{count} × {status}" for status, count in sorted(statuses.items()))
    return [
        (f"3. ten times the capacity for {seconds:.0f} s: {told}; refused after", ms(refused), "≤ 50 ms"),
        ("3. first token of what is admitted", f"{ms(taken)}; p95 {ratio:.1f} × unloaded", "≤ 2 ×"),
        ("3. memory of the gateway grew by", f"{grown / 2**20:.0f} MiB", "bounded"),
        ("3. answers again, the last ones included, after", f"{recovered:.1f} s", "≤ 5 s"),
    ]


async def first_byte(asking: Client) -> tuple[int, float]:
    """The status of a stream, which is read to its end, and the seconds until it began."""
    started = time.perf_counter()
    async with asking.open(stream=True) as response:
        took = time.perf_counter() - started
        await response.read()
        return response.status, took


async def admitted(asking: Client) -> bool:
    return (await first_byte(asking))[0] == 200


async def draining(topology: Topology) -> Rows:
    drain = 5
    await order(topology, **WELL | {"pause_after": 5})
    async with another(topology, "ending", drain_seconds=drain) as (gateway, asking):
        live = [asyncio.create_task(asking.ask(stream=True)) for _ in range(50)]
        await seconds_until(streaming(topology, 50))
        told = time.perf_counter()
        gateway.tell(signal.SIGTERM)
        unready = await seconds_until(ready(asking, 503))
        topology.engines[0].order(pause_after=None)
        replies = await asyncio.gather(*live)
        await asyncio.to_thread(gateway.ended)
        exited = time.perf_counter() - told
    how = Counter(reply.error or "whole" for reply in replies)
    told_how = ", ".join(f"{count} × {end}" for end, count in sorted(how.items()))
    return [
        ("4. SIGTERM with 50 streams: readiness fails after", f"{1000 * unready:.0f} ms", "first"),
        (
            f"4. all ended ({told_how}) and exit after",
            f"{exited:.1f} s; drain_seconds = {drain}",
            "within the deadline",
        ),
    ]


async def failing(topology: Topology) -> Rows:
    silence = {"ENGINE__SILENCE_TIMEOUT": str(SILENCE_SECONDS)}
    async with another(topology, "impatient", silence) as (_, asking):
        return await struck(topology, asking)


async def struck(topology: Topology, asking: Client) -> Rows:
    rows: Rows = []
    for fault in (Fault.REFUSE, Fault.HANG, Fault.HTTP500, Fault.RESET, Fault.GARBAGE, Fault.DRIP, Fault.WRONG_MODEL):
        await order(topology, **WELL)
        await until(all_in(asking, True))
        if fault is Fault.REFUSE:
            for engine in topology.engines:
                engine.kill()
        else:
            await order(topology, fault=fault)
        started = time.perf_counter()
        reply = await asking.ask(stream=True)
        error = time.perf_counter() - started
        opened = error + await seconds_until(all_in(asking, False))
        if fault is Fault.REFUSE:
            for engine in topology.engines:
                engine.start().up()
        else:
            await order(topology, fault=None)
        closed = await seconds_until(all_in(asking, True))
        what = f"`{reply.error}` after {error:.2f} s, out after {opened:.1f} s, back {closed:.1f} s after it is well"
        rows.append((f"5. both engines: {fault.value}", what, f"typed, within {SILENCE_SECONDS} s of silence"))
    return rows


async def repeating(topology: Topology, asking: Client) -> Rows:
    await order(topology, **WELL | {"answer": [" word"] * 100, "tokens_per_second": 100})
    before = sum(engine.told()["generations"] for engine in topology.engines)
    key = {"idempotency-key": "one"}
    replies = await asyncio.gather(*(asking.ask(stream=True, headers=key) for _ in range(20)))
    again: list[float] = []
    for _ in range(50):
        started = time.perf_counter()
        replies.append(await asking.ask(stream=True, headers=key))
        again.append(time.perf_counter() - started)
    generated = sum(engine.told()["generations"] for engine in topology.engines) - before
    texts = len({reply.body for reply in replies})
    return [
        (
            f"6. 20 duplicates at once, 50 later: generated {generated} ×, {texts} text; given again in",
            ms(again),
            "1, 1",
        )
    ]


async def restarting(topology: Topology, asking: Client) -> Rows:
    await order(topology, **WELL | {"tokens_per_second": 200})
    back: list[float] = []
    async with load(8, lambda: asking.ask(model="tuned", stream=True)) as replies:
        for number in range(10):
            engine = topology.engines[number % 2]
            engine.kill()
            await asyncio.sleep(1.0)
            await asyncio.to_thread(engine.start().up)

            async def asked(engine: Any = engine) -> bool:
                told = await asyncio.to_thread(engine.told)
                return told["generations"] > 0 and topology.adapter in told["loaded"]

            back.append(await seconds_until(asked))
            engine.order(tokens_per_second=200)
    (topology.folder / "groundtone.toml").write_text(CONFIGURATION + "\n[logs]\nformat = 'json'\n")
    old = await digests(asking)

    async def replaced() -> bool:
        return len(seen := await digests(asking)) == 1 and seen != old

    async with load(8, lambda: asking.ask(model="tuned", stream=True)) as through:
        topology.gateway.tell(signal.SIGHUP)
        took = await seconds_until(replaced)
    began = sum(reply.status == 200 and reply.error is not None for reply in replies)
    failed = sum(reply.status != 200 or reply.cut for reply in replies)
    lost = sum(not reply.whole for reply in through)
    return [
        ("21. a restarted engine has its adapter and is asked", ms(back), "before it takes questions"),
        (f"21. an engine dies 10 times; of {len(replies)} streams", f"{failed} failed unbegun, {began} broke off", "0"),
        (f"both gateway workers replaced; of {len(through)} streams", f"{lost} failed; took {took:.0f} s", "0"),
    ]


async def digests(asking: Client) -> set[bytes]:
    lines = (await asking.get("/metrics"))[1].splitlines()
    return {line for line in lines if line.startswith(b"groundtone_configuration_info{") and line.endswith(b" 1.0")}


def report(rows: Rows, options: argparse.Namespace) -> str:
    head = [
        "# Faults and load, on the deployed topology",
        "",
        f"`python -m benchmarks.abuse --seconds {options.seconds:g}` on {machine()}. Two gateway workers, two fake "
        "engines, knowledge with a standby, Chroma and PostgreSQL share these cores with the clients. Several figures "
        "are median / 95th percentile / 99th percentile / longest.",
        "",
        "| what | measured | aim |",
        "| --- | --- | --- |",
    ]
    return "\n".join([*head, *(f"| {what} | {measured} | {aim} |" for what, measured, aim in rows)])


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.abuse")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long there is too much load")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="groundtone-abuse-") as folder, Topology(Path(folder)) as topology:
        async with client(topology.gateway.url, topology.key, keep=False) as asking:
            rows = await leaving(topology, asking)
            rows += await too_much(topology, options.seconds)
            rows += await draining(topology)
            rows += await failing(topology)
            rows += await repeating(topology, asking)
            rows += await restarting(topology, asking)
    publish("abuse", report(rows, options) + "\n", options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
