"""generate | guard | cite: one pass over the engine's events, from which the client's events come out.

Where the policy only flags, every event passes at once and the figures are judged when the text is whole. Where it
withholds or stops, an event waits as long as its text may still be part of an unfinished figure, and no longer. The
event that carries `finish_reason` always waits for the end, because it brings verdict and citations along.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from common import figures
from common.evidence import Evidence
from common.language import Language
from common.settings import Guard as GuardPolicy
from serving.chat.cite import Citation, cite
from serving.chat.guard import HELD_AGAINST, Guard, Judged, Verdict
from serving.chat.refusal import withheld_figure

Event = dict[str, Any]
"""One `chat.completion.chunk` with exactly one choice."""

LEFT_CONTEXT = 64
"""Characters before a text that decide how its first figure reads."""


@dataclass(slots=True)
class Choice:
    """What is known of one of the `n` answers so far. `text` is what the model wrote, `sent` what the client got."""

    index: int
    text: str = ""
    sent: str = ""
    released: int = 0
    settled: int = 0
    waiting: deque[tuple[int, Event]] = field(default_factory=deque[tuple[int, Event]])
    refused: list[Judged] = field(default_factory=list[Judged])
    finish: Event | None = None
    stopped: bool = False
    tool_calls: list[Any] = field(default_factory=list[Any])


@dataclass(frozen=True, slots=True)
class Conclusion:
    """What the pass found, for the finishing event and the record. `refused` are figures that were not let out."""

    verdict: Verdict
    texts: list[str]
    figures: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    citations: list[tuple[int, Citation]] = field(default_factory=list[tuple[int, Citation]])
    refused: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    tool_calls: list[Any] = field(default_factory=list[Any])


class Transducer:
    """Feeds on the engine's events of one answer. `stopped` says that nothing more may leave."""

    def __init__(
        self, question: str, evidence: Sequence[Evidence], policy: GuardPolicy, language: Language, choices: int = 1
    ) -> None:
        self._guard = Guard(question, evidence) if policy is not GuardPolicy.OFF else None
        self._evidence = evidence
        self._policy = policy
        self._notice = withheld_figure(language)
        self._holds = policy in (GuardPolicy.WITHHOLD, GuardPolicy.STOP)
        self.choices = [Choice(index) for index in range(choices)]

    @property
    def stopped(self) -> bool:
        return all(choice.stopped for choice in self.choices)

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
        delta = wire.get("delta") or {}
        choice.text += delta.get("content") or ""
        if delta.get("tool_calls"):
            choice.tool_calls.append(delta["tool_calls"])
        if wire.get("finish_reason"):
            choice.finish = event
            return self._release(choice, len(choice.text)) if self._holds else self._pass_text(choice, event)
        if not self._holds:
            choice.sent = choice.text
            return [event]
        choice.waiting.append((len(choice.text), event))
        return self._release(choice, figures.open_tail(choice.text))

    def _pass_text(self, choice: Choice, event: Event) -> list[Event]:
        """The text of a finishing event, ahead of it: the finishing event itself waits."""
        choice.sent = choice.text
        if not event["choices"][0]["delta"].get("content"):
            return []
        return [_without_finish(event)]

    def _release(self, choice: Choice, closed: int) -> list[Event]:
        """The waiting events whose text is settled up to `closed`, their unsupported figures dealt with."""
        if choice.finish is not None and choice.finish["choices"][0]["delta"].get("content"):
            choice.waiting.append((len(choice.text), _without_finish(choice.finish)))
            choice.finish["choices"][0]["delta"]["content"] = ""
        if closed > choice.settled:
            self._judge(choice, closed)
        out: list[Event] = []
        while choice.waiting and choice.waiting[0][0] <= closed:
            end, event = choice.waiting.popleft()
            start = choice.released
            choice.released = end
            hits = [one for one in choice.refused if one.figure.start < end and one.figure.end > start]
            if hits and self._policy is GuardPolicy.STOP:
                self._stop(choice, event, out, start, hits[0].figure.start)
                return out
            if hits:
                _rewrite(event, self._censor(choice.text, start, end, hits))
            choice.sent += event["choices"][0]["delta"].get("content") or ""
            out.append(event)
        return out

    def _judge(self, choice: Choice, closed: int) -> None:
        """Judges the figures that were settled since the last time, and remembers those held against the answer."""
        assert self._guard is not None
        window = max(0, choice.settled - LEFT_CONTEXT)
        for judged in self._guard.judge(choice.text[window:closed]):
            figure = replace(judged.figure, start=judged.figure.start + window, end=judged.figure.end + window)
            if figure.start >= choice.settled and judged.status in HELD_AGAINST:
                choice.refused.append(replace(judged, figure=figure))
        choice.settled = closed

    def _censor(self, text: str, start: int, end: int, hits: Sequence[Judged]) -> str:
        """`text[start:end]` with the notice where an unsupported figure begins, and without the figure's letters."""
        out, at = "", start
        for hit in hits:
            out += text[at : max(at, hit.figure.start)]
            if hit.figure.start >= start:
                out += self._notice
            at = min(end, hit.figure.end)
        return out + text[at:end]

    def _stop(self, choice: Choice, event: Event, out: list[Event], start: int, at: int) -> None:
        _rewrite(event, choice.text[start:at] + self._notice)
        choice.sent += event["choices"][0]["delta"]["content"]
        out.append(event)
        choice.stopped = True
        choice.waiting.clear()
        finish = {**event, "choices": [{**event["choices"][0], "delta": {}, "finish_reason": "content_filter"}]}
        choice.finish = finish

    def conclude(self) -> Conclusion:
        """Verdict and citations, once the engine has said all."""
        verdict = Verdict.OFF if self._guard is None else Verdict.CLEAN
        figures_wire: list[dict[str, Any]] = []
        citations: list[tuple[int, Citation]] = []
        for choice in self.choices:
            judged = self._guard.judge(choice.sent) if self._guard else []
            held_against = [one for one in judged if one.status in HELD_AGAINST]
            if choice.stopped:
                verdict = Verdict.STOPPED
            elif choice.refused:
                verdict = Verdict.WITHHELD if verdict is not Verdict.STOPPED else verdict
            elif held_against and verdict is Verdict.CLEAN:
                verdict = Verdict.FLAGGED
            tag = {"choice": choice.index} if len(self.choices) > 1 else {}
            figures_wire += [one.to_wire() | tag for one in judged]
            citations += [(choice.index, citation) for citation in cite(choice.sent, self._evidence, judged)]
        return Conclusion(
            verdict,
            self.sent(),
            figures_wire,
            citations,
            [one.to_wire() for choice in self.choices for one in choice.refused],
            [choice.tool_calls for choice in self.choices if choice.tool_calls],
        )


def _without_finish(event: Event) -> Event:
    wire = event["choices"][0]
    return {**event, "choices": [{**wire, "delta": dict(wire["delta"]), "finish_reason": None}]}


def _rewrite(event: Event, text: str) -> None:
    wire = event["choices"][0]
    wire["delta"]["content"] = text
    # Log-probabilities name the tokens, and so what was withheld.
    if wire.get("logprobs"):
        wire["logprobs"] = None
