"""The settings: `groundtone.toml` and the environment, read once into a frozen object.

Every key can be set as `GROUNDTONE_SECTION__KEY` as well. `GROUNDTONE_CONFIG` names the file, `GROUNDTONE_HOME` the
folder of all state, `GROUNDTONE_PORT` the gateway's port. No setting has a default that is a secret.
"""

import os
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from string import Formatter
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic_settings import BaseSettings, PydanticBaseSettingsSource, SettingsConfigDict, TomlConfigSettingsSource

from common.canonical import digest_of
from common.language import Language
from common.logs import Format

DEFAULT_TENANT = "default"


class Section(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Server(Section):
    """The gateway."""

    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    workers: int = Field(default=1, ge=1)
    drain_seconds: float = Field(default=20.0, ge=0)
    max_answers: int = Field(default=256, ge=1)
    max_waiting: int = Field(default=0, ge=0)
    max_body_bytes: int = 4 * 1024 * 1024
    max_document_bytes: int = 64 * 1024 * 1024
    tls_certificate: Path | None = None
    tls_key: Path | None = None

    @model_validator(mode="after")
    def _tls_is_whole(self) -> "Server":
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise ValueError("tls_certificate and tls_key go together: name both files, or neither")
        return self

    @property
    def scheme(self) -> str:
        """What the gateway's address begins with."""
        return "https" if self.tls_certificate else "http"


class Engine(Section):
    """vLLM. Without `urls`, `groundtone up` starts one on this machine."""

    urls: tuple[str, ...] = ()
    base_model: str = "bundled"
    max_model_len: int = Field(default=8192, ge=512)
    api_key_file: Path | None = None
    kv_cache_gib: float = 2.0
    arguments: tuple[str, ...] = ()
    connect_timeout: float = 2.0
    silence_timeout: float = 60.0


class KnowledgeService(Section):
    """The knowledge process. Without `url`, `groundtone up` starts it on a free loopback port.

    For a gateway `url` may name several: the writer and its standbys, in any order.
    """

    url: str | tuple[str, ...] | None = None
    timeout: float = 10.0
    hold_suspicious: float | None = Field(default=None, gt=0, le=1)

    @property
    def urls(self) -> tuple[str, ...]:
        return (self.url,) if isinstance(self.url, str) else self.url or ()


class Database(Section):
    """Any SQLAlchemy URL: SQLite or PostgreSQL. Without one, a SQLite file in GROUNDTONE_HOME."""

    url: str | None = None
    password_file: Path | None = None

    def address(self, default: Path) -> str:
        """The URL with its password. Raises OSError where the file of the password can't be read."""
        if self.url is None:
            return f"sqlite:///{default.absolute()}"
        if self.password_file is None:
            return self.url
        from sqlalchemy import make_url

        url = make_url(self.url).set(password=self.password_file.read_text().strip())
        return url.render_as_string(hide_password=False)


class Vectors(Section):
    """Chroma's server. Without `url`, `groundtone up` starts `chroma run` on a free loopback port."""

    url: str | None = None


class EmbedderKind(StrEnum):
    BUNDLED = "bundled"
    OPENAI = "openai"


class Logs(Section):
    """How the processes log, to stderr."""

    format: Format = Format.TEXT


class Traces(Section):
    """Where spans go: an OTLP collector over gRPC. Without `endpoint` there are none."""

    endpoint: str | None = None


class Embedding(Section):
    """What turns text into vectors: the bundled model, or any OpenAI-compatible endpoint."""

    kind: EmbedderKind = EmbedderKind.BUNDLED
    url: str | None = None
    model: str | None = None
    revision: str | None = None
    api_key_file: Path | None = None


class Embedder(Embedding):
    """`next` is a second one, whose index is built beside until the service is told to switch."""

    next: Embedding | None = None


class Retention(Section):
    """How far back the past is kept. Without either for good; with both, whichever keeps more."""

    days: float | None = Field(default=None, gt=0)
    snapshots: int | None = Field(default=None, ge=1)


class Reranker(Section):
    """What reads question and chunk together and orders the best candidates anew. Without `url` there is none."""

    url: str | None = None
    model: str | None = None
    api_key_file: Path | None = None
    candidates: int = Field(default=20, ge=2, le=50)
    timeout: float = Field(default=1.0, gt=0)


class Grounding(Section):
    """A model that checks whether an answer's sentences follow from its evidence. Without `url` there is none."""

    url: str | None = None
    api_key_file: Path | None = None
    threshold: float = Field(default=0.5, gt=0, le=1)
    timeout: float = Field(default=2.0, gt=0)


class Gate(Section):
    """Below these, no adapter version reaches a channel: `adapters/evaluation/gate.py` says which bound is held."""

    required: bool = True
    faithful_en: float = Field(default=0.95, ge=0, le=1)
    faithful_ja: float = Field(default=0.85, ge=0, le=1)
    faithful_zh_tw: float = Field(default=0.85, ge=0, le=1)
    tone_en: float = Field(default=0.95, ge=0, le=1)
    tone_ja: float = Field(default=0.90, ge=0, le=1)
    tone_zh_tw: float = Field(default=0.90, ge=0, le=1)
    format: float = Field(default=0.90, ge=0, le=1)
    terminology: float = Field(default=0.90, ge=0, le=1)
    abstain: float = Field(default=0.0, ge=0, le=1)
    stale: float = Field(default=0.02, ge=0, le=1)
    leak: float = Field(default=0.0, ge=0, le=1)
    general: float = Field(default=0.10, ge=0, le=1)


class Adapters(Section):
    """The registry of adapter versions.

    `seed` maps a name to a folder, which is registered where the name has no version.
    """

    directory: Path | None = None
    max_rank: int = 16
    seed: dict[str, Path] = {}
    signing_key: Path | None = None
    trusted: tuple[Path, ...] = ()
    gate: Gate = Gate()


class Assistant(Section):
    """What a client names in `model`."""

    name: str
    firm: str = ""
    knowledge: tuple[str, ...] = ()
    adapter: str | None = None
    policy: str = "default"
    languages: tuple[Language, ...] = tuple(Language)
    scope: tuple[str, ...] = ()
    handover: str = ""
    top_k: int = Field(default=4, ge=1, le=50)
    max_tokens: int = Field(default=512, ge=1)
    temperature: float = Field(default=0.0, ge=0, le=2)
    max_answers: int | None = Field(default=None, ge=1)
    max_waiting: int | None = Field(default=None, ge=0)
    tenant: str = DEFAULT_TENANT

    @field_validator("scope", mode="before")
    @classmethod
    def _one_or_several(cls, value: object) -> object:
        return ([value] if value else []) if isinstance(value, str) else value


class Guard(StrEnum):
    """What follows from a figure that the evidence does not carry."""

    OFF = "off"
    FLAG = "flag"
    WITHHOLD = "withhold"
    STOP = "stop"
    REGENERATE = "regenerate"


class Policy(Section):
    name: str
    guard: Guard = Guard.FLAG
    min_evidence: float | None = Field(default=None, ge=0, le=1)


class FolderSource(Section):
    """A folder that is watched: a file saved in it is in the next answer."""

    name: str
    kind: Literal["folder"]
    knowledge: str
    path: Path
    labels: tuple[str, ...] = ()
    max_shrink: float = Field(default=0.5, ge=0, le=1)


class Splitter(StrEnum):
    """How documents are cut: `retrieval/cut.py`."""

    FACTS = "facts"
    SECTIONS = "sections"
    FIXED = "fixed"


class Base(Section):
    """How one knowledge base is cut and searched. `groundtone knowledge tune --write` writes it."""

    name: str
    strategy: Splitter = Splitter.FACTS
    size: int = Field(default=640, ge=80, le=20_000)
    overlap: float = Field(default=0.0, ge=0, le=0.5)
    dense_en: float = Field(default=0.55, ge=0, le=1)
    dense_ja: float = Field(default=0.4, ge=0, le=1)
    dense_zh: float = Field(default=0.45, ge=0, le=1)
    dense_across: float = Field(default=0.9, ge=0, le=1)


class SqlSource(Section):
    """A SQL query, polled with a cursor: a row is a fact. Which settings name columns: docs/configuration.md."""

    name: str
    kind: Literal["sql"]
    knowledge: str
    url: str
    query: str
    key: str
    cursor: str
    template: str
    title: str | None = None
    labels: tuple[str, ...] = ()
    labels_column: str | None = None
    effective_from: str | None = None
    effective_until: str | None = None
    interval: float = Field(default=0.5, gt=0)
    max_shrink: float = Field(default=0.5, ge=0, le=1)

    @field_validator("template")
    @classmethod
    def _names_columns(cls, template: str) -> str:
        fields = [(name, conversion) for _, name, _, conversion in Formatter().parse(template) if name is not None]
        if not fields or any(not name or conversion or set(name) & set(".[") for name, conversion in fields):
            raise ValueError("write columns as {name} or {name:format}, one at least; {{ and }} are braces")
        return template


Source = Annotated[FolderSource | SqlSource, Field(discriminator="kind")]


class Settings(BaseSettings):
    """All settings, frozen. `load()` reads them."""

    model_config = SettingsConfigDict(
        env_prefix="GROUNDTONE_", env_nested_delimiter="__", frozen=True, extra="forbid", env_ignore_empty=True
    )

    home: Path = Path(".groundtone")
    server: Server = Server()
    engine: Engine = Engine()
    knowledge: KnowledgeService = KnowledgeService()
    ledger: Database = Database()
    audit: Database = Database()
    vectors: Vectors = Vectors()
    logs: Logs = Logs()
    traces: Traces = Traces()
    embedder: Embedder = Embedder()
    retention: Retention = Retention()
    reranker: Reranker = Reranker()
    grounding: Grounding = Grounding()
    adapters: Adapters = Adapters()
    assistants: tuple[Assistant, ...] = ()
    policies: tuple[Policy, ...] = ()
    bases: tuple[Base, ...] = ()
    sources: tuple[Source, ...] = ()

    @model_validator(mode="after")
    def _names_are_unique_and_known(self) -> "Settings":
        for kind, names in (
            ("assistants", [a.name for a in self.assistants]),
            ("policies", [p.name for p in self.policies]),
            ("bases", [b.name for b in self.bases]),
            ("sources", [s.name for s in self.sources]),
        ):
            if twice := {name for name in names if names.count(name) > 1}:
                raise ValueError(f"{kind} has {sorted(twice)} more than once; give each a name of its own")
        known = {p.name for p in self.policies} | {"default"}
        for assistant in self.assistants:
            if assistant.policy not in known:
                raise ValueError(
                    f"assistant {assistant.name} names the policy {assistant.policy!r}, which [[policies]] lacks; "
                    f"add it, or name one of {sorted(known)}"
                )
        return self

    @cached_property
    def digest(self) -> str:
        """Changes with any setting: which configuration a process runs with, without telling what is in it."""
        return digest_of(self.model_dump(mode="json"))

    @cached_property
    def ledger_url(self) -> str:
        return self.ledger.address(self.home / "ledger.db")

    @cached_property
    def audit_url(self) -> str:
        return self.audit.address(self.home / "audit.db")

    @cached_property
    def adapters_directory(self) -> Path:
        return self.adapters.directory or self.home / "adapters"

    def assistant(self, name: str) -> Assistant | None:
        return next((assistant for assistant in self.assistants if assistant.name == name), None)

    def policy(self, name: str) -> Policy:
        return next((policy for policy in self.policies if policy.name == name), Policy(name="default"))

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, config_path())


def config_path() -> Path:
    return Path(os.environ.get("GROUNDTONE_CONFIG", "groundtone.toml"))


def load() -> Settings:
    """The settings of this process. Raises `pydantic.ValidationError`, which names each wrong key."""
    settings = Settings()
    if port := os.environ.get("GROUNDTONE_PORT"):
        server = settings.server.model_copy(update={"port": int(port)})
        settings = settings.model_copy(update={"server": server})
    return settings
