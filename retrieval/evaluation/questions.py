"""Questions with the place of their answer, and when a list of chunks holds it.

An answer is given by its document, and closer by figures that it states or by the passage that it stands in. Chunks are
never named: an id means one cut, and a question must serve to compare cuts.
"""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import Any

from common.errors import InvalidRequest
from common.figures import Figure, find, same
from common.language import language_of
from retrieval.analysis import fold

_SPACE = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"[\n。．！？!?]+|\.(?=\s)")


class Origin(StrEnum):
    """Who asked: a file of the firm's, users who were content with the answer, or a model."""

    FILE = "file"
    RECEIPTS = "receipts"
    DRAFTED = "drafted"


@dataclass(frozen=True, slots=True)
class Question:
    """`document` is None where nothing answers it. `figures` and `passage` are as the document writes them."""

    text: str
    lang: str
    document: str | None
    figures: tuple[str, ...] = ()
    passage: str = ""
    origin: Origin = Origin.FILE

    def to_line(self) -> dict[str, Any]:
        """The question as a line of a file, which `load` reads."""
        line: dict[str, Any] = {"question": self.text, "lang": self.lang, "document": self.document}
        more = {"figures": list(self.figures), "passage": self.passage}
        return line | {name: value for name, value in more.items() if value} | {"source": self.origin}


@dataclass(frozen=True, slots=True)
class Shown:
    """A chunk as it was found: `text` with the headings above it."""

    document: str
    text: str


def load(path: Path, *, answerable: bool = True) -> list[Question]:
    """The questions of a JSON Lines file: `question`, `document`; optional `figures`, `passage`, `lang`, `source`.

    With `answerable` false nothing answers them, and `document` is not read. Other fields are passed over. Raises
    InvalidRequest, which names the line.
    """
    lines = path.read_text(encoding="utf-8-sig").splitlines()
    found = [_question(path.name, i, line, answerable) for i, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise InvalidRequest(f"{path.name} holds no question.", "Write one JSON object a line.")
    return found


def of_receipts(receipts: Iterable[Mapping[str, Any]], knowledge: str) -> Iterator[Question]:
    """Questions whose answer somebody rated `good`, with what it cited; abstentions so rated have no answer.

    A question that follows others in its conversation is left out: alone it may mean nothing.
    """
    for receipt in receipts:
        intent, outcome = receipt["intent"], receipt["outcome"] or {}
        messages = [m for m in intent["body"]["messages"] if m.get("role") == "user"]
        content: Any = messages[0].get("content") if messages else None
        if receipt.get("rating") != "good" or len(messages) != 1 or knowledge not in (intent["knowledge"] or ()):
            continue
        text = content if isinstance(content, str) else "".join(part.get("text") or "" for part in content or ())
        lang = str(language_of(text))
        if receipt["ended"] == "abstained":
            yield Question(text, lang, None, origin=Origin.RECEIPTS)
        elif outcome.get("citations"):
            cited = outcome["citations"][0]
            yield Question(text, lang, cited["document"], passage=cited["text"], origin=Origin.RECEIPTS)


def answered_at(question: Question, found: Sequence[Shown]) -> int | None:
    """The rank, 1 the first, at which `found` holds the whole answer, read from its start; None where it never does."""
    missing = [figure for text in question.figures for figure in find(text)]
    written = [fold(text) for text in question.figures if not find(text)]
    for rank, shown in enumerate(found, 1):
        if shown.document != question.document:
            continue
        if not question.figures:
            if not question.passage or holds(shown.text, question.passage):
                return rank
            continue
        missing, written = _without(missing, _stated(shown.text)), [w for w in written if w not in fold(shown.text)]
        if not missing and not written:
            return rank
    return None


def holds(text: str, passage: str) -> bool:
    """Whether `text` holds half of `passage` or more, counted in characters of whole sentences, spaces aside."""
    parts = [part for part in (_SPACE.sub("", p) for p in _SENTENCE_END.split(passage)) if part]
    squeezed = _SPACE.sub("", text)
    held = sum(len(part) for part in parts if part in squeezed)
    return bool(parts) and 2 * held >= sum(map(len, parts))


@lru_cache(maxsize=20_000)
def _stated(text: str) -> tuple[Figure, ...]:
    """Tuning reads the same chunks again and again."""
    return tuple(find(text))


def _without(wanted: list[Figure], stated: Sequence[Figure]) -> list[Figure]:
    return [figure for figure in wanted if not any(same(figure, other) for other in stated)]


def _question(file: str, number: int, line: str, answerable: bool) -> Question:
    def wrong(what: str, do: str) -> InvalidRequest:
        return InvalidRequest(f"{file}, line {number}: {what}", do)

    try:
        row: Any = json.loads(line)
    except ValueError:
        raise wrong("it is not JSON.", "Write one JSON object a line.") from None
    if not isinstance(row, dict) or not isinstance(row.get("question"), str) or not row["question"].strip():
        raise wrong("there is no question.", 'Write {"question": "…", "document": "…"}.')
    if answerable and not (isinstance(row.get("document"), str) and row["document"]):
        raise wrong("no document is named.", "Name it, or put the question among the unanswerable ones.")
    figures: Any = row.get("figures") or []
    if not isinstance(figures, list) or not all(isinstance(one, str) and one for one in figures):
        raise wrong("`figures` is not a list of texts.", 'Write "figures": ["11,000 yen"].')
    passage, lang, origin = row.get("passage") or "", row.get("lang"), row.get("source", Origin.FILE)
    return Question(
        text=row["question"],
        lang=lang if isinstance(lang, str) else str(language_of(row["question"])),
        document=row["document"] if answerable else None,
        figures=tuple(figures),
        passage=passage if isinstance(passage, str) else "",
        origin=Origin(origin) if origin in set(Origin) else Origin.FILE,
    )
