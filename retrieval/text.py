"""A document as text with structure: what every reader gives and the cutter takes."""

from dataclasses import dataclass
from enum import StrEnum

from common.language import Language


class BlockKind(StrEnum):
    """What a block is to a reader's eye. A list item and a table row are never cut inside."""

    HEADING = "heading"
    PARAGRAPH = "paragraph"
    LIST_ITEM = "list_item"
    TABLE_ROW = "table_row"
    CODE = "code"


@dataclass(frozen=True, slots=True)
class Block:
    """The half-open range `[start, end)` of the document's text, in code points.

    `level` is a heading's rank (1 is the highest), `page` the page it begins on, counted from 1.
    """

    kind: BlockKind
    start: int
    end: int
    level: int = 0
    page: int | None = None


@dataclass(frozen=True, slots=True)
class Document:
    """One revision's normalised text (NFC, `\\n`) and its blocks, in order and without overlap.

    All spans, in citations too, are counted in `text`. `title` is empty when neither the caller nor the document
    names one. `pages` is None for formats without pages. `effective` is from when and until when, as it is written.
    """

    text: str
    blocks: tuple[Block, ...]
    title: str
    lang: Language
    pages: int | None = None
    effective: tuple[str | None, str | None] = None, None


def columns(text: str) -> int:
    """The width of `text`: a Chinese or Japanese character counts as two."""
    return len(text) + sum(character >= "\u2e80" for character in text)
