"""An engine of its own for `benchmarks.sample`: vLLM as `groundtone up` starts it, with the shipped adapter loaded."""

import asyncio
import json
import os
import socket
import subprocess
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import IO

import httpx

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
