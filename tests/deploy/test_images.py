"""The groundtone image, really built and started, where Debian's buildah and debootstrap are installed.

There is no registry here: a bootstrapped Debian stands in for the official Python image, of the same release and the
same Python. `buildah run` does not mount the root file system read-only, so what a run wrote is looked up afterwards.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from serving.supervisor.plan import free_ports

ROOT = Path(__file__).parents[2]
UID = 10001
WRITABLE = ("tmp", "var/lib/groundtone")
QUESTION = "What do I pay each year for the Harbour Gold Card?"


@pytest.mark.parametrize("name", ["groundtone", "trainer"])
def test_the_dockerfile_is_clean(name: str) -> None:
    """hadolint finds nothing."""
    lint = Path(sys.executable).with_name("hadolint")
    subprocess.run([lint, ROOT / "docker" / f"{name}.Dockerfile"], check=True)


@pytest.mark.parametrize("name", ["groundtone", "trainer"])
def test_the_image_is_pinned_and_without_rights(name: str) -> None:
    """A base with a full version, packages by hash, and a number as user, which an orchestrator can check."""
    text = (ROOT / "docker" / f"{name}.Dockerfile").read_text()
    assert "ARG PYTHON=python:3.11." in text
    assert all("--require-hashes" in line for line in text.splitlines() if "pip install" in line and " -r " in line)
    assert f"\nUSER {UID}:{UID}\n" in text


class Buildah:
    """Debian's buildah with a storage of its own, and no Docker engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        storage = ["--storage-driver", "vfs", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._command = ["buildah", *storage]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self._command, *arguments], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def start(self, container: str, log: Path, *command: str, **environment: str) -> "subprocess.Popen[bytes]":
        settings = [word for name, value in environment.items() for word in ("--env", f"{name}={value}")]
        run = [*self._command, "run", "--isolation", "chroot", "--network", "host", *settings, container, "--"]
        with log.open("wb") as output:
            return subprocess.Popen([*run, *command], stdout=output, stderr=subprocess.STDOUT)


def pip_configuration(folder: Path) -> Path:
    """What pip inside needs to reach the index as pip outside does."""
    options = {"cert": "PIP_CERT", "index-url": "PIP_INDEX_URL", "timeout": "PIP_DEFAULT_TIMEOUT"}
    lines = [f"{option} = {os.environ[name]}" for option, name in options.items() if os.environ.get(name)]
    file = folder / "pip.conf"
    file.write_text("\n".join(["[global]", *lines, ""]))
    return file


@pytest.fixture(scope="module")
def built() -> Iterator[tuple[Buildah, str]]:
    """The image as a container's file system."""
    if os.geteuid() or not shutil.which("buildah") or not shutil.which("debootstrap"):
        pytest.skip("needs root, buildah and debootstrap")
    folder = Path(tempfile.mkdtemp(prefix="groundtone-image-"))
    buildah = Buildah(folder)
    try:
        base = folder / "base"
        packages = "--include=python3,python3-venv,ca-certificates"
        subprocess.run(["debootstrap", "--variant=minbase", packages, "bookworm", base], check=True)
        scratch = buildah("from", "scratch")
        buildah("add", "--quiet", scratch, str(base), "/")
        buildah("commit", "--quiet", scratch, "localhost/groundtone-python:base")
        shutil.rmtree(base)
        mounts = ["-v", "/etc/ssl/certs:/etc/ssl/certs:ro", "-v", f"{pip_configuration(folder)}:/etc/pip.conf:ro"]
        file = str(ROOT / "docker" / "groundtone.Dockerfile")
        build = [
            "bud",
            "--isolation",
            "chroot",
            "--network",
            "host",
            "--build-arg",
            "PYTHON=localhost/groundtone-python:base",
        ]
        buildah(*build, *mounts, "-f", file, "-t", "localhost/groundtone:check", str(ROOT))
        yield buildah, buildah("from", "localhost/groundtone:check")
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def fetched(url: str, key: str = "", body: Any = None) -> Any:
    headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data, headers), timeout=60) as response:
        return json.loads(response.read())


def until(holds: Callable[[], Any], processes: "list[subprocess.Popen[bytes]]", folder: Path) -> Any:
    """What `holds` gives once it gives something, while all processes live."""
    deadline = time.monotonic() + 900
    while time.monotonic() < deadline:
        if any(process.poll() is not None for process in processes):
            break
        with contextlib.suppress(OSError, KeyError, IndexError):
            if found := holds():
                return found
        time.sleep(0.5)
    said = "\n".join(f"{log.name}: {log.read_text()[-2000:]}" for log in sorted(folder.glob("*.log")))
    raise AssertionError(said)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_image_answers_a_question(built: tuple[Buildah, str]) -> None:
    """Both commands of the one image, the sample firm's documents, and an engine: an answer with a citation.

    GROUNDTONE_TEST_ENGINE names a real engine with the bundled model; without it, the fake one answers.
    """
    buildah, container = built
    mounted = Path(buildah("mount", container))
    folder, home, firm = buildah.folder, mounted / "var/lib/groundtone", mounted / "srv/firm"
    shutil.copytree(ROOT / "examples/kitahama/documents/en/cards", firm / "documents")
    (home / "internal.key").write_text("gti_image-check")
    (firm / "groundtone.toml").write_text(
        '[[assistants]]\nname = "kitahama-plain"\nfirm = "Kitahama Trust"\nknowledge = ["kitahama"]\ntop_k = 1\n'
        '[[sources]]\nname = "documents"\nkind = "folder"\nknowledge = "kitahama"\nlabels = ["public"]\n'
        'path = "documents"\n'
    )
    for file in (home, *home.rglob("*")):
        os.chown(file, UID, UID)
    ports = free_ports(4)
    gateway, knowledge, vectors, engine = (f"http://127.0.0.1:{port}" for port in ports)
    processes: list[subprocess.Popen[bytes]] = []
    if real := os.environ.get("GROUNDTONE_TEST_ENGINE"):
        engine = real
    else:
        fake = [sys.executable, "-m", "tests.fakes.engine", "--port", str(ports[3])]
        processes.append(subprocess.Popen(fake, cwd=ROOT))
    settings = {
        "GROUNDTONE_ENGINE__URLS": json.dumps([engine]),
        "GROUNDTONE_KNOWLEDGE__URL": knowledge,
        "GROUNDTONE_VECTORS__URL": vectors,
        "GROUNDTONE_PORT": str(ports[0]),
    }
    chroma = ["chroma", "run", "--host", "127.0.0.1", "--port", str(ports[2]), "--path", "/var/lib/groundtone/vectors"]
    try:
        processes.append(buildah.start(container, folder / "vectors.log", *chroma))
        until(lambda: fetched(f"{vectors}/api/v2/heartbeat"), processes, folder)
        processes.append(
            buildah.start(container, folder / "knowledge.log", "python", "-m", "retrieval.service", **settings)
        )
        processes.append(
            buildah.start(container, folder / "gateway.log", "python", "-m", "serving.gateway", **settings)
        )
        until(lambda: fetched(f"{gateway}/readyz")["ready"], processes, folder)
        question = {"model": "kitahama-plain", "messages": [{"role": "user", "content": QUESTION}]}
        key = (home / "admin.key").read_text().strip()

        def ask() -> Any:
            answer = fetched(f"{gateway}/v1/chat/completions", key, question)
            return answer if answer["groundtone"]["citations"] else None

        answer = until(ask, processes, folder)
        print(answer["choices"][0]["message"]["content"], answer["groundtone"]["citations"][0]["document"])
        assert "11,000 yen" in answer["choices"][0]["message"]["content"]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
    # It runs as a user who owns nothing else, so whatever it wrote is that user's.
    owned = subprocess.run(["find", mounted, "-xdev", "-user", str(UID), "-type", "f"], capture_output=True, check=True)
    written = {str(Path(line).relative_to(mounted)) for line in owned.stdout.decode().splitlines()}
    assert {file for file in written if not file.startswith(WRITABLE)} == set()
    assert any(file.startswith("var/lib/groundtone/vectors") for file in written)
