"""Answers of a model in memory, without an engine: what training asks it in between, and what it comes to.

Training attends to trees (`adapters.attention`); here each prompt stands alone, under plain attention.
"""

from collections.abc import Sequence
from typing import Any

import torch  # pyright: ignore[reportMissingImports]

from adapters.attention import TREE
from adapters.evaluation.asks import Ask
from adapters.stopping import GATED
from common.prompt import Message


def measure(model: Any, tokenizer: Any, asked: Sequence[Ask]) -> dict[str, float]:
    """The share of each of `GATED` over `asked`."""
    said = answers(model, tokenizer, [one.messages for one in asked], most=max((one.most for one in asked), default=0))
    verdicts = [one.judge(answer) for one, answer in zip(asked, said, strict=True)]
    held = {name: [verdict[name] for verdict in verdicts if name in verdict] for name in GATED}
    return {name: round(sum(values) / len(values), 4) if values else 0.0 for name, values in held.items()}


def answers(
    model: Any, tokenizer: Any, asked: Sequence[Sequence[Message]], *, most: int = 160, batch: int = 24
) -> list[str]:
    """Greedy answers of at most `most` tokens, `batch` prompts of like length at a time. The weights stay."""
    inner = model.base_model.model
    prompts = [tokenizer.apply_chat_template(list(one), tokenize=False, add_generation_prompt=True) for one in asked]
    order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i]))
    said = [""] * len(prompts)
    was_training, side = model.training, tokenizer.padding_side
    model.eval()
    inner.set_attn_implementation("sdpa")
    tokenizer.padding_side = "left"
    try:
        for start in range(0, len(order), batch):
            some = order[start : start + batch]
            given = tokenizer([prompts[i] for i in some], return_tensors="pt", padding=True, add_special_tokens=False)
            given = given.to(inner.device)
            with torch.inference_mode():
                made = model.generate(
                    input_ids=given["input_ids"],
                    attention_mask=given["attention_mask"],
                    max_new_tokens=most,
                    do_sample=False,
                )
            fresh = made[:, given["input_ids"].shape[1] :]
            for i, text in zip(some, tokenizer.batch_decode(fresh, skip_special_tokens=True), strict=True):
                said[i] = text
    finally:
        inner.set_attn_implementation(TREE)
        model.train(was_training)
        tokenizer.padding_side = side
    return said
