"""Takes out of an answer, while it streams, links that no source has, images and markup.

What a reader's program fetches or follows is how a poisoned document gets data out; an image is fetched without a
click. So a link stays only where the evidence or the operator's own words have it, to the letter; an image becomes its
caption; HTML goes. The rest flows: only text that may still become one of these waits, as whole events, and an event
that needs no change leaves as it came. The decision on a text never depends on how it was split.

It holds for every text of an answer: the content, a model's reasoning, JSON, the arguments of tool calls. JSON is read
as a client will read it, with its escapes resolved. Arguments are for a program: links are taken out of them and markup
is not, and a link that the request itself brought may be passed on.

Not covered: hosts written in words ("evil dot com"), bare hosts under a top-level domain that is not listed here (few
programs make those clickable).
"""

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property

from common.evidence import Evidence
from common.language import Language
from serving.chat.delta import Event, Place, rewritten, texts
from serving.chat.scrub import JsonScrub, Known, Removed, Scrub

_NOTICE = {
    Language.ENGLISH: "(link removed)",
    Language.JAPANESE: "（リンクは省きました）",
    Language.TRADITIONAL_CHINESE: "（連結已移除）",
    Language.SIMPLIFIED_CHINESE: "（链接已移除）",
}


@dataclass(slots=True)
class _Choice:
    scrubs: dict[str, Scrub] = field(default_factory=dict[str, Scrub])
    waiting: deque[tuple[list["_Piece"], Event]] = field(default_factory=deque[tuple[list["_Piece"], Event]])


@dataclass(frozen=True, slots=True)
class _Piece:
    """`[start, end)` of a field's text, and where it stands in the event."""

    scrub: Scrub
    start: int
    end: int
    place: Place


class Links:
    """The filter over the engine's events of one answer, ahead of guard and cite.

    `own` are the operator's words. `passed` are the caller's, whose links may be in arguments of tool calls. `data`
    says that the content is JSON.
    """

    def __init__(
        self,
        evidence: Iterable[Evidence],
        language: Language,
        own: Iterable[str] = (),
        passed: Iterable[str] = (),
        *,
        data: bool = False,
    ) -> None:
        self._evidence, self._own, self._passed = tuple(evidence), tuple(own), passed
        self._known = Known(self._evidence, self._own)
        self._notice = _NOTICE[language]
        self._data = data
        self._choices: dict[int, _Choice] = {}

    @cached_property
    def _known_to_tools(self) -> Known:
        return Known(self._evidence, (*self._own, *self._passed))

    def restart(self) -> None:
        """Forgets what it was fed."""
        self._choices.clear()

    def feed(self, event: Event) -> list[Event]:
        """Takes one event with one choice and gives those that may go on."""
        wire = event["choices"][0]
        choice = self._choices.setdefault(wire.get("index", 0), _Choice())
        pieces = [self._piece(choice, *text) for text in texts(event)]
        choice.waiting.append((pieces, event))
        if wire.get("finish_reason"):
            for scrub in choice.scrubs.values():
                scrub.feed("", final=True)
        out: list[Event] = []
        while choice.waiting and all(piece.end <= piece.scrub.settled for piece in choice.waiting[0][0]):
            ready, waiting = choice.waiting.popleft()
            for piece in ready:
                text, touched = piece.scrub.rendered(piece.start, piece.end)
                waiting = rewritten(waiting, piece.place, text) if touched else waiting
            out.append(waiting)
        return out

    def _piece(self, choice: _Choice, name: str, place: Place, text: str) -> _Piece:
        scrub = choice.scrubs.get(name)
        if scrub is None:
            if len(place) > 1:
                scrub = JsonScrub(self._known_to_tools, self._notice, markup=False)
            else:
                scrub = (JsonScrub if self._data and name == "content" else Scrub)(self._known, self._notice)
            choice.scrubs[name] = scrub
        start = len(scrub.text)
        scrub.feed(text)
        return _Piece(scrub, start, start + len(text), place)

    @property
    def removed(self) -> dict[str, int]:
        """How much was taken out so far, by kind."""
        scrubs = (scrub for choice in self._choices.values() for scrub in choice.scrubs.values())
        counts = Counter(cut.kind for scrub in scrubs for cut in scrub.cuts)
        return {kind.value: counts[kind] for kind in Removed}
