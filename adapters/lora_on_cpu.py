"""vLLM's LoRA on a CPU: one product for the tokens of one adapter, and none for those of the base model.

vLLM's own (0.32, `vllm/lora/ops/torch_ops`) copies an adapter's matrix for every token of a batch, which made an answer
with an adapter five times as dear as one without. It also takes the mark of a token that wants no adapter, -1, for the
last slot: a question to the base model, computed beside one to an adapter, got whatever adapter stood there
(vllm-project/vllm, pull requests 48421 and 49656, both open). Neither is so on a GPU, which has kernels of its own.

The engine is started with `--worker-extension-cls adapters.lora_on_cpu.Extension`. vLLM imports this module in the
process that computes, before it makes what it computes with.
"""

from itertools import accumulate
from typing import Any

# Types are checked in the gateway's environment, which has none of these.
import torch  # pyright: ignore[reportMissingImports]
from vllm.lora.punica_wrapper import punica_cpu  # pyright: ignore[reportMissingImports]


class GroupedLora(punica_cpu.PunicaWrapperCPU):  # pyright: ignore[reportUntypedBaseClass]
    """What vLLM's LoRA layers call: told of each batch whose tokens are in it, then asked once a layer."""

    _tokens: tuple[tuple[slice, int], ...] = ()
    """Rows of the batch that follow each other, with the slot of their adapter."""
    _answers: tuple[tuple[slice, int], ...] = ()
    """The same of the rows that a next token is chosen from, one a question."""

    def update_metadata(self, *arguments: Any, **named: Any) -> None:
        super().update_metadata(*arguments, **named)
        self._tokens, self._answers = _runs(self.token_lora_indices), _runs(self.sampler_indices)

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

        A slice's matrices are (slots, 1, rank, inputs) and (slots, 1, its outputs, rank).
        """
        starts = (0, *accumulate(output_slices))
        for rows, slot in self._tokens:
            wide = x[rows].float()
            for a, b, start, end in zip(lora_a_stacked, lora_b_stacked, starts, starts[1:], strict=False):
                _add(y[rows, start:end], wide, a[slot, 0], b[slot, 0], scale)

    def add_lora_logits(self, y: Any, x: Any, lora_a_stacked: Any, lora_b_stacked: Any, scale: float, **_: Any) -> None:
        """The same for the logits (questions, vocabulary), which may have more columns than the adapter."""
        for rows, slot in self._answers:
            b = lora_b_stacked[slot, 0]
            _add(y[rows, : b.shape[0]], x[rows].float(), lora_a_stacked[slot, 0], b[: y.shape[1]], scale)


def _runs(slots: Any) -> tuple[tuple[slice, int], ...]:
    """Rows that follow each other and have one slot; those of -1, which want no adapter, are left out."""
    found, lengths = torch.unique_consecutive(slots, return_counts=True)
    ends = accumulate(lengths.tolist())
    runs = zip(found.tolist(), lengths.tolist(), ends, strict=True)
    return tuple((slice(end - length, end), slot) for slot, length, end in runs if slot >= 0)


def _add(y: Any, wide: Any, a: Any, b: Any, scale: float) -> None:
    """What lies between the two products is computed in float32 and rounded once, as vLLM does."""
    y += ((wide @ a.float().T) * scale).to(y.dtype) @ b.to(y.dtype).T


class Extension:
    """Brings nothing to vLLM's worker but this module."""


punica_cpu.PunicaWrapperCPU = GroupedLora
