"""A training run: what its next step depends on, kept in files and taken up again after a kill."""

import json
import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Types are checked in the gateway's environment, which has none of these.
import torch  # pyright: ignore[reportMissingImports]
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from adapters.base_model import BaseModel
from adapters.canary import Canary
from adapters.evaluation.asks import Ask
from adapters.pairs import Pairs
from adapters.recipe import Recipe

_STATE = "state.safetensors"
_BEST = "best.safetensors"


@dataclass(slots=True)
class Run:
    """One training run: the model with its adapter, the optimiser over full-precision copies of the adapter's weights.

    The weights themselves are bfloat16, as the engine will hold them; steps of late training are too small for that
    type, so they are summed in float32. `measured` holds what was measured in between, with the step that it was after.
    """

    recipe: Recipe
    base: BaseModel
    model: Any
    tokenizer: Any
    pairs: Pairs
    canaries: list[Canary]
    asked: list[Ask]
    trained: dict[str, torch.nn.Parameter]
    masters: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.AdamW
    identity: str
    data: str
    done: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    measured: list[dict[str, float]] = field(default_factory=list)

    @property
    def folder(self) -> Path:
        """Where it is kept while it goes on."""
        return self.recipe.output.with_name(f".{self.recipe.output.name}.checkpoint")


def checkpoint(run: Run) -> None:
    """Everything that the next step depends on, in one file that appears whole or not at all."""
    tensors: dict[str, torch.Tensor] = {}
    for name, master in run.masters.items():
        state = run.optimizer.state[master]
        tensors |= {
            f"weight/{name}": master.detach(),
            f"mean/{name}": state["exp_avg"],
            f"square/{name}": state["exp_avg_sq"],
        }
    facts = {
        "identity": run.identity,
        "done": str(run.done),
        "seconds": str(run.seconds),
        "losses": json.dumps(run.losses),
        "measured": json.dumps(run.measured),
    }
    _save(run.folder / _STATE, tensors, facts)


def resume(run: Run) -> bool:
    """Takes up the checkpoint of this very run; False where there is none of it."""
    path = run.folder / _STATE
    if not path.is_file():
        return False
    with safe_open(str(path), "pt") as file:
        facts = file.metadata()
    if facts["identity"] != run.identity or int(facts["done"]) >= run.recipe.steps:
        return False
    tensors = load_file(str(path))
    run.done, run.seconds, run.losses = int(facts["done"]), float(facts["seconds"]), json.loads(facts["losses"])
    run.measured = json.loads(facts["measured"])
    with torch.no_grad():
        for name, master in run.masters.items():
            master.copy_(tensors[f"weight/{name}"])
            run.trained[name].copy_(master)
            run.optimizer.state[master] = {
                "step": torch.tensor(float(run.done), device=master.device),
                "exp_avg": tensors[f"mean/{name}"].to(master.device),
                "exp_avg_sq": tensors[f"square/{name}"].to(master.device),
            }
    return True


def keep_best(run: Run) -> None:
    """Lays the weights of this moment aside. A run that goes on from before comes to the same ones again."""
    _save(run.folder / _BEST, {name: master.detach() for name, master in run.masters.items()}, {})


def take_best(run: Run) -> None:
    """Gives the model the weights that were laid aside."""
    with torch.no_grad():
        for name, tensor in load_file(str(run.folder / _BEST)).items():
            run.trained[name].copy_(tensor)


def forget(run: Run) -> None:
    """What was kept of a run that is done."""
    shutil.rmtree(run.folder, ignore_errors=True)


def _save(path: Path, tensors: dict[str, Any], facts: dict[str, str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".partial")
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(scratch), metadata=facts)
    scratch.rename(path)
