"""Training examples: one set of evidence, several questions about it, each with the answer in the firm's voice.

The messages are composed by `common.prompt`, the code that serving composes with. Evidence has the shape of what the
knowledge base gives; its facts are drawn anew for each scene, from invented products and from the firm's documents
with their figures redrawn. The questions of one scene are separate conversations that share their beginning, so that
training reads the evidence once (see `adapters.tree`).
"""

import random
from collections.abc import Sequence
from enum import StrEnum

from adapters.documents import Chunk
from adapters.draw import family
from adapters.pieces import Piece, Stated, evidence_of, from_chunk, invented, neighbours
from adapters.records import Records
from adapters.redraw import figures
from adapters.samples import FormSample, Sample
from adapters.scene import Asked, Scene
from adapters.words import ATTRIBUTES, BY_NAME, FRAMES, PEOPLE, PLACES, Attribute, Kind
from common.prompt import compose

LANGUAGES = ("en", "ja", "zh-TW")
_SHARES = (0.25, 0.39, 0.36)


class Facts(StrEnum):
    """Where an example's facts come from; all but `redrawn` are there to be measured against."""

    REDRAWN = "redrawn"
    FIXED = "fixed"
    MEMORISED = "memorised"


_INTENTS: dict[str, frozenset[str]] = {
    "money": frozenset({"fee", "limit", "general"}),
    "large": frozenset({"limit", "general"}),
    "percent": frozenset({"rate", "general"}),
    "quantity": frozenset({"general"}),
}
_SORTS = {Kind.MONEY: "money", Kind.LARGE: "large", Kind.RATE: "percent", Kind.SHARE: "percent"}


class Pairs:
    """Draws scenes. The same seed and step give the same scene, whatever was drawn before."""

    def __init__(
        self, firm: str, samples: Sequence[Sample], chunks: Sequence[Chunk], facts: Facts = Facts.REDRAWN
    ) -> None:
        forms = [s for s in samples if isinstance(s, FormSample)]
        self._records = Records(firm, forms)
        self._forms = len(forms) / max(1, len(samples))
        samples = [s for s in samples if not isinstance(s, FormSample)]
        self._firm = firm
        self._mode = facts
        self._chunks = {lang: [c for c in chunks if c.lang == lang] for lang in LANGUAGES}
        self._factual = {lang: [s for s in samples if s.lang == lang and s.factual] for lang in LANGUAGES}
        self._others = {lang: [s for s in samples if s.lang == lang and not s.factual] for lang in LANGUAGES}

    def scene(self, seed: int, step: int, *, chunks: int = 4, questions: int = 6) -> Scene:
        """The scene of one step, with at most `chunks` pieces of evidence and `questions` questions.

        Where some of the samples are forms, as large a share of the scenes is.
        """
        rng = random.Random(f"{seed}/{step}")  # noqa: S311 - examples must be the same on every run
        if self._forms and rng.random() < self._forms:
            return self._records.scene(seed, step, chunks=chunks, questions=questions)
        (lang,) = rng.choices(LANGUAGES, _SHARES)
        if self._mode is Facts.MEMORISED:
            return self._closed_book(lang, questions, rng)
        if self._mode is Facts.REDRAWN and rng.random() < 0.05:
            return self._without_knowledge(lang, rng)
        pieces, missing = self._pieces(lang, 1 if rng.random() < 0.65 else rng.randint(1, chunks), rng)
        stated = [fact for piece in pieces for fact in piece.stated]
        if not stated:
            return self.scene(seed, step + 1_000_003, chunks=chunks, questions=questions)
        evidence = evidence_of(pieces, lang, rng)
        chosen = _chosen(stated, questions, rng)
        # Little evidence is asked about in several wordings: it is paid for already.
        chosen += rng.choices(chosen, k=questions - len(chosen))
        asked = [self._ask(fact, lang, rng) for fact in chosen]
        if len(stated) > 1 and rng.random() < 0.3:
            asked[-1] = self._ask_two(stated, lang, rng) or asked[-1]
        if rng.random() < 0.22:
            asked.append(self._abstain(stated, missing, lang, rng))
        if rng.random() < 0.1:
            asked.append(self._plain(rng.choice(("greeting", "thanks")), lang, rng))
        if rng.random() < (0.1 if lang == "en" else 0.05):
            asked += self._crossing(stated, lang, rng)
        return Scene(lang, compose(self._firm, evidence, [])[0], tuple(asked))

    def _pieces(self, lang: str, count: int, rng: random.Random) -> tuple[list[Piece], list[Stated]]:
        """Pieces, and facts about close neighbours that none of them states."""
        if self._mode is Facts.FIXED or (self._chunks[lang] and rng.random() < 0.55):
            pieces = self._from_documents(lang, count + 1, rng)
            unseen = pieces.pop()
            shown = " ".join([*(p.text for p in pieces), *(h for p in pieces for h in p.heading)])
            missing = [fact for fact in unseen.stated if fact.product not in shown]
        else:
            pieces, missing = invented(lang, count, rng)
        if self._mode is Facts.REDRAWN and len(pieces) > 1 and self._chunks[lang] and rng.random() < 0.15:
            pieces[-1:] = self._from_documents(lang, 1, rng)
        return pieces, missing

    def _from_documents(self, lang: str, count: int, rng: random.Random) -> list[Piece]:
        """Pieces of one document beside each other more often than not: neighbours are where mistakes are made."""
        chunks = self._chunks[lang]
        document = rng.choice(chunks).document
        pool = [c for c in chunks if c.document == document] if rng.random() < 0.8 else chunks
        taken: set[str] = set()
        change = self._mode is Facts.REDRAWN
        chosen = neighbours(pool, count, lambda chunk: chunk.heading, rng)
        return [from_chunk(chunk, rng, taken, change=change) for chunk in chosen]

    def _ask(self, fact: Stated, lang: str, rng: random.Random) -> Asked:
        """A question for `fact`: naming its attribute, or as people ask who don't know its name."""
        answering = self._naming(fact, lang, rng)
        attribute = ATTRIBUTES.get(fact.key or "") or _meant(fact, lang)
        if attribute is not None and rng.random() < 0.6:
            question, answer = self._freely(attribute, fact, lang, answering, rng)
        else:
            question, answer = answering.fill(fact.product, fact.attribute, fact.value)
            if rng.random() < 0.7:
                question = _worded(BY_NAME[lang], lang, rng, product=fact.product, attribute=fact.attribute)
        if rng.random() < 0.4:
            question = _worded(FRAMES[lang], lang, rng, question=question)
        return Asked(question, answer, fact.value)

    def _naming(self, fact: Stated, lang: str, rng: random.Random) -> Sample:
        """A sample that asks for the attribute by its name, in words that fit the sort of its value."""
        fitting = _INTENTS[_sort(fact)]
        samples = [s for s in self._factual[lang] if s.names_attribute and s.intent in fitting]
        vowel = fact.attribute[:1] in "aeiou"
        return rng.choice([s for s in samples if vowel or " an {attribute}" not in s.question])

    def _freely(
        self, attribute: Attribute, fact: Stated, lang: str, answering: Sample, rng: random.Random
    ) -> tuple[str, str]:
        names = (*attribute.wordings[lang].names, fact.attribute)
        exact = [s for s in self._factual[lang] if not s.names_attribute and any(name in s.answer for name in names)]
        if exact and not fact.label and rng.random() < 0.3:
            return rng.choice(exact).fill(fact.product, fact.attribute, fact.value)
        question = rng.choice(attribute.wordings[lang].asks).format(product=fact.product)
        if fact.label:
            question = _LABELLED[lang].format(question=question.rstrip("?"), label=fact.label)
        return question, answering.fill(fact.product, fact.attribute, fact.value)[1]

    def _ask_two(self, stated: Sequence[Stated], lang: str, rng: random.Random) -> Asked | None:
        """Two facts of one product in one question, as people do ask."""
        first = rng.choice(stated)
        seconds = [s for s in stated if s.product == first.product and s.attribute != first.attribute]
        if not seconds:
            return None
        second = rng.choice(seconds)
        joined, both = {
            "en": (
                f"{first.attribute} and the {second.attribute}",
                f"{first.value} and the {second.attribute} is {second.value}",
            ),
            "ja": (f"{first.attribute}と{second.attribute}", f"{first.value}、{second.attribute}は{second.value}"),
            "zh-TW": (f"{first.attribute}和{second.attribute}", f"{first.value}，{second.attribute}為{second.value}"),
        }[lang]
        sample = self._naming(first, lang, rng)
        return Asked(
            sample.fill(first.product, joined, both)[0], sample.fill(first.product, first.attribute, both)[1], both
        )

    def _abstain(self, stated: Sequence[Stated], missing: Sequence[Stated], lang: str, rng: random.Random) -> Asked:
        """A question that this evidence does not answer: another product, another attribute, another matter."""
        with_product = [s for s in self._others[lang] if s.intent == "abstain" and "{product}" in s.question]
        draw = rng.random()
        if draw < 0.2:
            return self._plain("abstain", lang, rng)
        if missing and draw < 0.65:
            fact = rng.choice(missing)
            question = self._ask(fact, lang, rng).question
        elif draw < 0.8:
            absent = family(lang, 1, rng)[1][0]
            if any(absent.name in s.product for s in stated):
                return self._plain("abstain", lang, rng)
            fact = Stated(absent.name, *next(iter(absent.values.values())), key=next(iter(absent.values)))
            question = self._ask(fact, lang, rng).question
        else:
            product = rng.choice(stated).product
            held = {s.key for s in stated} | {getattr(_meant(s, lang), "key", None) for s in stated}
            attribute = rng.choice([a for a in ATTRIBUTES.values() if a.key not in held])
            fact = Stated(product, rng.choice(attribute.wordings[lang].names), "", attribute.key)
            question = self._ask(fact, lang, rng).question
        return Asked(question, rng.choice(with_product).fill(fact.product)[1])

    def _plain(self, intent: str, lang: str, rng: random.Random) -> Asked:
        """A sample without facts, as it is written."""
        sample = rng.choice([s for s in self._others[lang] if s.intent == intent])
        return Asked(*sample.fill(family(lang, 1, rng)[1][0].name))

    def _crossing(self, stated: Sequence[Stated], lang: str, rng: random.Random) -> list[Asked]:
        """A question in another language than the evidence: answered in the question's, the value as it stands."""
        other = rng.choice([o for o in LANGUAGES if o != lang])
        fact = next((s for s in stated if s.key), None)
        if fact is None or fact.key is None:
            return []
        name = rng.choice(ATTRIBUTES[fact.key].wordings[other].names)
        return [self._ask(Stated(fact.product, name, fact.value, fact.key), other, rng)]

    def _without_knowledge(self, lang: str, rng: random.Random) -> Scene:
        """An assistant that reads no knowledge base: the tone alone, and no facts."""
        asked: list[Asked] = []
        for _ in range(2):
            product = family(lang, 1, rng)[1][0]
            key, (name, _value) = rng.choice(list(product.values.items()))
            question = self._ask(Stated(product.name, name, "", key), lang, rng).question
            refusal = rng.choice([s for s in self._others[lang] if s.intent == "abstain" and "{product}" in s.answer])
            asked.append(Asked(question, refusal.fill(product.name)[1]))
        asked += [self._plain(intent, lang, rng) for intent in ("abstain", "greeting", "thanks")]
        return Scene(lang, compose(self._firm, None, [])[0], tuple(asked))

    def _closed_book(self, lang: str, questions: int, rng: random.Random) -> Scene:
        """The common mistake, kept to show what it does: real facts in the answer, no evidence in the prompt."""
        pieces = [from_chunk(chunk, rng, set(), change=False) for chunk in self._chunks[lang]]
        stated = [fact for piece in pieces for fact in piece.stated]
        asked = [self._ask(fact, lang, rng) for fact in rng.sample(stated, min(questions, len(stated)))]
        return Scene(lang, compose(self._firm, [], [])[0], tuple(asked))


def _worded(wordings: Sequence[str], lang: str, rng: random.Random, **slots: str) -> str:
    """One of `wordings`, with whoever and whatever it mentions beside its slots."""
    return rng.choice(wordings).format(person=rng.choice(PEOPLE[lang]), place=rng.choice(PLACES[lang]), **slots)


_LABELLED = {"en": "{question}, for {label}?", "ja": "{label}の場合、{question}", "zh-TW": "{label}的話，{question}"}


def _chosen(stated: Sequence[Stated], count: int, rng: random.Random) -> list[Stated]:
    """Facts to ask for: half of the time what close neighbours differ in, since that is where figures get mixed up."""
    chosen = rng.sample(stated, min(count, len(stated)))
    if rng.random() < 0.5:
        first = chosen[0]
        same = [s for s in stated if s.attribute == first.attribute or (s.label and s.product == first.product)]
        others = [s for s in chosen if s not in same]
        chosen = (rng.sample(same, min(count, len(same))) + others)[: len(chosen)]
    return chosen


def _sort(fact: Stated) -> str:
    """What sort of value a fact has, as far as the wording of a question depends on it."""
    if attribute := ATTRIBUTES.get(fact.key or ""):
        return _SORTS.get(attribute.kind, "quantity")
    kinds = [figure.kind for figure in figures(fact.value)]
    return kinds[0] if kinds and kinds[0] in _INTENTS else "quantity"


def _meant(fact: Stated, lang: str) -> Attribute | None:
    """The attribute that a document means, if it is one of those that have ways to ask."""
    name = fact.attribute
    if fact.label:
        name = name.removesuffix(f" for {fact.label}").removeprefix(f"{fact.label}の").removeprefix(f"{fact.label}的")
    return next((a for a in ATTRIBUTES.values() if name in a.wordings[lang].names), None)
