"""What an adapter costs the engine, how soon a new one answers, and what the three ways of training it lead to.

    python -m benchmarks.adapters [--rounds 6] [--streams 8] [--loads 5] [--write]
    python -m benchmarks.adapters --recipes benchmarks/recipes/*.toml [-n 12] [--rounds 0] [--keep FOLDER] [--write]

Throughput: the sample firm's questions with their evidence, greedy, each answer of exactly 48 tokens, nothing cached
(each round has a cache salt of its own). Base model and adapter take turns on one engine. `merged` is a second engine,
started alike, whose weights have the adapter's added to them: what a firm with a single voice could serve. Processor
time a token does not depend on what else the machine does, so it is the figure to compare.

Loading: the adapter under a name that the engine never heard, its first question at once, and a second question, during
whose answer the adapter is unloaded again: it has to come to its end.

Training: each recipe in a process of its own, its adapter evaluated as `groundtone adapter evaluate` does. What lies in
the folder of `--keep` is not done again, so a run that was broken off goes on, and several may fill it side by side.
"""

import argparse
import asyncio
import contextlib
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from benchmarks import stack
from benchmarks.sample_cases import Case, cases
from benchmarks.sample_engine import ENVIRONMENT, ROOT, engine

SAMPLE = ROOT / "examples" / "kitahama"
TOKENS = 48
METRICS = ("stale", "leak", "faithful", "tone")
PYTHON = str(ENVIRONMENT / "bin" / "python")


@dataclass(frozen=True, slots=True)
class Round:
    """Some questions at a time: tokens a second, milliseconds of processor time a token, median first token (s)."""

    speed: float
    cost: float
    first: float


async def ask(client: httpx.AsyncClient, model: str, case: Case, salt: str) -> tuple[float, int]:
    """Seconds to the first token, and how many tokens came."""
    body = {"model": model, "messages": case.messages, "max_tokens": TOKENS, "ignore_eos": True, "temperature": 0}
    first, usage = await stack.streamed(client, body | {"cache_salt": salt})
    return first, usage["completion_tokens"]


async def throughput(
    url: str, pid: int, models: dict[str, str], asked: Sequence[Case], rounds: int, streams: int
) -> dict[str, list[Round]]:
    """`rounds` of each model, in turns; the first of each warms up and is not counted."""
    found: dict[str, list[Round]] = {label: [] for label in models}
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        for turn in range(rounds + 1):
            for label, model in models.items():
                some = [asked[(turn * streams + i) % len(asked)] for i in range(streams)]
                salt, cpu, began = str(time.time_ns()), stack.cpu_seconds(pid), time.perf_counter()
                answers = await asyncio.gather(*(ask(client, model, case, salt) for case in some))
                seconds, used = time.perf_counter() - began, stack.cpu_seconds(pid) - cpu
                tokens = sum(count for _, count in answers)
                one = Round(tokens / seconds, 1000 * used / tokens, stack.median([first for first, _ in answers]))
                print(f"{streams} streams, round {turn}, {label}: {one}", file=sys.stderr, flush=True)
                if turn:
                    found[label].append(one)
    return found


async def loading(url: str, adapter: Path, asked: Sequence[Case], loads: int) -> list[tuple[float, float, float]]:
    """Seconds of a load, to the first token of the first answer after it, and of the second."""
    found: list[tuple[float, float, float]] = []
    async with httpx.AsyncClient(base_url=url, timeout=600) as client:
        for turn in range(loads):
            name = {"lora_name": f"load@{turn}"}
            began = time.perf_counter()
            (await client.post("/v1/load_lora_adapter", json={**name, "lora_path": str(adapter)})).raise_for_status()
            loaded = time.perf_counter() - began
            first, _ = await ask(client, f"load@{turn}", asked[2 * turn % len(asked)], f"load {turn}")
            more = asyncio.create_task(ask(client, f"load@{turn}", asked[(2 * turn + 1) % len(asked)], f"again {turn}"))
            await asyncio.sleep(0.5)
            (await client.post("/v1/unload_lora_adapter", json=name)).raise_for_status()
            second, tokens = await more
            assert tokens == TOKENS, (
                f"an answer in the making ended after {tokens} tokens when its adapter was unloaded"
            )
            found.append((loaded, first, second))
    return found


def newest_child() -> int:
    """The process that this one started last: the engine, whose helper does not say its id."""
    return max(map(int, Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split()))


async def costs(chosen: argparse.Namespace) -> list[str]:
    """The tables of throughput and loading."""
    home, adapter = chosen.home.absolute(), SAMPLE / "adapter"
    asked = [case for case in cases(SAMPLE, 100, 7) if case.lang == "en"]
    sizes = list(dict.fromkeys((1, chosen.streams)))
    measured: dict[int, dict[str, list[Round]]] = {}
    async with engine(home, adapter, "voice") as (url, base):
        pid = newest_child()
        for size in sizes:
            models = {"base": base, "adapter": "voice"}
            measured[size] = await throughput(url, pid, models, asked, chosen.rounds, size)
        loads = await loading(url, adapter, asked, chosen.loads)
    with tempfile.TemporaryDirectory(prefix="groundtone-bench-") as folder:
        merging = [PYTHON, "-m", "benchmarks.merged", str(home / "models" / base), str(adapter), folder]
        await asyncio.to_thread(subprocess.run, merging, check=True, cwd=ROOT)
        async with engine(Path(folder), adapter, "voice") as (url, _):
            pid = newest_child()
            for size in sizes:
                measured[size] |= await throughput(url, pid, {"merged": base}, asked, chosen.rounds, size)
    lines = [
        "## Throughput",
        "",
        f"`merged` ran after the other two. Medians over {chosen.rounds} rounds, with 95 % bounds from drawing rounds "
        "again.",
        "",
        "| streams | model | tokens/s | processor time a token (ms) | times the base's | first token (s) |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for size, by_model in measured.items():
        for label, rounds in by_model.items():
            values = [
                stack.bootstrap(rounds, lambda some, key=key: stack.median([getattr(one, key) for one in some]))
                for key in ("speed", "cost", "first")
            ]
            ratio = values[1].value / stack.median([one.cost for one in by_model["base"]])
            speed, cost, first = (value.text() for value in values)
            lines.append(f"| {size} | {label} | {speed} | {cost} | {ratio:.2f} | {first} |")
    load, first, second = (stack.median(values) for values in zip(*loads, strict=True))
    return [
        *lines,
        "",
        "## From load to first answer",
        "",
        f"Medians of {chosen.loads} loads: loaded in {load:.2f} s, the first token of the first answer {first:.2f} s "
        f"later; of a second answer, to another question, {second:.2f} s. A new version answers {load + first:.2f} s "
        "after it was asked for. The gateway has it generate before a channel moves, so that the first answer is not a "
        "person's.",
        "",
    ]


def trained(recipe: Path, steps: int | None, home: Path, output: Path) -> dict[str, Any]:
    """What `training.json` says of the recipe's adapter, trained into `output` where it does not lie there already."""
    done = output / "training.json"
    if done.exists():
        return json.loads(done.read_text(encoding="utf-8"))
    command = [PYTHON, "-m", "adapters.train", str(recipe), "--home", str(home), "--output", str(output), "--json"]
    command += ["--steps", str(steps)] if steps else []
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)


def evaluated(recipe: Path, adapter: Path, url: str, n: int) -> dict[str, Any]:
    """The evaluation's document, by the default thresholds. That a gate is not passed is a result, and no error."""
    command = [str(Path(sys.executable).with_name("groundtone")), "adapter", "evaluate", str(adapter), "--json"]
    command += ["--recipe", str(recipe), "--rules", str(SAMPLE / "glossary.toml"), "--engine", url, "-n", str(n)]
    # The sample's own configuration, which lies where this runs, is for what the small model can reach.
    environment = {**os.environ, "GROUNDTONE_CONFIG": os.devnull}
    done = subprocess.run(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, check=False)
    found = json.loads(done.stdout)
    if "metrics" not in found:
        raise SystemExit(found["error"]["message"])
    return found


async def lessons(chosen: argparse.Namespace) -> list[str]:
    """The table of what each recipe leads to."""
    lines = [
        "`stale` and `leak` are better low, `faithful` and `tone` high: [voice.md](../../docs/voice.md#evaluating). In "
        "brackets 95 % Wilson bounds and the number of cases. The gate is the default one; fewer than 300 cases hardly "
        "pass it.",
        "",
        f"| recipe | steps | trained in | language | {' | '.join(METRICS)} | base's leak | gate |",
        f"| --- | --- | --- | --- |{' --- |' * (len(METRICS) + 2)}",
    ]
    home = chosen.home.absolute()
    with contextlib.ExitStack() as ends:
        folder = ROOT / (chosen.keep or ends.enter_context(tempfile.TemporaryDirectory(prefix="groundtone-bench-")))
        made = {
            recipe: await asyncio.to_thread(trained, recipe, chosen.steps, home, folder / recipe.stem)
            for recipe in chosen.recipes
        }
        async with engine(home, SAMPLE / "adapter", "voice") as (url, _):
            for recipe, training in made.items():
                kept = folder / f"{recipe.stem}.json"
                if not kept.exists():
                    found = await asyncio.to_thread(evaluated, recipe.absolute(), folder / recipe.stem, url, chosen.n)
                    kept.write_text(json.dumps(found), encoding="utf-8")
                found = json.loads(kept.read_text(encoding="utf-8"))
                gate = "passed" if found["gate"]["passed"] else "failed"
                for lang, shares in (*found["by_language"].items(), ("all", found["metrics"])):
                    cells = " | ".join(shown(shares[metric]) if metric in shares else "–" for metric in METRICS)
                    leak = shown(found["base"][lang]["leak"]) if "leak" in found["base"][lang] else "–"
                    took = f"{training['seconds']:.0f} s, {training['threads']} thread(s)"
                    about = f"{recipe.stem} | {training['steps']} | {took} | {lang}"
                    lines.append(f"| {about} | {cells} | {leak} | {gate} |")
                    print(lines[-1], file=sys.stderr, flush=True)
    return [*lines, ""]


def shown(share: dict[str, Any]) -> str:
    return f"{share['value']:.1%} ({share['low']:.1%} to {share['high']:.1%}; {share['n']})"


async def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=6, help="of throughput; 0 measures none")
    parser.add_argument("--streams", type=int, default=8, help="questions at a time, besides one at a time")
    parser.add_argument("--loads", type=int, default=5)
    parser.add_argument("--recipes", nargs="+", type=Path, default=[], help="recipes to train and evaluate")
    parser.add_argument("--steps", type=int, help="instead of the recipes'")
    parser.add_argument("-n", type=int, default=300, help="cases a metric and language")
    parser.add_argument("--keep", type=Path, help="a folder for adapters and evaluations, instead of a temporary one")
    parser.add_argument("--home", type=Path, default=ROOT / ".groundtone", help="where the base model was made ready")
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results")
    chosen = parser.parse_args()
    parts: dict[str, list[str]] = {}
    if chosen.rounds:
        parts["adapters"] = ["# What an adapter costs, and how soon it answers", *await costs(chosen)]
    if chosen.recipes:
        parts["recipes"] = ["# What a recipe leads to", *await lessons(chosen)]
    command = f"`python -m benchmarks.adapters {' '.join(sys.argv[1:])}`"
    for name, (title, *lines) in parts.items():
        head = [title, "", f"Printed by {command}.", "", f"{stack.machine()}.", ""]
        stack.publish(name, "\n".join([*head, *lines]), chosen.write)
    return 0


if __name__ == "__main__":
    sys.exit(stack.run(main))
