"""Which version answers: `stable`, and beside it a `canary` for a share of the conversations."""

import hashlib
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Self

KEPT = 20
"""How many former stable versions a rollback can reach."""
MOVES = 200
"""How many moves are remembered."""


class Channel(StrEnum):
    STABLE = "stable"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class Channels:
    """`canary` is a version's id and its share of the conversations in per cent; `former` are stable's, latest last.

    `moves` says who moved them, when, and to where: `{"at", "by", "stable", "canary"}`, latest last.
    """

    stable: str | None = None
    canary: tuple[str, int] | None = None
    former: tuple[str, ...] = ()
    moves: tuple[dict[str, Any], ...] = ()

    def pick(self, name: str, sticky: str) -> str | None:
        """The version's id for one conversation: the same for the same `sticky`, as long as the share stands."""
        if self.canary is not None:
            place = int.from_bytes(hashlib.sha256(f"{name}\0{sticky}".encode()).digest()[:8], "big") % 100
            if place < self.canary[1]:
                return self.canary[0]
        return self.stable

    def with_stable(self, version: str) -> Self:
        """`version` answers from now on. A canary of the same version has arrived and is none any more."""
        former = self.former if self.stable in (None, version) else (*self.former, self.stable)
        canary = None if self.canary and self.canary[0] == version else self.canary
        return replace(self, stable=version, canary=canary, former=tuple(f for f in former if f)[-KEPT:])

    def with_canary(self, version: str, share: int) -> Self:
        return replace(self, canary=(version, share))

    def back(self) -> Self | None:
        """A canary is withdrawn; without one, stable is again what it was before. None when there is no before."""
        if self.canary is not None:
            return replace(self, canary=None)
        if not self.former:
            return None
        return replace(self, stable=self.former[-1], former=self.former[:-1])

    def moved(self, at: str, by: str) -> Self:
        """The same, with the move to here remembered."""
        return replace(self, moves=(*self.moves, {"at": at, "by": by, **self.to_wire()})[-MOVES:])

    def side_by_side(self) -> str | None:
        """Since when stable and canary answer beside each other; None where no move says so."""
        since = None
        for move in reversed(self.moves):
            canary = move["canary"]["version"] if move["canary"] else None
            if self.canary is None or (move["stable"], canary) != (self.stable, self.canary[0]):
                break
            since = move["at"]
        return since

    def to_wire(self) -> dict[str, Any]:
        """The contract's shape."""
        canary = {"version": self.canary[0], "share": self.canary[1]} if self.canary else None
        return {"stable": self.stable, "canary": canary}

    def to_file(self) -> dict[str, Any]:
        return {**self.to_wire(), "former": list(self.former), "moves": list(self.moves)}

    @classmethod
    def from_file(cls, stored: Any) -> Self:
        """Raises ValueError for what is no channels file."""
        try:
            canary = stored["canary"] and (str(stored["canary"]["version"]), int(stored["canary"]["share"]))
            stable = stored["stable"] and str(stored["stable"])
            return cls(stable, canary, tuple(stored["former"]), tuple(stored.get("moves", ())))
        except (KeyError, TypeError, AttributeError) as wrong:
            raise ValueError("channels.json says no channels: delete it, and move them again") from wrong
