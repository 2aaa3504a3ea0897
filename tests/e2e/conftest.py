"""The whole stack as `make up` starts it: real vLLM, model, adapter, embedder and Chroma, in a folder of its own."""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest

ROOT = Path(__file__).resolve().parents[2]
STARTS_WITHIN = 420.0


@dataclass
class Stack:
    """A running stack, its watched folder, and clients for it."""

    url: str
    key: str
    home: Path
    documents: Path
    environment: dict[str, str]
    http: httpx.Client
    openai: openai.OpenAI

    def ask(self, question: str, assistant: str = "kitahama", **fields: Any) -> dict[str, Any]:
        """The whole response, as data."""
        body = {"model": assistant, "messages": [{"role": "user", "content": question}], **fields}
        response = self.http.post("/v1/chat/completions", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def text(self, question: str, assistant: str = "kitahama", **fields: Any) -> str:
        return self.ask(question, assistant, **fields)["choices"][0]["message"]["content"]

    def cli(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `groundtone` as an operator of this stack would."""
        return subprocess.run(
            [ROOT / ".venv/bin/groundtone", *arguments],
            env=self.environment, cwd=ROOT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip

    def until(self, condition: Any, seconds: float = 60.0) -> Any:
        """Asks again until `condition()` gives something true. Fails after `seconds`, a bound against hanging."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            if found := condition():
                return found
            time.sleep(0.1)
        raise AssertionError(f"did not come true within {seconds} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    folder = tmp_path_factory.mktemp("stack")
    home, documents = folder / "home", folder / "documents"
    shutil.copytree(ROOT / "examples/kitahama/documents", documents)
    config = (ROOT / "groundtone.toml").read_text()
    (folder / "groundtone.toml").write_text(config.replace("examples/kitahama/documents", str(documents)))
    # The base model is derived data, the same for every home: made once on a machine.
    made = ROOT / ".groundtone/models"
    if made.is_dir():
        home.mkdir(mode=0o700)
        (home / "models").symlink_to(made.resolve())
    port = _free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("GROUNDTONE_")},
        "GROUNDTONE_HOME": str(home),
        "GROUNDTONE_CONFIG": str(folder / "groundtone.toml"),
        "GROUNDTONE_PORT": str(port),
    }
    with (folder / "up.log").open("w") as log:
        up = subprocess.Popen(
            [ROOT / ".venv/bin/groundtone", "up"], env=environment, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT
        )
    try:
        _wait_until_ready(url, up, folder / "up.log")
        key = (home / "admin.key").read_text().strip()
        headers = {"authorization": f"Bearer {key}"}
        with (
            httpx.Client(base_url=url, headers=headers, timeout=180) as http,
            openai.OpenAI(base_url=f"{url}/v1", api_key=key, max_retries=0, timeout=180) as client,
        ):
            yield Stack(url, key, home, documents, environment, http, client)
    finally:
        up.send_signal(signal.SIGTERM)
        up.wait(timeout=60)
    assert up.returncode == 0


def _wait_until_ready(url: str, up: "subprocess.Popen[bytes]", log: Path) -> None:
    end = time.monotonic() + STARTS_WITHIN
    while time.monotonic() < end:
        if up.poll() is not None:
            break
        try:
            if httpx.get(f"{url}/readyz").status_code == 200:
                return
        except httpx.TransportError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"the stack did not get ready:\n{log.read_text()[-4000:]}")


@pytest.fixture
def gathered() -> Any:
    """Runs coroutines side by side from a plain test."""

    def run(*coroutines: Any) -> list[Any]:
        async def all_of_them() -> list[Any]:
            return await asyncio.gather(*coroutines)

        return asyncio.run(all_of_them())

    return run
