"""HTML as a reader sees it: no scripts, no navigation, nothing hidden."""

import re
from collections.abc import Iterator
from typing import cast

from bs4 import BeautifulSoup, Tag
from bs4.element import NavigableString, PageElement, PreformattedString

from retrieval.readers.builder import Builder
from retrieval.readers.encoding import unreadable

_DEEPEST = 250
_DROPPED = ("script", "style", "template", "noscript", "nav", "iframe", "object", "svg", "button", "select")
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])", re.I
)
_INLINE = frozenset(
    re.findall(
        r"\w+",
        "a abbr b bdi bdo br cite code data del dfn em font i img ins kbd label mark q rp rt ruby s samp small span "
        "strong sub sup time tt u var wbr",
    )
)


def read_html(text: str, out: Builder) -> None:
    soup = BeautifulSoup(text, "lxml")
    _check_depth(soup)
    _drop_unseen(soup)
    if soup.title and soup.title.string:
        out.title = soup.title.string.strip()
    if isinstance(soup.html, Tag):
        out.lang = str(soup.html.get("lang") or "") or None
    walk(soup.body or soup, out)


def text_of_html(fragment: str) -> str:
    """The visible text of a fragment."""
    soup = BeautifulSoup(fragment, "lxml")
    _drop_unseen(soup)
    return soup.get_text(" ", strip=True)


def walk(root: Tag, out: Builder) -> None:
    """The blocks below `root`, in order. Text that stands bare between blocks is a paragraph."""
    loose: list[str] = []

    def flush() -> None:
        out.paragraph("".join(loose))
        loose.clear()

    for child in root.children:
        if not isinstance(child, Tag):
            loose.append(_words(child))
            continue
        name = child.name.lower()
        if name in _INLINE:
            loose.append(_text(child))
            continue
        flush()
        if re.fullmatch(r"h[1-6]", name):
            out.heading(_text(child), int(name[1]))
        elif name == "table":
            out.table([[_text(cell) for cell in row] for row in _rows(child)])
        elif name == "li":
            _item(child, out)
        elif name == "pre":
            out.code(child.get_text())
        elif name == "dl":
            _definitions(child, out)
        elif name not in ("head", "title"):
            walk(child, out)
    flush()


def _check_depth(soup: BeautifulSoup) -> None:
    """Raises InvalidRequest where more blocks stand in each other than a reader could mean."""
    depth = {id(soup): 0}
    for tag in soup.find_all(True):
        depth[id(tag)] = depth[id(tag.parent)] + (tag.name.lower() not in _INLINE)
        if depth[id(tag)] > _DEEPEST:
            raise unreadable("The HTML is nested too deeply.", f"Send it with at most {_DEEPEST} levels.")


def _drop_unseen(soup: BeautifulSoup) -> None:
    for tag in soup.find_all(_DROPPED):
        tag.decompose()
    unseen = [
        tag
        for tag in soup.find_all(True)
        if tag.has_attr("hidden") or tag.get("aria-hidden") == "true" or _HIDDEN.search(str(tag.get("style") or ""))
    ]
    for tag in unseen:
        if not tag.decomposed:
            tag.decompose()


def _words(node: PageElement) -> str:
    """A comment or a declaration is a string to the parser, not to a reader."""
    return str(node) if isinstance(node, NavigableString) and not isinstance(node, PreformattedString) else ""


def _text(tag: Tag) -> str:
    """The tag's text; `<br>` is a line break, and so is each block inside a cell or an item."""
    parts: list[str] = []
    for node in tag.descendants:
        if isinstance(node, Tag):
            name = node.name.lower()
            if name == "img":
                parts.append(str(node.get("alt") or ""))
            elif name == "br" or name not in _INLINE:
                parts.append("\n")
        else:
            parts.append(_words(node))
    return re.sub(r"[^\S\n]+", " ", "".join(parts))


def _rows(table: Tag) -> Iterator[list[Tag]]:
    """The rows of this table and not of the ones inside it. A cell over several columns or rows stands in each."""
    carried: dict[int, tuple[Tag, int]] = {}
    for row in table.find_all("tr"):
        if row.find_parent("table") is not table:
            continue
        cells: list[Tag] = []
        for cell in cast("list[Tag]", row.find_all(("td", "th"), recursive=False)):
            _carry_down(carried, cells)
            span, below = _span(cell, "colspan"), _span(cell, "rowspan") - 1
            for _ in range(span):
                if below:
                    carried[len(cells)] = (cell, below)
                cells.append(cell)
        _carry_down(carried, cells)
        if cells:
            yield cells


def _carry_down(carried: dict[int, tuple[Tag, int]], cells: list[Tag]) -> None:
    while (column := len(cells)) in carried:
        cell, left = carried.pop(column)
        cells.append(cell)
        if left > 1:
            carried[column] = (cell, left - 1)


def _span(cell: Tag, attribute: str) -> int:
    value = str(cell.get(attribute) or "1")
    return min(int(value), 50) if value.isdecimal() and int(value) else 1


def _item(tag: Tag, out: Builder) -> None:
    """An item and, after it, the items of a list inside it."""
    inner = [
        child for child in cast("list[Tag]", tag.find_all(("ul", "ol", "table"))) if child.find_parent("li") is tag
    ]
    for nested in inner:
        nested.extract()
    out.item(_text(tag))
    for nested in inner:
        holder = BeautifulSoup("", "lxml")
        holder.append(nested)
        walk(holder, out)


def _definitions(tag: Tag, out: Builder) -> None:
    """Each term with its definition, as one item."""
    term = ""
    for child in cast("list[Tag]", tag.find_all(("dt", "dd"))):
        if child.name == "dt":
            term = _text(child).strip()
        else:
            out.item(f"{term}: {_text(child).strip()}" if term else _text(child))
