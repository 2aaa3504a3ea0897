"""Run in the engine's environment: prints, as one JSON document, what vLLM's own classes write on the wire."""
# pyright: reportMissingImports=false, reportUnknownParameterType=false, reportMissingParameterType=false

import json
from typing import Any

from vllm.entrypoints.generate.base.protocol import (
    DeltaFunctionCall,
    DeltaMessage,
    DeltaToolCall,
    FunctionCall,
    ToolCall,
)
from vllm.entrypoints.openai.chat_completion.protocol import (
    ChatCompletionLogProb,
    ChatCompletionLogProbs,
    ChatCompletionLogProbsContent,
    ChatCompletionResponse,
    ChatCompletionResponseChoice,
    ChatCompletionResponseStreamChoice,
    ChatCompletionStreamResponse,
    ChatMessage,
)
from vllm.entrypoints.serve.engine.protocol import (
    ErrorInfo,
    ErrorResponse,
    ModelCard,
    ModelList,
    ModelPermission,
    UsageInfo,
)


def usage() -> Any:
    counted = UsageInfo(prompt_tokens=1, completion_tokens=2, total_tokens=3, completion_tokens_details=None)
    counted.prompt_tokens_details = None
    return counted


def chunk(delta: Any = None, finish: dict[str, Any] | None = None, **fields: Any) -> Any:
    """A chunk, its fields set as vLLM's stream generator sets them: what was not set is not written."""
    own = {name: fields.pop(name) for name in ("token_ids",) if name in fields}
    own |= finish or {"finish_reason": None}
    own["logprobs"] = fields.pop("logprobs", None)
    choices = [] if delta is None else [ChatCompletionResponseStreamChoice(index=0, delta=delta, **own)]
    kind = "chat.completion.chunk"
    return ChatCompletionStreamResponse(id="ID", created=1, object=kind, choices=choices, model="M", **fields)


def events() -> dict[str, str]:
    one = {"token": "Yes", "logprob": -0.5, "bytes": [89, 101, 115]}
    content = ChatCompletionLogProbsContent(**one, top_logprobs=[ChatCompletionLogProb(**one)])
    first = DeltaToolCall(id="T", type="function", index=0, function=DeltaFunctionCall(name="f", arguments="{"))
    more = DeltaToolCall(index=0, function=DeltaFunctionCall(arguments="{"))
    finish = chunk(DeltaMessage(content=""), {"finish_reason": "stop", "stop_reason": None}, token_ids=None)
    finish.system_fingerprint = "F"
    continuous = chunk(DeltaMessage(content="Yes"), token_ids=None)
    continuous.usage = UsageInfo(prompt_tokens=1, completion_tokens=2, total_tokens=3, completion_tokens_details=None)
    chunks = {
        "role": chunk(DeltaMessage(role="assistant", content=""), prompt_token_ids=None, prompt_text=None),
        "delta": chunk(DeltaMessage(content="Yes"), token_ids=None),
        "logprobs": chunk(
            DeltaMessage(content="Yes"), logprobs=ChatCompletionLogProbs(content=[content]), token_ids=None
        ),
        "tool": chunk(DeltaMessage(tool_calls=[first]), token_ids=None),
        "tool_more": chunk(DeltaMessage(tool_calls=[more]), token_ids=None),
        "finish": finish,
        "continuous": continuous,
    }
    last = chunk(usage=usage(), system_fingerprint="F", metrics=None)
    return {
        **{name: one.model_dump_json(exclude_unset=True) for name, one in chunks.items()},
        "usage": last.model_dump_json(exclude_unset=True, exclude_none=True),
    }


def documents() -> dict[str, Any]:
    def whole(message: Any, reason: str) -> Any:
        choice = ChatCompletionResponseChoice(index=0, message=message, finish_reason=reason)
        response = ChatCompletionResponse(id="ID", created=1, model="M", choices=[choice], usage=usage())
        return response.model_dump()

    call = ToolCall(id="T", function=FunctionCall(name="f", arguments="{}"))
    card = ModelCard(id="M", root="R", max_model_len=1, created=1, permission=[ModelPermission(id="P", created=1)])
    return {
        "whole": whole(ChatMessage(role="assistant", content="Yes"), "stop"),
        "whole_tool": whole(ChatMessage(role="assistant", content=None, tool_calls=[call]), "tool_calls"),
        "error": ErrorResponse(error=ErrorInfo(message="m", type="t", code=404, param="model")).model_dump(),
        "models": ModelList(data=[card]).model_dump(),
    }


if __name__ == "__main__":
    print(json.dumps({"events": events(), "documents": documents()}))
