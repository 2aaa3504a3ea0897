"""The guardian: ends what a supervisor leaves behind when it dies without having stopped its processes.

It reads `+GROUP` and `-GROUP` lines, process groups that live and that are gone, from the pipe whose other end only
the supervisor holds. At the pipe's end it asks the remaining groups to stop, and then makes them. It also holds the
supervisor's lock, so that a new supervisor waits until the old one's processes have left their files.

Runs as a script of the standard library alone: `python -I -S guardian.py`, the pipe as its standard input.
"""

import contextlib
import os
import signal
import sys
import time

GRACE = 8.0
"""Seconds between asking and making: the engine needs two, a gateway that finishes its streams more."""


def groups_left(lines: "list[str]") -> "set[int]":
    """The groups that were announced and not taken back. A torn last line is ignored."""
    groups: set[int] = set()
    for line in lines:
        if line.endswith("\n") and line[1:].strip().isdigit():
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    return groups


def end(groups: "set[int]", grace: float = GRACE) -> None:
    """SIGTERM to each group, SIGKILL to those that are still there after `grace` seconds."""
    _signal(groups, signal.SIGTERM)
    deadline = time.monotonic() + grace
    while time.monotonic() < deadline and any(_alive(group) for group in groups):
        time.sleep(0.05)
    _signal(groups, signal.SIGKILL)


def _signal(groups: "set[int]", number: int) -> None:
    for group in groups:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def _alive(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def main() -> int:
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    end(groups_left(list(sys.stdin)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
