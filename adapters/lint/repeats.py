"""Examples that say again what another one says: they weigh twice, and hold out nothing when they are held out."""

import math
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence

from adapters.lint.example import Example
from common.prompt import neutralise

ALIKE = 0.85
"""Jaccard similarity of character triples from which on two questions are near-duplicates."""
_MARKS = re.compile(r"[\W_]+")
_BESIDE_CJK = re.compile(r"(?<=[^\x00-\x7f]) | (?=[^\x00-\x7f])")


def repeats(examples: Sequence[Example]) -> Iterator[tuple[Example, Example, float]]:
    """Each example whose question an earlier one of its language and intent asks, that one, and how alike they are.

    1 says the same but for case, width and punctuation. An example with evidence is its question and its evidence:
    asking the same of other sources is another example. Exact: a pair is found where both are long enough to share
    one of their rarest triples (prefix filtering, Chaudhuri et al. 2006, doi 10.1109/ICDE.2006.9).
    """
    groups: dict[tuple[str, str], list[tuple[Example, frozenset[str]]]] = defaultdict(list)
    for example in examples:
        if key := normal("\n".join((example.question, *(example.evidence or ())))):
            groups[example.lang, example.intent].append((example, triples(key)))
    for group in groups.values():
        yield from _within(group)


def _within(group: Sequence[tuple[Example, frozenset[str]]]) -> Iterator[tuple[Example, Example, float]]:
    common = Counter(triple for _, held in group for triple in held)
    seen: dict[str, list[int]] = defaultdict(list)
    for i, (example, held) in enumerate(group):
        rarest = sorted(held, key=lambda triple: (common[triple], triple))
        prefix = rarest[: len(held) - math.ceil(ALIKE * len(held)) + 1]
        candidates = {j for triple in prefix for j in seen[triple]}
        best = max(((jaccard(held, group[j][1]), -j) for j in candidates), default=(0.0, 0))
        if best[0] >= ALIKE:
            yield example, group[-best[1]][0], best[0]
        for triple in prefix:
            seen[triple].append(i)


def normal(text: str) -> str:
    """`text` without case, width, spaces and punctuation. A slot keeps its name."""
    plain = unicodedata.normalize("NFKC", neutralise(text)).casefold()
    return _BESIDE_CJK.sub("", _MARKS.sub(" ", plain)).strip()


def triples(text: str) -> frozenset[str]:
    return frozenset(text[i : i + 3] for i in range(max(1, len(text) - 2)))


def jaccard(one: Iterable[str], other: Iterable[str]) -> float:
    mine, theirs = set(one), set(other)
    return len(mine & theirs) / len(mine | theirs)
