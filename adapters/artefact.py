"""What an adapter artefact must be before the engine hears of it: a LoRA of known shape for the base model that runs.

Checked: which files there are, that they are plain files of bounded size, the safetensors header, tensor names, ranks
and shapes, that all weights are finite, and the base model's name and digest. Not checked: what the weights do; that is
the gate's matter.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from adapters.weights import BadWeights, Tensor, all_finite, read_header
from common.canonical import digest, digest_of
from common.errors import ErrorCode, InvalidRequest

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
TRAINING = "training.json"
REQUIRED = (WEIGHTS, CONFIG)
OPTIONAL = (TRAINING, "README.md", "card.md", "loss.png", "evaluation.json", "evaluation.svg", "model.sig")
MAX_BYTES = 512 * 1024 * 1024
MAX_SIDE_BYTES = 4 * 1024 * 1024
"""For every file but the weights."""

_MODULES = frozenset(
    {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj", "qkv_proj", "gate_up_proj"}
    | {"c_attn", "c_proj", "fc1", "fc2"}
)
_TENSOR = re.compile(r"^base_model\.model\.(?P<path>[A-Za-z0-9_.]{1,200})\.lora_(?P<side>[AB])\.weight$")
_MAX_SIDE = 1 << 20


@dataclass(frozen=True, slots=True)
class Base:
    """The base model that the engine serves. `digest` is None where nobody here knows its weights."""

    name: str
    digest: str | None = None


@dataclass(frozen=True, slots=True)
class Artefact:
    """A checked artefact. `digest` is over weights and configuration: all that decides what the engine computes."""

    digest: str
    base_model: str


def check(folder: Path, base: Base | None, max_rank: int) -> Artefact:
    """`folder`'s artefact. Raises InvalidRequest with the code `invalid_adapter`, which says what is wrong."""
    config = _read_object(folder / CONFIG)
    rank, modules = _check_config(config, max_rank)
    try:
        tensors, offset = read_header(folder / WEIGHTS)
    except BadWeights as wrong:
        raise refused(f"{WEIGHTS} {wrong}.") from wrong
    _check_tensors(tensors, rank, modules)
    if not all_finite(folder / WEIGHTS, tensors, offset):
        raise refused("Its weights hold infinities or values that are no numbers.", "Train it again at a lower rate.")
    training = training_of(folder)
    name = str(config.get("base_model_name_or_path") or "")
    if base is not None:
        check_base(name, training, base)
    if (said := training.get("weights_digest")) and said != digest((folder / WEIGHTS).read_bytes()):
        raise refused(f"{WEIGHTS} is not the file that {TRAINING} speaks of.", "Take both from one training run.")
    return Artefact(artefact_digest(folder), name)


def artefact_digest(folder: Path) -> str:
    """One digest over weights and configuration, each by its name and own digest."""
    return digest_of({name: digest((folder / name).read_bytes()) for name in REQUIRED})


def training_of(folder: Path) -> dict[str, Any]:
    """What training says of itself; empty where it says nothing. Raises InvalidRequest."""
    return _read_object(folder / TRAINING) if (folder / TRAINING).exists() else {}


def refused(what: str, do: str = "Send a PEFT LoRA adapter as safetensors.") -> InvalidRequest:
    return InvalidRequest(what, do, code=ErrorCode.INVALID_ADAPTER)


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as wrong:
        raise refused(f"{path.name} is missing or is no JSON.") from wrong
    if not isinstance(value, dict):
        raise refused(f"{path.name} is no JSON object.")
    return cast("dict[str, Any]", value)


def _check_config(config: dict[str, Any], max_rank: int) -> tuple[int, frozenset[str]]:
    rank, alpha, modules = config.get("r"), config.get("lora_alpha"), config.get("target_modules")
    if config.get("peft_type") != "LORA":
        raise refused(f"{CONFIG} is not a LoRA's.")
    if type(rank) is not int or not 1 <= rank <= max_rank:
        raise refused(f"Its rank is not between 1 and {max_rank}.", "Train a lower rank, or raise adapters.max_rank.")
    if (
        type(alpha) not in (int, float)
        or not math.isfinite(cast("float", alpha))
        or not 0 < cast("float", alpha) <= 4096
    ):
        raise refused("Its lora_alpha is no sensible number.")
    if not isinstance(modules, list) or not modules or not set(cast("list[Any]", modules)) <= _MODULES:
        raise refused(f"Its target_modules are not among {', '.join(sorted(_MODULES))}.")
    # Each of these changes what is computed in a way that the engine doesn't follow, or would have it run code.
    for key in (
        *("modules_to_save", "rank_pattern", "alpha_pattern", "use_dora", "fan_in_fan_out", "auto_mapping"),
        *("layer_replication", "target_parameters", "trainable_token_indices", "alora_invocation_tokens", "lora_bias"),
    ):
        if config.get(key):
            raise refused(f"{CONFIG} sets {key}, which the engine does not serve.", "Train a plain LoRA.")
    if config.get("bias", "none") != "none":
        raise refused(f"{CONFIG} trains biases, which the engine does not serve.", "Train with bias none.")
    return rank, frozenset(str(module) for module in cast("list[Any]", modules))


def _check_tensors(tensors: list[Tensor], rank: int, modules: frozenset[str]) -> None:
    """Every module has its A (rank, inputs) and its B (outputs, rank)."""
    sides: dict[str, set[str]] = {}
    for tensor in tensors:
        named = _TENSOR.match(tensor.name)
        if named is None or named["path"].rpartition(".")[2] not in modules:
            raise refused("It has a tensor that is no lora_A or lora_B of one of its target_modules.")
        inner, outer = tensor.shape if named["side"] == "A" else tensor.shape[::-1]
        if inner != rank or not 1 <= outer <= _MAX_SIDE:
            raise refused("It has a tensor whose shape does not fit its rank.")
        sides.setdefault(named["path"], set()).add(named["side"])
    if any(found != {"A", "B"} for found in sides.values()):
        raise refused("It has a lora_A without its lora_B, or the reverse.")


def fits(name: str, base: str) -> bool:
    """Whether both name one base model: the last part counts, since one may be a folder and the other a hub name."""
    return name.rstrip("/").rpartition("/")[2] == base.rstrip("/").rpartition("/")[2]


def check_base(name: str, training: dict[str, Any], base: Base) -> None:
    """Raises InvalidRequest where the adapter, of which `training` tells, was not trained for `base`."""
    if not fits(name, base.name):
        raise refused(
            "It was trained for another base model than the one that is served.",
            "Train it for the served one, or set engine.base_model to its own.",
        )
    trained_for = training.get("base_model_digest")
    if trained_for and base.digest and trained_for != base.digest:
        raise refused(
            "It was trained for other weights of the base model than those that are served.", "Train it again on these."
        )
