"""Intake: a document as it was sent to content that can be published. What publishes it cuts it."""

from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from common.canonical import digest, digest_of
from common.errors import InvalidRequest
from common.language import language_of
from retrieval.ledger.snapshots import moment
from retrieval.ledger.staging import Content
from retrieval.read import read
from retrieval.readers.builder import clean, one_line
from retrieval.readers.encoding import unreadable
from retrieval.suspicion import suspicion
from retrieval.text import Block, BlockKind, Document

LONGEST_NAME = 512


@dataclass(frozen=True, slots=True)
class Sent:
    """A document's bytes and what was said about them. Without a title the document's own is taken, or its id."""

    data: bytes
    media_type: str
    title: str | None = None
    lang: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict[str, Any])
    effective_from: float | None = None
    effective_until: float | None = None


def identity(sent: Sent) -> str:
    """A digest of all that was sent: two of the same, cut by the same strategy, make the same chunks."""
    said = {name: getattr(sent, name) for name in Sent.__slots__ if name != "data"}
    return digest_of(said | {"digest": digest(sent.data)})


def take(name: str, sent: Sent) -> Content:
    """Reads a document. Raises InvalidRequest or UnsupportedMedia for what can't be read; may take seconds.

    Effective dates that were sent with it go before those that it names itself.
    """
    _check_dates(sent)
    document = read(sent.data, sent.media_type, title=sent.title, lang=sent.lang)
    from_, until = document.effective
    if from_ and sent.effective_from is None:
        sent = replace(sent, effective_from=moment(from_, "effective_from"))
    if until and sent.effective_until is None:
        sent = replace(sent, effective_until=moment(until, "effective_until"))
    _check_dates(sent)
    return _content(name, sent, document)


def take_row(name: str, sent: Sent) -> Content:
    """Takes a row of a database, whose text is in `sent.data`: one fact, and never cut. Raises InvalidRequest."""
    _check_dates(sent)
    text = clean(sent.data.decode()).strip()
    if not text:
        raise unreadable("The row holds no text.", "Check the source's template and query.")
    document = Document(
        text, (Block(BlockKind.TABLE_ROW, 0, len(text)),), one_line(sent.title or ""), language_of(text)
    )
    return _content(name, sent, document)


def _check_dates(sent: Sent) -> None:
    if not (sent.effective_from is None or sent.effective_until is None or sent.effective_from < sent.effective_until):
        raise InvalidRequest(
            "The document would never be in force.", "Let effective_until be later than effective_from.",
            param="effective_until",
        )  # fmt: skip


def _content(name: str, sent: Sent, document: Document) -> Content:
    return Content(
        title=document.title or PurePosixPath(name).stem,
        lang=document.lang,
        media_type=sent.media_type,
        text=document.text,
        digest=digest(sent.data),
        identity=identity(sent),
        blocks=document.blocks,
        metadata=suspicion(document.text, sent.data).noted_in(sent.metadata),
        effective_from=sent.effective_from,
        effective_until=sent.effective_until,
    )


def check_name(name: str) -> str:
    """A document's id as clients may choose it: slashes are fine, what a reader can't see is not."""
    if not 1 <= len(name) <= LONGEST_NAME or not name.isprintable():
        raise InvalidRequest(
            "The document's id is not usable.", f"Use 1 to {LONGEST_NAME} printable characters.", param="document"
        )
    return name
