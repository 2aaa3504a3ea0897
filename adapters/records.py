"""Draws the files that forms are filled from: names, figures and wordings that nobody can remember.

A file is a sample's evidence with its slots filled. Names come of a head and a tail, figures are drawn anew in the
form of an example (`adapters.redraw`), and where the form has a list of words the file calls the thing by any of the
glossary's names, while the form has its term. Of some files one statement is left out: the form then says so.
"""

import random
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from adapters.forms import SLOT, Form, Shape, filled
from adapters.pieces import Piece, evidence_of
from adapters.redraw import figures, redraw
from adapters.samples import FormSample
from adapters.scene import Asked, Scene
from common.prompt import compose

LANGUAGES = ("en", "ja", "zh-TW")
_SHARES = (0.24, 0.42, 0.34)
_STATEMENT = re.compile(r"[^.。\n]+(?:[.。] ?|\n|$)")


@dataclass(frozen=True, slots=True)
class File:
    """A file: its text under its name, and the record that its form has of it."""

    form: Form
    name: str
    text: str
    record: dict[str, str]

    def ask(self, sample: FormSample) -> Asked:
        """What `sample` asks, asked of this file."""
        question = filled(sample.question, {"file": self.name})
        return Asked(question, filled(sample.answer, self.record))


class Records:
    """Draws scenes from form samples. The same seed and step give the same scene, whatever was drawn before."""

    def __init__(self, firm: str, samples: Sequence[FormSample]) -> None:
        self._firm = firm
        self._samples = {lang: [s for s in samples if s.lang == lang] for lang in LANGUAGES}

    def scene(self, seed: int, step: int, *, chunks: int, questions: int) -> Scene:
        """A file and its form in both shapes, or up to `chunks` files and at most `questions` forms of them in turn."""
        rng = random.Random(f"{seed}/{step}/form")  # noqa: S311 - examples must be the same on every run
        langs = [lang for lang in LANGUAGES if self._samples[lang]]
        (lang,) = rng.choices(langs, [_SHARES[LANGUAGES.index(lang)] for lang in langs])
        files: list[File] = []
        for _ in range(1 if rng.random() < 0.5 else rng.randint(1, chunks)):
            made = file(rng.choice(self._samples[lang]), rng, silent=rng.random() < 0.25)
            if made.name not in {other.name for other in files}:
                files.append(made)
        asked: list[Asked] = []
        for i in range(min(questions, max(2, len(files)))):
            about = files[i % len(files)]
            fitting = [s for s in self._samples[lang] if s.form is about.form]
            shape = rng.choice(list(Shape)) if len(files) > 1 else list(Shape)[i % 2]
            asked.append(about.ask(rng.choice([s for s in fitting if s.shape is shape] or fitting)))
        pieces = [Piece((one.name,), one.text, ()) for one in files]
        return Scene(lang, compose(self._firm, evidence_of(pieces, lang, rng), [])[0], tuple(asked))


def file(sample: FormSample, rng: random.Random, *, silent: bool = False, unseen: bool = False) -> File:
    """A file as `sample` writes it. `silent` leaves a statement out where one can be; `unseen` takes other names."""
    form, lang = sample.form, sample.lang
    words = form.words[lang] | (form.unseen.get(lang, {}) if unseen else {})
    record: dict[str, str] = {}
    said: dict[str, str] = {}
    for field, kind in form.draws.items():
        drawn = _drawn(words[kind], rng)
        while drawn in record.values():
            drawn = _drawn(words[kind], rng)
        record[field] = said[field] = drawn
    for field, terms in form.terms[lang].items():
        record[field] = rng.choice(list(terms))
        said[field] = rng.choice((record[field], *terms[record[field]]))
    name = said["file"] = _drawn(words["file"], rng)
    parts = _STATEMENT.findall(sample.evidence)
    alone = {found[0]: i for i, part in enumerate(parts) if len(found := SLOT.findall(part)) == 1}
    if silent and (fields := [field for field in alone if "like" in words.get(form.draws.get(field, ""), {})]):
        field = rng.choice(fields)
        parts[alone[field]] = ""
        record[field] = form.absent[lang]
    text = filled("".join(parts).strip(), said)
    return File(form, name, text[0].upper() + text[1:], record)


def _drawn(kind: dict[str, Any], rng: random.Random) -> str:
    if "like" not in kind:
        return rng.choice(kind["heads"].split(" ")) + rng.choice(kind["tails"].split("|"))
    like = rng.choice(kind["like"])
    if found := figures(like):
        drawn = redraw(like[found[0].start : found[0].end], found[0].kind, rng)
        return like[: found[0].start] + drawn + like[found[0].end :]
    return re.sub(r"\d+", lambda old: str(rng.randint(1, 10 ** len(old[0]) - 1)), like)
