"""An engine of a benchmark's own, vLLM as `groundtone up` starts it with an adapter loaded, and its answers."""

import argparse
import asyncio
import json
import os
import socket
import subprocess
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO, Any

import httpx

from adapters.artefact import artefact_digest
from common.prompt import Message
from common.settings import Engine, Settings
from serving.supervisor.engine_command import device_of, engine_command, few_cores

ROOT = Path(__file__).parents[1]
ENVIRONMENT = ROOT / ".venv-engine"
READY_SECONDS = 600


@asynccontextmanager
async def engine(
    home: Path, adapter: Path, name: str, arguments: tuple[str, ...] = ()
) -> AsyncGenerator[tuple[str, str]]:
    """Its URL and the base model's name there; `adapter` answers as `name`. `arguments` are further ones for vLLM."""
    python = str(ENVIRONMENT / "bin" / "python")
    told = {**os.environ, "PYTHONPATH": str(ROOT), **({"OMP_NUM_THREADS": "1"} if few_cores() else {})}
    model = _base_model(python, home, told)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = engine_command(
        Settings(home=home, engine=Engine(arguments=arguments)),
        python=python,
        model=model["path"],
        served=model["served"],
        port=port,
        device=device_of(ENVIRONMENT),
    )
    url = f"http://127.0.0.1:{port}"
    with _log(home) as output:
        process = await asyncio.create_subprocess_exec(
            *command.arguments, stdout=output, stderr=output, env={**told, **command.environment}, cwd=ROOT
        )
    try:
        await _ready(url, process)
        async with httpx.AsyncClient(timeout=120) as client:
            body = {"lora_name": name, "lora_path": str(ROOT / adapter)}
            (await client.post(f"{url}/v1/load_lora_adapter", json=body)).raise_for_status()
        yield url, model["served"]
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


async def on_its_own(
    arguments: argparse.Namespace, called: str, measure: Callable[[argparse.Namespace], Awaitable[dict[str, Any]]]
) -> dict[str, Any]:
    """What `measure` finds with `arguments` that name an engine which runs for it alone, and the adapter there."""
    folder = arguments.adapter_folder
    name = f"{called}@{artefact_digest(folder).removeprefix('sha256:')[:12]}"
    async with engine(arguments.home, folder, name) as (url, base):
        arguments.engine, arguments.adapter, arguments.base = url, name, base
        return await measure(arguments)


async def answers(
    url: str, model: str, asked: Sequence[Sequence[Message]], *, streams: int, most: int, key: str | None = None
) -> list[str]:
    """Every greedy answer of at most `most` tokens, `streams` at a time, in order."""
    gate, done = asyncio.Semaphore(streams), 0
    headers = {"authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(timeout=1200, headers=headers) as client:

        async def ask(messages: Sequence[Message]) -> str:
            nonlocal done
            body = {"model": model, "messages": list(messages), "temperature": 0, "max_tokens": most}
            async with gate:
                reply = await client.post(f"{url}/v1/chat/completions", json=body)
            reply.raise_for_status()
            done += 1
            if done % 20 == 0:
                print(f"{model}: {done} of {len(asked)}", file=sys.stderr, flush=True)
            return str(reply.json()["choices"][0]["message"]["content"] or "")

        return await asyncio.gather(*(ask(messages) for messages in asked))


def _base_model(python: str, home: Path, environment: dict[str, str]) -> dict[str, str]:
    command = [python, "-m", "adapters.base_model", "--home", str(home)]
    return json.loads(subprocess.run(command, env=environment, stdout=subprocess.PIPE, check=True).stdout)


def _log(home: Path) -> IO[str]:
    path = home / "logs" / "benchmark-engine.log"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("w")


async def _ready(url: str, process: asyncio.subprocess.Process) -> None:
    async with httpx.AsyncClient(timeout=5) as client, asyncio.timeout(READY_SECONDS):
        while process.returncode is None:
            try:
                if (await client.get(f"{url}/health")).status_code == 200:
                    return
            except httpx.TransportError:
                pass
            await asyncio.sleep(0.5)
    raise SystemExit("vLLM ended before it was ready; see benchmark-engine.log in the home's logs.")
