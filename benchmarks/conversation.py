"""Follow-ups: is the right chunk found? Scope: are questions about something else told from the assistant's own?

    python -m benchmarks.conversation [--write]
    python -m benchmarks.conversation --engine http://127.0.0.1:8000 --model SmolLM2-135M-Instruct [--write]

The sample's documents are ingested into a temporary folder with the bundled embedder and searched in process, by the
gateway's own code (`serving.chat.followup`). `--engine` adds what a model makes of a follow-up when it is asked to
rewrite it as a question that stands alone. The follow-ups and the off-topic questions are ours, in
`examples/kitahama/followups.jsonl` and `outside.jsonl`; they share words with the documents more than real ones do.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx

from benchmarks.stack import machine, publish
from common.evidence import WEAK_BELOW, Evidence, Findings
from common.language import language_of
from common.principal import Principal, Scope
from common.settings import FolderSource, Settings
from common.wilson import wilson
from retrieval.knowledge import Knowledge
from retrieval.scope import NEARER, STRONG, Scopes
from serving.chat.followup import DEPTH, in_context, join
from serving.chat.request import ChatRequest

SAMPLE = Path(__file__).parents[1] / "examples" / "kitahama"
KB = "kitahama"
READER = Principal("default", "k_benchmark", frozenset({"*"}), frozenset(Scope))
MINIMUM = 0.3
"""The sample's `min_evidence`."""
SCOPE = (
    "the products and services of Kitahama Trust, a bank: accounts, cards, deposits, loans, transfers, offices",
    "銀行の口座・カード・預金・ローン・振込・店舗",
    "銀行帳戶、信用卡、存款、貸款、匯款、據點",
)
MEASURES = (
    "confidence of the best chunk",
    "likeness to the scope",
    "likeness to the scope against that to other subjects (groundtone)",
)
THRESHOLDS = (0.02, 0.05, 0.1, 0.2, 0.3, 0.5)
LANGUAGES = ("en", "ja", "zh-TW")

SCOPES = Scopes()

Way = Callable[[dict[str, Any]], Findings]


def rows(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (SAMPLE / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def request(row: dict[str, Any]) -> ChatRequest:
    return ChatRequest.model_validate({"model": KB, "messages": row["messages"]})


def right(row: dict[str, Any], one: Evidence) -> bool:
    """Whether a chunk is of the right document, states the expected words, and stands under or names the subject."""
    under = any(row["subject"] in text for text in (*one.heading, one.text))
    return one.document == row["document"] and row["figure"] in one.text and under


def ways(knowledge: Knowledge, rewrite: Callable[[dict[str, Any]], str] | None) -> dict[str, Way]:
    """Each way to search for a follow-up, by name."""

    def search(question: str, top_k: int = 3) -> Findings:
        return knowledge.search.search(READER, [KB], question, top_k=top_k)

    def joined(row: dict[str, Any]) -> Findings:
        asked = request(row)
        context = in_context(asked)
        if context is None:
            return search(asked.question)
        return join(search(asked.question, DEPTH), search(context, DEPTH), language_of(asked.question), 3, WEAK_BELOW)

    found: dict[str, Way] = {
        "the last message alone": lambda row: search(request(row).question),
        "all questions as one text": lambda row: search(in_context(request(row)) or request(row).question),
        "both rankings joined (groundtone)": joined,
    }
    if rewrite:
        found["rewritten by the engine"] = lambda row: search(rewrite(row))
    return found


def rewriter(url: str, model: str) -> Callable[[dict[str, Any]], str]:
    """Asks a model to rewrite a follow-up; greedy, one line of at most 48 tokens, one example a language."""
    shown = (
        "Rewrite the last question so that it can be understood alone. Keep its language. Give the question only.\n\n"
        "Q: What does the Blue Account cost?\nQ: And the Red one?\nRewritten: What does the Red Account cost?\n\n"
        "Q: 青い口座の手数料はいくらですか？\nQ: 赤は？\nRewritten: 赤い口座の手数料はいくらですか？\n\n"
        "Q: 藍色帳戶的費用是多少？\nQ: 紅色的呢？\nRewritten: 紅色帳戶的費用是多少？\n\n"
    )

    def rewrite(row: dict[str, Any]) -> str:
        asked = "".join(f"Q: {m['content']}\n" for m in row["messages"] if m["role"] == "user")
        messages = [{"role": "user", "content": f"{shown}{asked}Rewritten:"}]
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 48, "stop": ["\n"]}
        reply = httpx.post(f"{url}/v1/chat/completions", json=body, timeout=120)
        reply.raise_for_status()
        said = str(reply.json()["choices"][0]["message"]["content"]).strip().splitlines()
        return said[0].removeprefix("Rewritten:").strip() if said and said[0].strip() else request(row).question

    return rewrite


def follow_ups(by_name: dict[str, Way]) -> list[str]:
    """The table of follow-ups, changes of topic and questions that leave the subject."""
    lines = [
        "| way | follow-ups, right chunk first | among the first 3 | en | ja | zh-TW | new topic, first "
        "| off the subject: weak |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    cases = rows("followups")
    for name, way in by_name.items():
        found = [(row, way(row)) for row in cases]
        first, among = dict.fromkeys(("all", "topic", *LANGUAGES), 0), 0
        of = dict.fromkeys(first, 0)
        weak = [one.weak for row, one in found if row["kind"] == "outside"]
        for row, one in found:
            if row["kind"] == "outside":
                continue
            hits = [right(row, chunk) for chunk in one.evidence[:3]]
            for key in ("topic",) if row["kind"] == "topic" else ("all", row["lang"]):
                of[key] += 1
                first[key] += hits[:1] == [True]
            among += any(hits) and row["kind"] != "topic"
        low, high = wilson(first["all"], of["all"])
        share = f"{first['all']}/{of['all']} = {first['all'] / of['all']:.2f} ({low:.2f} to {high:.2f})"
        cells = [share, f"{among}/{of['all']}", *(f"{first[k]}/{of[k]}" for k in (*LANGUAGES, "topic"))]
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {sum(weak)}/{len(weak)} |")
    return lines


def scope(knowledge: Knowledge) -> list[str]:
    """The tables of scope: what tells off-topic questions from answerable ones, and the threshold's curve."""
    answerable = rows("questions") + rows("questions-more")
    sets = {"answerable": answerable, "not in the documents": rows("unanswerable"), "off topic": rows("outside")}
    measures = {
        name: [_measured(knowledge, str(row["question"])) for row in questions] for name, questions in sets.items()
    }
    lines = ["| what is measured of a question | answerable against off topic | against not in the documents |"]
    lines += ["| --- | --- | --- |"]
    for column, name in enumerate(MEASURES):
        good, near, off = (
            [m[column] for m in measures[s]] for s in ("answerable", "not in the documents", "off topic")
        )
        lines.append(f"| {name} | {_auc(good, off):.3f} | {_auc(good, near):.3f} |")
    lines += ["", "Area under the curve: 1 tells them apart, 0.5 is a guess.", ""]
    lines += ["| refused | " + " | ".join(f"{s} (n = {len(q)})" for s, q in sets.items()) + " |"]
    lines += ["| --- | --- | --- | --- |"]

    def refused(what: str, rule: Callable[[list[float]], bool]) -> str:
        return f"| {what} | " + " | ".join(str(sum(map(rule, measures[s]))) for s in sets) + " |"

    def outside(m: list[float]) -> bool:
        return m[0] < STRONG and m[2] < -NEARER

    lines += [refused(f"evidence below {at}", lambda m, at=at: m[0] < at) for at in THRESHOLDS]
    lines.append(refused("outside the scope", outside))
    lines.append(refused(f"either, below {MINIMUM} being the sample's setting", lambda m: outside(m) or m[0] < MINIMUM))
    return lines


def _measured(knowledge: Knowledge, question: str) -> list[float]:
    best = knowledge.search.search(READER, [KB], question, top_k=1).evidence
    embedder = knowledge.serving.now.embedder
    asked = embedder.questions([question])[0]
    like = float((embedder.passages(SCOPE) @ asked).max())
    return [best[0].score if best else 0.0, like, SCOPES.margin(embedder, asked, SCOPE)]


def _auc(good: Sequence[float], bad: Sequence[float]) -> float:
    """How often a good one lies above a bad one (Mann and Whitney's U)."""
    return sum((g > b) + 0.5 * (g == b) for g in good for b in bad) / (len(good) * len(bad))


def opened(home: Path) -> Knowledge:
    """The sample's documents, ingested; takes minutes the first time in a `home`."""
    home.mkdir(parents=True, exist_ok=True)
    source = FolderSource(name="documents", kind="folder", knowledge=KB, path=SAMPLE / "documents")
    knowledge = Knowledge.open(Settings(home=home, sources=(source,), assistants=(), policies=()))
    knowledge.start()
    while missing := knowledge.missing():
        print(f"\r{missing[0]:<100}", end="", file=sys.stderr, flush=True)
        time.sleep(1)
    print(file=sys.stderr)
    return knowledge


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--home", type=Path, help="keeps the ingested documents there for the next run")
    parser.add_argument("--engine", help="URL of a vLLM server that rewrites follow-ups")
    parser.add_argument("--model", help="the model's name there")
    parser.add_argument("--write", action="store_true", help="keep the report as benchmarks/results/conversation.md")
    chosen = parser.parse_args()
    if bool(chosen.engine) != bool(chosen.model):
        parser.error("--engine and --model go together")
    with tempfile.TemporaryDirectory(prefix="groundtone-bench-") as folder:
        knowledge = opened(chosen.home or Path(folder))
        try:
            rewrite = rewriter(chosen.engine, chosen.model) if chosen.engine else None
            lines = ["# Conversation and scope", "", f"`python -m benchmarks.conversation` on {machine()}.", ""]
            lines += ["## Follow-ups", "", *follow_ups(ways(knowledge, rewrite)), ""]
            if chosen.model:
                lines += [f"The engine served {chosen.model}; greedy, one example a language in its prompt.", ""]
            lines += ["## Scope", "", *scope(knowledge)]
        finally:
            knowledge.close()
    publish("conversation", "\n".join(lines) + "\n", chosen.write)
    return 0


if __name__ == "__main__":
    sys.exit(main())
