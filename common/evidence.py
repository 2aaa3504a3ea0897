"""A chunk as it is put before the model, with all that a citation and a receipt need to name it again."""

from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pydantic import TypeAdapter

WEAK_BELOW = 0.1
"""A question whose best evidence has less confidence than this has no good evidence: the point that refuses about three
in a hundred answerable questions."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """One chunk found for one question.

    `span` is the half-open range of `text` in the document's text at `revision`, in code points. `heading` is the
    path of headings above it, title first. `score` is in 0..1 and comparable between questions. `fence` is the mark
    that encloses the chunk in the prompt: the same for every request, and unknown to the document's author.
    """

    chunk: str
    digest: str
    knowledge: str
    document: str
    revision: int
    title: str
    heading: tuple[str, ...]
    text: str
    span: tuple[int, int]
    page: int | None
    lang: str
    position: int
    score: float
    fence: str


@dataclass(frozen=True, slots=True)
class Reranking:
    """What the reranker did in one search. Where it was not `applied`, the order is the one without it."""

    applied: bool
    candidates: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Findings:
    """What one search found: everything in it belongs to one snapshot. `weak` says that it won't carry an answer.

    `outside` says that the question is about something else than the scope that was named.

    `reranked` is None where no reranker is set, or nothing was there to order.
    """

    snapshot: int
    weak: bool
    evidence: tuple[Evidence, ...]
    reranked: Reranking | None = None
    outside: bool = False

    def to_wire(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> "Findings":
        """Reads `to_wire`'s object, as JSON gives it. Raises ValueError for any other."""
        return _reader().validate_python(wire)


@cache
def _reader() -> "TypeAdapter[Findings]":
    from pydantic import TypeAdapter  # a command that asks for no evidence starts sooner without it

    return TypeAdapter(Findings)
