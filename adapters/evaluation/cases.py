"""Questions on a firm's documents, with the evidence before them and the figures of the right answer.

The evidence is the piece with the answer beside those that share most with the question, its figures as they are or
drawn anew. None of these phrasings is trained on.
"""

import random
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache

from adapters.documents import Chunk
from adapters.facts import Fact
from adapters.pieces import redrawn
from adapters.redraw import core, figures, normal
from common.canonical import digest
from common.evidence import Evidence
from common.prompt import Message, canonical_order, compose, fence

LANGUAGES = ("en", "ja", "zh-TW")
_SECRET = b"benchmark"

PHRASINGS: dict[str, tuple[str, ...]] = {
    "en": (
        "May I ask what the {attribute} of the {product} is?",
        "Concerning the {product}: which {attribute} applies to me?",
        "A friend told me about the {product}. What about its {attribute}?",
        "I have not found the {attribute} of the {product} on your pages. What is it?",
        "Would you be so kind as to give me the {attribute} for the {product}?",
        "{attribute} of {product}, please",
        "Tell me the {attribute} for {product}.",
        "Good morning, would you mind letting me know the {attribute} of {product}? Many thanks.",
        "{product}, {attribute}?",
        "I'm getting my paperwork in order this weekend and I'm still missing the {attribute} for {product}.",
        "I've been all over your website and can't find the {attribute} of {product} anywhere.",
        "hi, quick one about {product}, would you happen to know the {attribute}?",
        "My mother asked me to find out the {attribute} for {product}. Can you help?",
        "With regard to {product}, kindly confirm the {attribute} by return e-mail.",
    ),
    "ja": (
        "{product}についてですが、{attribute}はどのようになりますか。",
        "友人に{product}を勧められました。{attribute}を知りたいのですが。",
        "すみません、{product}の{attribute}が分からないので教えていただけますか。",
        "{product}の{attribute}はどうなりますか。",
        "{attribute}について伺います。{product}の場合はどうですか。",
        "{product}について、{attribute}をお聞きしたいのですが。",
        "お世話になっております。{product}の{attribute}につきまして、ご教示いただけますと幸いです。",
        "{product} {attribute} 知りたい",
        "手続きの準備をしているのですが、{product}の{attribute}を確認させていただけますか。",
        "ホームページを見ても{product}の{attribute}が見つからず、困っています。",
        "すみません、{product}なんですけど、{attribute}ってわかりますか？",
        "母に頼まれて調べています。{product}の{attribute}をお知らせいただけますか。",
        "{attribute}についてお尋ねします。対象は{product}です。",
    ),
    "zh-TW": (
        "關於{product}，{attribute}是怎麼規定的？",
        "朋友推薦我{product}，它的{attribute}是什麼呢？",
        "不好意思，想問一下{product}的{attribute}。",
        "網站上找不到{product}的{attribute}，可以告訴我嗎？",
        "請告訴我{product}的{attribute}，謝謝。",
        "請告訴我{product}的{attribute}。",
        "您好，想跟貴行確認一下{product}的{attribute}，再麻煩您回覆，謝謝。",
        "{product} {attribute}？",
        "我明天要跑一趟辦手續，想先弄清楚{product}的{attribute}。",
        "官網翻了好幾遍，就是找不到{product}的{attribute}寫在哪裡。",
        "不好意思喔，{product}的{attribute}你們那邊查得到嗎？",
        "我媽要我幫她問{product}的{attribute}，可以幫忙查一下嗎？",
        "要請教的是{attribute}，項目是{product}，麻煩了。",
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


def asked_about(fact: Fact, chunk: Chunk, named: Collection[str]) -> bool:
    """Whether people would name the fact's subject: a heading or a row, not some words of a sentence."""
    row = chunk.text[chunk.text.rfind("\n", 0, fact.figure.start) + 1 : fact.figure.start]
    return 2 < len(fact.subject) < 60 and (
        any(heading.startswith(fact.subject) for heading in named) or f": {fact.subject};" in row
    )


def case(
    id: str,
    lang: str,
    question: str,
    own: Sequence[Chunk],
    targets: Sequence[tuple[Chunk, tuple[int, int]]],
    seed: int,
    *,
    change: bool,
    firm: str,
    pieces: int,
) -> Case:
    """One case. `targets` are the chunks and ranges of the figures that answer it; none where nothing does."""
    rng = random.Random(f"{seed}/{id}")  # noqa: S311 # draws figures, hides nothing
    near = sorted(own, key=lambda c: -shared(question, " ".join(c.heading) + c.text))
    chosen = list(dict.fromkeys(chunk for chunk, _ in targets))
    chosen += [c for c in near if c not in chosen][: max(0, pieces - len(chosen))]
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
        tuple(compose(firm, evidence, turns)),
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


def shared(question: str, text: str) -> float:
    """How much of the question's character pairs (words in Latin script) the text holds: a plain lexical search."""
    wanted = _terms(question)
    return len(wanted & _terms(text)) / (len(wanted) or 1)


@cache
def _terms(text: str) -> frozenset[str]:
    plain = normal(text.lower()) if not text.isascii() else text.lower()
    if text.isascii():
        return frozenset(plain.replace("?", " ").replace(",", " ").replace(".", " ").split())
    return frozenset(plain[i : i + 2] for i in range(len(plain) - 1))
