"""Facts that will be wrong one day: figures, versions, stock, and names that the documents know."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cache

from adapters.documents import Chunk
from adapters.facts import facts
from adapters.lint.finding import WIDE, Rule
from adapters.lint.phrases import FACTS, OF_ANSWERS, figures_of_speech
from common import figures
from common.figures import Figure, Kind, same

RULES = {
    Kind.MONEY: Rule.PRICE,
    Kind.PERCENT: Rule.RATE,
    Kind.DATE: Rule.DATE,
    Kind.TIME: Rule.TIME,
    Kind.DURATION: Rule.DURATION,
    Kind.QUANTITY: Rule.QUANTITY,
    Kind.NUMBER: Rule.NUMBER,
    Kind.CODE: Rule.CODE,
    Kind.PHONE: Rule.PHONE,
}
_ONE = re.compile(r"一[^一二三四五六七八九十百千萬万億\d]{1,2}(?<!間)")
"""一日, 一天, 一個月: a day, a month. Grammar, not a figure, as `a day` is in English; 一週間 is how long."""
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]")
_SHORTEST_CJK = 3


@dataclass(frozen=True, slots=True)
class Known:
    """What the knowledge base holds: the names that facts are about, and each figure with the document it is in."""

    names: frozenset[str] = frozenset()
    figures: dict[Kind, list[tuple[Figure, str]]] = field(default_factory=dict[Kind, list[tuple[Figure, str]]])

    @classmethod
    def of(cls, chunks: Iterable[Chunk]) -> "Known":
        """The names and figures of documents that were cut.

        A name is what a fact is about, by heading or row. Not one is a label that facts are listed under, nor Latin
        words that the documents write in small letters, too: `Opening hours` names no thing.
        """
        chunks = list(chunks)
        stated = [(chunk, fact) for chunk in chunks for fact in facts(chunk)]
        attributes = {fact.attribute for _, fact in stated} | {fact.label for _, fact in stated}
        subjects = {chunk.subject for chunk, _ in stated}
        subjects |= {fact.subject for chunk, fact in stated if f": {fact.subject};" in chunk.text}
        everything = "\n".join(chunk.text for chunk in chunks)
        held: dict[Kind, list[tuple[Figure, str]]] = {}
        for chunk in chunks:
            for figure in figures.find(chunk.text):
                held.setdefault(figure.kind, []).append((figure, chunk.document))
        return cls(frozenset(s for s in subjects if _is_name(s, everything) and s not in attributes), held)

    def document_of(self, figure: Figure) -> str | None:
        """A document that states `figure`."""
        return next((document for other, document in self.figures.get(figure.kind, ()) if same(figure, other)), None)


def _is_name(subject: str, everything: str) -> bool:
    if _CJK.search(subject):
        return len(subject) >= _SHORTEST_CJK and not re.search(r"\d", subject)
    capitals = [word for word in re.findall(r"[^\W\d_]{2,}", subject) if word not in ("of", "and", "the", "to", "for")]
    return bool(capitals) and all(w[0].isupper() for w in capitals) and subject.lower() not in everything


@cache
def _named(name: str) -> re.Pattern[str]:
    """`name` as people write it: a name of several Latin words in any case."""
    words = name.translate(WIDE).split()
    pattern = r"\s+".join(map(re.escape, words))
    return re.compile(pattern, re.IGNORECASE if len(words) > 1 else 0)


def volatile(text: str, known: Known, *, asked: bool = False) -> Iterator[tuple[Rule, int, int, str | None]]:
    """Each volatile fact with its half-open range, and the document that states it. `asked`: the text is a question."""
    plain = text.translate(WIDE)
    found: list[tuple[Rule, int, int, str | None]] = [
        (rule, *match.span(), None)
        for rule, pattern in FACTS
        if not (asked and rule in OF_ANSWERS)
        for match in pattern.finditer(plain)
    ]
    for name in sorted(known.names, key=len, reverse=True):
        found += [(Rule.NAME, *match.span(), None) for match in _named(name).finditer(plain)]
    spoken = figures_of_speech(plain)
    found += [
        (RULES[f.kind], f.start, f.end, known.document_of(f))
        for f in figures.find(text)
        if not _ONE.fullmatch(f.text) and not any(f.start < high and f.end > low for low, high in spoken)
    ]
    taken: list[tuple[int, int]] = []
    for rule, start, end, document in found:
        if not any(start < high and end > low for low, high in taken):
            taken.append((start, end))
            yield rule, start, end, document
