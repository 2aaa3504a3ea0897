"""The registry of adapter versions: a folder on a volume that every engine replica can read.

    <name>/<digest12>/adapter_model.safetensors, adapter_config.json, version.json     immutable
    <name>/channels.json                                                               moved, by replacing it whole

A version's id is `name@<first 12 hex digits of its digest>`: it never means other weights, so an engine that has loaded
it never serves blocks of its cache for something else. Two writers at once can't tear a file; the later one wins.
"""

import hashlib
import json
import os
import shutil
import tempfile
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from adapters.artefact import CONFIG, WEIGHTS, checked_name, read_artefact
from common.errors import Conflict, ErrorCode, InvalidRequest, NotFound

STABLE = "stable"
CANARY = "canary"
CHANNELS = (STABLE, CANARY)

Gate = Literal["passed", "failed", "none"]


@dataclass(frozen=True, slots=True)
class Version:
    """One immutable adapter. `path` is its folder, which is what the engine loads."""

    id: str
    name: str
    digest: str
    path: Path
    base_model: str
    rank: int
    created: str
    gate: Gate = "none"
    metrics: dict[str, Any] = field(default_factory=dict[str, Any])

    def to_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "created": self.created,
            "base_model": self.base_model,
            "digest": self.digest,
            "gate": self.gate,
            "metrics": self.metrics,
        }


@dataclass(frozen=True, slots=True)
class Pointers:
    """The channels at one moment, in memory: a request chooses its version without touching the disk.

    `versions` are all that a channel points to, by id: what each engine replica must have loaded.
    """

    channels: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    versions: dict[str, Version] = field(default_factory=dict[str, Version])

    def resolve(self, name: str, sticky: str) -> Version | None:
        """The version that answers the conversation `sticky`: stable, or canary for its share of conversations."""
        state = self.channels.get(name, {})
        canary = state.get(CANARY)
        if canary and _percent(name, sticky) < canary["share"]:
            return self.versions[canary["version"]]
        return self.versions[state[STABLE]] if STABLE in state else None


class Registry:
    """The versions and channels in `directory`, as they are on disk now."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def names(self) -> list[str]:
        if not self._directory.is_dir():
            return []
        return sorted(entry.name for entry in self._directory.iterdir() if entry.is_dir() and entry.name[0] != ".")

    def versions(self, name: str) -> list[Version]:
        """All versions of `name`, oldest first."""
        folder = self._directory / checked_name(name)
        found = [self._read(file) for file in folder.glob("*/version.json")] if folder.is_dir() else []
        return sorted(found, key=lambda version: (version.created, version.id))

    def version(self, id: str) -> Version:
        """One version by its id. Raises NotFound."""
        name, _, digest12 = id.partition("@")
        file = self._directory / checked_name(name) / checked_name(digest12) / "version.json"
        if file.is_file():
            return self._read(file)
        raise NotFound(f"There is no adapter version `{id[:80]}`.", "GET /v1/adapters lists them.")

    def register(
        self,
        name: str,
        folder: Path,
        *,
        max_rank: int = 16,
        base_model: str | None = None,
        gate: Gate = "none",
        metrics: dict[str, Any] | None = None,
    ) -> Version:
        """Checks the artefact in `folder` and makes it a version; the same artefact twice is the same version.

        Raises InvalidRequest (`invalid_adapter`).
        """
        checked_name(name)
        artefact = read_artefact(folder, max_rank=max_rank, base_model=base_model)
        digest12 = artefact.digest.removeprefix("sha256:")[:12]
        target = self._directory / name / digest12
        if (target / "version.json").is_file():
            return self._read(target / "version.json")
        described = {
            "id": f"{name}@{digest12}",
            "name": name,
            "digest": artefact.digest,
            "base_model": artefact.base_model,
            "rank": artefact.rank,
            "created": datetime.now(UTC).isoformat(),
            "gate": gate,
            "metrics": metrics or {},
        }
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".", dir=target.parent))
        try:
            # What was checked is written, not what lies in `folder` a moment later.
            _write(scratch / WEIGHTS, artefact.weights)
            _write(scratch / CONFIG, artefact.config)
            _write(scratch / "version.json", json.dumps(described, indent=2).encode())
            scratch.chmod(0o755)
            scratch.rename(target)
            _sync(target.parent)
        except OSError:
            shutil.rmtree(scratch, ignore_errors=True)
            if not (target / "version.json").is_file():
                raise
        return self._read(target / "version.json")

    def channels(self, name: str) -> dict[str, Any]:
        """Where the channels of `name` point: `{"stable": id, "canary": {"version", "share"}}`, without unset ones."""
        return {key: value for key, value in self._state(name).items() if key in CHANNELS}

    def movable(self, name: str, channel: str, version: str, share: int | None = None) -> Version:
        """The version, where `channel` may be moved to it.

        Raises NotFound, InvalidRequest, and Conflict where the gate was not passed.
        """
        if channel not in CHANNELS:
            raise InvalidRequest(f"There is no channel `{channel[:40]}`.", f"Use one of {', '.join(CHANNELS)}.")
        found = self.version(version)
        if found.name != name:
            raise InvalidRequest(f"`{version[:80]}` is not a version of `{name}`.", "Name one of its own versions.")
        if found.gate == "failed":
            raise Conflict(
                f"`{version}` did not pass the gate.",
                "Train one that does; nobody can move a channel to it.",
                code=ErrorCode.GATE_NOT_PASSED,
            )
        if channel == CANARY and (share is None or not 1 <= share <= 99):
            raise InvalidRequest("A canary needs a share from 1 to 99 per cent.", "Send `share`.", param="share")
        return found

    def point(self, name: str, channel: str, version: str, share: int | None = None) -> None:
        """Moves a channel to a version. Raises what `movable` raises."""
        self.movable(name, channel, version, share)
        state = self._state(name)
        if channel == STABLE:
            if state.get(STABLE) not in (None, version):
                state["previous"] = state[STABLE]
            state[STABLE] = version
            if (state.get(CANARY) or {}).get("version") == version:
                del state[CANARY]
        else:
            state[CANARY] = {"version": version, "share": share}
        self._store(name, state)

    def rollback(self, name: str) -> dict[str, Any]:
        """Ends a canary, or else returns `stable` to where it pointed before. Raises Conflict where neither is."""
        state = self._state(name)
        if CANARY in state:
            del state[CANARY]
        elif state.get("previous"):
            state[STABLE], state["previous"] = state["previous"], state[STABLE]
        else:
            raise Conflict(f"`{name}` has nothing to go back to.", "Promote another version instead.")
        self._store(name, state)
        return self.channels(name)

    def pointers(self) -> "Pointers":
        """All channels with the versions they point to, as they are now."""
        channels = {name: self.channels(name) for name in self.names()}
        ids = {id for state in channels.values() for id in _ids(state)}
        return Pointers(channels, {id: self.version(id) for id in sorted(ids)})

    def to_wire(self) -> dict[str, Any]:
        """The contract's list of adapters."""
        return {
            "data": [
                {"name": name, "versions": [v.to_wire() for v in self.versions(name)], "channels": self.channels(name)}
                for name in self.names()
            ]
        }

    def _state(self, name: str) -> dict[str, Any]:
        try:
            return json.loads((self._directory / checked_name(name) / "channels.json").read_bytes())
        except FileNotFoundError:
            return {}

    def _store(self, name: str, state: dict[str, Any]) -> None:
        file = self._directory / checked_name(name) / "channels.json"
        scratch = file.with_name(f".channels.{os.getpid()}.{os.urandom(4).hex()}")
        _write(scratch, json.dumps(state, indent=2).encode())
        scratch.replace(file)
        _sync(file.parent)

    def _read(self, file: Path) -> Version:
        return Version(**json.loads(file.read_bytes()), path=file.parent)


def _ids(channels: dict[str, Any]) -> set[str]:
    stable, canary = channels.get(STABLE), channels.get(CANARY)
    return ({stable} if stable else set()) | ({canary["version"]} if canary else set())


def _percent(name: str, sticky: str) -> int:
    """A number from 0 to 99, always the same for one conversation, and independent between adapters."""
    return int.from_bytes(hashlib.sha256(f"{name}\0{sticky}".encode()).digest()[:8]) % 100


def _write(file: Path, data: bytes) -> None:
    with file.open("wb") as out:
        out.write(data)
        out.flush()
        os.fsync(out.fileno())


def _sync(folder: Path) -> None:
    """Makes a rename in `folder` survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
