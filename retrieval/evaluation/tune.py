"""Tuning: tries ways of cutting and weighing on a firm's questions, and says which differences are real.

Every choice is made on one half of the questions and reported on the other, which no choice has seen. What the firm has
stays unless another is better by more than one standard error of their difference (Breiman and others, 1984), so that
noise alone changes nothing. In the report each try is compared with what the firm has, question by question, and p is
corrected for the number of tries. As a process (`python -m retrieval.evaluation.tune`) it reads a job as JSON from
stdin and writes the result to stdout; it opens no index and no ledger.
"""

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from common.canonical import digest
from common.language import Language, language_of
from common.settings import Base, Splitter, load
from retrieval.choices import strategy_of, weights_of
from retrieval.cut import Strategy
from retrieval.evaluation.metrics import corrected, estimate, measured, paired
from retrieval.evaluation.questions import Origin, Question
from retrieval.evaluation.scratch import Scratch
from retrieval.evaluation.tries import HALF, Page, Reading, Try
from retrieval.fuse import Weights
from retrieval.text import Block, BlockKind, Document

SHARES = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
DEPTHS = (1, 2, 3, 4, 5, 6, 8, 10)
REAL = 0.05
_LOSES_LITTLE = 0.01
Progress = Callable[[str], None]


def tune(
    pages: Sequence[Page],
    questions: Sequence[Question],
    now: Base,
    strategies: Sequence[Strategy],
    scratch: Scratch,
    progress: Progress = lambda _: None,
) -> dict[str, Any]:
    """The result as JSON. `now` is how the knowledge base is cut and searched today; it is the first try."""
    weights = weights_of(now)
    first, second = halves(questions)
    tries = _distinct(pages, [strategy_of(now), *strategies], questions)
    readings: list[list[Reading]] = []
    for i, one in enumerate(tries, 1):
        progress(f"try {i} of {len(tries)}: {one.strategy.label}, {len(one.shown)} chunks")
        one.embed(scratch)
        readings.append(one.read(weights))
    chosen = best([_gains(some, first) for some in readings])
    tuned = _weighed(tries[chosen], weights, first)
    rows = [(one, weights, some) for one, some in zip(tries, readings, strict=True)]
    if tuned != weights:
        rows.append((tries[chosen], tuned, tries[chosen].read(tuned)))
    winner = len(rows) - 1 if tuned != weights else chosen
    today = _gains(readings[0], second)
    ps = corrected([paired(_gains(some, second), today) for _, _, some in rows[1:]])
    shown = [
        _row(one, some_weights, [some[i] for i in second], today, p)
        for (one, some_weights, some), p in zip(rows, [None, *ps], strict=True)
    ]
    one, weights, some = rows[winner]
    return {
        "n": len(questions),
        "calibrated_on": len(first),
        "reported_on": len(second),
        "half_life_columns": HALF,
        "embedded": scratch.embedded,
        "tries": shown,
        "today": 0,
        "winner": winner,
        "top_k": _depths(one, [some[i] for i in second]),
        "base": _base(now, one.strategy, weights),
    }


def halves(questions: Sequence[Question]) -> tuple[list[int], list[int]]:
    """The places of the questions to choose by and of those to report on: drawn by digest, each language alike."""
    order = sorted(range(len(questions)), key=lambda i: (questions[i].lang, digest(questions[i].text.encode())))
    return order[::2], order[1::2]


def best(gains: Sequence[Sequence[float]]) -> int:
    """The place of the largest mean; the first, which is today's, unless its deficit exceeds one standard error."""
    top = max(range(len(gains)), key=lambda i: (sum(gains[i]), -i))
    lead = np.asarray(gains[top]) - np.asarray(gains[0])
    error = float(lead.std(ddof=1)) / len(lead) ** 0.5 if len(lead) > 1 else np.inf
    return top if float(lead.mean()) > error else 0


def _distinct(pages: Sequence[Page], strategies: Sequence[Strategy], questions: Sequence[Question]) -> list[Try]:
    """A try for each strategy that cuts differently from those before it."""
    tries = dict[Any, Try]()
    for strategy in dict.fromkeys(strategies):
        one = Try(pages, strategy, questions)
        tries.setdefault(one.content, one)
    return list(tries.values())


def _weighed(one: Try, weights: Weights, first: Sequence[int]) -> Weights:
    """Weights that are better on the first half, each chosen by the questions that it concerns."""
    written = {shown.document: one.langs[i] for i, shown in enumerate(one.shown)}
    concerned: dict[str, list[int]] = {}
    for i in first:
        question = one.questions[i]
        asked, lang = (
            str(lang).partition("-")[0]
            for lang in (language_of(question.text), written.get(question.document or "", ""))
        )
        concerned.setdefault(asked if asked == lang else "across", []).append(i)
    for name, mine in sorted(concerned.items()):
        tried = [weights, *(replace(weights, **{name: share}) for share in SHARES)]
        weights = tried[best([_gains(one.read(some), mine) for some in tried])]
    return weights


def _gains(readings: Sequence[Reading], places: Sequence[int]) -> list[float]:
    return [readings[i].gain for i in places]


def _row(
    one: Try, weights: Weights, readings: Sequence[Reading], today: Sequence[float], p: float | None
) -> dict[str, Any]:
    gains = [reading.gain for reading in readings]
    difference = float(np.mean(gains) - np.mean(today))
    real = p is not None and p < REAL
    return {
        "label": one.strategy.label,
        "strategy": one.strategy.name,
        "size": one.strategy.size,
        "overlap": one.strategy.overlap,
        "dense": asdict(weights),
        "chunks": len(one.shown),
        "gain": estimate(gains).to_json(),
        **{name: value.to_json() for name, value in measured([reading.rank for reading in readings]).items()},
        "difference": round(difference, 4),
        "p": None if p is None else round(p, 4),
        "verdict": "today"
        if p is None
        else ("better" if difference > 0 else "worse")
        if real
        else "no real difference",
    }


def _depths(one: Try, readings: Sequence[Reading]) -> dict[str, Any]:
    """What each number of chunks finds and costs, and the smallest that finds nearly all that ten do."""
    width = float(np.mean(one.widths)) if one.widths else 0.0
    found = {k: float(np.mean([r.rank is not None and r.rank <= k for r in readings])) for k in DEPTHS}
    enough = next(k for k in DEPTHS if found[k] >= found[DEPTHS[-1]] - _LOSES_LITTLE)
    rows = [{"top_k": k, "recall": round(share, 4), "columns": round(k * width)} for k, share in found.items()]
    return {"suggested": enough, "tried": rows}


def _base(now: Base, strategy: Strategy, weights: Weights) -> dict[str, Any]:
    """The winner as the keys of `[[bases]]`."""
    dense = {f"dense_{name}": value for name, value in asdict(weights).items()}
    cut = {"strategy": strategy.name.value, "size": strategy.size, "overlap": strategy.overlap}
    return {"name": now.name} | cut | dense


def page_of(row: dict[str, Any]) -> Page:
    """A document as the API shows it with its structure."""
    blocks = tuple(Block(BlockKind(kind), *place) for kind, *place in row["blocks"])
    return Page(row["document"], Document(row["text"], blocks, row["title"], Language(row["lang"])))


def question_of(line: dict[str, Any]) -> Question:
    """A question as `Question.to_line` writes it."""
    more = tuple(line.get("figures", ())), line.get("passage", ""), Origin(line["source"])
    return Question(line["question"], line["lang"], line["document"], *more)


def main() -> int:
    from retrieval.embed import open_embedder

    def progress(text: str) -> None:
        print(text, file=sys.stderr, flush=True)  # noqa: T201 # a process that speaks to its parent

    job: dict[str, Any] = json.load(sys.stdin)
    settings = load()
    now = next((base for base in settings.bases if base.name == job["knowledge"]), Base(name=job["knowledge"]))
    each = product(*(job[name] for name in ("strategies", "sizes", "overlaps")))
    strategies = [Strategy(Splitter(name), size, overlap) for name, size, overlap in each]
    progress("loading the embedder")
    scratch = Scratch(Path(settings.home) / "tune" / "vectors.db", open_embedder(settings.embedder), progress)
    pages, questions = [page_of(row) for row in job["documents"]], [question_of(line) for line in job["questions"]]
    json.dump(tune(pages, questions, now, strategies, scratch, progress), sys.stdout, ensure_ascii=False)
    scratch.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
