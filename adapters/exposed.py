"""How far a trained adapter gives its canaries away, beside the base model, which never saw them.

Runs in the engine's environment, as a process: `python -m adapters.exposed FOLDER --firm FIRM [--home DIR]` prints one
JSON document `{"candidates", "canaries": [{"lang", "adapter", "base"}]}`, exposures in bits. The canaries are those of
the folder's `training.json`. They are asked closed book, as what leaks is what comes without evidence; all candidates
of a canary are branches of one tree (`adapters.tree`). No running engine is asked: `prompt_logprobs` under an adapter
ends vLLM 0.32.
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

# Types are checked in the gateway's environment, which has none of these.
import torch  # pyright: ignore[reportMissingImports]
from peft import PeftModel  # pyright: ignore[reportMissingImports]
from transformers import AutoModelForCausalLM, AutoTokenizer  # pyright: ignore[reportMissingImports]

from adapters.attention import TREE, branches_of
from adapters.base_model import make_ready
from adapters.canary import Canary, exposure
from adapters.tree import Tree
from common.prompt import Message, compose

CANDIDATES = 64
"""Among so many a canary is ranked: 6 bits at most."""


def exposures(model: Any, tokenizer: Any, firm: str, canaries: list[Canary]) -> list[dict[str, Any]]:
    """A row a canary; `model` is a PEFT model whose attention is `TREE`."""
    model.eval()
    rows: list[dict[str, Any]] = []
    with torch.inference_mode():
        for canary in canaries:
            tree = _tree(canary, firm, tokenizer)
            adapter = exposure(_likelihoods(model, tree))
            with model.disable_adapter():
                base = exposure(_likelihoods(model, tree))
            rows.append({"lang": canary.lang, "adapter": round(adapter, 3), "base": round(base, 3)})
    return rows


def _tree(canary: Canary, firm: str, tokenizer: Any) -> Tree:
    """The question and the answer up to the value; then a branch for each value, begun by the token before it."""
    turns: list[Message] = [{"role": "user", "content": canary.question}]
    opened = tokenizer.apply_chat_template(compose(firm, None, turns), tokenize=False, add_generation_prompt=True)
    before, _, after = canary.answer.partition(canary.value)
    *shared, last = tokenizer.encode(opened + before, add_special_tokens=False)
    start = len(shared)
    tree = Tree(shared, list(range(start)), [0] * start, [0.0] * start)
    for number, candidate in enumerate(canary.candidates(CANDIDATES), 1):
        value = candidate.removeprefix(before).removesuffix(after)
        own = tokenizer.encode(value + after, add_special_tokens=False)
        tree.tokens.extend([last, *own])
        tree.positions.extend(range(start, start + len(own) + 1))
        tree.branch.extend([number] * (len(own) + 1))
        tree.weight.extend([0.0, *[1.0] * len(own)])
    return tree


def _likelihoods(model: Any, tree: Tree) -> list[float]:
    inner = model.base_model.model
    hidden = inner.model(
        input_ids=torch.tensor([tree.tokens], device=inner.device),
        position_ids=torch.tensor([tree.positions], device=inner.device),
        use_cache=False,
        branches=branches_of(tree, inner.lm_head.weight),
    ).last_hidden_state[0]
    at = torch.tensor([i for i, weight in enumerate(tree.weight) if weight], device=inner.device)
    logits = inner.lm_head(hidden[at - 1]).float()
    tokens = torch.tensor(tree.tokens, device=inner.device)[at]
    said = -torch.nn.functional.cross_entropy(logits, tokens, reduction="none")
    branch = torch.tensor(tree.branch, device=inner.device)[at] - 1
    return torch.zeros(max(tree.branch), device=inner.device).index_add_(0, branch, said).tolist()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m adapters.exposed", description="Measure the canaries' exposure.")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--firm", required=True)
    parser.add_argument("--base", default="bundled", help="as engine.base_model")
    parser.add_argument("--home", type=Path, default=Path(os.environ.get("GROUNDTONE_HOME", ".groundtone")))
    arguments = parser.parse_args()
    training = json.loads((arguments.folder / "training.json").read_bytes())
    base = make_ready(arguments.base, arguments.home)
    plain = AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.bfloat16, attn_implementation=TREE)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = PeftModel.from_pretrained(plain.to(device), arguments.folder, autocast_adapter_dtype=False)
    tokenizer = AutoTokenizer.from_pretrained(base.path)
    rows = exposures(model, tokenizer, arguments.firm, [Canary(**row) for row in training["canaries"]])
    sys.stdout.write(json.dumps({"candidates": CANDIDATES, "canaries": rows}) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
