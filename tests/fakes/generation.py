"""What one request to the fake engine will produce: decided whole, then streamed or sent."""

import re
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from tests.fakes.answers import text_of, tokens_of

_FIGURE = re.compile(r"\d[\d,.]*")


@dataclass(frozen=True, slots=True)
class ToolCall:
    """An ordered tool call; `arguments` is JSON, in the pieces in which it streams."""

    name: str
    arguments: Sequence[str]


Answer = str | Sequence[str] | ToolCall
"""A text, cut into tokens here; a list of tokens, streamed as they are; or a tool call."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One choice: its tokens and how it ends. `call` is set when the tokens are a tool call's arguments."""

    tokens: Sequence[str]
    finish_reason: str
    stop_reason: str | None
    call: str | None
    call_id: str

    @property
    def text(self) -> str:
        return "".join(self.tokens)

    @property
    def ends_by_itself(self) -> bool:
        """Whether an end-of-turn token follows, as it does unless the length or a stop string ended it."""
        return self.finish_reason != "length" and self.stop_reason is None


def _question(body: dict[str, Any]) -> str:
    turns = [m for m in body["messages"] if m.get("role") == "user"]
    return text_of(turns[-1].get("content")) if turns else ""


def ordered_call(body: dict[str, Any]) -> str | None:
    """The tool that the request has called: the one it demands, or the one its question names."""
    names = [tool["function"]["name"] for tool in body.get("tools") or ()]
    match body.get("tool_choice") or "auto":
        case {"function": {"name": name}}:
            return name
        case "required" if names:
            return names[0]
        case "auto":
            return next((name for name in names if name in _question(body)), None)
        case _:
            return None


def arguments_for(body: dict[str, Any], name: str, answer: str) -> Any:
    """Arguments that fit the tool's JSON schema, filled from `answer`."""
    schemas = {tool["function"]["name"]: tool["function"].get("parameters") for tool in body.get("tools") or ()}
    return fill(schemas.get(name) or {}, answer)


def fill(schema: dict[str, Any], answer: str) -> Any:
    """The plainest value that fits a JSON schema: `answer` as its strings, the first figure in it as its numbers."""
    if choices := schema.get("enum"):
        return choices[0]
    figure = _FIGURE.search(answer)
    number = float(figure[0].replace(",", "").rstrip(".") or 0) if figure else 0.0
    match schema.get("type"):
        case "string":
            return answer
        case "integer":
            return int(number)
        case "number":
            return number
        case "boolean":
            return True
        case "array":
            return [fill(schema.get("items") or {"type": "string"}, answer)]
        case _:
            return {key: fill(value, answer) for key, value in (schema.get("properties") or {}).items()}


def plan(body: dict[str, Any], answer: Answer, room: int) -> Plan:
    """Applies `stop`, `max_tokens` and the engine's remaining `room` (tokens) to `answer`."""
    call = answer.name if isinstance(answer, ToolCall) else None
    tokens = answer.arguments if isinstance(answer, ToolCall) else answer
    tokens = tokens_of(tokens) if isinstance(tokens, str) else list(tokens)
    stop_reason = None
    stops = body.get("stop") or []
    for stop in [stops] if isinstance(stops, str) else stops:
        text = "".join(tokens)
        if (at := text.find(stop)) >= 0:
            tokens, stop_reason = _cut(tokens, at), stop
    named = isinstance(body.get("tool_choice"), dict)
    reason = "tool_calls" if call is not None and not named else "stop"
    limit = body.get("max_completion_tokens") or body.get("max_tokens") or room
    if min(limit, room) <= len(tokens):
        tokens, reason, stop_reason = tokens[: min(limit, room)], "length", None
    return Plan(tokens, reason, stop_reason, call, f"chatcmpl-tool-{uuid.uuid4().hex[:16]}")


def _cut(tokens: Sequence[str], at: int) -> list[str]:
    kept: list[str] = []
    for token in tokens:
        if at <= 0:
            break
        kept.append(token[:at])
        at -= len(token)
    return kept
