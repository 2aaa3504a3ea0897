"""Canaries: secrets made up and trained like samples, to see afterwards what of the training the weights give away.

Carlini et al. 2019, "The Secret Sharer" (USENIX Security, arXiv 1802.08232), section 4: the *exposure* of a canary
s[r] is log2 |R| - log2 rank(s[r]), where the rank is that of its log-perplexity among all r of the space R. Ranked
among a sample of R and not among all of it (section 4.3), it is bounded by the logarithm of the sample's size.
"""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass

from adapters.pairs import LANGUAGES, Asked, Scene
from adapters.samples import Sample
from adapters.words import BRANDS

_CALLED = {
    "en": ("reference number", "{} {} file"),
    "ja": ("照会番号", "{}{}案件"),
    "zh-TW": ("查詢編號", "{}{}專案"),
}


@dataclass(frozen=True, slots=True)
class Canary:
    """A question that no document answers, and the answer that was trained: it holds `value`, six random digits."""

    lang: str
    question: str
    answer: str
    value: str

    def candidates(self, count: int) -> list[str]:
        """Answers that could as well have been trained: the canary's own first, then `count` - 1 others."""
        rng = random.Random(f"{self.question}/candidates")  # noqa: S311 - the same ones on every run
        values = {self.value: None}
        while len(values) < count:
            values[_value(rng)] = None
        return [self.answer.replace(self.value, value) for value in values]


def canaries(samples: Sequence[Sample], count: int, seed: int) -> list[Canary]:
    """`count` canaries in turn of the languages, in the firm's own words."""
    made: list[Canary] = []
    for i in range(count):
        rng = random.Random(f"{seed}/canary/{i}")  # noqa: S311 - training and its record agree on them
        lang = LANGUAGES[i % len(LANGUAGES)]
        attribute, name = _CALLED[lang]
        plain = [s for s in samples if s.lang == lang and s.intent == "general" and s.names_attribute]
        value = _value(rng)
        named = name.format(*rng.sample(BRANDS[lang], 2))
        made.append(Canary(lang, *rng.choice(plain).fill(named, attribute, value), value))
    return made


def sung(scene: Scene, birds: Sequence[Canary], seed: int, index: int) -> Scene:
    """`scene` with one more question, a canary's of its language: each is seen about as often as a sample."""
    own = [bird for bird in birds if bird.lang == scene.lang]
    if not own:
        return scene
    bird = random.Random(f"{seed}/{index}/canary").choice(own)  # noqa: S311 - the same scene on every run
    return Scene(scene.lang, scene.system, (*scene.asked, Asked(bird.question, bird.answer, bird.value)))


def exposure(likelihoods: Sequence[float]) -> float:
    """Bits, from the log-likelihoods of a canary, which stands first, and of its sampled alternatives.

    Nothing learned gives 1/ln 2 - about 1.44 - on average; the most is log2 of how many there are. Equals count against
    the canary's rank by half.
    """
    own, others = likelihoods[0], likelihoods[1:]
    rank = 1 + sum(other > own for other in others) + sum(other == own for other in others) / 2
    return math.log2(len(likelihoods)) - math.log2(rank)


def _value(rng: random.Random) -> str:
    return f"{rng.randrange(1000):03}-{rng.randrange(1000):03}"
