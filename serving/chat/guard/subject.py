"""Whether a figure of the evidence is about what a piece of the answer speaks of.

Names of one kind exclude each other: sections, the rows of a table, the columns of a row, the items of a list, the
names in prose. A figure conflicts with a text that names a thing of such a kind which it does not have, while it has
another. A name that the evidence does not know counts where it is the sibling of the figure's own (Gold Card and Basic
Card), or where the question asks about it and the chunk never says it.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import IntEnum

from common.figures import Figure, Kind
from common.language import Language
from serving.chat.guard.attributes import attributes, directions
from serving.chat.guard.measure import measure, tells_apart
from serving.chat.guard.names import (
    Mention,
    abbreviates,
    comparable,
    fold,
    is_cjk,
    is_opener,
    occurrences,
    owners,
    runs,
    shortenings,
    sibling_within,
    siblings,
    stands_alone,
    words,
)
from serving.chat.guard.periods import Period, compares, period_of, periods
from serving.chat.guard.rivals import families, pieces, words_of
from serving.chat.guard.sentences import Named, lead, spoken_of
from serving.chat.guard.sources import Known, Stated, per_share

_CLAUSE = re.compile(r"[,;、，；]|\b(?:and|while|whereas|but)\b")


INSTEAD = re.compile(r"\b(?:instead of|rather than|vs\.?|versus|against|compared (?:to|with)|than|from)\W*\Z")


class Fit(IntEnum):
    """How a figure of the evidence fits a text: about something else, nothing said, about the same."""

    CONFLICT = 0
    SILENT = 1
    NAMED = 2


@dataclass(frozen=True, slots=True)
class KnownMention(Mention):
    """A name of the evidence, with its kind."""

    slot: str


@dataclass(frozen=True, slots=True)
class Passage:
    """A sentence of the answer, or the question: the names in it, and what it asks or says a figure is of.

    `figures` are those of the same sentence, with indices of `text`.
    """

    text: str
    known: tuple[KnownMention, ...]
    unknown: tuple[Mention, ...]
    figures: tuple[Figure, ...] = ()
    periods: tuple[Period, ...] = ()

    def spoken(self, names: Sequence[Named], figure: Figure | None, *, labels: bool = False) -> list[Named]:
        """Those of `names` that it speaks of with `figure`; all, where that is none of its own."""
        return spoken_of(self.text, names, self.figures, figure, labels=labels) if figure else list(names)


class Subjects:
    """The names of one answer's evidence and question."""

    def __init__(self, known: Known, question: str, language: Language, firm: str = "") -> None:
        self._language = language
        self._firm = set(words(firm))
        self._forms = _forms(known)
        self._known = known
        self._words = {
            slot: {name: set(words(name)) for name in names}
            for slot, names in known.slots.items()
            if not slot.startswith("label")
        }
        self._seen: dict[str, Passage] = {}
        self.question = self.passage(question)
        self._asked = {mention.name for mention in self.question.unknown if not is_cjk(mention.name)} | owners(question)

    def passage(self, text: str, figures: Sequence[Figure] = ()) -> Passage:
        """`text` with the names in it."""
        folded = fold(text)
        known: list[KnownMention] = []
        taken: list[tuple[int, int]] = []
        for form, short, slots in self._forms:
            for start, end in occurrences(form, folded):
                if any(start < high and end > low and (low, high) != (start, end) for low, high in taken):
                    continue
                inside = any(figure.start < end and start < figure.end for figure in figures)
                if " " not in form and text[start].isascii() and text[start].islower() and slots[0][0] == "section":
                    continue  # two doses, under a heading "Dose"
                if short and is_cjk(form) and (inside or not stands_alone(folded, start)):
                    continue
                taken.append((start, end))
                known += [KnownMention(start, end, name, slot) for slot, name in slots]
        unknown: list[Mention] = []
        for run in runs(text, openers=True):
            over = [name for name in known if name.start < run.end and name.end > run.start]
            whole = [name for name in over if name.end - name.start == len(name.name)]
            if whole and any(name.start <= run.start or name.end >= run.end or is_cjk(run.name) for name in whole):
                continue
            if self._firm and set(words(run.name)) <= self._firm:
                continue
            # Sales grew: the word that opens a sentence may be a common one.
            common = is_opener(text, run) and attributes(run.name)
            resolved = [] if is_cjk(run.name) or common else self._resolved(run)
            if resolved:
                known = [name for name in known if name not in over] + resolved
            elif (not over or not is_cjk(run.name)) and not is_opener(text, run):
                unknown.append(run)
        return Passage(text, tuple(known), tuple(unknown), tuple(figures), tuple(periods(text)))

    def earlier(self, text: str) -> Passage:
        """`text` as `passage` gives it, for a sentence that many later ones look back at."""
        if (known := self._seen.get(text)) is None:
            known = self._seen[text] = self.passage(text)
        return known

    def _resolved(self, run: Mention) -> list[KnownMention]:
        """A capitalised run as the one name of its kind that holds all of its words."""
        mine = set(words(run.name))
        found: list[KnownMention] = []
        for slot, names in self._words.items():
            fitting = [name for name, said in names.items() if mine <= said]
            if len(fitting) == 1:
                found.append(KnownMention(run.start, run.end, fitting[0], slot))
        return found

    def fit(self, one: Stated, passages: Sequence[Passage], figure: Figure) -> Fit:
        """How `one` fits `figure` of the first passage; for each kind of name the first that says one decides."""
        here = passages[0]
        if (
            self._other_attribute(one, here, figure)
            or self._other_label(one, here, figure)
            or other_period(one, passages, figure)
            or _other_direction(one, here, figure)
            or self._other_measure(one, here, figure)
        ):
            return Fit.CONFLICT
        each = one.each and per_share(here.text, figure)
        named = loose = False
        for slot in one.own:
            if slot.startswith("label") or (each and slot.startswith("key")):
                continue
            fits = (self._of_slot(one, slot, passage, figure if passage is here else None) for passage in passages)
            fit = next((fit for fit in fits if fit is not Fit.SILENT), Fit.SILENT)
            if fit is Fit.CONFLICT and slot != "prose":
                return Fit.CONFLICT
            named, loose = named or fit is Fit.NAMED, loose or fit is Fit.CONFLICT
        if named:
            return Fit.NAMED
        return Fit.CONFLICT if loose or self._asks_for_another(one, passages, figure) else Fit.SILENT

    def _of_slot(self, one: Stated, slot: str, passage: Passage, figure: Figure | None) -> Fit:
        """What one passage says of one kind of name."""
        spoken = passage.spoken([mention for mention in passage.known if mention.slot == slot], figure)
        if slot in self._known.attributes:
            mine = families(one.readings)
            spoken = [m for m in spoken if mine & self._known.families.get((slot, m.name), mine)]
        said = [mention for mention in spoken if _has(one, mention)]
        if said and (len(said) == len(spoken) or any(_is_own(one, mention.name) for mention in said)):
            return Fit.NAMED
        if figure and spoken and self._half_named(one, slot, passage, spoken, figure):
            return Fit.NAMED
        if spoken and (slot != "prose" or _tells_apart(spoken, one.own[slot])):
            return Fit.CONFLICT
        everything = _everything(one)
        for mention in passage.spoken(passage.unknown, figure):
            name = mention.name
            if _stands_in(name, everything) or (is_cjk(name) and not comparable(one.evidence.lang, self._language)):
                continue
            short = slot in self._known.attributes
            if any(
                (siblings(name, own) or sibling_within(own, name)) and not (short and abbreviates(name, own))
                for own in one.own[slot]
            ):
                return Fit.CONFLICT
        half = figure and self._half_named(one, slot, passage, spoken, figure)
        return Fit.NAMED if half else Fit.SILENT

    def _half_named(self, one: Stated, slot: str, passage: Passage, spoken: Sequence[Mention], figure: Figure) -> bool:
        """Whether a row's name is told in part, in a clause of its own: while fuel fell to 5, and equity was 4."""
        clause = _CLAUSE.split(lead(passage.text, passage.figures, figure))[-1]
        begins = figure.start - len(clause)
        if not slot.startswith("key") or any(mention.end > begins for mention in spoken):
            return False
        said = words_of(fold(passage.text), figure, passage.figures).near | pieces(fold(clause))
        return any(said & pieces(piece) for name in one.own[slot] for piece in self._telling(slot, name))

    def _asks_for_another(self, one: Stated, passages: Sequence[Passage], figure: Figure) -> bool:
        """Whether the answer speaks of what the question asks about, and the chunk never says that."""
        asked = [mention for mention in self.question.known if not mention.slot.startswith("label")]
        if not one.names or any(_has(one, mention) for mention in asked):
            return False
        everything = self._known.said[one.evidence.document]
        for i, passage in enumerate(passages):
            told = [m for m in passage.spoken(passage.unknown, None if i else figure) if m.name in self._asked]
            told = [m for m in told if any(is_cjk(own) == is_cjk(m.name) for own in one.names)]
            if told:
                foreign = (is_cjk(m.name) and not comparable(one.evidence.lang, self._language) for m in told)
                return not any(foreign) and not any(_stands_in(m.name, everything) for m in told)
        return False

    def _other_label(self, one: Stated, passage: Passage, figure: Figure) -> bool:
        """Whether the answer gives the figure to another column or item than the evidence does."""
        slot = next((slot for slot in one.own if slot.startswith("label")), "")
        mentions = [mention for mention in passage.known if mention.slot == slot]
        mine = families(one.readings)
        mentions = [m for m in mentions if mine & self._known.families.get((slot, m.name), mine)]
        spoken = passage.spoken(mentions, figure, labels=True) if slot else []
        if not spoken or any(mention.name in one.own[slot] for mention in spoken):
            return False
        if INSTEAD.search(passage.text[: figure.start]):
            return False  # Plus has 2,400 W instead of 1,800 W
        low = max((other.end for other in passage.figures if other.end <= figure.start), default=0)
        high = min((other.start for other in passage.figures if other.start >= figure.end), default=len(passage.text))
        around = fold(passage.text[low:high])
        return not any(piece in around for label in one.own[slot] for piece in self._telling(slot, label))

    def _telling(self, slot: str, label: str) -> set[str]:
        """What of a label the others of its kind and the headings lack: its own words, or pairs of characters."""
        others = " ; ".join((*(name for name in self._known.slots.get(slot, ()) if name != label), slot))
        if is_cjk(label):
            return {label[i : i + 2] for i in range(len(label) - 1) if label[i : i + 2] not in others}
        return set(words(label)) - set(words(others))

    def _other_measure(self, one: Stated, here: Passage, figure: Figure) -> bool:
        """Whether the answer calls the figure in so many words what the evidence calls another one."""
        before = lead(here.text, here.figures, figure).rstrip()
        said = measure("" if before.endswith((":", "：")) else before)
        return said in self._known.measured and tells_apart(said, one.measure)

    def _other_attribute(self, one: Stated, here: Passage, figure: Figure) -> bool:
        """Whether the answer calls a figure a fee that the evidence calls a limit."""
        said = attributes(lead(here.text, here.figures, figure))
        if not said:
            return False
        meant = attributes(one.lead)
        return bool(meant) and not said & meant


def other_period(one: Stated, passages: Sequence[Passage], figure: Figure) -> bool:
    """Whether the answer gives the figure to another year or quarter than the evidence does."""
    here = passages[0]
    if one.period is None or figure.kind is Kind.DATE:
        return False
    if one.period.relative:
        # What was so the year before is told as if it were so now.
        return not compares(here.text) and not any(passage.periods for passage in passages)
    if here.periods:
        mine = period_of(here.text, figure, here.figures, here.periods)
    elif compares(here.text):
        return False
    else:
        told = next((passage.periods for passage in passages[1:] if passage.periods), ())
        mine = told[0] if len(told) == 1 else None
    return mine is not None and mine.excludes(one.period)


def _other_direction(one: Stated, here: Passage, figure: Figure) -> bool:
    """Whether the answer lets a rate rise that the evidence lets fall, or the other way round."""
    if figure.kind is not Kind.PERCENT:
        return False
    said = directions(fold(lead(here.text, here.figures, figure)), fold(here.text[figure.end : figure.end + 8]))
    at = one.unit.find(fold(one.figure.text), max(0, one.unit.find(one.lead) + len(one.lead)))
    after = one.unit[at + len(one.figure.text) :][:8] if at >= 0 else ""
    meant = directions(one.lead, after)
    return len(said) == len(meant) == 1 and said != meant


def _forms(known: Known) -> list[tuple[str, bool, list[tuple[str, str]]]]:
    """Every writing of every name, longest first: the folded form, whether it is a shortened one, kinds and names."""
    forms: dict[str, tuple[bool, list[tuple[str, str]]]] = {}
    for slot, names in known.slots.items():
        for name in names:
            if len(name) >= (2 if is_cjk(name) or any(map(str.isdigit, name)) else 3):
                forms.setdefault(name, (False, []))[1].append((slot, name))
    for slot, names in known.slots.items():
        if slot.startswith(("label", "prose")):
            continue
        for name in names:
            for form in shortenings(name, names):
                short = forms.setdefault(form, (True, []))
                if short[0]:
                    short[1].append((slot, name))
    # A form that two names of a kind share tells nothing.
    unique = [
        (form, short, [(slot, name) for slot, name in meant if not short or sum(s == slot for s, _ in meant) == 1])
        for form, (short, meant) in forms.items()
    ]
    return sorted((entry for entry in unique if entry[2]), key=lambda entry: -len(entry[0]))


def _has(one: Stated, mention: KnownMention) -> bool:
    """Whether a figure is about a name: its own, one above it, or one that its sentence says."""
    name = mention.name
    if _is_own(one, name):
        return True
    if mention.slot in one.own and mention.slot != "section":
        return False
    if "prose" in one.own and mention.slot == "section":
        told = [own for own in one.own["prose"] if own != name]
        if told and name not in one.own["prose"] and any(siblings(name, own) for own in told):
            return False
    return any(True for _ in occurrences(name, one.unit)) or any(
        _within(name, own) for own in one.own.get("section", ())
    )


def _is_own(one: Stated, name: str) -> bool:
    """Whether a name is the figure's own, or that of a heading above it."""
    return any(name in names for names in one.own.values()) or name in map(fold, one.evidence.heading)


def _within(name: str, section: str) -> bool:
    """Whether a section is about a part of `name`: statements of an account, but not the Plus of a card."""
    if name not in section or name == section:
        return False
    rest = section.replace(name, "", 1)
    return len(rest.split()) > 1 if not is_cjk(section) else not siblings(name, section)


def _tells_apart(spoken: Sequence[Mention], own: Iterable[str]) -> bool:
    """Whether names in prose exclude each other: Latin ones do, Chinese and Japanese ones where they are siblings."""
    mine = list(own)
    return all(
        any(
            is_cjk(name) == is_cjk(mention.name) and (not is_cjk(name) or siblings(name, mention.name)) for name in mine
        )
        for mention in spoken
    )


def _everything(one: Stated) -> str:
    """All that a chunk says, headings included."""
    return fold("\n".join((one.evidence.title, *one.evidence.heading, one.evidence.text)))


def _stands_in(name: str, folded: str) -> bool:
    """Whether a chunk says a name: whole, or in Latin script all of its words."""
    if is_cjk(name):
        return name in folded
    said = set(words(folded))
    return all(word in said for word in words(name))
