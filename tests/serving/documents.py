"""Documents and answers about them, written in one text file a set, each figure marked by hand.

`=== name` opens a document, Markdown until the first question; or a file of the shared data, and after `@` a piece of
each of its chunks that were found. `? question` opens an answer. `{+5%}` is carried by the evidence, `{=5%}` follows
from figures of the answer, `{-5%}` has a wrong value, `{!5%}` is of something else. What the rules are known to get
wrong is marked by `{~5%}` (right, and held) and `{?5%}` (wrong, and passed).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from common.evidence import Evidence
from common.language import language_of
from retrieval.cut import cut, path
from retrieval.read import media_type_of, read

SETS = sorted(Path(__file__).with_name("documents").glob("*.txt"))
SHARED = Path(__file__).parents[3] / "shared/data/pdf"
_MARK = re.compile(r"\{([+=~!?-])([^{}]*)\}")


@dataclass(frozen=True, slots=True)
class Marked:
    """An answer, and where its figures stand: start, end, and the mark of each."""

    name: str
    evidence: tuple[str, str]
    question: str
    text: str
    spans: tuple[tuple[int, int, str], ...]

    @property
    def shared(self) -> bool:
        """Whether its document is one of the shared data."""
        return self.evidence[1].startswith("@")


def answers(file: Path) -> Iterator[Marked]:
    """The answers of one set."""
    for part in re.split(r"^=== ", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        document, *asked = re.split(r"^\? ", part, flags=re.MULTILINE)
        name, _, body = document.partition("\n")
        for i, one in enumerate(asked):
            question, _, answer = one.strip().partition("\n")
            yield Marked(f"{file.stem}-{name}-{i}", (name, body), question, *_marked(answer))


def _marked(answer: str) -> tuple[str, tuple[tuple[int, int, str], ...]]:
    text, at, spans = "", 0, list[tuple[int, int, str]]()
    for mark in _MARK.finditer(answer):
        text += answer[at : mark.start()]
        spans.append((len(text), len(text) + len(mark[2]), mark[1]))
        text, at = text + mark[2], mark.end()
    return text + answer[at:], tuple(spans)


def evidence(name: str, body: str) -> tuple[Evidence, ...]:
    """The chunks of a document, or those of a shared file that hold one of the pieces in `body`."""
    if not body.startswith("@"):
        return chunks(name, body.encode())
    found = chunks(name)
    pieces = [line.removeprefix("@ ") for line in body.strip().split("\n")]
    return tuple(next(one for one in found if piece in one.text) for piece in pieces)


@cache
def chunks(name: str, content: bytes | None = None) -> tuple[Evidence, ...]:
    """A document as the knowledge base reads and cuts it."""
    media = media_type_of(name)
    assert media
    whole = read((SHARED / name).read_bytes() if content is None else content, media)
    title = whole.title or name
    return tuple(
        Evidence(
            f"c_{i}", "sha256:0", "documents", name, 1, title, path(title, piece.heading), piece.text,
            (piece.start, piece.end), piece.page, str(language_of(whole.text)), i, 0.8, f"{i:08x}",
        )
        for i, piece in enumerate(cut(whole))
    )  # fmt: skip
