"""What the evidence states: each of its figures with the things it is about.

A chunk stands under headings. Inside it a line is a table row (`Column: value; Column: value`, the first cell names the
row), a labelled item (`Label: value`), or prose, where the names in the sentence say what it is about.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from common import figures
from common.evidence import Evidence
from common.figures import Figure, Kind
from common.figures.value import exact
from serving.chat.guard.measure import measure
from serving.chat.guard.names import Mention, fold, is_cjk, owners, runs
from serving.chat.guard.periods import Period, is_term, period_of, periods
from serving.chat.guard.rivals import UNSAID, Families, Words, families, pieces, words_of
from serving.chat.guard.sentences import lead, sentences, spoken_of

_SEGMENT = re.compile(r"(?P<label>[^:：;。\n]{1,80}?:?)(?:: |：)(?P<value>[^;\n]*)")
_LABELLED = re.compile(r"[^:：。.!?\n]{1,60}(?:: |：)")
_LONGEST_ITEM = 160
_SCALES = {
    10**3: re.compile(r"\bin thousands\b|千円|千元|仟元|thousands of", re.I),
    10**4: re.compile(r"万元|萬元|万円"),
    10**6: re.compile(r"\bin millions\b|百万円|百萬|百万元|millions of", re.I),
    10**8: re.compile(r"億円|億元|亿元"),
    10**9: re.compile(r"\bin billions\b|billions of", re.I),
}
# Columns of years are named by figures, which take no turns with the figures below them.
_DIGIT = re.compile(r"\d")
_NUMBERED = re.compile(r"[\W\d]*(?:day|month|year|term|[日月年回口])?s?\W*")
_CAPTION = re.compile(r"単位|單位|单位|\bin (?:thousands|millions|billions)\b", re.IGNORECASE)
_PER_SHARE = re.compile(r"\bper (?:\w+ )?share\b|\bEPS\b|[每一1１]株|每股", re.IGNORECASE)
_CURRENCIES = {
    "USD": re.compile(r"\bUSD\b|US\$|\bdollars?\b|(?<![A-Z])\$|美元|ドル", re.I),
    "JPY": re.compile(r"\bJPY\b|\byen\b|円|日圓", re.I),
    "TWD": re.compile(r"\bTWD\b|NT\$|新[臺台][幣币]"),
    "EUR": re.compile(r"\bEUR\b|\beuros?\b|€|ユーロ|歐元", re.I),
    "GBP": re.compile(r"\bGBP\b|\bpounds?\b|£", re.I),
    "CNY": re.compile(r"\bCNY\b|\bRMB\b|人民[幣币]"),
    "元": re.compile(r"元"),
}


@dataclass(frozen=True, slots=True)
class Stated:
    """One figure of one chunk. `own` maps a kind of name (section, key:…, label:…, prose) to what this figure has.

    `unit` is the folded sentence, item or row around it, `lead` what that says up to it. `readings` are the figures
    that it may be taken for: as written, and with the currency and scale that a table states once for all its cells.
    `period` is the year or quarter that its column or its sentence names, `each` says that it is an amount a share,
    `measure` are the words of prose for what it measures, `words` all that tells it from its rivals.
    """

    evidence: Evidence
    figure: Figure
    readings: tuple[Figure, ...]
    unit: str
    lead: str
    own: dict[str, frozenset[str]]
    period: Period | None = None
    each: bool = False
    measure: frozenset[str] = frozenset()
    words: Words = UNSAID

    @property
    def names(self) -> frozenset[str]:
        """Every name that it has, labels aside."""
        return frozenset(name for slot, names in self.own.items() if not slot.startswith("label") for name in names)


@dataclass(slots=True)
class Known:
    """Every name of the evidence, by kind. Within one kind names exclude each other."""

    slots: dict[str, set[str]] = field(default_factory=dict[str, set[str]])
    measured: set[frozenset[str]] = field(default_factory=set[frozenset[str]])
    """What any of its figures measures: see `measure`."""
    families: dict[tuple[str, str], Families] = field(default_factory=dict[tuple[str, str], Families])
    """Of which kinds and units the figures of a name are."""
    attributes: set[str] = field(default_factory=set[str])
    """Tables whose rows are attributes of one thing and no things: their figures are not of one kind."""

    currencies: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])
    """The currencies that the evidence of a document names."""
    said: dict[str, str] = field(default_factory=dict[str, str])
    """All that the evidence of a document says, its title and name included. Folded."""

    def add(self, slot: str, name: str) -> str:
        self.slots.setdefault(slot, set()).add(name)
        return name


def stated(evidence: Sequence[Evidence], known: Known) -> list[Stated]:
    """The figures of `evidence`, in order; their names are added to `known`."""
    for chunk in evidence:
        said = "\n".join((chunk.title, *chunk.heading, re.sub(r"[_./-]", " ", chunk.document), chunk.text))
        known.said[chunk.document] = f"{known.said.get(chunk.document, '')}\n{fold(said)}"
    for chunk in evidence:
        money = {one.unit for one in figures.find(chunk.text) if one.kind is Kind.MONEY and one.unit}
        known.currencies[chunk.document] = known.currencies.get(chunk.document, frozenset()) | money
    found = [one for chunk in evidence for one in _of_chunk(chunk, known)]
    of = known.families
    for one in found:
        for slot, name in ((slot, name) for slot, names in one.own.items() for name in names):
            of[slot, name] = of.get((slot, name), frozenset()) | families(one.readings)
    for (slot, _), mine in of.items():
        if slot.startswith("key") and any(other == slot and not mine & theirs for (other, _), theirs in of.items()):
            known.attributes.add(slot)
    return found


def _of_chunk(chunk: Evidence, known: Known) -> Iterator[Stated]:
    found = figures.find(chunk.text)
    path = tuple(fold(part) for part in chunk.heading if part)
    if path:
        known.add("section", path[-1])
    section = {"section": frozenset(path[-1:])}
    above = "\n".join(chunk.heading)
    for figure in figures.find(above):
        yield Stated(chunk, replace(figure, start=0, end=0), (figure,), fold(above), "", {})
    at = 0
    for line in chunk.text.split("\n"):
        start, end = at, at + len(line)
        at = end + 1
        inside = [figure for figure in found if start <= figure.start < end]
        segments = _segments(line)
        if not inside and not segments:
            continue
        if segments:
            yield from _of_row(chunk, line, start, segments, inside, section, path, above, known)
        else:
            yield from _of_prose(chunk, line, start, inside, section, known)


def _segments(line: str) -> list[tuple[int, int, str, str]]:
    """Start, end, label and value of each cell of a row, or of a labelled item; none for prose."""
    pieces = line.split("; ")
    row = len(pieces) > 1 and all(_SEGMENT.match(piece) for piece in pieces)
    if not row and (not _LABELLED.match(line) or (len(pieces) == 1 and len(line) > _LONGEST_ITEM)):
        return []
    cells: list[tuple[int, int, str, str]] = []
    at = 0
    for piece in pieces:
        match = _SEGMENT.match(piece)
        if not match and not cells and len(pieces) > 2 and not _DIGIT.search(piece):
            cells.append((0, len(piece), "", fold(piece).strip()))
        elif match:
            cells.append((at, at + len(piece), fold(match["label"]).strip(" :"), fold(match["value"]).strip()))
        elif cells:
            start, _, label, value = cells[-1]
            cells[-1] = (start, at + len(piece), label, f"{value}; {fold(piece)}")
        at += len(piece) + 2
    return cells


def _of_row(
    chunk: Evidence,
    line: str,
    start: int,
    cells: list[tuple[int, int, str, str]],
    inside: Sequence[Figure],
    section: dict[str, frozenset[str]],
    path: tuple[str, ...],
    above: str,
    known: Known,
) -> Iterator[Stated]:
    labels = f"label:{'/'.join(path)}"
    matches = [_SEGMENT.match(line[low:high]) for low, high, *_ in cells]
    values = [cell[0] + (match.start("value") if match else 0) for cell, match in zip(cells, matches, strict=True)]
    shared = dict(section)
    # In a table of one thing's attributes the column has the thing's name, and the first cell the attribute's.
    turned = len(cells) == 2 and cells[1][2] in path
    if turned:
        shared[labels] = frozenset({known.add(labels, _row_name(cells[0][3]))})
    elif len(cells) > 1:
        key = f"key:{cells[0][2]}"
        shared[key] = frozenset({known.add(key, _row_name(cells[0][3]))})
    for i, (low, high, label, _) in enumerate(cells):
        keyed = len(cells) > 1 and i == 0
        dated = bool(_NUMBERED.fullmatch(label) or periods(label) or is_term(label))
        if not keyed and not turned and not dated:
            known.add(labels, label)
        seen = {cell[2] for cell in cells[:i]}
        within = [figure for figure in inside if low <= figure.start - start < high]
        period = _named_once(label) or (_named_once(cells[0][3]) if len(cells) > 1 else None)
        alike = [n for n, cell in enumerate(cells) if cell[2] == label]
        paired = _in_turn(label, [f for n in alike for f in inside if values[n] <= f.start - start < cells[n][1]])
        for figure in within:
            own = shared if keyed or turned or dated else shared | {labels: frozenset({label})}
            caption = line[: cells[0][1]] if _CAPTION.search(line[: cells[0][1]]) else cells[0][2]
            context = f"{above}\n{caption}\n{label}\n{line if len(cells) == 1 else ''}"
            each = _PER_SHARE.search(f"{cells[0][3]} {label}") is not None
            only = known.currencies[chunk.document] if len(known.currencies[chunk.document]) == 1 else ()
            readings = readings_of(_signed(chunk.text, figure), context, scaled=not each, only=next(iter(only), None))
            said = fold(line[low : figure.start - start])
            clause = words_of(
                fold(line[low:high]), _moved(figure, -start - low), [_moved(f, -start - low) for f in within]
            )
            row = clause.near | pieces(f"{label} {_row_name(cells[0][3]) if len(cells) > 1 else ''}")
            told = Words(row, row, heads=pieces(fold(above)))
            # Columns that a page ran together say nothing for certain.
            alone = sum(one.start - start >= values[i] for one in within) == 1 and label not in seen
            of = paired.get(figure.start) or (period if alone else None)
            yield Stated(chunk, figure, readings, fold(line), said, own, of, each, words=told)


def _in_turn(label: str, figures: Sequence[Figure]) -> dict[int, Period]:
    """The periods of figures whose columns a page ran together, where there are as many: 2022 2021: 44,436 42,293.

    A share in a column of changes is of no period.
    """
    named = periods(label)
    amounts = [one for one in figures if one.kind is not Kind.PERCENT]
    for run in (figures, amounts):
        if len(named) == len(run) > 1:
            told = zip(run, named, strict=True)
            return {one.start: of for one, of in told if one in amounts or not amounts}
    return {}


def _named_once(label: str) -> Period | None:
    """The period of a column or a row, where its label names just one."""
    named = periods(label)
    return named[0] if len(named) == 1 else None


def _moved(figure: Figure, by: int) -> Figure:
    return replace(figure, start=figure.start + by, end=figure.end + by)


def _row_name(cell: str) -> str:
    """The name of a row: behind the headings of its group, where a reader put them before it."""
    return cell.rsplit(": ", 1)[-1]


def _of_prose(
    chunk: Evidence,
    line: str,
    start: int,
    inside: Sequence[Figure],
    section: dict[str, frozenset[str]],
    known: Known,
) -> Iterator[Stated]:
    before: frozenset[str] = frozenset()
    heads = pieces(fold("\n".join(chunk.heading)))
    for low, high in sentences(line):
        text = line[low:high]
        here = [replace(f, start=f.start - start - low, end=f.end - start - low) for f in inside]
        here = [figure for figure in here if 0 <= figure.start < len(text)]
        names = prose_names(text)
        named = periods(text) if here else []
        for name in names if here else ():
            known.add("prose", name.name)
        for figure in here:
            own = frozenset(name.name for name in spoken_of(text, names, here, figure)) or before
            whole = replace(figure, start=figure.start + start + low, end=figure.end + start + low)
            before_it = lead(text, here, figure)
            measured = measure(before_it)
            told = words_of(fold(text), figure, here)
            known.measured.add(measured)
            yield Stated(
                chunk,
                whole,
                (whole,),
                fold(text),
                fold(before_it),
                section | ({"prose": own} if own else {}),
                period_of(text, figure, here, named),
                measure=measured,
                words=replace(told, heads=heads),
            )
        before = frozenset(name.name for name in names) or before


def prose_names(text: str) -> list[Mention]:
    """The names that a sentence of evidence is about: capitalised ones, and owners in Chinese and Japanese."""
    owned = owners(text)
    return [name for name in runs(text) if not is_cjk(name.name) or name.name in owned]


def per_share(text: str, figure: Figure) -> bool:
    """Whether a sentence calls a figure an amount a share: $1.52 per diluted share."""
    return _PER_SHARE.search(text[max(0, figure.start - 64) : figure.end + 24]) is not None


def bracketed(text: str, figure: Figure) -> bool:
    """Whether a figure stands alone in brackets, as accounts write what is negative."""
    return text[figure.start - 1 : figure.start] in ("(", "（") and text[figure.end : figure.end + 1] in (")", "）")


def _signed(text: str, figure: Figure) -> Figure:
    """A cell's figure with the sign that brackets give it."""
    if not isinstance(figure.value, Decimal) or figure.kind not in (Kind.NUMBER, Kind.MONEY):
        return figure
    return replace(figure, value=exact(figure.value, -1)) if bracketed(text, figure) else figure


def readings_of(figure: Figure, context: str, *, scaled: bool = True, only: str | None = None) -> tuple[Figure, ...]:
    """`figure`, and what it is with the currency and the scale that its table states.

    `only` is the one currency of its document: amounts whose scale is stated without a currency are in it.
    """
    if figure.kind not in (Kind.NUMBER, Kind.MONEY) or not isinstance(figure.value, Decimal):
        return (figure,)
    out = [figure]
    currency = figure.unit or next((code for code, mark in _CURRENCIES.items() if mark.search(context)), None)
    stated_scale = any(mark.search(context) for mark in _SCALES.values())
    scales = [Decimal(scale) for scale, mark in _SCALES.items() if scaled and mark.search(context)] or [Decimal(1)]
    currency = currency or (only if stated_scale else None)
    for scale in scales:
        value = exact(figure.value, scale)
        if currency:
            out.append(replace(figure, kind=Kind.MONEY, unit=currency, value=value))
        out.append(replace(figure, kind=Kind.NUMBER, unit=None, value=value))
    return tuple(out)
