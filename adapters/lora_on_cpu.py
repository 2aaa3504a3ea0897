"""vLLM's LoRA on a CPU: one product for the tokens of one adapter, and none for those of the base model.

vLLM's own (0.32, `vllm/lora/ops/torch_ops`) copies an adapter's matrix for every token of a batch, which made an answer
with an adapter five times as dear as one without. It also takes the mark of a token that wants no adapter, -1, for the
last slot: a question to the base model, computed beside one to an adapter, got whatever adapter stood there
(vllm-project/vllm, pull requests 48421 and 49656, both open). Neither is so on a GPU, which has kernels of its own.

The engine is started with `--worker-extension-cls adapters.lora_on_cpu.Extension`. vLLM imports this module in the
process that computes, before it makes what it computes with.
"""

from typing import Any

# Types are checked in the gateway's environment, which has none of these.
import torch  # pyright: ignore[reportMissingImports]
from vllm.lora.punica_wrapper import punica_cpu  # pyright: ignore[reportMissingImports]


class GroupedLora(punica_cpu.PunicaWrapperCPU):  # pyright: ignore[reportUntypedBaseClass]
    """What vLLM's LoRA layers call: told of each batch whose tokens are in it, then asked once a layer."""

    _runs: tuple[tuple[slice, int], ...] = ()
    """Rows of the batch that follow each other, with the slot of their adapter."""

    def update_metadata(self, *arguments: Any, **named: Any) -> None:
        super().update_metadata(*arguments, **named)
        slots, lengths = torch.unique_consecutive(self.token_lora_indices, return_counts=True)
        ends = lengths.cumsum(0)
        rows = zip(slots.tolist(), (ends - lengths).tolist(), ends.tolist(), strict=True)
        self._runs = tuple((slice(start, end), slot) for slot, start, end in rows if slot >= 0)

    def add_lora_linear(
        self,
        y: Any,
        x: Any,
        lora_a_stacked: tuple[Any, ...],
        lora_b_stacked: tuple[Any, ...],
        scale: float,
        output_slices: tuple[int, ...],
        **_: Any,
    ) -> None:
        """Adds x Aᵀ Bᵀ scale to `y` (tokens, outputs) for `x` (tokens, inputs), each slice of the outputs by itself.

        A slice's matrices are (slots, 1, rank, inputs) and (slots, 1, its outputs, rank). What lies between the two is
        computed in float32 and rounded once, as vLLM does.
        """
        y, x = y.view(-1, y.shape[-1]), x.view(-1, x.shape[-1])
        for rows, slot in self._runs:
            wide, start = x[rows].float(), 0
            for a, b, size in zip(lora_a_stacked, lora_b_stacked, output_slices, strict=True):
                inner = (wide @ a[slot, 0].float().T) * scale
                y[rows, start : start + size] += inner.to(y.dtype) @ b[slot, 0].to(y.dtype).T
                start += size


class Extension:
    """Brings nothing to vLLM's worker but this module."""


punica_cpu.PunicaWrapperCPU = GroupedLora
