"""`groundtone key`: who may ask what."""

from typing import Annotated

import typer

from serving.cli.client import path
from serving.cli.command import Cli, command, commas
from serving.cli.output import moment

app = typer.Typer(name="key", help="API keys.", no_args_is_help=True)


@command(app, "create")
def create(
    cli: Cli,
    name: Annotated[str, typer.Argument(help="What it is for.")],
    labels: Annotated[str, typer.Option("--labels", help="Comma-separated; which documents it may read.")] = "public",
    scopes: Annotated[
        str, typer.Option("--scopes", "--scope", help="Comma-separated: chat, knowledge:read, …")
    ] = "chat",
) -> None:
    """Create a key. It is shown once, now."""
    body = {"name": name, "labels": commas(labels), "scopes": commas(scopes)}
    made = cli.client.post("/v1/keys", body)
    cli.output.document(made)
    cli.output.line(made["key"])
    if not cli.output.as_json:
        cli.output.progress(f"{made['id']} was created. The key above is not shown again: keep it where it is needed.")


@command(app, "ls")
def ls(cli: Cli) -> None:
    """List keys, without their secrets."""
    found = cli.client.get("/v1/keys")
    cli.output.document(found)
    rows = [
        (k["id"], k["name"], ", ".join(k["labels"]), ", ".join(k["scopes"]), moment(k["created"]), moment(k["revoked"]))
        for k in found["data"]
    ]
    cli.output.table(("id", "name", "labels", "scopes", "created", "revoked"), rows, "No key but the admin key.")


@command(app, "revoke")
def revoke(cli: Cli, id: Annotated[str, typer.Argument(metavar="ID", help="As `key ls` shows it.")]) -> None:
    """End a key, within seconds."""
    cli.client.delete(path("v1", "keys", id))
    cli.output.document({"id": id, "revoked": True})
    cli.output.line(f"{id} is revoked")
