"""A part's log file: opened for its process, read for its stage and, when it failed, for its last lines."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import IO

_LARGEST = 16 * 1024 * 1024
_TAIL = 16 * 1024


class Log:
    """Appended to over the lives of the process. A large one is put aside as `.1` when a life begins."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._start = 0

    def open(self) -> IO[bytes]:
        if self.path.exists() and self.path.stat().st_size > _LARGEST:
            self.path.replace(self.path.with_name(f"{self.path.name}.1"))
        file = self.path.open("ab")
        self.path.chmod(0o600)
        self._start = file.tell()
        return file

    def tail(self, lines: int) -> list[str]:
        """The last lines that the present life wrote, without the empty ones."""
        return [line for line in self._end().splitlines() if line.strip()][-lines:]

    def stage(self, stages: Sequence[tuple[str, str]]) -> str | None:
        """The words of the furthest stage whose mark the present life has written."""
        end = self._end()
        return next((words for mark, words in reversed(stages) if re.search(mark, end)), None)

    def _end(self) -> str:
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                file.seek(max(self._start, size - _TAIL))
                return file.read().decode(errors="replace")
        except OSError:
            return ""
