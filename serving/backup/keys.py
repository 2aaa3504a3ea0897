"""The keys of a backup: a file of their own, so that who gets the archive can neither ask, forge nor sign.

It holds the state folder's keys and each tenant's secret, which makes the fences around evidence. The digest of the
backup's manifest binds the two together.
"""

import base64
import os
from dataclasses import dataclass, field
from pathlib import Path

import orjson

from serving.backup.manifest import Damaged, Refused


@dataclass(frozen=True, slots=True)
class BackedKeys:
    """`files` are the state folder's keys by name, `tenants` each tenant's secret."""

    backup: str = ""
    files: dict[str, str] = field(default_factory=dict[str, str])
    tenants: dict[str, bytes] = field(default_factory=dict[str, bytes])

    @classmethod
    def of(cls, home: Path, backup: str, tenants: dict[str, bytes]) -> "BackedKeys":
        return cls(backup, {path.name: path.read_text() for path in sorted(home.glob("*.key"))}, tenants)

    def write(self, file: Path) -> None:
        """A new file that its owner alone can read. Raises Refused where there is one."""
        secrets = {name: base64.b64encode(secret).decode() for name, secret in self.tenants.items()}
        body = orjson.dumps({"backup": self.backup, "files": self.files, "tenants": secrets})
        try:
            descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            raise Refused(f"{file} exists. Name a new file for the keys.") from None
        with os.fdopen(descriptor, "wb") as output:
            output.write(body)
            output.flush()
            os.fsync(output.fileno())

    @classmethod
    def read(cls, file: Path) -> "BackedKeys":
        """Raises Refused where there is no such file, Damaged for one that holds something else."""
        try:
            told = orjson.loads(file.read_bytes())
            secrets = {str(name): base64.b64decode(secret) for name, secret in told["tenants"].items()}
            keys = cls(str(told["backup"]), dict(told["files"]), secrets)
        except OSError as error:
            raise Refused(f"{file} can't be read ({error.strerror}). Name the file that the backup wrote.") from None
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, AttributeError):
            raise Damaged(f"{file} holds no keys of a backup. Name the file that the backup wrote.") from None
        if not all(Path(name).name == name and name.endswith(".key") for name in keys.files):
            raise Damaged(f"{file} names files that are no keys. It was not written by groundtone.")
        return keys

    def put_back(self, home: Path) -> None:
        """Writes the state folder's keys where they are missing."""
        for name, text in self.files.items():
            if (home / name).exists():
                continue
            with os.fdopen(os.open(home / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as key:
                key.write(text)
