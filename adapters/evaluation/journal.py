"""The answers of an evaluation under way, in a file, so that one that was broken off goes on where it was."""

import json
from pathlib import Path
from threading import Lock
from typing import Any

from common.canonical import digest_of

Answer = tuple[str, float]
"""What was said, and the seconds that it took."""


class Journal:
    """Answers by the whole request that they answer. A line that was cut off by a kill counts as none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = Lock()
        self._held: dict[str, Answer] = {}
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            try:
                row = json.loads(line)
                self._held[row["request"]] = str(row["answer"]), float(row["seconds"])
            except (ValueError, KeyError, TypeError):
                continue
        path.parent.mkdir(parents=True, exist_ok=True)

    def get(self, request: dict[str, Any]) -> Answer | None:
        return self._held.get(digest_of(request))

    def keep(self, request: dict[str, Any], answer: str, seconds: float) -> None:
        line = json.dumps({"request": digest_of(request), "answer": answer, "seconds": seconds}, ensure_ascii=False)
        # The newline comes first: what a kill cut off then ends there, and does not spoil what follows.
        with self._lock, self._path.open("a", encoding="utf-8") as file:
            file.write(f"\n{line}")

    def forget(self) -> None:
        """The evaluation is done."""
        self._path.unlink(missing_ok=True)
