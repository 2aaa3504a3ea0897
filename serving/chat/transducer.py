"""generate | guard | cite: one pass over the engine's events, from which the client's events come out.

Where the policy only flags, every event passes at once and the figures are judged when the text is whole. Where it
withholds or stops, an event waits as long as its text may still be part of an unfinished figure, or of one whose
verdict the rest of its sentence decides, and no longer. Under every policy but `off` it waits, too, while its text may
become a citation marker. The event that carries `finish_reason` always waits for the end, because it brings verdict
and citations along.
"""

import copy
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

from common.evidence import Evidence
from common.language import Language
from common.settings import Guard as GuardPolicy
from serving.chat.cite import Citation, cite
from serving.chat.delta import Event, Place, rewritten, texts
from serving.chat.guard import HELD_AGAINST, Guard, Verdict
from serving.chat.markers import Markers
from serving.chat.refusal import withheld_figure
from serving.chat.strand import Strand

CONTENT = "content"


@dataclass(slots=True)
class Piece:
    """A part of one event: `[start, end)` of a strand, and where it stands in the event."""

    strand: Strand
    start: int
    end: int
    place: Place


@dataclass(slots=True)
class Choice:
    """What is known of one of the `n` answers so far: a strand for each of its texts, and events that wait."""

    index: int
    strands: dict[str, Strand] = field(default_factory=dict[str, Strand])
    waiting: deque[tuple[list[Piece], Event]] = field(default_factory=deque[tuple[list[Piece], Event]])
    finish: Event | None = None
    stopped: bool = False
    tool_calls: list[Any] = field(default_factory=list[Any])

    @property
    def sent(self) -> str:
        return self.strands[CONTENT].sent if CONTENT in self.strands else ""


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the pass found, for the finishing event and the record.

    `refused` are figures that were not let out; `markers` counts the citation markers that were used and removed; `raw`
    are the texts as the model wrote them, and `regenerated` says that this is the second answer.
    """

    verdict: Verdict
    texts: list[str]
    figures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    citations: list[tuple[int, Citation]] = field(default_factory=list[tuple[int, Citation]])
    refused: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tool_calls: list[Any] = field(default_factory=list[Any])
    markers: dict[str, int] = field(default_factory=dict[str, int])
    raw: list[str] = field(default_factory=list[str])
    regenerated: bool = False


class Transducer:
    """Feeds on the engine's events of one answer. `stopped` says that nothing more may leave.

    `context` is the question as it was searched, where that says more. `firm` is no product: its name tells nothing
    about a figure's subject. `data` says that the content is JSON, `whole` that the client waits for the whole answer.
    """

    def __init__(
        self,
        question: str,
        evidence: Sequence[Evidence],
        policy: GuardPolicy,
        language: Language,
        choices: int = 1,
        *,
        context: str | None = None,
        firm: str = "",
        data: bool = False,
        whole: bool = False,
    ) -> None:
        self.tries_twice = whole and policy is GuardPolicy.REGENERATE
        self.regenerated = False
        self._guard = Guard(question, evidence, language, firm, context) if policy is not GuardPolicy.OFF else None
        self._markers = Markers(evidence) if self._guard else None
        self._evidence = evidence
        self._firm = firm
        self._policy = policy
        self._notice = withheld_figure(language)
        self._holds = policy in (GuardPolicy.WITHHOLD, GuardPolicy.STOP, GuardPolicy.REGENERATE)
        self._data = data
        self.choices = [Choice(index) for index in range(choices)]

    @property
    def stopped(self) -> bool:
        return all(choice.stopped for choice in self.choices)

    def trial(self) -> Self:
        """Another pass over the same evidence, with nothing read yet."""
        other = copy.copy(self)
        other.restart()
        return other

    def restart(self) -> None:
        """Forgets what it was fed."""
        self.choices = [Choice(choice.index) for choice in self.choices]

    def sent(self) -> list[str]:
        """What the client got of each choice so far."""
        return [choice.sent for choice in self.choices]

    def finishes(self) -> list[Event] | None:
        """The finishing event of each choice; None while one is missing."""
        events = [choice.finish for choice in self.choices if choice.finish is not None]
        return events if len(events) == len(self.choices) else None

    def feed(self, event: Event) -> list[Event]:
        """Takes one event of the engine and gives those that may leave now."""
        wire = event["choices"][0]
        choice = self.choices[wire.get("index", 0)]
        if choice.stopped:
            return []
        if wire.get("finish_reason"):
            return self._finish(choice, event)
        self._wait(choice, event)
        return self._release(choice)

    def _wait(self, choice: Choice, event: Event) -> None:
        """Adds the texts of one event to their strands."""
        choice.waiting.append(([self._piece(choice, *text) for text in texts(event)], event))

    def _piece(self, choice: Choice, name: str, place: Place, text: str) -> Piece:
        strand = choice.strands.get(name)
        if strand is None:
            markers = self._markers if name == CONTENT else None
            data = len(place) > 1 or (self._data and name == CONTENT)
            strand = Strand(self._guard, markers, self._notice, holds=self._holds, data=data)
            choice.strands[name] = strand
        start = len(strand.text)
        strand.add(text)
        return Piece(strand, start, start + len(text), place)

    def _finish(self, choice: Choice, event: Event) -> list[Event]:
        """Everything that waited, and the texts of the finishing event ahead of it: that itself waits."""
        wire = event["choices"][0]
        delta = wire.get("delta") or {}
        if any(value for key, value in delta.items() if key != "role"):
            self._wait(choice, {**event, "choices": [{**wire, "finish_reason": None}]})
        # Text and log-probabilities left with the event ahead.
        choice.finish = {**event, "choices": [{**wire, "delta": {}, "logprobs": None}]}
        for strand in choice.strands.values():
            strand.add("", done=True)
        return self._release(choice)

    def _release(self, choice: Choice) -> list[Event]:
        """The waiting events whose texts are free to leave, with what is not let out taken from them."""
        out: list[Event] = []
        while choice.waiting and all(piece.end <= piece.strand.free for piece in choice.waiting[0][0]):
            pieces, event = choice.waiting.popleft()
            for piece in pieces:
                strand, start, end = piece.strand, piece.start, piece.end
                said = strand.text[start:end]
                if strand.edits and strand.touches(start, end):
                    at = strand.stops_at(start, end)
                    if at is not None and self._policy is GuardPolicy.STOP:
                        return [*out, self._stop(choice, event, piece, at)]
                    said = strand.between(start, end)
                    event = rewritten(event, piece.place, said)
                strand.sent += said
            out.append(self._left(choice, event))
        return out

    def _left(self, choice: Choice, event: Event) -> Event:
        """`event`, with its part of tool calls noted for the record."""
        if calls := (event["choices"][0].get("delta") or {}).get("tool_calls"):
            choice.tool_calls.append(calls)
        return event

    def _stop(self, choice: Choice, event: Event, piece: Piece, at: int) -> Event:
        """The last event before the end: what stands before the figure, and the notice."""
        notice = "" if piece.strand.data else self._notice
        said = piece.strand.between(piece.start, max(piece.start, at)) + notice
        piece.strand.sent += said
        event = self._left(choice, rewritten(event, piece.place, said))
        choice.stopped = True
        choice.waiting.clear()
        finish = {**event["choices"][0], "delta": {}, "logprobs": None, "finish_reason": "content_filter"}
        choice.finish = {**event, "choices": [finish]}
        return event

    def conclude(self) -> Conclusion:
        """Verdict and citations, once the engine has said all."""
        verdict = Verdict.OFF if self._guard is None else Verdict.CLEAN
        told: list[dict[str, Any]] = []
        refused: list[dict[str, Any]] = []
        citations: list[tuple[int, Citation]] = []
        markers = {"used": 0, "removed": 0}
        for choice in self.choices:
            tag = {"choice": choice.index} if len(self.choices) > 1 else {}
            held = adverse = False
            for name, strand in sorted(choice.strands.items(), key=lambda item: item[0] != CONTENT):  # content first
                judged = list(strand.judged())
                gone = strand.refused()
                held, adverse = held or bool(gone), adverse or any(one.status in HELD_AGAINST for one in judged)
                where = tag | ({} if name == CONTENT else {"field": name})
                told += [one.to_wire() | where for one in judged]
                refused += [one.to_wire() | where for one in gone]
                if name == CONTENT:
                    marked = [(strand.place(one.start), one.evidence) for one in strand.marked if one.evidence]
                    markers["used"] += len(marked)
                    markers["removed"] += len(strand.marked) - len(marked)
                    found = cite(strand.sent, self._evidence, judged, marked, self._firm)
                    citations += [(choice.index, citation) for citation in found]
            verdict = _worse(verdict, choice.stopped, held, adverse)
        return Conclusion(
            verdict,
            self.sent(),
            told,
            citations,
            refused,
            [choice.tool_calls for choice in self.choices if choice.tool_calls],
            markers,
            [choice.strands[CONTENT].text if CONTENT in choice.strands else "" for choice in self.choices],
            self.regenerated,
        )


def _worse(verdict: Verdict, stopped: bool, held: bool, adverse: bool) -> Verdict:
    if stopped or verdict is Verdict.STOPPED:
        return Verdict.STOPPED
    if held or verdict is Verdict.WITHHELD:
        return Verdict.WITHHELD
    return Verdict.FLAGGED if adverse else verdict
