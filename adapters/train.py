"""Trains an adapter from one recipe, with PEFT, in the engine's environment, as a process.

    python -m adapters.train RECIPE [--output DIR] [--steps N] [--home DIR] [--json]

Progress goes to stderr. A killed run goes on from its last checkpoint when started again with the same recipe, samples
and documents. The artefact folder gets `adapter_model.safetensors` (bfloat16, the engine's type),
`adapter_config.json`, `training.json` (what it was made from) and `loss.png`.
"""

import argparse
import json
import math
import os
import random
import shutil
import sys
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

# Types are checked in the gateway's environment, which has none of these.
import torch  # pyright: ignore[reportMissingImports]
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict  # pyright: ignore[reportMissingImports]
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer  # pyright: ignore[reportMissingImports]

from adapters.attention import TREE, branches_of
from adapters.base_model import BaseModel, BaseModelUnavailable, make_ready
from adapters.curve import draw_curve
from adapters.documents import document_files, read_documents
from adapters.pairs import Pairs
from adapters.recipe import Recipe, read_recipe
from adapters.samples import read_samples
from adapters.tree import Tree, grow
from common.canonical import digest, digest_of
from common.errors import GroundtoneError
from common.prompt import PROMPT_FORMAT, Message

LORA_TENSORS = "adapter_model.safetensors"


@dataclass(slots=True)
class Run:
    """One training run: the model with its adapter, the optimiser over full-precision copies of the adapter's weights.

    The weights themselves are bfloat16, as the engine will hold them; steps of late training are too small for that
    type, so they are summed in float32.
    """

    recipe: Recipe
    base: BaseModel
    model: Any
    tokenizer: Any
    pairs: Pairs
    trained: dict[str, torch.nn.Parameter]
    masters: dict[str, torch.nn.Parameter]
    optimizer: torch.optim.AdamW
    identity: str
    data: str
    done: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


def train(recipe: Recipe, home: Path) -> dict[str, Any]:
    """Trains and writes the artefact to `recipe.output`; gives what `training.json` holds."""
    run = _prepare(recipe, home)
    _resume(run)
    steps = range(run.done, recipe.steps)
    with _progress(len(steps), run.done, recipe.steps) as bar:
        for step in steps:
            started = time.monotonic()
            run.losses.append(_step(run, step))
            run.done = step + 1
            run.seconds += time.monotonic() - started
            bar.set_postfix_str(f"loss {_recent(run.losses):.3f}")
            bar.update()
            if run.done % recipe.checkpoint_every == 0 and run.done < recipe.steps:
                _checkpoint(run)
    report = _write(run)
    shutil.rmtree(_checkpoint_folder(recipe), ignore_errors=True)
    return report


def loss_of(model: Any, tree: Tree, device: Any) -> Any:
    """The weighted mean of the negative log-likelihood of the answers' tokens.

    Logits are computed where loss falls only: the vocabulary is a fifth of this small model's arithmetic.
    """
    inner = model.base_model.model
    hidden = inner.model(
        input_ids=torch.tensor([tree.tokens], device=device),
        position_ids=torch.tensor([tree.positions], device=device),
        use_cache=False,
        branches=branches_of(tree, inner.lm_head.weight),
    ).last_hidden_state[0]
    # A branch's first answer token is predicted by the token before it, which stands in the same branch.
    targets = [i for i, weight in enumerate(tree.weight) if weight]
    logits = inner.lm_head(hidden[torch.tensor(targets, device=device) - 1]).float()
    wanted = torch.tensor([tree.tokens[i] for i in targets], device=device)
    weight = torch.tensor([tree.weight[i] for i in targets], device=device)
    return (torch.nn.functional.cross_entropy(logits, wanted, reduction="none") * weight).sum() / weight.sum()


def _prepare(recipe: Recipe, home: Path) -> Run:
    base = make_ready(recipe.base, home)
    samples = read_samples(recipe.samples)
    chunks = read_documents(*recipe.documents)
    torch.manual_seed(recipe.seed)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.bfloat16, attn_implementation=TREE)
    lora = LoraConfig(
        r=recipe.rank, lora_alpha=recipe.alpha, target_modules=list(recipe.target_modules), task_type="CAUSAL_LM"
    )
    model = get_peft_model(model.to(device), lora, autocast_adapter_dtype=False)
    trained = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    masters = {name: torch.nn.Parameter(weight.detach().float().clone()) for name, weight in trained.items()}
    optimizer = torch.optim.AdamW(
        masters.values(), lr=recipe.learning_rate, weight_decay=0.0, betas=(0.9, 0.98), fused=True
    )
    data = digest_of(
        {
            "samples": digest(recipe.samples.read_bytes()),
            "documents": {name: digest(path.read_bytes()) for name, path in document_files(*recipe.documents).items()},
        }
    )
    identity = digest_of({"recipe": recipe.digest(), "data": data, "base": base.digest, "prompt": PROMPT_FORMAT})
    _say(
        f"Training {recipe.name}: rank {recipe.rank} on {', '.join(recipe.target_modules)}, "
        f"{sum(m.numel() for m in masters.values()):,} weights, {recipe.steps} steps on {device} "
        f"with {torch.get_num_threads()} thread(s)."
    )
    pairs = Pairs(recipe.firm, samples, chunks, recipe.facts)
    run = Run(recipe, base, model, tokenizer, pairs, trained, masters, optimizer, identity, data)
    run.model.train()
    return run


def _step(run: Run, step: int) -> float:
    recipe = run.recipe
    device = next(iter(run.trained.values())).device
    total = 0.0
    for i in range(recipe.batch):
        loss = loss_of(run.model, tree_of(run, step * recipe.batch + i), device) / recipe.batch
        loss.backward()
        total += loss.item()
    for name, weight in run.trained.items():
        assert weight.grad is not None
        run.masters[name].grad = weight.grad.float()
        weight.grad = None
    torch.nn.utils.clip_grad_norm_(run.masters.values(), 1.0)
    for group in run.optimizer.param_groups:
        group["lr"] = recipe.learning_rate * _schedule(step, recipe)
    run.optimizer.step()
    with torch.no_grad():
        for name, weight in run.trained.items():
            weight.copy_(run.masters[name])
    return total


def tree_of(run: Run, index: int) -> Tree:
    """The tree of one scene. Fixed facts repeat the same scenes, as an epoch over a fixed data set does."""
    recipe = run.recipe
    scene = run.pairs.scene(recipe.seed, index, chunks=recipe.chunks, questions=recipe.questions)

    def render(messages: list[Message], opened: bool) -> str:
        return run.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=opened)

    def encode(text: str) -> list[int]:
        return run.tokenizer.encode(text, add_special_tokens=False)

    rng = random.Random(f"{recipe.seed}/{index}/shorten")  # noqa: S311 - the same on every run, so that runs compare
    return grow(scene, render, encode, shorten=recipe.shorten, rng=rng)


def _schedule(step: int, recipe: Recipe) -> float:
    """Linear warm-up, then a cosine to a twentieth."""
    if step < recipe.warmup:
        return (step + 1) / recipe.warmup
    part = (step - recipe.warmup) / max(1, recipe.steps - recipe.warmup)
    return 0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * part))


def _checkpoint_folder(recipe: Recipe) -> Path:
    return recipe.output.with_name(f".{recipe.output.name}.checkpoint")


def _checkpoint(run: Run) -> None:
    """Everything that the next step depends on, in one file that appears whole or not at all."""
    folder = _checkpoint_folder(run.recipe)
    folder.mkdir(parents=True, exist_ok=True)
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
    }
    scratch = folder / "state.safetensors.partial"
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, str(scratch), metadata=facts)
    scratch.rename(folder / "state.safetensors")


def _resume(run: Run) -> None:
    path = _checkpoint_folder(run.recipe) / "state.safetensors"
    if not path.is_file():
        return
    with safe_open(str(path), "pt") as file:
        facts = file.metadata()
    if facts["identity"] != run.identity or int(facts["done"]) >= run.recipe.steps:
        return
    tensors = load_file(str(path))
    run.done, run.seconds, run.losses = int(facts["done"]), float(facts["seconds"]), json.loads(facts["losses"])
    with torch.no_grad():
        for name, master in run.masters.items():
            master.copy_(tensors[f"weight/{name}"])
            run.trained[name].copy_(master)
            run.optimizer.state[master] = {
                "step": torch.tensor(float(run.done)),
                "exp_avg": tensors[f"mean/{name}"].to(master.device),
                "exp_avg_sq": tensors[f"square/{name}"].to(master.device),
            }
    _say(f"Going on from step {run.done} of {run.recipe.steps}.")


def _write(run: Run) -> dict[str, Any]:
    output = run.recipe.output
    output.mkdir(parents=True, exist_ok=True)
    weights = {
        name: weight.detach().to("cpu", torch.bfloat16).contiguous()
        for name, weight in get_peft_model_state_dict(run.model).items()
    }
    save_file(weights, str(output / LORA_TENSORS), metadata={"format": "pt"})
    (output / LORA_TENSORS).chmod(0o644)
    config = run.model.peft_config["default"].to_dict()
    config |= {"base_model_name_or_path": run.base.name, "inference_mode": True, "revision": None}
    _write_json(output / "adapter_config.json", {k: sorted(v) if isinstance(v, set) else v for k, v in config.items()})
    draw_curve(run.losses, output / "loss.png", f"{run.recipe.name}: loss on answers")
    report = {
        "name": run.recipe.name,
        "base_model": run.base.name,
        "base_model_digest": run.base.digest,
        "prompt_format": PROMPT_FORMAT,
        "recipe_digest": run.recipe.digest(),
        "data_digest": run.data,
        "weights_digest": digest((output / LORA_TENSORS).read_bytes()),
        "facts": str(run.recipe.facts),
        "seed": run.recipe.seed,
        "steps": run.recipe.steps,
        "seconds": round(run.seconds, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "losses": [round(loss, 4) for loss in run.losses],
    }
    _write_json(output / "training.json", report)
    return report


def _write_json(path: Path, value: Any) -> None:
    path.write_text(
        json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
    )


def _recent(losses: list[float]) -> float:
    last = losses[-20:]
    return sum(last) / len(last)


def _progress(left: int, done: int, steps: int) -> Any:
    """A bar on a terminal; elsewhere a line now and then."""
    terminal = sys.stderr.isatty()
    return tqdm(
        total=steps,
        initial=done,
        desc="training",
        unit="step",
        ascii=not terminal,
        mininterval=0.5 if terminal else 30.0,
    )


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m adapters.train", description="Train an adapter from a recipe.")
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--output", type=Path, help="instead of the recipe's")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    parser.add_argument("--threads", type=int, help="instead of the recipe's; 0 is all cores")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("GROUNDTONE_HOME", ".groundtone")))
    parser.add_argument("--json", action="store_true", help="print the report as one JSON document")
    arguments = parser.parse_args()
    try:
        recipe = read_recipe(arguments.recipe)
        given = {
            name: getattr(arguments, name) for name in ("steps", "threads") if getattr(arguments, name) is not None
        }
        if arguments.output:
            given["output"] = arguments.output.resolve()
        report = train(replace(recipe, **given), arguments.home)
    except (GroundtoneError, BaseModelUnavailable) as wrong:
        _say(str(wrong))
        return 1
    if arguments.json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        _say(f"Trained in {report['seconds']:.0f} s; the last loss was {report['losses'][-1]:.3f}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
