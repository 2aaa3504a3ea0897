"""One process in a group of its own, of which nothing is left when its context ends."""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections.abc import AsyncGenerator, Mapping, Sequence
from pathlib import Path
from typing import IO

_LIBC = ctypes.CDLL(None)
_PR_SET_PDEATHSIG = 1


class Guard:
    """The supervisor's end of the guardian's pipe: it is told of each process group that lives and that is gone.

    The guardian also inherits `lock`, so that the state folder stays taken while it cleans up.
    """

    def __init__(self, lock: int) -> None:
        self._lock = lock
        self._groups: set[int] = set()
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-S", str(Path(__file__).with_name("guardian.py"))),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            pass_fds=(self._lock,),
            start_new_session=True,
        )
        for group in self._groups:
            self._say(f"+{group}\n")

    async def watch(self, group: int) -> None:
        self._groups.add(group)
        if self._process is None or self._process.returncode is not None:
            await self.start()
        else:
            self._say(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._groups.discard(group)
        self._say(f"-{group}\n")

    async def stop(self) -> None:
        if self._process and self._process.stdin:
            self._process.stdin.close()
            await self._process.wait()

    def _say(self, line: str) -> None:
        if self._process and self._process.stdin:
            with contextlib.suppress(ConnectionError):
                self._process.stdin.write(line.encode())


@contextlib.asynccontextmanager
async def group(
    arguments: Sequence[str],
    environment: Mapping[str, str],
    *,
    log: IO[bytes],
    guard: Guard,
    capture: bool = False,
) -> AsyncGenerator[asyncio.subprocess.Process]:
    """`arguments` as the leader of a new process group, its output in `log`; `capture` keeps stdout for the caller.

    On leaving, whatever still lives of the group is killed. Should the supervisor die, the kernel tells the leader
    (SIGTERM) and the guardian ends the rest.
    """
    process = await asyncio.create_subprocess_exec(
        *arguments,
        env={**os.environ, **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE if capture else log,
        stderr=log,
        start_new_session=True,
        preexec_fn=end_with_parent,
    )
    try:
        await guard.watch(process.pid)
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        await process.wait()
        guard.forget(process.pid)


def end_with_parent() -> None:
    """Between fork and exec: has the kernel tell the new process to end (SIGTERM) when the one that started it does."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
