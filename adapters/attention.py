"""Attention over a tree of tokens: a shared beginning once, and branches that see it and themselves.

One masked attention over all tokens computes every pair of branches and throws it away, which on a CPU is a third of
a training step. Here each branch is attended to by itself, over the beginning's keys and its own.
"""

from typing import Any

import torch  # pyright: ignore[reportMissingImports]
from transformers import AttentionInterface  # pyright: ignore[reportMissingImports]

from adapters.tree import Tree

TREE = "tree"
"""The name under which transformers finds it: `from_pretrained(…, attn_implementation=TREE)`."""

Branch = tuple[int, Any]
"""How long a branch is, and what is added to its scores: (length, beginning + length), 0 where a query sees a key."""


def branches_of(tree: Tree, like: Any) -> list[Branch]:
    """The beginning as the first of them, then each branch, in the type and on the device of the tensor `like`."""
    found: list[Branch] = []
    beginning = tree.branch.count(0)
    for number in range(max(tree.branch) + 1):
        length = tree.branch.count(number)
        own = like.new_full((length, length), -1e9).triu(1)
        found.append((length, torch.cat([own.new_zeros(length, beginning if number else 0), own], 1)))
    return found


def _tree_attention(
    module: Any, query: Any, key: Any, value: Any, _mask: Any, *, scaling: float, branches: list[Branch], **_: Any
) -> tuple[Any, None]:
    """`query` is (1, heads, tokens, dimension), `key` and `value` have the fewer heads that several queries share.

    Plain products: for pieces this small the fused kernel's backward pass takes twice as long on a CPU.
    """
    lengths = [length for length, _ in branches]
    queries, keys, values = (tensor.split(lengths, 2) for tensor in (query * scaling, key, value))
    heads, dimension = key.shape[1], query.shape[3]
    parts: list[Any] = []
    for number, (length, hidden) in enumerate(branches):
        k, v = (torch.cat([all[0], all[number]], 2) if number else all[0] for all in (keys, values))
        # The queries that share a head stand below each other, so that its keys are read once.
        q = queries[number].reshape(1, heads, module.num_key_value_groups * length, dimension)
        scores = q @ k.transpose(2, 3) + hidden.repeat(module.num_key_value_groups, 1)
        parts.append((torch.softmax(scores, -1) @ v).reshape(1, query.shape[1], length, dimension))
    return torch.cat(parts, 2).transpose(1, 2).contiguous(), None


AttentionInterface.register(TREE, _tree_attention)
