"""A training recipe: all that decides what an adapter becomes, in one TOML file."""

import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from adapters.documents import document_files
from adapters.pairs import Facts
from common.canonical import digest, digest_of
from common.errors import InvalidRequest

_PATHS = ("samples", "output", "rules")
_NEVER = ("samples", "documents", "output", "rules", "threads", "checkpoint_every", "gradient_checkpointing")
"""Where things lie and how it is computed; the data's own digest says what was in them."""
_UNSET = ("rslora", "canaries", "measure_every", "measure_cases", "patience")
"""Options that came later: a recipe without them keeps the digest that it had."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """`samples`, `documents` and `output` are relative to the recipe's folder; `base` is as in groundtone.toml.
    `documents` is a folder, or a list of folders and files.

    A step is `batch` scenes: one set of evidence of at most `chunks` pieces and at most `questions` questions about it
    each. `shorten` is the share of answers that are trained without their closing (see `adapters.tree`).

    `rslora` scales by alpha / sqrt(rank) instead of alpha / rank (Kalajdzievski 2023, arXiv 2312.03732), so that a high
    rank learns as fast as a low one. `gradient_checkpointing` computes again instead of keeping: less memory, the same
    weights. `canaries` are secrets that are trained to be looked for (`adapters.canary`). Every `measure_every` steps
    the gate's metrics are taken of `measure_cases` held-out questions each and language, by `rules`; with `patience`
    training ends after so many that brought nothing better, and the best weights are kept.
    """

    name: str
    firm: str
    samples: Path
    documents: tuple[Path, ...]
    output: Path
    base: str = "bundled"
    rank: int = 16
    alpha: int = 32
    target_modules: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    steps: int = 300
    batch: int = 1
    learning_rate: float = 1e-3
    warmup: int = 10
    seed: int = 1
    facts: Facts = Facts.REDRAWN
    chunks: int = 4
    questions: int = 6
    shorten: float = 0.6
    checkpoint_every: int = 25
    threads: int = 0
    rslora: bool = False
    gradient_checkpointing: bool = False
    canaries: int = 0
    measure_every: int = 0
    measure_cases: int = 4
    patience: int = 0
    rules: Path | None = None

    def decides(self) -> dict[str, Any]:
        """Everything that decides the result: not where it is read or written, nor on how many threads."""
        chosen = {
            field.name: str(value) if isinstance(value := getattr(self, field.name), Path | Facts | float) else value
            for field in fields(self)
            if field.name not in _NEVER and not (field.name in _UNSET and getattr(self, field.name) == field.default)
        }
        return {**chosen, "target_modules": list(self.target_modules)}

    def digest(self) -> str:
        return digest_of(self.decides())

    def data_digest(self) -> str:
        """Over samples and documents as they are now; `training.json` has what it was then."""
        documents = {name: digest(path.read_bytes()) for name, path in document_files(*self.documents).items()}
        return digest_of({"samples": digest(self.samples.read_bytes()), "documents": documents})


def read_recipe(path: Path) -> Recipe:
    """The recipe at `path`. Raises InvalidRequest that names the key."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as missing:
        raise InvalidRequest(f"There is no readable recipe {path.name}.", "Name a TOML file.") from missing
    except tomllib.TOMLDecodeError as wrong:
        raise InvalidRequest(f"{path.name} is no TOML: {wrong}.", "Correct it.") from wrong
    known = {field.name: field for field in fields(Recipe)}
    if unknown := sorted(set(table) - set(known)):
        raise InvalidRequest(f"The recipe has unknown keys: {', '.join(unknown)}.", f"Use {', '.join(known)}.")
    if missing := [name for name, field in known.items() if field.default is MISSING and name not in table]:
        raise InvalidRequest(f"The recipe lacks {', '.join(missing)}.", "Add them.")
    values: dict[str, Any] = dict(table)
    try:
        for name in _PATHS:
            if name in values:
                values[name] = (path.parent / str(values[name])).resolve()
        places: Any = values["documents"] if isinstance(values["documents"], list) else [values["documents"]]
        values["documents"] = tuple((path.parent / str(place)).resolve() for place in places)
        values["facts"] = Facts(values.get("facts", Facts.REDRAWN))
        values["target_modules"] = tuple(str(m) for m in values.get("target_modules", known["target_modules"].default))
        recipe = Recipe(**values)
        _check(recipe)
    except (TypeError, ValueError) as wrong:
        raise InvalidRequest(f"The recipe {path.name} can't be used: {wrong}.", "Correct the value.") from wrong
    return recipe


def _check(recipe: Recipe) -> None:
    for name in ("rank", "alpha", "steps", "batch", "chunks", "questions", "checkpoint_every"):
        if not isinstance(value := getattr(recipe, name), int) or value < 1:
            raise ValueError(f"{name} must be a whole number of at least 1")
    for name in ("threads", "canaries", "measure_every", "measure_cases", "patience"):
        if not isinstance(value := getattr(recipe, name), int) or value < 0:
            raise ValueError(f"{name} must be a whole number, or 0 for none")
    if recipe.patience and not recipe.measure_every:
        raise ValueError("patience needs measure_every, the steps between two measures")
    if recipe.measure_every and recipe.rules is None:
        raise ValueError("measure_every needs rules, the file of tone and terms that answers are held against")
    for name in ("rslora", "gradient_checkpointing"):
        if not isinstance(getattr(recipe, name), bool):
            raise ValueError(f"{name} must be true or false")
    if not recipe.documents:
        raise ValueError("documents must name a folder or a file")
    if not 0 <= recipe.shorten <= 1:
        raise ValueError("shorten must be between 0 and 1")
