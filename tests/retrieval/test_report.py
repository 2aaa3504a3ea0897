"""A real annual report of 106 pages is cited by the page on which its words stand."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from retrieval.intake import Sent, take
from retrieval.ledger.staging import Change
from retrieval.publish import Push
from retrieval.read import PDF
from tests.retrieval.house import Chroma, House

REPORT = Path(__file__).parents[3] / "shared/data/pdf/NIKE_2023_10K.pdf"
FACTS = {
    "93-0584541": (2, "Which is the IRS Employer Identification No. of NIKE, Inc., Oregon?"),
    "83,700 employees": (10, "How many employees worldwide, retail and part-time included?"),
    "Heidi O'Neill": (12, "When did Heidi O'Neill join as President of Consumer, Product and Brand?"),
    "21,813 holders": (29, "How many holders of record has the Class B Common Stock?"),
    "6,589": (36, "NIKE Brand wholesale equivalent revenues by: Jordan Brand, fiscal 2023"),
    "910 bps": (39, "By how many bps did the effective tax rate change?"),
    "$5,841 million": (48, "Which inflow of cash was provided by operations in fiscal 2023?"),
    "8,072": (91, "Which accounts receivable, net, had the Total NIKE Brand as of May 31, 2023?"),
}
"""Words that stand on one page only, as another reader finds too: the page, and a question about them."""

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not REPORT.exists(), reason="the shared data, with the report, is not here"),
]


def _pages(data: bytes) -> list[str]:
    """What PDFium reads on each page: it has nothing in common with our reader."""
    import pypdfium2

    with pypdfium2.PdfDocument(data) as document:
        return [document[n].get_textpage().get_text_range() for n in range(len(document))]


def _part(pages: Sequence[int]) -> bytes:
    """A PDF of these pages of the report."""
    import pypdfium2

    out = io.BytesIO()
    with pypdfium2.PdfDocument(REPORT) as whole, pypdfium2.PdfDocument.new() as part:
        part.import_pages(whole, [page - 1 for page in pages])
        part.save(out)
    return out.getvalue()


def _check(data: bytes, page_of: dict[str, int], tmp_path: Path, chroma: str) -> Any:
    read = _pages(data)
    house = House(tmp_path, chroma)
    house.open()
    house.base()
    try:
        change = Change("kb", "report.pdf", take("report.pdf", Sent(data, PDF)))
        house.knowledge.publisher.push(Push(house.me, [change], "The report")).result(600)
        for words, page in page_of.items():
            assert [n for n, text in enumerate(read, 1) if words in text] == [page]
            found = house.search(FACTS[words][1], top_k=50).evidence
            cited = [one for one in found if words in one.text]
            assert cited, words
            assert {one.page for one in cited} == {page}
    finally:
        house.close()


def test_pages_of_an_annual_report_are_cited_by_their_numbers(tmp_path: Path, shared_chroma: Chroma) -> None:
    """Prose, a table of figures and a page of names; a few of its pages, as a document of their own."""
    pages = {words: FACTS[words][0] for words in ("83,700 employees", "21,813 holders", "6,589", "910 bps")}
    _check(_part([*pages.values()]), {words: n for n, words in enumerate(pages, 1)}, tmp_path, shared_chroma.url)


@pytest.mark.full
@pytest.mark.timeout(3600)
def test_a_whole_annual_report_is_cited_by_its_pages(tmp_path: Path, shared_chroma: Chroma) -> None:
    """All 106 pages."""
    _check(REPORT.read_bytes(), {words: page for words, (page, _) in FACTS.items()}, tmp_path, shared_chroma.url)
