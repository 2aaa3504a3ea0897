"""How long a test waits for something that happens by itself, before it says that it hangs."""

import time
from collections.abc import Generator

HANGS = 300.0
"""Seconds. Nothing else is asserted of time."""
_LONGEST_STEP = 1.0


def patient() -> Generator[None]:
    """To be advanced at each look; raises TimeoutError after HANGS.

    A look counts for a second at most: while a machine, or this process, stands still, nothing hangs.
    """
    waited, last = 0.0, time.monotonic()
    while waited < HANGS:
        yield
        now = time.monotonic()
        waited, last = waited + min(now - last, _LONGEST_STEP), now
    raise TimeoutError("it did not happen in time")
