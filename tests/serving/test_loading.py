"""Adapters on the engine's replicas: loaded, probed and warm before they are asked, unloaded when nobody needs them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from adapters import Registry
from common.settings import Assistant
from serving.engine.replica import Replica
from serving.engine.replicas import Replicas
from tests.adapters.conftest import evaluated
from tests.fakes.engine import FakeEngine, Fault
from tests.fakes.server import Connection, Request
from tests.serving.conftest import Gateway, adapter_folder
from tests.serving.test_adapters_api import another, registered

__all__ = ["another"]

LOAD, UNLOAD, CHAT = "/v1/load_lora_adapter", "/v1/unload_lora_adapter", "/v1/chat/completions"


@pytest.fixture
async def second(gateway: Gateway) -> AsyncIterator[FakeEngine]:
    """Another engine, whose replica the gateway knows and watches; nothing listens on its port yet."""
    async with FakeEngine(fault=Fault.REFUSE) as engine:
        replicas = gateway.services.engine
        first = replicas._replicas[0]
        replica = Replica(engine.url, first.session, first.settings)
        replicas._replicas.append(replica)
        watching = asyncio.create_task(replicas._watch(replica))
        yield engine
        watching.cancel()
        replicas._replicas.remove(replica)


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def heard(engine: FakeEngine, adapter: str) -> list[str]:
    """What the engine was told about an adapter, in order: loads, unloads, probes and questions of clients."""
    told: list[str] = []
    for request in engine.requests:
        body = request.json if request.path in (LOAD, UNLOAD, CHAT) else {}
        if adapter in (body.get("lora_name"), body.get("model")):
            told.append(
                {LOAD: "load", UNLOAD: "unload"}.get(request.path) or ("ask" if body.get("stream") else "probe")
            )
    return told


def looks(engine: FakeEngine) -> int:
    """How often the gateway asked what the engine serves."""
    return sum(request.path == "/v1/models" for request in engine.requests)


@contextmanager
def soon(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Unloads what is unused at the next check."""
    with monkeypatch.context() as patch:
        patch.setattr("serving.engine.replicas.UNUSED_SECONDS", 0.0)
        yield


async def move(gateway: Gateway, version: str) -> int:
    return (await gateway.http.put("/v1/adapters/kitahama/channels/stable", json={"version": version})).status


async def spoken(gateway: Gateway, model: str = "tuned", **fields: Any) -> str:
    response = await gateway.ask(model=model, **fields)
    assert response.status == 200, await response.text()
    return (await response.json())["groundtone"]["adapter"]


async def test_a_new_replica_has_every_adapter_before_it_takes_questions(gateway: Gateway, second: FakeEngine) -> None:
    """ABUSE.md 21: load, probe, and only then the first question; meanwhile the other replica answers, none fails."""
    assert await spoken(gateway) == gateway.adapter
    second.fault = None
    async with asyncio.timeout(20):
        while "ask" not in heard(second, gateway.adapter):
            assert set(await asyncio.gather(*(spoken(gateway) for _ in range(4)))) == {gateway.adapter}
    assert heard(second, gateway.adapter)[:3] == ["load", "probe", "ask"]


async def test_a_restarted_engine_has_its_adapters_back_before_it_takes_questions(
    gateway: Gateway, second: FakeEngine
) -> None:
    """ABUSE.md 21: it forgot them with its memory; they are loaded and probed anew, and no question fails."""
    second.fault = None
    await until(lambda: not gateway.services.engine._replicas[1].problem)
    second.fault = Fault.REFUSE
    assert set(await asyncio.gather(*(spoken(gateway) for _ in range(8)))) == {gateway.adapter}
    await until(lambda: gateway.services.engine._replicas[1].problem)
    second.loaded.clear()
    second.requests.clear()
    second.fault = None
    async with asyncio.timeout(20):
        while "ask" not in heard(second, gateway.adapter):
            assert set(await asyncio.gather(*(spoken(gateway) for _ in range(4)))) == {gateway.adapter}
    assert heard(second, gateway.adapter)[:3] == ["load", "probe", "ask"]


async def test_a_channel_moves_once_every_replica_is_warm(gateway: Gateway, second: FakeEngine, another: Path) -> None:
    """Each one loaded the version and generated some tokens with it, so that nobody's question is its first."""
    second.fault = None
    await until(lambda: not gateway.services.engine._replicas[1].problem)
    version = await registered(gateway, another)
    assert await move(gateway, version) == 200
    for engine in (gateway.engine, second):
        assert heard(engine, version) == ["load", "probe"]
        (probe,) = (chat for chat in engine.chats if chat["model"] == version)
        assert probe["max_tokens"] > 1


async def test_an_answer_in_the_making_ends_on_its_version_and_then_the_version_is_unloaded(
    gateway: Gateway, another: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A moved channel leaves the old version where it is for as long as somebody is being answered with it."""
    version = await registered(gateway, another)
    gateway.engine.pause_after = 2
    asking = asyncio.create_task(spoken(gateway))
    await until(lambda: gateway.engine._resumed._waiters)  # pyright: ignore
    gateway.engine.pause_after = None  # the others are not held
    assert await move(gateway, version) == 200
    assert await spoken(gateway) == version
    with soon(monkeypatch):
        checks = looks(gateway.engine)
        await gateway.engine.until(lambda e: looks(e) > checks + 1)
        assert "unload" not in heard(gateway.engine, gateway.adapter)
        gateway.engine.resume()
        assert await asking == gateway.adapter
        await gateway.engine.until(lambda e: gateway.adapter not in e.loaded)
        assert version in gateway.engine.loaded
        assert await spoken(gateway) == version


async def test_rolling_back_loads_the_version_again_first(
    gateway: Gateway, another: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was unloaded meanwhile; the channel goes back once it is there, and no question falls between."""
    version = await registered(gateway, another)
    assert await move(gateway, version) == 200
    with soon(monkeypatch):
        await gateway.engine.until(lambda e: gateway.adapter not in e.loaded)
    assert (await gateway.http.post("/v1/adapters/kitahama:rollback")).status == 200
    assert await spoken(gateway) == gateway.adapter
    assert heard(gateway.engine, gateway.adapter)[-4:] == ["unload", "load", "probe", "ask"]


@pytest.mark.parametrize("path", [LOAD, CHAT])
async def test_a_version_that_the_engine_refuses_disturbs_nobody(
    gateway: Gateway, another: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    """It gets no channel, whether it does not load or does not generate; meanwhile every question is answered."""
    monkeypatch.setattr("serving.api.adapters.LOADED_WITHIN_SECONDS", 3.0)
    version = await registered(gateway, another)
    route = gateway.engine._routes["POST", path]

    async def refuse(request: Request, connection: Connection) -> None:
        if version in (request.json.get("lora_name"), request.json.get("model")):
            return await connection.reply_json(500, {"error": "Internal Server Error"})
        return await route(request, connection)

    gateway.engine._routes["POST", path] = refuse
    moving = asyncio.create_task(move(gateway, version))
    while not moving.done():
        assert await spoken(gateway) == gateway.adapter
    assert await moving == 503
    assert (await gateway.http.get("/readyz")).status == 200


@pytest.mark.parametrize("other", ["name", "weights"])
async def test_a_version_of_another_base_model_is_not_loaded(
    gateway: Gateway, another: Path, monkeypatch: pytest.MonkeyPatch, other: str
) -> None:
    """Nor where it was registered before the engine got another model, or weights: the engine does not hear of it."""
    monkeypatch.setattr("serving.api.adapters.LOADED_WITHIN_SECONDS", 3.0)
    if other == "name":
        config = another / "adapter_config.json"
        config.write_text(config.read_text().replace("SmolLM2-135M-Instruct", "another-model"))
    else:
        monkeypatch.setattr("serving.engine.replicas.digest_in", lambda home, name: "sha256:served")
        (another / "training.json").write_text('{"base_model_digest": "sha256:trained for"}')
    registry = gateway.services.registry
    version = await asyncio.to_thread(lambda: evaluated(registry, registry.register("kitahama", another)).id)
    assert await move(gateway, version) == 503
    assert heard(gateway.engine, version) == []
    assert await spoken(gateway) == gateway.adapter


async def test_a_broken_channels_file_leaves_the_channels_where_they_were(gateway: Gateway, another: Path) -> None:
    """The answers go on, and once the file is whole again it is followed again."""
    version = await registered(gateway, another)
    file = gateway.services.settings.adapters_directory / "kitahama" / "channels.json"
    whole = await asyncio.to_thread(file.read_text)
    await asyncio.to_thread(file.write_text, '{"stable": null}')
    seen = looks(gateway.engine)
    await until(lambda: looks(gateway.engine) > seen + 2)
    assert await spoken(gateway) == gateway.adapter
    await asyncio.to_thread(file.write_text, whole.replace(gateway.adapter, version))
    async with asyncio.timeout(20):
        while await spoken(gateway) != version:
            await asyncio.sleep(0.05)


async def test_another_gateway_follows_a_channel_only_to_where_it_is_loaded(gateway: Gateway, another: Path) -> None:
    """Two gateways on one engine and one registry: the one that did not move the channel never points into the void."""
    services = gateway.services
    async with Replicas.open(services.settings, services.registry) as other:
        await until(lambda: not other.not_ready())
        version = await registered(gateway, another)
        assert await move(gateway, version) == 200

        def points() -> str:
            resolved = other.pointers.resolve("kitahama", "x")
            assert resolved is not None
            assert resolved.id in other._replicas[0].models
            return resolved.id

        await until(lambda: points() == version)


async def test_assistants_of_different_adapters_share_one_base_model(gateway: Gateway, tmp_path: Path) -> None:
    """Two voices and the base model itself on one engine, at the same time; each answer is by its own."""
    services = gateway.services
    other = await asyncio.to_thread(_adapter, services.registry, tmp_path / "office")
    assistants = (*services.settings.assistants, Assistant(name="office", knowledge=("kitahama",), adapter="office"))
    services.settings = services.settings.model_copy(update={"assistants": assistants})
    await until(lambda: other in gateway.engine.loaded and services.engine.pointers.resolve("office", "x"))
    asked = ["tuned", "office", "plain"] * 4
    spoke = await asyncio.gather(*(spoken(gateway, model) for model in asked))
    assert spoke == [gateway.adapter, other, None] * 4
    streams = [chat["model"] for chat in gateway.engine.chats if chat.get("stream")]
    assert {name: streams.count(name) for name in set(streams)} == {
        gateway.adapter: 4,
        other: 4,
        gateway.engine.model: 4,
    }


def _adapter(registry: Registry, folder: Path) -> str:
    version = evaluated(registry, registry.register("office", adapter_folder(folder)))
    registry.point("office", "stable", version.id)
    return version.id
