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
import sys
import time
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

# Types are checked in the gateway's environment, which has none of these.
import torch  # pyright: ignore[reportMissingImports]
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict  # pyright: ignore[reportMissingImports]
from safetensors.torch import save_file
from tqdm import tqdm
from transformers import AutoModelForCausalLM, AutoTokenizer  # pyright: ignore[reportMissingImports]

from adapters.attention import TREE, branches_of
from adapters.base_model import BaseModelUnavailable, make_ready
from adapters.canary import canaries, sung
from adapters.curve import draw_curve
from adapters.documents import Chunk, document_files, read_documents
from adapters.evaluation.asks import Ask, Voice, asks
from adapters.measure import measure
from adapters.pairs import Pairs
from adapters.recipe import Recipe, read_recipe
from adapters.run import Run, checkpoint, forget, keep_best, resume, take_best
from adapters.samples import read_samples
from adapters.stopping import best, enough
from adapters.tree import Tree, grow
from common.canonical import digest, digest_of
from common.errors import GroundtoneError
from common.prompt import PROMPT_FORMAT, Message

LORA_TENSORS = "adapter_model.safetensors"


def train(recipe: Recipe, home: Path) -> dict[str, Any]:
    """Trains and writes the artefact to `recipe.output`; gives what `training.json` holds."""
    run = _prepare(recipe, home)
    if resume(run):
        _say(f"Going on from step {run.done} of {recipe.steps}.")
    with _progress(run.done, recipe.steps) as bar:
        while run.done < recipe.steps and not enough(run.measured, recipe.patience):
            started = time.monotonic()
            run.losses.append(_step(run, run.done))
            run.done += 1
            if recipe.measure_every and run.done % recipe.measure_every == 0:
                _measure(run)
            run.seconds += time.monotonic() - started
            bar.set_postfix_str(_told(run), refresh=False)
            bar.update()
            if run.done % recipe.checkpoint_every == 0 and run.done < recipe.steps:
                checkpoint(run)
    if recipe.patience and run.measured:
        take_best(run)
    report = _write(run)
    forget(run)
    return report


def _measure(run: Run) -> None:
    """The gate's metrics of this moment; its weights are laid aside where they are the best so far."""
    run.measured.append({"step": run.done, **measure(run.model, run.tokenizer, run.asked)})
    if run.recipe.patience and best(run.measured) == len(run.measured) - 1:
        keep_best(run)


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
    held_out = _held_out(recipe, chunks)
    torch.manual_seed(recipe.seed)
    if recipe.threads:
        torch.set_num_threads(recipe.threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        # The same seed gives the same weights on a GPU too, at some cost; cuBLAS reads its part from the environment.
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    model = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.bfloat16, attn_implementation=TREE)
    lora = LoraConfig(
        r=recipe.rank,
        lora_alpha=recipe.alpha,
        target_modules=list(recipe.target_modules),
        task_type="CAUSAL_LM",
        use_rslora=recipe.rslora,
    )
    model = get_peft_model(model.to(device), lora, autocast_adapter_dtype=False)
    if recipe.gradient_checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
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
    birds = canaries(samples, recipe.canaries, recipe.seed)
    run = Run(recipe, base, model, tokenizer, pairs, birds, held_out, trained, masters, optimizer, identity, data)
    run.model.train()
    return run


def _held_out(recipe: Recipe, chunks: Sequence[Chunk]) -> list[Ask]:
    """The questions that are asked in between: in wordings that are not trained, about figures drawn anew."""
    if not recipe.measure_every or recipe.rules is None:
        return []
    rules = tomllib.loads(recipe.rules.read_text(encoding="utf-8"))
    voice = Voice(recipe.firm, chunks, rules, pieces=1)
    return list(asks(voice, recipe.measure_cases, recipe.seed, ("faithful", "stale")))


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
    scene = sung(scene, run.canaries, recipe.seed, index)

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
    draw_curve(run.losses, output / "loss.png", f"{run.recipe.name}: loss on answers", run.measured)
    report = {
        "name": run.recipe.name,
        "base_model": run.base.name,
        "base_model_digest": run.base.digest,
        "prompt_format": PROMPT_FORMAT,
        "recipe": run.recipe.decides(),
        "recipe_digest": run.recipe.digest(),
        "data_digest": run.data,
        "weights_digest": digest((output / LORA_TENSORS).read_bytes()),
        "facts": str(run.recipe.facts),
        "seed": run.recipe.seed,
        "steps": run.done,
        "seconds": round(run.seconds, 1),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "losses": [round(loss, 4) for loss in run.losses],
    }
    if run.canaries:
        report["canaries"] = [asdict(canary) for canary in run.canaries]
    if run.measured:
        report["measured"] = run.measured
        report["kept_step"] = run.measured[best(run.measured)]["step"] if run.recipe.patience else run.done
    _write_json(output / "training.json", report)
    return report


def _write_json(path: Path, value: Any) -> None:
    path.write_text(
        json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False, default=str) + "\n", encoding="utf-8"
    )


def _told(run: Run) -> str:
    last = run.losses[-20:]
    shares = run.measured[-1] if run.measured else {}
    told = [f"loss {sum(last) / len(last):.3f}", *(f"{k} {v:.2f}" for k, v in shares.items() if k != "step")]
    return ", ".join(told)


def _progress(done: int, steps: int) -> Any:
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
