"""What the person at the terminal reads: lines that stay, and one status line that changes."""

import contextlib
import shutil
import time
from typing import TextIO

_EVERY = 10.0
"""Seconds between status lines where the output is a file or a pipe and can't be rewritten."""


class Reporter:
    """Writes to `stream`. A reader that went away must not take the processes along, so write errors are ignored."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._terminal = stream.isatty()
        self._status = ""
        self._last = time.monotonic()

    def line(self, text: str) -> None:
        self._write(f"\r\x1b[K{text}\n" if self._status else f"{text}\n")
        self._status = ""

    def status(self, text: str) -> None:
        """On a terminal the line is rewritten in place; elsewhere one is written every ten seconds."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            self._status = text if len(text) <= width else text[: width - 1] + "…"
            self._write(f"\r\x1b[K{self._status}")
        elif text and time.monotonic() - self._last >= _EVERY:
            self._last = time.monotonic()
            self._write(f"{text}\n")

    def _write(self, text: str) -> None:
        with contextlib.suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()
