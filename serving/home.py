"""GROUNDTONE_HOME: the folder of all state, its keys and its one owner.

    admin.key       the first administrator's API key, 0600, made at the first start and never printed
    internal.key    what gateway and knowledge know each other by, likewise
    metrics.key     what Prometheus shows: good for /metrics and nothing else
    signing.key     signs adapter versions, where the configuration names no keys (`adapters.own_key`)
    running.json    what runs now: the supervisor's process id, the gateway's address, each part's address
    up.lock         held by the one supervisor of this folder
    logs/           one file a process
    models/         base models, made ready for the engine
    vectors/        Chroma's; only its server opens it

Whoever can read this folder is an administrator: it belongs to one user of the machine and is not shared.
"""

import fcntl
import json
import os
import secrets
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_STALE_SECONDS = 3600.0


class HomeTaken(Exception):
    """Another supervisor owns the folder. `pid` is its process, `address` where it serves, if it serves already."""

    def __init__(self, pid: int | None, address: str | None) -> None:
        super().__init__(pid, address)
        self.pid = pid
        self.address = address


@dataclass(frozen=True, slots=True)
class Home:
    """The state folder at `path`, an absolute path."""

    path: Path

    @property
    def logs(self) -> Path:
        return self.path / "logs"

    @property
    def vectors(self) -> Path:
        return self.path / "vectors"

    @property
    def admin_key_path(self) -> Path:
        return self.path / "admin.key"

    @property
    def internal_key_path(self) -> Path:
        return self.path / "internal.key"

    @property
    def metrics_key_path(self) -> Path:
        return self.path / "metrics.key"

    def prepare(self) -> None:
        """Makes the folder and its keys where they are missing. Keys that exist are left as they are."""
        self.path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self.logs.mkdir(exist_ok=True, mode=0o700)
        make_key(self.admin_key_path, "gt_")
        make_key(self.internal_key_path, "gti_")
        make_key(self.metrics_key_path, "gt_")

    @property
    def admin_key(self) -> str:
        """The administrator's key. Raises FileNotFoundError before the first start."""
        return self.admin_key_path.read_text().strip()

    @property
    def internal_key(self) -> str:
        return self.internal_key_path.read_text().strip()

    @property
    def metrics_key(self) -> str:
        return self.metrics_key_path.read_text().strip()

    def sweep(self) -> None:
        """Removes what a model's conversion that was killed left behind. Only the folder's owner calls it."""
        for scratch in (self.path / "models").glob(".*"):
            if time.time() - scratch.stat().st_mtime > _STALE_SECONDS:
                shutil.rmtree(scratch, ignore_errors=True)

    def running(self) -> dict[str, Any] | None:
        """What `write_running` wrote last, or None; it says nothing about whether that still runs."""
        try:
            return json.loads((self.path / "running.json").read_text())
        except (OSError, ValueError):
            return None

    def write_running(self, state: dict[str, Any]) -> None:
        _replace(self.path / "running.json", json.dumps(state, indent=2) + "\n")

    def clear_running(self) -> None:
        (self.path / "running.json").unlink(missing_ok=True)

    def lock(self) -> int:
        """Takes the folder for this process and returns the lock's file descriptor; it ends with the process.

        Raises HomeTaken while another process, or the guardian that cleans up after one, holds it.
        """
        file = os.open(self.path / "up.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(file, 32, 0).decode()
            os.close(file)
            raise HomeTaken(
                int(text) if text.strip().isdigit() else None, (self.running() or {}).get("address")
            ) from None
        os.ftruncate(file, 0)
        os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
        return file


def make_key(path: Path, prefix: str) -> None:
    """A new random key at `path`, readable by its owner alone, unless there is one. Of two makers at once one wins."""
    if path.exists():
        return
    with tempfile.NamedTemporaryFile("w", dir=path.parent, prefix=f".{path.name}.") as file:
        file.write(f"{prefix}{secrets.token_urlsafe(32)}\n")
        file.flush()
        os.fsync(file.fileno())
        try:
            os.link(file.name, path)
        except FileExistsError:
            return


def _replace(path: Path, text: str) -> None:
    scratch = path.with_name(f".{path.name}.{os.getpid()}")
    scratch.write_text(text)
    scratch.chmod(0o600)
    scratch.replace(path)
