"""Recipes and samples that can't be used say which line or key is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from adapters.documents import document_files
from adapters.recipe import read_recipe
from adapters.samples import read_samples
from common.errors import InvalidRequest
from tests.adapters.conftest import SAMPLE

GOOD = 'name = "a"\nfirm = "F"\nsamples = "s"\ndocuments = "d"\noutput = "o"\n'


def test_the_shipped_recipe_is_read() -> None:
    """Paths are relative to the recipe, and where the output goes doesn't change its digest."""
    recipe = read_recipe(SAMPLE / "recipe.toml")
    assert recipe.samples == (SAMPLE / "samples.jsonl").resolve()
    assert recipe.digest() == json.loads((SAMPLE / "adapter" / "training.json").read_text())["recipe_digest"]
    assert replace(recipe, output=SAMPLE, threads=3, gradient_checkpointing=True).digest() == recipe.digest()
    for option in ({"rslora": True}, {"canaries": 1}, {"patience": 1}, {"measure_every": 5}):
        assert replace(recipe, **option).digest() != recipe.digest()


def test_documents_are_a_folder_or_a_list_of_places(tmp_path: Path) -> None:
    """Folders and files, in the order of their paths, which begin at the folder that holds them all."""
    for file in ("d/b/one.md", "d/a/two.md", "d/a/more/three.csv"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).write_text("# x\n")
    recipe = tmp_path / "r.toml"
    for given, found in (
        ('"d"', ["a/more/three.csv", "a/two.md", "b/one.md"]),
        ('["d/b", "d/a"]', ["a/more/three.csv", "a/two.md", "b/one.md"]),
        ('["d/b/one.md", "d/a/more"]', ["a/more/three.csv", "b/one.md"]),
        ('"d/b/one.md"', ["one.md"]),
    ):
        recipe.write_text(GOOD.replace('"d"', given))
        assert list(document_files(*read_recipe(recipe).documents)) == found


@pytest.mark.parametrize(
    ("text", "named"),
    [
        (GOOD + "rnak = 8", "rnak"),
        ('name = "a"', "firm"),
        (GOOD + "rank = 0", "rank"),
        (GOOD + 'steps = "many"', "steps"),
        (GOOD + "shorten = 2", "shorten"),
        (GOOD + "rslora = 1", "rslora"),
        (GOOD + "canaries = -1", "canaries"),
        (GOOD + "patience = 2", "measure_every"),
        (GOOD + "measure_every = 20", "rules"),
        (GOOD.replace('"d"', "[]"), "documents"),
        (GOOD + 'facts = "invented"', "invented"),
        ("not toml", "TOML"),
    ],
)
def test_a_wrong_recipe_names_what_is_wrong(text: str, named: str, tmp_path: Path) -> None:
    """Unknown, missing and senseless keys are told apart."""
    (tmp_path / "r.toml").write_text(text)
    with pytest.raises(InvalidRequest, match=named):
        read_recipe(tmp_path / "r.toml")


def test_a_missing_recipe_is_said_to_be(tmp_path: Path) -> None:
    """Without a stack trace."""
    with pytest.raises(InvalidRequest, match=r"no\.toml"):
        read_recipe(tmp_path / "no.toml")


@pytest.mark.parametrize(
    "line", ["{", '{"id": "x"}', '{"id":"x","lang":"en","intent":"fee","question":"Q","answer":"A"}']
)
def test_a_wrong_sample_names_its_line(line: str, tmp_path: Path) -> None:
    """A sample without its slot would teach a fact; it is refused with its line."""
    (tmp_path / "s.jsonl").write_text(f"\n{line}\n")
    with pytest.raises(InvalidRequest, match="Line 2"):
        read_samples(tmp_path / "s.jsonl")


def test_filling_never_reads_slots_in_values() -> None:
    """A product called {value} stays one."""
    sample = next(s for s in read_samples(SAMPLE / "samples.jsonl") if s.id == "en-fee-01")
    question, answer = sample.fill("{value} Card", "fee", "1 yen")
    assert "{value} Card" in question
    assert answer.count("{value} Card") == 1
