"""`groundtone doctor`: what is wrong here, and what to do about it."""

from collections.abc import Iterator

import typer

from serving.cli.check import Check, State
from serving.cli.command import Cli, Exit, command

_MARKS = {State.OK: "ok  ", State.WARN: "warn", State.FAIL: "FAIL"}


def register(app: typer.Typer) -> None:
    command(app, "doctor")(doctor)


def doctor(cli: Cli) -> None:
    """Check this machine and the service; exit code 1 if something fails."""
    checks: list[Check] = []
    for check in _checks(cli):
        checks.append(check)
        cli.output.line(f"{_MARKS[check.state]}  {check.name:18} {check.found}")
        if check.do:
            cli.output.line(f"      {'':18} → {check.do}")
    failed = any(check.state is State.FAIL for check in checks)
    cli.output.document({"ok": not failed, "checks": [check.to_wire() for check in checks]})
    if failed:
        raise Exit(Exit.NO)


def _checks(cli: Cli) -> Iterator[Check]:
    from serving.cli.machine import machine_checks
    from serving.cli.parts import adapter_checks, gateway_checks, part_checks

    here = cli.on_this_machine
    running = (cli.home.running() if here else None) or {}
    if here:
        yield from machine_checks(cli.settings, cli.home, running=bool(running))
    gateway = list(gateway_checks(cli.client))
    yield from gateway
    yield from part_checks(running)
    if all(check.state is not State.FAIL for check in gateway if check.name in ("gateway", "key")):
        yield from adapter_checks(cli.client, running.get("parts", {}).get("engine", {}).get("address"))
