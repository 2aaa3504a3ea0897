"""The figures of an answer held against its evidence: one `Guard` an answer, one `Hearing` a text of it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from functools import cached_property

from common import figures
from common.evidence import Evidence
from common.figures import COUNTERS, Figure, Kind, same
from common.figures.value import base, same_unit
from common.language import Language
from serving.chat.guard.attributes import attributes
from serving.chat.guard.derive import derivation
from serving.chat.guard.echo import not_affirmed
from serving.chat.guard.layout import cell_of, siblings_skipped
from serving.chat.guard.names import fold, is_cjk, words
from serving.chat.guard.rivals import Words, families, is_year, means_other, words_of
from serving.chat.guard.rounding import may_round, rounds
from serving.chat.guard.sentences import LOOKAHEAD, ends_by, sentence_at, sentences
from serving.chat.guard.sources import Known, Stated, bracketed, stated
from serving.chat.guard.subject import INSTEAD, Fit, Passage, Subjects, other_period
from serving.chat.guard.verdict import Derivation, Judged, Status

LEFT_CONTEXT = 64
"""Characters before a text that decide how its first figure reads."""
BEFORE = 8
"""Earlier sentences of the answer that may say what a later one is about."""
FAR = 2_000
"""Code points before a sentence that may say what it is about."""
LONG = 600
"""Code points of a sentence before a figure that are looked at."""
_FALLS = re.compile(
    r"decreas|declin|fell|fall|drop|down|below|shr[aiu]nk|slip|contract|reduc|\bloss|lower|negative|deficit|減|下落|下降|低下|損|赤字|亏|虧|マイナス|負",
    re.IGNORECASE,
)
_OUTGO = re.compile(
    r"expens|\bcosts?\b|tax|paid|pay|repurchas|dividend|purchas|used|outflow|deduct|spen[dt]|repaid|charge"
    r"|adjust|eliminat|費|支出|税|支払|取得|配当|控除|支付|股利|償還|调整|調整",
    re.IGNORECASE,
)
"""What is told without the sign that accounts give it, because its name says that it is one's loss."""
_MAGNITUDE = 1_000
_TO = re.compile(r"\s*(?:to|or|and|[-–—~〜～至到]|から)\s*")
_ROC = 1911
_BARE_MONEY = 100
"""A number from here on may stand for an amount of money with its currency left out."""


class Guard:
    """The figures of one question and its evidence, read once, when the first figure of the answer is met."""

    def __init__(
        self,
        question: str,
        evidence: Sequence[Evidence],
        language: Language = Language.ENGLISH,
        firm: str = "",
        context: str | None = None,
    ) -> None:
        self._question = question
        self._context = context
        self._evidence = evidence
        self._language = language
        self._firm = firm

    @cached_property
    def known(self) -> Known:
        return Known()

    @cached_property
    def stated(self) -> list[Stated]:
        """The figures of the evidence."""
        return stated(self._evidence, self.known)

    @cached_property
    def _by_value(self) -> dict[object, list[int]]:
        """Where in `stated` a value stands, by what all figures share that `agrees` may find alike."""
        found: dict[object, list[int]] = {}
        for i, one in enumerate(self.stated):
            for key in {key for reading in one.readings for key in keys(reading)}:
                found.setdefault(key, []).append(i)
        return found

    def near(self, figure: Figure) -> list[Stated]:
        """The figures of the evidence that may state what `figure` states, rounding aside."""
        places = {i for key in keys(figure) for i in self._by_value.get(key, ())}
        return [self.stated[i] for i in sorted(places)]

    @cached_property
    def subjects(self) -> Subjects:
        assert self.stated is not None  # fills `known`
        return Subjects(self.known, self._question, self._language, self._firm)

    @cached_property
    def asked_about(self) -> list[Passage]:
        """The question, and the question as it was searched where that says more."""
        more = self._context if self._context and self._context != self._question else None
        return [self.subjects.question, *([self.subjects.passage(more)] if more else [])]

    @cached_property
    def asked(self) -> list[Figure]:
        """The figures of the question."""
        return figures.find(self._question)

    def judge(self, text: str) -> list[Judged]:
        """A verdict on each figure in `text`, in order."""
        hearing = Hearing(self)
        hearing.read(text, len(text))
        hearing.decide(text, done=True)
        return hearing.judged


class Hearing:
    """The figures of one text that is still being written, judged one after the other.

    `read` takes the figures in what is settled of the text, `decide` judges those whose sentence tells enough and says
    up to where nothing is open any more. A verdict depends on the text up to the end of the figure's sentence, or
    `LOOKAHEAD` code points on, and on nothing behind; so it is the same for a stream and for the whole text.
    """

    def __init__(self, guard: Guard, *, data: bool = False) -> None:
        self._guard = guard
        self._data = data
        self._settled = 0
        self._found: list[Figure] = []
        self._tried = -1
        self._exact: dict[int, Decimal] = {}
        self.judged: list[Judged] = []

    def read(self, text: str, settled: int) -> None:
        """Takes the figures of `text` that end at or before `settled`, before which nothing is open any more."""
        if settled > self._settled and figures.may_begin(text, self._settled, settled):
            window = max(0, self._settled - LEFT_CONTEXT)
            for found in figures.find(text[window:settled]):
                figure = replace(found, start=found.start + window, end=found.end + window)
                if figure.start >= self._settled:
                    self._found.append(figure)
        self._settled = max(self._settled, settled)

    def decide(self, text: str, *, done: bool = False) -> int:
        """Judges what can be judged; returns the index from which on text must wait."""
        while len(self.judged) < len(self._found):
            figure = self._found[len(self.judged)]
            judged = self._judge(text, figure, done)
            if judged is None:
                return figure.start
            self.judged.append(judged)
        return self._settled

    def _judge(self, text: str, figure: Figure, done: bool) -> Judged | None:
        """The verdict on `figure`; None while what follows may still change it."""
        if self._data:
            return self._judge_value(figure)
        end = ends_by(text, figure.end)
        over = done or end is not None or len(text) - figure.end >= LOOKAHEAD
        if not over and self._tried == figure.start:
            return None  # what it could be judged by before its sentence is over was looked at once
        self._tried = figure.start
        end = min(end if end is not None else len(text), figure.end + LOOKAHEAD) if over else figure.end
        low = max(0, figure.start - LONG)
        start = low + sentence_at(text[low:end], figure.start - low)[0]
        here = [one for one in self._found if start <= one.start and one.end <= end]
        sentence = text[start:end]
        local = [replace(one, start=one.start - start, end=one.end - start) for one in here]
        target = replace(figure, start=figure.start - start, end=figure.end - start)
        readings: tuple[Figure, ...] = (target,)
        if cell := cell_of(text[:end], figure):
            sentence, readings = cell.text, cell.readings
            target = readings[0]
        earlier = self._earlier(text, start)
        found, fit, sure = max(
            (
                self._find(one, [self._guard.subjects.passage(sentence, [one] if cell else local), *earlier])
                for one in readings
            ),
            key=lambda tried: (tried[0] is not None, tried[1]),
        )
        if found is not None and fit is not Fit.CONFLICT:
            if not over and not (fit is Fit.NAMED and sure):
                return None
            if (value := exact_of(target, found)) is not None:
                self._exact[figure.start] = value
            return Judged(figure, Status.SUPPORTED, found.evidence, (found.figure.start, found.figure.end))
        if not over:
            return None
        if derived := self._derived(figure, here, start, sentence, target.start):
            return Judged(figure, Status.DERIVED, derivation=derived)
        if any(same(figure, asked) for asked in self._guard.asked) and not_affirmed(sentence, target):
            return Judged(figure, Status.ECHOED)
        if found is not None:
            return Judged(figure, Status.MISATTRIBUTED, found.evidence, (found.figure.start, found.figure.end))
        return Judged(figure, Status.UNSUPPORTED)

    def _earlier(self, text: str, start: int) -> list[Passage]:
        """What counts where a sentence names nothing: the sentences before it, nearest first, then the question."""
        subjects = self._guard.subjects
        near = siblings_skipped(text[max(0, start - FAR) : start + 16], min(start, FAR))
        passages = [subjects.earlier(near[low:high]) for low, high in reversed(sentences(near)[-BEFORE:])]
        return [*passages, *self._guard.asked_about]

    def _find(self, target: Figure, passages: Sequence[Passage]) -> tuple[Stated | None, Fit, bool]:
        """The place of the evidence that fits a figure best, how, and whether no later word changes that."""
        here = passages[0]
        best: tuple[tuple[int, bool, int], Stated] | None = None
        told = may_round(target, here.text)
        dated, elsewhere = False, frozenset[str]()
        said = words_of(fold(here.text), target, here.figures)
        for one in self._guard.stated if told else self._guard.near(target):
            exact = any(agrees(target, r, one, here.text) for r in one.readings)
            if not exact and not (told and any(rounded(target, r, one, here.text) for r in one.readings)):
                continue
            fit = self._guard.subjects.fit(one, passages, target)
            if fit is not Fit.CONFLICT and self._outdone(one, said, here.text, target):
                fit = Fit.CONFLICT
            if one.period is not None and other_period(one, passages, target):
                elsewhere |= one.words.near
            else:
                dated = dated or one.period is not None
            score = (int(fit), exact, _closeness(here.text, "" if self.judged else passages[-1].text, one))
            if best is None or score > best[0]:
                best = score, one
        if best is None:
            return None, Fit.SILENT, False
        if elsewhere and not dated and elsewhere & best[1].words.near and _telling(target):
            best = (0, *best[0][1:]), best[1]  # the same fact stands with its term in another place
        before = [mention for mention in here.known if mention.end <= target.start]
        slots = {mention.slot for mention in before}
        sure = all(slot in slots for slot in best[1].own if slot != "prose") and len(before) == len(slots)
        return best[1], Fit(best[0][0]), sure and best[0][1]

    def _outdone(self, one: Stated, said: Words, here: str, figure: Figure) -> bool:
        """Whether the answer's words are those of a rival of `one`."""
        if figure.kind is Kind.DATE or is_year(figure):
            return False
        mine = families(one.readings)
        compared = INSTEAD.search(here[: figure.start])
        return any(
            means_other(said, one.words, other.words)
            for other in self._guard.stated
            if other.figure.value != one.figure.value
            and not (compared and other.unit == one.unit)
            and mine & families(other.readings)
            and _comparable(one, other)
            and not _ranged(one, other)
        )

    def _derived(self, figure: Figure, here: Sequence[Figure], start: int, sentence: str, at: int) -> Derivation | None:
        """A derivation from supported figures of this sentence, and of the two before it.

        An operand that the answer rounds counts as told, and as the evidence has it.
        """
        operands = [
            one.figure for one in self.judged if one.status is Status.SUPPORTED and one.figure.start >= start - 240
        ]
        operands += [one for one in here if one.start > figure.start and self._stands(one)]
        told = [self._with_unit(one) for one in operands]
        exactly = [replace(one, value=self._exact.get(one.start, one.value)) for one in told]
        at = figure.start - at
        return derivation(figure, told, sentence, at) or derivation(figure, exactly, sentence, at)

    def _stands(self, figure: Figure) -> bool:
        """Whether the evidence states a figure at all; one that follows the derived one is judged after it."""
        if any(agrees(figure, r, one, "") for one in self._guard.near(figure) for r in one.readings):
            return True
        alone = replace(figure, start=0, end=len(figure.text))
        return may_round(alone, figure.text) and any(
            rounded(alone, r, one, figure.text) for one in self._guard.stated for r in one.readings
        )

    def _with_unit(self, figure: Figure) -> Figure:
        """A bare number as the money that the evidence makes of it."""
        if figure.kind is not Kind.NUMBER:
            return figure
        for one in self._guard.near(figure):
            for reading in one.readings:
                if reading.kind is Kind.MONEY and reading.value == figure.value:
                    return replace(figure, kind=Kind.MONEY, unit=reading.unit)
        return figure

    def _judge_value(self, figure: Figure) -> Judged:
        """A figure in JSON: a field's value stands without unit, and passing on what was asked affirms nothing."""
        bare = figure.kind is Kind.NUMBER
        for one in self._guard.near(figure):
            if any(same(figure, r) or (bare and figure.value == r.value) for r in one.readings):
                return Judged(figure, Status.SUPPORTED, one.evidence, (one.figure.start, one.figure.end))
        if any(same(figure, asked) or (bare and figure.value == asked.value) for asked in self._guard.asked):
            return Judged(figure, Status.ECHOED)
        return Judged(figure, Status.UNSUPPORTED)


def keys(figure: Figure) -> tuple[object, ...]:
    """What two figures share where one may state the other: an amount without its sign, a kind, a year."""
    if isinstance(figure.value, Decimal):
        scaled = base(figure)[0]
        year = (Kind.DATE,) if figure.kind is Kind.NUMBER else ()
        return (abs(figure.value), *((abs(scaled),) if isinstance(scaled, Decimal) else ()), *year)
    return (figure.kind,) if figure.kind in (Kind.DATE, Kind.PHONE) else (figure.value,)


def agrees(figure: Figure, reading: Figure, one: Stated, sentence: str) -> bool:
    """Whether the evidence states what `figure` says: the same, or what follows from it by leaving out."""
    if same(figure, reading):
        return True
    years = {figure.unit, reading.unit}
    aged = years == {"year", "year old"} or (figure.kind is Kind.NUMBER and years & {"year", "year old"})
    if aged and figure.value == reading.value:
        return "age" in attributes(one.unit) or "age" in attributes(sentence)
    if figure.kind is Kind.DATE and reading.unit == "year" and 80 <= reading.value <= 150:  # pyright: ignore
        return figure.value == (_ROC + int(Decimal(str(reading.value))), None, None)
    if figure.kind is Kind.DATE and reading.kind is Kind.DATE:
        return _leaves_out(figure.value, reading.value)
    if figure.kind is Kind.NUMBER and reading.kind is Kind.DATE and isinstance(reading.value, tuple):
        return figure.value == reading.value[0]
    if not isinstance(figure.value, Decimal) or not isinstance(reading.value, Decimal):
        return False
    if figure.kind is Kind.NUMBER and reading.kind is Kind.MONEY:
        return figure.value == reading.value and figure.value >= _BARE_MONEY
    if figure.kind is Kind.MONEY and reading.kind is Kind.NUMBER and reading.value == figure.value:
        return one.lead.endswith((": ", "：", ":", ": $ ", "(")) and figure.value >= _BARE_MONEY
    if {figure.unit, reading.unit} == {"point", "%"} and figure.value == reading.value:
        return "%" in fold(sentence)
    if figure.value != -reading.value or not same_unit(figure.unit, reading.unit) or figure.kind is not reading.kind:
        return False
    told = _FALLS.search(sentence) or _OUTGO.search(f"{sentence} {one.unit[:80]}")
    return told is not None or bracketed(sentence, figure)


def rounded(figure: Figure, reading: Figure, one: Stated, sentence: str) -> bool:
    """Whether a figure of `sentence` states with fewer digits what the evidence states."""
    kinds = {figure.kind, reading.kind}
    units = {figure.unit, reading.unit} - {None}
    alike = figure.kind is reading.kind and same_unit(figure.unit, reading.unit)
    if not alike and not (kinds == {Kind.NUMBER, Kind.QUANTITY} and units <= COUNTERS):
        return False
    if not rounds(figure, reading, sentence):
        return False
    negative = not isinstance(reading.value, Decimal) or reading.value < 0
    if isinstance(figure.value, Decimal) and figure.value < 0:
        return negative
    return not negative or agrees(replace(figure, value=_negated(reading)), reading, one, sentence)


def _ranged(one: Stated, other: Stated) -> bool:
    """Whether two figures are the ends of one range."""
    first, last = sorted((one.figure, other.figure), key=lambda figure: figure.start)
    return one.evidence is other.evidence and _TO.fullmatch(one.evidence.text[first.end : last.start]) is not None


def _comparable(one: Stated, other: Stated) -> bool:
    """Whether two figures are so near in size that one may be taken for the other: no earnings a share for earnings."""
    values = [max(abs(r.value) for r in s.readings if isinstance(r.value, Decimal)) for s in (one, other)]
    return max(values) <= _MAGNITUDE * min(values)


def _telling(figure: Figure) -> bool:
    """Whether a figure has so many digits that two of a kind are hardly equal by chance."""
    return isinstance(figure.value, Decimal) and len("".join(map(str, figure.value.as_tuple().digits)).strip("0")) >= 3


def exact_of(figure: Figure, one: Stated) -> Decimal | None:
    """What the evidence states where `figure` rounds it."""
    if not isinstance(figure.value, Decimal) or any(same(figure, reading) for reading in one.readings):
        return None
    value = abs(figure.value)
    values = [abs(r.value) for r in one.readings if r.kind is figure.kind and isinstance(r.value, Decimal)]
    return min(values, key=lambda other: abs(other - value), default=None)


def _negated(figure: Figure) -> Decimal:
    assert isinstance(figure.value, Decimal)
    return -figure.value


def _leaves_out(less: object, more: object) -> bool:
    """Whether one date says part of another: 1 April of 1 April 2026, 2026 of both."""
    if not isinstance(less, tuple) or not isinstance(more, tuple):
        return False
    return any(part is not None for part in less) and all(a is None or a == b for a, b in zip(less, more, strict=True))


def _closeness(sentence: str, question: str, one: Stated) -> int:
    """How many words, or pairs of characters, a sentence shares with the place where a figure stands."""
    return len(_pieces(f"{sentence} {question}") & _pieces(f"{one.unit} {' '.join(one.evidence.heading)}"))


def _pieces(text: str) -> set[str]:
    folded = fold(text)
    pieces = set(words(folded)) if not is_cjk(folded) else set()
    return pieces or {folded[i : i + 2] for i in range(len(folded) - 1)}
