"""The images, really built and started, where Debian's buildah and debootstrap are installed.

There is no registry here: a bootstrapped Debian stands in for the official Python image, of the same release and the
same Python. What runs runs as compose.yaml has it: on a root file system that is mounted read-only, with the state
folder as a volume and /tmp in memory, as a user without capabilities that can't get any.
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
import yaml

from serving.supervisor.plan import free_ports

ROOT = Path(__file__).parents[2]
UID = 10001
BASE = "localhost/groundtone-python:base"
QUESTION = "What is the annual fee of the Harbour Gold Card?"


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


ISOLATED = """
set -e
root=$1 state=$2 firm=$3; shift 3
mount --bind "$root" "$root"
mkdir -p "$root/srv/firm" "$root/proc" "$root/dev"
mount --bind "$state" "$root/var/lib/groundtone"
mount --bind "$firm" "$root/srv/firm"
mount -o remount,bind,ro "$root/srv/firm"
mount --rbind /proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
mount -o remount,bind,ro "$root"
exec chroot "$root" setpriv --reuid 10001 --regid 10001 --clear-groups --inh-caps=-all --bounding-set=-all \\
    --no-new-privs sh -c 'cd "$1"; shift; exec env -i "$@"' sh "$@"
"""
"""In a mount namespace of its own, so that nothing is left to unmount."""


class Buildah:
    """Debian's buildah with a storage of its own, and no Docker engine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        storage = ["--storage-driver", "vfs", "--root", str(folder / "storage"), "--runroot", str(folder / "run")]
        self._command = ["buildah", *storage]

    def __call__(self, *arguments: str) -> str:
        done = subprocess.run([*self._command, *arguments], check=True, stdout=subprocess.PIPE, text=True)
        return done.stdout.strip()

    def build(self, dockerfile: str, **arguments: str) -> "Image":
        """The image of a Dockerfile, as a container's file system."""
        mounts = ["-v", "/etc/ssl/certs:/etc/ssl/certs:ro", "-v", f"{pip_configuration(self.folder)}:/etc/pip.conf:ro"]
        if wheels := os.environ.get("PIP_FIND_LINKS"):
            mounts += ["-v", f"{wheels}:{wheels}:ro"]
        given = {"PYTHON": BASE} | arguments
        words = [word for name, value in given.items() for word in ("--build-arg", f"{name}={value}")]
        file, tag = str(ROOT / "docker" / f"{dockerfile}.Dockerfile"), f"localhost/{dockerfile}:check"
        self("bud", "--isolation", "chroot", "--network", "host", *words, *mounts, "-f", file, "-t", tag, str(ROOT))
        container = self("from", tag)
        config = json.loads(self("inspect", container))["OCIv1"]["config"]
        return Image(Path(self("mount", container)), config, self.folder)


class Image:
    """A built image: its files, what its Dockerfile says of it, and the volumes that its containers share."""

    def __init__(self, root: Path, config: dict[str, Any], folder: Path) -> None:
        self.root = root
        self._config = config
        self._folder = folder
        self.state = folder / f"{root.name}-state"
        self.firm = folder / f"{root.name}-firm"
        for volume in (self.state, self.firm):
            volume.mkdir()
        os.chown(self.state, UID, UID)

    @property
    def command(self) -> list[str]:
        """What the image does when told nothing."""
        return [*(self._config.get("Entrypoint") or ()), *(self._config.get("Cmd") or ())]

    def start(self, log: str, *command: str, **environment: str) -> "subprocess.Popen[bytes]":
        assert self._config["User"] == f"{UID}:{UID}"
        settings = [*self._config["Env"], *(f"{name}={value}" for name, value in environment.items())]
        run = ["unshare", "--mount", "sh", "-c", ISOLATED, "sh", str(self.root), str(self.state), str(self.firm)]
        with (self._folder / log).open("wb") as output:
            words = [*run, self._config["WorkingDir"], *settings, *command]
            return subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)


def pip_configuration(folder: Path) -> Path:
    """What pip inside needs to reach the index as pip outside does."""
    options = {
        "cert": "PIP_CERT",
        "index-url": "PIP_INDEX_URL",
        "timeout": "PIP_DEFAULT_TIMEOUT",
        "find-links": "PIP_FIND_LINKS",
    }
    lines = [f"{option} = {os.environ[name]}" for option, name in options.items() if os.environ.get(name)]
    file = folder / "pip.conf"
    file.write_text("\n".join(["[global]", *lines, ""]))
    return file


@pytest.fixture(scope="module")
def buildah() -> Iterator[Buildah]:
    """With the base image that the Dockerfiles begin from."""
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
        buildah("commit", "--quiet", scratch, BASE)
        buildah("rm", scratch)
        shutil.rmtree(base)
        yield buildah
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
def test_the_image_answers_a_question(buildah: Buildah) -> None:
    """Both commands of the one image, the sample firm's documents, and an engine: an answer with a citation.

    GROUNDTONE_TEST_ENGINE names a real engine with the bundled model; without it, the fake one answers.
    """
    image, folder = buildah.build("groundtone"), buildah.folder
    services = yaml.safe_load((ROOT / "deploy" / "compose.yaml").read_text())["services"]
    volumes = {volume for name in ("gateway", "knowledge") for volume in services[name]["volumes"]}
    for place in [volume.split(":")[1] for volume in volumes if not volume.endswith(":ro")]:
        # A volume that the image does not know belongs to root.
        assert (image.root / place.lstrip("/")).stat().st_uid == UID, place
    shutil.copytree(ROOT / "examples/kitahama/documents/en/cards", image.firm / "documents")
    (image.state / "internal.key").write_text("gti_image-check")
    os.chown(image.state / "internal.key", UID, UID)
    (image.firm / "groundtone.toml").write_text(
        '[[assistants]]\nname = "kitahama-plain"\nfirm = "Kitahama Trust"\nknowledge = ["kitahama"]\ntop_k = 1\n'
        '[[sources]]\nname = "documents"\nkind = "folder"\nknowledge = "kitahama"\nlabels = ["public"]\n'
        'path = "documents"\n'
    )
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
        processes.append(image.start("vectors.log", *chroma))
        until(lambda: fetched(f"{vectors}/api/v2/heartbeat"), processes, folder)
        processes.append(image.start("knowledge.log", "python", "-m", "retrieval.service", **settings))
        processes.append(image.start("gateway.log", *image.command, **settings))
        until(lambda: fetched(f"{gateway}/readyz")["ready"], processes, folder)
        question = {"model": "kitahama-plain", "messages": [{"role": "user", "content": QUESTION}]}
        key = (image.state / "admin.key").read_text().strip()

        def ask() -> Any:
            answer = fetched(f"{gateway}/v1/chat/completions", key, question)
            return answer if answer["groundtone"]["evidence"] else None

        answer = until(ask, processes, folder)
        print(answer["choices"][0]["message"]["content"])
        assert "11,000 yen" in answer["choices"][0]["message"]["content"]
        assert [cited["document"] for cited in answer["groundtone"]["citations"]] == ["harbour-cards.md"]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(60)
    # What a backup runs: PostgreSQL's own, of the version that compose.yaml names.
    dumped = image.start("dump.log", "pg_dump", "--version")
    assert (dumped.wait(60), image.start("load.log", "pg_restore", "--version").wait(60)) == (0, 0)
    assert services["postgres"]["image"] == f"postgres:{(folder / 'dump.log').read_text().split()[-1]}-bookworm"
    touched = image.start("touch.log", "touch", "/opt/groundtone/written")
    assert touched.wait(60) != 0
    assert "Read-only file system" in (folder / "touch.log").read_text()


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_the_trainer_trains(buildah: Buildah) -> None:
    """The image of the CPU lock, which a machine without a GPU can run: a step on the sample firm's recipe."""
    image = buildah.build("trainer", LOCK="engine-cpu", TORCH="https://download.pytorch.org/whl/cpu")
    shutil.copytree(ROOT / "examples/kitahama", image.firm, dirs_exist_ok=True)
    arguments = ["/srv/firm/recipe.toml", "--steps", "1", "--output", "/var/lib/groundtone/adapter"]
    training = image.start("trainer.log", *image.command, *arguments)
    assert training.wait(1800) == 0, (buildah.folder / "trainer.log").read_text()[-3000:]
    assert (image.state / "adapter" / "adapter_model.safetensors").stat().st_size > 1_000_000
