"""`groundtone knowledge embedder`: the index of a second embedder, compared with the first's and put in its place."""

from pathlib import Path
from typing import Annotated, Any

import typer

from serving.cli.asked import from_file
from serving.cli.command import Cli, Usage, command
from serving.cli.documents import finished
from serving.cli.evaluate import METRICS, Questions, ask, shown
from serving.cli.knowledge import Kb, base


def register(app: typer.Typer) -> None:
    command(app, "embedder")(embedder)


def embedder(
    cli: Cli,
    action: Annotated[str | None, typer.Argument(metavar="[compare|switch]")] = None,
    kb: Kb = None,
    questions: Questions = None,
) -> None:
    """Show the embedders, compare the two on your questions, or let the other one serve."""
    if action is None:
        found = cli.client.get("/v1/embedders")
        cli.output.document(found)
        rows = [
            (e["fingerprint"].rsplit("/", 2)[0], e["dimension"], "serves" if e["serves"] else "beside", e["lacking"])
            for e in found["data"]
        ]
        cli.output.table(("embedder", "dimension", "", "chunks not embedded yet"), rows, "")
    elif action == "switch":
        made = finished(cli.client, cli.client.send("POST", "/v1/embedders:switch"))
        cli.output.document(made)
        cli.output.line(f"{made['fingerprint'].rsplit('/', 2)[0]} serves; switch again to return")
    elif action == "compare" and questions is not None:
        _compare(cli, base(cli, kb), questions)
    else:
        raise Usage("Say `embedder`, `embedder compare --questions FILE` or `embedder switch`.")


def _compare(cli: Cli, kb: str, file: Path) -> None:
    from retrieval.evaluation.metrics import estimate, measured, paired

    asked = from_file(file)
    ranks = {
        name: [ask(cli, kb, question, 1, other_embedder=other).rank for question in asked]
        for name, other in (("serves", False), ("beside", True))
    }
    gains = {name: [1 / rank if rank else 0.0 for rank in some] for name, some in ranks.items()}
    result: dict[str, Any] = {
        name: {metric: value.to_json() for metric, value in measured(some).items()} for name, some in ranks.items()
    }
    p = paired(gains["beside"], gains["serves"])
    difference = estimate(gains["beside"]).value - estimate(gains["serves"]).value
    told = {"knowledge": kb, "n": len(asked), "metrics": result, "mrr": {"difference": difference, "p": p}}
    cli.output.document(told)
    rows = [(name, *(shown(result[name][metric]) for metric in METRICS)) for name in ranks]
    cli.output.table((f"{len(asked)} questions", *METRICS), rows, "")
    cli.output.line(f"MRR beside less MRR that serves: {difference:+.3f}, p = {p:.3f} (Fisher's randomisation test)")
