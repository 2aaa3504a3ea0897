"""Small documents of every format, made on the spot."""

import io
import zipfile

_CONTENT_TYPES = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
    '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
    '<Default Extension="xml" ContentType="application/xml"/><Override PartName="/word/document.xml" ContentType='
    '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
)
_RELATIONS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="r1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" '
    'Target="word/document.xml"/></Relationships>'
)


def _paragraph(text: str, style: str = "") -> str:
    look = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{look}<w:r><w:t>{text}</w:t></w:r></w:p>"


def docx(title: str = "Cards") -> bytes:
    """A heading, a paragraph and a table of two rows."""
    rows = "".join(
        "<w:tr>" + "".join(f"<w:tc>{_paragraph(cell)}</w:tc>" for cell in row) + "</w:tr>"
        for row in (("Card", "Annual fee"), ("Gold", "11,000 yen"))
    )
    body = _paragraph(title, "Heading1") + _paragraph("Fees include tax.") + f"<w:tbl>{rows}</w:tbl>"
    document = (
        '<?xml version="1.0"?><w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main">'
        f"<w:body>{body}</w:body></w:document>"
    )
    return archive({"[Content_Types].xml": _CONTENT_TYPES, "_rels/.rels": _RELATIONS, "word/document.xml": document})


def archive(entries: dict[str, str | bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as file:
        for name, content in entries.items():
            file.writestr(name, content)
    return buffer.getvalue()


def pptx(title: str = "Cards") -> bytes:
    """One slide: a title, two points and a table."""
    from pptx import Presentation
    from pptx.util import Inches

    presentation = Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = title
    slide.placeholders[1].text = "Gold has lounge access\nBasic has none"
    table = slide.shapes.add_table(2, 2, Inches(1), Inches(4), Inches(6), Inches(1)).table
    for (row, column), text in {(0, 0): "Card", (0, 1): "Fee", (1, 0): "Gold", (1, 1): "11,000 yen"}.items():
        table.cell(row, column).text = text
    buffer = io.BytesIO()
    presentation.save(buffer)
    return buffer.getvalue()


def xlsx(title: str = "Fees") -> bytes:
    """A sheet with a price, a percentage and a date, shown as their number formats say."""
    from datetime import date

    from openpyxl import Workbook

    book = Workbook()
    sheet = book.active
    sheet.title = title
    sheet.append(["Card", "Fee", "Reward", "From"])
    sheet.append(["Gold", 11000, 0.004, date(2026, 4, 1)])
    sheet["B2"].number_format = '#,##0" yen"'
    sheet["C2"].number_format = "0.0%"
    book.create_sheet("Draft").sheet_state = "hidden"
    book["Draft"].append(["Secret", "plan"])
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def workbook(rows: list[list[str | tuple[float, str]]]) -> bytes:
    """A sheet of texts, and of numbers each with its number format."""
    from openpyxl import Workbook

    book = Workbook()
    for r, row in enumerate(rows, 1):
        for c, value in enumerate(row, 1):
            cell = book.active.cell(r, c, value if isinstance(value, str) else value[0])
            cell.number_format = "General" if isinstance(value, str) else value[1]
    buffer = io.BytesIO()
    book.save(buffer)
    return buffer.getvalue()


def pdf(pages: list[list[tuple[float, float, float, str]]], encrypted: bool = False) -> bytes:
    """Pages of `(x, y from the top, size, text)`; text beyond Latin is set in a Japanese font."""
    from reportlab.lib.pdfencrypt import StandardEncryption
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.cidfonts import UnicodeCIDFont
    from reportlab.pdfgen.canvas import Canvas

    pdfmetrics.registerFont(UnicodeCIDFont("HeiseiKakuGo-W5"))
    buffer = io.BytesIO()
    canvas = Canvas(buffer, encrypt=StandardEncryption("secret") if encrypted else None)
    for page in pages:
        for x, y, size, text in page:
            canvas.setFont("Helvetica" if text.isascii() else "HeiseiKakuGo-W5", size)
            canvas.drawString(x, 800 - y, text)
        canvas.showPage()
    canvas.save()
    return buffer.getvalue()
