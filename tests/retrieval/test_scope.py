"""Questions outside a scope are told from those inside it, with the bundled embedder, in three languages."""

from pathlib import Path

import pytest

from common.errors import InvalidRequest
from common.settings import Assistant, Settings
from common.settings import Embedder as Chosen
from retrieval.embed import Embedder, open_embedder
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases
from retrieval.scope import STRONG, SUBJECTS, Scopes
from tests.retrieval.house import House, WordEmbedder, someone, until

BANK = ("Minato Bank: accounts, cards, deposits, loans, transfers", "銀行の口座・カード・預金・ローン・振込")
CLINIC = ("Minato Clinic: appointments, examinations, vaccinations, treatments", "診所：預約、檢查、疫苗接種、治療")


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return open_embedder(Chosen())


def outside(embedder: Embedder, question: str, scope: tuple[str, ...], confidence: float = 0.4) -> bool:
    return Scopes().outside(embedder, embedder.questions([question])[0], scope, confidence)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What does a transfer to another bank cost?", False),
        ("振込手数料はいくらですか？", False),
        ("信用卡的年費是多少？", False),
        ("Give me a recipe for lasagna.", True),
        ("昨日の野球の結果は？", True),
        ("明天台北天氣如何？", True),
    ],
)
def test_a_question_about_something_else_is_outside(embedder: Embedder, question: str, expected: bool) -> None:
    """Also in a language that the scope is not written in."""
    assert outside(embedder, question, BANK) is expected


@pytest.mark.parametrize("question", ["My throat hurts and I have a fever; should I come in?", "小孩發燒該怎麼辦？"])
def test_a_subject_that_is_the_scopes_own_does_not_count_against_it(embedder: Embedder, question: str) -> None:
    """Illness is what people ask of any assistant, and what a clinic's is for."""
    assert not outside(embedder, question, CLINIC)
    assert outside(embedder, "Write a Python function that reverses a list.", CLINIC)


def test_strong_evidence_and_no_scope_speak_for_any_question(embedder: Embedder) -> None:
    """What the documents answer is the assistant's, whatever it is about; without a scope nothing is outside."""
    question = "Give me a recipe for lasagna."
    assert not outside(embedder, question, BANK, confidence=STRONG)
    assert not outside(embedder, question, ())


def test_the_search_says_it(embedder: Embedder, tmp_path: Path) -> None:
    """Beside `weak`, and where nothing was found too."""
    house = House(tmp_path, "http://127.0.0.1:9")
    house.embedder = embedder  # pyright: ignore[reportAttributeAccessIssue]
    house.open()
    house.base()
    try:
        assert house.search("Tell me a joke.", scope=BANK).outside
        assert not house.search("Tell me a joke.").outside
        assert not house.search("What does a transfer cost?", scope=BANK).outside
    finally:
        house.close()


def test_scopes_of_the_settings_are_embedded_at_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the background: no question waits for them, and the start doesn't either."""
    words = WordEmbedder("")
    monkeypatch.setattr("retrieval.knowledge.open_embedder", lambda *_: words)
    assistants = (Assistant(name="desk", scope=BANK), Assistant(name="bare"))
    knowledge = Knowledge.open(Settings(home=tmp_path, assistants=assistants, sources=()))
    knowledge.start()
    try:
        every = [*BANK, *(text for subject in SUBJECTS for text in subject)]
        until(lambda: words.embedded == every)
        with knowledge.ledger.write() as connection:
            bases.put(connection, someone(), "kb", None)
        knowledge.search.search(someone(), ["kb"], "Tell me a joke.", scope=BANK)
        assert words.embedded == every
    finally:
        knowledge.close()


def test_an_endless_scope_is_refused(tmp_path: Path) -> None:
    """It would be embedded while others wait."""
    house = House(tmp_path, "http://127.0.0.1:9")
    house.open()
    house.base()
    try:
        with pytest.raises(InvalidRequest, match="too long"):
            house.search("What does a transfer cost?", scope=["cards"] * 1_000)
    finally:
        house.close()


def test_a_scope_is_one_text_or_one_a_language() -> None:
    """The short form means the same."""
    assert Assistant.model_validate({"name": "a", "scope": "cards"}).scope == ("cards",)
    assert Assistant.model_validate({"name": "a", "scope": ["cards", "カード"]}).scope == ("cards", "カード")
    assert Assistant(name="a").scope == ()


def test_every_subject_stands_in_three_languages() -> None:
    assert {len(texts) for texts in SUBJECTS} == {3}
