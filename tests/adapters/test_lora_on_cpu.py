"""An engine on a CPU computes each token of a batch with its own adapter, and as vLLM does."""

import pytest

from tests.adapters.conftest import in_the_engines_environment

SCRIPT = """
import torch
from vllm.lora.layers import LoRAMapping
from vllm.lora.punica_wrapper import punica_cpu
from vllm.utils.import_utils import resolve_obj_by_qualname
theirs = punica_cpu.PunicaWrapperCPU
import adapters.lora_on_cpu
from vllm.platforms import current_platform
ours = resolve_obj_by_qualname(current_platform.get_punica_wrapper())
assert ours is adapters.lora_on_cpu.GroupedLora, ours

torch.manual_seed(1)
sizes, inputs, rank, slots = (32, 16, 16), 48, 8, 2
a = tuple(torch.randn(slots, 1, rank, inputs, dtype=torch.bfloat16) for _ in sizes)
b = tuple(torch.randn(slots, 1, size, rank, dtype=torch.bfloat16) for size in sizes)
before = torch.randn(9, sum(sizes), dtype=torch.bfloat16)
x = torch.randn(9, inputs, dtype=torch.bfloat16)

def computed(wrapper, wanted):
    '''Of a layer with three slices, and of logits with more columns than the adapter has.'''
    made = wrapper(64, 16, "cpu")
    made.update_metadata(LoRAMapping(wanted, wanted, is_prefill=True), [7, 9], slots, 100)
    layer, logits = before.clone(), before.clone()
    made.add_lora_linear(layer, x, a, b, 0.5, sizes)
    made.add_lora_logits(logits, x, a[0], b[0], 0.5)
    return torch.cat([layer, logits], 1)

# Adapters 7 and 9 stand in slots 0 and 1; 0 wants none.
torch.testing.assert_close(computed(ours, (7, 7, 9, 7, 9, 9, 9, 7, 7)), computed(theirs, (7, 7, 9, 7, 9, 9, 9, 7, 7)))
untouched = torch.cat([before, before], 1)
assert torch.equal(computed(ours, (0,) * 9), untouched)
mixed = computed(ours, (0, 7, 7, 0, 0, 9, 9, 9, 0))
assert torch.equal(mixed[[0, 3, 4, 8]], untouched[[0, 3, 4, 8]])
torch.testing.assert_close(mixed[1:3], computed(theirs, (7,) * 9)[1:3])
torch.testing.assert_close(mixed[5:8], computed(theirs, (9,) * 9)[5:8])
"""


@pytest.mark.real
def test_each_token_is_computed_with_its_own_adapter_or_none() -> None:
    """In the engine that the lock pins: with adapters as vLLM's own, and the base model's tokens are left alone."""
    in_the_engines_environment(SCRIPT)
