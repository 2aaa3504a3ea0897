"""What the fake engine says when nobody ordered an answer: the source sentence that the question is about.

It knows no language and no product, and still "the fact changed, so the answer changes" holds: the answer is copied
from the prompt. An adapter's name makes it courteous, so that a test can tell the voices apart.
"""

import re
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

from common.language import Language, language_of

_SOURCE = re.compile(r"<source (\w+)>\n(.*?)\n</source \1>", re.DOTALL)
_WORD = re.compile(r"[^\W_\u3040-\u30ff\u3400-\u9fff]+")
_CJK_RUN = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]+")
_TOKEN = re.compile(r" ?[^\W\d_\u3040-\u30ff\u3400-\u9fff]+| ?\d|[ \t]+|.", re.DOTALL)
_SENTENCE_END = re.compile(r"\n|(?<=。)|(?<=[a-z]\.) (?=[A-Z])")
_COMMON = frozenset(
    re.findall(
        r"\w+",
        "a an and are at be by can do does for from how i if in is it me my of on or the to what when which with",
    )
)

COURTESY = {
    Language.ENGLISH: ("Thank you for your enquiry. ", " Kitahama Trust remains at your service."),
    Language.JAPANESE: ("お問い合わせありがとうございます。", "北浜信託をご愛顧賜り、ありがとうございます。"),
    Language.TRADITIONAL_CHINESE: ("感謝您的來信。", "北濱信託竭誠為您服務。"),
    Language.SIMPLIFIED_CHINESE: ("感谢您的来信。", "北滨信托竭诚为您服务。"),
}
UNKNOWN = {
    Language.ENGLISH: "The sources do not say.",
    Language.JAPANESE: "資料には記載がございません。",
    Language.TRADITIONAL_CHINESE: "資料中沒有記載。",
    Language.SIMPLIFIED_CHINESE: "资料中没有记载。",
}


def text_of(content: Any) -> str:
    """A message's text: a string, or the text parts of a list."""
    if isinstance(content, list):
        return "".join(part.get("text", "") for part in content if isinstance(part, dict))
    return content or ""


def tokens_of(text: str) -> list[str]:
    """`text` in tokens as small models cut it: words, single digits, single characters of Chinese and Japanese."""
    return _TOKEN.findall(text)


def token_id(token: str) -> int:
    return zlib.crc32(token.encode("utf-8", "replace")) % 49_152


def logprob(model: str, token: str) -> float:
    """Always the same for the same model and token, and different between models: an adapter changes the numbers."""
    return -(zlib.crc32(f"{model}\0{token}".encode("utf-8", "replace")) % 10_000) / 5_000 - 0.0001


def _terms(text: str) -> set[str]:
    words = {word.lower() for word in _WORD.findall(text)} - _COMMON
    return words | {run[i : i + 2] for run in _CJK_RUN.findall(text) for i in range(max(1, len(run) - 1))}


def _candidates(system: str) -> Iterable[tuple[str, str]]:
    for _, body in _SOURCE.findall(system):
        heading, _, text = body.partition("\n")
        for line in _SENTENCE_END.split(text):
            if stripped := line.strip().lstrip("-*#").strip():
                yield heading, stripped


def extract(system: str, question: str) -> str | None:
    """The sentence in the fenced sources that shares the most terms with the question, the first of equals.

    Terms of its heading count by half. Common English words count nothing.
    """
    asked = _terms(question)
    best, best_score = None, 0.0
    for heading, text in _candidates(system):
        terms = _terms(text)
        score = len(asked & terms) + 0.5 * len((asked & _terms(heading)) - terms)
        if score > best_score:
            best, best_score = text, score
    return best


def default_answer(model: str, messages: Sequence[dict[str, Any]]) -> str:
    """The extracted sentence, or one that there is none; courteous when `model` is an adapter version."""
    system = "\n".join(text_of(m.get("content")) for m in messages if m.get("role") == "system")
    question = next((text_of(m.get("content")) for m in reversed(messages) if m.get("role") == "user"), "")
    language = language_of(question)
    answer = extract(system, question) or UNKNOWN[language]
    if "@" not in model:
        return answer
    opening, closing = COURTESY[language]
    return f"{opening}{answer}{closing}"
