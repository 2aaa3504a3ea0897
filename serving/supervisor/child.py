"""A child: one part's process, started, watched, started again when it ends, and stopped."""

import asyncio
import contextlib
import json
import time
from asyncio.subprocess import Process
from collections.abc import Coroutine, Sequence
from typing import IO, Any

from serving.supervisor.backoff import Backoff
from serving.supervisor.log import Log
from serving.supervisor.part import KeepsFailing, Part
from serving.supervisor.probe import ask
from serving.supervisor.process import Guard, group
from serving.supervisor.reporter import Reporter

GIVE_UP_AFTER = 3
"""Failures in a row of a part that has never been ready: then its configuration is at fault, and not chance."""
TELL_EVERY = 5
"""Failures in a row of a part that has served before, between two reports with the end of its log."""
TAIL = 15
_PROBE_EVERY = 0.25


class Child:
    """Runs `part` until it is told to stop. `ready` is set while it serves; `pid` is None between two lives."""

    def __init__(self, part: Part, log: Log, guard: Guard, reporter: Reporter, backoff: Backoff | None = None) -> None:
        self.part = part
        self.log = log
        self.ready = asyncio.Event()
        self.pid: int | None = None
        self._guard = guard
        self._reporter = reporter
        self._backoff = backoff or Backoff()
        self._stopping = asyncio.Event()
        self._was_ready = False
        self._began = time.monotonic()
        self._doing = "waiting"
        self._reasons: tuple[str, ...] = ()

    def status(self) -> str:
        """What it is doing until it is ready, and for how long."""
        words = "; ".join(self._reasons) or self.log.stage(self.part.stages) or self._doing
        return f"{self.part.name}: {words} … {time.monotonic() - self._began:.0f} s"

    async def run(self, after: "Sequence[Child]" = ()) -> None:
        """Returns once stopped. Raises KeepsFailing for a part that has never been ready and failed too often."""
        for other in after:
            self._doing = f"waiting for {other.part.name}"
            await self._or_stop(other.ready.wait())
        while not self._stopping.is_set():
            self._began = time.monotonic()
            ending = await self._live()
            if not self._stopping.is_set():
                await self._rest(ending, time.monotonic() - self._began)

    def stop(self) -> None:
        """Asks the process to end. `run` returns when it has, or when it was made to."""
        self._stopping.set()

    async def _live(self) -> str:
        """One life; how it ended, in words."""
        self._reasons = ()
        with self.log.open() as file:
            prepared: Any = None
            if self.part.prepare:
                self._doing = self.part.preparing
                prepared = await self._prepare(file)
                if prepared is None:
                    return "could not be prepared"
            self._doing = "starting"
            command = self.part.command(prepared)
            environment = {**self.part.environment, **command.environment}
            async with group(command.arguments, environment, log=file, guard=self._guard) as process:
                self.pid = process.pid
                probing = asyncio.create_task(self._probe())
                try:
                    await self._or_stop(process.wait())
                    await self._end(process)
                finally:
                    probing.cancel()
                    self.ready.clear()
                    self.pid = None
                return _ending(process.returncode)

    async def _prepare(self, file: IO[bytes]) -> Any:
        """The JSON document that the part's preparation prints; None when it failed or was stopped."""
        environment = self.part.environment
        async with group(self.part.prepare, environment, log=file, guard=self._guard, capture=True) as process:
            said = await self._or_stop(process.communicate())
            if said is None or process.returncode != 0:
                return None
            return json.loads(said[0])

    async def _probe(self) -> None:
        """Sets `ready` at the first good answer: a process that dies later ends `_live`, which takes it back."""
        while True:
            answer = await asyncio.to_thread(ask, self.part.ready)
            self._reasons = answer.reasons
            if answer.ready:
                break
            await asyncio.sleep(_PROBE_EVERY)
        again = " again" if self._was_ready else ""
        self._reporter.line(f"{self.part.name}: ready{again} after {time.monotonic() - self._began:.1f} s")
        self._was_ready = True
        self.ready.set()

    async def _end(self, process: Process) -> None:
        """Waits for a process that was told to stop, as long as its part may take. Leaving its group kills the rest."""
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), self.part.stop_seconds)

    async def _rest(self, ending: str, lived: float) -> None:
        delay = self._backoff.after(lived)
        failures = self._backoff.failures
        tail = self.log.tail(TAIL)
        if not self._was_ready and failures >= GIVE_UP_AFTER:
            raise KeepsFailing(self.part, ending, tail, self.log.path)
        self._reporter.line(f"{self.part.name}: {ending} after {lived:.0f} s; starting again in {delay:.1f} s")
        if failures % TELL_EVERY == 0:
            self._reporter.line(str(KeepsFailing(self.part, ending, tail, self.log.path)))
        self._doing = "resting"
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), delay)

    async def _or_stop(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """What `doing` gives, or None as soon as the child is to stop."""
        work = asyncio.create_task(doing)
        stop = asyncio.create_task(self._stopping.wait())
        try:
            await asyncio.wait((work, stop), return_when=asyncio.FIRST_COMPLETED)
            return work.result() if work.done() else None
        finally:
            work.cancel()
            stop.cancel()


def _ending(code: int | None) -> str:
    if code == -9:
        return "was killed (signal 9; most often the machine is out of memory)"
    return f"was ended by signal {-code}" if code is not None and code < 0 else f"ended with exit code {code}"
