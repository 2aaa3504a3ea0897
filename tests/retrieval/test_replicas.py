"""Two real knowledge processes over one ledger: one writes, the other follows, and takes over when the writer dies."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import update

from retrieval.ledger import schema
from retrieval.ledger.database import Ledger
from tests.retrieval.house import Chroma, WordEmbedder, someone, until
from tests.retrieval.test_api import KEY, headers

ROOT = Path(__file__).parents[2]
PLAIN = {"content-type": "text/plain"}
LONG = 120.0


class _Embeddings(BaseHTTPRequestHandler):
    """OpenAI's `/embeddings` over hashed words."""

    def do_POST(self) -> None:
        texts = orjson.loads(self.rfile.read(int(self.headers["content-length"])))["input"]
        made = WordEmbedder("").questions(texts).tolist()
        answer = orjson.dumps({"data": [{"index": i, "embedding": vector} for i, vector in enumerate(made)]})
        self.send_response(200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@dataclass
class Replica:
    process: "subprocess.Popen[bytes]"
    client: httpx.Client

    def put(self, name: str, text: str) -> httpx.Response:
        return self.client.put(f"/v1/knowledge/kb/documents/{name}", content=text, headers=PLAIN)

    def texts(self, question: str) -> set[str]:
        found = self.client.post("/v1/knowledge/kb/search", json={"query": question, "top_k": 50})
        return {result["text"] for result in found.raise_for_status().json()["results"]}

    def ready(self) -> bool:
        try:
            return self.client.get("/readyz").status_code == 200
        except httpx.TransportError:
            return False

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        self.client.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Ledger]:
    sqlite = request.param == "sqlite"
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}" if sqlite else request.getfixturevalue("database"))
    ledger.migrate()
    yield ledger
    ledger.close()


@pytest.fixture
def two(tmp_path: Path, ledger: Ledger, shared_chroma: Chroma) -> Generator[tuple[Replica, Replica]]:
    """The writer and its standby, each with a home of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Embeddings)
    Thread(target=server.serve_forever, daemon=True).start()
    started: list[Replica] = []
    for name in ("writer", "standby"):
        home = tmp_path / name
        home.mkdir()
        (home / "internal.key").write_text(KEY)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{free.getsockname()[1]}"
        told = {
            "HOME": str(home),
            "CONFIG": str(home / "none.toml"),
            "LEDGER__URL": ledger.engine.url.render_as_string(hide_password=False),
            "VECTORS__URL": shared_chroma.url,
            "KNOWLEDGE__URL": url,
            "EMBEDDER__KIND": "openai",
            "EMBEDDER__URL": f"http://127.0.0.1:{server.server_port}/v1",
            "EMBEDDER__MODEL": tmp_path.name,
        }
        environment = os.environ | {f"GROUNDTONE_{key}": value for key, value in told.items()}
        with (home / "log").open("wb") as log:
            command = [sys.executable, "-m", "retrieval.service"]
            process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
        started.append(Replica(process, httpx.Client(base_url=url, headers=headers(someone()), timeout=LONG)))
        until(started[-1].ready, LONG)
    started[0].client.put("/v1/knowledge/kb").raise_for_status()
    yield started[0], started[1]
    for replica in started:
        replica.end()
    server.shutdown()
    server.server_close()


def test_the_standby_follows_and_takes_over_from_a_writer_that_is_killed(two: tuple[Replica, Replica]) -> None:
    """Whatever was answered is there, in vectors and terms; it writes at once and never before."""
    writer, standby = two
    assert writer.put("first", "The first costs 1 yen.").status_code == 201
    assert standby.texts("first costs") == {"The first costs 1 yen."}
    refused = standby.put("first", "The first costs 2 yen.")
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "knowledge_unavailable")
    answered = {
        f"The {n} costs {n} yen." for n in range(10) if writer.put(f"{n}", f"The {n} costs {n} yen.").is_success
    }
    writer.client.put("/v1/knowledge/kb/documents/late?wait=0", content="The late costs 7 yen.", headers=PLAIN)
    writer.process.send_signal(signal.SIGKILL)
    writer.process.wait()
    assert len(answered) == 10
    until(lambda: standby.put("first", "The first costs 3 yen.").is_success, LONG)
    found = standby.texts("costs yen") - {"The late costs 7 yen."}  # nobody was told that it is published
    assert found == answered | {"The first costs 3 yen."}


def test_a_writer_that_wakes_up_after_its_lease_is_refused(two: tuple[Replica, Replica], ledger: Ledger) -> None:
    """It has slept through the change of hands: it publishes nothing, and answers from what the other published."""
    sleeper, standby = two
    assert sleeper.put("apple", "The apple costs 1 yen.").status_code == 201
    sleeper.process.send_signal(signal.SIGSTOP)
    with ledger.write() as connection:
        connection.execute(update(schema.leases).values(expires=0.0))  # the time has passed
    until(lambda: standby.put("apple", "The apple costs 2 yen.").is_success, LONG)
    sleeper.process.send_signal(signal.SIGCONT)
    zombie = sleeper.put("apple", "The apple costs 3 yen.")
    assert (zombie.status_code, zombie.json()["error"]["code"]) == (503, "knowledge_unavailable")
    assert standby.texts("apple costs") == sleeper.texts("apple costs") == {"The apple costs 2 yen."}
    assert standby.put("apple", "The apple costs 4 yen.").is_success
