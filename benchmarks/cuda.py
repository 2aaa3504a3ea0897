"""The stack on a CUDA host: throughput through the gateway, what an adapter costs, clients that leave, loading.

    python -m benchmarks.cuda [--shape 8b] [--streams 1 16 64 256] [--rounds 5] [--write]
    python -m benchmarks.cuda --shape tiny --streams 1 4 --rounds 2        to try the script, also without a GPU

`groundtone up` with the host's own vLLM (`make prepare ENGINE=cuda`) and a base model of the named shape whose weights
are vLLM's dummies: what a question costs depends on shapes, not on what the weights say. Adapters are random. Every
question is its own, of some 500 tokens, so that nothing of it is cached, and is asked of the engine itself and through
the gateway in turns, the same messages both ways. What the answers say is not looked at: that is `make test
ENGINE=cuda ARGS=tests/e2e`, with the sample model and its adapter.
"""

import argparse
import asyncio
import json
import random
import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
from safetensors.numpy import save_file

from benchmarks.sample_engine import ENVIRONMENT
from benchmarks.stack import ROOT, Stack, bootstrap, machine, median, publish, run, running_stack, session
from common.prompt import compose
from serving.home import Home

SHAPES: dict[str, dict[str, int]] = {
    # Llama 3.1 8B's, with the bundled model's tokenizer and so its smaller vocabulary.
    "8b": {"hidden_size": 4096, "num_hidden_layers": 32, "intermediate_size": 14336, "num_attention_heads": 32,
           "num_key_value_heads": 8, "head_dim": 128},
    "tiny": {"hidden_size": 256, "num_hidden_layers": 2, "intermediate_size": 512, "num_attention_heads": 4,
             "num_key_value_heads": 2, "head_dim": 64},
}  # fmt: skip
RANK = 16
TOKENS = 128
WORDS = 300  # of a question
FIRM = "Bench"
LEFT = 10
_RUNNING = re.compile(r"^vllm:num_requests_(?:running|waiting)\{[^}]*\} ([0-9.e+]+)$", re.M)


def configuration(base: Path, adapter: Path, most: int) -> str:
    arguments = ["--load-format", "dummy", "--max-num-seqs", str(max(most, 16)), "--seed", "1"]
    return f"""
[server]
max_answers = {most + 16}

[engine]
base_model = {json.dumps(str(base))}
max_model_len = 4096
arguments = {json.dumps(arguments)}

[adapters.seed]
voice = {json.dumps(str(adapter))}

[adapters.gate]
required = false

[[assistants]]
name = "base"
firm = "{FIRM}"

[[assistants]]
name = "adapter"
firm = "{FIRM}"
adapter = "voice"
"""


def base_model(shape: dict[str, int], folder: Path) -> Path:
    """A model's folder without weights: the bundled model's tokenizer, the shape's configuration."""
    command = [str(ENVIRONMENT / "bin" / "python"), "-m", "adapters.base_model", "--home", str(ROOT / ".groundtone")]
    made = json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True).stdout)
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "generation_config.json"):
        shutil.copy(Path(made["path"]) / name, folder)
    told = json.loads((Path(made["path"]) / "config.json").read_text())
    # Dummy weights are so small that without a scale every token is equally likely, with an adapter or without, and the
    # gateway takes no adapter that changes nothing.
    told |= {"tie_word_embeddings": False, "logit_scale": 1e5}
    (folder / "config.json").write_text(json.dumps(told | shape))
    return folder


def adapter(base: Path, shape: dict[str, int], folder: Path, seed: int) -> Path:
    """A random LoRA of the four attention projections, strong enough to be told from the base model."""
    rng, tensors = np.random.default_rng(seed), dict[str, Any]()
    hidden, head = shape["hidden_size"], shape["head_dim"]
    queries, keys = shape["num_attention_heads"] * head, shape["num_key_value_heads"] * head
    sides = {
        "q_proj": (hidden, queries),
        "k_proj": (hidden, keys),
        "v_proj": (hidden, keys),
        "o_proj": (queries, hidden),
    }
    for layer in range(shape["num_hidden_layers"]):
        for name, (taken, given) in sides.items():
            module = f"base_model.model.model.layers.{layer}.self_attn.{name}"
            for side, size in (("A", (RANK, taken)), ("B", (given, RANK))):
                tensors[f"{module}.lora_{side}.weight"] = rng.normal(0, 0.1, size).astype(np.float16)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors")
    told = {"peft_type": "LORA", "r": RANK, "lora_alpha": RANK, "target_modules": list(sides), "bias": "none"}
    (folder / "adapter_config.json").write_text(json.dumps(told | {"base_model_name_or_path": base.name}))
    return folder


@dataclass(frozen=True, slots=True)
class Way:
    """Where a question goes: the engine itself, or an assistant behind the gateway."""

    name: str
    url: str
    model: str
    direct: bool
    http: aiohttp.ClientSession

    def body(self, question: str) -> dict[str, Any]:
        turns: Any = [{"role": "user", "content": question}]
        messages = compose(FIRM, None, turns) if self.direct else turns
        asked = {"model": self.model, "messages": messages, "max_tokens": TOKENS, "temperature": 0}
        return asked | {"stream": True, "stream_options": {"include_usage": True}}


def question(rng: random.Random) -> str:
    return " ".join("".join(rng.choices("abdegiklmnoprstuvz", k=rng.randint(2, 6))) for _ in range(WORDS))


async def ask(way: Way, asked: str, leave: bool = False) -> tuple[float, int]:
    """Seconds to the first token, and how many came. With `leave` the client goes after the first."""
    began, first, tokens = time.perf_counter(), 0.0, 0
    async with way.http.post(f"{way.url}/v1/chat/completions", json=way.body(asked)) as response:
        if response.status != 200:
            raise SystemExit(f"{way.name}: {response.status} {(await response.text())[:500]}")
        async for line in response.content:
            if not line.startswith(b"data: {"):
                continue
            if not first and b'"content":"' in line.replace(b'"content":""', b""):
                first = time.perf_counter() - began
                if leave:
                    response.close()
                    return first, 1
            if b'"usage":{' in line:
                tokens = json.loads(line[6:])["usage"]["completion_tokens"]
    return first, tokens


@dataclass(frozen=True, slots=True)
class Round:
    speed: float
    """Tokens a second, all streams together."""
    first: float
    """Median seconds to the first token."""


async def one_round(way: Way, streams: int, rng: random.Random) -> Round:
    left = iter([question(rng) for _ in range(max(4, 2 * streams))])
    answers: list[tuple[float, int]] = []

    async def worker() -> None:
        answers.extend([await ask(way, asked) for asked in left])

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(streams)))
    seconds = time.perf_counter() - began
    return Round(sum(tokens for _, tokens in answers) / seconds, median([first for first, _ in answers]))


async def running(engine: str, http: aiohttp.ClientSession) -> float:
    """How many answers the engine makes or has waiting."""
    async with http.get(f"{engine}/metrics") as response:
        return sum(float(count) for count in _RUNNING.findall(await response.text()))


async def leaving(way: Way, engine: str, streams: int, rng: random.Random) -> float:
    """Seconds from the moment at which `streams` clients are gone to that at which the engine has nothing to do."""
    await asyncio.gather(*(ask(way, question(rng), leave=True) for _ in range(streams)))
    gone = time.perf_counter()
    while await running(engine, way.http):
        pass  # the engine takes a few milliseconds to tell
    return time.perf_counter() - gone


async def moving(stack: Stack, way: Way, fresh: Path, streams: int, rng: random.Random) -> tuple[float, float, int]:
    """A new version registered and heard while answers are made: seconds until it is, the first of its answers, and
    how many of the answers under way came to their end."""
    under_way = [asyncio.create_task(ask(way, question(rng))) for _ in range(streams)]
    began = time.perf_counter()
    packed = await asyncio.create_subprocess_exec(
        *("tar", "-C", str(fresh), "-czf", "-", "adapter_model.safetensors", "adapter_config.json"),
        stdout=asyncio.subprocess.PIPE,
    )
    body, _ = await packed.communicate()
    async with way.http.post(f"{stack.url}/v1/adapters/voice/versions", data=body) as response:
        response.raise_for_status()
        version = (await response.json())["id"]
    async with way.http.put(f"{stack.url}/v1/adapters/voice/channels/stable", json={"version": version}) as response:
        response.raise_for_status()
    moved = time.perf_counter() - began
    first, _ = await ask(way, question(rng))
    return moved, first, sum(tokens > 0 for _, tokens in await asyncio.gather(*under_way))


async def measure(stack: Stack, base: str, fresh: Path, options: argparse.Namespace) -> list[str]:
    engine = (Home(stack.home).running() or {})["parts"]["engine"]["address"]
    rng = random.Random(7)
    async with await session(stack.headers) as behind, await session({}) as direct:
        async with behind.get(f"{stack.url}/v1/adapters") as response:
            version = (await response.json())["data"][0]["channels"]["stable"]
        ways = [
            Way("engine, base", engine, base, True, direct),
            Way("gateway, base", stack.url, "base", False, behind),
            Way("engine, adapter", engine, version, True, direct),
            Way("gateway, adapter", stack.url, "adapter", False, behind),
        ]
        lines = [
            "| streams | way | tokens/s | first token (s) | tokens/s, times the engine's own | times the base's |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
        for streams in options.streams:
            found: dict[str, list[Round]] = {way.name: [] for way in ways}
            for number in range(options.rounds + 1):
                for way in ways if number % 2 else ways[::-1]:
                    measured = await one_round(way, streams, rng)
                    found[way.name] += [measured] if number else []  # the first warms up
            lines += rows(streams, found)
            print("\n".join(lines[-len(ways) :]), flush=True)
        most = min(64, max(options.streams))
        left = [await leaving(ways[3], engine, most, rng) for _ in range(LEFT)]
        moved, first, ended = await moving(stack, ways[3], fresh, most, rng)
    return [
        *lines,
        "",
        f"{most} clients leave after their first token, {LEFT} times: the engine has nothing to do after "
        f"{median(left):.3f} s, at most {max(left):.3f} s.",
        "",
        f"A new version, sent while {most} answers are made: heard after {moved:.2f} s, its first token {first:.2f} s "
        f"after the next question. Of the {most} answers, {ended} came to their end.",
    ]


def rows(streams: int, found: dict[str, list[Round]]) -> list[str]:
    def ratio(name: str, other: str) -> str:
        if name == other:
            return "1"
        pairs = list(zip(found[name], found[other], strict=True))
        return bootstrap(pairs, lambda drawn: median([one.speed / two.speed for one, two in drawn])).text()

    return [
        f"| {streams} | {name} | {bootstrap(rounds, lambda some: median([one.speed for one in some])).text(0)} "
        f"| {median([one.first for one in rounds]):.3f} | {ratio(name, name.replace('gateway', 'engine'))} "
        f"| {ratio(name, name.replace('adapter', 'base'))} |"
        for name, rounds in found.items()
    ]


def device() -> str:
    """The accelerator's name and the vLLM on it."""
    asked = (
        "import torch, vllm\n"
        "name = torch.cuda.get_device_name() if torch.cuda.is_available() else 'no GPU'\n"
        "print(name, vllm.__version__)"
    )
    told = subprocess.run([ENVIRONMENT / "bin" / "python", "-c", asked], capture_output=True, text=True, check=True)
    name, _, version = told.stdout.strip().splitlines()[-1].rpartition(" ")
    return f"{name}, vLLM {version}"


def report(lines: Sequence[str], options: argparse.Namespace) -> str:
    streams = " ".join(map(str, options.streams))
    return "\n".join(
        [
            "# On a CUDA host",
            "",
            f"`python -m benchmarks.cuda --shape {options.shape} --streams {streams} --rounds {options.rounds}` on "
            f"**{device()}**; {machine()}. Dummy weights of the shape `{options.shape}`, a random adapter of rank "
            f"{RANK}, {TOKENS} tokens an answer at most. {options.rounds} rounds in turns; brackets are 95 % bootstrap "
            "bounds over rounds.",
            "",
            *lines,
            "",
        ]
    )


async def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cuda")
    parser.add_argument("--shape", choices=SHAPES, default="8b")
    parser.add_argument("--streams", type=int, nargs="+", default=[1, 16, 64, 256], help="answers at a time")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    shape = SHAPES[options.shape]
    with tempfile.TemporaryDirectory(prefix="groundtone-cuda-") as scratch:
        base = base_model(shape, Path(scratch) / f"dummy-{options.shape}")
        heard, fresh = (adapter(base, shape, Path(scratch) / f"voice-{seed}", seed) for seed in (1, 2))
        async with running_stack(configuration(base, heard, max(options.streams)), {}) as stack:
            lines = await measure(stack, base.name, fresh, options)
    publish("cuda", report(lines, options), options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
