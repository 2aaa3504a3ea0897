"""`groundtone doctor`: what is wrong here, and what to do about it."""

from collections.abc import Iterator
from dataclasses import asdict

import typer

from serving.cli.check import Check, State
from serving.cli.client import Client, ServiceError, Unreachable
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
    cli.output.document({"ok": not failed, "checks": [asdict(check) for check in checks]})
    if failed:
        raise Exit(Exit.NO)


def _checks(cli: Cli) -> Iterator[Check]:
    from serving.cli.card import card_checks
    from serving.cli.machine import machine_checks
    from serving.cli.parts import adapter_checks, engine_checks, gateway_checks, part_checks
    from serving.supervisor.plan import ENGINE_ENVIRONMENT

    if cli.on_this_machine:
        # In a container nothing but the answer on its port says that the gateway runs.
        running = cli.home.running() is not None or _answers(cli.client)
        yield from machine_checks(cli.settings, cli.home, running=running)
        yield from card_checks(cli.settings, cli.home.path, ENGINE_ENVIRONMENT, running=running)
    gateway = list(gateway_checks(cli.client))
    yield from gateway
    parts = _parts(cli) if cli.on_this_machine else {}
    yield from part_checks(parts)
    engines = [Client(url, _engine_key(cli)) for url in parts.get("engine", ())]
    for engine in engines:
        yield from engine_checks(engine, cli.settings.engine.max_model_len)
    if all(check.state is not State.FAIL for check in gateway if check.name in ("gateway", "key")):
        yield from adapter_checks(cli.client, engines)


def _parts(cli: Cli) -> dict[str, list[str]]:
    """Where the parts behind the gateway are: as they run here, else as the configuration names them."""
    settings = cli.settings
    configured = {
        "engine": list(settings.engine.urls),
        "vectors": [url for url in (settings.vectors.url,) if url],
        "knowledge": list(settings.knowledge.urls),
    }
    running = (cli.home.running() or {}).get("parts", {})
    return configured | {name: [part["address"]] for name, part in running.items() if name in configured}


def _engine_key(cli: Cli) -> str | None:
    file = cli.settings.engine.api_key_file
    return file.read_text().strip() if file else None


def _answers(client: Client) -> bool:
    try:
        client.send("GET", "/livez")
    except (Unreachable, ServiceError):
        return False
    return True
