"""`groundtone knowledge holds`, `hold`, `unhold`: what retention must not drop."""

from typing import Annotated, Any

import typer

from serving.cli.command import Cli, command
from serving.cli.knowledge import Kb, base
from serving.cli.output import moment

Reason = Annotated[str, typer.Option("--reason", help="Why; it stays on record.")]


def register(app: typer.Typer) -> None:
    command(app, "holds")(every)
    command(app, "hold")(hold)
    command(app, "unhold")(unhold)


def every(cli: Cli) -> None:
    """List the legal holds, those that have ended too."""
    found = cli.client.get("/v1/holds")
    cli.output.document(found)
    columns = ("hold", "knowledge", "document", "since", "by", "reason", "ended")
    rows = [
        (h["id"], h["knowledge"], h["document"] or "all", moment(h["created"]), h["author"], h["reason"], _end(h))
        for h in found["data"]
    ]
    cli.output.table(columns, rows, "No hold was ever placed.")


def hold(
    cli: Cli,
    reason: Reason,
    document: Annotated[str | None, typer.Argument(metavar="[DOCUMENT]", help="All where none is named.")] = None,
    kb: Kb = None,
) -> None:
    """Keep the past of a document, or of a knowledge base, whatever the retention says."""
    body = {"knowledge": base(cli, kb), "reason": reason} | ({"document": document} if document else {})
    placed = cli.client.post("/v1/holds", body)
    cli.output.document(placed)
    cli.output.line(f"hold {placed['id']}: {placed['knowledge']}/{placed['document'] or 'all documents'} are kept")


def unhold(cli: Cli, id: Annotated[int, typer.Argument(metavar="HOLD")], reason: Reason) -> None:
    """End a hold: what only it kept goes with the next retention."""
    ended = cli.client.post(f"/v1/holds/{id}:end", {"reason": reason})
    cli.output.document(ended)
    cli.output.line(f"hold {id} has ended")


def _end(hold: dict[str, Any]) -> str:
    return f"{moment(hold['ended'])} by {hold['ended_by']}: {hold['ended_reason']}" if hold["ended"] else ""
