"""Writes the sample's PDF, DOCX, PPTX and XLSX from the Markdown in office/, with the same bytes every time.

python examples/kitahama/make_office.py [FOLDER]

`office/NAME.pdf.md` becomes `documents/NAME.pdf`. Of Markdown it knows what the sample uses: a title, sections,
paragraphs, lists, tables, and `---` where a page ends. Needs reportlab, python-pptx and openpyxl.
"""

import io
import re
import sys
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

HERE = Path(__file__).parent
MADE = datetime(2026, 10, 1)
AUTHOR = "Kitahama Trust"
_AMOUNT = re.compile(r"([\d,]+)( yen|円)")


@dataclass
class Section:
    """A block is a paragraph, a list of items, or the rows of a table. `page`: it begins a page."""

    heading: str
    page: bool
    blocks: list[Any] = field(default_factory=list)


def parse(text: str) -> list[Section]:
    """The title with what stands below it, then each section."""
    sections: list[Section] = []
    page = False
    for block in re.split(r"\n\n+", text.strip()):
        lines = block.split("\n")
        if block == "---":
            page = True
        elif block.startswith("#"):
            sections.append(Section(block.lstrip("# "), page))
            page = False
        elif block.startswith("|"):
            rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
            sections[-1].blocks.append([rows[0], *rows[2:]])
        elif block.startswith("- "):
            sections[-1].blocks.append([line[2:] for line in lines])
        else:
            sections[-1].blocks += lines
    return sections


def is_table(block: Any) -> bool:
    return not isinstance(block, str) and isinstance(block[0], list)


def pdf(sections: list[Section], lang: str) -> bytes:
    from reportlab.lib import colors
    from reportlab.lib.pagesizes import A4
    from reportlab.lib.styles import getSampleStyleSheet
    from reportlab.lib.units import mm
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfbase.pdfmetrics import registerFont
    from reportlab.platypus import KeepTogether, PageBreak, Paragraph, SimpleDocTemplate, Spacer, Table

    fonts: Any = import_module("reportlab.pdfbase._cidfontdata")
    styles = getSampleStyleSheet()
    look: list[Any] = [
        ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
        ("LINEBELOW", (0, 0), (-1, 0), 0.6, colors.black),
        ("LINEBELOW", (0, 1), (-1, -1), 0.25, colors.grey),
    ]
    # A font that every reader brings along: nothing is embedded, and the letters stay text.
    if font := {"ja": "HeiseiKakuGo-W5", "zh-TW": "MSung-Light"}.get(lang):
        fonts.defaultUnicodeEncodings["MSung-Light"] = ("cht", "UniCNS-UCS2-H")  # reportlab names Simplified Chinese
        registerFont(UnicodeCIDFont(font))
        look[0] = ("FONTNAME", (0, 0), (-1, -1), font)
        for style in ("Title", "Heading2", "BodyText"):
            styles[style].fontName, styles[style].wordWrap = font, "CJK"
    title, *rest = sections
    story: list[Any] = [Paragraph(title.heading, styles["Title"])]
    story += [Paragraph(str(block), styles["BodyText"]) for block in title.blocks]
    for section in rest:
        flow: list[Any] = [Spacer(1, 6 * mm), Paragraph(section.heading, styles["Heading2"])]
        for block in section.blocks:
            if isinstance(block, str):
                flow.append(Paragraph(block, styles["BodyText"]))
            elif is_table(block):
                flow.append(Table(block, style=look, hAlign="LEFT", spaceBefore=4, spaceAfter=6))
            else:
                flow += [Paragraph(f"• {item}", styles["BodyText"]) for item in block]
        story += [PageBreak()] if section.page else []
        story.append(KeepTogether(flow))
    target = io.BytesIO()
    margins = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), 25 * mm)
    SimpleDocTemplate(
        target, pagesize=A4, **margins, title=title.heading, author=AUTHOR, invariant=1
    ).build(story)  # fmt: skip
    return target.getvalue()


def pptx(sections: list[Section], lang: str) -> bytes:
    """A slide a section."""
    from pptx import Presentation
    from pptx.util import Inches, Pt

    presentation = Presentation()
    properties = presentation.core_properties
    properties.title, properties.author, properties.created, properties.modified = (
        sections[0].heading, AUTHOR, MADE, MADE,
    )  # fmt: skip
    for section in sections:
        tables: list[Any] = list(filter(is_table, section.blocks))
        slide: Any = presentation.slides.add_slide(presentation.slide_layouts[5 if tables else 1])
        slide.shapes.title.text = section.heading
        if not tables:
            slide.placeholders[1].text = "\n".join(str(block) for block in section.blocks)
        for rows in tables:
            shape = slide.shapes.add_table(len(rows), len(rows[0]), Inches(0.5), Inches(2), Inches(9), Inches(3))
            for i, row in enumerate(rows):
                for j, cell in enumerate(row):
                    shape.table.cell(i, j).text = cell
                    shape.table.cell(i, j).text_frame.paragraphs[0].font.size = Pt(16)
    target = io.BytesIO()
    presentation.save(target)
    return same(target.getvalue())


def xlsx(sections: list[Section], lang: str) -> bytes:
    """A sheet a section; amounts are numbers that their format shows with their unit."""
    from openpyxl import Workbook

    title, *rest = sections
    book = Workbook()
    book.remove(book.worksheets[0])
    book.properties.title, book.properties.creator, book.properties.created = title.heading, AUTHOR, MADE
    for section in rest:
        sheet = book.create_sheet(section.heading)
        for block in section.blocks:
            for row in [[block]] if isinstance(block, str) else block:
                sheet.append(list(row))
        for cell in (cell for row in sheet.iter_rows() for cell in row):
            if amount := _AMOUNT.fullmatch(str(cell.value)):
                cell.value, cell.number_format = int(amount[1].replace(",", "")), f'#,##0"{amount[2]}"'
        for column in "ABCD":
            sheet.column_dimensions[column].width = 30
    target = io.BytesIO()
    book.save(target)
    return same(target.getvalue())


_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_OFFICE = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_RELATION = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>'
_PARTS = ("document.main", "styles", "numbering")


def docx(sections: list[Section], lang: str) -> bytes:
    """The few parts of the format that a document needs, written by hand."""
    body = "".join(_section(section, "Heading2" if i else "Heading1") for i, section in enumerate(sections))
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{level}"><w:name w:val="heading {level}"/><w:pPr><w:outlineLvl '
        f'w:val="{level - 1}"/></w:pPr><w:rPr><w:b/><w:sz w:val="{40 - 6 * level}"/></w:rPr></w:style>'
        for level in (1, 2)
    )
    overrides = "".join(
        f'<Override PartName="/word/{part.partition(".")[0]}.xml" ContentType="{_OFFICE}.{part}+xml"/>'
        for part in _PARTS
    )
    numbering = (
        '<w:abstractNum w:abstractNumId="0"><w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="•"/></w:lvl>'
        '</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    )
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default '
        'Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default '
        f'Extension="xml" ContentType="application/xml"/>{overrides}</Types>',
        "_rels/.rels": _relations("officeDocument", "word/document.xml"),
        "word/_rels/document.xml.rels": _relations("styles", "styles.xml", "numbering", "numbering.xml"),
        "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
        "word/styles.xml": f"<w:styles {_W}>{styles}</w:styles>",
        "word/numbering.xml": f"<w:numbering {_W}>{numbering}</w:numbering>",
    }
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, _HEAD + content)
    return same(target.getvalue())


def _relations(*pairs: str) -> str:
    relations = "".join(
        f'<Relationship Id="r{i}" Type="{_RELATION}/{pairs[i]}" Target="{pairs[i + 1]}"/>'
        for i in range(0, len(pairs), 2)
    )
    return f'<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">{relations}</Relationships>'


def _section(section: Section, style: str) -> str:
    text = _paragraph(section.heading, f'<w:pStyle w:val="{style}"/>')
    for block in section.blocks:
        if isinstance(block, str):
            text += _paragraph(block)
        elif is_table(block):
            rows = "".join(
                f"<w:tr>{''.join(f'<w:tc>{_paragraph(cell)}</w:tc>' for cell in row)}</w:tr>" for row in block
            )
            text += f'<w:tbl><w:tblPr><w:tblW w:w="0" w:type="auto"/></w:tblPr>{rows}</w:tbl>'
        else:
            item = '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>'
            text += "".join(_paragraph(str(line), item) for line in block)
    return text


def _paragraph(text: str, look: str = "") -> str:
    return f"<w:p><w:pPr>{look}</w:pPr><w:r><w:t>{escape(text)}</w:t></w:r></w:p>"


def same(data: bytes) -> bytes:
    """An office archive without the time at which it was written."""
    target = io.BytesIO()
    moment = MADE.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(io.BytesIO(data)) as before, zipfile.ZipFile(target, "w") as after:
        for name in before.namelist():
            content = before.read(name)
            if name == "docProps/core.xml":
                content = re.sub(rb"(W3CDTF\">)[^<]+", rb"\g<1>" + moment, content)
            after.writestr(zipfile.ZipInfo(name, MADE.timetuple()[:6]), content, zipfile.ZIP_DEFLATED)
    return target.getvalue()


WRITERS: dict[str, Callable[[list[Section], str], bytes]] = {
    ".pdf": pdf, ".docx": docx, ".pptx": pptx, ".xlsx": xlsx,
}  # fmt: skip


def main(folder: Path) -> None:
    office = HERE / "office"
    for source in sorted(office.rglob("*.md")):
        name = source.relative_to(office).with_suffix("")
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        lang = next(part for part in name.parts if part in ("en", "ja", "zh-TW"))
        target.write_bytes(WRITERS[name.suffix](parse(source.read_text(encoding="utf-8")), lang))
        print(f"wrote {name.as_posix()}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "documents")
