"""What `groundtone doctor` looks at where an engine is started here: card, driver, and whether the model fits."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.settings import Settings
from serving.cli.check import Check, fail, ok, warn
from serving.supervisor.engine_command import BUNDLED, Device, device_of

_GIB = 1024**3
_MIB = 1024**2
_FIELDS = ("name", "driver_version", "memory.total", "memory.used")
_DRIVERS = {12: 525, 13: 580}
"""The oldest driver series that runs a CUDA version: NVIDIA, CUDA Compatibility."""
_SHARE = 0.92
"""Of the card's memory that vLLM 0.32 takes, unless `--gpu-memory-utilization` says otherwise."""
_WORKING = 1.5 * _GIB
"""What the computation itself takes besides weights and cache, about."""
_BYTES = {"float32": 4, "fp8": 1}
_OURS = {
    "--max-model-len": "engine.max_model_len",
    "--max-lora-rank": "adapters.max_rank",
    "--served-model-name": "engine.base_model",
    "--model": "engine.base_model",
    "--api-key": "engine.api_key_file",
}


@dataclass(frozen=True, slots=True)
class Card:
    """One GPU; memory in bytes."""

    name: str
    driver: str
    total: int
    used: int


def card_checks(settings: Settings, home: Path, environment: Path, *, running: bool) -> Iterator[Check]:
    """For the engine that `groundtone up` starts from `environment`; nothing where engines run elsewhere."""
    if settings.engine.urls or not (environment / "bin" / "python").exists():
        return
    yield flags(settings.engine.arguments)
    device = device_of(environment)
    found, problem = cards()
    if device is Device.CPU:
        if found:
            yield warn("GPU", f"{found[0].name} is not used: the engine is vLLM's CPU build", "`make up ENGINE=cuda`.")
        else:
            yield ok("GPU", "none, and the engine is vLLM's CPU build")
        room = settings.engine.kv_cache_gib * _GIB
        yield from _fits(settings, home, room, "engine.kv_cache_gib", weights_too=False)
        return
    if not found:
        do = "Install NVIDIA's driver and see that `nvidia-smi` works, or take the CPU build: `make up ENGINE=cpu`."
        yield fail("GPU", problem or "nvidia-smi sees no card", do)
        return
    for card in found:
        yield ok("GPU", f"{card.name}, {card.total / _GIB:.0f} GiB")
    yield _driver(found[0].driver, environment)
    number = int(_argument(settings.engine.arguments, "--tensor-parallel-size") or 1)
    share = float(_argument(settings.engine.arguments, "--gpu-memory-utilization") or _SHARE)
    if number > len(found):
        yield fail("GPU memory", f"{len(found)} cards of {number}", "Correct --tensor-parallel-size.")
        return
    if not running and (taken := max(card.used for card in found)) > (1 - share) * found[0].total:
        do = "`nvidia-smi` lists the processes: end them, or lower --gpu-memory-utilization in engine.arguments."
        yield fail("GPU memory", f"{taken / _GIB:.1f} GiB are used by others", do)
    room = sum(card.total * share - _WORKING for card in found[:number])
    yield from _fits(settings, home, room, "--gpu-memory-utilization", weights_too=True)


def cards() -> tuple[list[Card], str]:
    """The cards as `nvidia-smi` lists them; none, and why, where it can't."""
    program = shutil.which("nvidia-smi")
    if program is None:
        return [], "nvidia-smi is not on PATH"
    command = [program, f"--query-gpu={','.join(_FIELDS)}", "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20)
        lines = [[cell.strip() for cell in line.split(",")] for line in done.stdout.splitlines() if line.strip()]
        if done.returncode:
            return [], (done.stdout.strip() or done.stderr.strip() or "nvidia-smi fails").splitlines()[0]
        return [Card(n, driver, int(total) * _MIB, int(used) * _MIB) for n, driver, total, used in lines], ""
    except (OSError, ValueError, subprocess.TimeoutExpired):
        return [], "nvidia-smi does not answer as it should"


def flags(arguments: Sequence[str]) -> Check:
    """Arguments that contradict a setting, or that write down what nobody should read."""
    given = {argument.partition("=")[0] for argument in arguments}
    for flag in _OURS.keys() & given:
        return fail("engine flags", f"engine.arguments has {flag}", f"Set {_OURS[flag]} instead: the gateway uses it.")
    if "--enable-log-requests" in given:
        return warn("engine flags", "questions are written into the engine's log", "Remove --enable-log-requests.")
    if "--no-enable-prefix-caching" in given:
        return warn("engine flags", "no prefix cache", "Remove --no-enable-prefix-caching: prompts are laid for it.")
    return ok("engine flags", " ".join(arguments) or "those of groundtone")


def _driver(found: str, environment: Path) -> Check:
    runtime = next(environment.glob("lib/python*/site-packages/nvidia_cuda_runtime*.dist-info"), None)
    version = runtime.name.removesuffix(".dist-info").rpartition("-")[2] if runtime else ""
    least = _DRIVERS.get(int(version.partition(".")[0] or 0), 0)
    series = found.partition(".")[0]
    if series.isdigit() and int(series) < least:
        return fail("driver", f"{found}; CUDA {version} needs {least} or newer", "Install a newer NVIDIA driver.")
    return ok("driver", f"{found}, for CUDA {version}" if version else found)


def _fits(settings: Settings, home: Path, room: float, what: str, *, weights_too: bool) -> Iterator[Check]:
    folder = _folder(settings.engine.base_model, home)
    if folder is None:
        do = "`doctor` compares again once the engine has fetched it; its log says how many tokens the cache holds."
        yield warn("model's memory", f"{settings.engine.base_model} is not on this disk yet", do)
        return
    try:
        config = json.loads((folder / "config.json").read_text())
        weights = sum(file.stat().st_size for file in folder.glob("*.safetensors")) if weights_too else 0
        token = token_bytes(config)
    except (OSError, ValueError, KeyError, TypeError):
        yield warn("model's memory", f"{folder.name}: config.json does not say", "The engine's log does.")
        return
    window = settings.engine.max_model_len
    trained = config.get("text_config", config).get("max_position_embeddings")
    if trained and window > trained:
        yield fail("model's window", f"{trained} tokens, and {window} are set", "Lower engine.max_model_len.")
    left = room - weights
    found = f"weights {weights / _GIB:.1f} GiB, " if weights_too else ""
    found += f"cache {left / _GIB:.1f} GiB for {max(0, int(left // token)):,} tokens of {token / 1024:.0f} KiB"
    if left < window * token:
        do = f"A smaller or quantised model, a smaller engine.max_model_len than {window}, or a higher {what}."
        yield fail("model's memory", found, do)
    else:
        yield ok("model's memory", found)


def token_bytes(config: dict[str, Any]) -> int:
    """Bytes of the key-value cache a token: two of each layer, of each key-value head. Raises KeyError, TypeError."""
    model = config.get("text_config", config)
    heads = model["num_attention_heads"]
    size = model.get("head_dim") or model["hidden_size"] // heads
    kind = str(model.get("dtype") or model.get("torch_dtype"))
    return 2 * model["num_hidden_layers"] * (model.get("num_key_value_heads") or heads) * size * _BYTES.get(kind, 2)


def _folder(name: str, home: Path) -> Path | None:
    """Where the model's files are on this machine."""
    from adapters.base_model import BUNDLED_NAME

    if name == BUNDLED:
        places = [home / "models" / BUNDLED_NAME]
    elif (folder := Path(name).expanduser()).is_dir():
        places = [folder]
    else:
        hub = Path(os.environ.get("HF_HOME", "~/.cache/huggingface")).expanduser() / "hub"
        places = sorted((hub / f"models--{name.replace('/', '--')}" / "snapshots").glob("*"))
    return next((place for place in places if (place / "config.json").is_file()), None)


def _argument(arguments: Sequence[str], flag: str) -> str | None:
    """The value of a flag, however it was written."""
    for place, argument in enumerate(arguments):
        name, equals, value = argument.partition("=")
        if name == flag:
            return value if equals else next(iter(arguments[place + 1 :]), None)
    return None
