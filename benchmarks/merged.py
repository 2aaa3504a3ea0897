"""Lays down a home whose base model has an adapter's weights added to its own, as a firm would serve one voice alone.

    .venv-engine/bin/python -m benchmarks.merged BASE_FOLDER ADAPTER HOME

The folder keeps the base model's marker, so that `adapters.base_model` takes it for the one that was made ready.
"""

import shutil
import sys
from pathlib import Path

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def main(base: Path, adapter: Path, home: Path) -> None:
    folder = home / "models" / base.name
    shutil.copytree(base, folder)
    model = AutoModelForCausalLM.from_pretrained(base, dtype=torch.bfloat16)
    PeftModel.from_pretrained(model, adapter).merge_and_unload().save_pretrained(folder)
    shutil.copy(base / "config.json", folder)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
