"""A push: changes of documents that one caller sent together, and what became of them."""

from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from common.errors import GroundtoneError
from common.principal import Principal
from retrieval.cut import DEFAULT
from retrieval.ledger.staging import Change, Staged


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one change: staged as told, or refused."""

    change: Change
    staged: Staged | None
    error: GroundtoneError | None


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a push. `snapshot` holds all of it; None where it was only staged."""

    outcomes: list[Outcome]
    snapshot: int | None


@dataclass(slots=True, eq=False)
class Push:
    """Changes that one caller sent together: they become one snapshot, or wait where `publish` is false."""

    principal: Principal
    changes: Sequence[Change]
    message: str
    publish: bool = True
    future: Future[Published] = field(default_factory=Future[Published])

    def weight(self) -> int:
        return sum(weight(change) for change in self.changes)

    def documents(self) -> set[tuple[str, str, str]]:
        return {(self.principal.tenant, change.knowledge, change.document) for change in self.changes}


def weight(change: Change) -> int:
    """How many chunks a change brings, about: it may not be cut yet."""
    return max(1, len(change.content.text) // DEFAULT.size, len(change.content.blocks)) if change.content else 1
