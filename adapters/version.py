"""One immutable adapter version: what it was made from, who registered it and when, what its evaluation comes to."""

import json
from dataclasses import dataclass, fields
from enum import StrEnum
from pathlib import Path
from typing import Any, Self

from adapters.artefact import training_of
from adapters.evaluation import evaluation as evaluations
from adapters.evaluation.evaluation import Evaluation
from adapters.evaluation.gate import failed
from common.errors import InvalidRequest
from common.settings import Gate as Thresholds

FILE = "version.json"
_COMPUTED = ("path", "gate", "failed", "evaluation")
_TOLD = ("recipe", "recipe_digest", "data_digest", "base_model_digest", "prompt_format", "facts", "seed", "steps")


class Gate(StrEnum):
    """How the evaluation ended. `none`: there has been none."""

    PASSED = "passed"
    FAILED = "failed"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Version:
    """`path` is what the engine loads. `by` is the key that registered it; empty where a part of the service did.

    `gate` is what its evaluation comes to under today's thresholds, `failed` are those that it does not reach.
    """

    id: str
    name: str
    digest: str
    created: str
    base_model: str
    path: Path
    by: str = ""
    gate: Gate = Gate.NONE
    failed: tuple[str, ...] = ()
    evaluation: Evaluation | None = None

    @classmethod
    def read(cls, place: Path, thresholds: Thresholds) -> Self:
        """The version in the folder `place`, judged by `thresholds`. Raises FileNotFoundError."""
        stored = json.loads((place / FILE).read_bytes())
        known: dict[str, Any] = {field.name: stored[field.name] for field in fields(cls) if field.name in stored}
        known["path"] = place
        try:
            evaluation = evaluations.read(place)
        except InvalidRequest:
            evaluation = None
        if evaluation is None or evaluation.digest != known["digest"]:
            return cls(**known)
        below = tuple(failed(evaluation, thresholds))
        return cls(**known, gate=Gate.FAILED if below else Gate.PASSED, failed=below, evaluation=evaluation)

    def to_file(self) -> dict[str, Any]:
        """What is kept of it; all else is computed from the other files."""
        return {field.name: getattr(self, field.name) for field in fields(self) if field.name not in _COMPUTED}

    def to_wire(self) -> dict[str, Any]:
        """The contract's shape, with what training says that it was made from."""
        try:
            training = training_of(self.path)
        except InvalidRequest:
            training = {}
        return {
            "id": self.id,
            "created": self.created,
            "by": self.by,
            "base_model": self.base_model,
            "digest": self.digest,
            "training": {key: training[key] for key in _TOLD if key in training},
            "gate": self.gate,
            "metrics": self.evaluation.to_wire()["metrics"] if self.evaluation else {},
            "failed": list(self.failed),
        }
