"""Questions drafted from documents by a model, for a start: a firm's own are better, and these are marked.

What a model asks leans on the words of its passage, so search looks better than it is. A draft is dropped when it
plainly does not fit, and never because search did not find its answer: that would flatter.
"""

import random
from collections.abc import Mapping, Sequence

from common.figures import find
from common.language import language_of
from retrieval.bags import coverage
from retrieval.evaluation.questions import Origin, Question
from retrieval.text import columns

_ASK = {
    "en": "Write one question in English that a customer would ask and that the following text answers. "
    "Name what it is about. Write the question only.",
    "ja": "次の文章が答えになる質問を、お客様が尋ねるように日本語で一つ書いてください。"
    "何についての質問かを明記し、質問だけを書いてください。",
    "zh-TW": "請用繁體中文寫一個客戶會問、且下面這段文字可以回答的問題。請寫明所問的對象，只寫問題。",
    "zh-CN": "请用简体中文写一个客户会问、且下面这段文字可以回答的问题。请写明所问的对象，只写问题。",
}
_SHORTEST, _LONGEST = 40, 800
_LEAST_SHARED = 0.3
_ENDS = ("?", "？", "か。", "か", "呢。", "嗎。", "吗。", "ください。")


def prompt(passage: str) -> str:
    """What the model is asked, in the passage's language."""
    return f"{_ASK[language_of(passage)]}\n\n{passage}"


def passages(texts: Mapping[str, str], count: int, seed: int) -> list[tuple[str, str]]:
    """Up to `count` paragraphs as (document, paragraph), a document after the other, each time a drawn one."""
    rng = random.Random(seed)  # noqa: S311 # a sample that can be drawn again, no secret
    left = {
        name: [p for p in text.split("\n\n") if _SHORTEST <= columns(p) <= _LONGEST] for name, text in texts.items()
    }
    for some in left.values():
        rng.shuffle(some)
    drawn: list[tuple[str, str]] = []
    while len(drawn) < count and any(left.values()):
        drawn += [(name, some.pop()) for name, some in sorted(left.items()) if some]
    return drawn[:count]


def fitting(answer: str, document: str, passage: str) -> Question | None:
    """The question in the model's `answer`, or None where it does not fit its passage.

    It must be one line that asks, in the passage's language, share words with it, and not give the answer away.
    """
    lines: Sequence[str] = [
        line.strip().strip("\"'「」“”*-").strip() for line in answer.strip().splitlines() if line.strip()
    ]
    if len(lines) != 1 or not 8 <= columns(lines[0]) <= 240 or not lines[0].endswith(_ENDS):
        return None
    text, lang = lines[0], language_of(passage)
    stated = find(passage)
    told = {figure.text for figure in find(text)}
    if language_of(text) != lang or float(coverage(text, [passage])[0]) < _LEAST_SHARED:
        return None
    if stated and all(figure.text in told for figure in stated):
        return None
    return Question(text, lang, document, passage=passage, origin=Origin.DRAFTED)
