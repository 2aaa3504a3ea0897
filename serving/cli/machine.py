"""What `groundtone doctor` looks at on this machine, with nothing running."""

import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from common.settings import Settings, config_path
from serving.cli.check import Check, fail, ok, warn
from serving.home import Home
from serving.tls import tls_context

_GIB = 1024**3
DISK_WANTED = 5 * _GIB
DISK_NEEDED = 1 * _GIB
MEMORY_WANTED = 6 * _GIB
"""The bundled model's engine takes about 4.5 GiB, the other processes about 1."""
BUILT = 1_763_000_000
"""A clock that shows a time before this one (November 2025) is wrong."""
_SKEW = 5.0


def machine_checks(settings: Settings, home: Home, *, running: bool) -> Iterator[Check]:
    """`running` says that the service runs here: then its memory is taken and its port is in use, as they should be."""
    yield python()
    yield configuration(settings)
    yield engine_environment(settings)
    yield base_model(settings, home)
    yield disk(home.path)
    if not running:
        yield memory()
        yield port(settings)
    yield clock(home.path)
    yield from permissions(home)
    yield from tls(settings)


def python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    if (3, 11) <= sys.version_info[:2] <= (3, 12):
        return ok("python", version)
    return fail("python", version, "Use Python 3.11 or 3.12: remove .venv and run `make prepare` with it on PATH.")


def configuration(settings: Settings) -> Check:
    file = config_path()
    if not file.is_file():
        return warn("configuration", f"there is no {file}", "Run in the project's folder, or set GROUNDTONE_CONFIG.")
    if not settings.assistants:
        return warn("configuration", f"{file} has no assistant", "Add one under [[assistants]].")
    return ok("configuration", f"{file}, assistants {', '.join(a.name for a in settings.assistants)}")


def engine_environment(settings: Settings) -> Check:
    from serving.supervisor.plan import ENGINE_ENVIRONMENT

    if settings.engine.urls:
        return ok("engine environment", "not needed, engine.urls names engines that run elsewhere")
    if not (ENGINE_ENVIRONMENT / "bin" / "python").exists():
        return fail("engine environment", f"{ENGINE_ENVIRONMENT.name} is missing", "Run `make prepare`.")
    if not any(ENGINE_ENVIRONMENT.glob("lib/python*/site-packages/vllm/__init__.py")):
        return fail("engine environment", f"{ENGINE_ENVIRONMENT.name} lacks vLLM", "Remove it and run `make prepare`.")
    return ok("engine environment", ENGINE_ENVIRONMENT.name)


def base_model(settings: Settings, home: Home) -> Check:
    from adapters.base_model import BUNDLED, BUNDLED_NAME

    name = settings.engine.base_model
    if settings.engine.urls:
        return ok("base model", f"{name}, with the engines that run elsewhere")
    folder = home.path / "models" / BUNDLED_NAME if name == BUNDLED else Path(name)
    if name != BUNDLED and not folder.is_dir():
        return ok("base model", f"{name}, which the engine fetches")
    if (folder / "config.json").is_file() and any(folder.glob("*.safetensors")):
        return ok("base model", folder.name)
    if name == BUNDLED:
        return warn("base model", "not made ready yet", "`make up` does it, once, in half a minute.")
    return fail("base model", f"{folder} holds no model", "Name a folder with config.json and safetensors weights.")


def disk(folder: Path) -> Check:
    at = folder if folder.exists() else Path.cwd()
    free = shutil.disk_usage(at).free
    found = f"{free / _GIB:.1f} GiB free"
    if free < DISK_NEEDED:
        return fail(
            "disk", found, "Free some, or set GROUNDTONE_HOME to a larger disk: without room nothing is recorded."
        )
    if free < DISK_WANTED:
        return warn("disk", found, "Free some soon.")
    return ok("disk", found)


def memory() -> Check:
    try:
        available = _available_memory()
    except (OSError, ValueError, StopIteration):
        return warn("memory", "unknown", f"See to it that {MEMORY_WANTED // _GIB} GiB are free for the bundled model.")
    found = f"{available / _GIB:.1f} GiB available"
    if available < MEMORY_WANTED:
        return warn("memory", found, f"The bundled model wants {MEMORY_WANTED // _GIB} GiB; lower engine.kv_cache_gib.")
    return ok("memory", found)


def _available_memory() -> int:
    lines = Path("/proc/meminfo").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable"))


def port(settings: Settings) -> Check:
    from serving.supervisor.plan import taken

    host, number = settings.server.host, settings.server.port
    if why := taken(host, number):
        return fail("port", f"{host}:{number}: {why}", f"Set GROUNDTONE_PORT, e.g. to {number + 1}.")
    return ok("port", f"{host}:{number} is free")


def tls(settings: Settings) -> Iterator[Check]:
    try:
        used = tls_context(settings.server)
    except ValueError as wrong:
        yield fail("TLS", str(wrong), "The gateway refuses to start so, and keeps the old ones when it is told SIGHUP.")
    else:
        yield ok("TLS", f"{settings.server.tls_certificate}" if used else "off: the gateway speaks plain HTTP")


def clock(home: Path) -> Check:
    now = time.time()
    if now < BUILT:
        return fail("clock", time.ctime(now), "Set the clock: receipts and effective dates depend on it.")
    files = [file.stat().st_mtime for file in home.iterdir()] if home.is_dir() else []
    if (ahead := max(files, default=now) - now) > _SKEW:
        return fail("clock", f"{ahead:.0f} s behind the newest file in {home.name}", "Set the clock.")
    return ok("clock", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now)))


def permissions(home: Home) -> Iterator[Check]:
    if not home.path.is_dir():
        yield warn("state folder", f"{home.path} does not exist yet", "`make up` makes it.")
        return
    if not os.access(home.path, os.W_OK):
        yield fail("state folder", f"{home.path} can't be written", "Set GROUNDTONE_HOME to a folder of your own.")
    if (mode := stat.S_IMODE(home.path.stat().st_mode)) & 0o077 and not mounted(home.path):
        yield fail(
            "state folder", f"{home.path} has mode {mode:04o}", f"chmod 700 {home.path}: it holds keys and receipts."
        )
    for file in (home.admin_key_path, home.internal_key_path, home.metrics_key_path):
        if not file.exists():
            yield warn("keys", f"{file.name} does not exist yet", "The first start makes it.")
        elif mounted(file):
            yield ok("keys", f"{file.name} is mounted")
        elif (mode := stat.S_IMODE(file.stat().st_mode)) & 0o077:
            yield fail(
                "keys", f"{file.name} has mode {mode:04o}", f"chmod 600 {file}, and replace it if others were here."
            )
        else:
            yield ok("keys", f"{file.name} has mode {mode:04o}")


def mounted(file: Path) -> bool:
    """Whether `file` itself is a mount, as a container's secret is: its mode is then the host's matter."""
    try:
        lines = Path("/proc/self/mountinfo").read_text().splitlines()
    except OSError:
        return False
    return str(file.resolve()) in {line.split()[4] for line in lines}
