#!/usr/bin/env python3
"""Makes the two environments that groundtone runs in, from the locks, and nothing twice.

    .venv         gateway, knowledge, command line (deploy/locks/groundtone.txt; with --dev its superset dev.txt)
    .venv-engine  vLLM and training (deploy/locks/engine-cpu.txt, or engine-cuda.txt beside an NVIDIA GPU)

Both are installed at once, from files that name every package with its version and hashes. A marker in the environment
says what it was made from; without it the environment was not finished, and is made again.

It speaks to a person before any library is there, so it needs the standard library only, and any Python 3 can start
it: it looks for a fitting one itself.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ROOT / "deploy" / "locks"
LOGS = ROOT / "build" / "logs"
MARKER = "groundtone.json"
FITTING = ("3.11",)
LINE_EVERY = 10.0  # seconds between progress lines where the output is no terminal

# What pip and venv say when the machine is at fault, and what a person can do about it. The first match counts.
CAUSES = (
    (
        r"DO NOT MATCH THE HASHES",
        "A downloaded file is not the one that the lock names. Run `pip cache purge` and try again; if it stays so, "
        "the index or a proxy serves another file: don't use it.",
    ),
    (
        r"No space left on device|Errno 28",
        "The disk is full. Free some space: the environments take 4 GB on a CPU machine and 12 GB with CUDA.",
    ),
    (
        r"name resolution|Name or service not known|NewConnectionError|ConnectTimeout|Network is unreachable|"
        r"ProxyError|Connection refused|Read timed out|ReadTimeoutError|CERTIFICATE_VERIFY_FAILED",
        "The package index can't be reached. Check the network, PIP_INDEX_URL, the proxy and its certificates "
        "(PIP_CERT), then run it again: what was downloaded is kept.",
    ),
    (
        r"ensurepip",
        "This Python can't make virtual environments. Install its venv package (Debian: python3-venv).",
    ),
    (
        r"No matching distribution found|Could not find a version",
        "The index lacks a package that the lock names, or has none for this machine. With a mirror, check that it is "
        "complete.",
    ),
)


class Failed(Exception):
    """A step that can't go on: what failed, what to do, and where to read more."""

    def __init__(self, what: str, do: str, quoted: list[str] | None = None, log: Path | None = None) -> None:
        lines = [f"Failed: {what}", *(f"  | {line}" for line in quoted or [])]
        lines += [f"What to do: {do}", *([f"The whole log: {log}"] if log else [])]
        super().__init__("\n".join(lines))


def pins(lock: Path) -> list[str]:
    """The packages that a lock pins, as `name==version`."""
    return re.findall(r"(?m)^([A-Za-z0-9][\w.-]*==[^\s\\;]+)", lock.read_text(encoding="utf-8"))


def digest(path: Path) -> str:
    return "sha256:" + hashlib.sha256(path.read_bytes()).hexdigest()


def project_digest() -> str:
    """Changes with what an installation of groundtone itself depends on, and not with a tool's settings."""
    import tomllib  # not in the older Pythons that may start this script

    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    parts = [settings["project"], settings["build-system"], settings["tool"].get("hatch")]
    return "sha256:" + hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def cause(lines: list[str]) -> str:
    """What to do about a log that ends in a failure."""
    text = "\n".join(lines)
    return next((do for mark, do in CAUSES if re.search(mark, text)), "Read the log, then run it again.")


def worth_quoting(lines: list[str], count: int = 6) -> list[str]:
    """The last lines that say something: pip warns of many a harmless thing."""
    return [line[:300] for line in lines if line.strip() and not line.lstrip().startswith("WARNING")][-count:]


class Environment:
    """A virtual environment made from `locks`, the first of which is installed and implies the others."""

    def __init__(self, title: str, folder: Path, locks: list[Path], gib: float) -> None:
        self.title = title
        self.folder = folder
        self.locks = locks
        self.gib = gib
        self.log = LOGS / f"{folder.name.lstrip('.')}.log"
        self.python = folder / "bin" / "python"
        self.doing = ""
        self.fetched = 0

    def marker(self) -> dict:
        """What the environment was made from; empty for one that is missing, half-made, moved or of another Python."""
        try:
            marker = json.loads((self.folder / MARKER).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        fits = marker.get("folder") == str(self.folder) and marker.get("python") == platform.python_version()
        return marker if fits and self.python.exists() else {}

    def holds(self, lock: Path) -> bool:
        return self.marker().get("locks", {}).get(lock.name) == digest(lock)

    def mark(self, **more: str) -> None:
        """The last thing that is written: all is in place."""
        before = self.marker()
        locks = {**before.get("locks", {}), **{lock.name: digest(lock) for lock in self.locks}}
        marker = {**before, "folder": str(self.folder), "python": platform.python_version(), "locks": locks, **more}
        scratch = self.folder / f".{MARKER}"
        scratch.write_text(json.dumps(marker, indent=2) + "\n", encoding="utf-8")
        scratch.replace(self.folder / MARKER)

    def installed(self) -> int:
        return sum(1 for _ in self.folder.glob("lib/python*/site-packages/*.dist-info"))

    def progress(self) -> str:
        total = len(pins(self.locks[0]))
        if self.doing == "installing":
            return f"{self.title}: {min(self.installed(), total)} of {total} packages installed"
        if self.doing == "fetching":
            return f"{self.title}: {min(self.fetched, total)} of {total} packages fetched"
        return f"{self.title}: {self.doing}"


class Bootstrap:
    """Does the steps, tells of them, and ends what it started when one fails or somebody stops it."""

    def __init__(self, environments: list[Environment]) -> None:
        self.environments = environments
        self.began = time.monotonic()
        self.failure: Exception | None = None
        self.stopping = False
        self._running: set[subprocess.Popen] = set()
        self._lock = threading.Lock()
        self._told = time.monotonic()
        self._terminal = sys.stdout.isatty()

    def run(self) -> bool:
        """Whether anything had to be made. Raises Failed."""
        LOGS.mkdir(parents=True, exist_ok=True)
        missing = [environment for environment in self.environments if not environment.holds(environment.locks[0])]
        if missing:
            self._require_space(missing)
            workers = [threading.Thread(target=self._guarded, args=(environment,)) for environment in missing]
            for worker in workers:
                worker.start()
            try:
                while any(worker.is_alive() for worker in workers):
                    time.sleep(0.2)
                    self._tell(" · ".join(e.progress() for e in missing if e.doing))
            finally:
                self.end_all()
                for worker in workers:
                    worker.join()
        if self.failure:
            raise self.failure
        return self._install_project() or bool(missing)

    def end_all(self) -> None:
        with self._lock:
            self.stopping = True
            for process in self._running:
                process.terminate()

    def line(self, text: str) -> None:
        clear = "\r\x1b[K" if self._terminal else ""
        print(f"{clear}{text}", flush=True)

    def _tell(self, text: str) -> None:
        seconds = f"{time.monotonic() - self.began:4.0f} s  "
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            print(f"\r\x1b[K{(seconds + text)[:width]}", end="", flush=True)
        elif text and time.monotonic() - self._told >= LINE_EVERY:
            self._told = time.monotonic()
            print(seconds + text, flush=True)

    def _require_space(self, missing: list[Environment]) -> None:
        free = shutil.disk_usage(ROOT).free / 1024**3
        needed = sum(environment.gib for environment in missing if not environment.folder.exists())
        if free < needed:
            raise Failed(
                f"{ROOT} has {free:.1f} GiB free, and the environments need {needed:.0f}.",
                "Free some space, or clone to a larger disk.",
            )

    def _guarded(self, environment: Environment) -> None:
        try:
            self._make(environment)
        except Exception as error:
            with self._lock:
                self.failure = self.failure or error
            self.end_all()

    def _make(self, environment: Environment) -> None:
        began = time.monotonic()
        environment.log.write_text("", encoding="utf-8")
        if not environment.marker() or not any(environment.holds(lock) for lock in environment.locks):
            self._make_anew(environment)
        on_cpu = environment.locks[0].name == "engine-cpu.txt"
        small = on_cpu and self._found_torch_for_cpu(environment)
        self._pip(environment, environment.locks[0])
        if on_cpu and not small:
            # The registry's build of torch runs on a CPU too, with the CUDA libraries that it links.
            self._pip(environment, LOCKS / "engine-cpu-torch.txt")
        environment.mark()
        environment.doing = ""
        self.line(f"  {environment.title}: ready after {time.monotonic() - began:.0f} s")

    def _make_anew(self, environment: Environment) -> None:
        folder = environment.folder
        if folder.exists():
            if not (folder / "pyvenv.cfg").exists() and any(folder.iterdir()):
                raise Failed(f"{folder} is there and is no virtual environment.", "Move it away, then run this again.")
            why = "its lock has changed" if (folder / MARKER).exists() else "it was not finished"
            self.line(f"  {environment.title}: making {folder.name} again, because {why}")
            environment.doing = "removing the old environment"
            shutil.rmtree(folder)
        environment.doing = "making the environment"
        self._do(environment, [sys.executable, "-m", "venv", str(folder)], f"making {folder.name}")

    def _pip(self, environment: Environment, lock: Path) -> None:
        environment.fetched, environment.doing = 0, "fetching"
        # Bytecode is compiled when a module is first imported; most of what is installed here never is.
        command = [*_PIP, "--no-compile", "--require-hashes", "--no-deps", "-r", str(lock)]
        self._do(environment, [str(environment.python), *command], f"installing {lock.name}")

    def _found_torch_for_cpu(self, environment: Environment) -> bool:
        """Installs torch's CPU build where pip's configuration leads to one."""
        try:
            self._pip(environment, LOCKS / "torch-cpu.txt")
        except Failed as failed:
            if "No matching distribution" not in str(failed):
                raise
            self.line(
                "  engine: pip finds no torch for CPUs alone, so the registry's comes with 3 GB of CUDA libraries; "
                "PyTorch's CPU index as PIP_EXTRA_INDEX_URL would spare them"
            )
            return False
        return True

    def _install_project(self) -> bool:
        """groundtone itself, editable, so that .venv/bin/groundtone runs what stands in this folder."""
        environment = self.environments[0]
        now = project_digest()
        if environment.marker().get("project") == now:
            return False
        command = [*_PIP, "--no-deps", "--no-build-isolation", "--editable", str(ROOT)]
        self.stopping = False
        self._do(environment, [str(environment.python), *command], "installing groundtone itself")
        environment.mark(project=now)
        return True

    def _do(self, environment: Environment, command: list[str], what: str) -> None:
        """Runs `command` with its output in the log. Raises Failed."""
        outside = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER")
        clean = {name: value for name, value in os.environ.items() if name not in outside}
        said: list[str] = []
        with self._lock:
            if self.stopping:
                return
            process = subprocess.Popen(
                command, env=clean, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
            )
            self._running.add(process)
        try:
            with process, environment.log.open("a", encoding="utf-8") as log:
                log.write(f"$ {' '.join(command)}\n")
                assert process.stdout
                for raw in process.stdout:
                    line = raw.decode(errors="replace").rstrip()
                    log.write(line + "\n")
                    said.append(line)
                    if line.startswith("Collecting "):
                        environment.fetched += 1
                    elif line.startswith("Installing collected packages"):
                        environment.doing = "installing"
        finally:
            if process.poll() is None:
                process.terminate()
            with self._lock:
                self._running.discard(process)
        code = process.returncode
        if code != 0 and not self.stopping:
            raise Failed(f"{what} (exit code {code})", cause(said), worth_quoting(said), environment.log)
        if code != 0:
            raise Failed(f"{what} was stopped", "Run it again: what was downloaded is kept.")


_PIP = ["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--progress-bar", "off"]


def fitting_python() -> None:
    """Goes on in a Python of a fitting version. Raises Failed where there is none."""
    if "{}.{}".format(*sys.version_info) in FITTING:
        return
    for version in FITTING:
        found = shutil.which(f"python{version}")
        # A version manager's shim may be there without the version behind it.
        if found and subprocess.run([found, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode == 0:
            os.execv(found, [found, *sys.argv])  # noqa: S606 - the same script in another Python
    raise Failed(
        f"groundtone needs Python {' or '.join(FITTING)}; this is {platform.python_version()}.",
        "Install Python 3.11 (Debian 12 has it; elsewhere pyenv or uv give it), or name one: make PYTHON=/path/to/it",
    )


def engine_environment(kind: str) -> Environment:
    """The engine's environment for `kind`; "auto" keeps one that is finished, else looks for an NVIDIA GPU."""
    folder = ROOT / ".venv-engine"
    kinds = {
        "cpu": Environment("engine", folder, [LOCKS / "engine-cpu.txt"], 4.0),
        "cuda": Environment("engine (CUDA)", folder, [LOCKS / "engine-cuda.txt"], 16.0),
    }
    if kind == "auto":
        finished = next((name for name, environment in kinds.items() if environment.holds(environment.locks[0])), None)
        kind = finished or ("cuda" if has_gpu() else "cpu")
    return kinds[kind]


def has_gpu() -> bool:
    """Whether the NVIDIA driver sees a GPU; one that is only plugged in is of no use to vLLM."""
    tool = shutil.which("nvidia-smi") or "false"
    return b"GPU" in subprocess.run([tool, "--list-gpus"], capture_output=True, check=False).stdout


@contextlib.contextmanager
def alone():
    """Two bootstraps of one folder at once would undo each other: the second waits."""
    folder = os.open(LOCKS, os.O_RDONLY)
    try:
        try:
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("Another bootstrap is at work in this folder; waiting for it.", flush=True)
            fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


def main() -> int:
    parser = argparse.ArgumentParser(description="Make groundtone's environments from the locks.")
    parser.add_argument("--dev", action="store_true", help="with what tests, lints and benchmarks need")
    parser.add_argument("--engine", choices=("auto", "cpu", "cuda", "none"), default="auto", help="which vLLM (auto)")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        fitting_python()
        if (sys.platform, platform.machine()) != ("linux", "x86_64"):
            raise Failed(
                f"the locks are for Linux on x86-64, and this is {platform.system()} on {platform.machine()}.",
                "Use a Linux machine or virtual machine, or the container images.",
            )
        with alone():
            locks = [LOCKS / "dev.txt", LOCKS / "groundtone.txt"] if arguments.dev else [LOCKS / "groundtone.txt"]
            environments = [Environment("gateway and knowledge", ROOT / ".venv", locks, 1.5)]
            if arguments.engine != "none":
                environments.append(engine_environment(arguments.engine))
            bootstrap = Bootstrap(environments)
            if bootstrap.run():
                bootstrap.line(f"The environments are ready after {time.monotonic() - bootstrap.began:.0f} s.")
    except Failed as failed:
        print(f"\n{failed}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr, flush=True)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
