"""DOCX, PPTX and XLSX. All three are zip archives, so what they unpack to is weighed before a library opens them."""

import io
import operator
import re
import zipfile
from collections.abc import Iterator
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any

from retrieval.readers.builder import Builder
from retrieval.readers.encoding import unreadable

MOST_UNPACKED = 512 * 1024 * 1024
"""Bytes that an archive may unpack to."""
MOST_RATIO = 200
"""How far an entry of a MiB or more may be compressed; office XML reaches 20 to 50."""
MOST_ENTRIES = 10_000
MOST_CELLS = 2_000_000

_SECTION = re.compile(r'(?:"[^"]*"|\\.|[^;])+')
_CONDITION = re.compile(r"\[(<=|>=|<>|<|>|=)(-?\d+(?:\.\d+)?)\]")
_COMPARED = {
    "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge, "=": operator.eq, "<>": operator.ne,
}  # fmt: skip
_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"|\\(?P<escaped>.)|\[\$(?P<symbol>[^\]-]*)[^\]]*\]|\[[^\]]*\]|[_*].'
    r"|(?P<digits>General|[0#?][0#?,.]*)|(?P<kept>[%¥$€£円元￥])|."
)


def check_archive(data: bytes) -> None:
    """Raises InvalidRequest for what is no archive, is encrypted, or would unpack to far more than it weighs."""
    try:
        entries = zipfile.ZipFile(io.BytesIO(data)).infolist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
        if data.startswith(b"\xd0\xcf\x11\xe0"):
            raise unreadable(
                "The document is encrypted or in the format of before 2007.",
                "Save it without a password as DOCX, PPTX or XLSX.",
            ) from error
        raise unreadable(
            "The document is damaged or cut off.", "Save it again from its program and send that."
        ) from error
    if any(entry.flag_bits & 1 for entry in entries):
        raise unreadable("The document is encrypted.", "Save it without a password and send it again.")
    bomb = sum(entry.file_size for entry in entries) > MOST_UNPACKED or any(
        entry.file_size >= 1 << 20 and entry.file_size > MOST_RATIO * max(1, entry.compress_size) for entry in entries
    )
    if bomb or len(entries) > MOST_ENTRIES:
        raise unreadable("The document unpacks to far more than it weighs.", "Split it into smaller documents.")


def read_docx(data: bytes, out: Builder) -> None:
    import mammoth

    from retrieval.readers.html import read_html

    check_archive(data)
    read_html(mammoth.convert_to_html(io.BytesIO(data), convert_image=mammoth.images.img_element(_no_image)).value, out)


def _no_image(image: object) -> dict[str, str]:
    """Pictures say nothing to a text index, and as data URLs they would be megabytes."""
    return {}


def read_pptx(data: bytes, out: Builder) -> None:
    """A slide is a page and a section under its title; the speaker's notes follow it."""
    from pptx import Presentation

    check_archive(data)
    presentation = Presentation(io.BytesIO(data))
    out.title = presentation.core_properties.title or None
    slides = list(presentation.slides)
    out.pages = len(slides)
    for out.page, slide in enumerate(slides, 1):
        title = slide.shapes.title
        if title is not None:
            out.heading(title.text_frame.text, 1)
        for shape in _shapes(slide.shapes):
            if title is not None and shape.shape_id == title.shape_id:
                continue
            if shape.has_text_frame:
                lines = [paragraph.text for paragraph in shape.text_frame.paragraphs if paragraph.text.strip()]
                for line in lines:
                    out.item(line) if len(lines) > 1 else out.paragraph(line)
            elif getattr(shape, "has_table", False):
                out.table([[cell.text for cell in row.cells] for row in shape.table.rows])
        if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
            out.paragraph(slide.notes_slide.notes_text_frame.text)


def _shapes(shapes: Any) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def read_xlsx(data: bytes, out: Builder) -> None:
    """A sheet is a section; its first row that fills more than one cell names the columns."""
    from openpyxl import load_workbook

    check_archive(data)
    book = load_workbook(io.BytesIO(data), read_only=True, data_only=True, keep_links=False)
    out.title = book.properties.title or None
    cells = 0
    for sheet in book.worksheets:
        if sheet.sheet_state != "visible":
            continue
        out.heading(sheet.title, 2)  # the workbook's title stands above it
        columns: list[str] | None = None
        sheet.reset_dimensions()
        for row in sheet.iter_rows():
            cells += len(row)
            if cells > MOST_CELLS:
                raise unreadable(
                    "The workbook has too many cells.", f"Split it into parts of at most {MOST_CELLS} cells."
                )
            shown = [_shown(cell.value, cell.number_format if cell.value is not None else "") for cell in row]
            if columns is None and sum(map(bool, shown)) < 2:
                out.paragraph(" ".join(filter(None, shown)))
            elif columns is None:
                columns = shown
            else:
                out.row(columns, shown)


def _shown(value: Any, number_format: str) -> str:
    """A cell as its sheet shows it, in the ways that change what it means: percentages, thousands, dates, units."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).upper()
        case datetime():
            return value.date().isoformat() if value.time() == time() else value.isoformat(" ", "minutes")
        case date() | time():
            return value.isoformat()
        case int() | float():
            return _number(value, number_format)
        case _:
            return str(value)


def _number(value: float, number_format: str) -> str:
    """A number as its format shows it (ECMA-376, 18.8.31), but never rounded: signs, units, `%`, thousands, scale."""
    exact = Decimal(value) if isinstance(value, int) else Decimal(f"{value:.15g}")
    tokens = list(_TOKEN.finditer(_section(exact, number_format)))
    digits = next((token["digits"] for token in tokens if token["digits"]), "")
    whole, _, fraction = digits.partition(".")
    scaled = whole.rstrip(","), fraction.rstrip(",")  # each comma at an end divides by a thousand
    exact = exact.scaleb(
        2 * sum(token[0] == "%" for token in tokens) - 3 * (len(whole + fraction) - len("".join(scaled)))
    )
    exact = exact.normalize() if exact else Decimal(0)
    places = max(scaled[1].count("0"), -int(exact.as_tuple().exponent))
    text = f"{abs(exact):{',' if ',' in scaled[0] else ''}.{places}f}"
    shown = [next(filter(None, (token["quoted"], token["escaped"], token["symbol"], token["kept"])), "")
             for token in tokens]  # fmt: skip
    at = next((n for n, token in enumerate(tokens) if token["digits"]), 0)
    return "".join(["-" if exact < 0 else "", *shown[:at], text, *shown[at:]])


def _section(value: Decimal, number_format: str) -> str:
    """The part of a format that a number falls into; without conditions the first, whose minus sign is Excel's own."""
    sections = _SECTION.findall(number_format)
    for section in sections:
        condition = _CONDITION.search(section)
        if condition is None or _COMPARED[condition[1]](value, Decimal(condition[2])):
            return section
    return sections[-1] if sections else ""
