"""Sentences of English, Japanese and Chinese, and where a text may be cut at all."""

import re
import unicodedata
from bisect import bisect_right
from itertools import pairwise

from common.figures import find

_END = re.compile(
    r"[。！？!?｡]+[」』”’）)\]】〉》\"']*"  # a closing quote or bracket belongs to the sentence before it
    r"|(?<!\b[A-Z])(?<!\bNo)(?<!\bMr)(?<!\bMs)(?<!\bDr)(?<!\bMrs)(?<!\bapprox)(?<!\be\.g)(?<!\bi\.e)(?<!\bvs)"
    r"\.[\"'”’)\]]*(?=\s+[\"'“‘(\[]?[^\sa-z])"
    r"|\n+"
)
_CLAUSE = re.compile(r"[、，,；;：:]+|\s+")
_GOES_ON = re.compile(r"[」』”’）)][\u3041-\u30fc\u4e00-\u9fff]")  # 「はい。」と言う
_OPENERS = re.compile(r"[「『（(]")
_CLOSERS = re.compile(r"[」』）)]")


def sentences(text: str) -> list[str]:
    """`text` in sentences that joined give it again. Inside quotes and brackets no sentence ends."""
    cuts: list[int] = []
    for end in _END.finditer(text):
        start = cuts[-1] if cuts else 0
        within = text[start : end.end()]
        inside = len(_OPENERS.findall(within)) > len(_CLOSERS.findall(within)) and len(within) < 200
        if inside or _GOES_ON.match(text, end.end() - 1):
            continue
        cuts.append(end.end() + len(_leading_space(text, end.end())))
    return _parts(text, cuts)


def atoms(text: str, longest: int) -> list[str]:
    """`text` in sentences, or in parts of one, each of at most `longest` characters where a cut is possible at all.

    A sentence that is too long is cut after a clause, else anywhere but inside a figure or a character that is built
    of several code points.
    """
    return [part for sentence in sentences(text) for part in _shortened(sentence, longest)]


def _shortened(sentence: str, longest: int) -> list[str]:
    if len(sentence) <= longest:
        return [sentence]
    barred = [(figure.start, figure.end) for figure in find(sentence)]
    starts = [start for start, _ in barred]

    def allowed(at: int) -> bool:
        before = bisect_right(starts, at - 1) - 1
        inside = before >= 0 and barred[before][0] < at < barred[before][1]
        return not inside and not _joined(sentence, at)

    clauses = [match.end() for match in _CLAUSE.finditer(sentence) if allowed(match.end())]
    cuts: list[int] = []
    start = 0
    while len(sentence) - start > longest:
        good = [cut for cut in clauses if start < cut <= start + longest]
        cut = good[-1] if good else next((at for at in range(start + longest, start, -1) if allowed(at)), None)
        if cut is None:
            cut = next((at for at in range(start + longest, len(sentence)) if allowed(at)), len(sentence))
        cuts.append(cut)
        start = cut
    return _parts(sentence, cuts)


def _joined(text: str, at: int) -> bool:
    """Whether the characters on both sides of `at` are one to a reader: combining marks, selectors, joiners, pairs."""
    if not 0 < at < len(text):
        return False
    left, right = text[at - 1], text[at]
    return bool(
        unicodedata.combining(right)
        or right in "\u200d\ufe0e\ufe0f"
        or left == "\u200d"
        or "\U0001f3fb" <= right <= "\U0001f3ff"
        or "\udc00" <= right <= "\udfff"
        or ("\U0001f1e6" <= left <= "\U0001f1ff" and "\U0001f1e6" <= right <= "\U0001f1ff")
        or (left.isascii() and left.isalnum() and right.isascii() and right.isalnum())
    )


def _leading_space(text: str, at: int) -> str:
    match = re.compile(r"\s*").match(text, at)
    return match[0] if match else ""


def _parts(text: str, cuts: list[int]) -> list[str]:
    edges = [0, *cuts, len(text)]
    return [text[a:b] for a, b in pairwise(edges) if a < b]
