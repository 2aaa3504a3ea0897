"""OpenAI's wire format: events of one answer as server-sent events, or assembled into one completion.

A model's text can't forge a frame: every event is one line of JSON, and JSON escapes line breaks.
"""

import time
from dataclasses import dataclass, field
from typing import Any

import orjson

Event = dict[str, Any]
DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer has begun: what its headers say."""

    receipt: str
    assistant: str
    adapter: str | None
    snapshot: int | None
    created: int = field(default_factory=lambda: int(time.time()))

    def headers(self) -> dict[str, str]:
        return {
            "x-groundtone-receipt": self.receipt,
            "x-groundtone-adapter": self.adapter or "none",
            "x-groundtone-snapshot": "none" if self.snapshot is None else str(self.snapshot),
        }


@dataclass(frozen=True, slots=True)
class Finish:
    """The answer is whole: its finishing chunks (one a choice), the `groundtone` object, the usage."""

    chunks: list[Event]
    groundtone: dict[str, Any]
    usage: dict[str, Any] | None


def chunk(index: int, delta: dict[str, Any], finish_reason: str | None = None) -> Event:
    """A chunk of our own, in the shape of the engine's."""
    return {"choices": [{"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}]}


def frame(payload: Any) -> bytes:
    """One server-sent event (WHATWG HTML, 9.2)."""
    return b"data: " + orjson.dumps(payload) + b"\n\n"


def stamped(event: Event, opened: Opened) -> Event:
    """`event` under the answer's own id and the assistant's name: the client never sees the engine's."""
    return {
        "id": f"chatcmpl-{opened.receipt}",
        "object": "chat.completion.chunk",
        "created": opened.created,
        "model": opened.assistant,
        "choices": event["choices"],
    }


def says_something(event: Event) -> bool:
    """Whether any of its deltas holds more than a role."""
    deltas = (wire.get("delta") or {} for wire in event["choices"])
    return any(value for delta in deltas for key, value in delta.items() if key != "role")


def attributed(groundtone: dict[str, Any], index: int) -> dict[str, Any]:
    """The citations of one choice in OpenAI's and in Azure's shape, for a message or a last delta."""
    mine = [c for c in groundtone["citations"] if c.get("choice", 0) == index]
    if not mine:
        return {}
    return {
        "annotations": [
            {
                "type": "url_citation",
                "url_citation": {
                    "start_index": c["answer_span"][0],
                    "end_index": c["answer_span"][1],
                    "title": c["title"],
                    "url": citation_url(c),
                },
            }
            for c in mine
        ],
        "context": {
            "citations": [
                {
                    "content": c["text"],
                    "title": c["title"],
                    "url": citation_url(c),
                    "filepath": c["document"],
                    "chunk_id": c["chunk"],
                }
                for c in mine
            ]
        },
    }


def citation_url(citation: dict[str, Any]) -> str:
    """Where the cited text can be read, relative to this service."""
    start, end = citation["span"]
    return f"/v1/citations/{citation['chunk']}#{start}-{end}"


def finishing(finish: Finish, opened: Opened) -> list[Event]:
    """The chunks that carry `finish_reason`, each with citations and the `groundtone` object."""
    out: list[Event] = []
    for event in finish.chunks:
        choice = event["choices"][0]
        delta = {**(choice.get("delta") or {}), **attributed(finish.groundtone, choice.get("index", 0))}
        delta.pop("content", None)
        last = stamped({"choices": [{**choice, "delta": delta}]}, opened)
        out.append(last | {"groundtone": finish.groundtone})
    return out


def usage_chunk(finish: Finish, opened: Opened) -> Event:
    """The chunk that `stream_options.include_usage` asks for."""
    return stamped({"choices": []}, opened) | {"usage": finish.usage or no_usage()}


def no_usage() -> dict[str, int]:
    return {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}


class Completion:
    """Gathers the chunks of an answer that is not streamed into one `chat.completion`."""

    def __init__(self) -> None:
        self._choices: dict[int, dict[str, Any]] = {}

    def add(self, event: Event) -> None:
        for wire in event["choices"]:
            choice = self._choices.setdefault(
                wire.get("index", 0), {"content": None, "tool_calls": {}, "logprobs": None, "refusal": None}
            )
            delta = wire.get("delta") or {}
            if delta.get("content"):
                choice["content"] = (choice["content"] or "") + delta["content"]
            for call in delta.get("tool_calls") or ():
                _merge_call(choice["tool_calls"].setdefault(call.get("index", 0), {}), call)
            if wire.get("logprobs"):
                seen = choice["logprobs"] or {"content": []}
                seen["content"] += wire["logprobs"].get("content") or []
                choice["logprobs"] = seen

    def whole(self, finish: Finish, opened: Opened) -> dict[str, Any]:
        choices: list[dict[str, Any]] = []
        for event in finish.chunks:
            wire = event["choices"][0]
            self.add({"choices": [{**wire, "delta": {k: v for k, v in wire["delta"].items() if k != "content"}}]})
            index = wire.get("index", 0)
            gathered = self._choices[index]
            message: dict[str, Any] = {"role": "assistant", "content": gathered["content"]}
            if gathered["tool_calls"]:
                message["tool_calls"] = [gathered["tool_calls"][i] for i in sorted(gathered["tool_calls"])]
            elif message["content"] is None:
                message["content"] = ""
            message |= attributed(finish.groundtone, index)
            choices.append(
                {
                    "index": index,
                    "message": message,
                    "logprobs": gathered["logprobs"],
                    "finish_reason": wire["finish_reason"],
                }
            )
        return {
            "id": f"chatcmpl-{opened.receipt}",
            "object": "chat.completion",
            "created": opened.created,
            "model": opened.assistant,
            "choices": sorted(choices, key=lambda c: c["index"]),
            "usage": finish.usage or no_usage(),
            "groundtone": finish.groundtone,
        }


def _merge_call(into: dict[str, Any], call: dict[str, Any]) -> None:
    into.setdefault("type", "function")
    if call.get("id"):
        into["id"] = call["id"]
    function = into.setdefault("function", {"name": "", "arguments": ""})
    piece = call.get("function") or {}
    function["name"] += piece.get("name") or ""
    function["arguments"] += piece.get("arguments") or ""
