"""Measures what the canonical order of evidence saves: time to the first token, on the real engine.

    python -m benchmarks.prefix [--top-k 4] [--top-k 8] [--requests 60] [--write]

The sample firm's questions, each with the evidence that the service's own search finds for it, composed as an answer's
prompt is. The same requests go to one engine in three orders of evidence: canonical (by document and place in it), by
score, and shuffled anew for each request. Each order has a cache salt of its own, so that it begins cold and shares
nothing with the others; the three take turns at each request. Two kinds of traffic: `distinct` asks no question twice,
so what is saved comes from questions that share evidence; `popular` draws questions with the weight 1 / rank (Zipf), as
people ask.

`cached` is the share of the prompts' tokens that the engine says it had: no other load on the machine changes it.
"""

import argparse
import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks import stack
from benchmarks.conversation import KB, READER, opened
from benchmarks.sample_engine import ROOT, engine
from common.evidence import Evidence
from common.prompt import Message, canonical_order, compose

SAMPLE = ROOT / "examples" / "kitahama"
SEED = 7
KINDS = ("distinct", "popular")
ORDERS: dict[str, Callable[[Sequence[Evidence], random.Random], list[Evidence]]] = {
    "canonical": lambda found, _: canonical_order(found),
    "by score": lambda found, _: list(found),
    "shuffled": lambda found, drawn: drawn.sample(found, len(found)),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """One request: seconds to its first token, its prompt's tokens, and how many of them were cached."""

    seconds: float
    tokens: int
    cached: int


def evidence(questions: Sequence[str], sizes: Sequence[int]) -> dict[int, list[tuple[Evidence, ...]]]:
    """For each size, the evidence of each question, from the sample's documents and the bundled embedder."""
    with tempfile.TemporaryDirectory(prefix="groundtone-bench-") as folder:
        knowledge = opened(Path(folder))
        try:
            return {
                size: [knowledge.search.search(READER, [KB], question, top_k=size).evidence for question in questions]
                for size in sizes
            }
        finally:
            knowledge.close()


async def first_token(client: httpx.AsyncClient, model: str, messages: list[Message], salt: str) -> Asked:
    body = {"model": model, "messages": messages, "max_tokens": 2, "temperature": 0, "cache_salt": salt}
    seconds, usage = await stack.streamed(client, body)
    cached = (usage.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    return Asked(seconds, usage["prompt_tokens"], cached)


def traffic(kind: str, questions: int, requests: int) -> list[int]:
    """Which question each request asks."""
    drawn = random.Random(SEED)
    order = drawn.sample(range(questions), questions)
    if kind == "distinct":
        return order[:requests]
    return drawn.choices(order, weights=[1 / (rank + 1) for rank in range(questions)], k=requests)


async def measure(
    url: str, model: str, questions: Sequence[str], found: Sequence[Sequence[Evidence]], asked: Sequence[int]
) -> list[dict[str, Asked]]:
    """Each request in each order."""
    results: list[dict[str, Asked]] = []
    names, drawn, salt = list(ORDERS), random.Random(SEED), str(time.time_ns())
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        for turn, i in enumerate(asked):
            one: dict[str, Asked] = {}
            for name in names[turn % 3 :] + names[: turn % 3]:
                turns: list[Message] = [{"role": "user", "content": questions[i]}]
                messages = compose("Kitahama Trust", ORDERS[name](found[i], drawn), turns)
                one[name] = await first_token(client, model, messages, f"{salt} {name}")
            results.append(one)
            print(f"{turn + 1} of {len(asked)} requests", file=sys.stderr, flush=True)
    return results


def report(results: dict[tuple[str, int], list[dict[str, Asked]]]) -> str:
    lines = [
        "# The order of evidence and the prefix cache",
        "",
        "Printed by `python -m benchmarks.prefix --write`.",
        "",
        f"{stack.machine()}. The bundled model on vLLM for CPUs, without an adapter; the sample's questions, each once "
        "(`distinct`) or drawn with repetition (`popular`). The ratio is of the medians to those of the shuffled "
        "order, on the same requests, with 95 % bounds from drawing requests again. `cached` is the share of prompt "
        "tokens that the engine had.",
        "",
        "| traffic | requests | chunks | order | prompt tokens | cached | first token, median (s) | ratio |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for (kind, size), asked in results.items():
        for name in ORDERS:
            mine = [one[name] for one in asked]
            cached = sum(one.cached for one in mine) / sum(one.tokens for one in mine)
            ratio = stack.bootstrap(asked, lambda some, name=name: _ratio(some, name))
            lines.append(
                f"| {kind} | {len(asked)} | {size} | {name} | {stack.median([one.tokens for one in mine]):.0f} "
                f"| {cached:.3f} | {stack.median([one.seconds for one in mine]):.3f} | {ratio.text()} |"
            )
    return "\n".join(lines) + "\n"


def _ratio(some: Sequence[dict[str, Asked]], name: str) -> float:
    return stack.median([one[name].seconds for one in some]) / stack.median([one["shuffled"].seconds for one in some])


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--top-k", action="append", type=int, help="chunks of evidence; may be repeated; default 4")
    parser.add_argument("--traffic", action="append", choices=KINDS, help="may be repeated; default both")
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--home", type=Path, default=ROOT / ".groundtone", help="where the base model was made ready")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    chosen = parser.parse_args()
    sizes = chosen.top_k or [4]
    questions = [json.loads(line)["question"] for line in (SAMPLE / "questions.jsonl").open()]
    found = await asyncio.to_thread(evidence, questions, sizes)
    results: dict[tuple[str, int], list[dict[str, Asked]]] = {}
    details = ("--enable-prompt-tokens-details",)
    adapter = SAMPLE.relative_to(ROOT) / "adapter"
    async with engine(chosen.home.absolute(), adapter, "sample", details) as (url, model):
        await measure(url, model, questions, found[sizes[0]], range(3))
        for kind in chosen.traffic or KINDS:
            for size in sizes:
                asked = traffic(kind, len(questions), chosen.requests)
                results[kind, size] = await measure(url, model, questions, found[size], asked)
    stack.publish("prefix", report(results), chosen.write)
    return 0


if __name__ == "__main__":
    sys.exit(stack.run(main))
