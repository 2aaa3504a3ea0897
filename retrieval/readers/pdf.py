"""PDF: text with page numbers, tables as rows that carry their column names, larger type as headings.

A PDF holds glyphs at places, neither paragraphs nor tables: lines are joined to paragraphs by their distance, and lines
whose words stand in columns are a table. What repeats at the edges of most pages is no text of the document.
"""

import io
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

from common.errors import InvalidRequest
from retrieval.readers.builder import Builder
from retrieval.readers.encoding import unreadable
from retrieval.readers.lines import Line, Word, joined, lines_of, table_at, table_rows

MOST_PAGES = 2_000
_BULLET = re.compile(r"^[•●○■□▪‣・‧◦–-]\s+(?=\S)|^[•●■▪]")
_PAGE_NUMBER = re.compile(r"^(?:(?:page|p\.)\s*)?[\divx]{1,5}(?:\s*(?:of|/)\s*\d+)?$|^[–-]\s*\d+\s*[–-]$", re.I)


def read_pdf(data: bytes, out: Builder) -> None:
    """Raises InvalidRequest for a PDF that is damaged, encrypted, made of pictures, or takes too long."""
    import pdfplumber
    from pdfminer.pdfdocument import PDFEncryptionError, PDFPasswordIncorrect

    if b"%PDF-" not in data[:1024]:
        raise unreadable("The document is no PDF.", "Send it with the media type of its format.")
    try:
        with pdfplumber.open(io.BytesIO(data)) as pdf:
            out.pages = len(pdf.pages)
            if not 0 < out.pages <= MOST_PAGES:
                raise unreadable(f"The PDF has {out.pages} pages.", f"Send one with 1 to {MOST_PAGES} pages.")
            out.title = _title(pdf.metadata)
            pages: list[list[Line]] = []
            for page in pdf.pages:
                pages.append(lines_of(_words(page)))
                page.close()
    except InvalidRequest:
        raise
    except Exception as error:
        # pdfminer walks whatever a damaged file points to, and fails in any way there is
        if any(isinstance(cause, (PDFPasswordIncorrect, PDFEncryptionError)) for cause in (error, *error.args)):
            raise unreadable("The PDF is encrypted.", "Save it without a password and send it again.") from error
        raise unreadable("The PDF is damaged or cut off.", "Open and save it again, then send that.") from error
    _write(pages, out)
    if not out.blocks:
        raise unreadable("The PDF holds no text, only pictures.", "Run it through text recognition (OCR) first.")


def _title(metadata: dict[str, Any] | None) -> str | None:
    title = (metadata or {}).get("Title")
    return title if isinstance(title, str) and title.lower() not in ("untitled", "(anonymous)", "") else None


def _words(page: Any) -> list[Word]:
    if _overprinted(page.chars):
        page = page.dedupe_chars(extra_attrs=())
    words = page.extract_words(extra_attrs=["size"], use_text_flow=False)
    return [
        Word(_letters(w["text"]), w["x0"], w["x1"], w["top"], w["bottom"], max(1.0, float(w["size"]))) for w in words
    ]


def _letters(text: str) -> str:
    """Codes that a font gives no letter: those that its encoding leaves open are bullets (ISO 32000-1, D.2)."""
    return text.replace("(cid:127)", "•")


def _overprinted(chars: Sequence[dict[str, Any]]) -> bool:
    """Whether letters are printed twice at one place, to look bold."""
    places = Counter((char["text"], round(char["x0"]), round(char["top"])) for char in chars if char["text"] != " ")
    return any(times > 1 for times in places.values())


def _write(pages: Sequence[Sequence[Line]], out: Builder) -> None:
    running = _running(pages)
    sizes = Counter(round(line.size, 1) for lines in pages for line in lines for _ in line.text)
    body = sizes.most_common(1)[0][0] if sizes else 0.0
    for out.page, lines in enumerate(pages, 1):
        kept = [line for line in lines if not _PAGE_NUMBER.match(line.text) and _edge_text(line) not in running]
        _Page(kept, body, out).write()


def _running(pages: Sequence[Sequence[Line]]) -> set[str]:
    """The headers and footers: what stands among the first or last two lines of half of the pages, numbers aside."""
    edges = Counter(text for lines in pages for text in {_edge_text(line) for line in (*lines[:2], *lines[-2:])})
    return {text for text, times in edges.items() if len(pages) >= 4 and times * 2.5 >= len(pages)}


def _edge_text(line: Line) -> str:
    return re.sub(r"\d+", "#", line.text)


class _Page:
    """One page's lines into blocks."""

    def __init__(self, lines: Sequence[Line], body: float, out: Builder) -> None:
        self.lines, self.body, self.out = lines, body, out
        self.paragraph = ""

    def write(self) -> None:
        at = 0
        above: Line | None = None
        while at < len(self.lines):
            line = self.lines[at]
            if (end := table_at(self.lines, at)) > at:
                self._close()
                for names, cells in table_rows(self.lines[at:end]):
                    self.out.row(names, cells)
                at, above = end, None
                continue
            self._line(line, above)
            above = line
            at += 1
        self._close()

    def _line(self, line: Line, above: Line | None) -> None:
        if line.size > 1.12 * self.body and len(line.text) < 160:
            self._close()
            self.out.heading(line.text, 1 if line.size > 1.5 * self.body else 2)
            return
        apart = above is not None and (
            line.top - above.bottom > 0.55 * line.size or line.top < above.top or above.size > 1.12 * self.body
        )
        if apart or _BULLET.match(line.text):
            self._close()
        self.paragraph = joined(self.paragraph, line.text)

    def _close(self) -> None:
        if bullet := _BULLET.match(self.paragraph):
            self.out.item(self.paragraph[bullet.end() :])
        else:
            self.out.paragraph(self.paragraph)
        self.paragraph = ""
