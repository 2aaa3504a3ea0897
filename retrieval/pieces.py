"""From pieces of a document to what is staged, and from staged content to the same, cut by another strategy."""

from collections.abc import Sequence
from dataclasses import replace

from common.canonical import digest
from common.language import Language
from retrieval.cut import Piece, Strategy, cut, embedded_text
from retrieval.ledger.staging import Content, Part
from retrieval.text import Document


def parts_of(title: str, pieces: Sequence[Piece]) -> list[Part]:
    """Pieces of a document called `title` as chunks to be."""
    return [
        Part(piece.start, piece.end, piece.text, piece.heading, piece.page, _embedded(title, piece)) for piece in pieces
    ]


def cut_again(content: Content, strategy: Strategy) -> Content:
    """`content` as `strategy` cuts it."""
    if content.strategy == strategy.label:
        return content
    document = Document(content.text, tuple(content.blocks), content.title, Language(content.lang))
    return replace(content, strategy=strategy.label, parts=parts_of(content.title, cut(document, strategy)))


def _embedded(title: str, piece: Piece) -> str:
    return digest(embedded_text(title, piece).encode())
