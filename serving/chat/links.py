"""Takes out of an answer, while it streams, links that no source has, images and markup.

What a reader's program fetches or follows is how a poisoned document gets data out; an image is fetched without a
click. So a link stays only where the evidence or the operator's own words have it, to the letter; an image becomes its
caption; HTML goes. The rest flows: only text that may still become one of these waits, as whole events, and an event
that needs no change leaves as it came. The decision on a text never depends on how it was split.

Not covered: hosts written in words ("evil dot com"), bare hosts under a top-level domain that is not listed here (few
programs make those clickable), arguments of tool calls.
"""

import re
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from common.evidence import Evidence
from common.language import Language

Event = dict[str, Any]

LONGEST_TAG = 300
"""Characters that a tag may have; a `<` that did not become one by then was none."""
LONGEST_DESTINATION = 500

_URL_CHARACTER = r"[^\s<>\"`^{}|\\\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
_WORD = r"[^\W\u3000-\u30ff\u3400-\u9fff\uf900-\ufaff\uff00-\uffef]"
_TRIGGER = re.compile(r"[<!\].:]")
_RUN = re.compile(_URL_CHARACTER + "*")
_TRAILING = ".,;:!?'*_)]"
_SCHEME = re.compile(r"(?<![A-Za-z0-9])[A-Za-z][A-Za-z0-9+.-]{0,31}$")
_WITHOUT_SLASHES = frozenset({"javascript", "vbscript", "data", "blob", "file", "mailto"})
# Also of each beginning of such a text: what a tag can't begin with is decided at once, and the same for every split.
_TAG = re.compile(r"/?(?:[A-Za-z][\w:-]*(?:[\s/][^<>]*)?)?|[!?][^<>]*|[A-Za-z][\w+.%-]*(?:[:@][^\s<>]*)?")
_AUTOLINK = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{1,31}:\S*|[\w.+%-]+@[\w.-]+")
_DESTINATION = re.compile(r"\s*(<[^<>\n]*>|\S*)(?:\s+[\"'(].*)?\s*", re.DOTALL)
_BEFORE_HOST = re.compile(rf"(?:{_WORD}|[.@+%~-]){{1,256}}$")
_HOST = re.compile(
    rf"(?:[\w.+%~-]+@)?(?:{_WORD}|-)+(?:\.(?:{_WORD}|-)+)*\.([A-Za-z]{{2,24}})(?!{_WORD}|-)"
    rf"(?::\d+)?([/?#]{_URL_CHARACTER}*)?"
)
_TOP_LEVEL = re.compile(
    r"com|net|org|info|biz|edu|gov|mil|int|pro|name|shop|app|dev|xyz|top|site|online|link|click|page|live|cloud|store"
    r"|tech|space|website|example|test|invalid|local|onion",
    re.IGNORECASE,
)
_FILE_ENDING = re.compile(r"md|py|sh|rs|pl|cc|ps|so")
_NOTICE = {
    Language.ENGLISH: "(link removed)",
    Language.JAPANESE: "（リンクは省きました）",
    Language.TRADITIONAL_CHINESE: "（連結已移除）",
    Language.SIMPLIFIED_CHINESE: "（链接已移除）",
}


class Removed(StrEnum):
    """What was taken out."""

    LINKS = "links"
    MARKUP = "markup"


@dataclass(frozen=True, slots=True)
class Cut:
    """`text` stands for `start..end` (code points) of what the model wrote."""

    start: int
    end: int
    text: str
    kind: Removed


class Known:
    """The links that an answer may have: those of the evidence and of `own`, the operator's words."""

    def __init__(self, evidence: Iterable[Evidence], own: Iterable[str] = ()) -> None:
        texts = [*own, *(text for one in evidence for text in (one.text, one.title, *one.heading))]
        runs = (piece for text in texts for run in _RUN.findall(text) for piece in (run, *re.split(r"[(\[=]", run)))
        self._links = {normal(run) for run in runs if "." in run or ":" in run}

    def __contains__(self, link: str) -> bool:
        return normal(link) in self._links


def normal(link: str) -> str:
    """`link` as it is compared: without http's scheme, `www.`, letter case, and punctuation at its end."""
    plain = re.sub(r"^(?:https?://|mailto:)", "", link.strip("<> \n").rstrip(_TRAILING).casefold())
    return plain.removeprefix("www.").rstrip("/" + _TRAILING)


class Scrub:
    """What is to be cut of one growing text. Up to `settled` the decision is final."""

    def __init__(self, known: Known, notice: str) -> None:
        self._known, self._notice = known, notice
        self.text = ""
        self.settled = 0
        self.cuts: list[Cut] = []

    def feed(self, piece: str, *, final: bool = False) -> None:
        """Takes the next piece; `final` says that none follows."""
        self.text += piece
        handlers = {"<": self._tag, "!": self._image, "]": self._destination, ":": self._url, ".": self._host}
        while match := _TRIGGER.search(self.text, self.settled):
            end = handlers[match[0]](match.start(), final)
            if end is None:
                self.settled = match.start()
                return
            self.settled = end
        self.settled = len(self.text)

    def rendered(self, start: int, end: int) -> tuple[str, bool]:
        """The text of `start..end` after the cuts, and whether any cut touched it."""
        out, at, touched = "", start, False
        for cut in self.cuts:
            if cut.end > start and cut.start < end:
                touched = True
                out += self.text[at : max(at, cut.start)] + (cut.text if cut.start >= start else "")
                at = min(end, cut.end)
        return out + self.text[at:end], touched

    def _cut(self, start: int, end: int, text: str, kind: Removed) -> int:
        """Cuts; a space keeps what stood around it from becoming something new."""
        joint = " " if start and not self.text[start - 1].isspace() else ""
        self.cuts.append(Cut(start, end, joint + text, kind))
        return end

    def _tag(self, at: int, final: bool) -> int | None:
        rest = self.text[at + 1 : at + 1 + LONGEST_TAG]
        if not rest:
            return at + 1 if final else None
        if not re.match(r"[A-Za-z/!?]", rest):
            return at + 1
        body = re.match(r"[^<>]*", rest)
        assert body is not None
        inner, after = body[0], rest[body.end() : body.end() + 1]
        if after == ">" and _TAG.fullmatch(inner):
            end = at + 1 + len(inner) + 1
            if _AUTOLINK.fullmatch(inner):
                return end if inner in self._known else self._cut(at, end, self._notice, Removed.LINKS)
            return self._cut(at, end, "", Removed.MARKUP)
        if not after and len(rest) < LONGEST_TAG and not final and _TAG.fullmatch(rest):
            return None
        return self._cut(at, at + 1, "‹", Removed.MARKUP)

    def _image(self, at: int, final: bool) -> int | None:
        if at + 1 == len(self.text):
            return at + 1 if final else None
        return self._cut(at, at + 1, "", Removed.MARKUP) if self.text[at + 1] == "[" else at + 1

    def _destination(self, at: int, final: bool) -> int | None:
        rest = self.text[at + 1 : at + 2 + LONGEST_DESTINATION]
        if not rest and not final:
            return None
        if not rest.startswith("("):
            return at + 1
        close = rest.find(")")
        if close < 0:
            return at + 1 if final or len(rest) > LONGEST_DESTINATION or "\n\n" in rest else None
        match, end = _DESTINATION.fullmatch(rest[1:close]), at + 1 + close + 1
        if match is None or not re.search(r"[/.:?#%&\\]", match[1]):
            return at + 1
        return end if match[1] in self._known else self._cut(at + 1, end, self._notice, Removed.LINKS)

    def _url(self, at: int, final: bool) -> int | None:
        scheme = _SCHEME.search(self.text, max(0, at - 33), at)
        if scheme is None:
            return at + 1
        after = self.text[at + 1 : at + 3]
        if len(after) < 2 and not final and "//".startswith(after):
            return None
        if after != "//" and not (scheme[0].lower() in _WITHOUT_SLASHES and _RUN.fullmatch(after[:1]) and after):
            return at + 1
        run = _RUN.match(self.text, at)
        assert run is not None
        if run.end() == len(self.text) and not final:
            return None
        link = self.text[scheme.start() : run.end()]
        end = at + len(_closed(run[0]))
        if not normal(link) or end <= at + 1 or link in self._known:
            return run.end()
        return self._cut(at, end, self._notice, Removed.LINKS)

    def _host(self, at: int, final: bool) -> int | None:
        if at + 1 == len(self.text):
            return at + 1 if final else None
        before = _BEFORE_HOST.search(self.text, max(0, at - 256), at)
        if before is None or not re.match(_WORD, self.text[at + 1]):
            return at + 1
        run = _RUN.match(self.text, at)
        assert run is not None
        if run.end() == len(self.text) and not final:
            return None
        match = _HOST.match(self.text, before.start(), run.end())
        if match is None or match.end() <= at or not _is_link(match):
            return at + 1
        if match[0] in self._known or self.text[before.start() : run.end()] in self._known:
            return match.end()
        end = max(at + 1, match.start() + len(_closed(match[0])))
        return self._cut(at, end, self._notice, Removed.LINKS)


def _closed(link: str) -> str:
    """`link` without the punctuation of the sentence that it ends."""
    while link and link[-1] in _TRAILING and not (link[-1] == ")" and link.count("(") >= link.count(")")):
        link = link[:-1]
    return link


def _is_link(match: re.Match[str]) -> bool:
    host, last, path = match[0], match[1], match[2]
    if "@" in host or host.lower().startswith("www.") or _TOP_LEVEL.fullmatch(last):
        return True
    if len(last) != 2:
        return False
    # "The fee is 5 yen.It": a full stop without its space. And "cards.md" is a file.
    return bool(path) or (last.islower() and not (_FILE_ENDING.fullmatch(last) and host.count(".") == 1))


@dataclass(slots=True)
class _Choice:
    scrub: Scrub
    released: int = 0
    waiting: deque[tuple[int, Event]] = field(default_factory=deque[tuple[int, Event]])


class Links:
    """The filter over the engine's events of one answer, ahead of guard and cite."""

    def __init__(self, evidence: Iterable[Evidence], language: Language, own: Iterable[str] = ()) -> None:
        self._known = Known(evidence, own)
        self._notice = _NOTICE[language]
        self._choices: dict[int, _Choice] = {}

    def feed(self, event: Event) -> list[Event]:
        """Takes one event with one choice and gives those that may go on."""
        wire = event["choices"][0]
        index = wire.get("index", 0)
        choice = self._choices.setdefault(index, _Choice(Scrub(self._known, self._notice)))
        finished = bool(wire.get("finish_reason"))
        choice.scrub.feed((wire.get("delta") or {}).get("content") or "", final=finished)
        choice.waiting.append((len(choice.scrub.text), event))
        out: list[Event] = []
        while choice.waiting and choice.waiting[0][0] <= choice.scrub.settled:
            end, waiting = choice.waiting.popleft()
            text, touched = choice.scrub.rendered(choice.released, end)
            choice.released = end
            out.append(_rewritten(waiting, text) if touched else waiting)
        return out

    @property
    def removed(self) -> dict[str, int]:
        """How much was taken out so far, by kind."""
        counts = Counter(cut.kind for choice in self._choices.values() for cut in choice.scrub.cuts)
        return {kind.value: counts[kind] for kind in Removed}


def _rewritten(event: Event, text: str) -> Event:
    wire = event["choices"][0]
    # Log-probabilities name the tokens, and so what was taken out.
    changed = {**wire, "delta": {**wire["delta"], "content": text}, "logprobs": None}
    return {**event, "choices": [changed]}
