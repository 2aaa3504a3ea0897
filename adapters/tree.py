"""A scene as one sequence of tokens: the shared beginning once, then each conversation as a branch of its own.

A token sees the beginning and what stands before it in its own branch, and its position is counted as if its branch
stood alone. So each conversation is computed exactly as serving computes it, and the evidence, which is most of a
prompt, is computed once for all of them. Loss falls on answers only.
"""

import random
from collections.abc import Callable
from dataclasses import dataclass

from adapters.pairs import Asked, Scene
from common.prompt import Message

Encode = Callable[[str], list[int]]
Render = Callable[[list[Message], bool], str]

FIGURE_WEIGHT = 2.0
"""How much more a token of the figure weighs in the loss: it is a few tokens of an answer, and what it is about."""


@dataclass(frozen=True, slots=True)
class Tree:
    """`branch` is 0 for the shared beginning, then 1 and up; `weight` is 0 where no loss falls."""

    tokens: list[int]
    positions: list[int]
    branch: list[int]
    weight: list[float]


def grow(scene: Scene, render: Render, encode: Encode, *, shorten: float = 0.0, rng: random.Random) -> Tree:
    """`render` is the chat template: messages, and whether the assistant's turn is opened at the end.

    With probability `shorten` an answer ends after the sentence that has its figure: the closing is learned from the
    others, and costs as much to compute as the figure does.
    """
    beginning = render([scene.system], False)
    tokens = encode(beginning)
    tree = Tree(tokens, list(range(len(tokens))), [0] * len(tokens), [0.0] * len(tokens))
    for number, asked in enumerate(scene.asked, 1):
        opened = render([scene.system, {"role": "user", "content": asked.question}], True)
        assert opened.startswith(beginning), "the chat template must render the system message by itself"
        closed = render(
            [scene.system, {"role": "user", "content": asked.question}, {"role": "assistant", "content": asked.answer}],
            False,
        )
        answer = closed[len(opened) :].rstrip("\n")
        spoken = answer
        if number > 1 and asked.value is not None and rng.random() < shorten:
            spoken = _until_figure(answer, asked.value)
        _add(tree, number, encode(opened[len(beginning) :]), *_weighed(spoken, asked, encode))
    return tree


def _add(tree: Tree, number: int, question: list[int], answer: list[int], weight: list[float]) -> None:
    start = tree.branch.count(0)
    branch = question + answer
    tree.tokens.extend(branch)
    tree.positions.extend(range(start, start + len(branch)))
    tree.branch.extend([number] * len(branch))
    tree.weight.extend([0.0] * len(question) + weight)


def _weighed(answer: str, asked: Asked, encode: Encode) -> tuple[list[int], list[float]]:
    tokens = encode(answer)
    weight = [1.0] * len(tokens)
    at = answer.find(asked.value) if asked.value else -1
    if asked.value and at >= 0:
        start, end = len(encode(answer[:at])), len(encode(answer[: at + len(asked.value)]))
        weight[start:end] = [FIGURE_WEIGHT] * len(weight[start:end])
    return tokens, weight


def _until_figure(answer: str, figure: str) -> str:
    end = answer.find(figure) + len(figure)
    stop = min((at for mark in (". ", "。") if (at := answer.find(mark, end)) >= 0), default=len(answer) - 1)
    return answer[: stop + 1]
