"""How long to wait before a process that ended is started again."""

import random

FIRST = 0.5
LONGEST = 30.0
FORGIVEN_AFTER = 60.0
"""Seconds of life after which earlier failures no longer count."""


class Backoff:
    """Exponential back-off with jitter, so that processes that fell together don't get up together for ever.

    `failures` counts the lives in a row that were shorter than `FORGIVEN_AFTER`.
    """

    def __init__(self, first: float = FIRST, longest: float = LONGEST) -> None:
        self._first = first
        self._longest = longest
        self.failures = 0

    def after(self, lived: float) -> float:
        """The seconds to wait after a life of `lived` seconds: the double of last time, give or take a quarter."""
        if lived >= FORGIVEN_AFTER:
            self.failures = 0
        self.failures += 1
        delay = min(self._longest, self._first * 2 ** min(self.failures - 1, 16))
        return delay * random.uniform(0.75, 1.25)  # noqa: S311 - it spreads load and guards nothing
