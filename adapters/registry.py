"""The registry of adapter versions: a directory, immutable versions, channels that move.

    <name>/<digest12>/    adapter_model.safetensors, adapter_config.json, version.json and what came with them
                          evaluation.json and card.md, once it was evaluated
    <name>/channels.json  replaced in one step

A version's id is `name@<first 12 hex of its artefact's digest>`: other bytes are another version, and the engine never
reloads one in place. What a channel may point to is decided where it is read as well as where it is written: a version
without an evaluation that passes the gate is served by nobody, whoever wrote the files. Everything that is written is
written beside its place, synced and renamed, so that a reader on any host of a shared volume sees the old state or the
new one. Doesn't cover: who may write to the directory.
"""

import fcntl
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

from adapters import files
from adapters.artefact import Base, artefact_digest, check, fits, refused
from adapters.channels import Channel, Channels
from adapters.evaluation import evaluation as evaluations
from adapters.evaluation.evaluation import Evaluation
from adapters.signature import FILE as SIGNATURE
from adapters.signature import Signatures
from adapters.version import FILE as VERSION
from adapters.version import Gate, Version
from common.errors import Conflict, ErrorCode, InvalidRequest, NotFound
from common.settings import Gate as Thresholds
from common.settings import Settings

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,62}[a-z0-9])?")
_ID = re.compile(rf"(?P<name>{_NAME.pattern})@(?P<digest>[0-9a-f]{{12}})")
_CHANNELS = "channels.json"


class Registry:
    """Safe to use from several processes at once. Synchronous: call it off the event loop."""

    def __init__(
        self,
        directory: Path,
        *,
        max_rank: int = 16,
        base: Base | None = None,
        gate: Thresholds | None = None,
        signatures: Signatures | None = None,
    ) -> None:
        self._directory = directory
        self._max_rank = max_rank
        self._base = base
        self._gate = gate or Thresholds()
        self._heard = {Gate.PASSED} if self._gate.required else {Gate.PASSED, Gate.NONE}
        self._signatures = signatures or Signatures()
        self._held: dict[Path, tuple[tuple[object, ...], bool]] = {}
        self._read: dict[Path, tuple[tuple[int, int], Channels]] = {}

    @classmethod
    def of(cls, settings: Settings, base: Base | None = None) -> Self:
        """The registry that the configuration names."""
        return cls(
            settings.adapters_directory,
            max_rank=settings.adapters.max_rank,
            base=base,
            gate=settings.adapters.gate,
            signatures=Signatures.of(settings),
        )

    def register(
        self, name: str, folder: Path, *, by: str = "", trusted: bool = False, digest: str | None = None
    ) -> Version:
        """Copies the artefact in `folder`, checks the copy and keeps it. The same bytes are the same version, and `by`
        who registered them first; but a stored copy that does not verify gives way to this one.

        An evaluation that comes along is kept only where its sender is `trusted`, or its signature is: else anyone who
        may register could write one. Where keys are trusted, a signature that comes along must be of one of them, and
        without one this registry must be able to sign. `digest` is what the caller expects the artefact's to be.
        Raises InvalidRequest (`invalid_adapter`).
        """
        home = self._home(name)
        home.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".new.", dir=home))
        broken = scratch.with_name(f"{scratch.name}.old")
        try:
            files.copy(folder, scratch)
            artefact = check(scratch, self._base, self._max_rank)
            if digest is not None and digest != artefact.digest:
                raise refused("Its digest is not the expected one.", "Send the artefact again.")
            trusted |= self._came_signed(scratch)
            brought = evaluations.read(scratch) if trusted else None
            for left in (evaluations.FILE, evaluations.CARD, evaluations.PLOT):
                (scratch / left).unlink(missing_ok=True)
            short = artefact.digest.removeprefix("sha256:")[:12]
            place = home / short
            with suppress(NotFound):
                if self.version(f"{name}@{short}").digest == artefact.digest and not self.verify(f"{name}@{short}"):
                    place.rename(broken)
            if not place.exists():
                record = Version(
                    id=f"{name}@{short}",
                    name=name,
                    digest=artefact.digest,
                    created=datetime.now(UTC).isoformat(timespec="microseconds"),
                    base_model=artefact.base_model,
                    path=place,
                    by=by,
                )
                files.write_json(scratch / VERSION, record.to_file())
                self._signatures.sign(scratch)
                files.seal(scratch, place)
        finally:
            for done in (scratch, broken):
                shutil.rmtree(done, ignore_errors=True)
        version = self.version(f"{name}@{short}")
        if version.digest != artefact.digest:
            raise refused("A version with the same short digest and other bytes exists.", "Train the adapter again.")
        if brought is not None:
            return self.evaluated(version.id, brought)
        return version

    def _came_signed(self, scratch: Path) -> bool:
        """Whether a trusted key signed what came. A signature that nobody here can judge is left behind."""
        signature = scratch / SIGNATURE
        if signature.exists() and self._signatures.trusted:
            if self._signatures.holds(scratch):
                return True
            if not self._signatures.own:
                raise refused("Its signature is not that of a trusted key over these files.", "Have it signed again.")
        signature.unlink(missing_ok=True)
        if self._signatures.trusted and self._signatures.key is None:
            raise refused("It carries no signature.", "Have it signed by a key of adapters.trusted.")
        return False

    def evaluated(self, id: str, evaluation: Evaluation) -> Version:
        """Keeps an evaluation with its version, in place of an earlier one. Raises InvalidRequest for another's."""
        version = self.version(id)
        if evaluation.digest != version.digest:
            raise refused("The evaluation is of another artefact.", "Evaluate this one: groundtone adapter evaluate.")
        if not fits(version.base_model, str(evaluation.about.get("base_model", version.base_model))):
            raise refused("The evaluation is of another base model.", "Evaluate it on the one that it was trained for.")
        if not self.verify(id):
            raise refused("The stored files are not those that were registered.", "Register the adapter again.")
        files.keep(version.path, evaluation, id)
        self._signatures.sign(version.path)
        return self.version(id)

    def names(self) -> list[str]:
        """Every adapter that has a version."""
        if not self._directory.is_dir():
            return []
        return sorted(p.name for p in self._directory.iterdir() if _NAME.fullmatch(p.name) and self.versions(p.name))

    def versions(self, name: str) -> list[Version]:
        """All versions of `name`, the oldest first; none for an unknown name."""
        home = self._home(name)
        if not home.is_dir():
            return []
        found: list[Version] = []
        for folder in home.iterdir():
            with suppress(NotFound):
                found.append(self.version(f"{name}@{folder.name}"))
        return sorted(found, key=lambda v: (v.created, v.id))

    def version(self, id: str) -> Version:
        """The version with this id. A folder that says to be another one is none. Raises NotFound."""
        named = _ID.fullmatch(id)
        with suppress(OSError, ValueError, KeyError, TypeError):
            if named:
                found = Version.read(self._directory / named["name"] / named["digest"], self._gate)
                if found.id == id and found.digest.startswith(f"sha256:{named['digest']}"):
                    return found
        raise NotFound("There is no such adapter version.", "See GET /v1/adapters for those that exist.")

    def verify(self, id: str) -> bool:
        """Whether the stored bytes are those of the version's digest, and signed where keys are trusted."""
        version = self.version(id)
        with suppress(OSError):
            return artefact_digest(version.path) == version.digest and self._signatures.holds(version.path)
        return False

    def channels(self, name: str) -> Channels:
        """Where the channels of `name` point; empty ones where nothing does. Raises ValueError."""
        path = self._home(name) / _CHANNELS
        try:
            status = path.stat()
        except FileNotFoundError:
            return Channels()
        stamp = (status.st_mtime_ns, status.st_ino)
        held = self._read.get(path)
        if held is None or held[0] != stamp:
            held = (stamp, Channels.from_file(json.loads(path.read_bytes())))
            self._read[path] = held
        return held[1]

    def served(self, name: str) -> Channels:
        """The channels of `name` without what has not passed its gate: a canary ends, a stable version is none."""
        now = self.channels(name)
        stable = now.stable if now.stable and self._passed(now.stable) else None
        canary = now.canary if now.canary and self._passed(now.canary[0]) else None
        return replace(now, stable=stable, canary=canary)

    def _passed(self, id: str) -> bool:
        try:
            version = self.version(id)
        except NotFound:
            return False
        return version.gate in self._heard and self._signed(version)

    def _signed(self, version: Version) -> bool:
        """Whether a trusted key signed what is there now; files are read again only where they changed."""
        stamp = tuple(
            (path.name, status.st_mtime_ns, status.st_size, status.st_ino)
            for path in sorted(version.path.iterdir())
            for status in (path.lstat(),)
        )
        if self._held.get(version.path, ((), False))[0] != stamp:
            self._held[version.path] = (stamp, self._signatures.holds(version.path))
        return self._held[version.path][1]

    def eligible(self, name: str, channel: str, version: str, share: int | None = None) -> Version:
        """The version, where `channel` may point to it.

        Raises NotFound, InvalidRequest or Conflict (`gate_not_passed`).
        """
        found = self.version(version)
        if found.name != name:
            raise NotFound("There is no such version of this adapter.", "Name one of its own.")
        if found.gate not in self._heard:
            what = f"missed {', '.join(found.failed)}" if found.failed else "was not evaluated"
            do = "Train a better one." if found.failed else f"Run groundtone adapter evaluate {found.id}."
            raise Conflict(f"This version {what}.", do, code=ErrorCode.GATE_NOT_PASSED)
        if not self._signed(found):
            raise refused("No trusted key signed this version as it is.", "Register it again, signed.")
        if channel not in list(Channel):
            raise InvalidRequest("There is no such channel.", "Use stable or canary.", param="channel")
        if channel == Channel.CANARY and (share is None or not 1 <= share <= 100):
            raise InvalidRequest("A canary needs a share.", "Give 1 to 100 per cent.", param="share")
        return found

    def point(self, name: str, channel: str, version: str, share: int | None = None, *, by: str = "") -> Channels:
        """Points `channel` to a version. Raises what `eligible` raises."""
        self.eligible(name, channel, version, share)
        with self._alone(name):
            now = self.channels(name)
            moved = now.with_canary(version, share or 0) if channel == Channel.CANARY else now.with_stable(version)
            return self._move(name, moved, by)

    def before(self, name: str) -> tuple[Channels, Version | None]:
        """Where a rollback leads, and the version that becomes `stable` by it; None where that one stays.

        Raises Conflict where there is nothing to go back to, and what `eligible` raises.
        """
        now = self.channels(name)
        before = now.back()
        if before is None:
            raise Conflict("There is nothing to go back to.", "Point the channel to a version instead.")
        if before.stable is None or before.stable == now.stable:
            return before, None
        return before, self.eligible(name, Channel.STABLE, before.stable)

    def rollback(self, name: str, *, by: str = "") -> Channels:
        """Withdraws the canary, or, where there is none, puts back the version that was stable before.

        Raises what `before` raises.
        """
        with self._alone(name):
            return self._move(name, self.before(name)[0], by)

    def to_wire(self, name: str) -> dict[str, Any]:
        """The contract's shape of one adapter."""
        return {
            "name": name,
            "versions": [version.to_wire() for version in self.versions(name)],
            "channels": self.channels(name).to_wire(),
            "moves": list(self.channels(name).moves),
        }

    def _home(self, name: str) -> Path:
        if not _NAME.fullmatch(name):
            raise InvalidRequest(
                "An adapter's name is 1 to 64 lower-case letters, digits and hyphens.",
                "Choose such a name.",
                param="name",
            )
        return self._directory / name

    def _move(self, name: str, channels: Channels, by: str) -> Channels:
        home = self._home(name)
        channels = channels.moved(datetime.now(UTC).isoformat(timespec="milliseconds"), by)
        scratch = home / f".channels.{os.getpid()}.{time.monotonic_ns()}"
        files.write_json(scratch, channels.to_file())
        scratch.replace(home / _CHANNELS)
        files.sync(home)
        return channels

    @contextmanager
    def _alone(self, name: str) -> Generator[None]:
        """One writer of the channels at a time: what is read inside is what is replaced."""
        home = self._home(name)
        if not home.is_dir():
            raise NotFound("There is no such adapter.", "See GET /v1/adapters for those that exist.")
        with (home / ".lock").open("a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
