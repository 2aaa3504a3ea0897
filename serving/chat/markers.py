"""Citation markers that a model writes: `[1]`, `【2】`, `[^1]`, `[source 1]`, a source's fence, a document's name."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from common.evidence import Evidence
from common.prompt import canonical_order

_MARKER = re.compile(
    r"(?<!!)\[\^?(?:(?i:sources?|docs?|documents?|refs?)[ :]{0,2})?(?P<square>[^\[\]\n]{1,80})\](?!\()"
    r"|【(?P<wide>[^【】\n]{1,80})】"
)
_OPEN = re.compile(r"(?:\[[^\[\]\n]{0,90}\]?|【[^【】\n]{0,90})\Z")
_NUMBERS = re.compile(r"\d{1,3}(?:\s?[,、]\s?\d{1,3})*")
_OPENAI = re.compile(r"\d+(?::\d+)?†.*")
_FENCE = re.compile(r"(?:source )?[0-9a-f]{8}", re.IGNORECASE)
_FILE = re.compile(r"[\w./ -]+\.(?:md|markdown|txt|html?|csv|tsv|json|pdf|docx|pptx|xlsx)", re.IGNORECASE)
_LONGEST = 96


@dataclass(frozen=True, slots=True)
class Marker:
    """A marker at `[start, end)` of a text, and what it points at; nothing where it points nowhere."""

    start: int
    end: int
    evidence: tuple[Evidence, ...]


class Markers:
    """The markers that may stand in one answer: numbers count the sources in the order of the prompt."""

    def __init__(self, evidence: Sequence[Evidence]) -> None:
        self._numbered = canonical_order(evidence)
        self._named: dict[str, list[Evidence]] = {}
        for chunk in self._numbered:
            for name in (chunk.fence, chunk.document, chunk.document.rsplit("/", 1)[-1], chunk.title, chunk.chunk):
                self._named.setdefault(name.casefold(), []).append(chunk)

    def find(self, text: str, start: int, end: int) -> Iterator[Marker]:
        """The markers that begin in `text[start:end]`. Other brackets are none."""
        for found in _MARKER.finditer(text, start):
            if found.start() >= end:
                return
            inner = (found["square"] or found["wide"]).strip()
            if _in_code(text, found.start()):
                continue
            if (pointed := self._pointed(inner)) is not None:
                yield Marker(found.start(), found.end(), pointed)

    def _pointed(self, inner: str) -> tuple[Evidence, ...] | None:
        if named := self._named.get(inner.casefold().removeprefix("source ")):
            return tuple(named)
        if _NUMBERS.fullmatch(inner):
            numbers = [int(number) for number in re.findall(r"\d+", inner)]
            if all(1 <= number <= len(self._numbered) for number in numbers):
                return tuple(self._numbered[number - 1] for number in numbers)
            return ()
        return () if any(shape.fullmatch(inner) for shape in (_OPENAI, _FENCE, _FILE)) else None


def open_marker(text: str) -> int:
    """The index from which the end of `text` may yet become a marker, the space before it included."""
    at = max(text.rfind("[", len(text) - _LONGEST), text.rfind("【", len(text) - _LONGEST))
    if at < 0 or not _OPEN.match(text, at):
        return len(text)
    return at - 1 if text[at - 1 : at] == " " else at


def _in_code(text: str, at: int) -> bool:
    """Whether `at` stands inside backticks, where brackets are an index."""
    return "`" in text and text.count("`", 0, at) % 2 == 1
