"""What a person and what a program reads. A program gets one JSON document on stdout; all else goes to stderr then."""

import json
import re
import sys
from collections.abc import Sequence
from typing import Any, TextIO

# What could move the cursor, hide or reorder text, or otherwise speak to the terminal instead of the reader.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u200e\u200f]")
_WIDTH_OF_A_PIPE = 200


def plain(text: str) -> str:
    """`text` without terminal control characters: documents and answers are other people's text."""
    return _UNPRINTABLE.sub("", text)


def excerpt(text: str, length: int = 160) -> str:
    """`text` on one line, and no more than the beginning of a long one."""
    words = " ".join(text.split())
    return words if len(words) <= length else words[: length - 1] + "…"


def moment(text: str | None) -> str:
    """An RFC 3339 time in UTC, to the second, for a table."""
    return f"{text[:10]} {text[11:19]}" if text else ""


class Output:
    """One command's output, in JSON or for reading."""

    def __init__(self, as_json: bool) -> None:
        self.as_json = as_json
        self.told = False

    def document(self, document: Any) -> None:
        """The one JSON document; nothing without `--json`."""
        if self.as_json:
            assert not self.told, "one JSON document a command"
            self.told = True
            _write(sys.stdout, json.dumps(document, ensure_ascii=False, indent=2) + "\n")

    def line(self, text: str = "") -> None:
        """A line for a reader; nothing with `--json`."""
        if not self.as_json:
            _write(sys.stdout, plain(text) + "\n")

    def piece(self, text: str) -> None:
        """Text without a line's end, shown at once."""
        if not self.as_json:
            _write(sys.stdout, plain(text))

    def progress(self, text: str) -> None:
        """What is going on, on stderr."""
        _write(sys.stderr, plain(text) + "\n")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[object]], empty: str) -> None:
        """Rows under headings, aligned by the width that characters take on a terminal; `empty` stands in for none."""
        if self.as_json:
            return
        if not rows:
            self.line(empty)
            return
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
        for column in columns:
            table.add_column(column, overflow="fold")
        for row in rows:
            table.add_row(*(Text(plain("" if cell is None else str(cell))) for cell in row))
        width = None if sys.stdout.isatty() else _WIDTH_OF_A_PIPE
        Console(file=sys.stdout, width=width, highlight=False, soft_wrap=False).print(table)


def _write(stream: TextIO, text: str) -> None:
    stream.write(text)
    stream.flush()
