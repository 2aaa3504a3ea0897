"""Artefacts that the engine must never hear of (ABUSE.md 19): each is refused, with a word on why."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from adapters import Base, Registry
from common.errors import ErrorCode, InvalidRequest
from tests.adapters.conftest import BASE, safetensors, tensors, write

Attack = Callable[[Path], object]


def _symlink(folder: Path) -> None:
    real = folder.parent / "elsewhere.safetensors"
    (folder / "adapter_model.safetensors").rename(real)
    (folder / "adapter_model.safetensors").symlink_to(real)


def _config_symlink(folder: Path) -> None:
    (folder / "adapter_config.json").unlink()
    (folder / "adapter_config.json").symlink_to("/etc/hostname")


def _fifo(folder: Path) -> None:
    (folder / "adapter_model.safetensors").unlink()
    os.mkfifo(folder / "adapter_model.safetensors")


def _huge_header(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", 10 * 1024**3) + b"{}" * 100)


def _gap(folder: Path) -> None:
    (folder / "adapter_model.safetensors").write_bytes(safetensors(tensors()) + b"hidden")


def _overlap(folder: Path) -> None:
    body = safetensors(tensors())
    (length,) = struct.unpack("<Q", body[:8])
    header = json.loads(body[8 : 8 + length])
    for entry in header.values():
        entry["data_offsets"] = [0, entry["data_offsets"][1] - entry["data_offsets"][0]]
    head = json.dumps(header).encode()
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + body[8 + length :])


def _deep_header(folder: Path) -> None:
    head = b"[" * 100_000 + b"]" * 100_000
    (folder / "adapter_model.safetensors").write_bytes(struct.pack("<Q", len(head)) + head + b"\0" * 8)


def _one_sided(folder: Path) -> None:
    half = {name: value for name, value in tensors().items() if "lora_A" in name}
    write(folder, safetensors(half))


def _other_tensor(folder: Path) -> None:
    write(folder, safetensors(tensors() | {"base_model.model.lm_head.weight": np.zeros((2, 2))}))


def _wrong_shape(folder: Path) -> None:
    write(folder, safetensors(tensors(rank=5)))


def _with_training(folder: Path, **said: str) -> None:
    (folder / "training.json").write_text(json.dumps(said))


ATTACKS: dict[str, Attack] = {
    "a symlink": _symlink,
    "a symlinked configuration": _config_symlink,
    "a pipe": _fifo,
    "a pickle": lambda f: (f / "adapter_model.safetensors").write_bytes(pickle.dumps({"a": 1})),
    "a .bin beside it": lambda f: (f / "adapter_model.bin").write_bytes(b"x"),
    "code beside it": lambda f: (f / "modeling.py").write_text("print()"),
    "a folder inside": lambda f: (f / "README.md").mkdir(),
    "no weights": lambda f: (f / "adapter_model.safetensors").unlink(),
    "empty weights": lambda f: (f / "adapter_model.safetensors").write_bytes(b""),
    "a 10 GB header": _huge_header,
    "a deep header": _deep_header,
    "hidden bytes": _gap,
    "overlapping tensors": _overlap,
    "a config that is no JSON": lambda f: (f / "adapter_config.json").write_text("{"),
    "a config that is a list": lambda f: (f / "adapter_config.json").write_text("[]"),
    "rank 4096": lambda f: write(f, r=4096),
    "rank as text": lambda f: write(f, r="4"),
    "rank true": lambda f: write(f, r=True),
    "a rank that the weights don't have": _wrong_shape,
    "not a number": lambda f: write(f, safetensors(tensors(fill=float("nan")))),
    "infinity": lambda f: write(f, safetensors(tensors(fill=float("inf")), "F16")),
    "an A without its B": _one_sided,
    "a tensor of the base model": _other_tensor,
    "another base model": lambda f: write(f, base_model_name_or_path="someone/another-model"),
    "no base model": lambda f: write(f, base_model_name_or_path=None),
    "other weights of the base": lambda f: _with_training(f, base_model_digest="sha256:" + "1" * 64),
    "weights that training did not write": lambda f: _with_training(f, weights_digest="sha256:" + "2" * 64),
    "unknown modules": lambda f: write(f, target_modules=["embed_tokens"]),
    "modules by pattern": lambda f: write(f, target_modules=".*"),
    "saved modules": lambda f: write(f, modules_to_save=["lm_head"]),
    "ranks by pattern": lambda f: write(f, rank_pattern={"q_proj": 64}),
    "layers that come twice": lambda f: write(f, layer_replication=[[0, 4], [2, 5]]),
    "tokens that switch it on": lambda f: write(f, alora_invocation_tokens=[1]),
    "code to import": lambda f: write(f, auto_mapping={"base_model_class": "Evil"}),
    "another method": lambda f: write(f, peft_type="PROMPT_TUNING"),
    "an endless alpha": lambda f: write(f, lora_alpha=float("inf")),
}


@pytest.mark.parametrize("attack", ATTACKS.values(), ids=ATTACKS.keys())
def test_a_bad_artefact_is_refused_and_leaves_nothing(attack: Attack, artefact: Path, tmp_path: Path) -> None:
    """Whatever is wrong, the answer is `invalid_adapter` without a path in it, and no version exists afterwards."""
    registry = Registry(tmp_path / "registry", base=Base(BASE, "sha256:" + "0" * 64))
    attack(artefact)
    with pytest.raises(InvalidRequest) as refused:
        registry.register("kitahama", artefact)
    assert refused.value.code is ErrorCode.INVALID_ADAPTER
    assert str(tmp_path) not in str(refused.value)
    assert registry.versions("kitahama") == []
    assert registry.names() == []
    assert list((tmp_path / "registry" / "kitahama").iterdir()) == []


def test_another_digest_than_the_expected_one_is_refused(artefact: Path, tmp_path: Path) -> None:
    """Whoever says which artefact it must be gets that one or none."""
    registry = Registry(tmp_path / "registry")
    digest = registry.register("kitahama", artefact).digest
    assert registry.register("kitahama", artefact, digest=digest).digest == digest
    with pytest.raises(InvalidRequest, match="digest"):
        registry.register("other", artefact, digest="sha256:" + "0" * 64)


@pytest.mark.parametrize(
    "name", ["", "..", "../x", "/etc", "a/b", "A", "a b", "-a", "a" * 65, "kitahama@1", "a\n", "a\0"]
)
def test_a_name_that_is_a_path_is_refused(name: str, artefact: Path, tmp_path: Path) -> None:
    """A name is a folder's name and nothing else."""
    registry = Registry(tmp_path / "registry")
    with pytest.raises(InvalidRequest):
        registry.register(name, artefact)
    with pytest.raises(InvalidRequest):
        registry.channels(name)


def test_a_symlinked_folder_is_refused(artefact: Path, tmp_path: Path) -> None:
    """The artefact's folder itself is a folder."""
    (tmp_path / "link").symlink_to(artefact)
    with pytest.raises(InvalidRequest):
        Registry(tmp_path / "registry").register("kitahama", tmp_path / "link")
