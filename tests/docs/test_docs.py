"""The docs are tests: what can be set, called, returned or measured stands in them, as it is."""

import json
import re
import tomllib
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any, get_args

import pytest
import typer
from prometheus_client import REGISTRY
from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from common import errors
from common.errors import ErrorCode, GroundtoneError
from common.evidence import WEAK_BELOW
from common.figures import Kind
from common.principal import Scope
from common.settings import FolderSource, Section, Settings, SqlSource
from common.settings import Guard as GuardPolicy
from retrieval.cut import DEFAULT as STRATEGY
from retrieval.ledger.operations import State
from retrieval.read import SUFFIXES
from retrieval.search import EXACT_UP_TO
from retrieval.sources.watch import Status as SourceStatus
from serving import metrics
from serving.access import OPEN_PATHS
from serving.api.adapters import Pointer
from serving.api.operate import NewKey
from serving.app import create_app
from serving.audit.record import Ended
from serving.chat.guard import Status, Verdict
from serving.chat.request import ChatRequest, GroundtoneOptions
from serving.cli.app import app as cli
from serving.home import Home

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [*sorted(DOCS.rglob("*.md")), *(ROOT / name for name in ("README.md", "CHANGELOG.md")),
         *sorted((ROOT / "examples").rglob("*.md"))]  # fmt: skip
PAGES = [page for page in PAGES if page.is_file()]

FENCE = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```$", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
ROW = re.compile(r"^\| *`([^`]+)` *\|(.*)\|$(?!\n\| ---)", re.MULTILINE)


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def sections(text: str) -> dict[str, str]:
    """Each heading's text with what stands below it, up to the next heading of any level."""
    blind = FENCE.sub(lambda block: re.sub(r"(?m)^#", " ", block[0]), text)
    found = list(HEADING.finditer(blind))
    ends = [match.start() for match in found[1:]] + [len(text)]
    return {match[2]: text[match.end() : end] for match, end in zip(found, ends, strict=True)}


def rows(text: str) -> dict[str, list[str]]:
    """The rows of tables whose first cell is code, headings aside: that code, and the other cells."""
    return {match[1]: [cell.strip() for cell in match[2].split(" | ")] for match in ROW.finditer(text)}


def section_of(text: str, start: str) -> str:
    return next(body for heading, body in sections(text).items() if heading.startswith(start))


def tables() -> Iterator[tuple[str, type[BaseModel]]]:
    """Each table of groundtone.toml: the heading that documents it, and its model."""
    for name, field in Settings.model_fields.items():
        default = field.default
        if isinstance(default, Section):
            yield f"`[{name}]`", type(default)
            for inner, value in type(default).model_fields.items():
                if isinstance(value.default, Section):
                    yield f"`[{name}.{inner}]`", type(value.default)
        elif name == "sources":
            yield "`[[sources]]` of kind `folder`", FolderSource
            yield "`[[sources]]` of kind `sql`", SqlSource
        elif default == ():
            yield f"`[[{name}]]`", get_args(field.annotation)[0]


def shown(default: Any) -> str:
    """A default as the tables show it."""
    if default is PydanticUndefined:
        return "required"
    if default is None:
        return "–"
    plain = default.value if isinstance(default, Enum) else str(default) if isinstance(default, Path) else default
    return f"`{json.dumps(plain)}`"


@pytest.mark.parametrize(
    ("heading", "model"), list(tables()), ids=lambda value: value if isinstance(value, str) else ""
)
def test_every_setting_is_documented_with_its_default(heading: str, model: type[BaseModel]) -> None:
    """A key that is missing, gone, or has another default than the page says would mislead an operator."""
    documented = {key: cells[1] for key, cells in rows(section_of(page("configuration.md"), heading)).items()}
    real = {k: shown(f.default) for k, f in model.model_fields.items() if not isinstance(f.default, Section)}
    assert documented == real


def test_every_top_level_key_is_documented() -> None:
    """`home` is the one key outside a table."""
    documented = rows(section_of(page("configuration.md"), "Top level"))
    plain = {k for k, f in Settings.model_fields.items() if not isinstance(f.default, Section | tuple)}
    assert documented.keys() == plain
    assert documented["home"][1] == shown(Settings.model_fields["home"].default)


@pytest.mark.parametrize("name", ["CONFIG", "HOME", "PORT", "URL", "API_KEY", "SECTION__KEY"])
def test_every_environment_variable_is_documented(name: str) -> None:
    """Those that are read beside the settings' own are named, too."""
    assert f"`GROUNDTONE_{name}`" in page("configuration.md")


def test_the_examples_of_the_configuration_are_valid(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is copied from the page starts."""
    monkeypatch.setenv("GROUNDTONE_CONFIG", str(tmp_path / "none.toml"))
    blocks = [match[3] for match in FENCE.finditer(page("configuration.md")) if match[2] == "toml"]
    assert blocks
    for block in [*blocks, (ROOT / "groundtone.toml").read_text()]:
        given = tomllib.loads(block)
        assert given.keys() <= Settings.model_fields.keys()
        Settings(**given)


def leaves(cls: type[GroundtoneError]) -> Iterator[type[GroundtoneError]]:
    yield cls
    for sub in cls.__subclasses__():
        yield from leaves(sub)


def test_every_error_code_is_documented_with_its_status_and_type() -> None:
    """Programs branch on these."""
    table = section_of(page("api.md"), "Errors")
    lines = {(int(s), t, c) for s, t, c in re.findall(r"^\| (\d{3}) \| `(\w+)` \| `(\w+)` \|", table, re.MULTILINE)}
    assert {code for _, _, code in lines} == {code.value for code in ErrorCode}
    concrete = [cls for cls in leaves(GroundtoneError) if cls not in (GroundtoneError, errors.Unavailable)]
    assert {(cls.status, cls.type.value, cls.default_code.value) for cls in concrete} <= lines
    assert {(status, kind) for status, kind, _ in lines} <= {(cls.status, cls.type.value) for cls in concrete}


def test_every_metric_is_documented() -> None:
    """Under the name and type with which Prometheus sees it."""
    assert metrics.REQUEST
    documented = {name: cells[0] for name, cells in rows(page("metrics.md")).items() if name.startswith("groundtone_")}
    real = {f"{m.name}_total" if m.type == "counter" else m.name: m.type for m in REGISTRY.collect()}
    real = {name: kind for name, kind in real.items() if name.startswith("groundtone_")}
    assert {name: kind for name, kind in documented.items() if "{" not in name} == real


def commands(command: Any, path: str) -> Iterator[tuple[str, set[str]]]:
    inner: dict[str, Any] = getattr(command, "commands", {})
    for name, sub in inner.items():
        yield from commands(sub, f"{path} {name}")
    if not inner:
        yield path, {o for p in command.params for o in (*p.opts, *p.secondary_opts) if o.startswith("-")}


def test_every_command_and_option_is_documented() -> None:
    """A section each, and no section for what is gone."""
    text = page("commands.md")
    general = text.partition("\n## ")[0]
    documented = {h.strip("`"): body for h, body in sections(text).items() if h.startswith("`groundtone")}
    real = dict(commands(typer.main.get_command(cli), "groundtone"))
    assert documented.keys() == real.keys()
    for name, options in real.items():
        missing = {o for o in options if f"`{o}" not in documented[name] + general and f" {o} " not in documented[name]}
        assert not missing, f"{name}: {missing}"


def pattern(path: str) -> re.Pattern[str]:
    """A route's path, whatever its parameters are called; a document's id may hold slashes."""
    parts = re.split(r"(\{[^}]+\})", path)
    wide = {"{id}", "{document:path}"}
    return re.compile(
        "".join(r"[^\s`]+" if p in wide else r"[^/:\s`]+" if p[:1] == "{" else re.escape(p) for p in parts)
    )


def routes() -> list[tuple[str, str]]:
    policies = create_app(Settings(), Home(ROOT / "nowhere")).state.policies
    return [*policies, *(("GET", path) for path in OPEN_PATHS)]


def test_every_route_is_documented() -> None:
    """With method and path as a client sends them."""
    named = re.findall(r"`([A-Z]+) (/[^`\s]+)`", page("api.md"))
    missing = [(m, p) for m, p in routes() if not any(m == n and pattern(p).fullmatch(q) for n, q in named)]
    assert not missing


def test_every_route_has_a_curl_line_that_asks_it() -> None:
    """Of method and path; its body is one that the service takes."""
    found = {h.strip("`"): body for h, body in sections(page("api.md")).items() if re.match(r"`[A-Z]+ /", h)}
    assert len(found) > 25
    for heading, body in found.items():
        method, _, path = heading.partition(" ")
        lines = [block[3].replace("\\\n", " ") for block in FENCE.finditer(body) if "curl" in block[3]]
        assert lines, heading
        asked = [re.search(r"\$URL(/[^\s\"?]*)", line) for line in lines]
        assert all(one and pattern(path).fullmatch(one[1]) for one in asked), heading
        told = [re.search(r"-X ([A-Z]+)", line) for line in lines]
        assert all((one[1] if one else "POST" if " -d " in line else "GET") == method
                   for one, line in zip(told, lines, strict=True)), heading  # fmt: skip
        for given in re.findall(r" -d '(.*?)'", "\n".join(lines), re.DOTALL):
            checked = {"/v1/chat/completions": ChatRequest.model_validate_json, "/v1/keys": NewKey.model_validate_json}
            checked["/v1/adapters/{name}/channels/{channel}"] = Pointer.model_validate_json
            checked.get(path, json.loads)(given.encode())


def test_every_request_field_and_scope_is_documented() -> None:
    """The allow-list is a promise: a field that is taken is named."""
    chat = section_of(page("api.md"), "`POST /v1/chat/completions`")
    for field in (*ChatRequest.model_fields, *GroundtoneOptions.model_fields):
        assert f"`{field}`" in chat, field
    for scope in Scope:
        assert f"`{scope}`" in section_of(page("api.md"), "Authentication"), scope


@pytest.mark.parametrize(
    ("words", "name", "heading"),
    [
        (Status, "guard.md", "The status of a figure"),
        (Verdict, "guard.md", "The verdict on an answer"),
        (GuardPolicy, "guard.md", "The policy"),
        (Kind, "guard.md", "What counts as a figure"),
        (Ended, "record.md", "How an answer ends"),
        (SourceStatus, "api.md", "`GET /v1/sources`"),
    ],
)
def test_every_word_of_a_vocabulary_has_its_row(words: type[Enum], name: str, heading: str) -> None:
    """What the service can say of a figure, an answer, a record or a source is explained, and nothing else is."""
    assert rows(section_of(page(name), heading)).keys() == {word.value for word in words}


def test_operations_and_formats_are_documented() -> None:
    """The states of an operation, and every ending that a folder reads."""
    assert all(f"`{state}`" in section_of(page("api.md"), "`GET /v1/operations/{id}`") for state in State)
    assert all(f"`{ending}`" in section_of(page("knowledge.md"), "Formats") for ending in SUFFIXES)


def test_the_numbers_of_search_are_the_codes() -> None:
    """What decides whether an assistant hands over is not left to a page that nobody looks after."""
    assert f"below {WEAK_BELOW}, or below" in section_of(page("knowledge.md"), "Search")
    assert f"Up to {EXACT_UP_TO:,} allowed chunks" in section_of(page("knowledge.md"), "Search")
    assert f"{STRATEGY.size} columns" in section_of(page("knowledge.md"), "Cutting")


def anchors(text: str) -> set[str]:
    """GitHub's names of a page's headings."""
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in sections(text)}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    """Within the repository: to a file that is there, and to a heading that it has."""
    text = FENCE.sub("", path.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        there = (path.parent / file).resolve() if file else path
        assert there.exists(), target
        if anchor and there.suffix == ".md":
            assert anchor in anchors(there.read_text(encoding="utf-8")), target


MEASURED = re.compile(
    r"\bp(?:50|90|95|99)\b|\d ?(?:ms|µs)\b|\d ?tok(?:ens)?/s|passages/s|queries/s|\brecall@\d|\bnDCG\b"
)


@pytest.mark.parametrize("path", [p for p in PAGES if p.name != "CHANGELOG.md" and "decisions" not in p.parts],
                         ids=lambda path: path.relative_to(ROOT).as_posix())  # fmt: skip
def test_a_measurement_stands_with_its_command(path: Path) -> None:
    """A figure of a benchmark is quoted in the section that names the command behind it, or not at all."""
    for heading, body in sections(path.read_text(encoding="utf-8")).items():
        if MEASURED.search(body):
            assert re.search(r"benchmarks[./]\w+|make bench|knowledge (evaluate|tune)", body), heading


def test_the_index_names_every_page() -> None:
    """A page that nobody finds is not documentation."""
    index = page("README.md")
    assert all(f"]({path.name})" in index for path in DOCS.glob("*.md") if path.name != "README.md")
