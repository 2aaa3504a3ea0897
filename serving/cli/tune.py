"""`groundtone knowledge tune`: which way of cutting and searching serves a firm's questions best.

The documents come from the gateway; cutting, embedding and searching are done in a process of its own on this machine,
so that nothing of it touches the index that answers.
"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serving.cli.asked import gathered
from serving.cli.command import Cli, Exit, Usage, command, commas
from serving.cli.configure import write_entry
from serving.cli.documents import whole
from serving.cli.evaluate import KbName, Questions, shown

if TYPE_CHECKING:
    from retrieval.evaluation.questions import Question

STRATEGIES = ("facts", "sections", "fixed")
_FEWEST = 8


def register(app: typer.Typer) -> None:
    command(app, "tune")(tune)


def tune(
    cli: Cli,
    kb: KbName,
    questions: Questions = None,
    receipts: Annotated[bool, typer.Option("--receipts", help="Ask what was answered and rated good.")] = False,
    strategies: Annotated[str, typer.Option("--strategies", help="Which to try, comma-separated.")] = ",".join(
        STRATEGIES
    ),
    sizes: Annotated[str, typer.Option("--sizes", help="Chunk sizes to try, in columns.")] = "320,640,1280",
    overlaps: Annotated[str, typer.Option("--overlaps", help="Overlaps to try, shares of a chunk.")] = "0,0.2",
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE.svg", help="Where to draw the tries.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the winner to groundtone.toml.")] = False,
    assistant: Annotated[
        str | None, typer.Option("--assistant", "-a", help="With --write: give it the suggested top_k, too.")
    ] = None,
) -> None:
    """Try strategies, sizes, overlaps and weights on your questions, and say which differences are real."""
    job: dict[str, Any] = {
        "knowledge": kb,
        "strategies": _chosen(strategies, STRATEGIES),
        "sizes": [int(n) for n in _numbers(sizes, "--sizes", 80, 20_000)],
        "overlaps": _numbers(overlaps, "--overlaps", 0, 0.5),
    }
    if assistant is not None and cli.settings.assistant(assistant) is None:
        raise Usage(f"The configuration has no assistant `{assistant}`.")
    asked = [question for question in gathered(cli, kb, file=questions, receipts=receipts) if question.document]
    if len(asked) < _FEWEST:
        raise Usage(
            f"{len(asked)} questions tell nothing. Write {_FEWEST} at least; some hundred tell small differences."
        )
    documents = _documents(cli, kb)
    _check(asked, {row["document"] for row in documents})
    job |= {"documents": documents, "questions": [question.to_line() for question in asked]}
    result = {"knowledge": kb} | _run(cli, job) | {"written": None}
    drawing = plot or cli.home.path / "tune" / f"{kb}.svg"
    drawing.parent.mkdir(parents=True, exist_ok=True)
    drawing.write_text(_drawn(result), encoding="utf-8")
    result["plot"] = str(drawing)
    if write:
        result["written"] = _write(result, assistant)
    cli.output.document(result)
    _tell(cli, result)


def _documents(cli: Cli, kb: str) -> list[dict[str, Any]]:
    """Every document with its structure. Those that were published before the ledger kept it are left out."""
    cli.output.progress("reading the documents")
    found = list(whole(cli.client, kb, structure="true"))
    kept = [row for row in found if row.get("blocks")]
    if lost := len(found) - len(kept):
        cli.output.progress(f"{lost} documents came before their structure was kept and are left out: send them again.")
    if not kept:
        raise Usage(f"`{kb}` holds no document to cut. Add some, or send them again.")
    return kept


def _check(asked: "list[Question]", known: set[str]) -> None:
    if strange := sorted({str(question.document) for question in asked} - known):
        raise Usage(f"The questions name documents that are not there, such as `{strange[0]}`. Correct them.")


def _run(cli: Cli, job: dict[str, Any]) -> dict[str, Any]:
    from serving.supervisor.plan import ROOT

    environment = {**os.environ, "PYTHONPATH": str(ROOT), "GROUNDTONE_HOME": str(cli.home.path)}
    process = subprocess.Popen(
        [sys.executable, "-m", "retrieval.evaluation.tune"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    )
    try:
        printed, _ = process.communicate(json.dumps(job))
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if process.returncode:
        cli.fail(Exit.NO, f"Tuning ended with exit code {process.returncode}; what stands above says why.")
    return json.loads(printed)


def _write(result: dict[str, Any], assistant: str | None) -> str:
    from common.settings import config_path

    file = config_path()
    write_entry(file, "bases", result["base"])
    if assistant is not None:
        write_entry(file, "assistants", {"name": assistant, "top_k": result["top_k"]["suggested"]})
    return str(file)


def _tell(cli: Cli, result: dict[str, Any]) -> None:
    tries, winner = result["tries"], result["tries"][result["winner"]]
    columns = ("try", "vectors weigh", "chunks", "gain", "recall@1", "recall@5", "difference", "p", "")
    rows = [
        (
            ("→ " if one is winner else "") + one["label"],
            " ".join(f"{name} {share:g}" for name, share in one["dense"].items()),
            one["chunks"],
            shown(one["gain"]),
            shown(one["recall@1"]),
            shown(one["recall@5"]),
            "" if one["p"] is None else f"{one['difference']:+.3f}",
            "" if one["p"] is None else f"{one['p']:.3f}",
            one["verdict"],
        )
        for one in tries
    ]
    cli.output.table(columns, rows, "")
    cli.output.line(
        f"\nChosen on {result['calibrated_on']} questions, shown for the other {result['reported_on']}; p is corrected"
        f" for {len(tries) - 1} tries. Gain halves with every {result['half_life_columns']:,} columns that are read."
    )
    if winner is tries[0]:
        cli.output.line("Nothing that was tried is better than what you have.")
    elif winner["verdict"] == "better":
        cli.output.line(f"→ {winner['label']} is better than what you have.")
    else:
        cli.output.line(f"→ {winner['label']} was best where it was chosen; that it is better is not proven.")
    cli.output.line(f"\nHow many chunks to answer from, with {winner['label']}\n")
    rows = [(row["top_k"], f"{row['recall']:.3f}", row["columns"]) for row in result["top_k"]["tried"]]
    cli.output.table(("top_k", "found", "columns"), rows, "")
    cli.output.line(f"top_k = {result['top_k']['suggested']} finds nearly all that ten find.")
    cli.output.line(f"Drawn in {result['plot']}.")
    if result["written"]:
        cli.output.line(
            f"Written to {result['written']}. Restart groundtone: documents are then cut again where need be."
        )


def _drawn(result: dict[str, Any]) -> str:
    from retrieval.evaluation.plot import Bar, bars

    winner = result["tries"][result["winner"]]
    drawn = [
        Bar(f"{one['label']}{'' if i or one is winner else ' (today)'}", *one["gain"].values(), marked=one is winner)
        for i, one in enumerate(result["tries"])
    ]
    return bars(f"{result['knowledge']}: gain with 95 % intervals, {result['reported_on']} questions", drawn)


def _chosen(text: str, known: tuple[str, ...]) -> list[str]:
    names = commas(text)
    if not names or set(names) - set(known):
        raise Usage(f"--strategies takes {', '.join(known)}, comma-separated.")
    return names


def _numbers(text: str, option: str, least: float, most: float) -> list[float]:
    try:
        numbers = [float(part) for part in text.split(",")]
    except ValueError:
        numbers = []
    if not numbers or any(not least <= number <= most for number in numbers):
        raise Usage(f"{option} takes numbers from {least:g} to {most:,g}, comma-separated.")
    return numbers
