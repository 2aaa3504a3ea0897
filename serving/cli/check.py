"""One line of `groundtone doctor`."""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and, unless all is well, what to do."""

    name: str
    state: State
    found: str
    do: str = ""


def ok(name: str, found: str) -> Check:
    return Check(name, State.OK, found)


def warn(name: str, found: str, do: str) -> Check:
    return Check(name, State.WARN, found, do)


def fail(name: str, found: str, do: str) -> Check:
    return Check(name, State.FAIL, found, do)
