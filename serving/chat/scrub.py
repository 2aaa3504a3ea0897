"""What is to be cut of a growing text: links that no source has, images and markup.

The decision on a text never depends on how it was split, and only what may still become one of these is undecided.
"""

import re
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from common.evidence import Evidence

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
_ESCAPE = re.compile(r"\\(?:u([0-9A-Fa-f]{4})|(.))", re.DOTALL)
_OPEN_ESCAPE = re.compile(r"\\(?:u[0-9A-Fa-f]{0,3})?\Z")
_ESCAPED = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_FILE_ENDING = re.compile(r"md|py|sh|rs|pl|cc|ps|so")


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
    """The links that a text may have: those of the evidence and of `own`, the operator's words or the caller's."""

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
    """What is to be cut of one growing text. Up to `settled` the decision is final; `markup` says that it goes too."""

    def __init__(self, known: Known, notice: str, *, markup: bool = True) -> None:
        self._known, self._notice = known, notice
        self._handlers = {":": self._url, ".": self._host}
        if markup:
            self._handlers |= {"<": self._tag, "!": self._image, "]": self._destination}
        self.text = ""
        self.settled = 0
        self.cuts: list[Cut] = []

    def feed(self, piece: str, *, final: bool = False) -> None:
        """Takes the next piece; `final` says that none follows."""
        self.text += piece
        while match := _TRIGGER.search(self.text, self.settled):
            handler = self._handlers.get(match[0])
            end = handler(match.start(), final) if handler else match.end()
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


class JsonScrub(Scrub):
    """The same of JSON, which is judged with its escapes resolved. `settled` and what is cut are of the JSON itself."""

    def __init__(self, known: Known, notice: str, *, markup: bool = True) -> None:
        super().__init__(known, notice, markup=markup)
        self._plain = Scrub(known, notice, markup=markup)
        self._read = 0
        self._ends = [(0, 0)]
        """Behind each escape: the index in the plain text, and the one in the JSON."""

    def feed(self, piece: str, *, final: bool = False) -> None:
        self.text += piece
        held = _OPEN_ESCAPE.search(self.text, max(self._read, len(self.text) - 6)) if not final else None
        end = held.start() if held and not _is_escaped(self.text, held.start()) else len(self.text)
        plain, at = "", self._read
        while (found := _ESCAPE.search(self.text, at)) and found.start() < end:
            plain += self.text[at : found.start()]
            plain += chr(int(found[1], 16)) if found[1] else _ESCAPED.get(found[2], found[2])
            at = found.end()
            self._ends.append((len(self._plain.text) + len(plain), at))
        end = max(end, at)
        plain += self.text[at:end]
        self._read = end
        done = len(self._plain.cuts)
        self._plain.feed(plain, final=final)
        for cut in self._plain.cuts[done:]:
            self.cuts.append(Cut(self._raw(cut.start), self._raw(cut.end), cut.text, cut.kind))
        self.settled = self._raw(self._plain.settled)

    def _raw(self, at: int) -> int:
        """The index in the JSON of the plain text's `at`."""
        plain, raw = self._ends[bisect_right(self._ends, (at, len(self.text))) - 1]
        return raw + at - plain


def _is_escaped(text: str, at: int) -> bool:
    """Whether the backslash at `at` is the second of a pair."""
    first = at
    while first and text[first - 1] == "\\":
        first -= 1
    return (at - first) % 2 == 1
