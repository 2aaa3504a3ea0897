"""A small valid artefact, made by hand, and the sample firm's samples and documents."""

import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters.documents import read_documents
from adapters.pairs import Pairs
from adapters.samples import read_samples

SAMPLE = Path(__file__).parents[2] / "examples" / "kitahama"
BASE = "SmolLM2-135M-Instruct"
DTYPES = {"F32": "<f4", "F16": "<f2"}


def safetensors(tensors: dict[str, np.ndarray[Any, Any]], dtype: str = "F32") -> bytes:
    """The bytes of a safetensors file, written without the library, so that broken ones can be written too."""
    header: dict[str, Any] = {}
    data = b""
    for name, tensor in sorted(tensors.items()):
        raw = tensor.astype(DTYPES[dtype]).tobytes()
        header[name] = {"dtype": dtype, "shape": list(tensor.shape), "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    head = json.dumps(header).encode()
    return struct.pack("<Q", len(head)) + head + data


def tensors(rank: int = 4, fill: float = 0.5) -> dict[str, np.ndarray[Any, Any]]:
    module = "base_model.model.model.layers.0.self_attn.q_proj"
    return {
        f"{module}.lora_A.weight": np.full((rank, 8), fill, dtype=np.float32),
        f"{module}.lora_B.weight": np.full((6, rank), fill, dtype=np.float32),
    }


def config(**changed: Any) -> dict[str, Any]:
    return {
        "peft_type": "LORA",
        "r": 4,
        "lora_alpha": 8,
        "target_modules": ["q_proj"],
        "bias": "none",
        "base_model_name_or_path": BASE,
    } | changed


def write(folder: Path, weights: bytes | None = None, **changed: Any) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors()) if weights is None else weights)
    (folder / "adapter_config.json").write_text(json.dumps(config(**changed)))
    return folder


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return write(tmp_path / "made")


@pytest.fixture(scope="session")
def pairs() -> Pairs:
    return Pairs("Kitahama Trust", read_samples(SAMPLE / "samples.jsonl"), read_documents(SAMPLE / "documents"))
