"""The cases of `benchmarks.sample`: questions over the sample firm's documents, with the figure of the right answer.

Evidence is what the knowledge base gives: read and cut by `retrieval`, the piece with the answer beside the one
that shares most with the question. None of the phrasings here is trained on, nor are `questions.jsonl`'s.
"""

import json
import random
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from adapters.documents import Chunk
from adapters.evaluation.cases import LANGUAGES, PHRASINGS, Case, asked_about, case, shared
from adapters.facts import facts
from adapters.redraw import core, figures
from retrieval.cut import cut, path
from retrieval.read import media_type_of, read

__all__ = ["LANGUAGES", "Case", "cases", "unanswerable"]

FIRM = "Kitahama Trust"
TOP_K = 2
_case = partial(case, firm=FIRM, pieces=TOP_K)


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
        stated = [(chunk, fact) for chunk in own for fact in facts(chunk) if asked_about(fact, chunk, named)]
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


def _written(row: dict[str, object], own: Sequence[Chunk], seed: int, *, change: bool) -> Case:
    """A written question: its figures are looked up in the document that it names."""
    wanted = [str(figure) for figure in row["figures"]]  # type: ignore[union-attr]
    subject, attribute = str(row["subject"]), str(row["attribute"])
    targets: list[tuple[Chunk, tuple[int, int]]] = []
    for figure in wanted:
        holding = [c for c in own if c.document == row["document"] and _at(c, figure)]
        best = max(holding, key=lambda c: shared(subject + attribute, " ".join(c.heading) + c.text))
        spans = _at(best, figure)
        # The same figure may stand in two rows: the one on a line that shares most with what is asked.
        targets.append((best, max(spans, key=lambda s: shared(subject + attribute, _line(best.text, s[0])))))
    id = f"{row['id']}{'-redrawn' if change else ''}"
    return _case(id, str(row["lang"]), str(row["question"]), own, targets, seed, change=change)


def _at(chunk: Chunk, figure: str) -> list[tuple[int, int]]:
    """Where `figure` stands in the chunk, as ranges of whole figures."""
    wanted = core(figure)
    return [(f.start, f.end) for f in figures(chunk.text) if core(chunk.text[f.start : f.end]) == wanted]


def _line(text: str, at: int) -> str:
    return text[text.rfind("\n", 0, at) + 1 : (text + "\n").find("\n", at)]
