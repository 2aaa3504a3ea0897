"""A second, optional check beside the figures: is each sentence of an answer entailed by its evidence?

Any model for natural language inference will do that is served over HTTP in the shape of Text Embeddings Inference's
`/predict`: pairs of premise and hypothesis in, a list of `{"label", "score"}` for each out, with labels that begin with
`entail` and `contradict`. Off unless `[grounding] url` is set.

It runs when the answer is whole, so it holds nothing back. A sentence that the evidence contradicts makes a clean
answer a flagged one; one that it merely does not entail is told and nothing follows, because courtesies are entailed by
nothing. An endpoint that is slow, away or wrong blocks nobody and says nothing of any sentence: the answer says
`unavailable`, the figures' verdict stands, and the endpoint is left alone for a moment.
"""

import asyncio
import logging
import math
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self

import aiohttp
import orjson

from common import settings
from common.evidence import Evidence
from serving.chat.guard.sentences import sentences

log = logging.getLogger("groundtone.grounding")

MOST_PAIRS = 64
"""Pairs of a chunk and a sentence that one answer is checked with; sentences beyond are not judged."""
REST_SECONDS = 5.0


class Grounded(StrEnum):
    """What is known of one sentence."""

    GROUNDED = "grounded"
    CONTRADICTED = "contradicted"
    UNGROUNDED = "ungrounded"


@dataclass(frozen=True, slots=True)
class Sentence:
    """A sentence of one choice, `span` in code points; `chunk` entails or contradicts it, `score` says how surely."""

    choice: int
    span: tuple[int, int]
    status: Grounded
    score: float
    chunk: str | None

    def to_wire(self) -> dict[str, Any]:
        return {
            "choice": self.choice,
            "span": list(self.span),
            "status": self.status,
            "score": round(self.score, 4),
            "chunk": self.chunk,
        }


class Grounding(Protocol):
    async def check(self, texts: Sequence[str], evidence: Sequence[Evidence]) -> list[Sentence] | None:
        """A verdict on the sentences of each text; None where none could be had. Never raises for the endpoint."""
        ...


class Endpoint:
    """The check by an HTTP endpoint."""

    def __init__(self, chosen: settings.Grounding, session: aiohttp.ClientSession) -> None:
        self._chosen, self._session = chosen, session
        self._rests_until = -math.inf

    @classmethod
    @asynccontextmanager
    async def open(cls, chosen: settings.Grounding) -> AsyncGenerator[Self | None]:
        """The check of the settings; None where none is set."""
        if chosen.url is None:
            yield None
            return
        key = chosen.api_key_file.read_text().strip() if chosen.api_key_file else None
        headers = {"authorization": f"Bearer {key}"} if key else {}
        async with aiohttp.ClientSession(headers=headers) as session:
            yield cls(chosen, session)

    async def check(self, texts: Sequence[str], evidence: Sequence[Evidence]) -> list[Sentence] | None:
        asked = [(choice, span) for choice, text in enumerate(texts) for span in _sentences(text)]
        asked = asked[: MOST_PAIRS // len(evidence)] if evidence else []
        if not asked:
            return []
        if time.monotonic() < self._rests_until:
            return None
        premises = ["\n".join([*one.heading, one.text]) for one in evidence]
        pairs = [[premise, texts[choice][slice(*span)]] for choice, span in asked for premise in premises]
        try:
            async with asyncio.timeout(self._chosen.timeout):
                scores = await self._ask(pairs)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError, TypeError, KeyError, AttributeError) as error:
            log.warning("sentences are not checked: the grounding endpoint failed (%s)", type(error).__name__)
            self._rests_until = time.monotonic() + REST_SECONDS
            return None
        width = len(premises)
        rows = [scores[at : at + width] for at in range(0, len(scores), width)]
        return [self._judged(*where, row, evidence) for where, row in zip(asked, rows, strict=True)]

    async def _ask(self, pairs: list[list[str]]) -> list[tuple[float, float]]:
        """How surely each premise entails and contradicts its hypothesis, 0..1 each. Raises what `check` catches."""
        body = orjson.dumps({"inputs": pairs, "truncate": True})
        headers = {"content-type": "application/json"}
        async with self._session.post(str(self._chosen.url), data=body, headers=headers) as response:
            response.raise_for_status()
            scores = [_scores(one) for one in orjson.loads(await response.read())]
        if len(scores) != len(pairs):
            raise ValueError("not a score for each pair")
        return scores

    def _judged(
        self, choice: int, span: tuple[int, int], scores: Sequence[tuple[float, float]], evidence: Sequence[Evidence]
    ) -> Sentence:
        for status, column in ((Grounded.GROUNDED, 0), (Grounded.CONTRADICTED, 1)):
            best = max(range(len(scores)), key=lambda at: scores[at][column])
            if scores[best][column] >= self._chosen.threshold:
                return Sentence(choice, span, status, scores[best][column], evidence[best].chunk)
        return Sentence(choice, span, Grounded.UNGROUNDED, max(entailed for entailed, _ in scores), None)


def told(sentences: Sequence[Sentence] | None) -> dict[str, Any]:
    """What the response's `guard` says of it."""
    if sentences is None:
        return {"grounding": "unavailable", "sentences": []}
    return {"grounding": "checked", "sentences": [one.to_wire() for one in sentences]}


def _scores(labels: Any) -> tuple[float, float]:
    by_label = {str(one["label"]).casefold(): float(one["score"]) for one in labels}
    entailed, contradicted = (
        sum(score for label, score in by_label.items() if label.startswith(begin)) for begin in ("entail", "contradict")
    )
    if not any(label.startswith("entail") for label in by_label) or not (0 <= entailed <= 1 and 0 <= contradicted <= 1):
        raise ValueError("no probability of entailment")
    return entailed, contradicted


def _sentences(text: str) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for start, end in sentences(text):
        piece = text[start:end]
        if plain := piece.strip():
            begin = start + piece.index(plain)
            spans.append((begin, begin + len(plain)))
    return spans
