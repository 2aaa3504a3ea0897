"""Puts a backup into an empty state folder, and verifies it: the files first, then what they say of themselves."""

import shutil
from dataclasses import dataclass
from pathlib import Path

from common.settings import Settings
from serving.backup import archive, databases, verify
from serving.backup.keys import BackedKeys
from serving.backup.manifest import Damaged, Refused


@dataclass(frozen=True, slots=True)
class Restored:
    """What was put where, and what does not hold in it: receipts and snapshots, which were so in the service."""

    home: str
    created: str
    files: int
    receipts: int
    snapshots: int
    wrong: list[str]


def restore(settings: Settings, source: Path, keys: Path | None) -> Restored:
    """Restores the backup `source`, with its keys where they are given; else the next start makes new ones.

    A key that is in the state folder already stays: in a container it is mounted there.
    The ledger is brought to this version's schema. Raises Refused where something is there already, and Damaged, before
    anything is in its place, where the backup is not what was written.
    """
    home = settings.home.absolute()
    adapters = settings.adapters_directory.absolute()
    for folder in (home, adapters):
        if folder.exists() and (not folder.is_dir() or any(_is_state(entry, adapters) for entry in folder.iterdir())):
            raise Refused(f"{folder} is not empty. Restore into a new folder: GROUNDTONE_HOME names the state folder.")
    databases.check_empty(settings.audit_url, "record")
    databases.check_empty(settings.ledger_url, "ledger")
    given = BackedKeys.read(keys) if keys else BackedKeys()
    home.mkdir(parents=True, exist_ok=True, mode=0o700)
    stage = home / ".restoring"
    stage.mkdir(mode=0o700)
    try:
        manifest = archive.unpack(source, stage)
        if keys and given.backup != manifest.digest:
            raise Damaged("The keys belong to another backup. Name the file that was written with this one.")
        for name, url in (("ledger", settings.ledger_url), ("audit", settings.audit_url)):
            databases.kept(url, name, stage)
        databases.load_ledger(settings.ledger_url, stage, given.tenants)
        databases.load(settings.audit_url, "audit", stage)
        if (stage / "adapters").is_dir():
            _place(stage / "adapters", adapters)
        given.put_back(home)
    finally:
        shutil.rmtree(stage)
    receipts, wrong = verify.receipts(settings.audit_url)
    snapshots, also = verify.snapshots(settings.ledger_url)
    return Restored(str(home), manifest.created, len(manifest.files), receipts, snapshots, [*wrong, *also])


def _is_state(entry: Path, adapters: Path) -> bool:
    """A container begins with keys that are mounted, and with a volume for adapters, which is looked into by itself."""
    return entry != adapters and entry.suffix != ".key"


def _place(found: Path, adapters: Path) -> None:
    """As the registry lays them down: versions can't be written to, and the engine's user may read them."""
    for path in found.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644 if path.parent.parent == found else 0o444)
    adapters.mkdir(parents=True, exist_ok=True)
    adapters.chmod(0o755)
    for entry in found.iterdir():
        shutil.move(entry, adapters)
