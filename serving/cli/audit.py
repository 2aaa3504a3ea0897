"""`groundtone audit`: whether the record is whole.

Derives every digest of the record again from the content that the service hands out. That finds content which was
changed without its digest; it does not find a record that was rewritten with new digests, or receipts that were taken
out whole.
"""

from typing import Any

import typer

from serving.cli.command import Cli, Exit, command

app = typer.Typer(name="audit", help="Verify the record.", no_args_is_help=True)


@app.callback()
def audit() -> None:
    """Verify the record."""


@command(app, "verify")
def verify(cli: Cli) -> None:
    """Derive every receipt's digests again; exit code 1 if one does not hold."""
    wrong: list[dict[str, str]] = []
    count = 0
    for receipt in cli.client.pages("/v1/receipts"):
        count += 1
        wrong += [{"receipt": receipt["receipt"], "problem": problem} for problem in problems(receipt)]
        if count % 1000 == 0:
            cli.output.progress(f"{count} receipts")
    cli.output.document({"receipts": count, "wrong": wrong})
    for entry in wrong:
        cli.output.line(f"{entry['receipt']}  {entry['problem']}")
    cli.output.line(f"{count} receipts, {len(wrong)} wrong")
    if wrong:
        raise Exit(Exit.NO)


def problems(receipt: dict[str, Any]) -> list[str]:
    """What does not hold in one receipt."""
    from common.canonical import digest_of

    found: list[str] = []
    if digest_of(receipt["intent"]) != receipt["intent_digest"]:
        found.append("the intent is not what its digest says")
    outcome = receipt.get("outcome")
    if outcome is None:
        return found
    if digest_of(outcome) != receipt["outcome_digest"]:
        found.append("the outcome is not what its digest says")
    if outcome.get("intent") != receipt["intent_digest"]:
        found.append("the outcome belongs to another intent")
    return found
