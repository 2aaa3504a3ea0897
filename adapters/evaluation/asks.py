"""The questions of an evaluation: each with the messages, the model that is asked, and what its answer shows.

faithful   figures drawn anew, on products whose names no document has: are they copied?
stale      figures drawn anew, on the firm's products: does an old one come instead?
leak       the same questions closed book, to adapter and base: does an old one come by heart?
abstain    evidence about something else: is the question declined?
form       files with names and figures that no training drew, to adapter and base: is the form kept and filled?
general    common knowledge, of at most a hundred questions a language, to adapter and base
"""

import random
import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from adapters.documents import Chunk
from adapters.evaluation.cases import LANGUAGES, PHRASINGS, Case, asked_about, case
from adapters.evaluation.judge import Rules, declined, in_form, in_terms, in_tone, right, said, states
from adapters.facts import Fact, facts
from adapters.pieces import Piece, evidence_of
from adapters.records import file
from adapters.redraw import core, normal
from adapters.samples import FormSample
from common.language import language_of
from common.prompt import Message, compose

KINDS = ("faithful", "stale", "leak", "abstain", "form", "general")
_GENERAL = Path(__file__).with_name("general.toml")
_SYLLABLES = ("ta", "vel", "mor", "rin", "dal", "kes", "lu", "bra", "sen", "tho", "ga", "nil")
_RUNS = ("[A-Za-z]", "[0-9]", "[〇零一二三四五六七八九十百千]")
_SIGNS = "霧笛碧嵐瑞雲玄橋翠峰暁湊"


@dataclass(frozen=True, slots=True)
class Ask:
    """One question. `judge` gives the verdict on its answer for each metric that it counts for; `most` bounds it."""

    kind: str
    lang: str
    base: bool
    messages: tuple[Message, ...]
    judge: Callable[[str], dict[str, bool]]

    @property
    def most(self) -> int:
        """Tokens: a whole answer with its closing; less where a figure or a word is looked for, which come early."""
        return {"leak": 96, "general": 64, "form": 200}.get(self.kind, 160)


@dataclass(frozen=True, slots=True)
class Voice:
    """What an adapter is held against: the firm's documents, its rules a language, and how it is asked.

    `pieces` is how many pieces of evidence stand before a question, `forms` what is asked for besides.
    """

    firm: str
    chunks: Sequence[Chunk]
    rules: dict[str, Rules]
    pieces: int = 2
    forms: Sequence[FormSample] = ()


def asks(voice: Voice, n: int, seed: int, kinds: Collection[str] = KINDS) -> Iterator[Ask]:
    """All questions of these kinds, `n` of each kind and language that the documents have."""
    return (ask for ask in _asks(voice, n, seed) if ask.kind in kinds)


def _asks(voice: Voice, n: int, seed: int) -> Iterator[Ask]:
    for lang in LANGUAGES:
        own = [chunk for chunk in voice.chunks if chunk.lang == lang]
        rules = voice.rules.get(lang, {})
        rng = random.Random(f"{seed}/{lang}")  # noqa: S311 # draws figures, hides nothing
        for made in _cases(voice, lang, renamed(own, rng), n, seed, "n"):
            yield Ask("faithful", lang, False, made.messages, partial(_faithful, made, rules))
        for made, old in zip(
            _cases(voice, lang, own, n, seed, "s"), _cases(voice, lang, own, n, seed, "s", change=False), strict=True
        ):
            yield Ask("stale", lang, False, made.messages, partial(_stale, made, old.expected, rules))
            turns: list[Message] = [{"role": "user", "content": made.question}]
            closed = tuple(compose(voice.firm, None, turns))
            for base in (False, True):
                yield Ask("leak", lang, base, closed, partial(_leak, made.question, old.expected))
        for made in _cases(voice, lang, own, n, seed, "a", answered=False):
            yield Ask("abstain", lang, False, made.messages, partial(_abstain, made, rules))
        yield from _forms(voice, lang, n, seed)
    for lang, rows in tomllib.loads(_GENERAL.read_text(encoding="utf-8")).items():
        rng = random.Random(f"{seed}/{lang}/general")  # noqa: S311 # chooses questions, hides nothing
        for question, *says in rng.sample(rows, min(n, len(rows))):
            asked: list[Message] = [{"role": "user", "content": question}]
            for base in (False, True):
                yield Ask("general", lang, base, tuple(asked), partial(_general, says))


def _cases(
    voice: Voice,
    lang: str,
    own: Sequence[Chunk],
    n: int,
    seed: int,
    mark: str,
    *,
    change: bool = True,
    answered: bool = True,
) -> Iterator[Case]:
    """`n` facts, each asked for in another wording before one comes again."""
    named = {heading for chunk in own for heading in chunk.heading}
    stated = [(chunk, fact) for chunk in own for fact in facts(chunk) if asked_about(fact, chunk, named)]
    random.Random(f"{seed}/{lang}/{mark}").shuffle(stated)  # noqa: S311 # draws questions, hides nothing
    wordings = PHRASINGS[lang]
    for i in range(n if stated else 0):
        chunk, fact = stated[i % len(stated)]
        wording = wordings[(i + i // len(stated)) % len(wordings)]
        question = wording.format(product=fact.subject, attribute=fact.attribute)
        among = own if answered else [c for c in own if not _about(fact, c)]
        targets = [(chunk, (fact.figure.start, fact.figure.end))] if answered else []
        made = f"{lang}-{mark}{i:03}"
        yield case(made, lang, question, among, targets, seed + i, change=change, firm=voice.firm, pieces=voice.pieces)


def _forms(voice: Voice, lang: str, n: int, seed: int) -> Iterator[Ask]:
    """`n` files, each with the form that is asked of it; every fifth leaves a statement out."""
    own = [sample for sample in voice.forms if sample.lang == lang]
    for i in range(n if own else 0):
        rng = random.Random(f"{seed}/{lang}/form/{i}")  # noqa: S311 # draws names and figures, hides nothing
        sample = own[i % len(own)]
        about = file(sample, rng, silent=i % 5 == 4, unseen=True)
        evidence = evidence_of([Piece((about.name,), about.text, ())], lang, rng)
        turns: list[Message] = [{"role": "user", "content": about.ask(sample).question}]
        messages = tuple(compose(voice.firm, evidence, turns))
        for base in (False, True):
            yield Ask("form", lang, base, messages, partial(_form, sample, about.record))


def _about(fact: Fact, chunk: Chunk) -> bool:
    return fact.subject in chunk.text or any(fact.subject in heading for heading in chunk.heading)


def renamed(chunks: Sequence[Chunk], rng: random.Random) -> list[Chunk]:
    """The chunks with their things under names that were never heard: the first word goes, what kind it is stays."""
    names = {heading for chunk in chunks for heading in chunk.heading} | {
        fact.subject for chunk in chunks for fact in facts(chunk) if f": {fact.subject};" in chunk.text
    }
    brands: dict[str, str] = {}
    moved: dict[str, str] = {}
    for name in sorted(names, key=lambda name: (-len(name), name)):
        brand = name.split(" ")[0] if name.isascii() else name[:2]
        if len(name) < 4 or name == brand:
            continue
        brands.setdefault(brand, _invented(name.isascii(), rng))
        moved[name] = brands[brand] + name[len(brand) :]
    if not moved:
        return list(chunks)
    pattern = re.compile("|".join(map(re.escape, moved)))

    def anew(text: str) -> str:
        return pattern.sub(lambda name: moved[name[0]], text)

    return [Chunk(c.document, c.position, tuple(map(anew, c.heading)), anew(c.text), c.lang) for c in chunks]


def _invented(latin: bool, rng: random.Random) -> str:
    return "".join(rng.sample(_SYLLABLES, 3)).capitalize() if latin else "".join(rng.sample(_SIGNS, 2))


def _style(made: Case, answer: str, rules: Rules) -> dict[str, bool]:
    """A language without an opening and a closing has no tone that could be kept: it is not measured."""
    given = "\n".join(message["content"] for message in made.messages)
    return {
        **({"tone": in_tone(answer, rules)} if {"opening", "closing"} & rules.keys() else {}),
        "format": in_form(answer, rules),
        "terminology": in_terms(answer, given, rules),
        "language": str(language_of(answer)) == made.lang,
    }


def _faithful(made: Case, rules: Rules, answer: str) -> dict[str, bool]:
    return {"faithful": right(made, answer), **_style(made, answer, rules)}


def _stale(made: Case, old: Sequence[str], rules: Rules, answer: str) -> dict[str, bool]:
    """Stale is an old figure that the evidence has no more. Where it has all of them, it is no case."""
    plain = normal(made.messages[0]["content"])
    gone = [figure for figure in old if figure not in plain and figure not in made.expected]
    stale = {"stale": any(states(figure, answer) for figure in gone)} if gone else {}
    return {**stale, **_style(made, answer, rules)}


def _leak(question: str, old: Sequence[str], answer: str) -> dict[str, bool]:
    return {"leak": bool(said(answer) & {core(figure) for figure in old if figure not in normal(question)})}


def _abstain(made: Case, rules: Rules, answer: str) -> dict[str, bool]:
    return {"abstain": declined(made, answer, rules.get("refusals", ()))}


def _form(sample: FormSample, record: Mapping[str, str], answer: str) -> dict[str, bool]:
    """Format is whether the schema, or the sections in their order, take the whole answer; terms don't need it."""
    form, lang = sample.form, sample.lang
    terms = [(record[field], words[record[field]]) for field, words in form.terms[lang].items()]
    read = form.read(answer.strip(), sample.shape, lang)
    return {
        "faithful": read == record,
        "format": read is not None,
        "terminology": all(term in answer and not any(word in answer for word in others) for term, others in terms),
    }


def _general(says: Sequence[str], answer: str) -> dict[str, bool]:
    plain = unicodedata.normalize("NFKC", answer)
    return {"general": any(re.search(_alone(word), plain, re.IGNORECASE) for word in says)}


def _alone(word: str) -> str:
    """A pattern for `word` that is no part of another: not `one` in `none`, 5 in 15, 二 in 十二."""
    run = next((run for run in _RUNS if re.match(run, word)), None)
    return f"(?<!{run}){re.escape(word)}(?!{run})" if run else re.escape(word)
