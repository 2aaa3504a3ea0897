"""The reranker: an optional model that reads the question and a chunk together, and orders the best candidates anew.

Off unless `[reranker] url` is set. It only orders what may be read already: it sees no other chunk and adds none. An
endpoint that is slow, away or wrong costs its timeout once, rests a moment, and leaves the fused order as it is; every
search says whether it was applied and what it cost.

Two shapes of endpoint are spoken, told apart by the path: vLLM's `/score`, and `/rerank` as Jina, Cohere, vLLM and
others have it.
"""

import json
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

import httpx

from common import settings
from common.evidence import Reranking

_log = logging.getLogger(__name__)
Candidate = TypeVar("Candidate")
_REST = 5.0
_LONGEST_ANSWER = 1024 * 1024


class RerankerUnavailable(Exception):
    """The reranker does not answer in time, or with scores that can't be used. Search goes on without it."""

    def __init__(self, what: str) -> None:
        super().__init__(f"The reranker {what}. Check [reranker] url, model and api_key_file.")


class Reranker(Protocol):
    candidates: int
    """How many of the best are read again."""

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        """How well each text answers, in the order of `texts`, the higher the better. Raises RerankerUnavailable."""
        ...

    def close(self) -> None: ...


def open_reranker(chosen: settings.Reranker) -> "Reranker | None":
    """The reranker of the settings, or None where none is set."""
    return Endpoint(chosen) if chosen.url else None


def rerank(
    reranker: Reranker, question: str, candidates: Sequence[Candidate], text_of: Callable[[Candidate], str]
) -> tuple[list[Candidate], Reranking]:
    """`candidates` with the first `reranker.candidates` in its order, the rest behind them as they were."""
    began = time.perf_counter()
    first, rest = candidates[: reranker.candidates], candidates[reranker.candidates :]
    try:
        scores = reranker.scores(question, [text_of(one) for one in first])
    except RerankerUnavailable as error:
        _log.warning("the fused order stands: %s", error)
        scores = None
    seconds = round(time.perf_counter() - began, 4)
    if scores is None:
        return list(candidates), Reranking(False, len(first), seconds)
    order = sorted(range(len(first)), key=lambda i: -scores[i])
    return [*(first[i] for i in order), *rest], Reranking(True, len(first), seconds)


class Endpoint:
    """An HTTP endpoint of either shape. Thread-safe."""

    def __init__(
        self,
        chosen: settings.Reranker,
        transport: httpx.BaseTransport | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        key = chosen.api_key_file.read_text().strip() if chosen.api_key_file else None
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._url = (chosen.url or "").rstrip("/")
        self._model = {"model": chosen.model} if chosen.model else {}
        self._timeout, self._clock = chosen.timeout, clock
        self.candidates = chosen.candidates
        self._client = httpx.Client(headers=headers, timeout=chosen.timeout, transport=transport)
        self._lock = threading.Lock()
        self._rests_until = -math.inf

    def scores(self, question: str, texts: Sequence[str]) -> list[float]:
        if self._clock() < self._rests_until:
            raise RerankerUnavailable("failed a moment ago and rests")
        try:
            return self._read(self._ask(question, texts), len(texts))
        except RerankerUnavailable:
            with self._lock:
                self._rests_until = self._clock() + _REST
            raise

    def close(self) -> None:
        self._client.close()

    def _ask(self, question: str, texts: Sequence[str]) -> Any:
        if self._url.endswith("/score"):
            body = {**self._model, "text_1": question, "text_2": list(texts)}
        else:
            body = {**self._model, "query": question, "documents": list(texts), "top_n": len(texts)}
        deadline = self._clock() + self._timeout
        answer = bytearray()
        try:
            with self._client.stream("POST", self._url, json=body) as response:
                for part in response.iter_bytes():
                    answer += part
                    # A read's own timeout begins anew with every byte: a drip would hold a question for ever.
                    if self._clock() > deadline or len(answer) > _LONGEST_ANSWER:
                        raise RerankerUnavailable("answers too slowly or too much")
        except httpx.TimeoutException:
            raise RerankerUnavailable("does not answer in time") from None
        except httpx.HTTPError as error:
            raise RerankerUnavailable(f"can't be asked ({type(error).__name__})") from None
        if response.status_code != 200:
            raise RerankerUnavailable(f"answers with status {response.status_code}")
        try:
            return json.loads(answer)
        except ValueError:
            raise RerankerUnavailable("answers with something else than JSON") from None

    @staticmethod
    def _read(answer: Any, count: int) -> list[float]:
        """Scores by `index`. A text without one, twice one, or a score that is no number makes all unusable."""
        scores = [math.nan] * count
        try:
            for entry in answer["data"] if "data" in answer else answer["results"]:
                score = entry["score"] if "score" in entry else entry["relevance_score"]
                scores[_place(entry["index"], scores)] = float(score)
        except (KeyError, TypeError, ValueError, IndexError):
            raise RerankerUnavailable("answers in another shape") from None
        if not all(math.isfinite(score) for score in scores):
            raise RerankerUnavailable("leaves texts without a score")
        return scores


def _place(index: Any, scores: Sequence[float]) -> int:
    if not isinstance(index, int) or not 0 <= index < len(scores) or not math.isnan(scores[index]):
        raise IndexError
    return index
