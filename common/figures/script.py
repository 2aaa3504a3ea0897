"""Reading text: folding that keeps every index, and a cursor that knows when it looked past the end.

Folding maps full-width ASCII (U+FF01–FF5E) and spaces one to one, the part of NFKC (UAX #15) that keeps code points
aligned; the rest of NFKC changes lengths and is not needed here. URLs and e-mail addresses are blanked.
"""

import re
from collections.abc import Collection, Iterable

REACH = 320
"""The most code points, from its first one on, that recognising one figure may look at."""
LOOKBACK = 24
"""The most code points to the left of a figure that recognising it may look at."""

_FOLD: dict[int, str] = {
    **{0xFF01 + at: chr(0x21 + at) for at in range(94)},
    **{
        0xFFE5: "¥",
        0xFFE1: "£",
        0x3000: " ",
        0x2009: "\u00a0",
        0x202F: "\u00a0",
        0x2019: "'",
        0x2011: "-",
        0x2010: "-",
    },
}
UNFOLDED = frozenset(map(chr, _FOLD))
"""The code points that folding changes."""
_SKIPPED = re.compile(r"(?<![A-Za-z0-9._-])(?:(?:https?://|www\.)[!-;=?-~]*|[A-Za-z0-9._-]{1,64}@[A-Za-z0-9.-]*)")
_DIGITS = re.compile(r"[0-9]*")
_LETTERS = re.compile(r"[A-Za-z]*")


def fold(text: str) -> str:
    """Return `text` in plain forms, URLs and e-mail addresses blanked; the length never changes."""
    if not text.isascii():
        text = text.translate(_FOLD)
    if "@" in text or "://" in text or "www." in text:
        text = _SKIPPED.sub(lambda found: "\0" * len(found[0]), text)
    return text


def listed(words: str) -> list[str]:
    """Return the words of a line; tables read better so."""
    return words.split()


def prefixes(words: Iterable[str]) -> frozenset[str]:
    """Return every proper and improper prefix of `words`."""
    return frozenset(word[:size] for word in words for size in range(1, len(word) + 1))


class Cursor:
    """Folded text as one attempt at one figure sees it: at most `REACH` code points from `start`.

    `hit` tells that an answer depended on what follows the end of the text; `seen` is the furthest index looked at.
    All reading to the right goes through these methods, so a figure that was read without a hit can never change.
    """

    __slots__ = ("hit", "seen", "size", "start", "text", "wall")

    def __init__(self, text: str, start: int) -> None:
        self.text = text
        self.start = start
        self.size = len(text)
        self.wall = min(self.size, start + REACH)
        self.hit = False
        self.seen = start

    def at(self, index: int) -> str:
        """Return the code point at `index`, or an empty string past the end."""
        if index >= self.wall:
            self._past(index)
            return ""
        if index > self.seen:
            self.seen = index
        return self.text[index]

    def digits(self, index: int) -> int:
        """Return the end of the run of ASCII digits at `index`."""
        return self._run(_DIGITS, index)

    def letters(self, index: int) -> str:
        """Return the run of ASCII letters at `index`, whatever it is."""
        return self.text[index : self._run(_LETTERS, index)]

    def word(self, index: int, known: Collection[str]) -> str:
        """Return the run of letters at `index` if its lower case is in `known`, a set of prefixes, else nothing.

        An unknown word ends the looking: no continuation of the text could make it known.
        """
        found = _LETTERS.match(self.text, index, self.wall)
        end = found.end() if found else index
        word = self.text[index:end]
        self.seen = max(self.seen, min(end, self.wall - 1))
        if word and word.lower() not in known:
            return ""
        if end >= self.wall:
            self._past(end)
        return word

    def longest(self, index: int, table: Collection[str], known: Collection[str]) -> str:
        """Return the longest member of `table` at `index`; `known` holds all prefixes of the table."""
        best, end = "", index
        while end < self.wall:
            end += 1
            piece = self.text[index:end]
            if piece not in known:
                self.seen = max(self.seen, end - 1)
                return best
            if piece in table:
                best = piece
        self._past(end)
        return best

    def spaces(self, index: int) -> int:
        """Return the index after one space, if there is one; a line end is none."""
        return index + (self.at(index) in (" ", "\u00a0"))

    def before(self, index: int, count: int = 1) -> str:
        """Return up to `count` (at most `LOOKBACK`) code points that stand before `index`."""
        return self.text[max(0, index - count) : index]

    def _run(self, pattern: re.Pattern[str], index: int) -> int:
        found = pattern.match(self.text, index, self.wall)
        end = found.end() if found else index
        self.seen = max(self.seen, min(end, self.wall - 1))
        if end >= self.wall:
            self._past(end)
        return end

    def _past(self, index: int) -> None:
        self.seen = max(self.seen, min(index, self.size))
        if self.wall == self.size:
            self.hit = True
