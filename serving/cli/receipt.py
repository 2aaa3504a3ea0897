"""`groundtone receipt`: why an answer was what it was."""

import json
from typing import Annotated, Any

import typer

from serving.cli.client import path
from serving.cli.command import Cli, Usage, command
from serving.cli.output import excerpt, moment

app = typer.Typer(name="receipt", help="The record of each answer.", no_args_is_help=True)


@command(app, "ls")
def ls(cli: Cli, limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="At most so many.")] = 20) -> None:
    """List the latest receipts."""
    receipts = list(cli.client.pages("/v1/receipts", limit=limit))
    cli.output.document({"data": receipts})
    rows = [
        (r["receipt"], moment(r["opened"]), r["ended"] or "open", r["intent"].get("assistant"), _question(r["intent"]))
        for r in receipts
    ]
    cli.output.table(("receipt", "opened", "ended", "assistant", "question"), rows, "No answer was given yet.")


@command(app, "show")
def show(
    cli: Cli, receipt: Annotated[str, typer.Argument(metavar="RECEIPT", help="As the answer named it: r_…")]
) -> None:
    """Show one receipt: what was asked, what it was answered from, what came out."""
    found = cli.client.get(path("v1", "receipts", receipt))
    cli.output.document(found)
    for name in ("receipt", "opened", "closed", "ended"):
        cli.output.line(f"{name:14} {found.get(name)}")
    for part in ("intent", "outcome"):
        cli.output.line(f"\n{part}")
        for name, value in (found.get(part) or {}).items():
            cli.output.line(f"  {name:18} {_short(value)}")
    for name in ("intent_digest", "outcome_digest"):
        cli.output.line(f"{name:14} {found.get(name)}")


@command(app, "feedback")
def feedback(
    cli: Cli,
    receipt: Annotated[str, typer.Argument(metavar="RECEIPT", help="As the answer named it: r_…")],
    rating: Annotated[str, typer.Argument(metavar="good|bad", help="What you thought of the answer.")],
) -> None:
    """Say whether an answer was good; `knowledge evaluate --receipts` asks again what was answered well."""
    if rating not in ("good", "bad"):
        raise Usage("Say good or bad.")
    kept = cli.client.post(f"{path('v1', 'receipts', receipt)}/feedback", {"rating": rating})
    cli.output.document(kept)
    cli.output.line(f"{receipt} is rated {rating}")


def _question(intent: dict[str, Any]) -> str:
    messages = (intent.get("body") or {}).get("messages") or [{}]
    return _short(messages[-1].get("content") or "", 60)


def _short(value: object, length: int = 400) -> str:
    return excerpt(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False), length)
