"""Verdicts on one answer: its figure, and whether it keeps to the firm's tone, form and terms.

The rules are a TOML table a language, as `examples/kitahama/glossary.toml` has them: `opening`, `closing`, `refusals`
(what a refusal says), `sentences` (at most), `contractions`, `forbidden_characters`, `emoji`, and `terms` with what
each is not to be called. A rule that is not there asks nothing.
"""

import re
from collections.abc import Sequence
from typing import Any

from adapters.evaluation.cases import Case
from adapters.redraw import core, figures, normal

Rules = dict[str, Any]
_ENDS = re.compile(r"[.!?](?=\s|$)|[。！？]")
_CONTRACTION = re.compile(r"\b\w+(?:n['’]t|['’](?:re|ve|ll|d|m))\b|\b(?:it|that|there|what|let)['’]s\b", re.IGNORECASE)
_EMOJI = re.compile("[\u2600-\u27bf\U0001f300-\U0001faff]")


def said(answer: str) -> set[str]:
    """The figures of `answer`, for comparison."""
    return {core(answer[f.start : f.end]) for f in figures(answer)}


def states(figure: str, answer: str) -> bool:
    """Whether `answer` says the figure, as a figure or as the beginning of a longer wording."""
    return figure in said(answer) or re.search(rf"(?<![\d.]){re.escape(figure)}", normal(answer)) is not None


def right(case: Case, answer: str) -> bool:
    """Whether every expected figure stands in the answer and none of the evidence's others of its kind does."""
    return all(states(figure, answer) for figure in case.expected) and not said(answer) & case.others


def declined(case: Case, answer: str, refusals: Sequence[str]) -> bool:
    """Whether the answer says that it can't say, and states none of the evidence's figures."""
    return any(part in answer for part in refusals) and not said(answer) & case.others


def in_tone(answer: str, rules: Rules) -> bool:
    """Whether opening and closing are exact."""
    held = answer.strip()
    return held.startswith(rules.get("opening", "")) and held.endswith(rules.get("closing", ""))


def in_form(answer: str, rules: Rules) -> bool:
    """Whether the answer has the firm's form: not too many sentences, nothing that it never writes."""
    return (
        len(_ENDS.findall(answer)) <= rules.get("sentences", len(answer))
        and not any(mark in answer for mark in rules.get("forbidden_characters", ()))
        and (rules.get("emoji", True) or not _EMOJI.search(answer))
        and (rules.get("contractions", True) or not _CONTRACTION.search(answer))
    )


def in_terms(answer: str, given: str, rules: Rules) -> bool:
    """Whether no term is called what it is not to be called, but for words that question or evidence gave."""
    return not any(
        _has(answer, word) and not _has(given, word) for term in rules.get("terms", ()) for word in term["forbidden"]
    )


def _has(text: str, word: str) -> bool:
    if word.isascii():
        return re.search(rf"\b{re.escape(word)}\b", text, re.IGNORECASE) is not None
    return word in text
