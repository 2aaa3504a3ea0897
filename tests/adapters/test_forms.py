"""Forms: every target keeps to its schema and its sections, is filled from its file alone, and names nothing twice."""

import json
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from adapters.forms import Form, Shape, filled, read_forms
from adapters.lint import Rule, lint
from adapters.pairs import LANGUAGES, Pairs
from adapters.records import file
from adapters.samples import FormSample, read_samples
from adapters.scene import Asked
from common.errors import InvalidRequest
from common.prompt import compose
from tests.adapters.conftest import SAMPLE

FORMS = SAMPLE.parent / "forms"
FORM = read_forms(FORMS)
STEPS = st.integers(0, 10**6)


def samples(name: str = "samples.jsonl") -> list[FormSample]:
    return [sample for sample in read_samples(FORMS / name) if isinstance(sample, FormSample)]


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return Pairs("Kawabe Records", samples(), [])


def silent(*_: object) -> list[tuple[int, int]]:
    """A judge that finds every figure supported."""
    return []


def test_there_are_two_forms_in_two_shapes_and_three_languages() -> None:
    """With the voice's own there are at least 150 writing samples."""
    kinds = {(sample.lang, sample.form.name, sample.shape) for sample in samples()}
    assert kinds == {(lang, name, shape) for lang in LANGUAGES for name in FORM for shape in Shape}
    assert set(FORM) == {"agreement", "medication"}
    assert len(samples()) >= 50
    assert len(samples()) + len(read_samples(SAMPLE / "samples.jsonl")) >= 150


@pytest.mark.parametrize("form", FORM.values(), ids=lambda form: form.name)
def test_a_schema_is_one_and_has_the_glossarys_words(form: Form) -> None:
    """A list of words in a schema is the glossary's terms of every language and what stands for nothing, no more."""
    Draft202012Validator.check_schema(form.schema)
    assert form.schema["required"] == list(form.fields)
    for name, rule in form.schema["properties"].items():
        words = [term for lang in form.terms for term in (*form.terms[lang].get(name, ()), form.absent[lang])]
        assert set(rule.get("enum", words)) == set(words)
        assert ("enum" in rule) != (name in form.draws)


@pytest.mark.parametrize("name", ["samples.jsonl", "unseen.jsonl"])
@given(seed=STEPS)
@settings(max_examples=10, deadline=None)
def test_every_samples_target_keeps_to_its_form(name: str, seed: int) -> None:
    """Filled with whatever is drawn, its answer reads back as the record that was drawn."""
    for sample in samples(name):
        made = file(sample, random.Random(seed), silent=seed % 2 == 0, unseen=name != "samples.jsonl")
        assert sample.form.read(made.ask(sample).answer, sample.shape, sample.lang) == made.record


@given(step=STEPS)
@settings(max_examples=100, deadline=None)
def test_a_form_is_filled_from_its_file(pairs: Pairs, step: int) -> None:
    """Copied fields stand in the evidence as they are, listed ones under one of their names; else it says so."""
    scene = pairs.scene(3, step, chunks=2, questions=3)
    shown = scene.system["content"]
    for asked in scene.asked:
        form, record = next(
            (form, record)
            for form in FORM.values()
            for shape in Shape
            if (record := form.read(asked.answer, shape, scene.lang))
        )
        for field, value in record.items():
            names = (value, *form.terms[scene.lang].get(field, {}).get(value, ()))
            assert value == form.absent[scene.lang] or any(name.lower() in shown.lower() for name in names)
        assert not re.search(r"\{\w+\}", asked.question + shown)
        assert asked.value is None


@given(step=STEPS)
@settings(max_examples=30, deadline=None)
def test_the_same_step_draws_the_same_scene(pairs: Pairs, step: int) -> None:
    assert pairs.scene(3, step, chunks=2, questions=3) == pairs.scene(3, step, chunks=2, questions=3)


def test_prompts_are_servings_own(pairs: Pairs) -> None:
    rules = compose("Kawabe Records", [], [])[0]["content"]
    assert all(pairs.scene(1, step).system["content"].startswith(rules) for step in range(30))


def test_there_is_nothing_to_remember(pairs: Pairs) -> None:
    """Of five hundred forms hardly two are the same."""
    answers = [asked.answer for step in range(500) for asked in pairs.scene(1, step, chunks=2, questions=1).asked]
    assert len(set(answers)) > 0.99 * len(answers)


def test_a_file_calls_things_by_any_name_and_its_form_by_the_term() -> None:
    """That the one is put for the other is what is learned: each name of each term is drawn."""
    drawn = [file(sample, random.Random(f"{sample.id}/{seed}")) for sample in samples() for seed in range(50)]
    everything = "\n".join({made.text.lower() for made in drawn})
    values = {value for made in drawn for value in made.record.values()}
    for terms in (terms for form in FORM.values() for lang in LANGUAGES for terms in form.terms[lang].values()):
        assert all(name.lower() in everything for term, others in terms.items() for name in (term, *others))
        assert not {name for others in terms.values() for name in others} & values


def test_some_files_lack_a_statement_and_the_form_says_so(pairs: Pairs) -> None:
    scenes = [pairs.scene(1, step, chunks=1, questions=2) for step in range(300)]
    lacking = [s for s in scenes if FORM["agreement"].absent[s.lang] in s.asked[0].answer]
    assert 0.1 < len(lacking) / len(scenes) < 0.35


def test_what_is_measured_was_not_trained_on() -> None:
    """Files, questions and names of the measurement are others than the training's."""
    trained, measured = samples(), samples("unseen.jsonl")
    assert not {s.evidence for s in trained} & {s.evidence for s in measured}
    assert not {s.question for s in trained} & {s.question for s in measured}
    form = FORM["medication"]
    for lang, kinds in form.unseen.items():
        for kind, words in kinds.items():
            assert not set(words["heads"].split()) & set(form.words[lang][kind]["heads"].split())


def test_samples_of_the_voice_and_of_forms_can_be_mixed() -> None:
    """Each kind has the share of the scenes that it has of the samples, and the voice alone draws what it drew."""
    voice = read_samples(SAMPLE / "samples.jsonl")
    mixed = Pairs("x", [*voice, *samples()], [])
    forms = sum("{" in asked.answer or asked.answer.startswith("##") for asked in _first(mixed))
    assert 60 < forms < 160
    assert not any(asked.answer.startswith(("{", "##")) for asked in _first(Pairs("x", voice, [])))


def _first(pairs: Pairs) -> list[Asked]:
    return [pairs.scene(1, step).asked[0] for step in range(300)]


AGREEMENT = FORM["agreement"]
RECORD = {
    "agreement": "lease",
    "party_a": "Ashby Ltd",
    "party_b": "Holt Foods",
    "amount": "USD 10",
    "begins": "3 May 2027",
    "notice": "30 days",
}
DOCUMENT = "\n".join(f"## {h}\n{v}" for h, v in zip(AGREEMENT.headings["en"], RECORD.values(), strict=True))


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "lease",
        "[]",
        json.dumps(RECORD | {"agreement": "tenancy"}),
        json.dumps(RECORD | {"witness": "none"}),
        json.dumps({k: v for k, v in RECORD.items() if k != "notice"}),
        f"```json\n{json.dumps(RECORD)}\n```",
        "[" * 100_000,
    ],
)
def test_json_that_the_schema_does_not_take_is_no_form(answer: str) -> None:
    assert AGREEMENT.read(json.dumps(RECORD), Shape.JSON, "en") == RECORD
    assert AGREEMENT.read(answer, Shape.JSON, "en") is None


@pytest.mark.parametrize(
    "answer",
    [
        "",
        f"Here it is:\n{DOCUMENT}",
        f"{DOCUMENT}\nSigned.",
        DOCUMENT.replace("## Party A", "## Party C"),
        DOCUMENT.replace("lease\n", "\n"),
        DOCUMENT.partition("\n## Notice")[0],
        "\n".join([*DOCUMENT.split("\n")[2:], *DOCUMENT.split("\n")[:2]]),
    ],
)
def test_sections_missing_or_out_of_order_are_no_form(answer: str) -> None:
    assert AGREEMENT.read(f"{DOCUMENT}\n", Shape.DOCUMENT, "en") == RECORD
    assert AGREEMENT.read(DOCUMENT, Shape.DOCUMENT, "ja") is None
    assert AGREEMENT.read(answer, Shape.DOCUMENT, "en") is None


def test_the_samples_pass_lint() -> None:
    found = lint(FORMS / "samples.jsonl", silent)
    assert found.to_wire() == {"examples": len(samples()), "refused": 0, "findings": []}


def test_each_bad_form_is_refused_for_what_it_is() -> None:
    """Schema, sections, words written out, a field from nowhere, a figure, a person's number, no file, no such form."""
    found = lint(FORMS / "refused.jsonl", silent, least=1)
    assert [(finding.line, finding.field, finding.rule) for finding in found.findings] == [
        (1, "answer", Rule.SCHEMA),
        (2, "answer", Rule.SCHEMA),
        (3, "answer", Rule.SCHEMA),
        (4, "answer", Rule.TERM),
        (4, "evidence", Rule.TERM),
        (5, "answer", Rule.SLOTS),
        (6, "evidence", Rule.DATE),
        (7, "evidence", Rule.MY_NUMBER),
        (8, "question", Rule.SLOTS),
        (9, "form", Rule.FORM),
    ]


def test_a_form_that_is_not_whole_names_its_file(tmp_path: Path) -> None:
    """A form without its schema, headings or terms is refused before anything is trained on it."""
    for name in ("forms.toml", "glossary.toml", "agreement.schema.json"):
        (tmp_path / name).write_bytes((FORMS / name).read_bytes())
    with pytest.raises(InvalidRequest, match=r"forms\.toml defines no forms: .*medication\.schema\.json"):
        read_forms(tmp_path)
    assert read_forms(tmp_path / "nowhere") == {}


def test_an_unfilled_slot_stays() -> None:
    assert filled("{a} {b}", {"a": "1"}) == "1 {b}"
