"""A gateway on loopback with the real HTTP server, in front of a fake engine and a fake knowledge process."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import openai
import pytest
import uvicorn
from blockbuster import blockbuster_ctx
from safetensors.numpy import save_file

from adapters import Registry
from common.settings import Adapters, Assistant, Engine, KnowledgeService, Policy, Server, Settings
from serving.app import create_app
from serving.home import Home
from serving.services import Services
from tests.adapters.conftest import evaluated
from tests.fakes.engine import FakeEngine
from tests.fakes.knowledge import FakeKnowledge


async def _read_whole(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    response = await handler(request)
    if response.content_type != "text/event-stream":
        await response.read()
    return response


def session(url: str, key: str | None = None, tls: ssl.SSLContext | None = None) -> aiohttp.ClientSession:
    """A client that reads each small response at once, so that no test has to close one."""
    headers = {"authorization": f"Bearer {key}"} if key else {}
    connector = aiohttp.TCPConnector(ssl=tls) if tls else None
    return aiohttp.ClientSession(url, headers=headers, middlewares=(_read_whole,), connector=connector)


@dataclass
class Gateway:
    """A running gateway and what stands behind it."""

    url: str
    key: str
    engine: FakeEngine
    knowledge: FakeKnowledge
    services: Services
    http: aiohttp.ClientSession
    client: openai.AsyncOpenAI
    adapter: str

    async def ask(self, question: str = "What is the annual fee?", **fields: Any) -> aiohttp.ClientResponse:
        body = {"model": "plain", "messages": [{"role": "user", "content": question}]} | fields
        return await self.http.post("/v1/chat/completions", json=body)

    async def receipt(self, receipt: str) -> dict[str, Any]:
        """The receipt, once its answer has ended."""
        async with asyncio.timeout(10):
            while True:
                found = await (await self.http.get(f"/v1/receipts/{receipt}")).json()
                if found["ended"]:
                    return found
                await asyncio.sleep(0.01)

    async def last(self) -> dict[str, Any]:
        """The newest receipt, once there is one and its answer has ended."""
        async with asyncio.timeout(10):
            while not (found := await self.receipts()):
                await asyncio.sleep(0.01)
        return await self.receipt(found[0]["receipt"])

    async def receipts(self) -> list[dict[str, Any]]:
        return (await (await self.http.get("/v1/receipts")).json())["data"]


ASSISTANTS = (
    Assistant(name="tuned", firm="Kitahama Trust", knowledge=("kitahama",), adapter="kitahama"),
    Assistant(
        name="plain", firm="Kitahama Trust", knowledge=("kitahama",), handover="+81 6-5550-0142", scope=("our cards",)
    ),
    Assistant(name="voice", firm="Kitahama Trust", adapter="kitahama"),
    Assistant(name="withholding", firm="Kitahama Trust", knowledge=("kitahama",), policy="withhold"),
    Assistant(name="stopping", firm="Kitahama Trust", knowledge=("kitahama",), policy="stop"),
    Assistant(name="regenerating", firm="Kitahama Trust", knowledge=("kitahama",), policy="regenerate"),
    Assistant(name="unguarded", firm="Kitahama Trust", knowledge=("kitahama",), policy="off"),
    Assistant(name="elsewhere", firm="Another firm", tenant="other"),
)
POLICIES = tuple(Policy(name=name, guard=name) for name in ("withhold", "stop", "regenerate", "off"))  # pyright: ignore


def adapter_folder(folder: Path) -> Path:
    """A tiny adapter of the right form: the fake engine does not read its weights."""
    folder.mkdir()
    random = np.random.default_rng(7)
    tensors = {
        f"base_model.model.model.layers.0.self_attn.q_proj.lora_{side}.weight": random.normal(size=shape).astype("f4")
        for side, shape in (("A", (4, 576)), ("B", (576, 4)))
    }
    save_file(tensors, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(
        '{"peft_type": "LORA", "task_type": "CAUSAL_LM", "r": 4, "lora_alpha": 8, "bias": "none",'
        ' "target_modules": ["q_proj"], "base_model_name_or_path": "SmolLM2-135M-Instruct"}'
    )
    return folder


@pytest.fixture
def settings_of(tmp_path: Path) -> Any:
    """Settings for a gateway in front of the given servers."""

    def make(engine: FakeEngine, knowledge: FakeKnowledge, **server: Any) -> Settings:
        return Settings(
            home=tmp_path / "home",
            server=Server(**server),
            engine=Engine(urls=(engine.url,), silence_timeout=5.0),
            knowledge=KnowledgeService(url=knowledge.url, timeout=5.0),
            adapters=Adapters(),
            assistants=ASSISTANTS,
            policies=POLICIES,
            sources=(),
        )

    return make


@pytest.fixture
async def gateway(tmp_path: Path, settings_of: Any) -> AsyncIterator[Gateway]:
    async with FakeEngine() as engine, FakeKnowledge() as knowledge:
        settings = settings_of(engine, knowledge)
        home = Home(settings.home.absolute())
        home.prepare()
        registry = Registry(settings.adapters_directory)
        version = registry.register("kitahama", adapter_folder(tmp_path / "adapter"))
        evaluated(registry, version)
        registry.point("kitahama", "stable", version.id)
        app = create_app(settings, home)
        config = uvicorn.Config(app, port=0, ws="none", http="httptools", log_config=None, timeout_graceful_shutdown=5)
        server = uvicorn.Server(config)
        socket = config.bind_socket()
        url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        serving = asyncio.create_task(server.serve(sockets=[socket]))
        key = home.admin_key
        client = openai.AsyncOpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0)
        async with client, session(url, key) as http:
            await ready(http)
            # From here on a blocking call on the event loop fails the test: one request would hold up all others.
            with blockbuster_ctx(scanned_modules=["serving"]):
                yield Gateway(url, key, engine, knowledge, app.state.services, http, client, version.id)
        server.should_exit = True
        await serving


async def ready(http: aiohttp.ClientSession) -> None:
    """Returns when the gateway says so."""
    async with asyncio.timeout(20):
        while True:
            try:
                async with http.get("/readyz") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                pass
            await asyncio.sleep(0.02)
