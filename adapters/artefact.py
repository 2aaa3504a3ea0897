"""What a LoRA artefact must be before the engine hears of it: two files, read here without executing anything.

Not covered: whether the weights are any good. That is the evaluation's and the gate's to say.
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, deserialize

from common.canonical import canonical, digest
from common.errors import ErrorCode, InvalidRequest

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
MAX_BYTES = 4 * 1024**3
MAX_HEADER_BYTES = 16 * 1024**2
MAX_RANK = 256
_TENSOR = re.compile(r"base_model\.model\.(?P<module>[\w.]+)\.lora_(?P<side>[AB])(?:\.default)?\.weight")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Artefact:
    """A LoRA that passed all checks. `digest` covers weights and configuration."""

    digest: str
    rank: int
    modules: tuple[str, ...]
    base_model: str
    weights: bytes
    config: bytes


def checked_name(name: str) -> str:
    """`name` as part of a path and of a model's name. Raises InvalidRequest for anything else."""
    if not _NAME.fullmatch(name) or ".." in name:
        raise _invalid(
            f"`{name[:60]}` can't be an adapter's name.", "Use small letters, digits, dot, dash and underscore."
        )
    return name


def read_artefact(folder: Path, *, max_rank: int, base_model: str | None = None) -> Artefact:
    """The artefact in `folder`. Raises InvalidRequest (`invalid_adapter`) that says what is wrong with it.

    `base_model` is the served model's name; an artefact made for another one is refused.
    """
    for name in (WEIGHTS, CONFIG):
        file = folder / name
        if file.is_symlink() or not file.is_file():
            raise _invalid(f"The adapter lacks the plain file {name}.", "Bring a PEFT LoRA saved as safetensors.")
        if file.stat().st_size > MAX_BYTES:
            raise _invalid(f"{name} is larger than {MAX_BYTES} bytes.", "Bring a LoRA, not a model.")
    raw_config = (folder / CONFIG).read_bytes()
    config = _config(raw_config)
    rank = config["r"]
    if rank > min(max_rank, MAX_RANK):
        raise _invalid(f"The adapter's rank is {rank}.", f"The engine is started for at most {max_rank}.")
    made_for = Path(str(config.get("base_model_name_or_path") or "")).name
    if base_model and made_for and made_for != Path(base_model).name:
        raise _invalid(f"The adapter was made for {made_for[:80]}, not for {base_model}.", "Train one for this model.")
    weights = (folder / WEIGHTS).read_bytes()
    modules = _modules(weights, rank)
    return Artefact(
        digest=digest(canonical({"weights": digest(weights), "config": digest(raw_config)})),
        rank=rank,
        modules=modules,
        base_model=made_for,
        weights=weights,
        config=raw_config,
    )


def _config(raw: bytes) -> dict[str, Any]:
    try:
        config = json.loads(raw)
        rank = config["r"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise _invalid(f"{CONFIG} is not a PEFT configuration.", "Save the adapter with PEFT.") from None
    if config.get("peft_type") != "LORA" or not isinstance(rank, int) or rank < 1:
        raise _invalid(f"{CONFIG} does not describe a LoRA with a rank.", "Save the adapter with PEFT.")
    if config.get("auto_mapping") or config.get("trust_remote_code") or config.get("modules_to_save"):
        raise _invalid(f"{CONFIG} asks for more than a plain LoRA.", "Train a LoRA without extra modules or code.")
    return config


def _modules(weights: bytes, rank: int) -> tuple[str, ...]:
    """The module names that the weights adapt; every tensor finite, two-dimensional and of the stated rank."""
    header = int.from_bytes(weights[:8], "little")
    if len(weights) < 8 or header > min(len(weights), MAX_HEADER_BYTES) or not weights[8:9] == b"{":
        raise _invalid(f"{WEIGHTS} is not a safetensors file.", "Save the adapter with `safe_serialization=True`.")
    sides: dict[str, set[str]] = {}
    for name, dtype, shape, data in _tensors(weights, header):
        match = _TENSOR.fullmatch(name)
        if match is None:
            raise _invalid(f"The tensor `{name[:80]}` is not part of a LoRA.", "Bring LoRA weights only.")
        if len(shape) != 2 or shape[0 if match["side"] == "A" else 1] != rank:
            raise _invalid(f"The tensor `{name[:80]}` does not have rank {rank}.", "Train the adapter again.")
        if not _finite(dtype, data):
            raise _invalid(f"The tensor `{name[:80]}` holds NaN or infinity.", "Train the adapter again.")
        sides.setdefault(match["module"], set()).add(match["side"])
    if not sides or any(found != {"A", "B"} for found in sides.values()):
        raise _invalid("The adapter lacks one half of a LoRA pair.", "Train the adapter again.")
    return tuple(sorted({module.rsplit(".", 1)[-1] for module in sides}))


def _tensors(weights: bytes, header: int) -> Iterator[tuple[str, str, list[int], bytes]]:
    """Name, type, shape and data of each tensor (format: huggingface/safetensors, README)."""
    try:
        # The library checks what the header promises against the bytes; the loop below then only reads it.
        deserialize(weights)
        described: dict[str, Any] = json.loads(weights[8 : 8 + header])
    except (SafetensorError, ValueError, RecursionError):
        raise _invalid(f"{WEIGHTS} is not a safetensors file.", "Save the adapter with PEFT.") from None
    for name, tensor in described.items():
        if name != "__metadata__":
            start, end = tensor["data_offsets"]
            yield name, tensor["dtype"], tensor["shape"], weights[8 + header + start : 8 + header + end]


# A number is infinite or NaN when all its exponent bits are set (IEEE 754; bfloat16 has float32's exponent).
_EXPONENTS = {"F32": ("<u4", 0x7F800000), "F16": ("<u2", 0x7C00), "BF16": ("<u2", 0x7F80)}


def _finite(dtype: str, data: bytes) -> bool:
    if dtype not in _EXPONENTS:
        raise _invalid(f"The weights have the type {dtype}.", "Save them as float32, float16 or bfloat16.")
    unsigned, exponent = _EXPONENTS[dtype]
    return not bool(((np.frombuffer(data, unsigned) & exponent) == exponent).any())


def _invalid(what: str, do: str) -> InvalidRequest:
    return InvalidRequest(what, do, code=ErrorCode.INVALID_ADAPTER)
