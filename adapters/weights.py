"""Reads a safetensors file's header by hand and judges its tensors, before any library that loads weights sees it.

The format: eight bytes with the header's length, the header as JSON, then the tensors' bytes without gaps
(https://github.com/huggingface/safetensors). A pickle, a truncated file or a header that promises gigabytes stops here.
"""

import json
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

MAX_HEADER = 4 * 1024 * 1024
# Per dtype: bytes per element, and the bits of an exponent that is all ones, which is an infinity or not a number.
_DTYPES: dict[str, tuple[int, int]] = {"F16": (2, 0x7C00), "BF16": (2, 0x7F80), "F32": (4, 0x7F800000)}


class BadWeights(Exception):
    """The file is no safetensors file of an adapter. The message says why, in the words of a sentence's end."""


@dataclass(frozen=True, slots=True)
class Tensor:
    """`[start, end)` counts from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


def read_header(path: Path) -> tuple[list[Tensor], int]:
    """The tensors of `path` in the order of their bytes, and where those begin. Raises BadWeights."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size < 10:
            raise BadWeights("is too short to be a safetensors file")
        length = int.from_bytes(file.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER, size - 8):
            raise BadWeights("has no safetensors header (a pickle or a .bin file is never loaded)")
        try:
            header = json.loads(file.read(length))
        except (ValueError, RecursionError) as wrong:
            raise BadWeights("has a header that is no JSON") from wrong
    if not isinstance(header, dict):
        raise BadWeights("has a header that is no JSON object")
    entries = cast("dict[str, Any]", header)
    tensors = sorted((_tensor(name, e) for name, e in entries.items() if name != "__metadata__"), key=lambda t: t.start)
    at = 0
    for tensor in tensors:
        if tensor.start != at:
            raise BadWeights("has tensors that overlap or leave gaps")
        at = tensor.end
    if not tensors or 8 + length + at != size:
        raise BadWeights("is not as long as its header says")
    return tensors, 8 + length


def _tensor(name: str, entry: Any) -> Tensor:
    try:
        dtype = str(entry["dtype"])
        shape = tuple(entry["shape"])
        start, end = entry["data_offsets"]
        whole = all(type(n) is int and n >= 0 for n in (*shape, start, end))
        fits = whole and dtype in _DTYPES and len(shape) == 2 and end - start == shape[0] * shape[1] * _DTYPES[dtype][0]
    except (KeyError, TypeError, ValueError) as wrong:
        raise BadWeights("has a tensor that its header doesn't describe") from wrong
    if not fits:
        raise BadWeights("has a tensor whose type, shape and length don't fit (16 or 32 bit floats, two dimensions)")
    return Tensor(name, dtype, shape, start, end)


def all_finite(path: Path, tensors: list[Tensor], offset: int) -> bool:
    """Whether no weight is an infinity or not a number."""
    with path.open("rb") as file:
        for tensor in tensors:
            file.seek(offset + tensor.start)
            width, ones = _DTYPES[tensor.dtype]
            bits = np.frombuffer(file.read(tensor.end - tensor.start), dtype="<u2" if width == 2 else "<u4")
            if bool(np.any((bits & ones) == ones)):
                return False
    return True


def copy_regular(source: Path, target: Path, limit: int) -> None:
    """Copies a file that is one: no symlink, no device, no more than `limit` bytes. Raises BadWeights or OSError.

    What is judged afterwards is the copy, so that nobody can exchange the file in between.
    """
    descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as reading, target.open("xb") as writing:
        if not stat.S_ISREG(os.fstat(reading.fileno()).st_mode):
            raise BadWeights("is not a regular file")
        copied = 0
        while block := reading.read(1 << 20):
            copied += len(block)
            if copied > limit:
                raise BadWeights(f"is larger than {limit:,} bytes")
            writing.write(block)
        writing.flush()
        os.fsync(writing.fileno())
