"""Questions, changes of facts and restarts of an engine for a while, and whether anything grows that should not.

    make soak SOAK_SECONDS=300        (python -m benchmarks.soak --seconds 300)

The deployed topology as processes, with fake engines and a fake embedder. One client in ten leaves in its answer. Once
a second memory and descriptors are read. Exits with 1 where, after a warm-up of a third, either keeps growing, where
the record has not each answer as its client saw it, the ledger not each change, or an answer states an old fact.
"""

import argparse
import asyncio
import os
import random
import re
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from sqlalchemy import create_engine

from benchmarks.stack import machine, median, run
from tests.deploy.clients import Client, Reply, client, until
from tests.deploy.topology import Process, Topology

ASKERS = 4
CHANGE_SECONDS = 0.5
RESTART_SECONDS = 15.0
MEMORY_SHARE, MEMORY_BYTES, DESCRIPTORS = 1.25, 64 * 2**20, 32
"""What a process may have more at the end than after its warm-up: caches fill, and connections come and go."""
QUESTION = "Which edition do the Lighthouse terms belong to?"
_EDITION = re.compile(rb"belong to edition (\d+)")


@dataclass(slots=True)
class Seen:
    """What the clients saw. `whole` answers, those that broke off or were refused, and clients that left."""

    asked: int = 0
    whole: int = 0
    failed: dict[str, int] = field(default_factory=dict[str, int])
    left: int = 0
    stale: int = 0
    edition: int = 0
    snapshots: list[int] = field(default_factory=list[int])
    restarts: int = 0


@dataclass(slots=True)
class Sample:
    """Bytes in memory and open descriptors of a part and what it started."""

    memory: int
    descriptors: int


def sample(part: Process) -> Sample:
    children = Path(f"/proc/{part.pid}/task/{part.pid}/children").read_text().split()
    memory = descriptors = 0
    for pid in (str(part.pid), *children):
        memory += int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        descriptors += len(list(Path(f"/proc/{pid}/fd").iterdir()))
    return Sample(memory, descriptors)


def facts(edition: int) -> str:
    return f"# Lighthouse terms\n\nThe Lighthouse terms belong to edition {edition} and apply from April.\n"


async def ask(asking: Client, seen: Seen) -> None:
    """One question, streamed or not; one client in ten leaves."""
    fields = {
        "model": random.choice(("bare", "plain", "tuned")),
        "stream": random.random() < 0.5,
        "messages": [{"role": "user", "content": QUESTION}],
    }
    seen.asked += 1
    confirmed = seen.edition
    task = asyncio.create_task(asking.ask(**fields))
    if random.random() < 0.1:
        await asyncio.wait({task}, timeout=random.uniform(0.0, 0.3))
        if task.cancel():
            seen.left += 1
            await asyncio.wait({task})
            return
    reply = await task
    if not reply.whole:
        name = reply.error or ("cut" if reply.cut else str(reply.status))
        seen.failed[name] = seen.failed.get(name, 0) + 1
        return
    seen.whole += 1
    if fields["model"] != "bare" and edition_of(reply) < confirmed:
        seen.stale += 1


def edition_of(reply: Reply) -> int:
    """The edition that an answer states, -1 where it states none. A stream's words stand in frames of their own."""
    text = b"".join(re.findall(rb'"content":"([^"]*)"', reply.body))
    found = _EDITION.search(text)
    return int(found[1]) if found else -1


async def change(topology: Topology, seen: Seen) -> None:
    told = await asyncio.to_thread(topology.put, "terms.md", facts(seen.edition + 1))
    seen.edition += 1
    seen.snapshots.append(told.json()["snapshot"])


async def restart(topology: Topology, seen: Seen) -> None:
    engine = topology.engines[seen.restarts % 2]
    engine.kill()
    await asyncio.sleep(1.0)
    await asyncio.to_thread(engine.start().up)
    await asyncio.to_thread(engine.order, tokens_per_second=100)
    seen.restarts += 1


async def repeat(until_then: float, every: float, act: Callable[[], Awaitable[None]]) -> None:
    while time.monotonic() < until_then:
        await act()
        await asyncio.sleep(every)


async def soak(topology: Topology, seconds: float, seen: Seen) -> dict[str, list[Sample]]:
    parts = {"gateway": topology.gateway, "writer": topology.writer, "standby": topology.standby}
    samples: dict[str, list[Sample]] = {name: [] for name in parts}

    async def look() -> None:
        for name, part in parts.items():
            samples[name].append(sample(part))

    for engine in topology.engines:
        await asyncio.to_thread(engine.order, tokens_per_second=100)
    await change(topology, seen)
    end = time.monotonic() + seconds
    async with client(topology.gateway.url, topology.key) as asking, asyncio.TaskGroup() as group:
        for _ in range(ASKERS):
            group.create_task(repeat(end, 0.0, lambda: ask(asking, seen)))
        group.create_task(repeat(end, CHANGE_SECONDS, lambda: change(topology, seen)))
        group.create_task(repeat(end - RESTART_SECONDS, RESTART_SECONDS, lambda: restart(topology, seen)))
        group.create_task(repeat(end, 1.0, look))
    return samples


def growth(samples: dict[str, list[Sample]]) -> list[str]:
    """Prints what each part had after its warm-up and has at the end; returns what leaks."""
    wrong: list[str] = []
    for name, seen in samples.items():
        third, sixth = len(seen) // 3, max(1, len(seen) // 6)
        warm, last = seen[third : third + sixth], seen[-sixth:]
        hours = (len(seen) - third - sixth) / 3600
        for what, unit, bound in (("memory", 2**20, None), ("descriptors", 1, DESCRIPTORS)):
            before, after = (median([getattr(one, what) for one in part]) for part in (warm, last))
            most = before * MEMORY_SHARE + MEMORY_BYTES if bound is None else before + bound
            rate = (after - before) / unit / hours if hours else 0.0
            print(f"{name:8} {what:11} {before / unit:7.0f} → {after / unit:7.0f}  ({rate:+.0f} an hour)")
            if after > most:
                wrong.append(f"{what} of {name} grew from {before / unit:.0f} to {after / unit:.0f}")
    return wrong


async def accounts(topology: Topology, seen: Seen, before: dict[str, int], since: str) -> list[str]:
    """Prints what record and ledger took in; returns what does not add up."""

    async def closed() -> bool:
        return not (await asyncio.to_thread(topology.ended, since))[None]

    await until(closed)
    how, after = topology.ended(since), sizes(topology)
    print(f"questions {seen.asked}: {seen.whole} whole, {seen.left} left, failed {seen.failed}, stale {seen.stale}")
    print(f"record    {dict(how)}, {per(after['audit'] - before['audit'], how.total())} bytes an answer")
    changes = len(seen.snapshots)
    print(f"ledger    {changes} changes, {per(after['ledger'] - before['ledger'], changes)} bytes a change")
    print(f"restarts  {seen.restarts}")
    wrong: list[str] = []
    if not seen.whole <= how["answered"] + how["abstained"] <= seen.whole + seen.left:
        wrong.append(f"{seen.whole} whole answers are {how['answered'] + how['abstained']} in the record")
    if not seen.asked - seen.left - sum(seen.failed.values()) <= how.total() <= seen.asked:
        wrong.append(f"{seen.asked} questions are {how.total()} in the record")
    if seen.snapshots != sorted(set(seen.snapshots)):
        wrong.append("two changes share a snapshot")
    if changes and seen.snapshots[-1] - seen.snapshots[0] != changes - 1:
        wrong.append(f"{changes} changes made {seen.snapshots[-1] - seen.snapshots[0] + 1} snapshots")
    if seen.stale:
        wrong.append(f"{seen.stale} answers state an old fact")
    async with client(topology.gateway.url, topology.key) as asking:
        reply = await asking.ask(model="plain", messages=[{"role": "user", "content": QUESTION}])
        if edition_of(reply) != seen.edition:
            wrong.append(f"the last answer states edition {edition_of(reply)} of {seen.edition}")
    verified = await asyncio.create_subprocess_exec(
        *(Path(sys.executable).with_name("groundtone"), "audit", "verify"),
        env=os.environ | {"GROUNDTONE_URL": topology.gateway.url, "GROUNDTONE_API_KEY": topology.key},
    )
    if await verified.wait():
        wrong.append("the record does not verify")
    return wrong


def per(grown: int, count: int) -> str:
    return f"{grown / max(1, count):.0f}"


def sizes(topology: Topology) -> dict[str, int]:
    """Bytes of each database."""
    found: dict[str, int] = {}
    for name in ("ledger", "audit"):
        database = create_engine(topology.record.url.set(database=name))
        with database.connect() as connection:
            found[name] = connection.exec_driver_sql("SELECT pg_database_size(current_database())").scalar_one()
        database.dispose()
    return found


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak")
    parser.add_argument("--seconds", type=float, default=180.0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="groundtone-soak-") as folder, Topology(Path(folder)) as topology:
        print(f"{options.seconds:.0f} s on {machine()}")
        before, since, seen = sizes(topology), topology.newest(), Seen()
        samples = await soak(topology, options.seconds, seen)
        wrong = [*growth(samples), *await accounts(topology, seen, before, since)]
    print("\n".join(f"WRONG: {one}" for one in wrong) or "nothing leaks, and all adds up")
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(run(main))
