"""What a backup holds: each file with its digest, in one document whose own digest the keys name."""

import hashlib
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import IO

import orjson

from common.canonical import canonical, digest

FILE = "manifest.json"
MAX_BYTES = 16 * 1024 * 1024
_FORMAT = 1
_PIECE = 1024 * 1024
# No part begins with a dot: neither `..` nor a hidden file is a name, and nothing begins with a slash.
_NAME = re.compile(r"(?:ledger|audit)\.(?:db|dump)|tenants\.json|adapters(?:/[A-Za-z0-9][\w@.-]*)+", re.ASCII)


class Damaged(Exception):
    """The backup is not what was written; nothing of it was put in place."""


class Refused(Exception):
    """It can't be done here and now; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """`files` maps each file's path in the backup to the digest of its bytes."""

    created: str
    version: str
    files: dict[str, str]

    @classmethod
    def of(cls, folder: Path) -> "Manifest":
        """The manifest of what lies in `folder` now."""
        found = {str(path.relative_to(folder)): path for path in sorted(folder.rglob("*")) if path.is_file()}
        if strange := [name for name in found if not _NAME.fullmatch(name)]:
            raise Refused(f"`{strange[0]}` does not belong to an adapter. Remove it from the adapters' folder.")
        digests = {name: _digest_of(path) for name, path in found.items()}
        return cls(datetime.now(UTC).isoformat(timespec="seconds"), version("groundtone"), digests)

    @classmethod
    def parse(cls, data: bytes) -> "Manifest":
        """Raises Damaged, for a name that leads out of the backup too."""
        try:
            told = orjson.loads(data)
            if told["format"] != _FORMAT:
                raise Damaged(f"The backup has the format {told['format']}, and this version reads {_FORMAT}.")
            manifest = cls(str(told["created"]), str(told["version"]), dict(told["files"]))
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError):
            raise Damaged(f"The backup's {FILE} can't be read. Use another backup.") from None
        if not all(_NAME.fullmatch(name) for name in manifest.files):
            raise Damaged("The backup names files that no backup holds. It was not written by groundtone.")
        return manifest

    @property
    def body(self) -> bytes:
        return canonical({"format": _FORMAT, "created": self.created, "version": self.version, "files": self.files})

    @property
    def digest(self) -> str:
        return digest(self.body)

    def take(self, name: str, file: IO[bytes], folder: Path) -> None:
        """Copies one file of the backup to its place below `folder`. Raises Damaged for other bytes than those told."""
        if name not in self.files:
            raise Damaged("The backup holds a file that its manifest does not name. Use another backup.")
        place = folder / name
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        found = hashlib.sha256()
        with place.open("xb") as copy:
            while piece := file.read(_PIECE):
                found.update(piece)
                copy.write(piece)
        if f"sha256:{found.hexdigest()}" != self.files[name]:
            raise Damaged(f"`{name}` in the backup is not what was written. Use another backup.")


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
