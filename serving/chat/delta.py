"""The texts of an engine's event: where each stands in its delta, and the event with another one in its place."""

import copy
from collections.abc import Iterator
from typing import Any

Event = dict[str, Any]
"""One `chat.completion.chunk` with exactly one choice."""

Place = tuple[str | int, ...]
"""The keys that lead to a text of a delta: `("content",)`, or those down to the arguments of a tool call."""


def texts(event: Event) -> Iterator[tuple[str, Place, str]]:
    """Which field's each text is, over all events of an answer, its place in this one, and what it says."""
    delta = event["choices"][0].get("delta") or {}
    for key, value in delta.items():
        if isinstance(value, str) and value and key != "role":
            yield key, (key,), value
    for number, call in enumerate(delta.get("tool_calls") or ()):
        if said := (call.get("function") or {}).get("arguments"):
            yield f"tool_call {call.get('index', 0)}", ("tool_calls", number, "function", "arguments"), said


def rewritten(event: Event, place: Place, text: str) -> Event:
    """`event` with `text` at a place of its delta. Log-probabilities go: they name the tokens that stood there."""
    wire = event["choices"][0]
    changed = {**wire, "delta": _replaced(wire["delta"], place, text), "logprobs": None}
    return {**event, "choices": [changed]}


def _replaced(value: Any, place: Place, text: str) -> Any:
    if not place:
        return text
    copied = copy.copy(value)
    copied[place[0]] = _replaced(value[place[0]], place[1:], text)
    return copied
