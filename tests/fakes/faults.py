"""The faults that the fake engine has to order."""

from enum import StrEnum


class Fault(StrEnum):
    REFUSE = "refuse"
    """Nothing listens, and open connections are reset."""
    HANG = "hang"
    """The request is read and never answered."""
    HTTP500 = "http500"
    FULL = "full"
    """The queue has no room: vLLM's answer above `--max-num-queued-reqs`."""
    RESET = "reset"
    """The connection is reset after three tokens."""
    GARBAGE = "garbage"
    """After one good event comes what is neither an event nor JSON."""
    DRIP = "drip"
    """One byte every `drip_seconds`."""
    WRONG_MODEL = "wrong-model"
    """Another model's name stands in the answer."""
