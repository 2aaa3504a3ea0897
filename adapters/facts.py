"""Which facts a section states, told from its structure: list items, table rows and plain sentences.

A fact is what a question can be about: a subject, an attribute and the figure that answers. What the structure doesn't
tell is left out; a fact more or less is no matter for training, a wrong one is.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from adapters.documents import Chunk
from adapters.redraw import Figure, figures

_ATTRIBUTE_COLUMN = frozenset({"Attribute", "項目", "Item"})
_SENTENCES: dict[str, tuple[re.Pattern[str], ...]] = {
    "en": (
        re.compile(
            r"(?:^|(?<=\. ))The (?P<attribute>[a-z][\w -]*?) (?:of|on) (?:the |an? )?(?P<subject>[A-Z][\w' -]*?) is $"
        ),
        re.compile(r"(?:^|(?<=\. ))(?:The|Its) (?P<attribute>[a-z][\w -]*?) is (?:EUR |USD )?$"),
        re.compile(r"(?:^|(?<=\. ))The (?P<subject>[A-Z][\w' -]*?)(?: in \w+)? is open (?P<hours>)$"),
    ),
    "ja": (
        re.compile(
            r"(?:^|(?<=。))(?:(?P<subject>[^、。\n]+?)の)?(?P<attribute>[^、。の\n]{1,15}[^、。のにでとも\n])は$"
        ),
    ),
    "zh-TW": (
        re.compile(r"(?:^|(?<=[。，；]))(?:(?P<subject>[^，。、\n；]+?)的)?(?P<attribute>[^，。的\n；]{2,12})為$"),
    ),
}
_HOURS = {"en": "opening hours", "ja": "営業時間", "zh-TW": "營業時間"}


@dataclass(frozen=True, slots=True)
class Fact:
    """`figure` is a range of the chunk's text; `attribute` is worded as a sentence would have it.

    `label` is the row of a table of terms, sizes or currencies; `attribute` then names it too.
    """

    subject: str
    attribute: str
    figure: Figure
    label: str = ""


def facts(chunk: Chunk) -> list[Fact]:
    """The facts of `chunk`, in order, each figure once."""
    found: list[Fact] = []
    at = 0
    for line in chunk.text.split("\n"):
        for fact in _of_line(chunk, line):
            moved = Figure(fact.figure.start + at, fact.figure.end + at, fact.figure.kind)
            found.append(Fact(fact.subject, fact.attribute, moved, fact.label))
        at += len(line) + 1
    return found


def labels(chunk: Chunk) -> list[tuple[int, int]]:
    """Ranges that name a thing and must stay as they are: the first cell of each row, and the subject's own words."""
    ranges: list[tuple[int, int]] = []
    at = 0
    for line in chunk.text.split("\n"):
        if ("; " in line and ": " in line) or chunk.heading == ():
            ranges.append((at, at + len(line.split("; ", 1)[0])))
        at += len(line) + 1
    if chunk.subject:
        ranges += [match.span() for match in re.finditer(re.escape(chunk.subject), chunk.text)]
    return ranges


def _of_line(chunk: Chunk, line: str) -> Iterator[Fact]:
    if "; " in line and ": " in line:
        yield from _of_row(chunk, line)
    elif item := re.match(r"([^:：。.]{2,40}?)(?:: |：)", line):
        if inside := [f for f in figures(line) if f.start >= item.end()]:
            yield Fact(chunk.subject, _worded(item[1], chunk.lang), inside[0])
    else:
        for figure in figures(line):
            for pattern in _SENTENCES.get(chunk.lang, ()):
                if said := pattern.search(line[: figure.start]):
                    named = said.groupdict()
                    attribute = named.get("attribute") or _HOURS[chunk.lang]
                    subject = named.get("subject") or chunk.subject
                    yield Fact(subject.removeprefix("the "), _worded(attribute, chunk.lang), figure)
                    break


def _of_row(chunk: Chunk, line: str) -> Iterator[Fact]:
    """A row is about its first cell, unless that one names an attribute, or a kind of what the section is about."""
    cells: list[tuple[str, str, int]] = []
    at = 0
    for cell in line.split("; "):
        column, _, content = cell.partition(": ")
        cells.append((column, content, at + len(column) + 2))
        at += len(cell) + 2
    (first, label, _), *rest = cells
    for column, content, start in rest:
        inside = figures(content)
        if not inside:
            continue
        figure = Figure(start + inside[0].start, start + inside[0].end, inside[0].kind)
        if first in _ATTRIBUTE_COLUMN:
            yield Fact(column, _worded(label, chunk.lang), figure)
        elif chunk.subject and chunk.subject.split(",")[0] in first:
            yield Fact(chunk.subject, qualified(_worded(column, chunk.lang), label, chunk.lang), figure, label)
        else:
            yield Fact(label, _worded(column, chunk.lang), figure)


def qualified(attribute: str, label: str, lang: str) -> str:
    """The attribute of one row: `interest rate for 6 months`."""
    return f"{attribute} for {label}" if lang == "en" else f"{label}{'の' if lang == 'ja' else '的'}{attribute}"


def _worded(attribute: str, lang: str) -> str:
    """A heading's or column's words as they stand inside a sentence: `Monthly fee` is `monthly fee` there."""
    attribute = attribute.strip()
    if lang == "en" and attribute[:1].isupper() and not attribute[1:2].isupper():
        attribute = attribute[0].lower() + attribute[1:]
    return {"effective from": "effective date"}.get(attribute, attribute)
