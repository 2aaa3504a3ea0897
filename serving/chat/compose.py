"""The prompt of one answer, within the served model's window.

Evidence is budgeted in the model's own tokens, best chunks first; history gives way before evidence does, oldest turn
first. Counting costs a call to the engine, so it is left out where even one token a byte would fit: no byte-level
tokenizer makes more.
"""

from dataclasses import dataclass

from common.errors import ErrorCode, InvalidRequest
from common.evidence import Evidence, Findings
from common.prompt import Message, canonical_order
from common.prompt import compose as compose_prompt
from common.settings import Assistant
from serving.chat.request import ChatRequest, turns
from serving.services import Services

TOKENS_A_MESSAGE = 16
"""What a chat template adds around a message, at most."""


@dataclass(frozen=True, slots=True)
class Prompt:
    messages: list[Message]
    evidence: tuple[Evidence, ...]
    max_tokens: int


async def compose(services: Services, assistant: Assistant, findings: Findings | None, request: ChatRequest) -> Prompt:
    """The messages, and the evidence they really hold. Raises InvalidRequest where the question alone is too long."""
    window = services.settings.engine.max_model_len
    history = turns(request.messages)
    evidence = list(findings.evidence) if findings else None
    output = min(request.max_output_tokens or assistant.max_tokens, window // 2)
    while True:
        messages = compose_prompt(
            assistant.firm or assistant.name, canonical_order(evidence) if evidence is not None else None, history
        )
        size = sum(len(m["content"].encode()) + TOKENS_A_MESSAGE for m in messages)
        if size + output <= window:
            return Prompt(messages, tuple(evidence or ()), output)
        tokens = await services.engine.count_tokens(messages)
        if tokens + output <= window:
            return Prompt(messages, tuple(evidence or ()), output)
        if len(history) > 1:
            history = _shortened(history, (tokens + output - window) * size // tokens)
        elif evidence:
            # `findings` come best first: the weakest goes.
            evidence.pop()
        else:
            raise InvalidRequest(
                f"The question has too many tokens for the model's window of {window}.",
                "Shorten it, or ask for fewer output tokens.",
                code=ErrorCode.CONTEXT_LENGTH_EXCEEDED,
                param="messages",
            )


def _shortened(history: list[Message], excess: int) -> list[Message]:
    """`history` without its oldest turns, by at least `excess` bytes or down to the last turn."""
    while len(history) > 1 and excess > 0:
        excess -= len(history[0]["content"].encode()) + TOKENS_A_MESSAGE
        history = history[1:]
    return history
