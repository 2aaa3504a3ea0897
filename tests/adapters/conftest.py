"""A small valid artefact, made by hand, and the sample firm's samples and documents."""

import json
import os
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from adapters import Registry, Version
from adapters.documents import read_documents
from adapters.evaluation.bounds import Share
from adapters.evaluation.evaluation import METRICS, Evaluation
from adapters.pairs import Pairs
from adapters.samples import read_samples

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "examples" / "kitahama"


def in_the_engines_environment(script: str) -> None:
    """Runs Python where torch and vLLM are; what it asserts is the test."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "VLLM_PLUGINS": ""}
    command = [str(ROOT / ".venv-engine" / "bin" / "python"), "-c", script]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


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


def evaluation(digest: str, *, right: int = 300, n: int = 300, lang: str = "en", **shares: Share) -> Evaluation:
    """An evaluation that passes the gate where all is right, with single shares as told."""
    good = Share.of([True] * right + [False] * (n - right))
    none = Share.of([False] * n)
    adapter = dict.fromkeys(METRICS, good) | {"stale": none, "leak": none, "exposed": none} | shares
    base = {"leak": none, "exposed": none, "general": good}
    return Evaluation(digest, {"all": adapter, lang: adapter}, {"all": base, lang: base}, {"seconds": 1})


def evaluated(registry: Registry, version: Version) -> Version:
    """`version`, with an evaluation that passes."""
    return registry.evaluated(version.id, evaluation(version.digest))


@pytest.fixture
def artefact(tmp_path: Path) -> Path:
    return write(tmp_path / "made")


@pytest.fixture(scope="session")
def pairs() -> Pairs:
    return Pairs("Kitahama Trust", read_samples(SAMPLE / "samples.jsonl"), read_documents(SAMPLE / "documents"))
