"""The cases of `benchmarks.sample`: questions over the sample firm's documents, with the figure of the right answer.

Evidence is what the knowledge base gives: read and cut by `retrieval`, the piece with the answer beside the one
that shares most with the question. None of the phrasings here is trained on, nor are `questions.jsonl`'s.
"""

import json
import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from adapters.documents import Chunk
from adapters.facts import Fact, facts
from adapters.pieces import redrawn
from adapters.redraw import core, figures, normal
from common.canonical import digest
from common.evidence import Evidence
from common.prompt import Message, canonical_order, compose, fence
from retrieval.cut import cut, path
from retrieval.read import media_type_of, read

FIRM = "Kitahama Trust"
LANGUAGES = ("en", "ja", "zh-TW")
TOP_K = 2
_SECRET = b"benchmark"

PHRASINGS: dict[str, tuple[str, ...]] = {
    "en": (
        "May I ask what the {attribute} of the {product} is?",
        "Concerning the {product}: which {attribute} applies to me?",
        "A friend told me about the {product}. What about its {attribute}?",
        "I have not found the {attribute} of the {product} on your pages. What is it?",
        "Would you be so kind as to give me the {attribute} for the {product}?",
        "{attribute} of {product}, please",
    ),
    "ja": (
        "{product}についてですが、{attribute}はどのようになりますか。",
        "友人に{product}を勧められました。{attribute}を知りたいのですが。",
        "すみません、{product}の{attribute}が分からないので教えていただけますか。",
        "{product}の{attribute}はどうなりますか。",
        "{attribute}について伺います。{product}の場合はどうですか。",
    ),
    "zh-TW": (
        "關於{product}，{attribute}是怎麼規定的？",
        "朋友推薦我{product}，它的{attribute}是什麼呢？",
        "不好意思，想問一下{product}的{attribute}。",
        "網站上找不到{product}的{attribute}，可以告訴我嗎？",
        "請告訴我{product}的{attribute}，謝謝。",
    ),
}


@dataclass(frozen=True, slots=True)
class Case:
    """One question with its evidence. `expected` are the figures of a right answer; empty where none is right.

    `others` are the evidence's figures of the same kind that are not: neither expected, nor named in the question.
    """

    id: str
    lang: str
    question: str
    messages: tuple[Message, ...]
    expected: tuple[str, ...]
    others: frozenset[str]


def knowledge(folder: Path) -> list[Chunk]:
    """The documents as the knowledge base cuts them."""
    chunks: list[Chunk] = []
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        media_type = media_type_of(file.name)
        if media_type is None:
            continue
        document = read(file.read_bytes(), media_type)
        for i, piece in enumerate(cut(document)):
            name = file.relative_to(folder).as_posix()
            chunks.append(Chunk(name, i, path(document.title, piece.heading), piece.text, name.split("/")[0]))
    return chunks


def cases(folder: Path, per_language: int, seed: int, *, change: bool = True) -> list[Case]:
    """`per_language` cases that can be answered: the written questions, then facts asked in other words.

    With `change` the written questions come twice, with the documents' figures and with redrawn ones, and all others
    are asked about redrawn figures. Without it the documents are as they are, as a running service has them.
    """
    chunks = knowledge(folder / "documents")
    written = [json.loads(line) for line in (folder / "questions.jsonl").read_text(encoding="utf-8").splitlines()]
    made: list[Case] = []
    for lang in LANGUAGES:
        own = [c for c in chunks if c.lang == lang]
        questions = [row for row in written if row["lang"] == lang]
        mine = [
            _written(row, own, seed, change=anew)
            for anew in ((False, True) if change else (False,))
            for row in questions
        ]
        rng = random.Random(f"{seed}/{lang}")
        named = {heading for chunk in own for heading in chunk.heading}
        stated = [(chunk, fact) for chunk in own for fact in facts(chunk) if _asked_about(fact, chunk, named)]
        rng.shuffle(stated)
        for i, (chunk, fact) in enumerate(stated[: max(0, per_language - len(mine))]):
            question = PHRASINGS[lang][i % len(PHRASINGS[lang])].format(product=fact.subject, attribute=fact.attribute)
            span = (fact.figure.start, fact.figure.end)
            mine.append(_case(f"{lang}-f{i:03}", lang, question, own, [(chunk, span)], seed + i, change=change))
        made += mine[:per_language]
    return made


def unanswerable(folder: Path, per_language: int, seed: int) -> list[Case]:
    """Written questions that no document answers, then facts whose own section is not among the evidence."""
    chunks = knowledge(folder / "documents")
    written = [json.loads(line) for line in (folder / "unanswerable.jsonl").read_text(encoding="utf-8").splitlines()]
    made: list[Case] = []
    for lang in LANGUAGES:
        own = [c for c in chunks if c.lang == lang]
        mine = [_case(r["id"], lang, r["question"], own, [], seed, change=False) for r in written if r["lang"] == lang]
        rng = random.Random(f"{seed}/{lang}/absent")
        stated = [(chunk, fact) for chunk in own for fact in facts(chunk) if fact.subject == chunk.subject]
        for i, (_, fact) in enumerate(rng.sample(stated, max(0, min(len(stated), per_language - len(mine))))):
            question = PHRASINGS[lang][i % len(PHRASINGS[lang])].format(product=fact.subject, attribute=fact.attribute)
            without = [c for c in own if fact.subject not in c.text and fact.subject not in c.heading]
            mine.append(_case(f"{lang}-a{i:03}", lang, question, without, [], seed + i, change=True))
        made += mine
    return made


def _asked_about(fact: Fact, chunk: Chunk, named: Collection[str]) -> bool:
    """Whether people would name the fact's subject: a heading or a row, not some words of a sentence."""
    row = chunk.text[chunk.text.rfind("\n", 0, fact.figure.start) + 1 : fact.figure.start]
    return 2 < len(fact.subject) < 60 and (
        any(heading.startswith(fact.subject) for heading in named) or f": {fact.subject};" in row
    )


def wilson(right: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a proportion."""
    if n == 0:
        return 0.0, 1.0
    z, p = 1.96, right / n
    centre, width = p + z * z / (2 * n), z * (p * (1 - p) / n + z * z / (4 * n * n)) ** 0.5
    return max(0.0, (centre - width) / (1 + z * z / n)), min(1.0, (centre + width) / (1 + z * z / n))


def _written(row: dict[str, object], own: Sequence[Chunk], seed: int, *, change: bool) -> Case:
    """A written question: its figures are looked up in the document that it names."""
    wanted = [str(figure) for figure in row["figures"]]  # type: ignore[union-attr]
    subject, attribute = str(row["subject"]), str(row["attribute"])
    targets: list[tuple[Chunk, tuple[int, int]]] = []
    for figure in wanted:
        holding = [c for c in own if c.document == row["document"] and _at(c, figure)]
        best = max(holding, key=lambda c: _shared(subject + attribute, " ".join(c.heading) + c.text))
        spans = _at(best, figure)
        # The same figure may stand in two rows: the one on a line that shares most with what is asked.
        targets.append((best, max(spans, key=lambda s: _shared(subject + attribute, _line(best.text, s[0])))))
    id = f"{row['id']}{'-redrawn' if change else ''}"
    return _case(id, str(row["lang"]), str(row["question"]), own, targets, seed, change=change)


def _case(
    id: str,
    lang: str,
    question: str,
    own: Sequence[Chunk],
    targets: Sequence[tuple[Chunk, tuple[int, int]]],
    seed: int,
    *,
    change: bool,
) -> Case:
    rng = random.Random(f"{seed}/{id}")
    near = sorted(own, key=lambda c: -_shared(question, " ".join(c.heading) + c.text))
    chosen = list(dict.fromkeys(chunk for chunk, _ in targets))
    chosen += [c for c in near if c not in chosen][: TOP_K - len(chosen)]
    taken: set[str] = set()
    texts: dict[Chunk, str] = {}
    expected: list[str] = []
    for chunk in chosen:
        text, words = redrawn(chunk, rng, taken) if change else (chunk.text, None)
        texts[chunk] = text
        spans = [span for target, span in targets if target is chunk]
        expected += [core(words(*span) if words else chunk.text[slice(*span)]) for span in spans]
    evidence = canonical_order(_evidence(chunk, text) for chunk, text in texts.items())
    turns: list[Message] = [{"role": "user", "content": question}]
    asked = {core(question[f.start : f.end]) for f in figures(question)}
    kinds = {f.kind for figure in expected for f in figures(figure)}
    standing = {
        core(text[f.start : f.end]) for text in texts.values() for f in figures(text) if f.kind in kinds or not expected
    }
    return Case(
        id,
        lang,
        question,
        tuple(compose(FIRM, evidence, turns)),
        tuple(expected),
        frozenset(standing - set(expected) - asked),
    )


def _evidence(chunk: Chunk, text: str) -> Evidence:
    mark = digest(text.encode())
    return Evidence(
        chunk=mark[-12:],
        digest=mark,
        knowledge="kitahama",
        document=chunk.document,
        revision=1,
        title=chunk.heading[0] if chunk.heading else "",
        heading=chunk.heading,
        text=text,
        span=(0, len(text)),
        page=None,
        lang=chunk.lang,
        position=chunk.position,
        score=1.0,
        fence=fence(_SECRET, mark),
    )


def _at(chunk: Chunk, figure: str) -> list[tuple[int, int]]:
    """Where `figure` stands in the chunk, as ranges of whole figures."""
    wanted = core(figure)
    return [(f.start, f.end) for f in figures(chunk.text) if core(chunk.text[f.start : f.end]) == wanted]


def _line(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1 : (text + "\n").find("\n", at)]


def _shared(question: str, text: str) -> float:
    """How much of the question's character pairs (words in Latin script) the text holds: a plain lexical search."""
    wanted = _terms(question)
    return len(wanted & _terms(text)) / (len(wanted) or 1)


@cache
def _terms(text: str) -> frozenset[str]:
    plain = normal(text.lower()) if not text.isascii() else text.lower()
    if text.isascii():
        return frozenset(plain.replace("?", " ").replace(",", " ").replace(".", " ").split())
    return frozenset(plain[i : i + 2] for i in range(len(plain) - 1))
