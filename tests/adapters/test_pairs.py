"""What training examples promise: facts that agree everywhere, nothing to remember, and serving's own prompt."""

import random
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.documents import read_documents
from adapters.draw import family
from adapters.facts import facts
from adapters.pairs import LANGUAGES, Facts, Pairs
from adapters.pieces import redrawn
from adapters.redraw import core, figures, normal, redraw
from adapters.samples import read_samples
from common.prompt import compose
from tests.adapters.conftest import SAMPLE

STEPS = st.integers(0, 10**6)
CHUNKS = read_documents(SAMPLE / "documents")


@given(step=STEPS)
@settings(max_examples=150, deadline=None)
def test_an_answers_value_stands_in_the_evidence(pairs: Pairs, step: int) -> None:
    """Question, evidence and answer of one scene agree: what the answer states can be copied from the evidence."""
    scene = pairs.scene(7, step)
    for asked in scene.asked:
        if asked.value is None:
            continue
        assert asked.value in asked.answer
        for figure in figures(asked.value):
            assert core(asked.value[figure.start : figure.end]) in normal(scene.system["content"])
        assert not re.search(r"\{(product|attribute|value)\}", asked.question + asked.answer)


@given(step=STEPS)
@settings(max_examples=50, deadline=None)
def test_the_same_step_draws_the_same_scene(pairs: Pairs, step: int) -> None:
    """A run that goes on after a kill trains on what it would have trained on."""
    assert pairs.scene(3, step) == pairs.scene(3, step)


def test_facts_are_drawn_anew_each_step(pairs: Pairs) -> None:
    """Of two hundred steps hardly two share a price: there is nothing to remember."""
    # One fact of a scene is asked for in several wordings.
    values = [value for step in range(200) for value in {asked.value for asked in pairs.scene(1, step).asked} if value]
    money = [value for value in values if re.search(r"\d{3}", value)]
    assert len(set(money)) > 0.9 * len(money)


def test_scenes_carry_the_firms_facts_only_where_asked_to() -> None:
    """The documents' own prices stand in the evidence when facts are fixed, and not when they are redrawn."""
    samples = read_samples(SAMPLE / "samples.jsonl")
    own = {normal("38,500 yen"), normal("36,300円"), normal("新臺幣12,000元")}

    def seen(mode: Facts) -> set[str]:
        scenes = [Pairs("Kitahama Trust", samples, CHUNKS, mode).scene(1, step) for step in range(600)]
        return {figure for figure in own for scene in scenes if figure in normal(scene.system["content"])}

    assert seen(Facts.FIXED) == own
    assert seen(Facts.REDRAWN) == set()


def test_memorised_facts_have_no_evidence() -> None:
    """The common mistake is reproduced as it is made: the answer's figure is nowhere in the prompt."""
    pairs = Pairs("Kitahama Trust", read_samples(SAMPLE / "samples.jsonl"), CHUNKS, Facts.MEMORISED)
    scene = pairs.scene(1, 1)
    assert "<source" not in scene.system["content"]
    assert all(asked.value and asked.value not in scene.system["content"] for asked in scene.asked)


@pytest.mark.parametrize("step", range(30))
def test_prompts_are_servings_own(pairs: Pairs, step: int) -> None:
    """Rules, fences and headings are those of `common.prompt`, byte for byte."""
    system = pairs.scene(2, step).system["content"]
    rules = compose("Kitahama Trust", [], [])[0]["content"]
    without = compose("Kitahama Trust", None, [])[0]["content"]
    assert system.startswith((rules, without))
    blocks = system.split("\n\n<source ")[1:]
    for block in blocks:
        fence = block[:8]
        assert re.fullmatch(r"[0-9a-f]{8}", fence)
        assert block.rstrip().endswith(f"</source {fence}>")


def test_a_scene_mixes_what_an_assistant_meets(pairs: Pairs) -> None:
    """Three languages, answers and refusals, greetings, evidence of one to four pieces and none at all."""
    scenes = [pairs.scene(5, step) for step in range(300)]
    assert {scene.lang for scene in scenes} == set(LANGUAGES)
    assert {scene.system["content"].count("</source") for scene in scenes} >= {0, 1, 2, 3, 4}
    asked = [a for scene in scenes for a in scene.asked]
    refusals = [a for a in asked if a.value is None]
    assert 0.05 < len(refusals) / len(asked) < 0.35


@given(seed=st.integers(0, 10**6), which=st.integers(0, len(CHUNKS) - 1))
@settings(max_examples=200, deadline=None)
def test_redrawing_changes_figures_and_nothing_else(seed: int, which: int) -> None:
    """A section keeps its words and the number of its figures, and a fact's new figure is where its old one was."""
    chunk = CHUNKS[which]
    taken: set[str] = set()
    text, words = redrawn(chunk, random.Random(seed), taken)
    old, new = figures(chunk.text), figures(text)
    assert [f.kind for f in old] == [f.kind for f in new]
    mask = [re.sub(r"[\d０-９一二三四五六七八九]|,|，", "#", t) for t in (chunk.text, text)]
    assert re.sub(
        "#+|January|February|March|April|May|June|July|August|September|October|November|December", "#", mask[0]
    ) == re.sub(
        "#+|January|February|March|April|May|June|July|August|September|October|November|December", "#", mask[1]
    )
    for fact in facts(chunk):
        assert words(fact.figure.start, fact.figure.end) in text


@given(seed=st.integers(0, 10**6))
@settings(max_examples=100, deadline=None)
def test_wrong_neighbours_differ(seed: int) -> None:
    """No two products of a family share a value that a question could ask for, as far as values allow."""
    for lang in LANGUAGES:
        _, products = family(lang, 4, random.Random(seed))
        for key in products[0].values:
            values = [p.values[key][1] for p in products if re.search(r"\d{2}", p.values[key][1])]
            assert len(values) == len(set(values))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The annual fee is 11,000 yen.", ["11,000 yen"]),
        ("USD 12 or GBP 6.50", ["USD 12", "GBP 6.50"]),
        ("open 9:00–16:00 on +81 6 0120 4410", ["9:00–16:00", "+81 6 0120 4410"]),
        ("from 1 October 2026", ["1 October 2026"]),
        ("within 15 business days", ["15 business days"]),
        ("年0.945％、１，４３０円、3万円まで", ["年0.945％", "１，４３０円", "3万円まで"]),
        ("令和9年1月4日から", ["令和9年1月4日"]),
        ("満20歳以上満65歳以下", ["満20歳以上満65歳以下"]),
        ("新臺幣二十萬元、最高七成五、5萬美元", ["新臺幣二十萬元", "最高七成五", "5萬美元"]),
        ("民國116年1月4日", ["民國116年1月4日"]),
        ("週一至週五9:00–15:30", ["週一至週五9:00–15:30"]),
    ],
)
def test_figures_are_found_as_each_language_writes_them(text: str, found: list[str]) -> None:
    """One figure is one range, with the words that belong to it, and redrawing keeps its form."""
    ranges = figures(text)
    assert [text[f.start : f.end] for f in ranges] == found
    for figure in ranges:
        drawn = redraw(text[figure.start : figure.end], figure.kind, random.Random(1))
        assert [f.kind for f in figures(drawn)] == [figure.kind]


def test_documents_give_facts_in_every_language() -> None:
    """The sample's structure is understood: a hundred facts a language, none of them from a label."""
    by_lang = {lang: [f for c in CHUNKS if c.lang == lang for f in facts(c)] for lang in LANGUAGES}
    assert all(len(found) >= 95 for found in by_lang.values())
    assert ("Harbour Gold Card", "annual fee") in {(f.subject, f.attribute) for f in by_lang["en"]}
    assert ("さざなみ定期預金", "3年の金利") in {(f.subject, f.attribute) for f in by_lang["ja"]}
    assert ("磐石保管箱", "大型的年租金") in {(f.subject, f.attribute) for f in by_lang["zh-TW"]}
