"""The prompt of one answer, within the served model's window.

Evidence is budgeted in the model's own tokens, best chunks first; history gives way before evidence does, oldest
exchange first. What was left out is told. Counting costs a call to the engine, so it is left out where even one token a
byte would fit: no byte-level tokenizer makes more.
"""

from dataclasses import dataclass
from typing import Any

from common.errors import ErrorCode, InvalidRequest
from common.evidence import Evidence, Findings
from common.prompt import Message, canonical_order
from common.prompt import compose as compose_prompt
from common.settings import Assistant
from serving.chat.request import ChatRequest, Role, turns
from serving.services import Services

TOKENS_A_MESSAGE = 16
"""What a chat template adds around a message, at most."""


@dataclass(frozen=True, slots=True)
class Omitted:
    """What the window had no room for: messages of the history, and chunks that had been found."""

    messages: int = 0
    evidence: tuple[Evidence, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        chunks = [{"chunk": e.chunk, "document": e.document, "score": round(e.score, 4)} for e in self.evidence]
        return {"messages": self.messages, "evidence": chunks}


NOTHING_OMITTED = Omitted()


@dataclass(frozen=True, slots=True)
class Prompt:
    messages: list[Message]
    evidence: tuple[Evidence, ...]
    max_tokens: int
    omitted: Omitted = NOTHING_OMITTED


async def compose(services: Services, assistant: Assistant, findings: Findings | None, request: ChatRequest) -> Prompt:
    """The messages, and the evidence they really hold. Raises InvalidRequest where the question alone is too long."""
    window = services.settings.engine.max_model_len
    whole = history = turns(request.messages)
    found = tuple(findings.evidence) if findings else ()
    kept = len(found)
    output = min(request.max_output_tokens or assistant.max_tokens, window // 2)
    while True:
        evidence = canonical_order(found[:kept]) if findings else None
        messages = compose_prompt(assistant.firm or assistant.name, evidence, history)
        size = sum(_bytes(message) for message in messages)
        tokens = size if size + output <= window else await services.engine.count_tokens(messages)
        if tokens + output <= window:
            omitted = Omitted(len(whole) - len(history), found[kept:])
            return Prompt(messages, found[:kept], output, omitted)
        excess = -(-(tokens + output - window) * size // tokens)
        if len(shorter := _shortened(history, excess)) < len(history):
            history = shorter
        elif kept:
            # `findings` come best first: the weakest goes.
            kept -= 1
        else:
            raise InvalidRequest(
                f"The question has too many tokens for the model's window of {window}.",
                "Shorten it, or ask for fewer output tokens.",
                code=ErrorCode.CONTEXT_LENGTH_EXCEEDED,
                param="messages",
            )


def _shortened(history: list[Message], excess: int) -> list[Message]:
    """`history` without its oldest exchanges, by at least `excess` bytes or as far as it goes.

    An exchange is a user's message and all that follows it: an answer without its question, or a tool's result without
    its call, would puzzle the model, and some chat templates refuse it. The client's instructions and the last exchange
    stay.
    """
    starts = [place for place, message in enumerate(history) if message["role"] == Role.USER]
    freed = end = 0
    for start in starts[1:]:
        freed += sum(_bytes(message) for message in history[end:start] if message["role"] != Role.SYSTEM)
        end = start
        if freed >= excess:
            break
    return [message for place, message in enumerate(history) if place >= end or message["role"] == Role.SYSTEM]


def _bytes(message: Message) -> int:
    """What a message takes, tool calls included."""
    return sum(len(str(value).encode()) for value in message.values()) + TOKENS_A_MESSAGE
