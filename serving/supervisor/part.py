"""A part: what the supervisor has to know about one of the processes that it keeps running."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from serving.supervisor.engine_command import Command


@dataclass(frozen=True, slots=True)
class Part:
    """`command` takes what `prepare`, a process that ends and prints one JSON document, has found out.

    `ready` is the URL that answers 200 when the part serves; `after` names the parts that must be ready before it is
    started. `stages` are regular expressions over its log with the words for what it is then doing, later stages last.
    `advice` is told to the person in charge when it keeps failing.
    """

    name: str
    command: Callable[[Any], Command]
    address: str
    ready: str
    advice: str
    prepare: Sequence[str] = ()
    preparing: str = "preparing"
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    after: tuple[str, ...] = ()
    stop_seconds: float = 10.0
    stages: tuple[tuple[str, str], ...] = ()


class KeepsFailing(Exception):
    """A part that has failed too often: what it last wrote, and what to do."""

    def __init__(self, part: Part, ending: str, tail: Sequence[str], log: Path) -> None:
        quoted = "\n".join(f"  | {line[:300]}" for line in tail) or "  | (it wrote nothing)"
        super().__init__(f"{part.name} keeps failing: it {ending}. The end of its log, {log}:\n{quoted}\n{part.advice}")
