"""One text of an answer while it is being written: the content, a model's reasoning, the arguments of one tool call.

What the model writes is kept as it came; what the client gets differs by edits: a figure that is not let out, a marker
that points nowhere. An index of the one text is translated to the other by them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from common import figures
from serving.chat.guard import HELD_AGAINST, Guard, Hearing, Judged
from serving.chat.markers import Marker, Markers, open_marker

_STRING = re.compile(r'"(?:[^"\\]|\\.)*(?:"|\Z)|,', re.DOTALL)
STRIDE = 500
"""Code points after which figures are judged where nothing waits for it, so that no answer's end takes long."""
_CLOSERS = frozenset(" .,;:!?)。、，；：！？）\n")


@dataclass(frozen=True, slots=True)
class Edit:
    """`[start, end)` of the model's text is `text` for the client; `judged` is the figure that is not let out."""

    start: int
    end: int
    text: str
    judged: Judged | None = None


class Strand:
    """The text of one field. `free` is the index up to which it may leave; `data` says that it is JSON."""

    __slots__ = (
        "_guard", "_heard", "_hearing", "_holds", "_markers", "_marks_read", "_notice",
        "data", "edits", "free", "marked", "sent", "text",
    )  # fmt: skip

    def __init__(
        self, guard: Guard | None, markers: Markers | None, notice: str, *, holds: bool, data: bool = False
    ) -> None:
        self._guard = guard
        self._hearing = Hearing(guard, data=data) if guard else None
        self._markers = None if data else markers
        self._notice = notice
        self._holds = holds and guard is not None
        self._heard = 0
        self._marks_read = 0
        self.data = data
        self.text = ""
        self.sent = ""
        self.free = 0
        self.edits: list[Edit] = []
        self.marked: list[Marker] = []

    def add(self, piece: str, *, done: bool = False) -> None:
        """Takes the next piece of text and moves `free` on."""
        self.text = text = self.text + piece
        free = len(text)
        if self._holds:
            free = self._judge(text, done)
        elif len(text) - self._heard >= STRIDE:
            self._heard = len(text)
            self._hear(text)
        if self._markers is not None:
            free = min(free, self._read_markers(text, done))
        self.free = free

    def _hear(self, text: str, *, done: bool = False) -> int:
        """Judges the figures that can be judged by now; returns the index from which on text must wait."""
        if self._hearing is None:
            return len(text)
        seen = apart(text) if self.data else text
        self._hearing.read(seen, len(seen) if done else figures.open_tail(seen))
        return self._hearing.decide(seen, done=done)

    def _judge(self, text: str, done: bool) -> int:
        assert self._hearing is not None
        known = len(self._hearing.judged)
        free = self._hear(text, done=done)
        for judged in self._hearing.judged[known:]:
            if judged.status in HELD_AGAINST:
                start, end = judged.figure.start, judged.figure.end
                self.edits.append(Edit(start, end, self._instead(start), judged))
        return free

    def _instead(self, at: int) -> str:
        """What stands in for a figure: the notice, and in JSON outside of a string the value that says nothing."""
        return "null" if self.data and not _in_string(self.text, at) else self._notice

    def _read_markers(self, text: str, done: bool) -> int:
        assert self._markers is not None
        free = len(text) if done else open_marker(text)
        if free > self._marks_read:
            for marker in self._markers.find(text, self._marks_read, free):
                self.marked.append(marker)
                if not marker.evidence:
                    self.edits.append(Edit(self._with_space(text, marker), marker.end, ""))
            self._marks_read = max(self._marks_read, free)
        return free

    def _with_space(self, text: str, marker: Marker) -> int:
        """Where a marker that goes begins: with the space before it, if that would be left over."""
        follows = text[marker.end : marker.end + 1]
        spare = text[marker.start - 1 : marker.start] == " " and (not follows or follows in _CLOSERS)
        return marker.start - 1 if spare and self.free < marker.start else marker.start

    def touches(self, start: int, end: int) -> bool:
        """Whether an edit lies in `[start, end)`."""
        return any(edit.start < end and edit.end > start for edit in self.edits)

    def between(self, start: int, end: int) -> str:
        """What the client gets for `[start, end)` of the model's text."""
        out, at = "", start
        for edit in sorted(self.edits, key=lambda edit: edit.start):
            if edit.end <= start or edit.start >= end:
                continue
            out += self.text[at : max(at, edit.start)]
            if edit.start >= start:
                out += edit.text
            at = max(at, min(end, edit.end))
        return out + self.text[at:end]

    def place(self, at: int) -> int:
        """The index in the client's text of what stands at `at` in the model's."""
        moved = at
        for edit in self.edits:
            if edit.end <= at:
                moved += len(edit.text) - (edit.end - edit.start)
        return moved

    def stops_at(self, start: int, end: int) -> int | None:
        """Where in `[start, end)` the first figure begins that is not let out."""
        hits = [edit.start for edit in self.edits if edit.judged and edit.start < end and edit.end > start]
        return min(hits) if hits else None

    def judged(self) -> Iterator[Judged]:
        """The figures that the client got, placed in its text; judged now where nothing was held back."""
        if self._guard is None or self._hearing is None:
            return
        if not self._holds:
            self._hear(self.text, done=True)
        gone = {id(edit.judged) for edit in self.edits}
        limit = len(self.sent)
        for one in self._hearing.judged:
            if id(one) not in gone and self.place(one.figure.end) <= limit:
                yield one.placed(self.place)

    def refused(self) -> list[Judged]:
        """The figures that were not let out."""
        return [edit.judged for edit in self.edits if edit.judged]


def apart(text: str) -> str:
    """JSON with the commas between its values as line ends, so that `[100,200]` is no hundred thousand."""
    return _STRING.sub(lambda part: part[0] if part[0][0] == '"' else "\n", text) if "," in text else text


def _in_string(text: str, at: int) -> bool:
    """Whether `at` stands inside a string of the JSON `text`."""
    return any(part.start() < at < part.end() for part in _STRING.finditer(text) if part[0][0] == '"')
