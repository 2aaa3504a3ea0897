"""The firm's own documents as training evidence: layouts and wordings that the adapter will meet, never the figures.

A plain reading of Markdown, HTML and CSV into sections, in the shape in which the knowledge base gives them: the path
of headings, then prose, list items as lines, table rows as `Column: value; Column: value`. A list item or row with a
figure stands alone, as the knowledge base cuts it. Other formats are left out.
"""

import csv
import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from os.path import commonpath
from pathlib import Path

from adapters.redraw import figures
from common.language import language_of

_MARKDOWN = {".md", ".markdown"}
_HTML = {".html", ".htm"}
_LABELLED = re.compile(r"[^:：。.]{1,40}?(?:: |：)")


@dataclass(frozen=True, slots=True)
class Chunk:
    """A section of a document: what the knowledge base would put before the model as one piece of evidence."""

    document: str
    position: int
    heading: tuple[str, ...]
    text: str
    lang: str

    @property
    def subject(self) -> str:
        return self.heading[-1] if self.heading else ""


def document_files(*places: Path) -> dict[str, Path]:
    """The files in these folders, or at these paths, in order; named from the folder that holds them all."""
    root = Path(commonpath(places))
    inside = {file for place in places for file in (place, *place.rglob("*")) if file.is_file()}
    return {file.relative_to(root.parent if root.is_file() else root).as_posix(): file for file in sorted(inside)}


def read_documents(*places: Path) -> list[Chunk]:
    """The sections of every Markdown, HTML and CSV file in these folders, in the order of their paths."""
    chunks: list[Chunk] = []
    for name, path in document_files(*places).items():
        if path.suffix not in _MARKDOWN | _HTML | {".csv"}:
            continue
        text = path.read_text(encoding="utf-8")
        lines = _html_lines(text) if path.suffix in _HTML else text.splitlines()
        sections = _csv_sections(text) if path.suffix == ".csv" else _apart(_sections(lines))
        lang = str(language_of(text))
        chunks += [Chunk(name, i, heading, body, lang) for i, (heading, body) in enumerate(sections) if body]
    return chunks


def _apart(sections: Iterable[tuple[tuple[str, ...], str]]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Sections with their facts cut off: each line of a list or table that has a figure, and the rest."""
    for heading, body in sections:
        for part in facts_apart(body):
            yield heading, part


def facts_apart(body: str) -> list[str]:
    """`body` in the parts that the knowledge base makes of it: a line that is an item or a row with a figure alone."""
    parts: list[str] = []
    rest: list[str] = []
    for line in body.split("\n"):
        if _LABELLED.match(line) and figures(line):
            parts += [_tidy(rest), line]
            rest = []
        else:
            rest.append(line)
    return [part for part in (*parts, _tidy(rest)) if part]


def _csv_sections(text: str) -> Iterator[tuple[tuple[str, ...], str]]:
    columns, *rows = csv.reader(io.StringIO(text))
    for row in rows:
        yield (), _row(columns, row)


def _sections(lines: list[str]) -> Iterator[tuple[tuple[str, ...], str]]:
    """Markdown by its headings. A table's rows are given with their column names, its rule is dropped."""
    path: list[str] = []
    body: list[str] = []
    columns: list[str] | None = None
    for line in [*lines, "# "]:
        stripped = line.strip()
        if heading := re.match(r"(#{1,6})(?: (.*))?$", stripped):
            yield tuple(path), _tidy(body)
            body, columns = [], None
            path = [*path[: len(heading[1]) - 1], heading[2] or ""]
        elif stripped.startswith("|"):
            cells = [cell.strip() for cell in stripped.strip("|").split("|")]
            if columns is None:
                columns = cells
                body.append("")
            elif not set("".join(cells)) <= set("-: "):
                body.append(_row(columns, cells))
        else:
            columns = None
            item = re.match(r"[-*+] (.*)", stripped)
            body.append(item[1] if item else stripped)


def _row(columns: list[str], cells: list[str]) -> str:
    return "; ".join(f"{column}: {cell}" for column, cell in zip(columns, cells, strict=False) if cell)


def _tidy(lines: list[str]) -> str:
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def _html_lines(text: str) -> list[str]:
    reader = _Html()
    reader.feed(text)
    return reader.lines


class _Html(HTMLParser):
    """The body of a simple page as lines of Markdown; navigation, header and footer are left out."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._words = ""
        self._cells: list[str] = []
        self._hidden = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("nav", "footer", "head", "script", "style"):
            self._hidden += 1
        elif tag in ("table", "ul", "ol"):
            self.lines.append("")

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self._words += data

    def handle_endtag(self, tag: str) -> None:
        words, self._words = " ".join(self._words.split()), ""
        if tag in ("nav", "footer", "head", "script", "style"):
            self._hidden -= 1
        elif re.fullmatch("h[1-6]", tag):
            self.lines += [f"{'#' * int(tag[1])} {words}", ""]
        elif tag == "p" and words:
            self.lines += [words, ""]
        elif tag == "li":
            self.lines.append(f"- {words}")
        elif tag in ("td", "th"):
            self._cells.append(words)
        elif tag == "tr":
            self.lines.append(f"| {' | '.join(self._cells)} |")
            self._cells = []
