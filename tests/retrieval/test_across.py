"""A question in one language finds the right document in another, with the bundled embedder over the sample firm."""

from collections.abc import Generator
from pathlib import Path

import pytest

from common.settings import Embedder
from retrieval.embed import open_embedder
from retrieval.intake import Sent, take
from retrieval.ledger.staging import Change
from retrieval.publish import Push
from tests.retrieval.house import House

DOCUMENTS = Path(__file__).parents[2] / "examples/kitahama/documents"
SENT = ("en/cards/harbour-cards.md", "en/loans/anchor-loans.html", "en/contact/international-desk.md",
        "ja/cards/shiosai-cards.md", "zh-TW/cards/mozhu-cards.md")  # fmt: skip
TYPES = {".md": "text/markdown", ".html": "text/html"}


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Generator[House]:
    """Five documents, and no Chroma: so few are searched exactly."""
    house = House(tmp_path_factory.mktemp("across"), "http://127.0.0.1:9")
    house.embedder = open_embedder(Embedder())  # pyright: ignore[reportAttributeAccessIssue]
    house.open()
    house.base()
    changes = [
        Change("kb", name, take(name, Sent((DOCUMENTS / name).read_bytes(), TYPES[Path(name).suffix]))) for name in SENT
    ]
    house.knowledge.publisher.push(Push(house.me, changes, "The sample", True)).result(280)
    yield house
    house.close()


@pytest.mark.real
@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Anchor浮動利率房貸的利率是多少？", "en/loans/anchor-loans.html"),
        ("Harbour Gold Card 的年費是多少？", "en/cards/harbour-cards.md"),
        ("倫敦辦事處的電話號碼是多少？", "en/contact/international-desk.md"),
        ("住宅ローンを繰り上げ返済すると手数料はいくらですか。", "en/loans/anchor-loans.html"),
        ("墨竹金卡的年费是多少？", "zh-TW/cards/mozhu-cards.md"),
    ],
)
def test_a_question_finds_the_right_document_in_another_language(sample: House, question: str, expected: str) -> None:
    """Though pages in the asker's language stand beside them, and share words such as that for a fee."""
    found = sample.search(question, top_k=3)
    assert found.evidence[0].document == expected
    assert not found.weak


@pytest.mark.real
def test_a_page_in_the_questions_language_does_not_crowd_out_the_named_product(sample: House) -> None:
    """The English card shares every word but the name, and may come first; the Japanese one is beside it."""
    found = sample.search("What is the annual fee of the Shiosai (潮騒) Gold Card?", top_k=5)
    assert "ja/cards/shiosai-cards.md" in {one.document for one in found.evidence}
