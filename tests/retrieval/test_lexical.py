"""Terms: what a reader would call the same is found, within one tenant's knowledge bases and nowhere else."""

from pathlib import Path

import pytest

from retrieval import analysis
from retrieval.analysis import terms
from retrieval.bags import coverage
from retrieval.lexical import Lexical

TEXTS = {
    "gold": "Harbour Gold Card\nThe annual fee of the Harbour Gold Card is 11,000 yen. Code ABC-12.",
    "basic": "Harbour Basic Card\nThe annual fees of basic cards are 1,650 yen.",
    "ja": "定期預金\nさざなみ定期預金の金利は年0.25％です。",
    "tw": "臺北服務處\n國際匯款的手續費為新臺幣800元。",
}


@pytest.fixture
def index(tmp_path: Path) -> Lexical:
    lexical = Lexical(tmp_path / "terms")
    lexical.add((name, "a", "kb", text) for name, text in TEXTS.items())
    lexical.commit()
    return lexical


def first(index: Lexical, question: str, **options: object) -> str | None:
    found = index.search("a", ["kb"], question, 5, **options)  # pyright: ignore[reportArgumentType]
    return found[0][0] if found else None


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("ＡＢＣ－１２", "abc-12"),
        ("11,000", "１１０００"),
        ("ｶｰﾄﾞ", "カード"),
        ("國際匯款", "国际汇款"),
        ("Cards", "card"),
        ("policies", "policy"),
        ("Café", "cafe"),
        ("charged", "charges"),
        ("臺灣", "台湾"),
        ("價格", "価格"),
        ("濱松", "浜松"),
        ("髙橋", "高橋"),
        ("信用卡年費", "信用卡年费"),
        ("ABC‐12", "ABC-12"),
        ("ABC–12", "ABC-12"),
        ("ＡＢＣー１２", "ABC-12"),
        ("KT−2040/Ａ", "kt-2040/a"),
        ("１，２３４．５６", "1234.56"),
        ("ﾌﾟﾗﾁﾅ", "プラチナ"),
        ("STRAẞE", "strasse"),
    ],
)
def test_what_a_reader_calls_the_same_is_one_term(one: str, other: str) -> None:
    assert terms(one) == terms(other)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ABC-12", ["abc", "12", "abc12"]),
        ("2.35%", ["2.35"]),
        ("2026-04-01", ["2026", "04", "01", "20260401"]),
        ("1,234,567円", ["1234567", "圆"]),
        ("定期預金", ["定期", "期预", "预金"]),
        ("the fee of it", ["fee"]),
        ("", []),
        ("！？", []),
    ],
)
def test_terms_of_codes_numbers_and_scripts(text: str, expected: list[str]) -> None:
    assert terms(text) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("ＡＢＣ－１２", "gold"),
        ("abc12", "gold"),
        ("11000 yen", "gold"),
        ("fee of a basic card", "basic"),
        ("定期預金の金利", "ja"),
        ("国际汇款 手续费", "tw"),
        ("保険", None),
        ("", None),
    ],
)
def test_questions_find_their_text(index: Lexical, question: str, expected: str | None) -> None:
    """By candidates of the whole index and by the exact path alike."""
    assert first(index, question) == expected
    assert first(index, question, allowed=list(TEXTS)) == expected


CODES = {
    "en": "The Model ABC-12 terminal costs 1,980 yen.",
    "ja": "型番ABC-12の端末は1,980円です。",
    "tw": "型號ABC-12的終端機為1,980元。",
    "cn": "型号ABC-12的终端机为1,980元。",
    "other": "The Model ABC-21 terminal costs 1,890 yen. 型番ABC-21の端末は1,890円です。型號ABC-21的終端機為1,890元。",
}


@pytest.fixture(scope="module")
def codes(tmp_path_factory: pytest.TempPathFactory) -> Lexical:
    lexical = Lexical(tmp_path_factory.mktemp("codes") / "terms")
    lexical.add((name, "a", "kb", text) for name, text in CODES.items())
    lexical.commit()
    return lexical


@pytest.mark.parametrize("code", ["ＡＢＣ－１２", "abc-12", "ABC12", "ABC‐12", "ＡＢＣー１２", "1980", "１，９８０"])
@pytest.mark.parametrize("form", ["{}", "How much is {}?", "{}はいくらですか。", "{}多少錢？", "{}多少钱？"])
@pytest.mark.parametrize("exact", [True, False])
def test_codes_and_numerals_are_found_as_typed_in_every_language(
    codes: Lexical, code: str, form: str, exact: bool
) -> None:
    """Each way of typing it finds it in every language's document before one with another code."""
    allowed = list(CODES) if exact else None
    scores = dict(codes.search("a", ["kb"], form.format(code), 10, allowed=allowed))
    terms_of_code = dict(codes.search("a", ["kb"], code, 10, allowed=allowed))
    assert terms_of_code.keys() >= {"en", "ja", "tw", "cn"}
    assert scores.keys() >= {"en", "ja", "tw", "cn"}
    assert all(terms_of_code.get("other", 0) < terms_of_code[name] for name in ("en", "ja", "tw", "cn"))


def test_other_tenants_and_knowledge_bases_are_never_found(index: Lexical) -> None:
    index.add([("theirs", "b", "kb", TEXTS["gold"]), ("elsewhere", "a", "other", TEXTS["gold"])])
    index.commit()
    assert {name for name, _ in index.search("a", ["kb"], "annual fee gold", 50)} == {"gold", "basic"}
    assert index.search("b", ["other"], "annual fee gold", 50) == []
    assert index.search("b", ["kb"], "annual fee gold", 50, allowed=["gold"]) == []
    assert index.search("a", [], "annual fee gold", 50) == []


def test_scores_of_allowed_chunks_depend_on_nothing_else(index: Lexical) -> None:
    """A thousand chunks that may not be seen change neither order nor score."""
    before = index.search("a", ["kb"], "annual fee of the gold card", 5, allowed=["gold", "basic"])
    index.add((f"hidden{i}", "a", "kb", "annual fee gold card fee") for i in range(1000))
    index.commit()
    assert index.search("a", ["kb"], "annual fee of the gold card", 5, allowed=["gold", "basic"]) == before


def test_adding_twice_is_adding_once(index: Lexical) -> None:
    index.add([("gold", "a", "kb", TEXTS["gold"]), ("new", "a", "kb", "text"), ("new", "a", "kb", "text")])
    index.commit()
    assert index.count() == len(TEXTS) + 1
    assert index.holds(["gold", "new", "absent"]) == {"gold", "new"}


def test_what_is_not_committed_is_not_found(index: Lexical) -> None:
    index.add([("new", "a", "kb", "unheard of")])
    assert first(index, "unheard") is None
    index.commit()
    assert first(index, "unheard") == "new"


def test_a_new_process_finds_what_was_committed(index: Lexical, tmp_path: Path) -> None:
    index.close()
    assert first(Lexical(tmp_path / "terms"), "ABC-12") == "gold"


def test_an_unreadable_index_begins_empty(index: Lexical, tmp_path: Path) -> None:
    index.close()
    (tmp_path / "terms" / "meta.json").write_text("{")
    again = Lexical(tmp_path / "terms")
    assert again.count() == 0
    again.add([("gold", "a", "kb", TEXTS["gold"])])
    again.commit()
    assert first(again, "ABC-12") == "gold"


def test_another_analysis_begins_empty(index: Lexical, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Terms of two versions would never meet."""
    index.close()
    monkeypatch.setattr(analysis, "VERSION", analysis.VERSION + 1)
    assert Lexical(tmp_path / "terms").count() == 0


def test_coverage_is_the_share_of_what_the_question_says() -> None:
    """Particles and question words weigh little; nothing shared is 0, everything is 1."""
    shares = coverage("定期預金の金利は", ["定期預金の金利は年0.25％", "普通預金の手数料は無料", "Card fees"])
    assert shares[0] == 1
    assert 0 < shares[1] < 0.5
    assert shares[2] == 0
    assert coverage("？", ["text"]).tolist() == [0]
