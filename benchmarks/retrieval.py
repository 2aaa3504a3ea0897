"""Measures how often the right passage comes first: vectors, terms, both, and LlamaIndex's default pipeline.

    python -m benchmarks.retrieval [--data ../shared/data/retrieval] [--across NAME=FILE] [--cache FOLDER]

The data: a folder a language with `passages.jsonl` ({"id", "title", "text"}) and `queries.jsonl` ({"id", "question",
"passage"}); each passage is taken whole as one chunk. `--across zh=FILE` reads an XQuAD file with the questions of `en`
in another language. Vectors are kept in the cache folder: embedding everything takes minutes once.

`fused` has the weights that are shipped; they were calibrated on the even questions. `held out` has none of them: each
half of the questions is ranked with the one weight that makes the right passages of the other half likeliest, so that
all questions count and none was calibrated on.
"""

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.stack import publish
from common.evidence import WEAK_BELOW
from common.language import family_of, language_of
from common.settings import Embedder as EmbedderSettings
from common.wilson import wilson
from retrieval.bags import coverage
from retrieval.embed import open_embedder
from retrieval.evaluation.scratch import Scratch
from retrieval.fuse import BEST, Weights, confidence, fuse, fuse_apart, merge
from retrieval.lexical import Lexical

SHARES = tuple(np.linspace(0, 1, 21).tolist())
SHARPNESSES = (0.5, 1.0, 1.5, 2.0, 3.0, 4.0)
HELD_OUT = "held out"
DEPTH = 10
THRESHOLDS = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5)


@dataclass(frozen=True)
class Set:
    """Questions in one language over passages in one language. `right[i]` is the place of question i's passage."""

    name: str
    titles: list[str]
    texts: list[str]
    questions: list[str]
    right: list[int]
    mixed: bool = False


def remembering(cache: Path) -> Scratch:
    """The bundled embedder, which embeds each text once for good."""
    return Scratch(cache / "vectors.db", open_embedder(EmbedderSettings()), lambda text: print(text, file=sys.stderr))


def load(data: Path, across: Sequence[str]) -> list[Set]:
    sets: list[Set] = []
    for folder in sorted(path for path in data.iterdir() if path.is_dir()):
        passages = [json.loads(line) for line in (folder / "passages.jsonl").open()]
        queries = [json.loads(line) for line in (folder / "queries.jsonl").open()]
        place = {passage["id"]: i for i, passage in enumerate(passages)}
        titles, texts = [p["title"] for p in passages], [p["text"] for p in passages]
        right = [place[query["passage"]] for query in queries]
        sets.append(Set(folder.name, titles, texts, [query["question"] for query in queries], right))
        for name, _, file in (entry.partition("=") for entry in across if folder.name == "en"):
            articles = json.loads(Path(file).read_text())["data"]
            asked = {q["id"]: q["question"] for a in articles for p in a["paragraphs"] for q in p["qas"]}
            sets.append(Set(f"{name} → en", titles, texts, [asked[query["id"]] for query in queries], right))
    return sets


def mixed(sets: Sequence[Set]) -> list[Set]:
    """The same questions, each over the passages of all sets together."""
    folders = {data.texts[0]: data for data in sets}
    titles = [title for data in folders.values() for title in data.titles]
    texts = [text for data in folders.values() for text in data.texts]
    first = dict(zip(folders, accumulate((len(data.texts) for data in folders.values()), initial=0), strict=False))
    return [
        Set(f"{data.name}, mixed", titles, texts, data.questions, [first[data.texts[0]] + i for i in data.right], True)
        for data in sets
    ]


@dataclass(frozen=True)
class Ranks:
    """For each question the place of the right passage, 0 the first, by each way of searching."""

    ways: dict[str, NDArray[np.int64]]
    answerable: NDArray[np.float64]
    unanswerable: NDArray[np.float64]
    unrelated: NDArray[np.float64]


def measure(data: Set, embedder: Scratch) -> Ranks:
    texts = [f"{title}\n{text}" for title, text in zip(data.titles, data.texts, strict=True)]
    cosines = embedder.questions(data.questions) @ embedder.passages(texts).T
    langs: dict[int, str] = dict(enumerate(language_of(text) for text in data.texts))
    names = [str(i) for i in range(len(texts))]
    same_title = [{i for i, title in enumerate(data.titles) if title == data.titles[right]} for right in data.right]
    ways: dict[str, list[int]] = {"vectors": [], "terms": [], "fused": []}
    trust: list[list[float]] = [[], [], []]
    shared: list[list[list[tuple[int, float]]]] = []
    with tempfile.TemporaryDirectory() as folder:
        index = Lexical(Path(folder) / "terms")
        index.add((name, "t", "k", text) for name, text in zip(names, texts, strict=True))
        index.commit()
        for i, question in enumerate(data.questions):
            near = dict(enumerate(cosines[i].tolist()))
            found = {int(name): score for name, score in index.search("t", ["k"], question, 200)}
            for missing, kept in zip((set(), {data.right[i]}, same_title[i]), trust, strict=True):
                lists = _nearest(near, langs, missing), _best(found, missing)
                rankings = [ranked[:DEPTH] for ranked in fuse_apart(question, *lists, langs)]
                sure = _trust(question, near, langs, texts, rankings)
                ranked = merge(question, rankings, langs, sure)
                kept.append(max(sure[chunk] for chunk in ranked[:4]))
                if not missing:
                    if not data.mixed:
                        weights = [Weights(share, share, share, share) for share in SHARES]
                        shared.append([fuse(question, *lists, langs, weighed) for weighed in weights])
                    for way, order in (("vectors", _best(near, missing)), ("terms", found), ("fused", ranked)):
                        places = list(order)
                        ways[way].append(places.index(data.right[i]) if data.right[i] in places else len(texts))
        index.close()
    if not data.mixed:
        ways[HELD_OUT] = _held_out(shared, data.right)
        ways["LlamaIndex"] = _llama_index(data, texts, embedder)
    return Ranks({way: np.array(places) for way, places in ways.items()}, *(np.array(values) for values in trust))


def _nearest(near: dict[int, float], langs: dict[int, str], missing: set[int]) -> dict[int, float]:
    """The nearest of each language, as search takes them."""
    nearest: dict[int, float] = {}
    for family in {family_of(lang) for lang in langs.values()}:
        nearest |= _best({chunk: near[chunk] for chunk in near if family_of(langs[chunk]) == family}, missing)
    return nearest


def _trust(
    question: str, near: dict[int, float], langs: dict[int, str], texts: list[str], rankings: list[list[int]]
) -> dict[int, float]:
    found = [chunk for ranked in rankings for chunk in ranked]
    asked = language_of(question)
    rivalled = family_of(asked) in {family_of(langs[chunk]) for chunk in found}
    return {
        chunk: confidence(near[chunk], float(share), asked=asked, written=langs[chunk], rivalled=rivalled)
        for chunk, share in zip(found, coverage(question, [texts[chunk] for chunk in found]), strict=True)
    }


def _best(scores: dict[int, float], missing: set[int] | frozenset[int]) -> dict[int, float]:
    kept = [(chunk, score) for chunk, score in scores.items() if chunk not in missing]
    return dict(sorted(kept, key=lambda entry: -entry[1])[:BEST])


def _held_out(shared: list[list[list[tuple[int, float]]]], right: list[int]) -> list[int]:
    """Places of the right passages, each half of the questions with the share that fits the other half best.

    The fit is the conditional logit of the right passage among those that were found (McFadden 1974).
    """
    places = np.array([[_place(ranked, wanted) for ranked in one] for one, wanted in zip(shared, right, strict=True)])
    likely = np.array(
        [[_likely(ranked, wanted) for ranked in one] for one, wanted in zip(shared, right, strict=True)]
    )  # by question, share and sharpness
    held = np.zeros(len(right), dtype=np.int64)
    for half in (0, 1):
        fit = likely[1 - half :: 2].sum(axis=0).max(axis=1)
        held[half::2] = places[half::2, int(fit.argmax())]
    return held.tolist()


def _place(ranked: list[tuple[int, float]], wanted: int) -> int:
    return next((place for place, (chunk, _) in enumerate(ranked) if chunk == wanted), 10**6)


def _likely(ranked: list[tuple[int, float]], wanted: int) -> list[float]:
    """The log-likelihood of `wanted` at each sharpness; one that was not found counts as the last that was."""
    scores = np.array([score for _, score in ranked])
    mine = dict(ranked).get(wanted, float(scores[-1]))
    return [float(at * mine - np.log(np.exp(at * scores).sum())) for at in SHARPNESSES]


def _llama_index(data: Set, texts: list[str], embedder: Scratch) -> list[int]:
    """LlamaIndex as its introduction shows it: documents, the default splitter, a vector index, a retriever."""
    from llama_index.core import Document, VectorStoreIndex
    from llama_index.core.base.embeddings.base import BaseEmbedding

    class Same(BaseEmbedding):
        def _get_text_embedding(self, text: str) -> list[float]:
            return embedder.passages([text])[0].tolist()

        def _get_text_embeddings(self, texts: list[str]) -> list[list[float]]:
            return embedder.passages(texts).tolist()

        def _get_query_embedding(self, query: str) -> list[float]:
            return embedder.questions([query])[0].tolist()

        async def _aget_query_embedding(self, query: str) -> list[float]:
            return self._get_query_embedding(query)

    documents = [Document(text=text, id_=str(i)) for i, text in enumerate(texts)]
    index = VectorStoreIndex.from_documents(documents, embed_model=Same(embed_batch_size=512))
    retriever = index.as_retriever(similarity_top_k=10)
    places: list[int] = []
    for question, right in zip(data.questions, data.right, strict=True):
        order = list(dict.fromkeys(node.node.ref_doc_id for node in retriever.retrieve(question)))
        places.append(order.index(str(right)) if str(right) in order else len(texts))
    return places


def paired(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """McNemar's exact test: how likely so uneven a split of the differing questions is by chance."""
    wins, losses = int((one & ~other).sum()), int((~one & other).sum())
    tail = sum(math.comb(wins + losses, k) for k in range(min(wins, losses) + 1)) / 2 ** (wins + losses)
    return min(1.0, 2 * tail)


def report(results: dict[str, Ranks]) -> str:
    lines = ["# Retrieval", "", "Printed by `python -m benchmarks.retrieval`.", ""]
    lines += [
        "`fused` has the shipped weights, calibrated on the even questions. `held out` ranks each half of the "
        "questions with the weight that fits the other half best, so that none was calibrated on. `mixed` asks the "
        "same questions over the passages of all languages together.",
        "",
    ]
    lines += [
        "| questions | n | way | recall@1 (95 %) | recall@5 | p against fused |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, ranks in results.items():
        for part, chosen in (("all", slice(None)), ("odd half", slice(1, None, 2))):
            fused = ranks.ways["fused"][chosen] == 0
            for way, places in ranks.ways.items():
                first = places[chosen] == 0
                low, high = wilson(int(first.sum()), len(first))
                p = "" if way == "fused" else f"{paired(fused, first):.3f}"
                share = f"{first.mean():.3f} ({low:.3f} to {high:.3f})"
                lines.append(
                    f"| {name}, {part} | {len(first)} | {way} | {share} | {(places[chosen] < 5).mean():.3f} | {p} |"
                )
    lines += ["", f"## When the evidence is too weak (the threshold is {WEAK_BELOW})", ""]
    lines += [
        "Unanswerable: the same questions, their passage taken out; unrelated: every passage of its title too.",
        "",
    ]
    lines += ["| questions | threshold | answerable refused | unanswerable caught | unrelated caught |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for name, ranks in results.items():
        for at in THRESHOLDS:
            shares = [(kind[1::2] < at).mean() for kind in (ranks.answerable, ranks.unanswerable, ranks.unrelated)]
            lines.append(f"| {name}, odd half | {at} | " + " | ".join(f"{share:.3f}" for share in shares) + " |")
    return "\n".join(lines) + "\n"


def options(doc: str | None) -> argparse.ArgumentParser:
    """What a benchmark over these data can be told."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=_folder, default="../shared/data/retrieval")
    parser.add_argument("--across", action="append", default=[], metavar="NAME=FILE")
    parser.add_argument("--cache", type=Path, default=Path(tempfile.gettempdir()) / "groundtone-benchmark")
    return parser


def _folder(name: str) -> Path:
    if not Path(name).is_dir():
        raise argparse.ArgumentTypeError(f"There is no data at {name}. Name its folder with --data.")
    return Path(name)


def main() -> int:
    parser = options(__doc__)
    parser.add_argument("--only", action="append", default=[], help="a set's name; may be repeated")
    chosen = parser.parse_args()
    embedder = remembering(chosen.cache)
    sets = [data for data in load(chosen.data, chosen.across) if not chosen.only or data.name in chosen.only]
    sets += mixed(sets) if len(sets) > 1 else []
    publish("retrieval", report({data.name: measure(data, embedder) for data in sets}), write=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
