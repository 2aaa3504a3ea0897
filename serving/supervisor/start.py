"""`groundtone up`: everything on this machine, in the foreground, until Ctrl-C or SIGTERM."""

import asyncio
import json
import os
import shlex
import sys
import time
from functools import partial

from common.settings import Settings
from serving.home import Home, HomeTaken
from serving.supervisor.crew import Crew
from serving.supervisor.part import KeepsFailing
from serving.supervisor.plan import CannotStart, make_plan
from serving.supervisor.reporter import Reporter

_LOCK_SECONDS = 20.0
"""How long a start waits for the guardian of a supervisor that died."""


def up(settings: Settings) -> int:
    """Serves until it is told to stop. Exit code 0 after a clean stop, 1 when it could not start."""
    reporter = Reporter(sys.stdout)
    home = Home(settings.home.absolute())
    try:
        home.prepare()
        lock = _take(home, reporter)
        try:
            home.sweep()
            plan = make_plan(settings, home)
            greeting = partial(welcome, settings, home, plan.address)
            asyncio.run(Crew(home, plan, reporter, lock, greeting).run())
            return 0
        finally:
            home.clear_running()
            os.close(lock)
    except HomeTaken as taken:
        where = f" and serves {taken.address}" if taken.address else ""
        reporter.line(
            f"groundtone already runs in {home.path} (process {taken.pid}){where}. Use that one, stop it with "
            f"`kill {taken.pid}`, or set GROUNDTONE_HOME to another folder."
        )
    except (CannotStart, KeepsFailing) as error:
        reporter.line(str(error))
    except PermissionError as error:
        reporter.line(f"Can't write to {error.filename}. Set GROUNDTONE_HOME to a folder of your own.")
    return 1


def _take(home: Home, reporter: Reporter) -> int:
    """The lock of `home`; waits while a guardian still ends the processes of a supervisor that died."""
    deadline = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            return home.lock()
        except HomeTaken as taken:
            if taken.pid is None or _alive(taken.pid) or time.monotonic() > deadline:
                raise
            reporter.status("waiting for the processes of an earlier start to end")
            time.sleep(0.2)


def welcome(settings: Settings, home: Home, address: str, seconds: float) -> str:
    """The address, where the key is, and a question to paste."""
    key = os.path.relpath(home.admin_key_path)
    lines = [f"groundtone is ready after {seconds:.0f} s: {address}", f"  admin key  {key}"]
    if settings.assistants:
        assistant = settings.assistants[0]
        question = f"What can you tell me about {assistant.scope[0] if assistant.scope else 'your services'}?"
        body = json.dumps({"model": assistant.name, "messages": [{"role": "user", "content": question}]})
        insecure = "--insecure " if settings.server.tls_certificate else ""  # no certificate names loopback
        lines.append(
            f"  try        curl {insecure}{address}/v1/chat/completions -H 'content-type: application/json' "
            f'-H "authorization: Bearer $(cat {shlex.quote(key)})" -d {shlex.quote(body)}'
        )
    lines.append(f"  logs       {os.path.relpath(home.logs)}")
    lines.append("  stop       Ctrl-C")
    return "\n".join(lines)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
