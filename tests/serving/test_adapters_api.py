"""Registering adapters and moving channels over HTTP, with a fake engine that loads them."""

import asyncio
import io
import json
import pickle
import struct
import tarfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from adapters import Registry
from adapters.artefact import artefact_digest
from adapters.evaluation.bounds import Share
from common.errors import EngineUnavailable
from common.settings import Assistant, Gate
from tests.adapters.conftest import evaluated, evaluation
from tests.serving.conftest import Gateway, adapter_folder, session


def archive(folder: Path, *, names: tuple[str, ...] = ("adapter_model.safetensors", "adapter_config.json")) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as tar:
        for name in names:
            tar.add(folder / Path(name).name, arcname=name)
    return out.getvalue()


@pytest.fixture
def another(tmp_path: Path) -> Path:
    """A second adapter with other weights."""
    folder = adapter_folder(tmp_path / "another")
    file = folder / "adapter_model.safetensors"
    save_file({name: tensor * 2 for name, tensor in load_file(file).items()}, file)
    return folder


async def registered(gateway: Gateway, folder: Path) -> str:
    """The id of a version that came over HTTP and then passed its gate."""
    made = await (await gateway.http.post("/v1/adapters/kitahama/versions", data=archive(folder))).json()
    registry = gateway.services.registry
    return evaluated(registry, registry.version(made["id"])).id


async def test_a_new_version_is_registered_loaded_promoted_and_rolled_back(gateway: Gateway, another: Path) -> None:
    """The channel moves once the engine serves the version, and back again; every answer says which one spoke."""
    made = await gateway.http.post("/v1/adapters/kitahama/versions", data=archive(another))
    assert made.status == 201
    version = await registered(gateway, another)
    assert version == (await made.json())["id"] != gateway.adapter
    moved = await gateway.http.put("/v1/adapters/kitahama/channels/stable", json={"version": version})
    assert moved.status == 200, await moved.text()
    assert version in gateway.engine.loaded
    assert (await (await gateway.ask(model="tuned")).json())["groundtone"]["adapter"] == version
    assert (await gateway.http.post("/v1/adapters/kitahama:rollback")).status == 200
    assert (await (await gateway.ask(model="tuned")).json())["groundtone"]["adapter"] == gateway.adapter


async def test_a_canary_keeps_a_conversation_on_one_version(gateway: Gateway, another: Path) -> None:
    """A share of conversations meets the canary, and each stays where it began."""
    version = await registered(gateway, another)
    moved = await gateway.http.put("/v1/adapters/kitahama/channels/canary", json={"version": version, "share": 50})
    assert moved.status == 200
    spoke: set[str] = set()
    for conversation in range(12):
        twice = [
            (await (await gateway.ask(model="tuned", groundtone={"conversation": str(conversation)})).json())[
                "groundtone"
            ]["adapter"]
            for _ in range(2)
        ]
        assert twice[0] == twice[1]
        spoke.add(twice[0])
    assert spoke == {version, gateway.adapter}


async def test_an_archive_with_anything_else_in_it_is_refused(gateway: Gateway, another: Path) -> None:
    """A path that climbs, a link, a truncated file: 400, and nothing is registered."""
    climbing = archive(another, names=("../adapter_config.json",))
    linked = io.BytesIO()
    with tarfile.open(fileobj=linked, mode="w:gz") as tar:
        tar.addfile(link("adapter_config.json", "/etc/passwd"))
    for bad in (climbing, linked.getvalue(), archive(another)[:100], b"not an archive", b""):
        response = await gateway.http.post("/v1/adapters/kitahama/versions", data=bad)
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "invalid_adapter"
    listed = await (await gateway.http.get("/v1/adapters")).json()
    assert [v["id"] for v in listed["data"][0]["versions"]] == [gateway.adapter]


async def test_a_version_that_the_engine_does_not_serve_gets_no_channel(
    gateway: Gateway, another: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An adapter without effect never reaches a client."""
    monkeypatch.setattr("serving.api.adapters.LOADED_WITHIN_SECONDS", 3.0)
    version = await registered(gateway, another)
    gateway.engine.ineffective.add(version)
    moved = await gateway.http.put("/v1/adapters/kitahama/channels/stable", json={"version": version})
    assert moved.status == 503
    assert (await (await gateway.ask(model="tuned")).json())["groundtone"]["adapter"] == gateway.adapter


async def test_what_has_not_passed_its_gate_reaches_no_channel(gateway: Gateway, another: Path) -> None:
    """Not over HTTP, though it brings an evaluation of its own along, and not by a file that names it."""
    registry = gateway.services.registry
    brought = evaluation(artefact_digest(another))
    (another / "evaluation.json").write_text(json.dumps(brought.to_wire()))
    sent = archive(another, names=("adapter_model.safetensors", "adapter_config.json", "evaluation.json"))
    made = await (await gateway.http.post("/v1/adapters/kitahama/versions", data=sent)).json()
    assert (made["gate"], made["metrics"]) == ("none", {})
    for below in (False, True):
        for channel, share in (("stable", None), ("canary", 50)):
            body = {"version": made["id"], "share": share}
            moved = await gateway.http.put(f"/v1/adapters/kitahama/channels/{channel}", json=body)
            assert moved.status == 409
            error = (await moved.json())["error"]
            assert error["code"] == "gate_not_passed"
            assert ("missed tone.en" if below else "was not evaluated") in error["message"]
        worse = evaluation(made["digest"], tone=Share.of([True] * 50 + [False] * 50))
        registry.evaluated(made["id"], worse)
    channels = settings_folder(gateway) / "kitahama" / "channels.json"
    channels.write_text(json.dumps({"stable": made["id"], "canary": None, "former": [gateway.adapter]}))
    await gateway.services.engine.read_channels()
    answer = await gateway.ask(model="tuned")
    assert (answer.status, (await answer.json())["error"]["code"]) == (503, "engine_unavailable")
    assert made["id"] not in gateway.engine.loaded
    assert (await gateway.http.post("/v1/adapters/kitahama:rollback")).status == 200
    assert (await (await gateway.ask(model="tuned")).json())["groundtone"]["adapter"] == gateway.adapter


async def test_what_has_not_passed_its_gate_is_reached_on_no_other_way(gateway: Gateway, another: Path) -> None:
    """Not as a model's name, in a field, as an assistant's adapter, or by a process with laxer thresholds."""
    made = await (await gateway.http.post("/v1/adapters/kitahama/versions", data=archive(another))).json()
    assert (await gateway.ask(model=made["id"])).status == 404
    for fields in ({"adapter": made["id"]}, {"groundtone": {"adapter": made["id"]}}, {"lora_request": made["id"]}):
        assert (await gateway.ask(model="tuned", **fields)).status == 400
    with pytest.raises(EngineUnavailable):
        gateway.services.adapter_of(Assistant(name="direct", adapter=made["id"]), "x")
    lax = Registry(settings_folder(gateway), gate=Gate(required=False))
    await asyncio.to_thread(lax.point, "kitahama", "canary", made["id"], 100)
    await gateway.services.engine.read_channels()
    assert (await (await gateway.ask(model="tuned")).json())["groundtone"]["adapter"] == gateway.adapter
    await asyncio.to_thread(lax.point, "kitahama", "stable", made["id"])
    await asyncio.to_thread(lax.point, "kitahama", "stable", gateway.adapter)
    assert (await gateway.http.post("/v1/adapters/kitahama:rollback")).status == 409
    assert made["id"] not in gateway.engine.loaded


async def test_without_a_conversation_user_or_key_keep_to_a_side(gateway: Gateway, another: Path) -> None:
    """Of one key all questions meet the same version; its users are spread by their names."""
    version = await registered(gateway, another)
    body = {"version": version, "share": 50}
    assert (await gateway.http.put("/v1/adapters/kitahama/channels/canary", json=body)).status == 200

    async def spoke(**fields: Any) -> str:
        return (await (await gateway.ask(model="tuned", **fields)).json())["groundtone"]["adapter"]

    assert len({await spoke() for _ in range(4)}) == 1
    sides = [{await spoke(user=f"u{i}") for _ in range(2)} for i in range(10)]
    assert all(len(side) == 1 for side in sides)
    assert set[str]().union(*sides) == {version, gateway.adapter}


def settings_folder(gateway: Gateway) -> Path:
    return gateway.services.settings.adapters_directory


async def test_version_and_moves_name_the_key_that_made_them(gateway: Gateway, another: Path) -> None:
    """Who and when: a key's public id, not its secret. What the configuration brought along has none."""
    made = await gateway.http.post("/v1/keys", json={"name": "ops", "scopes": ["adapters:read", "adapters:write"]})
    key = await made.json()
    async with session(gateway.url, key["key"]) as ops:
        version = (await (await ops.post("/v1/adapters/kitahama/versions", data=archive(another))).json())["id"]
        registry = gateway.services.registry
        await asyncio.to_thread(lambda: evaluated(registry, registry.version(version)))
        body = {"version": version, "share": 10}
        assert (await ops.put("/v1/adapters/kitahama/channels/canary", json=body)).status == 200
        assert (await ops.post("/v1/adapters/kitahama:rollback")).status == 200
        (told,) = (await (await ops.get("/v1/adapters")).json())["data"]
    assert {v["id"]: v["by"] for v in told["versions"]} == {gateway.adapter: "", version: key["id"]}
    assert [move["by"] for move in told["moves"]] == ["", key["id"], key["id"]]
    assert told["moves"][1]["canary"] == body


ATTACKS = {
    "a path that climbs": lambda f, tar: tar.add(f / "adapter_config.json", "../adapter_config.json"),
    "an absolute path": lambda f, tar: tar.addfile(tarfile.TarInfo("/adapter_config.json")),
    "a .bin": lambda f, tar: tar.add(f / "adapter_config.json", "adapter_model.bin"),
    "a hub id": lambda f, tar: f.joinpath("adapter_config.json").write_text('"someone/adapter"'),
    "a URL": lambda f, tar: f.joinpath("adapter_config.json").write_text('"https://example.com/adapter"'),
    "a pickle": lambda f, tar: f.joinpath("adapter_model.safetensors").write_bytes(pickle.dumps({})),
    "a 10 GB header": lambda f, tar: f.joinpath("adapter_model.safetensors").write_bytes(
        struct.pack("<Q", 10 * 1024**3) + b"{}" * 100
    ),
    "rank 4096": lambda f, tar: changed(f, r=4096),
    "another base": lambda f, tar: changed(f, base_model_name_or_path="someone/another"),
    "not a number": lambda f, tar: save_file(
        {n: t * np.float32("nan") for n, t in load_file(f / "adapter_model.safetensors").items()},
        f / "adapter_model.safetensors",
    ),
    "a symlink": lambda f, tar: tar.addfile(link("adapter_model.safetensors", "/etc/passwd")),
    "a wrong digest": lambda f, tar: f.joinpath("training.json").write_text('{"weights_digest": "sha256:00"}'),
}


def link(name: str, to: str) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type, made.linkname = tarfile.SYMTYPE, to
    return made


def changed(folder: Path, **keys: object) -> None:
    file = folder / "adapter_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | keys))


async def test_the_engine_hears_of_no_bad_artefact(gateway: Gateway, tmp_path: Path) -> None:
    """Each line of ABUSE.md 19, sent as an import from elsewhere: 400, no version, and no word to the engine."""
    before = dict(gateway.engine.loaded)
    for i, (name, attack) in enumerate(ATTACKS.items()):
        folder = adapter_folder(tmp_path / f"bad{i}")
        out = io.BytesIO()
        with tarfile.open(fileobj=out, mode="w:gz") as tar:
            attack(folder, tar)
            for file in sorted(folder.iterdir()):
                tar.add(file, file.name)
        sent = await gateway.http.post("/v1/adapters/imported/versions", data=out.getvalue())
        assert (sent.status, (await sent.json())["error"]["code"]) == (400, "invalid_adapter"), name
    good = archive(adapter_folder(tmp_path / "good"))
    for query in ("?digest=sha256:00", "?digest="):
        sent = await gateway.http.post(f"/v1/adapters/imported/versions{query}", data=good)
        assert (sent.status, (await sent.json())["error"]["code"]) == (400, "invalid_adapter"), query
    listed = (await (await gateway.http.get("/v1/adapters")).json())["data"]
    assert [adapter["name"] for adapter in listed] == ["kitahama"]
    assert gateway.engine.loaded == before


async def test_the_weights_of_the_base_model_count_where_they_are_known(gateway: Gateway, another: Path) -> None:
    """By name it fits; it was trained for other weights than those that were made ready here."""
    home = gateway.services.settings.home / "models" / gateway.services.engine.base_model
    home.mkdir(parents=True)
    (home / "groundtone.json").write_text('{"digest": "sha256:1", "conversion": "1"}')
    for digest, status in (("sha256:2", 400), ("sha256:1", 201)):
        (another / "training.json").write_text(json.dumps({"base_model_digest": digest}))
        sent = archive(another, names=("adapter_model.safetensors", "adapter_config.json", "training.json"))
        assert (await gateway.http.post("/v1/adapters/kitahama/versions", data=sent)).status == status


async def test_what_was_changed_on_disk_is_not_loaded_again(gateway: Gateway) -> None:
    """An engine that restarts gets the bytes that were registered, or none: here one byte of them was changed."""
    version = gateway.services.registry.version(gateway.adapter)
    weights = version.path / "adapter_model.safetensors"
    held = bytearray(weights.read_bytes())
    held[-1] ^= 1
    weights.chmod(0o644)
    weights.write_bytes(held)
    gateway.engine.loaded.clear()
    async with asyncio.timeout(20):
        while (await gateway.http.get("/readyz")).status == 200:
            await asyncio.sleep(0.02)
    assert gateway.engine.loaded == {}
    assert (await gateway.ask(model="tuned")).status == 503


async def test_a_channel_that_moves_under_load_gives_each_answer_one_version(gateway: Gateway, another: Path) -> None:
    """ABUSE.md 20: what a client is told, what its receipt says and what the engine was asked for are one name.

    Versions have names of their own and are never loaded again in place, so no cached block of old weights fits.
    """
    versions = (gateway.adapter, await registered(gateway, another))
    asked: list[asyncio.Task[dict[str, Any]]] = []

    async def ask(i: int) -> dict[str, Any]:
        told = (await (await gateway.ask(f"What is the fee of card {i}?", model="tuned")).json())["groundtone"]
        return {"adapter": told["adapter"], "receipt": (await gateway.receipt(told["receipt"]))["intent"]["adapter"]}

    for move in range(6):
        asked += [asyncio.create_task(ask(10 * move + i)) for i in range(10)]
        body = {"version": versions[(move + 1) % 2]}
        assert (await gateway.http.put("/v1/adapters/kitahama/channels/stable", json=body)).status == 200
    answers = await asyncio.gather(*asked)
    assert all(answer["adapter"] == answer["receipt"] for answer in answers)
    assert {answer["adapter"] for answer in answers} == set(versions)
    served = Counter(chat["model"] for chat in gateway.engine.chats if chat.get("stream"))
    assert served == Counter(answer["adapter"] for answer in answers)
    loads = [r.json for r in gateway.engine.requests if r.path == "/v1/load_lora_adapter"]
    assert sorted(load["lora_name"] for load in loads) == sorted(versions)
    assert not any(load.get("load_inplace") for load in loads)
