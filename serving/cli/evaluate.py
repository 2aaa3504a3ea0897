"""`groundtone knowledge evaluate`: how well search finds the answers to a firm's own questions."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from common.evidence import WEAK_BELOW
from serving.cli.asked import gathered, save
from serving.cli.client import path
from serving.cli.command import Cli, Exit, Usage, command

if TYPE_CHECKING:
    from retrieval.evaluation.questions import Question
    from retrieval.evaluation.report import Asked

METRICS = ("recall@1", "recall@3", "recall@5", "recall@10", "mrr", "ndcg@10")
KbName = Annotated[str, typer.Argument(metavar="KB", help="The knowledge base.")]
Questions = Annotated[
    Path | None, typer.Option("--questions", metavar="FILE", help="JSON Lines: question, document, figures.")
]


def register(app: typer.Typer) -> None:
    command(app, "evaluate")(evaluate)


def evaluate(
    cli: Cli,
    kb: KbName,
    questions: Questions = None,
    receipts: Annotated[bool, typer.Option("--receipts", help="Ask again what was answered and rated good.")] = False,
    draft: Annotated[
        int | None, typer.Option("--draft", metavar="N", min=1, help="Let a model draft N questions.")
    ] = None,
    assistant: Annotated[
        str | None, typer.Option("--assistant", "-a", help="Who drafts; the first assistant by default.")
    ] = None,
    unanswerable: Annotated[
        Path | None, typer.Option("--unanswerable", metavar="FILE", help="Questions that nothing answers.")
    ] = None,
    top_k: Annotated[
        int, typer.Option("--top-k", min=1, max=10, help="How many pieces the assistant answers from.")
    ] = 4,
    keep: Annotated[Path | None, typer.Option("--save", metavar="FILE", help="Write the questions down.")] = None,
    plot: Annotated[
        Path | None, typer.Option("--plot", metavar="FILE.svg", help="Draw what each threshold of evidence does.")
    ] = None,
    least: Annotated[
        list[str] | None, typer.Option("--least", metavar="METRIC=VALUE", help="Exit with 1 below this lower bound.")
    ] = None,
) -> None:
    """Measure search with questions whose answers are known."""
    gates = [_gate(text) for text in least or ()]
    asked_for = gathered(
        cli, kb, file=questions, unanswerable=unanswerable, receipts=receipts, draft=draft, assistant=assistant
    )
    if keep is not None:
        save(keep, asked_for)
    from retrieval.evaluation.report import report

    asked: list[Asked] = []
    for i, question in enumerate(asked_for, 1):
        asked.append(ask(cli, kb, question, top_k))
        if i % 50 == 0:
            cli.output.progress(f"{i} of {len(asked_for)} questions asked")
    result = report(kb, asked, WEAK_BELOW)
    failed = [name for name, value in gates if result["metrics"][name]["low"] < value]
    result["failed"] = failed
    if plot is not None:
        _draw(plot, result)
    cli.output.document(result)
    _tell(cli, result, plot)
    if failed:
        cli.output.progress(f"Below what was asked for: {', '.join(failed)}.")
        raise Exit(Exit.NO)


def ask(cli: Cli, kb: str, question: "Question", top_k: int, *, other_embedder: bool = False) -> "Asked":
    """Asks one question, by the embedder that serves or by the one beside it."""
    from retrieval.evaluation.metrics import DEPTH
    from retrieval.evaluation.questions import Shown, answered_at
    from retrieval.evaluation.report import Asked

    began = time.perf_counter()
    body = {"query": question.text, "top_k": DEPTH, "other_embedder": other_embedder}
    results: list[dict[str, Any]] = cli.client.post(path("v1", "knowledge", kb, "search"), body)["results"]
    seconds = time.perf_counter() - began
    shown = [Shown(r["document"], "\n".join([*r.get("heading", ()), r["text"]])) for r in results]
    return Asked(
        question=question,
        rank=answered_at(question, shown) if question.document else None,
        best=max((float(r["score"]) for r in results[:top_k]), default=0.0),
        seconds=seconds,
        first=shown[0].document if shown else None,
    )


def _gate(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        if name in METRICS and 0 <= float(value) <= 1:
            return name, float(value)
    except ValueError:
        pass
    raise Usage(f"`{text}` is not a bound. Write METRIC=VALUE, such as recall@5=0.9; metrics are {', '.join(METRICS)}.")


def _tell(cli: Cli, result: dict[str, Any], plot: Path | None) -> None:
    parts = {"all": result, **result["by_language"]}
    rows = [(name, part["n"], *(shown(part["metrics"][metric]) for metric in METRICS)) for name, part in parts.items()]
    cli.output.table(("questions", "n", *METRICS), rows, "")
    cli.output.line(f"With 95 % confidence intervals. Questions from: {', '.join(result['source'])}.")
    if weak := result["weak"]:
        cli.output.line(f"\nWhen evidence is too weak ({weak['n']} questions that nothing answers)\n")
        marks = {weak["threshold"]: "default", weak["suggested"]: "best"}
        rows = [
            (
                f"{p['threshold']:g}",
                shown(p["answerable_refused"]),
                shown(p["unanswerable_caught"]),
                marks.get(p["threshold"]),
            )
            for p in weak["curve"]
        ]
        cli.output.table(("threshold", "answerable refused", "unanswerable caught", ""), rows, "")
    for title, listed in (("Worst", result["worst"]), ("Slowest", result["slowest"])):
        cli.output.line(f"\n{title}\n")
        rows = [(o["rank"] or "–", f"{o['seconds']:.3f}", o["question"], o["document"], o["found"]) for o in listed]
        cli.output.table(("rank", "s", "question", "answer in", "found first"), rows, "Every answer came first.")
    if plot is not None and weak:
        cli.output.line(f"\nThe curve is drawn in {plot}.")


def shown(estimate: dict[str, float]) -> str:
    return f"{estimate['value']:.3f} ({estimate['low']:.2f}–{estimate['high']:.2f})"


def _draw(file: Path, result: dict[str, Any]) -> None:
    from retrieval.evaluation.plot import Line, lines

    weak = result["weak"]
    if weak is None:
        raise Usage("There is no curve to draw without questions that nothing answers. Name them with --unanswerable.")
    drawn = [
        Line(name, [(point["threshold"], point[key]["value"]) for point in weak["curve"]])
        for name, key in (("answerable refused", "answerable_refused"), ("unanswerable caught", "unanswerable_caught"))
    ]
    marks = [(f"default {weak['threshold']:g}", weak["threshold"]), (f"best {weak['suggested']:g}", weak["suggested"])]
    file.write_text(lines(f"{result['knowledge']}: when evidence is too weak", drawn, marks), encoding="utf-8")
