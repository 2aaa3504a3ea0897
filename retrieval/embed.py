"""Text to vectors: the bundled model, or any OpenAI-compatible endpoint.

Vectors are float32 and of length 1. Questions and passages are embedded apart from each other, so a question never
waits for an ingestion.
"""

import base64
from collections.abc import Collection, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from common import settings
from common.errors import InvalidRequest

Vectors = NDArray[np.float32]

PROBES = (
    "The annual fee of the Gold Card is 11,000 yen.",
    "定期預金の金利は年0.25％です。",
    "信用卡年費為新臺幣3,000元。",
)
_COMPONENTS = 16
_SAME = 0.995


class Embedder(Protocol):
    """What search needs of a model. Safe to call from threads; it blocks, so never call it on an event loop.

    `fingerprint` is its name, its dimension and a sketch of what it makes of `PROBES`: another model has another,
    and vectors of two fingerprints are never mixed.
    """

    fingerprint: str
    dimension: int

    def passages(self, texts: Sequence[str]) -> Vectors:
        """The vectors of `texts` as passages, shape `(len(texts), dimension)`. Raises KnowledgeUnavailable."""
        ...

    def questions(self, texts: Sequence[str]) -> Vectors:
        """The vectors of `texts` as questions, shape `(len(texts), dimension)`. Raises KnowledgeUnavailable."""
        ...


def open_embedder(chosen: settings.Embedding, known: Collection[str] = ()) -> Embedder:
    """The embedder of the settings, probed and ready.

    `known` are fingerprints of earlier days; one that the same model left is taken over as it stands, since another
    processor or GPU may round a last digit differently. Raises KnowledgeUnavailable when an endpoint does not answer,
    and InvalidRequest when the settings don't name one, or name one that makes other vectors than it made then.
    """
    if chosen.kind is settings.EmbedderKind.OPENAI:
        from retrieval.embedders.endpoint import Endpoint

        embedder: Embedder = Endpoint(chosen)
    else:
        from retrieval.embedders.bundled import Bundled

        embedder = Bundled(chosen.revision)
    embedder.fingerprint = recognised(embedder.fingerprint, known)
    return embedder


def recognised(made: str, known: Collection[str]) -> str:
    """The fingerprint to go by: of `known` the one that the same model left, else `made`, which is a new model's.

    Raises InvalidRequest where a model of that name left another one: it was changed behind its name, and its vectors
    can't be compared with those in the ledger.
    """
    for old in known:
        if same_model(old, made):
            return old
    name = _name(made)
    if any(_name(old) == name for old in known):
        raise InvalidRequest(
            f"The embedder {name} makes other vectors than it made before: another model goes by its name.",
            "Bring the old model back; or set [embedder] revision to any new word, and everything is embedded anew.",
        )
    return made


def named(model: str, revision: str | None) -> str:
    """What a fingerprint calls a model: with another revision it is another one."""
    return f"{model}@{revision}" if revision else model


def fingerprint(name: str, probes: Vectors) -> str:
    """`name/dimension/sketch`, for `probes` of shape `(len(PROBES), dimension)`.

    The sketch is some components of each vector in steps of 1/200. A digest would be shorter, but would change with
    the last digit of any component, and endpoints are not exact to the last digit.
    """
    steps = np.clip(np.rint(probes[:, :: max(1, probes.shape[1] // _COMPONENTS)] * 200), -127, 127).astype(np.int8)
    return f"{name}/{probes.shape[1]}/{base64.urlsafe_b64encode(steps.tobytes()).decode()}"


def same_model(one: str, other: str) -> bool:
    """Whether two fingerprints come from one model: name and dimension are equal, and the sketches all but equal."""
    (named, sketch), (other_named, other_sketch) = (text.rpartition("/")[::2] for text in (one, other))
    if named != other_named or len(sketch) != len(other_sketch):
        return False
    a, b = _steps(sketch), _steps(other_sketch)
    return bool(a @ b >= _SAME * np.linalg.norm(a) * np.linalg.norm(b))


def _name(fingerprint: str) -> str:
    return fingerprint.rsplit("/", 2)[0]


def _steps(sketch: str) -> NDArray[np.float64]:
    return np.frombuffer(base64.urlsafe_b64decode(sketch), np.int8).astype(np.float64)
