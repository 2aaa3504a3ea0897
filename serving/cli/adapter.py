"""`groundtone adapter`: the versions of a voice, and which one is heard."""

import gzip
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Annotated, Any, NoReturn

import typer

from serving.cli.client import ServiceError, path
from serving.cli.command import Cli, Exit, Usage, command, existing_file
from serving.cli.output import moment

app = typer.Typer(name="adapter", help="Train, register and roll out voices.", no_args_is_help=True)

Version = Annotated[str, typer.Argument(metavar="VERSION", help="name@digest, as `adapter ls` shows it.")]


def name_of(version: str) -> str:
    """The adapter that a version belongs to. Raises Usage for what is not a version."""
    name, at, digest = version.partition("@")
    if not (name and at and digest):
        raise Usage(f"`{version}` is not a version. `groundtone adapter ls` lists them as name@digest.")
    return name


@command(app, "ls")
def ls(cli: Cli) -> None:
    """List adapters with their versions and channels."""
    found = cli.client.get("/v1/adapters")
    cli.output.document(found)
    rows = [
        (adapter["name"], version["id"], _channels(adapter, version["id"]), version["gate"], moment(version["created"]))
        for adapter in found["data"]
        for version in adapter["versions"]
    ]
    cli.output.table(("adapter", "version", "channel", "gate", "created"), rows, "No adapter is registered.")


def _channels(adapter: dict[str, Any], version: str) -> str:
    channels = adapter.get("channels") or {}
    held = ["stable"] if channels.get("stable") == version else []
    canary = channels.get("canary") or {}
    if canary.get("version") == version:
        held.append(f"canary {canary['share']} %")
    return ", ".join(held)


@command(app, "show")
def show(cli: Cli, version: Annotated[str, typer.Argument(metavar="NAME|VERSION")]) -> None:
    """Show an adapter, or one version of it."""
    found: list[dict[str, Any]] = cli.client.get("/v1/adapters")["data"]
    adapter = next((a for a in found if a["name"] == version.partition("@")[0]), None)
    if adapter is None:
        _missing(version)
    if "@" not in version:
        cli.output.document(adapter)
        for one in adapter["versions"]:
            cli.output.line(f"{one['id']}  {_channels(adapter, one['id'])}".rstrip())
        for move in adapter.get("moves", ()):
            canary = f", canary {move['canary']['version']} {move['canary']['share']} %" if move["canary"] else ""
            who = move["by"] or "the configuration"
            cli.output.line(f"{moment(move['at'])}  {who}: stable {move['stable'] or '–'}{canary}")
        return
    one = next((v for v in adapter["versions"] if v["id"] == version), None)
    if one is None:
        _missing(version)
    cli.output.document(one)
    for key, value in (one | {"channel": _channels(adapter, version)}).items():
        cli.output.line(f"{key:12} {value}")


def _missing(version: str) -> NoReturn:
    raise ServiceError(404, {"message": f"There is no adapter `{version}`. `groundtone adapter ls` lists them."})


@command(app, "register")
def register(
    cli: Cli,
    artefact: Annotated[Path, typer.Argument(metavar="FOLDER|TAR.GZ", help="What training wrote.")],
    name: Annotated[str | None, typer.Option("--name", help="The adapter; by default the folder's name.")] = None,
) -> None:
    """Register a trained adapter as a new version. Its id is the digest of its content."""
    called = name or artefact.resolve().name.removesuffix(".tar.gz")
    reply = cli.client.send(
        "POST", path("v1", "adapters", called, "versions"), data=packed(artefact), content_type="application/gzip"
    )
    version = reply.document
    cli.output.document(version)
    cli.output.line(f"registered {version['id']}; `groundtone adapter promote {version['id']}` makes it heard")


def packed(artefact: Path) -> bytes:
    """The artefact as a gzipped tar, the same bytes for the same content. Raises Usage for what is not an adapter."""
    if artefact.is_file():
        return artefact.read_bytes()
    from adapters.artefact import OPTIONAL, REQUIRED

    missing = [name for name in REQUIRED if not (artefact / name).is_file()]
    if missing:
        raise Usage(f"`{artefact}` lacks {' and '.join(missing)}. `groundtone adapter train` makes such a folder.")
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", mtime=0) as zipped, tarfile.open(fileobj=zipped, mode="w") as tar:
        for name in (*REQUIRED, *(name for name in OPTIONAL if (artefact / name).is_file())):
            member = tarfile.TarInfo(name)
            member.size = (artefact / name).stat().st_size
            with (artefact / name).open("rb") as content:
                tar.addfile(member, content)
    return buffer.getvalue()


@command(app, "promote")
def promote(cli: Cli, version: Version) -> None:
    """Make a version the stable one, once the engine serves it."""
    _move(cli, version, "stable", None)


@command(app, "canary")
def canary(cli: Cli, version: Version, share: Annotated[int, typer.Option("--share", min=1, max=100)] = 10) -> None:
    """Let a version answer a share of the conversations, in percent; `rollback` ends it."""
    _move(cli, version, "canary", share)


def _move(cli: Cli, version: str, channel: str, share: int | None) -> None:
    body = {"version": version} if share is None else {"version": version, "share": share}
    cli.output.progress(f"loading {version} into the engine")
    moved = cli.client.put(path("v1", "adapters", name_of(version), "channels", channel), body)
    cli.output.document(moved)
    cli.output.line(f"{channel} is {version}" + ("" if share is None else f" for {share} % of the conversations"))


@command(app, "compare")
def compare(cli: Cli, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """Show the canary beside the stable version, by the answers that people got. Which one stays, you decide."""
    found = cli.client.get(path("v1", "adapters", name, "comparison"))
    cli.output.document(found)
    stable, canary = found["stable"], found["canary"]
    names = list(dict.fromkeys((*stable["metrics"], *canary["metrics"])))
    sides = [[_shown(metric, side["metrics"].get(metric)) for metric in names] for side in (stable, canary)]
    apart = [_apart(metric, found["difference"].get(metric)) for metric in names]
    columns = ("", stable["version"], f"canary {canary['version']}", "difference")
    cli.output.table(columns, list(zip(names, *sides, apart, strict=True)), "Neither has answered yet.")
    cli.output.line("In brackets 95 % bounds and the number of cases; * where the difference is more than chance.")


def _shown(metric: str, figure: dict[str, float] | None) -> str:
    if figure is None:
        return "–"
    value, low, high = (_unit(metric, figure[key]) for key in ("value", "low", "high"))
    return f"{value} ({low} to {high}; {figure['n']})"


def _apart(metric: str, figure: dict[str, float] | None) -> str:
    if figure is None:
        return "–"
    value, low, high = (_unit(metric, figure[key], "+") for key in ("value", "low", "high"))
    return f"{value} ({low} to {high}){' *' if figure['low'] > 0 or figure['high'] < 0 else ''}"


def _unit(metric: str, value: float, sign: str = "") -> str:
    match metric:
        case "seconds":
            return f"{value:{sign}.2f} s"
        case "characters":
            return f"{value:{sign}.0f}"
        case _:
            return f"{value:{sign}.1%}"


@command(app, "rollback")
def rollback(cli: Cli, name: Annotated[str, typer.Argument(metavar="NAME")]) -> None:
    """End the canary, or, where there is none, return to the version that was stable before."""
    done = cli.client.post(f"{path('v1', 'adapters', name)}:rollback")
    cli.output.document(done)
    cli.output.line(f"stable is {done['stable']}")


@command(app, "train")
def train(
    cli: Cli,
    recipe: Annotated[Path, typer.Argument(metavar="RECIPE", help="A TOML recipe.")],
    output: Annotated[
        Path | None, typer.Option("--output", help="The folder to write, instead of the recipe's.")
    ] = None,
    steps: Annotated[int | None, typer.Option("--steps", min=1, help="Instead of the recipe's.")] = None,
    threads: Annotated[int | None, typer.Option("--threads", min=0, help="0 is all cores.")] = None,
) -> None:
    """Train an adapter from a recipe, in the engine's environment on this machine."""
    from serving.supervisor.plan import ROOT

    existing_file(recipe)
    command = [str(engine_python()), "-m", "adapters.train", str(recipe), "--home", str(cli.home.path)]
    for name, value in (("--output", output), ("--steps", steps), ("--threads", threads)):
        command += [] if value is None else [name, str(value)]
    process = subprocess.Popen(
        [*command, *(["--json"] if cli.output.as_json else [])],
        stdout=subprocess.PIPE if cli.output.as_json else None,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"},
    )
    try:
        printed, _ = process.communicate()
    except KeyboardInterrupt:
        process.terminate()
        process.wait()
        raise
    if process.returncode:
        cli.fail(Exit.NO, f"Training ended with exit code {process.returncode}; what stands above says why.")
    cli.output.document(json.loads(printed) if cli.output.as_json else None)


def engine_python() -> Path:
    """The interpreter of the engine's environment, where torch and PEFT are. Raises Usage where it is missing."""
    from serving.supervisor.plan import ENGINE_ENVIRONMENT

    python = ENGINE_ENVIRONMENT / "bin" / "python"
    if not python.is_file():
        raise Usage(f"{ENGINE_ENVIRONMENT.name} is missing, and training needs it. `make prepare` makes it.")
    return python
