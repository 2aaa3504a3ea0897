"""A gateway process that is told to read its configuration again, while it is asked."""

import asyncio
import os
import re
import signal
import ssl
import sys
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from serving.home import Home
from serving.supervisor.plan import free_ports
from tests.fakes.engine import FakeEngine
from tests.fakes.knowledge import FakeKnowledge
from tests.serving.conftest import ready, session

ONE = '[[assistants]]\nname = "plain"\nknowledge = ["kitahama"]\n'
TWO = ONE + '[[assistants]]\nname = "second"\n'


@dataclass
class Running:
    """`python -m serving.gateway` with a configuration that a test may write anew."""

    process: asyncio.subprocess.Process
    file: Path
    url: str
    key: str
    log: Path
    tls: ssl.SSLContext | None = None

    def reload(self, configuration: str) -> None:
        self.file.write_text(configuration)
        os.kill(self.process.pid, signal.SIGHUP)

    async def ask(self) -> int:
        """The status of a question over a connection of its own."""
        async with self.client() as http:
            return await question(http)

    def client(self) -> aiohttp.ClientSession:
        return session(self.url, self.key, self.tls)

    def workers(self) -> int:
        """Processes that serve: the tracker of multiprocessing's resources is none."""
        children = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()
        commands = [
            Path(f"/proc/{child}/cmdline").read_bytes() for child in children if Path(f"/proc/{child}").exists()
        ]
        return sum(b"spawn_main" in command for command in commands)

    async def assistants(self) -> list[str]:
        async with self.client() as http:
            return [model["id"] for model in (await (await http.get("/v1/models")).json())["data"]]

    async def digests(self) -> set[str]:
        async with self.client() as http:
            text = await (await http.get("/metrics")).text()
            return set(re.findall(r'groundtone_configuration_info\{digest="([^"]+)"\} 1\.0', text))


async def question(http: aiohttp.ClientSession) -> int:
    body = {"model": "plain", "messages": [{"role": "user", "content": "What is the annual fee?"}]}
    return (await http.post("/v1/chat/completions", json=body)).status


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    async with started(tmp_path, ONE) as running:
        yield running


@asynccontextmanager
async def started(folder: Path, configuration: str, tls: ssl.SSLContext | None = None) -> AsyncGenerator[Running]:
    """A gateway process, once it is ready; `tls` is a client's where the configuration turns TLS on."""
    file, log = folder / "groundtone.toml", folder / "gateway.log"
    file.write_text(configuration)
    home = Home(folder / "home")
    home.prepare()
    url = f"http{'s' if tls else ''}://127.0.0.1:{free_ports(1)[0]}"
    async with FakeEngine() as engine, FakeKnowledge() as knowledge:
        told: dict[str, Any] = {
            "GROUNDTONE_CONFIG": str(file),
            "GROUNDTONE_HOME": str(home.path),
            "GROUNDTONE_PORT": url.rpartition(":")[2],
            "GROUNDTONE_ENGINE__URLS": f'["{engine.url}"]',
            "GROUNDTONE_KNOWLEDGE__URL": knowledge.url,
        }
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "serving.gateway"),
                env={**os.environ, **told},
                stderr=output,
                cwd=Path(__file__).parents[2],
            )
        try:
            running = Running(process, file, url, home.admin_key, log, tls)
            async with asyncio.timeout(120), running.client() as http:
                while True:
                    try:
                        async with asyncio.timeout(5):
                            await ready(http)
                        break
                    except TimeoutError:
                        assert process.returncode is None, log.read_text()
            yield running
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def test_a_reload_fails_no_request_and_a_bad_one_changes_nothing(running: Running) -> None:
    """Questions go on throughout; the new assistant is there, the digest tells, and a broken file is refused."""
    statuses: list[int] = []
    done = asyncio.Event()

    async def keep_asking() -> None:
        while not done.is_set():
            statuses.append(await running.ask())

    asking = [asyncio.create_task(keep_asking()) for _ in range(2)]
    before = await running.digests()
    running.reload(TWO)
    async with asyncio.timeout(120):
        while await running.assistants() != ["plain", "second"] or await running.digests() == before:
            await asyncio.sleep(0.05)
        # Until the worker before has ended too.
        while running.workers() > 1:
            await asyncio.sleep(0.05)
    done.set()
    await asyncio.gather(*asking)
    assert statuses
    assert set(statuses) == {200}
    after = await running.digests()
    assert after.isdisjoint(before)
    running.reload(TWO + "max_tokens = 'many'\n")
    async with asyncio.timeout(60):
        while "is not valid at assistants.1.max_tokens: the old one stays" not in running.log.read_text():
            await asyncio.sleep(0.05)
    assert "many" not in running.log.read_text()
    assert await running.digests() == after
    assert await running.ask() == 200
