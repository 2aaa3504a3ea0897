"""`groundtone adapter evaluate`: what a version does to the base model's answers, and whether it may be heard."""

import json
import subprocess
import time
import tomllib
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from serving.cli.client import Client, ServiceError
from serving.cli.command import Cli, Exit, Usage, command, existing_file

if TYPE_CHECKING:
    from adapters.evaluation.asks import Ask, Voice
    from adapters.evaluation.evaluation import Evaluation
    from adapters.recipe import Recipe

_LOADED = "already been loaded"
_TOLD = ("base_model", "base_model_digest", "data_digest", "recipe_digest", "prompt_format", "facts", "seed", "steps")


def register(app: typer.Typer) -> None:
    command(app, "evaluate")(evaluate)


def evaluate(
    cli: Cli,
    version: Annotated[str, typer.Argument(metavar="VERSION|FOLDER", help="name@digest, or what training wrote.")],
    recipe: Annotated[Path, typer.Option("--recipe", metavar="FILE", help="The recipe: firm and documents.")],
    rules: Annotated[
        Path | None, typer.Option("--rules", metavar="FILE", help="Tone and terms; glossary.toml beside the recipe.")
    ] = None,
    engine: Annotated[
        str | None, typer.Option("--engine", metavar="URL", help="vLLM; by default the one here.")
    ] = None,
    pieces: Annotated[int, typer.Option("--pieces", min=1, max=8, help="Pieces of evidence a question.")] = 1,
    n: Annotated[int, typer.Option("-n", min=1, help="Cases a metric and language.")] = 300,
    streams: Annotated[int, typer.Option("--streams", min=1, help="Questions at a time.")] = 32,
    seed: Annotated[int, typer.Option("--seed", help="Another one draws other questions and figures.")] = 20261122,
) -> None:
    """Measure a version against the base model, keep the result with it, and say whether its gate is passed."""
    from adapters import Registry
    from adapters.artefact import artefact_digest
    from adapters.evaluation.evaluation import PLOT, with_exposure
    from adapters.evaluation.gate import failed
    from adapters.files import keep
    from common.errors import GroundtoneError

    registry = Registry.of(cli.settings)
    folder = Path(version)
    try:
        path = folder if folder.is_dir() else registry.version(version).path
        digest = artefact_digest(path)
    except (GroundtoneError, OSError) as wrong:
        raise Usage(f"`{version}` is neither a version of this machine's registry nor an adapter's folder.") from wrong
    if not folder.is_dir() and not registry.verify(version):
        raise Usage(f"The stored files of `{version}` are not those that were registered. Register it again.")
    measured_by = _recipe(recipe)
    voice, rules_digest = _voice(measured_by, rules or recipe.parent / "glossary.toml", pieces)
    id = version if not folder.is_dir() else f"{measured_by.name}@{digest.removeprefix('sha256:')[:12]}"
    client = _engine(cli, engine)
    training = _training(path)
    data = measured_by.data_digest()
    if training.get("data_digest", data) != data:
        cli.output.progress(
            "These are not the samples and documents that it was trained on: stale and leak look for facts that it may "
            "never have seen."
        )
    began = time.monotonic()
    exposed = _exposed(cli, path, voice.firm, len(training["canaries"])) if training.get("canaries") else None
    took = time.monotonic() - began
    with _loaded(client, id, path.absolute()) as base:
        result = _measure(cli, client, digest, base, id, voice, n=n, streams=streams, seed=seed)
    told = {key: training[key] for key in _TOLD if key in training}
    about = {**result.about, "measured_data_digest": data, "rules_digest": rules_digest, "trained": told}
    result = replace(result, about=about)
    if exposed:
        result = with_exposure(result, exposed, took)
    below = failed(result, cli.settings.adapters.gate)
    if folder.is_dir():
        keep(path, result, id)
    else:
        registry.evaluated(id, result)
    # Replaced and not written: what was registered with one is read-only.
    scratch = path / f".{PLOT}"
    scratch.write_text(_plot(result, id), encoding="utf-8")
    scratch.replace(path / PLOT)
    wire = {"version": id, **result.to_wire(), "gate": {"passed": not below, "failed": below}}
    cli.output.document(wire)
    _tell(cli, result, id, below)
    if below:
        raise Exit(Exit.NO)


def _measure(
    cli: Cli, client: Client, digest: str, base: str, id: str, voice: "Voice", *, n: int, streams: int, seed: int
) -> "Evaluation":
    from adapters.evaluation.asks import asks
    from adapters.evaluation.evaluation import Evaluation
    from adapters.evaluation.evaluation import evaluate as measured
    from adapters.evaluation.journal import Journal

    asked = list(asks(voice, n, seed))
    journal = Journal(cli.home.path / "evaluations" / f"{id}.jsonl")
    took: list[float] = []

    def ask(one: "Ask") -> tuple[str, float]:
        body = {
            "model": base if one.base else id,
            "messages": list(one.messages),
            "temperature": 0,
            "max_tokens": one.most,
        }
        answer = journal.get(body)
        if answer is None:
            began = time.monotonic()
            said = client.post("/v1/chat/completions", body)["choices"][0]["message"]["content"] or ""
            answer = str(said), time.monotonic() - began
            journal.keep(body, *answer)
        took.append(answer[1])
        if len(took) % 50 == 0:
            cli.output.progress(f"{len(took)} of {len(asked)} answers")
        return answer

    adapter, plain = measured(asked, ask, streams)
    journal.forget()
    about = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        # Of all answers, whether they were given now or before a run was broken off.
        "seconds": round(sum(took) / streams, 1),
        "answers": len(asked),
        "base_model": base,
        "n": n,
        "pieces": voice.pieces,
        "streams": streams,
        "seed": seed,
    }
    return Evaluation(digest, adapter, plain, about)


def _training(path: Path) -> dict[str, Any]:
    """What training says of itself; empty for an adapter that says nothing."""
    try:
        return json.loads((path / "training.json").read_bytes())
    except (OSError, ValueError):
        return {}


def _exposed(cli: Cli, path: Path, firm: str, count: int) -> dict[str, Any]:
    """What `adapters.exposed` finds, as a process in the engine's environment."""
    from serving.cli.adapter import engine_python
    from serving.supervisor.plan import ROOT

    cli.output.progress(f"{count} canaries")
    command = [str(engine_python()), "-m", "adapters.exposed", str(path.absolute()), "--firm", firm]
    command += ["--base", cli.settings.engine.base_model, "--home", str(cli.home.path.absolute())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        cli.fail(Exit.NO, f"The canaries could not be looked for: {done.stderr.strip()[-500:]}")
    return json.loads(done.stdout)


def _plot(result: "Evaluation", id: str) -> str:
    """Every metric of every language with its interval; the base model's in another colour."""
    from adapters.evaluation.evaluation import METRICS
    from retrieval.evaluation.plot import Bar, bars

    drawn = [
        Bar(f"{metric}, {lang}{who}", share.value, share.low, share.high, marked=bool(who))
        for metric in METRICS
        for who, side in (("", result.adapter), (" (base)", result.base))
        for lang in sorted(side, key=lambda lang: (lang == "all", lang))
        if (share := side[lang].get(metric)) and share.n
    ]
    return bars(f"{id}: shares and their 95 % intervals", drawn)


def _recipe(path: Path) -> "Recipe":
    from adapters.recipe import read_recipe
    from common.errors import GroundtoneError

    try:
        return read_recipe(existing_file(path))
    except GroundtoneError as wrong:
        raise Usage(str(wrong)) from None


def _voice(recipe: "Recipe", rules: Path, pieces: int) -> tuple["Voice", str]:
    """What is asked about, and the digest of the rules that answers are held against."""
    from adapters.documents import read_documents
    from adapters.evaluation.asks import Voice
    from adapters.samples import FormSample, read_samples
    from common.canonical import digest

    raw = existing_file(rules).read_bytes()
    try:
        table = tomllib.loads(raw.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as wrong:
        raise Usage(f"`{rules}` is no TOML: {wrong}.") from None
    unseen = recipe.samples.with_name("unseen.jsonl")
    samples = read_samples(unseen if unseen.is_file() else recipe.samples)
    forms = [sample for sample in samples if isinstance(sample, FormSample)]
    return Voice(recipe.firm, read_documents(*recipe.documents), table, pieces, forms), digest(raw)


def _engine(cli: Cli, url: str | None) -> Client:
    """The engine itself: the gateway lets nobody choose prompts and adapters."""
    here = ((cli.home.running() or {}).get("parts") or {}).get("engine") or {}
    found = url or here.get("address") or next(iter(cli.settings.engine.urls), None)
    if found is None:
        raise Usage("No engine runs here. Start one with `make up`, or name one with --engine.")
    key = cli.settings.engine.api_key_file
    return Client(found, key.read_text().strip() if key else None)


@contextmanager
def _loaded(client: Client, id: str, path: Path) -> Generator[str]:
    """The base model's name, while the engine serves the adapter as `id`. What it had loaded before stays loaded."""
    served = client.get("/v1/models")["data"]
    base = next(str(model["id"]) for model in served if not model.get("parent"))
    mine = id not in {model["id"] for model in served}
    try:
        if mine:
            client.send("POST", "/v1/load_lora_adapter", body={"lora_name": id, "lora_path": str(path)})
    except ServiceError as refused:
        if _LOADED not in str(refused):
            raise
        mine = False
    try:
        yield base
    finally:
        if mine:
            client.send("POST", "/v1/unload_lora_adapter", body={"lora_name": id})


def _tell(cli: Cli, result: "Evaluation", id: str, below: list[str]) -> None:
    from adapters.evaluation.evaluation import METRICS

    langs = list(result.adapter)
    rows = [
        (metric + whose, *(_shown(side.get(lang, {}).get(metric)) for lang in langs))
        for metric in METRICS
        for whose, side in (("", result.adapter), (", base", result.base))
        if not whose or metric in side["all"]
    ]
    cli.output.table(("metric", *langs), rows, "")
    cli.output.line(f"{id}: {'below its gate in ' + ', '.join(below) if below else 'passed its gate'}")


def _shown(share: Any) -> str:
    return f"{share.value:.3f} ({share.low:.2f}–{share.high:.2f}; {share.n})" if share and share.n else "–"
