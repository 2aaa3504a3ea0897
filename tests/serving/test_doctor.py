"""`groundtone doctor` about the card and the engine's flags: with an nvidia-smi of the test's own, and without one."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from common.settings import Engine, Settings
from serving.cli.card import card_checks, token_bytes
from serving.cli.check import Check, State
from serving.cli.client import Client
from serving.cli.parts import engine_checks, public
from tests.fakes.engine import FakeEngine
from tests.fakes.server import Connection, Request
from tests.fakes.threaded import in_thread

GIB = 1024**3
QWEN_8B = {"num_hidden_layers": 36, "num_attention_heads": 32, "num_key_value_heads": 8, "head_dim": 128,
           "hidden_size": 4096, "max_position_embeddings": 40960, "torch_dtype": "bfloat16"}  # fmt: skip
QWEN_14B = QWEN_8B | {"num_hidden_layers": 40}
CARD_24 = "NVIDIA L4, 580.65.06, 24564, 12"
CARD_80 = "NVIDIA H100 80GB HBM3, 580.65.06, 81559, 3"

Doctor = Callable[..., dict[str, Check]]


@pytest.fixture
def smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Puts an `nvidia-smi` on PATH that says this and ends so; without it there is none."""
    programs = tmp_path / "bin"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))

    def say(*lines: str, code: int = 0) -> None:
        program = programs / "nvidia-smi"
        program.write_text("#!/bin/sh\n" + "".join(f"echo '{line}'\n" for line in lines) + f"exit {code}\n")
        program.chmod(0o755)

    return say


@pytest.fixture
def doctor(tmp_path: Path, smi: Callable[..., None]) -> Doctor:
    """What the doctor finds where vLLM is installed, by name, the worst of each."""

    def look(
        build: str = "vllm",
        config: dict[str, Any] = QWEN_8B,
        weights: float = 6.0,
        cuda: str = "13.0.96",
        running: bool = False,
        **engine: Any,
    ) -> dict[str, Check]:
        environment, model = tmp_path / f"engine-{build}", tmp_path / "model"
        packages = environment / "lib" / "python3.11" / "site-packages"
        for folder in (environment / "bin", packages / f"{build}-0.32.0.dist-info", model):
            folder.mkdir(parents=True, exist_ok=True)
        (packages / f"nvidia_cuda_runtime-{cuda}.dist-info").mkdir(exist_ok=True)
        (environment / "bin" / "python").touch()
        (model / "config.json").write_text(json.dumps(config))
        with (model / "model.safetensors").open("wb") as file:
            file.truncate(int(weights * GIB))  # a hole in the disk: nothing is written
        settings = Settings(engine=Engine(base_model=str(model), **engine))
        order = [State.OK, State.WARN, State.FAIL]
        found = list(card_checks(settings, tmp_path, environment, running=running))
        assert all(check.do for check in found if check.state is not State.OK)
        return {check.name: check for check in sorted(found, key=lambda check: order.index(check.state))}

    return look


def states(found: dict[str, Check]) -> dict[str, State]:
    return {name: check.state for name, check in found.items()}


def test_the_sizes_of_the_deployment_guide_fit(doctor: Doctor, smi: Callable[..., None]) -> None:
    """An 8B model of four bits on a card of 24 GB, a 14B one of sixteen on 80 GB: as many tokens as the page says."""
    smi(CARD_24)
    found = doctor(arguments=("--gpu-memory-utilization=0.90",))
    assert set(states(found).values()) == {State.OK}
    assert "weights 6.0 GiB, cache 14.1 GiB for 102,5" in found["model's memory"].found
    smi(CARD_80)
    found = doctor(config=QWEN_14B, weights=27.5, max_model_len=16384)
    assert set(states(found).values()) == {State.OK}
    assert "tokens of 160 KiB" in found["model's memory"].found


def test_a_model_that_does_not_fit_is_told_before_the_engine_runs_out_of_memory(
    doctor: Doctor, smi: Callable[..., None]
) -> None:
    """Neither the weights, nor one window beside them; nor a window that the model was not trained for."""
    smi(CARD_24)
    assert doctor(config=QWEN_14B, weights=27.5)["model's memory"].state is State.FAIL
    found = doctor(weights=15.0, max_model_len=65536)
    assert found["model's memory"].state is State.FAIL
    assert found["model's window"].state is State.FAIL
    assert "quantised" in found["model's memory"].do


def test_two_cards_hold_what_one_does_not(doctor: Doctor, smi: Callable[..., None]) -> None:
    """Where the engine is told to use them; three are not there."""
    smi(CARD_24, CARD_24)
    assert doctor(config=QWEN_14B, weights=27.5)["model's memory"].state is State.FAIL
    two = ("--tensor-parallel-size", "2")
    assert doctor(config=QWEN_14B, weights=27.5, arguments=two)["model's memory"].state is State.OK
    assert doctor(arguments=("--tensor-parallel-size=3",))["GPU memory"].state is State.FAIL


def test_an_old_driver_is_named_with_the_one_that_is_needed(doctor: Doctor, smi: Callable[..., None]) -> None:
    """By the CUDA version of the engine's own packages."""
    smi("NVIDIA L4, 550.54.15, 24564, 12")
    found = doctor()["driver"]
    assert (found.state, "580 or newer" in found.found) == (State.FAIL, True)
    assert doctor(build="vllm_twelve", cuda="12.8.90")["driver"].state is State.OK


def test_without_a_card_the_cuda_build_can_not_start(doctor: Doctor, smi: Callable[..., None]) -> None:
    """No program, or one that can't reach its driver: its own words, and the way to the CPU build."""
    found = doctor()["GPU"]
    assert (found.state, found.found) == (State.FAIL, "nvidia-smi is not on PATH")
    assert "ENGINE=cpu" in found.do
    said = "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."
    smi(said, code=9)
    assert doctor()["GPU"].found == said
    smi("who, knows")
    assert doctor()["GPU"].state is State.FAIL


def test_the_cpu_build_needs_none_and_says_where_one_is_idle(doctor: Doctor, smi: Callable[..., None]) -> None:
    """Its cache is what the settings give it, and one window must fit."""
    found = doctor(build="vllm_cpu")
    assert set(states(found).values()) == {State.OK}
    assert doctor(build="vllm_cpu", kv_cache_gib=1.0)["model's memory"].state is State.FAIL
    smi(CARD_24)
    assert doctor(build="vllm_cpu")["GPU"].state is State.WARN


def test_a_card_that_others_use_is_told_unless_the_engine_itself_does(doctor: Doctor, smi: Callable[..., None]) -> None:
    """Another process's memory is missing at the start, and vLLM would not say whose it is."""
    smi("NVIDIA L4, 580.65.06, 24564, 9000")
    assert doctor()["GPU memory"].state is State.FAIL
    assert "GPU memory" not in doctor(running=True)


@pytest.mark.parametrize(
    ("argument", "state"),
    [
        ("--max-model-len=4096", State.FAIL),
        ("--api-key=secret", State.FAIL),
        ("--enable-log-requests", State.WARN),
        ("--no-enable-prefix-caching", State.WARN),
        ("--max-num-seqs=32", State.OK),
    ],
)
def test_flags_that_contradict_the_settings_are_named(
    doctor: Doctor, smi: Callable[..., None], argument: str, state: State
) -> None:
    """The gateway cuts prompts by the setting, whatever vLLM was told; and nobody's question belongs in a log."""
    smi(CARD_24)
    assert doctor(arguments=(argument,))["engine flags"].state is state


def test_nothing_is_looked_for_where_the_engine_runs_elsewhere(doctor: Doctor) -> None:
    """A gateway's machine needs no card."""
    assert doctor(urls=("http://10.0.0.5:8000",)) == {}


def test_the_cache_of_a_token_follows_from_the_models_configuration() -> None:
    """Qwen3-8B takes 144 KiB in 16 bits; a model of few words about itself has its heads and sizes derived."""
    assert token_bytes(QWEN_8B) == 144 * 1024
    short = {"num_hidden_layers": 2, "num_attention_heads": 4, "hidden_size": 256, "dtype": "float32"}
    assert token_bytes({"text_config": short}) == 2 * 2 * 4 * 64 * 4


class Telling(FakeEngine):
    """An engine that says of its cache what vLLM does."""

    caching = "True"

    async def _metrics(self, request: Request, connection: Connection) -> None:
        line = f'vllm:cache_config_info{{enable_prefix_caching="{self.caching}",kv_cache_size_tokens="95232"}} 1.0\n'
        await connection.reply(200, line.encode(), "text/plain")


def test_the_running_engine_is_asked_for_its_flags() -> None:
    """Whether it loads adapters and keeps prefixes, and how many tokens its cache has: in a container too."""
    with in_thread(Telling()) as engine:
        client = Client(engine.url, None)
        found = {check.name: check for check in engine_checks(client, 8192)}
        assert (found["engine cache"].found, "engine flags" in found) == ("95,232 tokens", False)
        engine.caching = "False"
        assert {check.name: check for check in engine_checks(client, 8192)}["engine flags"].state is State.WARN
        engine.caching = "True"
        del engine._routes["POST", "/v1/load_lora_adapter"]
        flags = {check.name: check for check in engine_checks(client, 8192)}["engine flags"]
        assert (flags.state, "VLLM_ALLOW_RUNTIME_LORA_UPDATING" in flags.do) == (State.FAIL, True)


def test_a_part_without_authorisation_on_a_public_address_is_told() -> None:
    """Chroma, the engine and the knowledge process belong on loopback or a private network."""
    assert public("http://8.8.8.8:8000")
    assert not any(public(f"http://{host}:8000") for host in ("127.0.0.1", "10.0.0.5", "[::1]", "vectors"))
