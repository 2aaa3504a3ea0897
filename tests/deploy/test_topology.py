"""Faults and attacks on the deployed topology: ABUSE 1 to 6 and 21, restarts, and the knowledge process's standby.

Cause and effect only; how long things take is printed by `python -m benchmarks.abuse`.
"""

import asyncio
import os
import signal
import tempfile
from collections import Counter
from collections.abc import AsyncGenerator, Generator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from tests.deploy.clients import Client, client, load, until
from tests.deploy.topology import CONFIGURATION, FACT, Engine, Process, Topology
from tests.fakes.engine import Fault

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]
LONG = [" word"] * 4000
"""More than the buffers between two processes hold, and than a busy machine ends at once."""


def counts(quick: Any, full: Any) -> Any:
    return pytest.mark.parametrize("count", [quick, pytest.param(full, marks=pytest.mark.full)])


@pytest.fixture(scope="module")
def topology() -> Generator[Topology]:
    with tempfile.TemporaryDirectory(prefix="groundtone-topology-") as folder, Topology(Path(folder)) as topology:
        yield topology


@pytest.fixture
async def gateway(topology: Topology) -> AsyncGenerator[Client]:
    """The two workers, behind which all is well."""
    well = {"fault": None, "pause_after": None, "tokens_per_second": None, "answer": None}
    for engine in topology.engines:
        await asyncio.to_thread(engine.order, **well)
    async with client(topology.gateway.url, topology.key, keep=False) as asking:
        await until(lambda: engines_up(asking, len(topology.engines)))
        yield asking


async def engines_up(asking: Client, count: int) -> bool:
    """Whether each worker counts on so many engines. `livemin` over workers: the metric is the least."""
    return await asking.metric("groundtone_engine_up") == count


async def streams(topology: Topology) -> int:
    """Generations in progress on all engines."""
    told = await asyncio.gather(*(asyncio.to_thread(engine.told) for engine in topology.engines))
    return sum(one["open_streams"] for one in told)


async def order(topology: Topology, **orders: Any) -> None:
    for engine in topology.engines:
        await asyncio.to_thread(engine.order, **orders)


async def newest(topology: Topology) -> str:
    return await asyncio.to_thread(topology.newest)


async def ended(topology: Topology, since: str, count: int) -> dict[str | None, int]:
    """How `count` answers ended, once all have."""

    async def all_have() -> dict[str | None, int] | None:
        found = await asyncio.to_thread(topology.ended, since)
        return found if not found[None] and found.total() >= count else None

    return await until(all_have)


async def leave(asking: Client, begun: Any, **fields: Any) -> None:
    """A client that leaves as soon as `begun` holds."""
    task = asyncio.create_task(asking.ask(**fields))
    await until(begun)
    task.cancel()
    await asyncio.wait({task})


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("tokens", [0, 3])
async def test_a_client_that_leaves_frees_engine_and_slot(
    gateway: Client, topology: Topology, tokens: int, stream: bool
) -> None:
    """Before the first token or after some, streamed or not; the receipt says `aborted`, with what had been sent."""
    since = await newest(topology)
    await order(topology, pause_after=tokens)

    async def generating() -> bool:
        return await streams(topology) == 1

    await leave(gateway, generating, stream=stream)
    await until(lambda: free(gateway, topology))
    assert await ended(topology, since, 1) == {"aborted": 1}
    receipt = orjson.loads((await gateway.get("/v1/receipts?limit=1"))[1])["data"][0]
    assert bool("".join(receipt["outcome"]["output"])) is (tokens > 0)


async def free(gateway: Client, topology: Topology) -> bool:
    """Whether nothing is in the making, here or there."""
    return await streams(topology) == 0 and await gateway.metric("groundtone_queue_depth") == 0


async def test_a_client_that_leaves_while_searching_asks_no_engine(gateway: Client, topology: Topology) -> None:
    """The knowledge process stands still: what nobody waits for any more is not begun when it goes on."""
    since = await newest(topology)
    before = sum(engine.told()["generations"] for engine in topology.engines)

    async def searching() -> bool:
        return await gateway.metric("groundtone_queue_depth") == 1

    topology.writer.tell(signal.SIGSTOP)
    try:
        await leave(gateway, searching, model="plain", stream=True)
        assert await ended(topology, since, 1) == {"aborted": 1}
    finally:
        topology.writer.tell(signal.SIGCONT)
    await until(lambda: free(gateway, topology))
    assert sum(engine.told()["generations"] for engine in topology.engines) == before


@counts(40, 200)
async def test_many_clients_that_leave_at_once_stall_nobody(gateway: Client, topology: Topology, count: int) -> None:
    """In long answers; whoever asks meanwhile is answered, and each that left is recorded as aborted."""
    since = await newest(topology)
    await order(topology, answer=LONG, tokens_per_second=10)
    clients = [asyncio.create_task(gateway.ask(stream=True, max_tokens=len(LONG))) for _ in range(count)]

    async def all_stream() -> bool:
        return await streams(topology) == count

    await until(all_stream)
    await order(topology, answer="Short.", tokens_per_second=None)
    for task in clients:
        task.cancel()
    alive = [await gateway.get("/livez") for _ in range(10)]
    assert {status for status, _ in alive} == {200}
    assert (await gateway.ask()).whole
    await asyncio.wait(clients)
    await until(lambda: free(gateway, topology))
    assert await ended(topology, since, count + 1) == {"aborted": count, "answered": 1}


async def test_slow_readers_stall_nobody(gateway: Client, topology: Topology) -> None:
    """Neither of an answer in the making nor of one that is given again."""
    await order(topology, answer=LONG)
    key, large = {"idempotency-key": "slow"}, {"stream": True, "max_tokens": len(LONG), "n": 8}
    assert (await gateway.ask(headers=key, **large)).whole
    async with gateway.open(headers=key, **large), gateway.open(**large):
        await order(topology, answer="Short.")
        for _ in range(4):
            assert (await gateway.ask()).whole


@counts(2.0, 60.0)
async def test_ten_times_the_capacity(topology: Topology, gateway: Client, count: float) -> None:
    """The excess is told when to come back, what is admitted is answered whole, memory stays, and it recovers."""
    await order(topology, answer=LONG[:20], tokens_per_second=50)
    small = topology.another_gateway("small", workers=2, max_answers=4, max_waiting=0)
    try:
        await asyncio.to_thread(small.up)
        async with client(small.url, topology.key, keep=False) as asking:
            memory = resident(small)
            async with load(80, lambda: asking.ask(stream=True)) as replies:
                await asyncio.sleep(count)
            admitted = [reply for reply in replies if reply.status == 200]
            refused = [reply for reply in replies if reply.status != 200]
            assert admitted
            assert all(reply.whole for reply in admitted)
            assert refused
            assert {(reply.status, reply.error) for reply in refused} == {(503, "overloaded")}
            assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
            assert resident(small) - memory < 200 * 2**20
            assert (await asking.ask(stream=True)).whole
    finally:
        small.kill()


def resident(gateway: Process) -> int:
    """Bytes that a gateway's processes have in memory."""
    pids = [gateway.pid, *children(gateway)]
    pages = sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in pids)
    return pages * os.sysconf("SC_PAGE_SIZE")


def children(gateway: Process) -> list[int]:
    """Its workers: the tracker of multiprocessing's resources is none."""
    pids = Path(f"/proc/{gateway.pid}/task/{gateway.pid}/children").read_text().split()
    return [int(pid) for pid in pids if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


@counts(8, 50)
async def test_a_gateway_that_is_told_to_end_drains(topology: Topology, gateway: Client, count: int) -> None:
    """Readiness fails first and newcomers are told; streams finish or end with a typed error; all is recorded.

    One engine goes on, and its answers come to their end; the other stands still for longer than the gateway waits.
    """
    since = await newest(topology)
    await order(topology, pause_after=5)
    ending = topology.another_gateway("ending", workers=2, drain_seconds=3)
    try:
        await asyncio.to_thread(ending.up)
        async with client(ending.url, topology.key, keep=False) as asking:
            live = [asyncio.create_task(asking.ask(stream=True)) for _ in range(count)]

            async def all_stream() -> bool:
                return await streams(topology) == count

            await until(all_stream)
            ending.tell(signal.SIGTERM)

            async def not_ready() -> bool:
                return (await asking.get("/readyz"))[0] == 503

            await until(not_ready)
            assert (await asking.get("/livez"))[0] == 200
            paused = topology.engines[1].told()["open_streams"]
            topology.engines[0].order(pause_after=None)

            async def turned_away() -> bool:
                # In the first moment a worker may still take it.
                reply = await asking.ask()
                return reply.error == "draining" and int(reply.headers["retry-after"]) >= 1

            await until(turned_away)
            replies = await asyncio.gather(*live)
        assert await asyncio.to_thread(ending.ended) is not None
    finally:
        ending.kill()
    assert all(reply.frames[-1] == b"[DONE]" and not reply.cut for reply in replies)
    how = Counter(reply.error for reply in replies)
    assert how == {None: count - paused, "draining": paused}
    found = topology.ended(since)
    assert found.keys() <= {"answered", "aborted"}
    assert found["answered"] >= how[None]
    assert found["aborted"] >= how["draining"]


@pytest.mark.parametrize(
    ("fault", "begun"),
    [
        (Fault.REFUSE, False),
        (Fault.HTTP500, False),
        (Fault.RESET, True),
        pytest.param(Fault.GARBAGE, True, marks=pytest.mark.full),
        pytest.param(Fault.WRONG_MODEL, False, marks=pytest.mark.full),
    ],
)
async def test_engines_that_fail_are_a_typed_error_and_come_back(
    gateway: Client, topology: Topology, fault: Fault, begun: bool
) -> None:
    """All of them: a status or, after the first byte, one event and no second try. The ill are taken out."""
    await strike(gateway, topology, fault, begun)


@pytest.mark.full
@pytest.mark.parametrize("fault", [Fault.HANG, Fault.DRIP])
async def test_engines_that_are_silent_are_a_typed_error_and_come_back(
    gateway: Client, topology: Topology, fault: Fault
) -> None:
    """Within the time that the configuration gives them."""
    impatient = topology.another_gateway("impatient", {"ENGINE__SILENCE_TIMEOUT": "3"}, workers=2)
    try:
        await asyncio.to_thread(impatient.up)
        async with client(impatient.url, topology.key, keep=False) as asking:
            await strike(asking, topology, fault, begun=False)
    finally:
        impatient.kill()


async def strike(gateway: Client, topology: Topology, fault: Fault, begun: bool) -> None:
    since = await newest(topology)
    before = [engine.told()["generations"] for engine in topology.engines]
    if fault is Fault.REFUSE:
        for engine in topology.engines:
            engine.kill()
    else:
        await order(topology, fault=fault)
    reply = await gateway.ask(stream=True)
    assert reply.error == "engine_unavailable"
    assert reply.status == (200 if begun else 503)
    assert begun or int(reply.headers["retry-after"]) >= 1
    assert await ended(topology, since, 1) == {"failed": 1}
    if begun:
        assert sum(engine.told()["generations"] for engine in topology.engines) == sum(before) + 1

    async def out() -> bool:
        # A question that fails is what makes the gateway look closer.
        assert (await gateway.ask(stream=True)).error == "engine_unavailable"
        return (await gateway.get("/readyz"))[0] == 503

    await until(out)
    if fault is Fault.REFUSE:
        for engine in topology.engines:
            engine.start()
    else:
        await order(topology, fault=None)

    async def back() -> bool:
        return (await gateway.ask(stream=True)).whole

    await until(back)


@pytest.mark.parametrize("fault", [Fault.HTTP500, Fault.WRONG_MODEL])
async def test_another_replica_answers_for_one_that_is_ill(gateway: Client, topology: Topology, fault: Fault) -> None:
    """As long as nothing was generated, no client sees it."""
    ill, well = topology.engines
    ill.order(fault=fault)
    replies = [await gateway.ask(stream=number % 2 == 0, model="tuned") for number in range(10)]
    assert all(reply.whole for reply in replies)
    assert well.told()["generations"] >= 10


@counts(2, 20)
async def test_replicas_die_and_come_back_under_load(gateway: Client, topology: Topology, count: int) -> None:
    """No answer fails that had not begun, which one that is not streamed never has; one that had ends with a typed
    error. A restarted replica has its adapters back before it is asked: no answer is in another voice."""
    await order(topology, tokens_per_second=200)
    async with (
        load(4, lambda: gateway.ask(model="tuned", stream=True)) as replies,
        load(2, lambda: gateway.ask(model="tuned")) as unstreamed,
    ):
        for number in range(count):
            engine = topology.engines[number % 2]
            engine.kill()
            seen = len(replies)
            await until(lambda seen=seen: answered(replies, seen + 6))
            engine.start()
            await until(lambda engine=engine: serves(engine, topology.adapter))
            engine.order(tokens_per_second=200)
            await until(lambda engine=engine: takes_questions(engine))
            # By either worker: until then one of them has the other engine alone.
            await until(lambda: engines_up(gateway, len(topology.engines)))
    assert [reply for reply in replies if reply.status != 200 or reply.cut] == []
    assert {reply.error for reply in replies} <= {None, "engine_unavailable"}
    assert [reply for reply in unstreamed if not reply.whole] == []
    assert unstreamed
    assert all(b"Thank" in reply.body for reply in [*replies, *unstreamed] if reply.whole)


async def answered(replies: list[Any], count: int) -> bool:
    return len(replies) >= count


async def serves(engine: Engine, adapter: str) -> bool:
    try:
        return adapter in (await asyncio.to_thread(engine.told))["loaded"]
    except OSError:
        return False


async def takes_questions(engine: Engine) -> bool:
    return (await asyncio.to_thread(engine.told))["generations"] > 0


async def test_gateways_are_replaced_under_load_and_no_request_fails(gateway: Client, topology: Topology) -> None:
    """Both workers, one after the other, on SIGHUP: answers in the making end there, connections that are kept serve
    on, the metric names the new configuration."""
    await order(topology, tokens_per_second=50)
    before, old = await digests(gateway), set(children(topology.gateway))
    async with (
        client(topology.gateway.url, topology.key) as keeping,
        load(3, lambda: keeping.ask(model="tuned", stream=True)) as kept,
        load(3, lambda: gateway.ask(model="tuned", stream=True)) as replies,
    ):
        configuration = CONFIGURATION + '\n[[assistants]]\nname = "new"\n'
        (topology.folder / "groundtone.toml").write_text(configuration)
        topology.gateway.tell(signal.SIGHUP)

        async def replaced() -> bool:
            return len(now := set(children(topology.gateway))) == 2 and not now & old

        await until(replaced)
    assert replies
    assert kept
    assert [reply for reply in [*replies, *kept] if not reply.whole] == []
    after = await digests(gateway)
    assert len(after) == 1
    assert after.isdisjoint(before)
    assert (await gateway.ask(model="new")).whole


async def digests(gateway: Client) -> set[bytes]:
    lines = (await gateway.get("/metrics"))[1].splitlines()
    return {line for line in lines if line.startswith(b"groundtone_configuration_info{") and line.endswith(b" 1.0")}


async def test_a_key_is_answered_once_whichever_worker_is_asked(gateway: Client, topology: Topology) -> None:
    """Duplicates at the same time and later get the same bytes; the key with another question is refused."""
    await order(topology, tokens_per_second=20)
    before = sum(engine.told()["generations"] for engine in topology.engines)
    key = {"idempotency-key": "once"}
    replies = list(await asyncio.gather(*(gateway.ask(stream=True, headers=key) for _ in range(8))))
    replies.append(await gateway.ask(stream=True, headers=key))
    assert replies[0].whole
    assert len({reply.body for reply in replies}) == 1
    assert sum(engine.told()["generations"] for engine in topology.engines) == before + 1
    assert (await gateway.ask(stream=False, headers=key)).status == 422


async def test_the_standby_writes_when_the_writer_dies(gateway: Client, topology: Topology) -> None:
    """And the one that comes back follows it. Through the gateway: questions are answered all the while, changes once
    the lease has changed hands, and what was written is in the next answer."""
    topology.writer.kill()
    replies = await asyncio.gather(*(gateway.ask(model="plain") for _ in range(4)))
    assert [reply for reply in replies if not reply.whole] == []
    newer = FACT.replace("11,000", "12,000")

    async def written() -> bool:
        try:
            await asyncio.to_thread(topology.put, "card.md", newer)
        except httpx.HTTPStatusError as refused:
            if refused.response.json()["error"]["code"] != "knowledge_unavailable":
                raise
            return False
        return True

    await until(written)
    assert b"12,000 yen" in (await gateway.ask(model="plain")).body
    await asyncio.to_thread(topology.writer.start().up)
    assert b"12,000 yen" in (await gateway.ask(model="plain")).body
