"""Builds a document's text block by block, so that no reader counts positions itself."""

import re
import unicodedata
from collections.abc import Sequence

from retrieval.text import Block, BlockKind

_INVISIBLE = re.compile(
    "[\u00ad\u200b\u200c\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\U000e0000-\U000e007f\ud800-\udfff]"
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f]"
    "|(?<=\\w)\u200d"
)
_LINE_BREAKS = re.compile("\r\n?|[\x0b\x0c\x85\u2028\u2029]")
_SPACES = re.compile(r"[^\S\n]+")
_CJK = r"[\u3000-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]"
_BREAK_IN_CJK = re.compile(rf"(?<={_CJK})[ \t]*\n[ \t]*(?={_CJK})")
_BREAK = re.compile(r"[ \t]*\n[ \t\n]*")


def clean(text: str) -> str:
    """NFC, `\\n`, and none of the characters that a person can't see.

    Zero-width and bidirectional controls, and Unicode's tag characters, hide words from a reviewer and digits from the
    guard; no document needs them to say a fact. A joiner stays between emoji, where it does not.
    """
    return unicodedata.normalize("NFC", _INVISIBLE.sub("", _LINE_BREAKS.sub("\n", text)))


def one_line(text: str) -> str:
    """`clean`, on one line: a line break is a space, except between Chinese or Japanese characters."""
    text = _BREAK_IN_CJK.sub("", clean(text).strip())
    return _SPACES.sub(" ", _BREAK.sub(" ", text)).strip()


def row_text(columns: Sequence[str], cells: Sequence[str]) -> str:
    """A table's row as text that carries its column names: `Card: Gold; Annual fee: 11,000 yen`."""
    named = [
        f"{columns[i]}: {cell}" if i < len(columns) and columns[i] and columns[i] != cell else cell
        for i, cell in enumerate(cells)
        if cell
    ]
    return "; ".join(named)


class Builder:
    """Collects blocks; `text` and `blocks` are what a `Document` is made of."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self.blocks: list[Block] = []
        self.title: str | None = None
        self.lang: str | None = None
        self.effective: tuple[str | None, str | None] = None, None
        self.page: int | None = None
        self.pages: int | None = None

    @property
    def text(self) -> str:
        return "".join(self._parts)

    def take(self, text: str, blocks: Sequence[Block]) -> None:
        """Begins with what another builder made."""
        self._parts, self._length, self.blocks = [text], len(text), list(blocks)

    def heading(self, text: str, level: int) -> None:
        self._add(BlockKind.HEADING, one_line(text), level)

    def paragraph(self, text: str) -> None:
        self._add(BlockKind.PARAGRAPH, one_line(text))

    def item(self, text: str) -> None:
        self._add(BlockKind.LIST_ITEM, one_line(text))

    def code(self, text: str) -> None:
        self._add(BlockKind.CODE, clean(text).strip("\n"))

    def row(self, columns: Sequence[str], cells: Sequence[str]) -> None:
        names, values = ([one_line(cell) for cell in line] for line in (columns, cells))
        self._add(BlockKind.TABLE_ROW, row_text(names, values))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """A table whose first row names the columns. A table of one row has none to name."""
        if len(rows) == 1:
            self.row((), rows[0])
        for cells in rows[1:]:
            self.row(rows[0], cells)

    def _add(self, kind: BlockKind, text: str, level: int = 0) -> None:
        if not text.strip():
            return
        if self.blocks:
            close = self.blocks[-1].kind == kind and kind in (BlockKind.LIST_ITEM, BlockKind.TABLE_ROW)
            self._append("\n" if close else "\n\n")
        start = self._length
        self._append(text)
        self.blocks.append(Block(kind, start, self._length, level, self.page))

    def _append(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)
