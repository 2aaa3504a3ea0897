"""What training computes of a tree is what serving computes of each conversation alone."""

import pytest

from tests.adapters.conftest import in_the_engines_environment

SCRIPT = """
import torch
from transformers import LlamaConfig, LlamaForCausalLM
from adapters.attention import TREE, branches_of
from adapters.tree import Tree

torch.manual_seed(1)
sizes = dict(vocab_size=50, hidden_size=24, intermediate_size=32, num_hidden_layers=2, num_attention_heads=6)
plain, tree = (
    LlamaForCausalLM._from_config(LlamaConfig(**sizes, num_key_value_heads=2), attn_implementation=name)
    for name in ("sdpa", TREE)
)
tree.load_state_dict(plain.state_dict())
beginning, branches = [3, 1, 4, 1, 5, 9], [[2, 6, 5], [3, 5], [8, 9, 7, 9, 3]]
tokens, branch, positions = list(beginning), [0] * 6, list(range(6))
for number, own in enumerate(branches, 1):
    tokens += own
    branch += [number] * len(own)
    positions += range(6, 6 + len(own))
grown = Tree(tokens, positions, branch, [1.0] * len(tokens))
with torch.no_grad():
    at_once = tree(
        input_ids=torch.tensor([tokens]), position_ids=torch.tensor([positions]), use_cache=False,
        branches=branches_of(grown, tree.lm_head.weight),
    ).logits[0]
    start = 6
    for own in branches:
        alone = plain(input_ids=torch.tensor([beginning + own]), use_cache=False).logits[0]
        torch.testing.assert_close(at_once[start : start + len(own)], alone[6:])
        start += len(own)
    torch.testing.assert_close(at_once[:6], alone[:6])
"""


@pytest.mark.real
def test_a_branch_is_computed_as_if_it_stood_alone() -> None:
    """The logits of a tree are those of its conversations, one by one, under plain attention."""
    in_the_engines_environment(SCRIPT)
