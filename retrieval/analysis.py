"""Text to terms: what a reader would call the same is one term, in English, Japanese and Chinese.

Width, case and accents are folded, and so are the Traditional, Simplified and Japanese forms of a character; thousands
separators go; a product code is found as typed, with any dash and with none; English words lose their inflection;
Chinese and Japanese become overlapping pairs of characters, which need no dictionary and miss no word.
"""

import re
import unicodedata
from functools import cache
from importlib.resources import files

VERSION = 2
"""Raised with every change of what `terms` gives: an index of another version is rebuilt."""

_HAN_KANA = "\u3005-\u3007\u3041-\u3096\u30a1-\u30fa\u30fc\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_TERM = re.compile(
    rf"(?P<number>\d+(?:\.\d+)*(?!\.?[a-z0-9]|[-_/][a-z0-9]))"
    rf"|(?P<code>(?=[a-z_/.-]*\d)[a-z0-9]+(?:[-_/.][a-z0-9]+)*|[a-z]+(?:-[a-z]+)+)"
    rf"|(?P<han>[{_HAN_KANA}]+)"
    rf"|(?P<word>[^\W\d_{_HAN_KANA}]+)"
)
_LONG_VOWEL_AS_DASH = re.compile(r"(?<=[a-z0-9])[ー─](?=[a-z0-9])")
_DASHES = dict.fromkeys(map(ord, "‐‑‒–−⁃﹘"), "-")
_IN_NAMES = str.maketrans("髙﨑濵𠮷", "高崎濱吉")
"""Forms of Japanese family names that Unicode keeps apart and readers do not."""
_PARTS = re.compile(r"[a-z]+|\d+")
_MARKS = re.compile(r"[\u0300-\u036f]")
_STOP = frozenset(
    re.findall(
        r"\w+",
        "a an and are as at be by can did do does for from had has have how i in is it its my of on or our s that the "
        "their there this to was we were what when where which who why will with you your",
    )
)


_SAYS_LITTLE = frozenset("的是了在有和与为何什么哪多少几吗呢谁个这那如之其请问者及于以由被所会能可")
"""Characters of question words and particles, as `fold` leaves them; in Japanese hiragana does their work."""


def fold(text: str) -> str:
    """`text` without the differences that a question need not repeat."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = unicodedata.normalize(
        "NFC", _MARKS.sub("", unicodedata.normalize("NFD", text)) if not text.isascii() else text
    )
    text = text.translate(_IN_NAMES).translate(_simplified())
    return _THOUSANDS.sub("", _LONG_VOWEL_AS_DASH.sub("-", text))


def terms(text: str) -> list[str]:
    """The terms of `text`, in order, repeated as often as they occur."""
    found: list[str] = []
    for match in _TERM.finditer(fold(text)):
        token = match[0]
        match match.lastgroup:
            case "code":
                found += [_stem(part) for part in _PARTS.findall(token)]
                found.append(re.sub(r"[-_/.]", "", token))
            case "han":
                found += [token] if len(token) == 1 else [token[i : i + 2] for i in range(len(token) - 1)]
            case "word":
                if token not in _STOP:
                    found.append(_stem(token))
            case _:
                found.append(token)
    return found


def weight(term: str) -> float:
    """How much a term says, told by its script alone: a product code much, a pair of particles little.

    A stand-in for the inverse document frequency that needs no corpus.
    """
    if any(character.isdigit() for character in term):
        return 1.5
    if term.isascii():
        return min(2.0, 0.4 + 0.2 * len(term))
    if len(term) < 2:
        return 0.5
    little = sum("\u3041" <= character <= "\u3096" or character in _SAYS_LITTLE for character in term)
    return (1.0, 0.45, 0.1)[min(2, little)]


def _stem(word: str) -> str:
    """Plurals, possessives and the commonest verb endings; the same for a question and a passage is all that counts."""
    if len(word) < 4 or not word.isascii() or word.isdigit():
        return word
    for ending, instead in (("ies", "y"), ("sses", "ss"), ("ing", ""), ("ed", ""), ("s", "")):
        if word.endswith(ending) and len(word) - len(ending) >= 3 and not word.endswith(("ss", "us", "is")):
            word = word[: -len(ending)] + instead
            break
    return word[:-1] if word.endswith("e") and len(word) > 4 else word


@cache
def _simplified() -> dict[int, str]:
    """OpenCC's single characters, Traditional to Simplified, and Japanese to Traditional to Simplified; and dashes."""
    simplified = {ord(one): other for one, other in _pairs("TSCharacters.txt")}
    japanese = {ord(other): simplified.get(ord(one), one) for one, other in _pairs("JPVariants.txt")}
    return japanese | simplified | _DASHES


def _pairs(table: str) -> list[tuple[str, str]]:
    lines = (files("opencc") / "dictionary" / table).read_text("utf-8").splitlines()
    pairs = (line.split() for line in lines if line.strip())
    return [(pair[0], pair[1]) for pair in pairs if len(pair) > 1 and len(pair[0]) == 1 and len(pair[1]) == 1]
