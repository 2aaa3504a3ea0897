"""Any OpenAI-compatible `/embeddings` endpoint: vLLM, a cloud, a proxy.

Every call for passages carries a probe whose vector is known, so an endpoint that changes its model while we run is
refused before one vector of the new model is stored; one for a question does so every minute.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any

import httpx
import numpy as np

from common import settings
from common.errors import InvalidRequest, KnowledgeUnavailable
from retrieval.embed import PROBES, Vectors, fingerprint, named

_log = logging.getLogger(__name__)
_BATCH = 64
_BATCH_CHARACTERS = 60_000
_TRIES = 4
_BACK_OFF = 0.25
_LONGEST_WAIT = 5.0
_PASSAGE_TIMEOUT = 60.0
_QUESTION_TIMEOUT = 5.0
_UNCHANGED = 0.99
_PROBED_EVERY = 60.0  # seconds, with a question
_OK, _TOO_MANY = 200, 429


class Endpoint:
    """Questions have a connection pool and a deadline of their own. Embedding has no effects, so it is tried again."""

    def __init__(self, chosen: settings.Embedding, transport: httpx.BaseTransport | None = None) -> None:
        if not chosen.url or not chosen.model:
            raise InvalidRequest("The embedder of kind openai lacks its url or model.", "Set both in [embedder].")
        key = chosen.api_key_file.read_text().strip() if chosen.api_key_file else None
        headers = {"authorization": f"Bearer {key}"} if key else {}
        base = chosen.url.rstrip("/")
        self._url = base if base.endswith("/embeddings") else f"{base}/embeddings"
        self._model = chosen.model
        self._asking = httpx.Client(headers=headers, timeout=_QUESTION_TIMEOUT, transport=transport)
        self._reading = httpx.Client(headers=headers, timeout=_PASSAGE_TIMEOUT, transport=transport)
        self._as_question, self._as_passage = _prefixes(chosen.model)
        probes = self._embed(self._reading, [self._as_passage + probe for probe in PROBES], _TRIES)
        self.dimension = probes.shape[1]
        self.fingerprint = fingerprint(named(chosen.model, chosen.revision), probes)
        self._probe = probes[0]
        self._probe_due = time.monotonic() + _PROBED_EVERY

    def passages(self, texts: Sequence[str]) -> Vectors:
        made = [np.zeros((0, self.dimension), dtype=np.float32)]
        for batch in _batches([self._as_passage + text for text in texts]):
            vectors = self._embed(self._reading, [self._as_passage + PROBES[0], *batch], _TRIES)
            made.append(self._checked(vectors))
        return np.concatenate(made)

    def questions(self, texts: Sequence[str]) -> Vectors:
        if not texts:
            return np.zeros((0, self.dimension), dtype=np.float32)
        probing = time.monotonic() >= self._probe_due
        probe = [self._as_passage + PROBES[0]] if probing else []
        vectors = self._embed(self._asking, [*probe, *(self._as_question + text for text in texts)], 2)
        if probing:
            vectors = self._checked(vectors)
        elif vectors.shape[1] != self.dimension:
            raise _unusable("vectors of another dimension")
        return vectors

    def _checked(self, vectors: Vectors) -> Vectors:
        """`vectors` without the first, the probe's. Where that is another than at the start, questions are probed too
        until it is the same again."""
        if vectors.shape[1] != self.dimension or float(vectors[0] @ self._probe) < _UNCHANGED:
            self._probe_due = 0.0
            raise KnowledgeUnavailable(
                "The embedding endpoint answers with another model than it did at the start.",
                "Name the model that the knowledge was embedded with, or restart to embed it anew.",
            )
        self._probe_due = time.monotonic() + _PROBED_EVERY
        return vectors[1:]

    def _embed(self, client: httpx.Client, texts: list[str], tries: int) -> Vectors:
        for attempt in range(1, tries + 1):
            wait = _BACK_OFF * 2**attempt
            try:
                answer = client.post(self._url, json={"model": self._model, "input": texts, "encoding_format": "float"})
            except httpx.TransportError as error:
                _log.warning("the embedding endpoint failed: %s", type(error).__name__)
            else:
                if answer.status_code == _OK:
                    return _vectors(answer, len(texts))
                if answer.status_code != _TOO_MANY and answer.status_code < 500:
                    raise _unusable(f"status {answer.status_code}")
                asked = answer.headers.get("retry-after", "")
                wait = float(asked) if asked.isdecimal() else wait
            if attempt < tries:
                time.sleep(min(wait, _LONGEST_WAIT))
        raise KnowledgeUnavailable("The embedding endpoint does not answer.", "Try again when it is back.")


def _vectors(answer: httpx.Response, count: int) -> Vectors:
    try:
        entries: list[dict[str, Any]] = sorted(answer.json()["data"], key=lambda entry: entry["index"])
        vectors = np.array([entry["embedding"] for entry in entries], dtype=np.float32)
    except (ValueError, KeyError, TypeError) as error:
        raise _unusable("no embeddings") from error
    if vectors.ndim != 2 or len(vectors) != count:
        raise _unusable("another number of vectors than texts")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.isfinite(lengths).all() or not lengths.all():
        raise _unusable("vectors without a direction")
    return vectors / lengths


def _unusable(what: str) -> KnowledgeUnavailable:
    return KnowledgeUnavailable(
        f"The embedding endpoint answers with {what}.", "Check [embedder] url, model and api_key_file."
    )


def _batches(texts: Sequence[str]) -> list[list[str]]:
    batches: list[list[str]] = []
    held = 0
    for text in texts:
        if not batches or len(batches[-1]) == _BATCH or held + len(text) > _BATCH_CHARACTERS:
            batches.append([])
            held = 0
        batches[-1].append(text)
        held += len(text)
    return batches


def _prefixes(model: str) -> tuple[str, str]:
    """What E5 models were trained to see before a question and a passage; other models want nothing."""
    name = model.lower()
    return ("query: ", "passage: ") if "e5" in name and "instruct" not in name else ("", "")
