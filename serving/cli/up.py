"""`groundtone up`: start everything on this machine."""

import typer

from serving.cli.command import Cli, Exit, command


def register(app: typer.Typer) -> None:
    command(app, "up")(up)


def up(cli: Cli) -> None:
    """Start engine, vectors, knowledge and gateway here, and serve until Ctrl-C."""
    from serving.supervisor import up as serve

    raise Exit(serve(cli.settings))
