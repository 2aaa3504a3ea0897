"""Write the sample PDF, documents/en/guides/lighthouse-guide.pdf, with the same bytes every time."""

from pathlib import Path

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table

TARGET = Path(__file__).parent / "documents/en/guides/lighthouse-guide.pdf"
TITLE = "Lighthouse Private Service"
INTRODUCTION = (
    "A guide for private clients of Kitahama Trust. Valid from 1 July 2026. Fees in yen include consumption tax."
)

# A section is a heading and its blocks: text is a paragraph, a list of rows is a table.
SECTIONS: list[tuple[str, list[str | list[list[str]]]]] = [
    (
        "Lighthouse Private Account",
        [
            "The Lighthouse Private Account is open to clients with assets of 50,000,000 yen or more "
            "at Kitahama Trust. The annual advisory fee of the Lighthouse Private Account is 0.45 % "
            "of the assets, taken in four equal parts.",
            "A client adviser reviews the Lighthouse Private Account with the client every 6 months. "
            "The report is sent within 12 business days of the review.",
        ],
    ),
    (
        "Lighthouse Custody Account",
        [
            "The annual custody fee of the Lighthouse Custody Account is 0.12 % of the value of the "
            "securities, and at least 24,200 yen a year.",
            "A transfer of securities out of the Lighthouse Custody Account costs 3,300 yen a security "
            "and takes 10 business days. Transfers in are free.",
        ],
    ),
    (
        "Lighthouse Currency Exchange",
        [
            "Private clients exchange currencies at the middle rate of the day plus or minus the margin "
            "of the Lighthouse Currency Exchange. The smallest exchange is 200,000 yen.",
            [
                ["Lighthouse Currency Exchange", "Margin"],
                ["US dollar", "0.25 yen"],
                ["Euro", "0.40 yen"],
                ["Pound sterling", "0.65 yen"],
                ["Swiss franc", "0.55 yen"],
            ],
        ],
    ),
    (
        "Lighthouse Safe-Deposit Box",
        [
            "Lighthouse safe-deposit boxes stand in a vault kept for private clients. "
            "The Lighthouse vault is open 9:30–16:00 on business days.",
            [
                ["Lighthouse Safe-Deposit Box", "Inner height", "Annual fee"],
                ["Small", "6 cm", "19,800 yen"],
                ["Medium", "12 cm", "29,700 yen"],
                ["Large", "25 cm", "46,200 yen"],
            ],
            "The replacement of a lost key of a Lighthouse Safe-Deposit Box costs 16,500 yen.",
        ],
    ),
    (
        "Lighthouse Securities Loan",
        [
            "The interest rate of the Lighthouse Securities Loan is 2.10 % a year. The loan is secured by "
            "the client's securities and can reach 55 % of their value.",
            "The smallest Lighthouse Securities Loan is 10,000,000 yen. It can be repaid on any business "
            "day, without a fee, with notice of 5 days.",
        ],
    ),
    (
        "Lighthouse Estate Settlement",
        [
            "The minimum fee of the Lighthouse Estate Settlement is 1,430,000 yen. Kitahama Trust lists "
            "the assets, settles debts and divides the estate among the heirs.",
            "A Lighthouse Estate Settlement with assets in one country takes about 8 months.",
        ],
    ),
    (
        "Lighthouse Desk",
        [
            "The telephone number of the Lighthouse Desk is +81 6 0120 4490. The desk is open "
            "8:30–18:00 on business days, and a client adviser calls back within 2 hours.",
        ],
    ),
]
TABLE_STYLE = [
    ("FONTNAME", (0, 0), (-1, 0), "Helvetica-Bold"),
    ("LINEBELOW", (0, 0), (-1, 0), 0.6, colors.black),
    ("LINEBELOW", (0, 1), (-1, -1), 0.25, colors.grey),
]


def write(target: Path) -> None:
    styles = getSampleStyleSheet()
    story = [Paragraph(TITLE, styles["Title"]), Paragraph(INTRODUCTION, styles["BodyText"])]
    for heading, blocks in SECTIONS:
        flow = [Spacer(1, 6 * mm), Paragraph(heading, styles["Heading2"])]
        for block in blocks:
            if isinstance(block, str):
                flow.append(Paragraph(block, styles["BodyText"]))
            else:
                flow.append(Table(block, style=TABLE_STYLE, hAlign="LEFT", spaceBefore=4, spaceAfter=6))
        story.append(KeepTogether(flow))
    target.parent.mkdir(parents=True, exist_ok=True)
    margin = 25 * mm
    SimpleDocTemplate(
        str(target),
        pagesize=A4,
        leftMargin=margin,
        rightMargin=margin,
        topMargin=margin,
        bottomMargin=margin,
        title=TITLE,
        author="Kitahama Trust",
        invariant=1,
    ).build(story)


if __name__ == "__main__":
    write(TARGET)
