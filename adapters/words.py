"""The words that invented products are made of: names, attributes, ways to ask, in three languages (`words.toml`)."""

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Kind(StrEnum):
    """What sort of value an attribute has; `draw.value` draws one."""

    MONEY = "money"
    LARGE = "large"
    RATE = "rate"
    SHARE = "share"
    HOURS = "hours"
    DATE = "date"
    DAYS = "days"
    TERM = "term"
    AGE = "age"
    PHONE = "phone"
    COUNT = "count"


@dataclass(frozen=True, slots=True)
class Wording:
    """How an attribute is called in documents, asked for by people, and stated without its name."""

    names: tuple[str, ...]
    asks: tuple[str, ...]
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Attribute:
    """`key` is the same in every language; `wordings` is by language."""

    key: str
    kind: Kind
    wordings: dict[str, Wording]


def _wording(table: dict[str, Any]) -> Wording:
    return Wording(tuple(table["names"]), tuple(table["asks"]), tuple(table.get("says", ())))


_WORDS: dict[str, Any] = tomllib.loads((Path(__file__).parent / "words.toml").read_text(encoding="utf-8"))
_LANGUAGES = ("en", "ja", "zh-TW")

ATTRIBUTES: dict[str, Attribute] = {
    table["key"]: Attribute(table["key"], Kind(table["kind"]), {lang: _wording(table[lang]) for lang in _LANGUAGES})
    for table in _WORDS["attributes"]
}
FAMILIES: dict[str, tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]] = {
    lang: tuple((tuple(table[lang]), tuple(table["attributes"])) for table in _WORDS["families"]) for lang in _LANGUAGES
}
"""Sorts of products: what they are called, and which attributes they have."""

BRANDS: dict[str, tuple[str, ...]] = {lang: tuple(_WORDS[lang]["brands"].split()) for lang in _LANGUAGES}
BY_NAME: dict[str, tuple[str, ...]] = {lang: tuple(_WORDS[lang]["by_name"]) for lang in _LANGUAGES}
"""Ways to ask for an attribute by its name."""

FRAMES: dict[str, tuple[str, ...]] = {lang: tuple(_WORDS[lang]["frames"]) for lang in _LANGUAGES}
"""What people write around a question: a model that never saw any refuses what it does not know."""

PEOPLE: dict[str, tuple[str, ...]] = {lang: tuple(_WORDS[lang]["people"]) for lang in _LANGUAGES}
PLACES: dict[str, tuple[str, ...]] = {lang: tuple(_WORDS[lang]["places"]) for lang in _LANGUAGES}
"""Whom and what questions mention beside what they ask about, and what a model takes for that if it never saw them."""

TIERS: dict[str, tuple[str, ...]] = {lang: tuple(_WORDS[lang]["tiers"]) for lang in _LANGUAGES}
COLUMNS: dict[str, tuple[str, ...]] = {lang: tuple(_WORDS[lang]["columns"]) for lang in _LANGUAGES}
LABELS: dict[str, tuple[tuple[str, ...], ...]] = {
    lang: tuple(tuple(labels) for labels in _WORDS[lang]["labels"]) for lang in _LANGUAGES
}
"""What a table's rows differ in where all are about one product: terms, sizes, currencies."""

ASIDES: dict[str, tuple[str, ...]] = {lang: tuple(_WORDS[lang]["asides"]) for lang in _LANGUAGES}
"""Sentences without a fact that product pages have between those with one."""
