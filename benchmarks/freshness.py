"""How long until a changed document is what a new question is answered from, while other questions go on.

    python -m benchmarks.freshness [--changes 200] [--askers 4] [--documents 100] [--write]

Real gateway, knowledge service, embedder and Chroma, each a process of its own; only the engine is fake, and answers
with the editions that it reads in its prompt. Two documents change: one by PUT, one as a file in a watched folder.
Each states its edition in two sections, which are two chunks. The clock starts when the save or the PUT begins and
stops when the headers of a question's response arrive that names its snapshot and is answered from the new edition.

Counted besides: failed answers; mixed ones (two editions of one document in one prompt, or two editions under one
snapshot's number); stale ones (an edition older than one that was already confirmed when the question began).
"""

import argparse
import asyncio
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.stack import Stack, bootstrap, done, machine, median, percentile, publish, run, running_stack, session
from tests.fakes.engine import FakeEngine

PUSHED, SAVED = "Lighthouse", "Anchor"
WARM_UP = 5
GIVE_UP = 30.0
_EDITION = re.compile(r"the (\w+) terms belongs to edition (\d+)")


def document(name: str, edition: int) -> str:
    return (
        f"# {name} terms\n\n## Annual fee\n\n"
        f"The annual fee of the {name} terms belongs to edition {edition} and is payable in April.\n\n"
        f"## Conversion margin\n\n"
        f"The conversion margin of the {name} terms belongs to edition {edition} and applies abroad.\n"
    )


def filler(number: int) -> str:
    return (
        f"# Product {number}\n\nThe product {number} of the catalogue has a handling fee of {100 + number} yen, "
        f"opens on day {1 + number % 28} of each month and is offered in branch {number % 17}.\n"
    )


def editions(messages: Sequence[dict[str, Any]]) -> str:
    """The fake engine's answer: every edition that stands in the prompt, one word each."""
    return " ".join(f"{name}:{number}" for name, number in _EDITION.findall(str(messages[0]["content"]))) or "none"


@dataclass(slots=True)
class Seen:
    """One answer: the snapshot it names, the editions it was made from, seconds until its headers came."""

    snapshot: int
    editions: dict[str, set[int]]
    headers_after: float


@dataclass(slots=True)
class Counts:
    """What went wrong, and what was asked meanwhile."""

    asked: int = 0
    failed: list[str] = field(default_factory=list[str])
    mixed: int = 0
    stale: int = 0
    latencies: list[float] = field(default_factory=list[float])
    by_snapshot: dict[tuple[int, str], int] = field(default_factory=dict[tuple[int, str], int])
    confirmed: dict[str, int] = field(default_factory=lambda: {PUSHED: 0, SAVED: 0})


class Asker:
    """Asks about a document and checks the answer against what must hold for all answers."""

    def __init__(self, http: aiohttp.ClientSession, url: str, counts: Counts) -> None:
        self._http = http
        self._url = url
        self._counts = counts

    async def ask(self, name: str) -> Seen | None:
        """None where the answer failed; then it is counted."""
        counts = self._counts
        confirmed = dict(counts.confirmed)
        body = {
            "model": "bench",
            "messages": [{"role": "user", "content": f"Which edition do the annual fee of the {name} terms and the "
                          f"conversion margin of the {name} terms belong to?"}],
            "stream": True,
        }  # fmt: skip
        counts.asked += 1
        started = time.perf_counter()
        try:
            async with self._http.post(f"{self._url}/v1/chat/completions", json=body) as response:
                took = time.perf_counter() - started
                text = await response.text()
                if response.status != 200:
                    raise ValueError(f"{response.status} {text[:200]}")
                snapshot = int(response.headers["x-groundtone-snapshot"])
        except (aiohttp.ClientError, ValueError, KeyError) as error:
            counts.failed.append(f"{type(error).__name__}: {error}"[:200])
            return None
        seen = Seen(snapshot, _read(text, counts), took)
        counts.latencies.append(took)
        for about, numbers in seen.editions.items():
            one = min(numbers)
            known = counts.by_snapshot.setdefault((snapshot, about), one)
            counts.mixed += len(numbers) > 1 or known != one
            counts.stale += one < confirmed[about]
        return seen

    async def keep_asking(self, pause: float) -> None:
        turn = 0
        while True:
            await self.ask((PUSHED, SAVED)[turn % 2])
            turn += 1
            await asyncio.sleep(pause)


def _read(stream: str, counts: Counts) -> dict[str, set[int]]:
    found: dict[str, set[int]] = {}
    text = ""
    for line in stream.splitlines():
        if not line.startswith("data: {"):
            continue
        event = orjson.loads(line[6:])
        if "error" in event:
            counts.failed.append(str(event["error"].get("code")))
        for choice in event.get("choices") or ():
            text += (choice.get("delta") or {}).get("content") or ""
    for name, number in re.findall(r"(\w+):(\d+)", text):
        found.setdefault(name, set()).add(int(number))
    return found


async def fill(http: aiohttp.ClientSession, url: str, documents: int) -> None:
    await done(http.put(f"{url}/v1/knowledge/bench", json={}))
    lines = [{"id": f"product-{number}.md", "text": filler(number)} for number in range(documents)]
    body = b"".join(orjson.dumps(line) + b"\n" for line in lines)
    timeout = aiohttp.ClientTimeout(total=900)
    headers = {"content-type": "application/x-ndjson"}
    await done(http.post(f"{url}/v1/knowledge/bench/documents:batch", data=body, headers=headers, timeout=timeout))


async def push(http: aiohttp.ClientSession, url: str, edition: int) -> float:
    """PUTs the next edition; seconds until it returned."""
    started = time.perf_counter()
    address = f"{url}/v1/knowledge/bench/documents/lighthouse.md"
    await done(http.put(address, data=document(PUSHED, edition), headers={"content-type": "text/markdown"}))
    return time.perf_counter() - started


def save(folder: Path, edition: int) -> None:
    """As editors save: a new file in the place of the old one."""
    scratch = folder / ".anchor.md.part"
    scratch.write_text(document(SAVED, edition))
    scratch.replace(folder / "anchor.md")


async def until_fresh(asker: Asker, name: str, edition: int, started: float) -> float | None:
    """Asks until the answer has `edition`; seconds from `started` until its headers came."""
    while time.perf_counter() - started < GIVE_UP:
        asked = time.perf_counter()
        seen = await asker.ask(name)
        if seen is not None and edition in seen.editions.get(name, set()):
            return asked + seen.headers_after - started
    return None


@dataclass(slots=True)
class Series:
    """Seconds of one kind of change; `lost` never came."""

    pinned: list[float] = field(default_factory=list[float])
    returned: list[float] = field(default_factory=list[float])
    lost: int = 0


async def measure(stack: Stack, folder: Path, options: argparse.Namespace) -> tuple[Series, Series, Counts]:
    counts, pushes, saves = Counts(), Series(), Series()
    async with await session(stack.headers) as http:
        await fill(http, stack.url, options.documents)
        asker = Asker(http, stack.url, counts)
        await push(http, stack.url, 0)
        save(folder, 0)
        if await until_fresh(asker, SAVED, 0, time.perf_counter()) is None:
            raise SystemExit("the watched folder's first file was not found within 30 s")
        background = [asyncio.create_task(asker.keep_asking(options.pause)) for _ in range(options.askers)]
        for edition in range(1, options.changes + WARM_UP + 1):
            if edition == WARM_UP + 1:
                counts.asked, counts.latencies = 0, []
            started = time.perf_counter()
            returned = await push(http, stack.url, edition)
            counts.confirmed[PUSHED] = edition
            _add(pushes, await until_fresh(asker, PUSHED, edition, started), returned, edition)
            started = time.perf_counter()
            save(folder, edition)
            fresh = await until_fresh(asker, SAVED, edition, started)
            counts.confirmed[SAVED] = edition if fresh is not None else counts.confirmed[SAVED]
            _add(saves, fresh, None, edition)
            if edition % 10 == 0:
                print(f"{edition} of {options.changes + WARM_UP} changes of each kind", file=sys.stderr, flush=True)
        for task in background:
            task.cancel()
        await asyncio.gather(*background, return_exceptions=True)
    return pushes, saves, counts


def _add(series: Series, pinned: float | None, returned: float | None, edition: int) -> None:
    if edition <= WARM_UP:
        return
    if pinned is None:
        series.lost += 1
        return
    series.pinned.append(pinned)
    if returned is not None:
        series.returned.append(returned)


def report(pushes: Series, saves: Series, counts: Counts, options: argparse.Namespace) -> str:
    rows = ["| change | n | p50, ms | p99, ms | slowest, ms |", "| --- | --- | --- | --- | --- |"]
    for name, values in (
        ("PUT begins → a new question is pinned to it", pushes.pinned),
        ("of that, until the PUT returned", pushes.returned),
        ("file saved in the watched folder → a new question is pinned to it", saves.pinned),
        ("meanwhile: any question → its headers", counts.latencies),
    ):
        milliseconds = [1000 * value for value in values]
        p50 = bootstrap(milliseconds, median, 500)
        p99 = bootstrap(milliseconds, lambda drawn: percentile(drawn, 0.99), 500)
        rows.append(f"| {name} | {len(values)} | {p50.text(0)} | {p99.text(0)} | {max(milliseconds):.0f} |")
    return "\n".join(
        [
            "# Freshness",
            "",
            f"`python -m benchmarks.freshness --changes {options.changes} --askers {options.askers} "
            f"--documents {options.documents}` on {machine()}; real gateway, knowledge service, embedder and Chroma, "
            "fake engine (generation excluded). Brackets are 95 % bootstrap bounds.",
            "",
            *rows,
            "",
            f"Questions asked meanwhile, by {options.askers} askers with {options.pause:g} s between two: "
            f"{counts.asked}. Failed answers: {len(counts.failed)}. Mixed answers: {counts.mixed}. Stale answers: "
            f"{counts.stale}. Changes that never arrived: {pushes.lost + saves.lost}.",
            "",
            *(f"* {failure}" for failure in sorted(set(counts.failed))[:5]),
        ]
    )


CONFIGURATION = """
[engine]
base_model = "SmolLM2-135M-Instruct"

[[assistants]]
name = "bench"
firm = "Bench"
knowledge = ["bench"]
policy = "off"

[[policies]]
name = "off"
guard = "off"
min_evidence = 0.0

[[sources]]
name = "folder"
kind = "folder"
knowledge = "bench"
path = "{folder}"
"""


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.freshness")
    parser.add_argument("--changes", type=int, default=200, help="of each kind")
    parser.add_argument("--askers", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.5, help="seconds between two questions of an asker")
    parser.add_argument("--documents", type=int, default=100, help="documents besides the two that change")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="groundtone-watched-") as watched:
        async with FakeEngine() as engine:
            engine.answer = editions
            environment = {"GROUNDTONE_ENGINE__URLS": f'["{engine.url}"]'}
            async with running_stack(CONFIGURATION.format(folder=watched), environment) as stack:
                pushes, saves, counts = await measure(stack, Path(watched), options)
    publish("freshness", report(pushes, saves, counts, options) + "\n", options.write)
    return 1 if counts.failed or counts.mixed or counts.stale or pushes.lost + saves.lost else 0


if __name__ == "__main__":
    raise SystemExit(run(main))
