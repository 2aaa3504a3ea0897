"""Makes a backup: the record first, so that no receipt in it names a snapshot or an adapter that it lacks."""

import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from common.settings import Settings
from serving.backup import archive, databases, manifest
from serving.backup.keys import BackedKeys
from serving.backup.manifest import Manifest, Refused


@dataclass(frozen=True, slots=True)
class Saved:
    """Where backup and keys are, how many files and bytes the backup has, and the digest of its manifest."""

    backup: str
    keys: str
    files: int
    bytes: int
    manifest: str


def save(settings: Settings, target: Path, keys: Path) -> Saved:
    """Writes the backup `target`, a new folder or a tar file, and its keys. Appears whole or not at all.

    The service may run: each database is copied as it was at one moment. Raises Refused and Damaged.
    """
    target, keys = target.absolute(), keys.absolute()
    if target.exists():
        raise Refused(f"{target} exists. Name a new folder or file.")
    if keys.resolve().is_relative_to(target.resolve()):
        raise Refused("The keys would lie in the backup. Name a file elsewhere, best on another machine's disk.")
    if settings.ledger_url == settings.audit_url:
        raise Refused("Ledger and record are one database. Give each its own, or use the database's own backup.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as name:
        scratch = Path(name)
        folder = scratch / "backup"
        folder.mkdir(mode=0o700)
        databases.save(settings.audit_url, "audit", folder)
        secrets = databases.save_ledger(settings.ledger_url, folder)
        if settings.adapters_directory.is_dir():
            shutil.copytree(settings.adapters_directory, folder / "adapters", ignore=shutil.ignore_patterns(".*"))
        told = Manifest.of(folder)
        (folder / manifest.FILE).write_bytes(told.body)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        whole = folder
        if archive.is_archive(target):
            whole = scratch / target.name
            archive.pack(folder, whole)
        BackedKeys.of(settings.home.absolute(), told.digest, secrets).write(keys)
        try:
            whole.rename(target)
        except OSError:
            keys.unlink()
            raise
    return Saved(str(target), str(keys), len(told.files), size, told.digest)
