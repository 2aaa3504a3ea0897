"""What stands around a number and makes it no figure: list marks, references, ordinals, pronouns, common words."""

import re

from . import numerals, units
from .numerals import Number, is_digit
from .script import Cursor, listed, prefixes
from .value import Kind

_KNOWN_ORDINAL = prefixes(units.ORDINAL_MARKS)
_OF = prefixes(("of",))
_REFERENCES = re.compile(
    r"(?:\b(?i:article|section|chapter|clause|step|appendix|figure|fig\.?|table|annex|paragraph|para\.|footnote|page|"
    r"schedule|exhibit|phase|tier|level|part|question|item|note)s? |第\s?|§\s?|#{1,6} )\Z"
)
LIST_BEFORE = re.compile(r"(?:\A|\n)[ \t>*#|-]{0,12}\(?\Z")
_INLINE_LIST_BEFORE = re.compile(r"(?:[:;,.、。]\s?|\b(?:and|or) )\(\Z")
_UNIT_HEADING = re.compile(r"(?:[单単單]位\s?[:：]?\s?|\()\Z")
_WORD_BEFORE = re.compile(r"([A-Za-z]+)[ -]\Z")
_SENTENCE_START = re.compile(r"(?:\A|[\n.!?:\"“*|•>-]\s?)\Z")
_ARTICLES = frozenset(listed("the these those both all other or my our your their no"))
_MONTH_LEADS = frozenset(
    listed("in from until by since of every each next last till before after during early late mid to")
)


def word_before(c: Cursor, at: int) -> str:
    """Return the English word that ends one space or hyphen before `at`, in lower case, or nothing."""
    found = _WORD_BEFORE.search(c.before(at, 14))
    return found[1].lower() if found else ""


def is_list_mark(c: Cursor, at: int) -> bool:
    """Say whether the digits at `at` number an item (`1.`, `2)`, `(3)`), a heading (`## 2`) or a source (`[4]`)."""
    end = c.digits(at)
    after = c.at(end)
    if end - at > 3:
        return False
    before = c.before(at, 14)
    if before.endswith("[") and after == "]":
        return True
    if LIST_BEFORE.search(before):
        if "#" in before[before.rfind("\n") + 1 :]:
            return True
        if before.endswith("(") and after == ")":
            return True
        if after in (")", "、", "]"):
            return True
        if after == "." and not is_digit(c.at(end + 1)):
            return True
    return end - at <= 2 and after == ")" and bool(_INLINE_LIST_BEFORE.search(before))


def is_reference(c: Cursor, at: int) -> bool:
    return bool(_REFERENCES.search(c.before(at, 14)))


def is_ordinal(c: Cursor, at: int) -> bool:
    return bool(c.longest(at, units.ORDINAL_MARKS, _KNOWN_ORDINAL)) or c.at(at) == "目"


def is_common_word(c: Cursor, at: int, found: Number, end: int, unit: units.Unit) -> bool:
    """Say whether numerals and mark make a word: 十分, 一個, 一時, 二次; or head a table column: 単位：百万円."""
    run, mark = c.text[at : found.end], c.text[found.end : end].strip()
    if not any(numeral in numerals.HAN_DIGITS for numeral in run) and _UNIT_HEADING.search(c.before(at, 6)):
        return True
    if run == "一":
        idle = unit.kind is Kind.QUANTITY and unit.name not in ("fold", "night", "year old", "kg", "km")
        return idle or mark in ("円", "圓", "周", "週", "時", "塊", "块") or c.at(end) in ("中", "々")
    if mark == "次" and (found.value > 2 or run in ("兩", "两")):
        return False  # 每年六次, but 二次
    return (run == "十" and mark == "分") or (mark in units.HAN_WEAK and found.value <= 10)


def is_pronoun(c: Cursor, at: int, word: str, found: Number, led: str) -> bool:
    """Say whether a number word without unit counts nothing: `one`, `the two`, `three of`, Seven Bank."""
    if found.value == 1:
        return True
    if c.at(found.end) == "-" and c.at(found.end + 1).isalpha():
        return found.value <= 10
    if found.value <= 10 and led in _ARTICLES:
        return True
    following = c.word(c.spaces(found.end), _OF)
    if found.value <= 10 and following == "of":
        return True
    if not word[0].isupper() or word.isupper():
        return False
    nxt = c.at(c.spaces(found.end))
    return (bool(nxt) and nxt.isascii() and nxt.isupper()) or not _SENTENCE_START.search(c.before(at, 3))


def is_month(c: Cursor, at: int, name: str) -> bool:
    """Say whether the bare name of a month is one: May and March only after a preposition."""
    if name not in ("May", "March"):
        return name.lower() != name and len(name) > 3
    return word_before(c, at) in _MONTH_LEADS
