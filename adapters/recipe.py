"""A training recipe: all that decides what an adapter becomes, in one TOML file."""

import tomllib
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any

from adapters.pairs import Facts
from common.canonical import digest_of
from common.errors import InvalidRequest

_PATHS = ("samples", "output")


@dataclass(frozen=True, slots=True)
class Recipe:
    """`samples`, `documents` and `output` are relative to the recipe's folder; `base` is as in groundtone.toml.
    `documents` is a folder, or a list of folders and files.

    A step is `batch` scenes: one set of evidence of at most `chunks` pieces and at most `questions` questions about it
    each. `shorten` is the share of answers that are trained without their closing (see `adapters.tree`).
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

    def digest(self) -> str:
        """Over everything that decides the result: not over where it is written, nor on how many threads."""
        decides = {
            field.name: str(value) if isinstance(value := getattr(self, field.name), Path | Facts | float) else value
            for field in fields(self)
            if field.name not in (*_PATHS, "documents", "threads", "checkpoint_every")
        }
        return digest_of({**decides, "target_modules": list(self.target_modules)})


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
    if not recipe.documents:
        raise ValueError("documents must name a folder or a file")
    if not 0 <= recipe.shorten <= 1:
        raise ValueError("shorten must be between 0 and 1")
