"""A writer that dies at a chosen step of a publication, as `kill -9` would end it; and one that publishes for ever."""

import itertools
import os
import sys
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from retrieval.indexes import Indexes
from retrieval.intake import Sent, take
from retrieval.ledger import publication, staging
from retrieval.ledger.staging import Change
from retrieval.lexical import Lexical
from retrieval.push import Push
from tests.retrieval.house import House

NAME = "crash"


def _die(*_: Any, **__: Any) -> Any:
    os._exit(9)


def _after(work: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **named: Any) -> Any:
        work(*args, **named)
        os._exit(9)

    return run


STEPS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "before staging": (staging, "stage", _die),
    "prepared, not staged": (staging, "prepare", _after(staging.prepare)),
    "staged, nothing embedded": (Indexes, "embed", _die),
    "embedded, no vector added": (Indexes, "place", _die),
    "vectors added": (Indexes, "place", _after(Indexes.place)),
    "terms not committed": (Lexical, "commit", _die),
    "terms committed": (Lexical, "commit", _after(Lexical.commit)),
    "in the last transaction": (publication, "_move", _after(publication._move)),
    "published, nobody told": (Future, "set_result", _die),
}


def write_for_ever(house: House, first: int) -> None:
    """Two documents that always say the same number; each is told on stdout once it is published."""
    for n in itertools.count(first):
        changes = [
            Change("kb", name, take(name, Sent(f"The {name} costs {n} yen.".encode(), "text/plain"))) for name in "ab"
        ]
        house.knowledge.publisher.push(Push(house.me, changes, "Both")).result(60)
        print(n, flush=True)


def main(home: str, chroma: str, step: str, ledger: str | None = None) -> None:
    house = House(Path(home), chroma, ledger, NAME)
    house.open()
    house.base()
    if step.isdecimal():
        write_for_ever(house, int(step))
    house.put("a.md", "The apple costs 1 yen.")
    house.put("b.md", "The banana costs 1 yen.")
    where, name, replacement = STEPS[step]
    setattr(where, name, replacement)
    house.send("a.md", "The apple costs 2 yen.\n\n# More\n\nThe pear costs 2 yen.").result(30)


if __name__ == "__main__":
    main(*sys.argv[1:])
