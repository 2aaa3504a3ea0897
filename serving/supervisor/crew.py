"""The crew: the children of one plan, started together, told about, and stopped in reverse."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable, Sequence
from typing import Any

from serving.home import Home
from serving.supervisor.backoff import Backoff
from serving.supervisor.child import Child
from serving.supervisor.log import Log
from serving.supervisor.plan import Plan
from serving.supervisor.process import Guard
from serving.supervisor.reporter import Reporter

_STATUS_EVERY = 1.0


class Crew:
    """Runs `plan` until SIGINT, SIGTERM or SIGHUP. `lock` is the state folder's, which the guardian shares.

    `welcome` takes the seconds that the start took and gives the lines to print when the last part, the gateway, is
    ready.
    """

    def __init__(
        self,
        home: Home,
        plan: Plan,
        reporter: Reporter,
        lock: int,
        welcome: Callable[[float], str],
        backoff: Callable[[], Backoff] = Backoff,
    ) -> None:
        self._home = home
        self._plan = plan
        self._welcome = welcome
        self._backoff = backoff
        self._reporter = reporter
        self._guard = Guard(lock)
        self._stop = asyncio.Event()
        self._signals = 0
        self._children: list[Child] = []
        self._written: dict[str, Any] = {}

    async def run(self) -> None:
        """Returns after a clean stop. Raises KeepsFailing, with all stopped, when a part can't be brought up."""
        began = time.monotonic()
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            # `nohup` has the hang-up ignored, and that is to stay so.
            if signal.getsignal(number) != signal.SIG_IGN:
                asyncio.get_running_loop().add_signal_handler(number, self.stop)
        await self._guard.start()
        self._reporter.line(f"Starting {', '.join(part.name for part in self._plan.parts)} (logs: {self._home.logs})")
        self._children = [
            Child(part, Log(self._home.logs / f"{part.name}.log"), self._guard, self._reporter, self._backoff())
            for part in self._plan.parts
        ]
        by_name = {child.part.name: child for child in self._children}
        tasks = [
            asyncio.create_task(child.run([by_name[name] for name in child.part.after]), name=child.part.name)
            for child in self._children
        ]
        stopped = asyncio.create_task(self._stop.wait())
        telling = asyncio.create_task(self._tell(began))
        try:
            # A child's task ends before it is stopped only when the child is given up.
            done, _ = await asyncio.wait((stopped, *tasks), return_when=asyncio.FIRST_COMPLETED)
        finally:
            telling.cancel()
            await self._end(tasks)
            stopped.cancel()
            await self._guard.stop()
        for task in done - {stopped}:
            task.result()
        self._reporter.line("Stopped.")

    def stop(self) -> None:
        """Ends `run`: in order at the first call, without waiting at the second."""
        self._signals += 1
        self._stop.set()

    async def _end(self, tasks: Sequence[asyncio.Task[None]]) -> None:
        """In the reverse order of the start, each within its deadline; at a second signal all at once."""
        for child, task in zip(reversed(self._children), reversed(tasks), strict=True):
            child.stop()
            while not task.done():
                self._reporter.status(f"stopping {child.part.name}")
                await asyncio.wait((task,), timeout=0.2)
                if self._signals > 1:
                    task.cancel()

    async def _tell(self, began: float) -> None:
        """Progress until the gateway is ready, then the welcome; afterwards keeps `running.json` in step."""
        told = False
        gateway = self._children[-1]
        while True:
            if gateway.ready.is_set() and not told:
                told = True
                self._reporter.line(self._welcome(time.monotonic() - began))
            waiting = [child for child in self._children if not child.ready.is_set()]
            # The gateway waits for the others, and its reasons are theirs.
            self._reporter.status(" · ".join(c.status() for c in waiting if c is not gateway or len(waiting) == 1))
            # A full disk is no reason to stop serving.
            with contextlib.suppress(OSError):
                self._write_running(told)
            await asyncio.sleep(_STATUS_EVERY)

    def _write_running(self, ready: bool) -> None:
        parts = {child.part.name: {"pid": child.pid, "address": child.part.address} for child in self._children}
        state = {"pid": os.getpid(), "address": self._plan.address, "ready": ready, "parts": parts}
        if state != self._written:
            self._home.write_running(state)
            self._written = state
