"""Which processes `groundtone up` starts, where they listen, and what each is told.

Parts whose address the settings name (`engine.urls`, `vectors.url`, `knowledge.url`) run elsewhere and are only used.
"""

import json
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.settings import Settings, config_path
from serving.home import Home
from serving.supervisor.engine_command import Command, device_of, engine_command, few_cores
from serving.supervisor.part import Part

ROOT = Path(__file__).parents[2]
ENGINE_ENVIRONMENT = ROOT / ".venv-engine"

_ENGINE_STAGES = (
    (r"vLLM|vllm", "starting vLLM"),
    (r"Resolved architecture", "starting its core"),
    (r"Initializing a V1 LLM engine", "starting its worker"),
    (r"Starting to load model", "loading the model"),
    (r"Loading weights took", "making room for prompts"),
    (r"KV cache size", "warming up"),
    (r"init engine", "starting its API"),
)


class CannotStart(Exception):
    """Something outside the processes stands in the way; the message says what, and what to do."""


@dataclass(frozen=True, slots=True)
class Plan:
    """`parts` in the order of their start; `address` is the gateway's, as a client on this machine reaches it."""

    parts: tuple[Part, ...]
    address: str


def make_plan(settings: Settings, home: Home) -> Plan:
    """Raises CannotStart."""
    engine_port, vectors_port, knowledge_port, free_port = free_ports(4)
    port = settings.server.port or free_port
    host = settings.server.host
    if why := taken(host, port):
        raise CannotStart(
            f"Can't listen on {host}, port {port}: {why}. Stop what uses the port, or choose another: "
            f"GROUNDTONE_PORT={port + 1 if port < 65535 else 8081}."
        )
    engines = settings.engine.urls or (_loopback(engine_port),)
    vectors = settings.vectors.url or _loopback(vectors_port)
    knowledge = settings.knowledge.urls or (_loopback(knowledge_port),)
    address = f"{settings.server.scheme}://{_reachable(host)}:{port}"
    told = {
        "GROUNDTONE_HOME": str(home.path),
        "GROUNDTONE_CONFIG": str(config_path().absolute()),
        "GROUNDTONE_PORT": str(port),
        "GROUNDTONE_ENGINE__URLS": json.dumps(engines),
        "GROUNDTONE_VECTORS__URL": vectors,
        "GROUNDTONE_KNOWLEDGE__URL": json.dumps(knowledge),
        # Logs are read while a process runs, and half a line says little.
        "PYTHONUNBUFFERED": "1",
    }
    parts: list[Part] = []
    if not settings.engine.urls:
        parts.append(_engine(settings, home, engine_port, engines[0]))
    if not settings.vectors.url:
        parts.append(_vectors(home, vectors_port, vectors))
    if not settings.knowledge.url:
        parts.append(_knowledge(told, knowledge[0], after=tuple(part.name for part in parts if part.name == "vectors")))
    parts.append(_gateway(settings, told, address))
    return Plan(tuple(parts), address)


def _engine(settings: Settings, home: Home, port: int, url: str) -> Part:
    python = ENGINE_ENVIRONMENT / "bin" / "python"
    if not python.exists():
        raise CannotStart(
            "The engine's environment, .venv-engine, is missing. Run `make up`, which makes it, or set engine.urls in "
            "groundtone.toml to an engine that runs elsewhere."
        )
    device = device_of(ENGINE_ENVIRONMENT)

    def command(model: Any) -> Command:
        return engine_command(
            settings, python=str(python), model=model["path"], served=model["served"], port=port, device=device
        )

    name = settings.engine.base_model
    return Part(
        name="engine",
        prepare=[str(python), "-m", "adapters.base_model", "--home", str(home.path), "--name", name],
        preparing="making the base model ready",
        command=command,
        address=url,
        ready=f"{url}/health",
        environment={"PYTHONPATH": str(ROOT), **({"OMP_NUM_THREADS": "1"} if few_cores() else {})},
        stages=_ENGINE_STAGES,
        stop_seconds=20.0,
        advice="Check that the machine has the memory for the model (the bundled one takes 5 GB), that "
        "engine.base_model names a model that vLLM knows, and that engine.arguments are vLLM's.",
    )


def _vectors(home: Home, port: int, url: str) -> Part:
    chroma = str(Path(sys.executable).with_name("chroma"))
    arguments = [chroma, "run", "--host", "127.0.0.1", "--port", str(port), "--path", str(home.vectors)]
    return Part(
        name="vectors",
        command=lambda _: Command(arguments, {"ANONYMIZED_TELEMETRY": "False", "CHROMA_TELEMETRY_DISABLED": "1"}),
        address=url,
        ready=f"{url}/api/v2/heartbeat",
        stop_seconds=10.0,
        advice="Check that the disk has room and that no other Chroma uses the folder `vectors` of GROUNDTONE_HOME. "
        "That folder can be removed: it is made again from the ledger.",
    )


def _knowledge(told: dict[str, str], url: str, after: tuple[str, ...]) -> Part:
    return Part(
        name="knowledge",
        command=lambda _: Command([sys.executable, "-m", "retrieval.service"], told),
        address=url,
        ready=f"{url}/readyz",
        after=after,
        stop_seconds=20.0,
        advice="Check ledger.url and the [[sources]] in groundtone.toml, and that the disk has room.",
    )


def _gateway(settings: Settings, told: dict[str, str], url: str) -> Part:
    return Part(
        name="gateway",
        command=lambda _: Command([sys.executable, "-m", "serving.gateway"], told),
        address=url,
        ready=f"{url}/readyz",
        stop_seconds=settings.server.drain_seconds + 5.0,
        advice="Check [server], [[assistants]] and audit.url in groundtone.toml; `groundtone doctor` looks further.",
    )


def free_ports(count: int) -> Sequence[int]:
    """Ports on loopback that nothing listens on, each another one."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


def taken(host: str, port: int) -> str | None:
    """Why nothing can listen there; None where something can."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, port))
        except OSError as error:
            return error.strerror or type(error).__name__
    return None


def _loopback(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def _reachable(host: str) -> str:
    """The host under which this machine reaches what listens on `host`."""
    return {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(host, f"[{host}]" if ":" in host else host)  # noqa: S104 - compared
