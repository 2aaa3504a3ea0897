"""A scene as one sequence: each conversation sees what it would see alone, and loss falls on answers."""

import random

from adapters.pairs import Pairs, Scene
from adapters.tree import Tree, grow
from common.prompt import Message


def render(messages: list[Message], opened: bool) -> str:
    said = "".join(f"<{m['role']}>{m['content']}</>\n" for m in messages)
    return said + ("<assistant>" if opened else "")


def encode(text: str) -> list[int]:
    return [ord(character) for character in text]


def spoken(tree: Tree, branch: int, *, lossy: bool = False) -> str:
    kept = zip(tree.tokens, tree.branch, tree.weight, strict=True)
    return "".join(chr(token) for token, b, weight in kept if b == branch and (weight or not lossy))


def test_loss_falls_on_the_answer_only(pairs: Pairs) -> None:
    """Not on rules, evidence or question; on every token of the answer and on the mark that ends it."""
    for step in range(40):
        scene = pairs.scene(1, step)
        tree = grow(scene, render, encode, rng=random.Random(0))
        assert spoken(tree, 0, lossy=True) == ""
        for number, asked in enumerate(scene.asked, 1):
            assert spoken(tree, number, lossy=True) == f"{asked.answer}</>"


def test_a_branch_after_the_beginning_is_the_conversation_alone(pairs: Pairs) -> None:
    """Beginning and branch together are, byte for byte, the prompt that serving sends, with its positions."""
    scene = pairs.scene(1, 3)
    tree = grow(scene, render, encode, rng=random.Random(0))
    shared = tree.branch.count(0)
    for number, asked in enumerate(scene.asked, 1):
        alone = render([scene.system, {"role": "user", "content": asked.question}], True) + f"{asked.answer}</>"
        assert spoken(tree, 0) + spoken(tree, number) == alone
        positions = [p for p, b in zip(tree.positions, tree.branch, strict=True) if b == number]
        assert positions == list(range(shared, len(alone)))


def test_figures_weigh_more(pairs: Pairs) -> None:
    """The few tokens that an answer is about count more than those around them."""
    for step in range(20):
        scene = pairs.scene(1, step)
        tree = grow(scene, render, encode, rng=random.Random(0))
        for number, asked in enumerate(scene.asked, 1):
            heavy = "".join(
                chr(t) for t, b, w in zip(tree.tokens, tree.branch, tree.weight, strict=True) if b == number and w > 1
            )
            assert heavy == (asked.value or "")


def test_shortened_answers_keep_opening_and_figure(pairs: Pairs) -> None:
    """What is cut is the closing; the first answer of a scene keeps it, and so do refusals."""
    scene = next(s for s in (pairs.scene(1, i) for i in range(99)) if s.lang == "en" and len(s.asked) > 3)
    tree = grow(scene, render, encode, shorten=1.0, rng=random.Random(0))
    for number, asked in enumerate(scene.asked, 1):
        said = spoken(tree, number, lossy=True)
        assert said.startswith("Thank you") or scene.lang != "en"
        if number == 1 or asked.value is None:
            assert said == f"{asked.answer}</>"
        else:
            assert asked.value in said
            assert len(said) < len(asked.answer)


def test_an_empty_scene_is_its_beginning(pairs: Pairs) -> None:
    """No question, no loss."""
    scene = pairs.scene(1, 1)
    tree = grow(Scene(scene.lang, scene.system, ()), render, encode, rng=random.Random(0))
    assert not any(tree.weight)
