"""Cuts a document into pieces, by one of three strategies.

`facts` cuts along the structure. A list item or table row that states a figure is a piece of its own, under its
headings: it is a fact, and figures that stand side by side get mixed up. Of the rest, a section is a piece where it
fits, because a section is what an author wrote about one thing; one that does not fit is cut between its paragraphs and
items, and only a paragraph that is too long alone is cut inside, between sentences. Nothing is ever cut inside a list
item, a table row or a figure. A piece closes at the first paragraph that makes it long enough, so an edit changes the
piece it stands in and seldom a neighbour, never another section. `sections` is the same without the exception for
facts. `fixed` cuts windows of equal size and knows no structure: what many pipelines do, to compare with.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from common import figures
from common.settings import Splitter
from retrieval.sentences import atoms
from retrieval.text import Block, BlockKind, Document, columns


@dataclass(frozen=True, slots=True)
class Strategy:
    """How to cut. Its label stands beside each revision, so that strategies can be compared and replaced.

    `size` is the target in columns: a Latin character is one, a Chinese or Japanese character two, since it says
    about as much. `overlap` is the share of a piece that is repeated in the next one; along the structure only a long
    paragraph's pieces overlap.
    """

    name: Splitter = Splitter.FACTS
    size: int = 640
    overlap: float = 0.0

    @property
    def label(self) -> str:
        """Name, version of the rules, size, overlap: `facts/1:640`, `fixed/1:640+20%`."""
        repeated = f"+{self.overlap:.0%}" if self.overlap else ""
        return f"{self.name}/{VERSIONS[self.name]}:{self.size}{repeated}"


VERSIONS = {Splitter.FACTS: 1, Splitter.SECTIONS: 1, Splitter.FIXED: 1}
"""Raised with every change of what a strategy gives: documents are cut again then (`retrieval/recut.py`)."""


DEFAULT = Strategy()


@dataclass(frozen=True, slots=True)
class Piece:
    """`[start, end)` of the document's text, the headings above it from the highest on, and the page it begins on."""

    start: int
    end: int
    text: str
    heading: tuple[str, ...]
    page: int | None


def cut(document: Document, strategy: Strategy = DEFAULT) -> list[Piece]:
    """The pieces of `document`, in order. Every block but a heading is in at least one; a heading is in their paths.

    `fixed` makes an exception: headings are in its windows, as text, and a row of a database alone is not cut.
    """
    if strategy.name is Splitter.FIXED:
        return list(_windows(document, strategy))
    pieces: list[Piece] = []
    for heading, blocks in _sections(document):
        for group in _groups(document, blocks, strategy):
            start, end = group[0].start, group[-1].end
            if len(group) == 1 and columns(document.text[start:end]) > strategy.size * 1.5:
                pieces += _inside(document, group[0], heading, strategy)
            else:
                pieces.append(Piece(start, end, document.text[start:end], heading, group[0].page))
    return pieces


def path(title: str, heading: Sequence[str]) -> tuple[str, ...]:
    """Where a piece stands: the document's title, then the headings above it, the title not twice."""
    return (title, *heading) if title and (not heading or heading[0] != title) else tuple(heading)


def embedded_text(title: str, piece: Piece) -> str:
    """What is embedded and indexed: a first line that says where the piece stands, then the piece."""
    return f"{' › '.join(path(title, piece.heading))}\n{piece.text}"


def _sections(document: Document) -> Iterator[tuple[tuple[str, ...], list[Block]]]:
    """The blocks between headings, under their path. A heading with nothing below it is a section of itself."""
    open_headings: list[Block] = []
    blocks: list[Block] = []
    unused: Block | None = None

    def section() -> tuple[tuple[str, ...], list[Block]]:
        return tuple(document.text[block.start : block.end] for block in open_headings), blocks

    for block in document.blocks:
        if block.kind is not BlockKind.HEADING:
            blocks.append(block)
            unused = None
            continue
        if blocks:
            yield section()
            blocks = []
        elif unused is not None and unused.level >= block.level:
            yield section()[0][:-1], [unused]
        while open_headings and open_headings[-1].level >= block.level:
            open_headings.pop()
        open_headings.append(block)
        unused = block
    if blocks:
        yield section()
    elif unused is not None:
        yield section()[0][:-1], [unused]


def _groups(document: Document, blocks: list[Block], strategy: Strategy) -> Iterator[list[Block]]:
    """The blocks of one section, packed."""
    facts = [strategy.name is Splitter.FACTS and _is_fact(document, block) for block in blocks]
    if not any(facts) and columns(document.text[blocks[0].start : blocks[-1].end]) <= strategy.size:
        yield blocks
        return
    group: list[Block] = []
    held = 0
    for i, (block, alone) in enumerate(zip(blocks, facts, strict=True)):
        length = columns(document.text[block.start : block.end])
        if group and (alone or held + length > strategy.size):
            yield group
            group, held = [], 0
        group.append(block)
        held += length
        leads = i + 1 < len(blocks) and blocks[i + 1].kind is BlockKind.LIST_ITEM
        if alone or (held >= strategy.size / 2 and not leads):
            yield group
            group, held = [], 0
    if group:
        yield group


def _is_fact(document: Document, block: Block) -> bool:
    if block.kind not in (BlockKind.LIST_ITEM, BlockKind.TABLE_ROW):
        return False
    return bool(figures.find(document.text[block.start : block.end]))


def _inside(document: Document, block: Block, heading: tuple[str, ...], strategy: Strategy) -> list[Piece]:
    """A block that is too long alone: sentences, packed by LlamaIndex's splitter.

    The splitter is given sentences that are short enough already, so that its own rules, which know neither figures
    nor Japanese, are never reached.
    """
    text = document.text[block.start : block.end]
    if block.kind in (BlockKind.LIST_ITEM, BlockKind.TABLE_ROW, BlockKind.CODE):
        return [Piece(block.start, block.end, text, heading, block.page)]
    from llama_index.core.node_parser import SentenceSplitter

    wide = columns(text) / len(text)
    size = int(strategy.size / wide)
    splitter = SentenceSplitter(
        chunk_size=size,
        chunk_overlap=int(size * strategy.overlap),
        tokenizer=list,
        paragraph_separator="\x00",
        chunking_tokenizer_fn=partial(atoms, longest=size),
        include_metadata=False,
    )
    pieces: list[Piece] = []
    at = 0
    for part in splitter.split_text(text):
        at = text.index(part, max(0, at))
        start = block.start + at
        pieces.append(Piece(start, start + len(part), part, heading, block.page))
        at += max(1, len(part) - splitter.chunk_overlap - size)
    return pieces


def _windows(document: Document, strategy: Strategy) -> Iterator[Piece]:
    """Equal windows over the text, each ending between two words where it can."""
    text, blocks = document.text, document.blocks
    if len(blocks) == 1 and blocks[0].kind is BlockKind.TABLE_ROW:
        yield Piece(blocks[0].start, blocks[0].end, text[blocks[0].start : blocks[0].end], (), blocks[0].page)
        return
    edges = np.cumsum(np.fromiter((1 + (c >= "\u2e80") for c in text), dtype=np.int64, count=len(text)))
    starts = [block.start for block in blocks]
    start = 0
    while start < len(text):
        before = int(edges[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(edges, before + strategy.size, side="right")))
        end = _between_words(text, start, end)
        stripped = text[start:end].strip()
        if stripped:
            at = start + text[start:end].index(stripped)
            holder = blocks[max(0, bisect_right(starts, at) - 1)]
            yield Piece(at, at + len(stripped), stripped, (), holder.page)
        if end == len(text):
            return
        back = int(np.searchsorted(edges, int(edges[end - 1]) - strategy.overlap * strategy.size, side="right"))
        start = max(start + 1, _between_words(text, start, back) if strategy.overlap else end)


def _between_words(text: str, start: int, end: int) -> int:
    """`end`, or the last place before it where no word is cut; a word longer than half of all is cut."""
    for at in range(end, (start + end) // 2, -1):
        if at == len(text) or text[at - 1].isspace() or text[at].isspace() or text[at - 1] >= "\u2e80":
            return at
    return end
