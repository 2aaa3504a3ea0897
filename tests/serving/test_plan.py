"""What `groundtone up` would start, and how vLLM is told."""

import json
import socket
from pathlib import Path

import pytest

from common.settings import Adapters, Engine, KnowledgeService, Server, Settings, Vectors
from serving.home import Home
from serving.supervisor import plan
from serving.supervisor.engine_command import Command, Device, engine_command
from serving.supervisor.plan import CannotStart, free_ports, make_plan


@pytest.fixture
def with_engine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An engine's environment without an engine in it."""
    python = tmp_path / "venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.touch()
    monkeypatch.setattr(plan, "ENGINE_ENVIRONMENT", tmp_path / "venv")
    return python


def test_the_plan_leaves_out_what_runs_elsewhere(tmp_path: Path) -> None:
    """Addresses in the settings are used, and told to the parts that are started."""
    settings = Settings(
        home=tmp_path,
        server=Server(port=free_ports(1)[0]),
        engine=Engine(urls=("http://10.0.0.1:8000", "http://10.0.0.2:8000")),
        vectors=Vectors(url="http://10.0.0.3:8000"),
        knowledge=KnowledgeService(url="http://10.0.0.4:8000"),
    )
    made = make_plan(settings, Home(tmp_path))
    assert [one.name for one in made.parts] == ["gateway"]
    told = made.parts[0].command(None).environment
    assert json.loads(told["GROUNDTONE_ENGINE__URLS"]) == list(settings.engine.urls)
    assert json.loads(told["GROUNDTONE_KNOWLEDGE__URL"]) == ["http://10.0.0.4:8000"]
    assert made.address == f"http://127.0.0.1:{settings.server.port}"


def test_the_plan_starts_everything_on_one_machine(tmp_path: Path, with_engine: Path) -> None:
    """Each behind a port of its own, the gateway last."""
    made = make_plan(Settings(home=tmp_path, server=Server(port=0)), Home(tmp_path))
    assert [one.name for one in made.parts] == ["engine", "vectors", "knowledge", "gateway"]
    assert len({one.address for one in made.parts}) == 4
    engine = made.parts[0].command({"path": str(tmp_path), "served": "small"})
    assert engine.arguments[0] == str(with_engine)


def test_a_port_in_use_is_told_before_anything_starts(tmp_path: Path, with_engine: Path) -> None:
    """A model that loads for a minute and then can't be reached helps nobody."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(CannotStart, match=f"port {port}.*GROUNDTONE_PORT"):
            make_plan(Settings(home=tmp_path, server=Server(port=port)), Home(tmp_path))


def test_a_missing_engine_environment_says_how_to_make_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One command repairs it."""
    monkeypatch.setattr(plan, "ENGINE_ENVIRONMENT", tmp_path / "none")
    with pytest.raises(CannotStart, match="make up"):
        make_plan(Settings(home=tmp_path, server=Server(port=0)), Home(tmp_path))


def test_the_engine_is_started_the_same_way_on_both_devices(tmp_path: Path) -> None:
    """The CPU adds its own flags; the settings' arguments come last and so have the last word."""
    settings = Settings(
        home=tmp_path, engine=Engine(arguments=("--seed", "7"), kv_cache_gib=3), adapters=Adapters(max_rank=32)
    )

    def command(device: Device) -> Command:
        return engine_command(settings, python="python", model="org/model", served="model", port=1, device=device)

    cpu, cuda = command(Device.CPU), command(Device.CUDA)
    assert "--enforce-eager" in cpu.arguments
    assert "--enforce-eager" not in cuda.arguments
    assert cpu.arguments[cpu.arguments.index("--worker-extension-cls") + 1] == "adapters.lora_on_cpu.Extension"
    assert "--worker-extension-cls" not in cuda.arguments
    assert cpu.environment["VLLM_CPU_KVCACHE_SPACE"] == "3"
    for one in (cpu, cuda):
        assert list(one.arguments[-2:]) == ["--seed", "7"]
        assert one.arguments[one.arguments.index("--max-lora-rank") + 1] == "32"
        assert one.environment["VLLM_ALLOW_RUNTIME_LORA_UPDATING"] == "True"
        assert one.environment["VLLM_NO_USAGE_STATS"] == "1"
        assert "HF_HUB_OFFLINE" not in one.environment


def test_the_engines_key_is_not_on_its_command_line(tmp_path: Path) -> None:
    """Every user of a machine can list the arguments of every process."""
    (tmp_path / "engine.key").write_text("secret-of-the-engine\n")
    settings = Settings(home=tmp_path, engine=Engine(api_key_file=tmp_path / "engine.key"))
    made = engine_command(settings, python="p", model=str(tmp_path), served="m", port=1, device=Device.CPU)
    assert "secret-of-the-engine" not in " ".join(made.arguments)
    assert made.environment["VLLM_API_KEY"] == "secret-of-the-engine"
    assert made.environment["HF_HUB_OFFLINE"] == "1"
