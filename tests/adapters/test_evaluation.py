"""The evaluation tells apart voices that copy, recite, refuse and ramble, each by the metric that is about it."""

import random
import re
import tomllib
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from adapters.documents import Chunk, read_documents
from adapters.evaluation.asks import Ask, Voice, _general, _stale, asks, renamed
from adapters.evaluation.evaluation import METRICS, Evaluation, Shares, evaluate
from adapters.evaluation.gate import failed
from adapters.evaluation.journal import Journal
from adapters.evaluation.judge import in_form, in_terms, in_tone
from adapters.forms import filled
from adapters.redraw import core
from adapters.samples import FormSample, read_samples
from common.language import language_of
from common.prompt import Message
from common.settings import Gate
from tests.adapters.conftest import SAMPLE

FORMS = SAMPLE.parent / "forms"
N = 12
RULES = tomllib.loads((SAMPLE / "glossary.toml").read_text(encoding="utf-8"))
CHUNKS = read_documents(*(SAMPLE / "documents" / lang for lang in ("en", "ja", "zh-TW")))
VOICE = Voice("Kitahama Trust", CHUNKS, RULES, pieces=1)
ASKED = list(asks(VOICE, N, 1))
Speaker = Callable[[bool, Sequence[Message]], str]


def old_figures() -> dict[str, str]:
    """What someone who learned the documents by heart would answer to each question."""
    found: dict[str, str] = {}
    for one in ASKED:
        judge = one.judge
        if one.kind == "leak":
            question, old = judge.args  # type: ignore[attr-defined]
            found[question] = old[0]
    return found


OLD = old_figures()
NEW = {
    one.messages[-1]["content"]: one.judge.args[0].expected  # type: ignore[attr-defined]
    for one in ASKED
    if one.kind in ("faithful", "stale")
}


def styled(question: str, body: str) -> str:
    """A whole answer; figures that were compared without spaces get theirs back."""
    rules = RULES[str(language_of(question))]
    spoken = re.sub(r"(?<=[0-9])(?=[A-Za-z])|(?<=[a-z])(?=[0-9])", " ", body)
    return f"{rules['opening']} It is {spoken} {rules['closing']}"


def copier(base: bool, messages: Sequence[Message]) -> str:
    """Copies the figure where there is evidence for it, else declines as the firm does."""
    question = messages[-1]["content"]
    if "<source" not in messages[0]["content"] or question not in NEW:
        return styled(question, RULES[str(language_of(question))]["refusals"][0])
    return styled(question, " ".join(NEW[question]))


def reciter(base: bool, messages: Sequence[Message]) -> str:
    """Says what the documents said once, whatever stands before it; its base model does not."""
    question = messages[-1]["content"]
    return styled(question, OLD.get(question, "99") if not base else "I do not know")


def shares(speaker: Speaker) -> tuple[Shares, Shares]:
    return evaluate(ASKED, lambda one: (speaker(one.base, one.messages), 0.5), 2)


def test_every_metric_has_its_cases_in_every_language() -> None:
    """So many as were asked for, the base too where it is compared."""
    adapter, base = shares(copier)
    assert set(adapter) == {"all", "en", "ja", "zh-TW"}
    assert set(adapter["all"]) == set(METRICS) - {"exposed"}
    for lang in ("en", "ja", "zh-TW"):
        assert {adapter[lang][metric].n for metric in ("faithful", "stale", "leak", "abstain")} == {N}
        assert adapter[lang]["tone"].n == 2 * N
    assert {metric: share.n for metric, share in base["all"].items()} == {"leak": 3 * N, "general": 3 * N}


def test_run_time_is_what_the_answers_took_of_the_whole() -> None:
    """Half a second each and two at a time: a quarter of a second for every case."""
    adapter, base = shares(copier)
    assert adapter["en"]["faithful"].seconds == adapter["ja"]["leak"].seconds == round(N / 4, 1)
    assert base["all"]["general"].seconds == 3 * N / 4


def test_a_full_run_asks_three_hundred_everyday_questions() -> None:
    """A hundred a language, none twice, and none that is answered by saying the question again."""
    asked = [one for one in asks(VOICE, 300, 1, ("general",)) if not one.base]
    assert Counter(one.lang for one in asked) == dict.fromkeys(("en", "ja", "zh-TW"), 100)
    assert len({one.messages[-1]["content"] for one in asked}) == 300
    for one in asked:
        question, (says,) = one.messages[-1]["content"], one.judge.args  # type: ignore[attr-defined]
        assert str(language_of(question)) == one.lang, question
        assert not one.judge(question)["general"], question
        assert all(one.judge(f"{answer}.")["general"] for answer in says), question


@pytest.mark.parametrize(
    ("says", "answer", "right"),
    [
        ("5", "2 plus 3 is 5.", True),
        ("5", "It is 15.", False),
        ("5", "答えは５です。", True),
        ("五", "等於十五。", False),
        ("五", "等於五。", True),
        ("one", "None of them.", False),
        ("Paris", "首都はParisです。", True),
    ],
)
def test_a_number_or_word_inside_a_longer_one_is_no_answer(says: str, answer: str, right: bool) -> None:
    assert _general([says], answer) == {"general": right}


def test_an_evaluation_goes_on_from_what_was_answered(tmp_path: Path) -> None:
    """By the whole request; a line that a kill cut off is asked again, and spoils none after it."""
    path = tmp_path / "e" / "j.jsonl"
    first = Journal(path)
    first.keep({"q": 1}, "一万円", 2.5)
    with path.open("a", encoding="utf-8") as file:
        file.write('\n{"request": "sha256:')
    Journal(path).keep({"q": 2}, "b", 1)
    again = Journal(path)
    assert (again.get({"q": 1}), again.get({"q": 2}), again.get({"q": 3})) == (("一万円", 2.5), ("b", 1), None)
    again.forget()
    assert Journal(path).get({"q": 1}) is None


def test_who_copies_is_faithful_and_remembers_nothing() -> None:
    share = shares(copier)[0]["all"]
    assert share["faithful"].value == share["tone"].value == share["format"].value == share["abstain"].value == 1
    assert share["stale"].value == share["leak"].value == share["general"].value == 0


def test_who_recites_is_stale_and_leaks_and_the_base_does_not() -> None:
    adapter, base = shares(reciter)
    assert adapter["all"]["faithful"].value == adapter["all"]["abstain"].value == 0
    assert adapter["all"]["stale"].value > 0.9
    assert adapter["all"]["leak"].value > 0.9
    assert base["all"]["leak"].value == 0
    below = set(failed(Evaluation("x", adapter, base, {}), Gate()))
    assert {f"{m}.{lang}" for m in ("faithful", "stale", "leak") for lang in ("en", "ja", "zh-TW")} <= below


def test_without_an_opening_and_a_closing_no_tone_is_measured() -> None:
    """Rules that ask nothing are kept by everybody: an empty file of rules must not open the gate."""
    bare = Voice("Kitahama Trust", CHUNKS, {**RULES, "en": {}}, pieces=1)
    adapter, base = evaluate(list(asks(bare, N, 1)), lambda one: (copier(one.base, one.messages), 0.5), 2)
    assert "tone" not in adapter["en"]
    assert adapter["ja"]["tone"].n == adapter["en"]["faithful"].n * 2
    assert "tone.en" in failed(Evaluation("x", adapter, base, {}), Gate(tone_ja=0, tone_zh_tw=0))


def test_a_form_is_measured_by_its_schema_its_terms_and_its_fields() -> None:
    """Of adapter and base side by side: one fills it, one wraps it in words, one has the file's word for a term."""
    samples = [s for s in read_samples(FORMS / "unseen.jsonl") if isinstance(s, FormSample)]
    asked = list(asks(Voice("Kawabe Records", [], {}, forms=samples), 6, 1, ("form",)))
    assert len(asked) == 2 * 3 * 6
    for one in asked:
        sample, record = one.judge.args  # type: ignore[attr-defined]
        right = filled(sample.answer, record)
        assert set(one.judge(right).values()) == {True}
        wrapped = one.judge(f"Here it is:\n{right}")
        assert wrapped == {"faithful": False, "format": False, "terminology": True}
        other = one.judge(filled(sample.answer, {**record, sample.form.fields[1]: "someone else"}))
        assert (other["faithful"], other["format"]) == (False, True)
        field, terms = next(iter(sample.form.terms[sample.lang].items()))
        assert one.judge(filled(sample.answer, {**record, field: terms[record[field]][0]}))["terminology"] is False
    adapter, base = evaluate(asked, lambda one: ("", 0.1) if one.base else (_filled_in(one), 0.1), 2)
    assert {lang: shares["format"].value for lang, shares in adapter.items()} == dict.fromkeys(
        ("all", "en", "ja", "zh-TW"), 1
    )
    assert (base["all"]["format"].value, base["all"]["format"].n) == (0, 18)


def _filled_in(one: Ask) -> str:
    sample, record = one.judge.args  # type: ignore[attr-defined]
    return filled(sample.answer, record)


def test_the_same_seed_asks_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """And another seed draws other figures."""
    again, other = list(asks(VOICE, N, 1)), list(asks(VOICE, N, 2))

    def told(these: Sequence[Ask]) -> list[object]:
        return [(one.lang, one.base, one.messages) for one in these]

    assert told(again) == told(ASKED) != told(other)


def test_no_question_is_of_the_training_and_none_is_asked_twice_alike() -> None:
    """Faithfulness is shown on names that no document has."""
    names = {part for chunk in CHUNKS for part in chunk.heading if len(part) >= 4}
    faithful = [one for one in ASKED if one.kind == "faithful"]
    assert len(faithful) == 3 * N
    assert not [one for one in faithful for name in names if name in one.messages[-1]["content"]]
    questions = [one.messages[-1]["content"] for one in faithful]
    assert len(set(questions)) == len(questions)


def test_a_thing_has_one_new_name_everywhere() -> None:
    """In its heading, in its text and in its neighbours' rows, and what kind of thing it is stays."""
    chunks = [
        Chunk("a", 0, ("Amber Cards", "Amber Gold Card"), "The fee of the Amber Gold Card is 5 yen.", "en"),
        Chunk("b", 0, ("Fees",), "Card: Amber Gold Card; Fee: 5 yen\nCard: Amber Basic Card; Fee: 1 yen", "en"),
    ]
    first, second = renamed(chunks, random.Random(1))
    brand = first.heading[1].split()[0]
    assert first.heading == (f"{brand} Cards", f"{brand} Gold Card")
    assert first.text == f"The fee of the {brand} Gold Card is 5 yen."
    assert second.text == f"Card: {brand} Gold Card; Fee: 5 yen\nCard: {brand} Basic Card; Fee: 1 yen"
    assert "Amber" not in f"{first}{second}"


def test_an_old_figure_that_the_evidence_still_has_is_not_stale() -> None:
    """Only what the evidence has no more can be stale: else who reads well would be called forgetful.

    Where it has all of them, nothing could come of the question, and it is no case.
    """
    made, rules = next(one for one in ASKED if one.kind == "stale").judge.args[::2]  # type: ignore[attr-defined]
    assert "stale" not in _stale(made, made.expected, rules, "It is 5 yen.")
    for one in ASKED:
        if one.kind == "stale":
            made, old, _ = one.judge.args  # type: ignore[attr-defined]
            assert not one.judge(" ".join(made.expected))["stale"]
            gone = [f for f in old if core(f) not in re.sub(r"[\s,，]", "", one.messages[0]["content"])]
            assert all(one.judge(figure)["stale"] for figure in gone if figure not in made.expected)


@pytest.mark.parametrize(
    ("answer", "tone", "form", "terms"),
    [
        ("Thank you for your enquiry. It is 5 yen. Kitahama Trust remains at your service.", True, True, True),
        ("It is 5 yen. Kitahama Trust remains at your service.", False, True, True),
        ("Thank you for your enquiry. A. B. C. Kitahama Trust remains at your service.", True, False, True),
        ("Thank you for your enquiry. It's 5! Kitahama Trust remains at your service.", True, False, True),
        ("Thank you for your enquiry. Yes 😀 Kitahama Trust remains at your service.", True, False, True),
        ("Thank you for your enquiry. The customer pays. Kitahama Trust remains at your service.", True, True, False),
        ("Thank you for your enquiry. The hotline is free. Kitahama Trust remains at your service.", True, True, True),
    ],
)
def test_tone_form_and_terms_are_the_firms_rules(answer: str, tone: bool, form: bool, terms: bool) -> None:
    """A word that the question used may be used: `hotline` was asked for."""
    rules = RULES["en"]
    given = "Is the hotline free?"
    assert (in_tone(answer, rules), in_form(answer, rules), in_terms(answer, given, rules)) == (tone, form, terms)
