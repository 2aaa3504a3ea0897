"""Arithmetic over figures that an answer names itself.

With free operands a third of all wrong figures would come out of some sum, so operands are supported figures of the
same sentence or shortly before it, at most eight of them, and a short result (fewer than three significant digits)
needs a word that says how it was computed.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import ROUND_HALF_EVEN, ROUND_HALF_UP, Decimal, localcontext
from itertools import combinations, permutations

from common.figures import Figure, Kind
from common.figures.value import same, same_unit
from serving.chat.guard.rounding import rounds
from serving.chat.guard.verdict import Derivation, Operation

MOST_OPERANDS = 8
_CUES = {
    Operation.SUM: re.compile(
        r"total|sum|together|combined|altogether|in all|both|plus|\+|合計|合算|総額|あわせて|合わせて|計|總計|總共|"
        r"總額|合共|共計|一共|共|總和|总计|总共|总额|合计|加起",
        re.I,
    ),
    Operation.DIFFERENCE: re.compile(
        r"differ|more|less|higher|lower|cheaper|dearer|save|saving|minus|gap|above|below|longer|shorter|extra|increase|"
        r"widen|narrow|improv|decrease|rise|rose|fell|[−-] ?\d|差|より|比|高|低|安い|少|多|便宜|貴|贵|節省|节省|"
        r"増|增|減|减|長い|短い|percentage point|ポイント|百分[點点]",
        re.I,
    ),
    Operation.PRODUCT: re.compile(
        r"times|multipl|×|\bx\b|\*|each|per|every|for \w+ (?:year|month)|\ba (?:day|week|month|year)\b|daily|"
        r"倍|乘|掛け|[日年月]量|毎|每|分で|共|計",
        re.I,
    ),
    Operation.RATIO: re.compile(r"times|ratio|as (?:much|high|many|long)|÷|/|倍|分の|分之|比", re.I),
    Operation.PERCENTAGE: re.compile(r"%|percent|per cent|share|portion|of|パーセント|割合|比率|占|成|割|百分", re.I),
    Operation.CHANGE: re.compile(
        r"increas|decreas|reduc|shr[aiu]nk|grow|grew|rose|rise|fell|fall|declin|drop|higher|lower|more|less|up|down|change|"
        r"増|減|増加|減少|成長|伸び|増え|減っ|上昇|低下|增加|减少|增长|成長|上升|下降|變動|变动",
        re.I,
    ),
}
_SHOWN = re.compile(
    r"=|\b(?:so|i\.e\.|makes?|equals|therefore|hence|thus|works out)|つまり|すなわち|よって|因此|所以|等於|等于",
    re.I,
)
"""Words that say of any result that it is one."""
_SIGNS = {Operation.SUM: " + ", Operation.DIFFERENCE: " − ", Operation.PRODUCT: " × ", Operation.RATIO: " ÷ "}


def derivation(figure: Figure, operands: Sequence[Figure], sentence: str, at: int) -> Derivation | None:
    """How `figure` follows from `operands`, all supported; None where it does not.

    `sentence` is the one around it, and begins at `at` of the answer.
    """
    if not isinstance(figure.value, Decimal):
        return None
    here = replace(figure, start=figure.start - at, end=figure.end - at)
    near = sorted(operands, key=lambda other: abs(other.start - figure.start))[:MOST_OPERANDS]
    near = [other for other in near if isinstance(other.value, Decimal) and not same(other, figure)]
    told = len("".join(map(str, figure.value.as_tuple().digits)).strip("0")) >= 3
    with localcontext() as context:
        context.prec = 40
        for operation, used, value in _results(figure, near):
            if _states(here, operation, value, sentence) and (
                told or _SHOWN.search(sentence) or _CUES[operation].search(sentence)
            ):
                used = tuple(sorted(used, key=lambda other: other.start)) if operation is Operation.SUM else used
                return Derivation(operation, used, _written(operation, used))
    return None


def _results(figure: Figure, operands: Sequence[Figure]) -> Iterator[tuple[Operation, tuple[Figure, ...], Decimal]]:
    """Every result of the figure's own kind and unit, plainest first. Values in the figure's unit."""
    alike = [other for other in operands if _alike(figure, other)]
    for size in sorted({2, 3, len(alike)} & set(range(2, len(alike) + 1))):
        for used in combinations(alike, size):
            yield Operation.SUM, used, sum((_value(one) for one in used), Decimal(0))
    for one, other in permutations(alike, 2):
        if _value(one) > _value(other):
            yield Operation.DIFFERENCE, (one, other), _value(one) - _value(other)
    for one, other in permutations(operands, 2):
        counts = other.kind in (Kind.NUMBER, Kind.QUANTITY, Kind.DURATION)
        if _alike(figure, one) and one.kind is not Kind.PERCENT and counts:
            yield Operation.PRODUCT, (one, other), _value(one) * _value(other)
        if other.kind is Kind.PERCENT and one.kind is not Kind.PERCENT and _alike(figure, one):
            yield Operation.PERCENTAGE, (one, other), _value(one) * _value(other) / 100
        if figure.kind is Kind.MONEY and _alike(figure, one) and counts and _value(other):
            yield Operation.RATIO, (one, other), _value(one) / _value(other)
        if _alike(one, other) and one.kind is other.kind and _value(other):
            if figure.kind is Kind.NUMBER or (figure.kind is Kind.QUANTITY and figure.unit in ("fold", "time")):
                yield Operation.RATIO, (one, other), _value(one) / _value(other)
            if figure.kind is Kind.PERCENT:
                yield Operation.PERCENTAGE, (one, other), 100 * _value(one) / _value(other)
                yield Operation.CHANGE, (one, other), 100 * (_value(one) - _value(other)) / _value(other)


def _alike(figure: Figure, other: Figure) -> bool:
    """Whether both are of one kind and unit; a bare result takes its operands' money."""
    bare = figure.kind is Kind.NUMBER and other.kind is Kind.MONEY
    bare = bare or (figure.unit == "point" and other.kind is Kind.PERCENT)
    return bare or (figure.kind is other.kind and same_unit(figure.unit, other.unit))


def _value(figure: Figure) -> Decimal:
    assert isinstance(figure.value, Decimal)
    return figure.value


def _states(figure: Figure, operation: Operation, value: Decimal, sentence: str) -> bool:
    """Whether a figure states `value`: exactly, or for what divides and multiplies rounded to the places it shows."""
    stated = _value(figure)
    if operation in (Operation.SUM, Operation.DIFFERENCE):
        return value == stated or rounds(figure, replace(figure, value=value), sentence)
    shown = re.search(r"[.．]([0-9０-９]+)", figure.text)
    exponent = stated.as_tuple().exponent
    assert isinstance(exponent, int)
    step = Decimal(1).scaleb(min(0, exponent, -len(shown[1]) if shown and stated < 1000 else 0))
    values = (value, value.copy_abs()) if operation is Operation.CHANGE else (value,)  # a fall is told without its sign
    return any(
        one.quantize(step, rounding) == stated for one in values for rounding in (ROUND_HALF_EVEN, ROUND_HALF_UP)
    )


def _written(operation: Operation, used: tuple[Figure, ...]) -> str:
    texts = [one.text for one in used]
    if operation is Operation.PERCENTAGE:
        if used[1].kind is Kind.PERCENT:
            return f"{texts[0]} × {texts[1]}"
        return f"{texts[0]} ÷ {texts[1]}"
    if operation is Operation.CHANGE:
        return f"({texts[0]} − {texts[1]}) ÷ {texts[1]}"
    return _SIGNS[operation].join(texts)
