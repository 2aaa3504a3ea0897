"""One chat completion of the fake engine, streamed or whole, with the fault that was ordered."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import orjson

from tests.fakes import wire
from tests.fakes.answers import default_answer, text_of, tokens_of
from tests.fakes.faults import Fault
from tests.fakes.generation import Answer, ToolCall, arguments_for, fill, ordered_call, plan
from tests.fakes.server import Connection

Messages = Sequence[dict[str, Any]]


class Engine(Protocol):
    """What a completion asks of the engine it runs on."""

    model: str
    max_model_len: int
    drip_seconds: float
    answer: Answer | Callable[[Messages], Answer] | None
    ineffective: set[str]

    @property
    def fault(self) -> Fault | None: ...

    @property
    def paced(self) -> bool: ...

    async def pace(self, started: float, produced: int) -> None: ...


def prompt_tokens(messages: Messages) -> list[str]:
    """The prompt as a chat template renders it, in tokens: four of them belong to each turn, three to the next."""
    tokens: list[str] = []
    for message in messages:
        tokens += ["<|im_start|>", str(message.get("role")), "\n", *tokens_of(text_of(message.get("content"))), "\n"]
    return [*tokens, "<|im_start|>", "assistant", "\n"]


class Completion:
    """The answer to one request with a served `model`; `prompt` is its length in tokens."""

    def __init__(self, engine: Engine, model: str, prompt: int, body: dict[str, Any], connection: Connection) -> None:
        self._engine = engine
        self._acting = engine.model if model in engine.ineffective else model
        self._named = "another-model" if engine.fault is Fault.WRONG_MODEL else model
        self._prompt = prompt
        self._body = body
        self._connection = connection
        self._plan = plan(body, self._answer(), engine.max_model_len - prompt)
        self._n = int(body.get("n") or 1)
        self._started = asyncio.get_running_loop().time()

    def _answer(self) -> Answer:
        body, ordered = self._body, self._engine.answer
        answer = ordered(body["messages"]) if callable(ordered) else ordered
        if answer is not None:
            return answer
        text = default_answer(self._acting, body["messages"])
        if (name := ordered_call(body)) is not None:
            return ToolCall(name, tokens_of(orjson.dumps(arguments_for(body, name, text)).decode()))
        match body.get("response_format"):
            case {"type": "json_schema", "json_schema": {"schema": schema}}:
                return orjson.dumps(fill(schema, text)).decode()
            case {"type": "json_object"}:
                return orjson.dumps({"answer": text}).decode()
            case _:
                return text

    def _logprobs(self, tokens: Sequence[str]) -> dict[str, Any] | None:
        if not self._body.get("logprobs"):
            return None
        return wire.logprobs_of(self._acting, tokens, self._body.get("top_logprobs") or 0)

    def _usage(self, completion: int) -> dict[str, int]:
        return wire.usage(self._prompt, completion)

    def _usage_so_far(self, completion: int) -> dict[str, int | None] | None:
        """What a chunk carries with `continuous_usage_stats`."""
        options = self._body.get("stream_options") or {}
        if not (options.get("include_usage") and options.get("continuous_usage_stats")):
            return None
        return {**self._usage(completion), "completion_tokens_details": None}

    @property
    def _produced(self) -> int:
        return (len(self._plan.tokens) + self._plan.ends_by_itself) * self._n

    async def _drip(self, data: bytes) -> None:
        for byte in data:
            await self._connection.chunk(bytes([byte]))
            await asyncio.sleep(self._engine.drip_seconds)

    async def whole(self) -> None:
        if self._engine.paced:
            for produced in range(len(self._plan.tokens)):
                await self._engine.pace(self._started, produced)
        reply = orjson.dumps(wire.completion(self._named, self._choices(), self._usage(self._produced)))
        match self._engine.fault:
            case Fault.RESET:
                await self._connection.start_stream("application/json")
                await self._connection.chunk(reply[:40])
                self._connection.cut(reset=True)
            case Fault.GARBAGE:
                await self._connection.reply(200, b"<html>\xff\x00 not JSON")
            case Fault.DRIP:
                await self._connection.start_stream("application/json")
                await self._drip(reply)
                await self._connection.end_stream()
            case _:
                await self._connection.reply(200, reply)

    def _choices(self) -> list[dict[str, Any]]:
        planned = self._plan
        message: dict[str, Any] = {"content": planned.text}
        if planned.call is not None:
            function = {"name": planned.call, "arguments": planned.text}
            call = {"id": planned.call_id, "type": "function", "function": function}
            # vLLM's parser leaves no content for a call that the model chose, and an empty one for a demanded call.
            demanded = self._body.get("tool_choice") not in (None, "auto")
            message = {"content": "" if demanded else None, "tool_calls": [call]}
        ending = [wire.END_OF_TURN] if planned.ends_by_itself else []
        logprobs = self._logprobs([*planned.tokens, *ending])
        reason, stop = planned.finish_reason, planned.stop_reason
        return [wire.choice(index, message, logprobs, reason, stop) for index in range(self._n)]

    async def stream(self) -> None:
        planned, engine = self._plan, self._engine
        options = self._body.get("stream_options") or {}
        counted = bool(options.get("include_usage"))
        chunks = wire.Chunks(self._named)
        send = self._drip if engine.fault is Fault.DRIP else self._connection.chunk
        last = len(planned.tokens) - (0 if planned.ends_by_itself or planned.stop_reason else 1)
        await self._connection.start_stream()
        await engine.pace(self._started, 0)
        for index in range(self._n):
            await send(chunks.role(index, self._usage_so_far(0)))
        for produced in range(last + 1):
            if produced:
                await engine.pace(self._started, produced)
            await self._strike(produced, last)
            token = planned.tokens[produced] if produced < len(planned.tokens) else ""
            delta, logprobs = self._delta(produced, token), self._logprobs([token or wire.END_OF_TURN])
            usage = self._usage_so_far(produced + 1)
            for index in range(self._n):
                if produced < last:
                    await send(chunks.delta(index, delta, logprobs, usage))
                else:
                    await send(chunks.finish(index, delta, logprobs, planned, usage, fingerprint=not counted))
        if counted:
            await send(chunks.usage(self._usage(self._produced)))
        await send(wire.DONE)
        await self._connection.end_stream()

    async def _strike(self, produced: int, last: int) -> None:
        if self._engine.fault is Fault.RESET and produced in (3, last):
            self._connection.cut(reset=True)
            raise ConnectionResetError
        if self._engine.fault is Fault.GARBAGE and produced == 1:
            await self._connection.chunk(b'data: {"id": "chatcmpl-\xff\x00", "choi\n\n<html>not an event</html>\n\n')

    def _delta(self, produced: int, token: str) -> dict[str, Any]:
        planned = self._plan
        if planned.call is None:
            return {"content": token}
        if produced == 0:
            function = {"name": planned.call, "arguments": token}
            return {"tool_calls": [{"id": planned.call_id, "type": "function", "index": 0, "function": function}]}
        return {"tool_calls": [{"index": 0, "function": {"arguments": token}}]} if token else {}
