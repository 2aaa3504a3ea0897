"""Bytes and a media type to a `Document`; the one door to all readers.

Every document is untrusted: its size, its nesting, what it unpacks to and the time it takes are bounded, and one that
can't be read is an error that says what to do, never half a document.
"""

import logging
from collections.abc import Callable
from pathlib import PurePath

from common.errors import GroundtoneError, TooLarge, UnsupportedMedia
from common.language import Language, language_of
from retrieval.readers.apart import read_apart
from retrieval.readers.builder import Builder, one_line
from retrieval.readers.encoding import decode, unreadable
from retrieval.text import BlockKind, Document

_log = logging.getLogger(__name__)
MOST_BYTES = 64 * 1024 * 1024
MOST_CHARACTERS = 20_000_000

_OFFICE = "application/vnd.openxmlformats-officedocument"
PDF = "application/pdf"
DOCX = f"{_OFFICE}.wordprocessingml.document"
PPTX = f"{_OFFICE}.presentationml.presentation"
XLSX = f"{_OFFICE}.spreadsheetml.sheet"
_APART = {PDF: "pdf", DOCX: "docx", PPTX: "pptx", XLSX: "xlsx"}

SUFFIXES = {
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".txt": "text/plain",
    ".html": "text/html",
    ".htm": "text/html",
    ".csv": "text/csv",
    ".tsv": "text/csv",
    ".json": "application/json",
    ".pdf": PDF,
    ".docx": DOCX,
    ".pptx": PPTX,
    ".xlsx": XLSX,
}

_TAGS = {
    "zh": Language.TRADITIONAL_CHINESE,
    "zh-hant": Language.TRADITIONAL_CHINESE,
    "zh-hk": Language.TRADITIONAL_CHINESE,
    "zh-mo": Language.TRADITIONAL_CHINESE,
    "zh-tw": Language.TRADITIONAL_CHINESE,
    "zh-hans": Language.SIMPLIFIED_CHINESE,
    "zh-cn": Language.SIMPLIFIED_CHINESE,
    "zh-sg": Language.SIMPLIFIED_CHINESE,
}


def media_type_of(filename: str) -> str | None:
    """The media type that a file's name promises, or None for one that no reader takes."""
    return SUFFIXES.get(PurePath(filename).suffix.lower())


def is_slow(media_type: str) -> bool:
    """Whether reading may take minutes: PDF and office files, each in a process of its own."""
    return media_type.partition(";")[0].strip().lower() in _APART


def read(data: bytes, media_type: str, *, title: str | None = None, lang: str | None = None) -> Document:
    """The document in `data`. `title` and `lang` (BCP 47) go before what the document says of itself.

    Raises UnsupportedMedia for a media type without a reader, TooLarge, and InvalidRequest (`unreadable_document`).
    """
    kind, _, parameters = media_type.partition(";")
    kind = kind.strip().lower()
    if len(data) > MOST_BYTES:
        raise TooLarge("The document is too large.", f"Send one of at most {MOST_BYTES // 2**20} MiB, or split it.")
    out = Builder()
    if reader := _text_reader(kind):
        text = decode(data, _charset(parameters)).replace("\r\n", "\n").replace("\r", "\n")
        try:
            reader(text, out)
        except GroundtoneError:
            raise
        except Exception as error:
            # whatever a parser makes of it: a document that can't be read stops neither its source nor its sender
            _log.warning("a document of type %s could not be read", kind, exc_info=True)
            raise unreadable("The document is damaged or not of its format.", "Save it again and send that.") from error
    elif kind in _APART:
        read_apart(_APART[kind], data, out)
    else:
        known = ", ".join(sorted({*SUFFIXES.values()}))
        raise UnsupportedMedia(f"Documents of type {kind[:80]!r} can't be read.", f"Send one of {known}.")
    return _document(out, title, lang)


def _document(out: Builder, title: str | None, lang: str | None) -> Document:
    text = out.text
    if len(text) > MOST_CHARACTERS:
        raise TooLarge("The document's text is too long.", f"Send at most {MOST_CHARACTERS:,} characters a document.")
    if not text:
        raise unreadable("The document holds no text.", "Check that it is the right file, and not empty.")
    first = out.blocks[0]
    heading = text[first.start : first.end] if first.kind is BlockKind.HEADING and first.level == 1 else ""
    named = one_line(title or heading or out.title or "")
    return Document(text, tuple(out.blocks), named, _language(lang or out.lang, text), out.pages, out.effective)


def _language(tag: str | None, text: str) -> Language:
    """The language of a BCP 47 tag; for one that groundtone has no analysis for, what the script says."""
    tag = (tag or "").strip().replace("_", "-").lower()
    parts = tag.split("-")
    for known in (tag, "-".join(parts[:2])):
        if known in _TAGS:
            return _TAGS[known]
    return {"en": Language.ENGLISH, "ja": Language.JAPANESE}.get(parts[0]) or language_of(text)


def _charset(parameters: str) -> str | None:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip().lower() == "charset":
            return value.strip().strip('"')
    return None


def _text_reader(kind: str) -> Callable[[str, Builder], None] | None:
    """Readers are imported when a document needs them: a process that only searches never pays for them."""
    match kind:
        case "text/markdown" | "text/x-markdown":
            from retrieval.readers.markdown import read_markdown as reader
        case "text/plain":
            reader = _read_plain
        case "text/html" | "application/xhtml+xml":
            from retrieval.readers.html import read_html as reader
        case "text/csv" | "text/tab-separated-values":
            from retrieval.readers.records import read_csv as reader
        case "application/json":
            from retrieval.readers.records import read_json as reader
        case _:
            return None
    return reader


def _read_plain(text: str, out: Builder) -> None:
    """Paragraphs are set apart by empty lines."""
    for paragraph in text.split("\n\n"):
        out.paragraph(paragraph)
