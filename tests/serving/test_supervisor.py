"""The supervisor, with small processes in the place of engine, vectors, knowledge and gateway."""

import asyncio
import contextlib
import io
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from common.settings import Assistant, Settings
from serving.home import Home, HomeTaken, make_key
from serving.supervisor import guardian, start
from serving.supervisor.backoff import FORGIVEN_AFTER, Backoff
from serving.supervisor.crew import Crew
from serving.supervisor.engine_command import Command
from serving.supervisor.part import KeepsFailing, Part
from serving.supervisor.plan import Plan, free_ports
from serving.supervisor.probe import ask
from serving.supervisor.reporter import Reporter

ROOT = Path(__file__).parents[2]

SERVE = """
import http.server, os, signal, subprocess, sys, threading
name, port, notes, *flags = sys.argv[1:]
def note(text):
    with open(notes, "a") as file:
        file.write(text + "\\n")
if "fails" in flags:
    sys.exit("the flag --sparkle is not known")
if "child" in flags:
    inner = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    child = subprocess.Popen([sys.executable, "-c", inner], stdout=subprocess.PIPE)
    child.stdout.readline()
    note(f"child {child.pid}")
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
    def log_message(self, *_):
        pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", int(port)), Handler)
def end(*_):
    note(f"{name} ends")
    if "deaf" not in flags:
        threading.Thread(target=server.shutdown).start()
signal.signal(signal.SIGTERM, end)
note(f"{name} starts")
server.serve_forever()
"""


def part(name: str, notes: Path, *flags: str, stop_seconds: float = 10.0, **more: Any) -> Part:
    port = free_ports(1)[0]
    arguments = [sys.executable, "-I", "-c", SERVE, name, str(port), str(notes), *flags]
    address = f"http://127.0.0.1:{port}"
    return Part(
        name=name,
        command=lambda _: Command(arguments, {}),
        address=address,
        ready=f"{address}/readyz",
        advice=f"Look at what {name} needs.",
        stop_seconds=stop_seconds,
        **more,
    )


async def until(holds: Callable[[], Any], seconds: float = 30.0) -> Any:
    async with asyncio.timeout(seconds):
        while not (found := holds()):
            await asyncio.sleep(0.02)
        return found


def alive(pid: int) -> bool:
    """Whether the process runs; one that is dead and waits to be reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def child_in(notes: list[str]) -> int:
    return next(int(note.removeprefix("child ")) for note in notes if note.startswith("child "))


@dataclass
class Running:
    """A crew that runs in the background of a test."""

    home: Home
    crew: Crew
    task: "asyncio.Task[None]"
    output: io.StringIO
    notes: Path

    def pid(self, name: str) -> int | None:
        running = self.home.running()
        return running["parts"][name]["pid"] if running else None

    @property
    def noted(self) -> list[str]:
        return self.notes.read_text().split("\n")[:-1] if self.notes.exists() else []

    @property
    def said(self) -> str:
        return self.output.getvalue()

    async def ready(self) -> None:
        await until(lambda: self.task.done() or "all is well" in self.said)
        if self.task.done():
            self.task.result()

    async def stop(self) -> None:
        self.crew.stop()
        await asyncio.wait_for(self.task, 30)


@dataclass
class Starter:
    """Starts crews in one state folder, and ends them with the test."""

    home: Home
    notes: Path
    running: list[Running] = field(default_factory=list[Running])

    def part(self, name: str, *flags: str, **more: Any) -> Part:
        return part(name, self.notes, *flags, **more)

    def start(self, *parts: Part) -> Running:
        output = io.StringIO()
        crew = Crew(
            self.home,
            Plan(parts, parts[-1].address),
            Reporter(output),
            self.home.lock(),
            lambda _: "all is well",
            lambda: Backoff(first=0.01, longest=0.05),
        )
        running = Running(self.home, crew, asyncio.create_task(crew.run()), output, self.notes)
        self.running.append(running)
        return running


@pytest.fixture
async def starter(tmp_path: Path) -> AsyncGenerator[Starter]:
    home = Home(tmp_path / "home")
    home.prepare()
    starter = Starter(home, tmp_path / "notes")
    yield starter
    for running in starter.running:
        if not running.task.done():
            await running.stop()


async def test_all_parts_start_and_stop_in_reverse_order(starter: Starter) -> None:
    """The gateway goes first, so that no question meets a service that is half gone."""
    running = starter.start(*(starter.part(name) for name in ("engine", "vectors", "gateway")))
    await running.ready()
    await running.stop()
    assert [note for note in running.noted if "ends" in note] == ["gateway ends", "vectors ends", "engine ends"]
    assert "Stopped." in running.said


async def test_a_part_waits_for_those_it_names(starter: Starter) -> None:
    """Knowledge is not started before the vectors answer."""
    running = starter.start(starter.part("vectors"), starter.part("knowledge", after=("vectors",)))
    await running.ready()
    assert running.noted == ["vectors starts", "knowledge starts"]


async def test_a_part_that_dies_is_started_again(starter: Starter) -> None:
    """A killed process comes back under another id, and the others are left alone."""
    running = starter.start(starter.part("engine"), starter.part("gateway"))
    await running.ready()
    first, gateway = await until(lambda: running.pid("engine")), running.pid("gateway")
    os.kill(first, signal.SIGKILL)
    await until(lambda: running.pid("engine") not in (None, first))
    await until(lambda: "engine: ready again" in running.said)
    assert "engine: was killed (signal 9" in running.said
    assert running.pid("gateway") == gateway


async def test_nothing_of_a_dead_part_is_left(starter: Starter) -> None:
    """What a killed engine had started would hold its memory and its port."""
    running = starter.start(starter.part("engine", "child"), starter.part("gateway", after=("engine",)))
    await running.ready()
    child = child_in(await until(lambda: running.noted))
    os.kill(await until(lambda: running.pid("engine")), signal.SIGKILL)
    await until(lambda: not alive(child))


async def test_a_part_that_can_not_start_is_given_up_with_its_last_words(starter: Starter) -> None:
    """The person at the terminal reads what it wrote and what to do, and the rest is stopped."""
    running = starter.start(starter.part("vectors"), starter.part("engine", "fails"))
    with pytest.raises(KeepsFailing) as failed:
        await asyncio.wait_for(running.task, 30)
    assert "| the flag --sparkle is not known" in str(failed.value)
    assert str(failed.value).endswith("Look at what engine needs.")
    assert running.said.count("engine: ended with exit code 1") == 2


async def test_a_failed_preparation_counts_as_a_failure(starter: Starter) -> None:
    """A base model that can't be made ready says why, and the engine is not started with nothing."""
    prepare = [sys.executable, "-I", "-c", "raise SystemExit('no such model')"]
    running = starter.start(starter.part("engine", prepare=prepare))
    with pytest.raises(KeepsFailing, match="could not be prepared") as failed:
        await asyncio.wait_for(running.task, 30)
    assert "| no such model" in str(failed.value)
    assert running.noted == []


async def test_the_command_is_made_from_what_the_preparation_found(starter: Starter) -> None:
    """The engine's path is known only once the model is there."""
    ready = starter.part("engine")
    found: list[Any] = []

    def command(prepared: Any) -> Command:
        found.append(prepared)
        return ready.command(prepared)

    prepare = [sys.executable, "-I", "-c", """print('{"path": "/models/small"}')"""]
    whole = Part("engine", command, ready.address, ready.ready, "", prepare=prepare)
    await starter.start(whole).ready()
    assert found == [{"path": "/models/small"}]


async def test_a_part_that_does_not_stop_is_made_to(starter: Starter) -> None:
    """After its deadline a process that ignores SIGTERM is killed."""
    running = starter.start(starter.part("gateway", "deaf", stop_seconds=0.2))
    await running.ready()
    pid = await until(lambda: running.pid("gateway"))
    await running.stop()
    assert not alive(pid)


async def test_a_second_signal_does_not_wait(starter: Starter) -> None:
    """Who presses Ctrl-C twice is in a hurry."""
    running = starter.start(starter.part("gateway", "deaf", stop_seconds=600))
    await running.ready()
    running.crew.stop()
    await until(lambda: "gateway ends" in running.noted)
    running.crew.stop()
    await asyncio.wait_for(running.task, 10)


SUPERVISE = """
import sys
from pathlib import Path
from common.settings import Settings
from serving.supervisor import start
from serving.supervisor.plan import Plan
from tests.serving.test_supervisor import part
home, notes = Path(sys.argv[1]), Path(sys.argv[2])
def make_plan(settings, home):
    parts = part("engine", notes, "child"), part("gateway", notes, after=("engine",))
    return Plan(parts, parts[-1].address)
start.make_plan = make_plan
raise SystemExit(start.up(Settings(home=home)))
"""


@contextlib.contextmanager
def supervisor(home: Path, notes: Path) -> Any:
    command = [sys.executable, "-c", textwrap.dedent(SUPERVISE), str(home), str(notes)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()
            process.wait(30)


def read_until(process: "subprocess.Popen[str]", mark: str) -> None:
    assert process.stdout
    for line in process.stdout:
        if mark in line:
            return
    pytest.fail(f"the supervisor ended without a word of {mark!r}")


async def test_a_supervisor_that_is_killed_leaves_nothing_behind(tmp_path: Path) -> None:
    """Its guardian ends every process group, those included whose leader is gone and that ignore SIGTERM."""
    home = Home(tmp_path / "home")
    with supervisor(home.path, tmp_path / "notes") as process:
        await asyncio.to_thread(read_until, process, "groundtone is ready")
        state = await until(lambda: (running := home.running()) and running["ready"] and running)
        pids = [one["pid"] for one in state["parts"].values()]
        pids.append(child_in((tmp_path / "notes").read_text().splitlines()))
        assert all(alive(pid) for pid in pids)
        os.kill(process.pid, signal.SIGKILL)
        await until(lambda: not any(alive(pid) for pid in pids))
    with contextlib.closing(_Lock(await until(lambda: _try_lock(home)))):
        assert home.admin_key.startswith("gt_")


async def test_sigterm_ends_the_supervisor_with_exit_code_0(tmp_path: Path) -> None:
    """And a second start of the same folder is refused as long as the first one runs."""
    home = Home(tmp_path / "home")
    with supervisor(home.path, tmp_path / "notes") as process:
        await asyncio.to_thread(read_until, process, "groundtone is ready")
        with supervisor(home.path, tmp_path / "notes") as second:
            said, _ = await asyncio.to_thread(second.communicate)
            assert second.returncode == 1
            assert f"already runs in {home.path} (process {process.pid}) and serves http://127.0.0.1:" in said
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 30) == 0
    assert home.running() is None


@dataclass
class _Lock:
    file: int

    def close(self) -> None:
        os.close(self.file)


def _try_lock(home: Home) -> int | None:
    try:
        return home.lock()
    except HomeTaken:
        return None


def test_the_guardian_makes_those_end_that_do_not_listen() -> None:
    """First SIGTERM, after the grace SIGKILL."""
    deaf = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print(flush=True); time.sleep(600)"
    command = [sys.executable, "-I", "-c", deaf]
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout
        process.stdout.readline()
        guardian.end({process.pid}, grace=0.1)
        assert process.wait(10) == -signal.SIGKILL


def test_the_guardian_knows_which_groups_are_left() -> None:
    """A line that the dying supervisor had half written is not taken for a group."""
    assert guardian.groups_left(["+10\n", "+11\n", "-10\n", "+12\n", "+1"]) == {11, 12}


def test_the_back_off_doubles_and_forgives() -> None:
    """Each short life doubles the wait up to the longest; a minute of life starts over."""
    backoff = Backoff(first=1.0, longest=8.0)
    for expected in (1, 2, 4, 8, 8):
        assert 0.75 * expected <= backoff.after(0.1) <= 1.25 * expected
    assert backoff.after(FORGIVEN_AFTER) <= 1.25
    assert backoff.failures == 1


def test_keys_are_made_once_and_are_their_owners_alone(tmp_path: Path) -> None:
    """A second start finds the keys of the first."""
    home = Home(tmp_path / "home")
    home.prepare()
    key = home.admin_key
    home.prepare()
    assert home.admin_key == key != home.internal_key
    assert len(key) == len("gt_") + 43
    assert {path.stat().st_mode & 0o777 for path in (home.admin_key_path, home.internal_key_path)} == {0o600}
    make_key(home.admin_key_path, "other_")
    assert home.admin_key == key


def test_the_welcome_names_the_key_and_never_prints_it(tmp_path: Path) -> None:
    """The line to paste reads the key from its file."""
    home = Home(tmp_path)
    home.prepare()
    text = start.welcome(Settings(assistants=(Assistant(name="bank"),)), home, "http://127.0.0.1:8080", 41.2)
    assert "http://127.0.0.1:8080/v1/chat/completions" in text
    assert '"model": "bank"' in text
    assert "admin.key" in text
    assert home.admin_key not in text


def test_a_process_that_does_not_answer_is_not_ready() -> None:
    """Nothing listens there: no reasons, and no error either."""
    answer = ask(f"http://127.0.0.1:{free_ports(1)[0]}/readyz", timeout=1.0)
    assert (answer.ready, answer.reasons) == (False, ())


def test_status_lines_are_rare_where_they_can_not_be_rewritten() -> None:
    """A log file gets one every ten seconds, not one a second."""
    output = io.StringIO()
    reporter = Reporter(output)
    began = time.monotonic()
    for _ in range(100):
        reporter.status("loading")
    reporter.line("ready")
    assert time.monotonic() - began > 10 or output.getvalue() == "ready\n"
