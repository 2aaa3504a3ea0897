"""`groundtone backup` and `groundtone restore`: on the machine whose state folder it is, the service running or not."""

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from serving.cli.command import Cli, Exit, Usage, command

T = TypeVar("T")


def register(app: typer.Typer) -> None:
    command(app, "backup")(backup)
    command(app, "restore")(restore)


def backup(
    cli: Cli,
    target: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="A new folder, or a .tar or .tar.gz file.")],
    keys: Annotated[Path, typer.Option("--keys", metavar="FILE", help="A new file for the keys, kept elsewhere.")],
) -> None:
    """Back up record, ledger and adapters; the service may run."""
    from serving.backup import save

    saved = _done(cli, lambda: save(cli.settings, target, keys))
    cli.output.document(asdict(saved))
    cli.output.line(f"{saved.backup}: {saved.files} files, {saved.bytes / 2**20:.1f} MiB, {saved.manifest}")
    cli.output.line(f"{saved.keys}: the keys. Keep them apart from the backup.")


def restore(
    cli: Cli,
    source: Annotated[Path, typer.Argument(metavar="DIR|FILE", help="What `groundtone backup` wrote.")],
    keys: Annotated[
        Path | None, typer.Option("--keys", metavar="FILE", help="The backup's keys; without them new ones are made.")
    ] = None,
) -> None:
    """Restore a backup into an empty state folder and verify it; exit code 1 if something does not hold."""
    from serving.backup import restore as put_back

    restored = _done(cli, lambda: put_back(cli.settings, source, keys))
    cli.output.document(asdict(restored))
    for entry in restored.wrong:
        cli.output.line(f"{entry}  is not what its digest says")
    cli.output.line(
        f"{restored.home}: {restored.files} files of {restored.created}, {restored.receipts} receipts, "
        f"{restored.snapshots} snapshots, {len(restored.wrong)} wrong"
    )
    if restored.wrong:
        raise Exit(Exit.NO)


def _done(cli: Cli, work: Callable[[], T]) -> T:
    from serving.backup import Damaged, Refused

    try:
        return work()
    except Refused as refused:
        raise Usage(str(refused)) from None
    except Damaged as damaged:
        cli.fail(Exit.NO, str(damaged))
    except OSError as error:
        raise Usage(f"{error.filename or 'The disk'}: {error.strerror}. Free room, or mend its rights.") from None
