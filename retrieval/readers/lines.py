"""Lines of words with their places on a page: which of them are tables, and which cell stands under which name."""

import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_AMOUNT = re.compile(r"^[^\w(]{0,2}\(?[^\w\s]{0,2}\d[\d,.]*(?:\s*[%)\w円元年月日%]{1,12})*$|^[—–-]$")
_YEAR = re.compile(r"^(?:19|20)\d\d$")
_TERM = re.compile(
    r"^\d{1,3}\s?(?:years?|months?|weeks?|days?|年|か月|ヶ月|カ月|個月|週間|日|天|歳|歲)$"
    r"|^(?:19|20)\d\d(?:[/–-]\d\d)?年?度?(?:\d{1,2}月(?:期|末|\d{1,2}日)?)?$",
    re.IGNORECASE,
)
_SIGN = re.compile(r"^(?:[$¥€£]|NT\$|US\$)$")
_MARKER = re.compile(r"^(?:\(?[\da-zA-Z]{1,3}[.)]|[•●○■□▪‣・‧◦*†–-])$")
_CJK = r"[\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
_BREAK_IN_CJK = re.compile(rf"{_CJK}\n[\d\u3000-\uffef]|[\d%]\n{_CJK}")
_GAP = 0.8
"""Cells stand further apart than this many times the size of type; words closer, even in justified lines."""


@dataclass(frozen=True, slots=True)
class Cell:
    text: str
    left: float
    right: float


@dataclass(frozen=True, slots=True)
class Line:
    cells: tuple[Cell, ...]
    top: float
    bottom: float
    size: float

    @property
    def text(self) -> str:
        text = ""
        for cell in self.cells:
            text = joined(text, cell.text)
        return text

    @property
    def left(self) -> float:
        return self.cells[0].left


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    left: float
    right: float
    top: float
    bottom: float
    size: float


def joined(text: str, more: str) -> str:
    """Two ends of lines as one text: no space between Chinese, Japanese and their figures, no hyphen inside a word."""
    if not text or _BREAK_IN_CJK.match(f"{text[-1]}\n{more[:1]}"):
        return text + more
    if re.search(r"[a-z]-$", text) and more[:1].islower():
        return text[:-1] + more
    return f"{text} {more}"


def lines_of(words: Sequence[Word]) -> list[Line]:
    """Words in lines from top to bottom; where the page has two columns of prose, the left one first."""
    lines = _lines(words)
    gutter = _gutter(lines)
    if gutter is None:
        return lines
    left = [word for word in words if word.right <= gutter]
    crossing = [word for word in words if word.left < gutter < word.right]
    right = [word for word in words if word.left >= gutter]
    return _lines([*left, *crossing]) + _lines(right)


def _lines(words: Sequence[Word]) -> list[Line]:
    rows: list[list[Word]] = []
    for word in sorted(words, key=lambda word: (word.top + word.bottom) / 2):
        middle = (word.top + word.bottom) / 2
        if rows and middle - _middle(rows[-1]) < 0.45 * max(word.size, rows[-1][0].size):
            rows[-1].append(word)
        else:
            rows.append([word])
    return [_line(sorted(row, key=lambda word: word.left)) for row in rows]


def _middle(row: list[Word]) -> float:
    return (row[0].top + row[0].bottom) / 2


def _line(row: list[Word]) -> Line:
    size = statistics.median(word.size for word in row)
    groups = [[row[0]]]
    for before, word in pairwise(row):
        gap = (word.left - before.right) / size
        marked = before is row[0] and _MARKER.match(before.text)
        together = _SIGN.match(before.text) or word.text in ("%", ")") or marked
        if (gap > _GAP and not together) or (_SIGN.match(word.text) and gap > 0.5 and before.text[-1:].isdigit()):
            groups.append([word])
        else:
            groups[-1].append(word)
    cells = tuple(Cell(_text(group), group[0].left, group[-1].right) for group in groups)
    return Line(cells, min(word.top for word in row), max(word.bottom for word in row), size)


def _text(group: list[Word]) -> str:
    text = group[0].text
    for before, word in pairwise(group):
        touching = word.left - before.right < 0.12 * word.size
        text = text + word.text if touching else joined(text, word.text) if text[-1] != "-" else f"{text} {word.text}"
    return text


def _gutter(lines: Sequence[Line]) -> float | None:
    """Where the gap between two columns of prose is, if most lines have it at one place."""
    split = [line for line in lines if len(line.cells) == 2 and all(len(cell.text) >= 20 for cell in line.cells)]
    if len(split) < 8 or len(split) < 0.4 * len(lines):
        return None
    left, right = max(line.cells[0].right for line in split), min(line.cells[1].left for line in split)
    return (left + right) / 2 if left < right else None


def table_at(lines: Sequence[Line], start: int) -> int:
    """Where the table that begins at `start` ends; `start` itself where none does.

    A table is two or more lines with cells that stand under each other. A line of one cell belongs to it between two
    such lines: the first half of a long label, or a heading over several columns.
    """
    first = lines[start]
    if len(first.cells) == 1 and not (start + 1 < len(lines) and _over_columns(first, lines[start + 1 : start + 5])):
        return start
    end = at = start
    rows = 0
    while at < len(lines) and (at == start or _near(lines[at - 1], lines[at])):
        if len(lines[at].cells) > 1:
            rows += 1
            end = at + 1
        elif at - end >= 2:
            break
        at += 1
    if rows < 2:
        return start
    body = [line for line in lines[start:end] if len(line.cells) > 1]
    amounts = sum(any(_AMOUNT.match(cell.text) for cell in line.cells[1:]) for line in body)
    regular = len(body) >= 3 and len({len(line.cells) for line in body}) == 1 and _aligned(body)
    return end if amounts * 2 >= len(body) or regular else start


def _over_columns(line: Line, below: Sequence[Line]) -> bool:
    """Whether a line of one cell stands over the columns of a table and clear of its labels."""
    table = next((other for other in below if len(other.cells) > 1), None)
    return table is not None and line.left > table.left + 4 * line.size and line.left > table.cells[0].right - line.size


def _near(above: Line, below: Line) -> bool:
    return below.top - above.bottom < 2.0 * below.size and below.top >= above.top


def _aligned(body: Sequence[Line]) -> bool:
    return all(
        max(line.cells[i].left for line in body) - min(line.cells[i].left for line in body) < 2 * body[0].size
        for i in range(len(body[0].cells))
    )


def table_rows(lines: Sequence[Line]) -> list[tuple[list[str], list[str]]]:
    """Each row of a table as `(column names, cells)`; the names are those that stand above the cells."""
    first = next((i for i, line in enumerate(lines) if _is_row(line) and not _heads(line, lines[i + 1 :])), None)
    if first is None:
        first = 1
    head = [cell for line in lines[:first] for cell in line.cells]
    rows: list[tuple[list[str], list[str]]] = []
    label = ""
    for line in lines[first:]:
        if len(line.cells) == 1:
            label = joined(label, line.text)
            continue
        cells = [joined(label, line.cells[0].text), *(cell.text for cell in line.cells[1:])]
        rows.append((_names(line, head), cells))
        label = ""
    if label:
        rows.append(([], [label]))
    return rows


def _is_row(line: Line) -> bool:
    return any(_AMOUNT.match(cell.text) and not _YEAR.match(cell.text) for cell in line.cells[1:])


def _heads(line: Line, below: Sequence[Line]) -> bool:
    """Whether the figures of a line are terms ("1 year", "2026年度") over figures that are none: they name columns."""
    figures = [cell.text for cell in line.cells if _AMOUNT.match(cell.text)]
    under = [cell.text for other in below for cell in other.cells[1:] if _AMOUNT.match(cell.text)]
    terms = len(figures) > 1 and all(_TERM.match(text) for text in figures)
    return terms and bool(under) and not any(_TERM.match(text) for text in under)


def _names(line: Line, head: Sequence[Cell]) -> list[str]:
    """The heading parts over each cell, from the top down. A row's label has a name only where it stands under one."""
    names = [""] * len(line.cells)
    for part in head:
        over = [i for i, cell in enumerate(line.cells) if part.left <= cell.right and cell.left <= part.right]
        if not over:
            middle = (part.left + part.right) / 2
            nearest = min(range(len(line.cells)), key=lambda i: abs(_centre(line.cells[i]) - middle))
            over = [nearest] if abs(_centre(line.cells[nearest]) - middle) < 3 * line.size else []
        for i in over:
            names[i] = joined(names[i], part.text)
    return names


def _centre(cell: Cell) -> float:
    return (cell.left + cell.right) / 2
