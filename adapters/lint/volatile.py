"""Facts that will be wrong one day: figures, versions, stock, and names that the documents know."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from adapters.documents import Chunk
from adapters.facts import facts
from adapters.lint.finding import Rule
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
_VERSION = re.compile(
    r"(?:\b(?:[Vv]ersion|[Rr]elease)|[Vv]er\.|バージョン|版本|第)\s?[\d０-９]+(?:[.．][\d０-９]+)*(?:版)?(?![\d月日])|\bv\d+(?:\.\d+)*\b"
    r"|(?<![\d.])\d+\.\d+\.\d+(?![\d.])"
)
_EDITION = re.compile(r"^第.*[^版]$")
_STOCK = re.compile(
    r"\b(?:in|out of) stock\b|\bsold out\b|\bback-?order(?:ed)?\b|在庫|品切れ|売り切れ|庫存|库存|現貨|缺貨|售罄",
    re.IGNORECASE,
)
_ONE = re.compile(r"一[^一二三四五六七八九十百千萬万億\d]{1,2}")
"""一日, 一天, 一個月: a day, a month. Grammar, not a figure, as `a day` is in English."""
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


def volatile(text: str, known: Known) -> Iterator[tuple[Rule, int, int, str | None]]:
    """Each volatile fact with its half-open range, in order, and the document that states it."""
    found: list[tuple[Rule, int, int, str | None]] = []
    for pattern, rule in ((_VERSION, Rule.VERSION), (_STOCK, Rule.STOCK)):
        found += [(rule, *m.span(), None) for m in pattern.finditer(text) if not _EDITION.match(m[0])]
    for name in sorted(known.names, key=len, reverse=True):
        at = text.find(name)
        while at >= 0:
            found.append((Rule.NAME, at, at + len(name), None))
            at = text.find(name, at + len(name))
    found += [
        (RULES[f.kind], f.start, f.end, known.document_of(f)) for f in figures.find(text) if not _ONE.fullmatch(f.text)
    ]
    taken: list[tuple[int, int]] = []
    for rule, start, end, document in found:
        if not any(start < high and end > low for low, high in taken):
            taken.append((start, end))
            yield rule, start, end, document
