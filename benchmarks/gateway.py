"""What the gateway adds: time to the first token, and processor time per token and per request.

    python -m benchmarks.gateway [--rounds 20] [--streams 64] [--write]

The same questions go to the fake engine directly and through the gateway, in rounds that alternate, so that what else
the machine does falls on both. `bare` is an assistant without knowledge: keys, record, guard and relay are all that
it adds. `grounded` searches a small knowledge base first, with the real embedder, so its first token waits for that.
The engine's own processor time per token is printed beside: it must be a small part, or the engine was measured.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

from benchmarks.stack import (
    ROOT,
    Figure,
    Stack,
    bootstrap,
    cpu_seconds,
    done,
    machine,
    median,
    publish,
    run,
    running_stack,
    session,
)
from tests.fakes.engine import MODEL

LONG, SHORT = 200, 1
REQUESTS = 128
FEW = 4
"""Streams at a time where each question is searched for: more would measure the embedder's queue."""
ALONE = 20
"""Questions one after the other, per round and side, for the time to the first token."""

CONFIGURATION = f"""
[engine]
base_model = "{MODEL}"

[[assistants]]
name = "bare"
firm = "Bench"

[[assistants]]
name = "grounded"
firm = "Bench"
knowledge = ["bench"]
"""


@dataclass(frozen=True, slots=True)
class Side:
    """Where questions go: the engine itself, or an assistant behind the gateway."""

    name: str
    url: str
    model: str
    pid: int
    streams: int
    http: aiohttp.ClientSession


@dataclass(frozen=True, slots=True)
class Round:
    """One round of one side. Times in seconds; processor time is of the process that `Side.pid` names."""

    first_token: list[float]
    per_request: float
    per_token: float
    tokens_per_second: float


async def stream(side: Side, tokens: int) -> float:
    """One streamed answer of `tokens` tokens; seconds until the first of them came."""
    body = {
        "model": side.model,
        "messages": [{"role": "user", "content": "What does the annual fee of the Lighthouse product cover?"}],
        "stream": True,
        "max_tokens": tokens,
    }
    started = time.perf_counter()
    first = 0.0
    seen = last = b""
    async with side.http.post(f"{side.url}/v1/chat/completions", json=body) as response:
        if response.status != 200:
            raise SystemExit(f"{side.name}: {response.status} {(await response.text())[:500]}")
        async for piece in response.content.iter_any():
            if not first:
                seen += piece
                if b'"content":" word' in seen:
                    first = time.perf_counter() - started
            last = piece
    if not first or not last.endswith(b"data: [DONE]\n\n"):
        raise SystemExit(f"{side.name}: the answer broke off")
    return first


async def together(side: Side, requests: int, tokens: int) -> tuple[float, float]:
    """`requests` answers, `side.streams` of them at a time; processor time and wall time that they took."""
    left = iter(range(requests))
    used, started = cpu_seconds(side.pid), time.perf_counter()

    async def worker() -> None:
        for _ in left:
            await stream(side, tokens)

    await asyncio.gather(*(worker() for _ in range(side.streams)))
    return cpu_seconds(side.pid) - used, time.perf_counter() - started


async def one_round(side: Side) -> Round:
    first = [await stream(side, 4) for _ in range(ALONE)]
    requests = REQUESTS
    short, _ = await together(side, requests, SHORT)
    long, seconds = await together(side, requests, LONG)
    per_token = max(0.0, (long - short) / (requests * (LONG - SHORT)))
    return Round(first, short / requests - SHORT * per_token, per_token, requests * LONG / seconds)


@asynccontextmanager
async def fake_engine() -> AsyncGenerator[tuple[str, int]]:
    """The fake engine as a process of its own: its address and process id."""
    command = [sys.executable, "-m", "tests.fakes.engine", "--port", "0", "--answer-tokens", str(4 * LONG)]
    process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE, cwd=ROOT)
    try:
        assert process.stdout is not None
        line = await process.stdout.readline()
        yield line.decode().split()[-1], process.pid
    finally:
        process.terminate()
        await process.wait()


async def measure(stack: Stack, engine: tuple[str, int], options: argparse.Namespace) -> dict[str, list[Round]]:
    async with await session(stack.headers) as behind, await session({}) as direct:
        await _fill(behind, stack.url)
        sides = [
            Side("direct", engine[0], MODEL, engine[1], options.streams, direct),
            Side("bare", stack.url, "bare", stack.pids["gateway"], options.streams, behind),
            Side("grounded", stack.url, "grounded", stack.pids["gateway"], FEW, behind),
        ]
        rounds: dict[str, list[Round]] = {side.name: [] for side in sides}
        for side in sides:
            await one_round(side)
        for number in range(options.rounds):
            for side in sides if number % 2 else sides[::-1]:
                rounds[side.name].append(await one_round(side))
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
    return rounds


async def _fill(http: aiohttp.ClientSession, url: str) -> None:
    text = "# Lighthouse\n\nThe annual fee of the Lighthouse product covers insurance and a client adviser.\n"
    base = f"{url}/v1/knowledge/bench"
    await done(http.put(base, json={}))
    await done(http.put(f"{base}/documents/lighthouse.md", data=text, headers={"content-type": "text/markdown"}))


def added(rounds: dict[str, list[Round]], side: str) -> tuple[Figure, Figure]:
    """Time to the first token over the engine's own: the difference in ms, and the ratio."""
    pairs = list(zip(rounds["direct"], rounds[side], strict=True))

    def middles(drawn: Sequence[tuple[Round, Round]]) -> tuple[float, float]:
        direct, through = zip(*drawn, strict=True)
        return (
            median([value for one in direct for value in one.first_token]),
            median([value for one in through for value in one.first_token]),
        )

    def difference(drawn: Sequence[tuple[Round, Round]]) -> float:
        direct, through = middles(drawn)
        return 1000 * (through - direct)

    def ratio(drawn: Sequence[tuple[Round, Round]]) -> float:
        direct, through = middles(drawn)
        return through / direct

    return bootstrap(pairs, difference), bootstrap(pairs, ratio)


def report(rounds: dict[str, list[Round]], options: argparse.Namespace) -> str:
    rows = [
        "| | streams | added time to first token, ms | ratio to direct | CPU per token, µs | CPU per request, µs "
        "| tokens/s | ratio to direct |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, ran in rounds.items():
        more, times = added(rounds, name)
        token = bootstrap(ran, lambda drawn: 1e6 * median([one.per_token for one in drawn]))
        request = bootstrap(ran, lambda drawn: 1e6 * median([one.per_request for one in drawn]))
        speed = bootstrap(ran, lambda drawn: median([one.tokens_per_second for one in drawn]))
        pairs = list(zip(rounds["direct"], ran, strict=True))
        share = bootstrap(pairs, lambda drawn: median([b.tokens_per_second / a.tokens_per_second for a, b in drawn]))
        first_token = ("", "1") if name == "direct" else (more.text(), times.text())
        throughput = (speed.text(0), "1" if name == "direct" else share.text())
        if name == "grounded":
            throughput = ("", "")
        streams = FEW if name == "grounded" else options.streams
        cells = (name, str(streams), *first_token, token.text(1), request.text(0), *throughput)
        rows.append(f"| {' | '.join(cells)} |")
    first = median([value for one in rounds["direct"] for value in one.first_token])
    return "\n".join(
        [
            "# What the gateway adds",
            "",
            f"`python -m benchmarks.gateway --rounds {options.rounds} --streams {options.streams}` on {machine()}. "
            f"{options.rounds} interleaved rounds; the first token's time is measured with one stream, "
            f"{ALONE} questions a round, and is {1000 * first:.2f} ms directly. CPU is that of the process asked: the "
            "fake engine's in the row `direct`, the gateway's else. Brackets are 95 % bootstrap bounds over rounds.",
            "",
            *rows,
        ]
    )


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gateway")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--streams", type=int, default=64, help="at a time, for processor time")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    async with fake_engine() as engine:
        environment = {"GROUNDTONE_ENGINE__URLS": f'["{engine[0]}"]'}
        async with running_stack(CONFIGURATION, environment) as stack:
            rounds = await measure(stack, engine, options)
    publish("gateway", report(rounds, options) + "\n", options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
