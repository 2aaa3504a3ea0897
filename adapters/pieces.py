"""Pieces of evidence as training draws them, and the facts that each states.

From the firm's documents with their figures redrawn, and from products that don't exist: sections of one product,
tables of several, rows of a price list, in the wordings and layouts of three languages.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from adapters.documents import Chunk, facts_apart
from adapters.draw import Product, family, value
from adapters.facts import facts, labels, qualified
from adapters.redraw import figures, normal, redraw
from adapters.words import ASIDES, ATTRIBUTES, COLUMNS, LABELS
from common.evidence import Evidence
from common.prompt import canonical_order

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Stated:
    """A fact as a scene states it.

    `key` names the attribute in `words.ATTRIBUTES`, where it is one of them. `label` is the row that it stands in,
    where a product has a value for each of several terms, sizes or currencies; `attribute` then names it too.
    """

    product: str
    attribute: str
    value: str
    key: str | None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Headings, text and facts of one piece."""

    heading: tuple[str, ...]
    text: str
    stated: tuple[Stated, ...]


def redrawn(chunk: Chunk, rng: random.Random, taken: set[str]) -> tuple[str, Callable[[int, int], str]]:
    """`chunk`'s text with its figures drawn anew, and a function from a range of the old text to the new one's words.

    Labels stay, and no figure comes out equal to one in `taken`, so that a wrong neighbour is never right by chance.
    """
    kept = labels(chunk)
    values = {(f.figure.start, f.figure.end) for f in facts(chunk)}
    parts: list[str] = []
    moved: dict[tuple[int, int], str] = {}
    at = 0
    for figure in figures(chunk.text):
        old = chunk.text[figure.start : figure.end]
        named = any(start < figure.end and figure.start < end for start, end in kept)
        qualifies = figure.kind == "quantity" and (figure.start, figure.end) not in values
        new = old
        if not named and not qualifies:
            for _ in range(20):
                new = redraw(old, figure.kind, rng)
                if normal(new) not in taken and normal(new) != normal(old):
                    break
        taken.add(normal(new))
        parts += [chunk.text[at : figure.start], new]
        moved[figure.start, figure.end] = new
        at = figure.end
    parts.append(chunk.text[at:])
    return "".join(parts), lambda start, end: moved.get((start, end), chunk.text[start:end])


def from_chunk(chunk: Chunk, rng: random.Random, taken: set[str], *, change: bool) -> Piece:
    def as_it_stands(start: int, end: int) -> str:
        return chunk.text[start:end]

    text, words = redrawn(chunk, rng, taken) if change else (chunk.text, as_it_stands)
    stated = tuple(
        Stated(fact.subject, fact.attribute, words(fact.figure.start, fact.figure.end), None, fact.label)
        for fact in facts(chunk)
    )
    return Piece(chunk.heading, text, stated)


def invented(lang: str, count: int, rng: random.Random) -> tuple[list[Piece], list[Stated]]:
    """Pieces about products that don't exist, and facts about a sibling that none of them states."""
    title, products = family(lang, max(2, count) + 1, rng)
    missing = list(_stated(products.pop()))
    pieces = [part for piece in _pieces(title, products, lang, count, rng) for part in _apart(piece)]
    chosen = neighbours(pieces, count, lambda piece: piece.heading, rng)
    return chosen, missing


def neighbours(pool: Sequence[T], count: int, heading: Callable[[T], tuple[str, ...]], rng: random.Random) -> list[T]:
    """At most `count` of `pool`, what stands under the same heading first: what a search brings together."""
    rest = list(pool)
    chosen = [rest.pop(rng.randrange(len(rest)))]
    while rest and len(chosen) < count:
        near = [i for i, one in enumerate(rest) if heading(one) == heading(chosen[0])]
        chosen.append(rest.pop(rng.choice(near) if near and rng.random() < 0.6 else rng.randrange(len(rest))))
    return chosen


def _apart(piece: Piece) -> list[Piece]:
    """A section in the parts that the knowledge base makes of it, each with the facts that it states."""
    parts = facts_apart(piece.text)
    return [Piece(piece.heading, part, tuple(s for s in piece.stated if _states(part, s))) for part in parts]


def _states(part: str, fact: Stated) -> bool:
    if fact.value not in part:
        return False
    if fact.label:
        return fact.label in part
    if "; " in part and ": " in part:
        return fact.product in part
    return fact.attribute.casefold() in part.casefold() or fact.product in part


def _pieces(title: str, products: Sequence[Product], lang: str, count: int, rng: random.Random) -> list[Piece]:
    """Sections of one product, tables of several, tables of one product's terms, rows of a price list."""
    layout = rng.random()
    if layout > 0.82:
        return [_labelled(title, products[0], lang, rng), *(_section(title, p, lang, rng) for p in products[1:count])]
    if layout < 0.35:
        column = rng.choice(COLUMNS[lang])
        return [_listed(column, product) for product in products[:count]]
    if layout < 0.5 and len(products) > 1:
        head = rng.randint(2, len(products))
        pieces = [_table(title, products[:head], lang, rng)]
        return pieces + [_section(title, product, lang, rng) for product in products[head:][: count - 1]]
    return [_section(title, product, lang, rng) for product in products[:count]]


def _listed(column: str, product: Product) -> Piece:
    row = "; ".join(
        [f"{column}: {product.name}", *(f"{_cap(name, product.lang)}: {v}" for name, v in product.values.values())]
    )
    return Piece((), row, _stated(product))


def _table(title: str, products: Sequence[Product], lang: str, rng: random.Random) -> Piece:
    column = rng.choice(COLUMNS[lang])
    rows = "\n".join(_listed(column, product).text for product in products)
    return Piece((title,), f"{rng.choice(ASIDES[lang])}\n\n{rows}", tuple(s for p in products for s in _stated(p)))


def _labelled(title: str, product: Product, lang: str, rng: random.Random) -> Piece:
    """A section whose table has a value of one attribute for each of several terms, sizes or currencies."""
    key, (name, _) = rng.choice(list(product.values.items()))
    other, (other_name, other_value) = rng.choice(list(product.values.items()))
    group = rng.choice(LABELS[lang])
    first = rng.randrange(len(group) - 2)
    chosen = group[first : first + rng.randint(3, 4)]
    column = rng.choice(
        {
            "en": (f"Term of the {product.name}", product.name, f"Kind of {product.name}"),
            "ja": (f"{product.name}の期間", product.name, f"{product.name}の種類"),
            "zh-TW": (f"{product.name}的期間", product.name, f"{product.name}種類"),
        }[lang]
    )
    values: list[str] = []
    for _ in chosen:
        drawn = value(ATTRIBUTES[key], lang, rng)
        while drawn in values and len(values) < 3:
            drawn = value(ATTRIBUTES[key], lang, rng)
        values.append(drawn)
    rows = [f"{column}: {label}; {_cap(name, lang)}: {drawn}" for label, drawn in zip(chosen, values, strict=True)]
    stated = [
        Stated(product.name, qualified(name, label, lang), drawn, key, label)
        for label, drawn in zip(chosen, values, strict=True)
        if values.count(drawn) == 1
    ]
    prose = rng.choice(ASIDES[lang])
    if other != key:
        prose = _sentence(product.name, other_name, other_value, lang)
        stated.append(Stated(product.name, other_name, other_value, other))
    return Piece((title, product.name), f"{prose}\n\n" + "\n".join(rows), tuple(stated))


def _section(title: str, product: Product, lang: str, rng: random.Random) -> Piece:
    """Prose for the first attributes, a list for the rest, as product pages have it."""
    values = list(product.values.items())
    cut = min(4, len(values)) if rng.random() < 0.4 else rng.randint(0, min(3, len(values)))
    prose: list[str] = []
    i = 0
    while i < cut:
        key, (name, said) = values[i]
        says = ATTRIBUTES[key].wordings[lang].says
        if i + 1 < cut and rng.random() < 0.4:
            prose.append(
                _joined(product.name if i == 0 or rng.random() < 0.3 else "", values[i][1], values[i + 1][1], lang, rng)
            )
            i += 1
        elif says and rng.random() < 0.5:
            prose.append(rng.choice(says).format(product=product.name, value=said))
        else:
            prose.append(_sentence(product.name if i == 0 or rng.random() < 0.5 else "", name, said, lang))
        i += 1
    if rng.random() < 0.5:
        prose.insert(rng.randint(0, len(prose)), rng.choice(ASIDES[lang]))
    colon = ": " if lang == "en" or rng.random() < 0.2 else "："
    items = [f"{_cap(name, lang)}{colon}{value}" for _, (name, value) in values[cut:]]
    text = "\n\n".join(part for part in ((" " if lang == "en" else "").join(prose), "\n".join(items)) if part)
    return Piece((title, product.name), text, _stated(product))


def _sentence(product: str, name: str, value: str, lang: str) -> str:
    if lang == "en":
        return f"The {name} of the {product} is {value}." if product else f"The {name} is {value}."
    if lang == "ja":
        return f"{product + 'の' if product else ''}{name}は{value}です。"
    return f"{product + '的' if product else ''}{name}為{value}。"


def _joined(product: str, one: tuple[str, str], other: tuple[str, str], lang: str, rng: random.Random) -> str:
    """Two facts in one sentence."""
    (name, value), (second, also) = one, other
    if lang == "en":
        return f"{_sentence(product, name, value, lang).rstrip('.')} and the {second} is {also}."
    if lang == "ja":
        return f"{product + 'の' if product else ''}{name}は{value}{rng.choice(('で、', '、'))}{second}は{also}です。"
    return f"{product + '的' if product else ''}{name}為{value}，{second}為{also}。"


def _stated(product: Product) -> tuple[Stated, ...]:
    return tuple(Stated(product.name, name, value, key) for key, (name, value) in product.values.items())


def _cap(name: str, lang: str) -> str:
    return name[0].upper() + name[1:] if lang == "en" else name


def evidence_of(pieces: Sequence[Piece], lang: str, rng: random.Random) -> list[Evidence]:
    """The pieces as evidence, in serving's order: by document and place, so the answer may stand anywhere."""
    documents = [f"{rng.randrange(16**6):06x}" for _ in pieces]
    evidence = [
        Evidence(
            chunk=f"{rng.randrange(16**12):012x}",
            digest="",
            knowledge="k",
            document=documents[0] if rng.random() < 0.5 else documents[i],
            revision=1,
            title=piece.heading[0] if piece.heading else "",
            heading=piece.heading,
            text=piece.text,
            span=(0, len(piece.text)),
            page=None,
            lang=lang,
            position=rng.randrange(100),
            score=1.0,
            fence=f"{rng.randrange(16**8):08x}",
        )
        for i, piece in enumerate(pieces)
    ]
    return canonical_order(evidence)
