"""From a document that was read to the chunks that it shall become, and from a chunk to what stands in the indexes."""

from dataclasses import replace

from common.canonical import digest
from common.language import Language
from retrieval.cut import Piece, Strategy, cut, embedded_text
from retrieval.ledger.chunks import Chunk
from retrieval.ledger.staging import Content, Part
from retrieval.text import Document


def cut_by(strategy: Strategy, content: Content) -> Content:
    """`content` with the chunks that `strategy` makes of it."""
    document = Document(content.text, tuple(content.blocks), content.title, Language(content.lang))
    parts = [_part(content.title, piece) for piece in cut(document, strategy)]
    return replace(content, strategy=strategy.label, parts=parts)


def _part(title: str, piece: Piece) -> Part:
    embedded = digest(embedded_text(title, piece).encode())
    return Part(piece.start, piece.end, piece.text, piece.heading, piece.page, embedded)


def embedded_text_of(chunk: Chunk) -> str:
    """What is embedded and indexed for a chunk, as it was when it was cut."""
    return embedded_text(chunk.title, Piece(chunk.start, chunk.end, chunk.text, chunk.heading, chunk.page))
