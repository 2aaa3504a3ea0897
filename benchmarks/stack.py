"""What benchmarks share: the service as processes of its own in a folder of its own, and figures with their bounds."""

import asyncio
import json
import os
import platform
import random
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import httpx

from serving.home import Home

ROOT = Path(__file__).parents[1]
RESULTS = Path(__file__).parent / "results"
READY_SECONDS = 600.0


@dataclass(frozen=True, slots=True)
class Stack:
    """A running service: its address, its admin key, the process id of each part."""

    url: str
    key: str
    pids: dict[str, int]
    home: Path

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.key}"}


@asynccontextmanager
async def running_stack(configuration: str, environment: dict[str, str]) -> AsyncGenerator[Stack]:
    """`groundtone up` with `configuration` (TOML) in a temporary folder and on a free port, until the block ends."""
    with tempfile.TemporaryDirectory(prefix="groundtone-bench-") as folder:
        home = Path(folder) / "home"
        (Path(folder) / "groundtone.toml").write_text(configuration)
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("GROUNDTONE_")}
        told = {
            "GROUNDTONE_HOME": str(home),
            "GROUNDTONE_CONFIG": str(Path(folder) / "groundtone.toml"),
            "GROUNDTONE_SERVER__PORT": "0",
            "PYTHONPATH": str(ROOT),
        }
        log = Path(folder) / "up.log"
        with log.open("w") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "serving.supervisor"),
                stdout=output,
                stderr=output,
                env=inherited | told | environment,
                cwd=folder,
            )
        try:
            state = await _ready(home, process, log)
            pids = {name: part["pid"] for name, part in state["parts"].items()}
            yield Stack(state["address"], Home(home).admin_key, pids, home)
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _ready(home: Path, process: asyncio.subprocess.Process, log: Path) -> dict[str, Any]:
    try:
        async with asyncio.timeout(READY_SECONDS):
            while process.returncode is None:
                if (state := Home(home).running()) and state["ready"]:
                    return state
                await asyncio.sleep(0.1)
    except TimeoutError:
        process.terminate()
    raise SystemExit(f"the service did not become ready:\n{_tails([log, *(home / 'logs').glob('*')])}")


def _tails(files: Sequence[Path]) -> str:
    return "".join(f"--- {file.name}\n{file.read_text()[-2000:]}\n" for file in files)


def cpu_seconds(pid: int) -> float:
    """Processor time that a process and those it started have used so far, in user and kernel mode."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    own = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    return own + sum(cpu_seconds(int(child)) for child in children)


async def session(headers: dict[str, str]) -> aiohttp.ClientSession:
    return aiohttp.ClientSession(headers=headers, connector=aiohttp.TCPConnector(limit=0), read_bufsize=2**20)


async def done(request: Any) -> Any:
    """What a request of a `session` came to, of several lines the last; one that is refused ends the benchmark."""
    async with request as response:
        body = await response.read()
        if response.status >= 400:
            raise SystemExit(f"{response.url.path}: {response.status} {body[:500]!r}")
        return json.loads(body.splitlines()[-1]) if body else None


async def streamed(client: httpx.AsyncClient, body: dict[str, Any]) -> tuple[float, dict[str, Any]]:
    """Asks an engine for one answer; seconds to its first token, or to its end without any, and the usage."""
    asked = body | {"stream": True, "stream_options": {"include_usage": True}}
    began, first, usage = time.perf_counter(), None, dict[str, Any]()
    async with client.stream("POST", "/v1/chat/completions", json=asked) as response:
        response.raise_for_status()
        async for line in response.aiter_lines():
            if line.startswith("data: {"):
                event = json.loads(line[6:])
                if first is None and any(choice["delta"].get("content") for choice in event["choices"]):
                    first = time.perf_counter() - began
                usage = event.get("usage") or usage
    return first or time.perf_counter() - began, usage


def percentile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of `values` lie, interpolated (Hyndman and Fan's type 7)."""
    ordered = sorted(values)
    place = (len(ordered) - 1) * share
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


@dataclass(frozen=True, slots=True)
class Figure:
    """An estimate with its 95 % bounds."""

    value: float
    low: float
    high: float

    def text(self, digits: int = 2) -> str:
        return f"{self.value:.{digits}f} [{self.low:.{digits}f}, {self.high:.{digits}f}]"


def bootstrap(rounds: Sequence[Any], estimate: Callable[[Sequence[Any]], float], draws: int = 2000) -> Figure:
    """`estimate` over `rounds`, with percentile bounds from drawing whole rounds again (Efron's bootstrap)."""
    generator = random.Random(7)
    drawn = sorted(estimate([generator.choice(rounds) for _ in rounds]) for _ in range(draws))
    return Figure(estimate(rounds), percentile(drawn, 0.025), percentile(drawn, 0.975))


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


_LOAD_BEFORE = os.getloadavg()[0]


def machine() -> str:
    """What the figures were measured on, and what else it had to do when the measurement began."""
    model = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")),
        platform.machine(),
    )
    load = f"load average {_LOAD_BEFORE:.1f} before the run"
    return f"{os.cpu_count()} cores of {model}, Python {platform.python_version()}, {load}"


def _lines(file: str) -> list[str]:
    try:
        return Path(file).read_text().splitlines()
    except OSError:
        return []


def run(main: Callable[[], Coroutine[Any, Any, int]]) -> int:
    """Runs a benchmark; SIGTERM ends it as Ctrl-C does, so that no process of it is left behind."""

    async def guarded() -> int:
        task = asyncio.current_task()
        assert task is not None
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
        return await main()

    try:
        return asyncio.run(guarded())
    except (KeyboardInterrupt, asyncio.CancelledError):
        return 130


def publish(name: str, text: str, write: bool) -> None:
    """Prints the report, and keeps it as benchmarks/results/<name>.md where asked to."""
    print(text)
    if write:
        RESULTS.mkdir(exist_ok=True)
        (RESULTS / f"{name}.md").write_text(text)
