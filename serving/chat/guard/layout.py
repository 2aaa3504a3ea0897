"""What an answer lays out in Markdown: a cell is read with its row and its column, an item without its siblings.

Both look only back, so that nothing which follows a cell or an item can change what it says.
"""

import re
from dataclasses import dataclass, replace

from common import figures
from common.figures import Figure, Kind
from serving.chat.guard.sources import readings_of

_ITEM = re.compile(r"(?P<indent>[ \t]*)(?:[-*•・‧●]|\(?\d{1,2}[.)、]|[（(]\d{1,2}[)）])\s*(?=\S)")
_UNIT = re.compile(r"[(（\[]([^()（）\[\]]{1,40})[)）\]]")
_SCALE = re.compile(r"(?:in )?(.*?)\s*(thousand|million|billion|)s?", re.IGNORECASE)
_FAR = 2_000


@dataclass(frozen=True, slots=True)
class Cell:
    """A figure in a table: `text` says its row, its column and its cell as a sentence; `readings` are of that text."""

    text: str
    readings: tuple[Figure, ...]


def cell_of(text: str, figure: Figure) -> Cell | None:
    """The table cell of `text` that `figure` stands in; None where it stands in none, or in a heading."""
    begins = text.rfind("\n", 0, figure.start) + 1
    if not text[begins:].lstrip().startswith("|"):
        return None
    head = begins
    while head > 0 and begins - head < _FAR and text[text.rfind("\n", 0, head - 1) + 1 : head].lstrip().startswith("|"):
        head = text.rfind("\n", 0, head - 1) + 1
    if head == begins:
        return None
    ends = text.find("\n", begins)
    cells = text[begins : ends if ends >= 0 else len(text)].split("|")
    columns = text[head : text.find("\n", head)].split("|")
    at, place = begins, 0
    while at + len(cells[place]) < figure.start:
        at, place = at + len(cells[place]) + 1, place + 1
    column = columns[place].strip(" *") if place < len(columns) else ""
    row = cells[1].strip(" *") if place > 1 else ""
    lead = " ".join(part for part in (row, column) if part)
    units = [unit[1] for unit in _UNIT.finditer(lead)]
    lead = f"{_UNIT.sub('', lead).strip()}: " if lead else ""
    cell = cells[place]
    told = replace(figure, start=len(lead) + figure.start - at, end=len(lead) + figure.end - at)
    return Cell(lead + cell, (told, *(one for unit in units for one in _with_unit(told, unit))))


def _with_unit(figure: Figure, unit: str) -> tuple[Figure, ...]:
    """A bare figure with the unit, currency or scale that its column states: 12.9 under `(kg)`, 51.2 under `($ bn)`."""
    if figure.kind not in (Kind.NUMBER, Kind.MONEY):
        return ()
    lead, scale = _SCALE.fullmatch(unit).groups()  # pyright: ignore[reportOptionalMemberAccess]
    for whole in (
        f"{figure.text} {unit}",
        f"{figure.text}{unit}",
        f"{unit}{figure.text}",
        f"{lead}{figure.text} {scale}",
    ):
        found = figures.find(whole)
        if len(found) == 1 and found[0].text == whole:
            return (replace(found[0], start=figure.start, end=figure.end),)
    return tuple(replace(one, text=f"{figure.text} {unit}") for one in readings_of(figure, f"in {unit}")[1:])


def siblings_skipped(text: str, start: int) -> str:
    """What stands in `text` before the line around `start` without the rows or items that stand beside that line."""
    begins = text.rfind("\n", 0, start) + 1
    line = text[begins:]
    item = _ITEM.match(line)
    if not item and not line.lstrip().startswith("|"):
        return text[:start]
    indent = len(item["indent"]) if item else 0
    kept: list[str] = []
    beside = True
    for other in reversed(text[:begins].split("\n")[:-1]):
        found = _ITEM.match(other)
        if beside and found and item:
            beside = len(found["indent"]) >= indent
            indent = min(indent, len(found["indent"]))
        elif beside and other.lstrip().startswith("|"):
            beside = not item
        elif other.strip() and not (item and other.startswith((" ", "\t"))):
            beside = False
        if not beside:
            kept.append(other)
    return "\n".join([*reversed(kept), text[begins:start]])
