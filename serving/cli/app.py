"""All commands under one roof."""

import sys
from collections.abc import Sequence

import typer

from serving.cli import (
    adapter,
    adapter_evaluate,
    ask,
    audit,
    backup,
    doctor,
    embedder,
    evaluate,
    holds,
    key,
    knowledge,
    lint,
    receipt,
    tune,
    up,
)
from serving.cli.command import Exit
from serving.cli.output import Output

_WRONG = {"error": {"message": "The command line is wrong. See --help.", "type": "usage"}}

app = typer.Typer(
    name="groundtone",
    help="Your voice from a LoRA, your facts from a live index, a receipt for every answer.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (up, ask, doctor, backup):
    module.register(app)
for module in (evaluate, tune, holds, embedder):
    module.register(knowledge.app)
for module in (lint, adapter_evaluate):
    module.register(adapter.app)
for module in (knowledge, adapter, receipt, audit, key):
    app.add_typer(module.app)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    try:
        app(words, prog_name="groundtone")
    except SystemExit as end:
        # Exit is what a command raises after it has told its document; any other 2 is the parser's, which tells none.
        if end.code == Exit.USAGE and "--json" in words and not isinstance(end, Exit):
            Output(as_json=True).document(_WRONG)
        return end.code if isinstance(end.code, int) else 1
    return 0
