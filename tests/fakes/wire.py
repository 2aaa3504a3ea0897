"""The bytes of vLLM 0.32's OpenAI server, key order included. The gateway relays them, so they must be right."""

import time
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from tests.fakes.answers import logprob
from tests.fakes.generation import Plan

FINGERPRINT = "vllm-0.32.0-fake"
END_OF_TURN = "<|im_end|>"
Usage = Mapping[str, int | None]
DONE = b"data: [DONE]\n\n"


def error(status: int, message: str, kind: str, param: str | None = None) -> dict[str, Any]:
    return {"error": {"message": message, "type": kind, "param": param, "code": status}}


def model_card(name: str, root: str, parent: str | None, max_model_len: int | None) -> dict[str, Any]:
    now = int(time.time())
    permission = {
        "id": f"modelperm-{uuid.uuid4().hex[:16]}",
        "object": "model_permission",
        "created": now,
        "allow_create_engine": False,
        "allow_sampling": True,
        "allow_logprobs": True,
        "allow_search_indices": False,
        "allow_view": True,
        "allow_fine_tuning": False,
        "organization": "*",
        "group": None,
        "is_blocking": False,
    }
    return {
        "id": name,
        "object": "model",
        "created": now,
        "owned_by": "vllm",
        "root": root,
        "parent": parent,
        "max_model_len": max_model_len,
        "permission": [permission],
    }


def logprobs_of(model: str, tokens: Sequence[str], top: int) -> dict[str, Any]:
    """`choices[].logprobs`: each token, and `top` alternatives of which it is the first."""

    def entry(token: str, value: float) -> dict[str, Any]:
        return {"token": token, "logprob": value, "bytes": list(token.encode())}

    content: list[dict[str, Any]] = []
    for token in tokens:
        value = logprob(model, token)
        alternatives = [(token, value), *((f"{token}{rank}", value - rank) for rank in range(1, top))][:top]
        content.append(entry(token, value) | {"top_logprobs": [entry(*pair) for pair in alternatives]})
    return {"content": content}


def usage(prompt: int, completion: int) -> dict[str, int]:
    return {"prompt_tokens": prompt, "total_tokens": prompt + completion, "completion_tokens": completion}


class Chunks:
    """The events of one streamed answer; what doesn't change between them is encoded once."""

    def __init__(self, model: str) -> None:
        self.id = f"chatcmpl-{uuid.uuid4().hex}"
        self.created = int(time.time())
        head = {"id": self.id, "object": "chat.completion.chunk", "created": self.created, "model": model}
        self._head = b"data: " + orjson.dumps(head)[:-1] + b',"choices":['

    def role(self, index: int, usage: Usage | None) -> bytes:
        choice = b'{"index":%d,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}'
        return self._event(choice % index, usage, b',"prompt_token_ids":null,"prompt_text":null')

    def delta(self, index: int, delta: dict[str, Any], logprobs: dict[str, Any] | None, usage: Usage | None) -> bytes:
        choice = b'{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":null,"token_ids":null}'
        return self._event(choice % (index, orjson.dumps(delta), orjson.dumps(logprobs)), usage)

    def finish(
        self,
        index: int,
        delta: dict[str, Any],
        logprobs: dict[str, Any] | None,
        planned: Plan,
        usage: Usage | None,
        *,
        fingerprint: bool,
    ) -> bytes:
        choice = b'{"index":%d,"delta":%b,"logprobs":%b,"finish_reason":%b,"stop_reason":%b,"token_ids":null}'
        ending = (planned.finish_reason, planned.stop_reason)
        fields = (index, *(orjson.dumps(value) for value in (delta, logprobs, *ending)))
        mark = b',"system_fingerprint":"%b"' % FINGERPRINT.encode() if fingerprint else b""
        return self._event(choice % fields, usage, mark)

    def usage(self, usage: Usage) -> bytes:
        return self._event(b"", usage, b',"system_fingerprint":"%b"' % FINGERPRINT.encode())

    def _event(self, choice: bytes, usage: Usage | None, tail: bytes = b"") -> bytes:
        counted = b',"usage":' + orjson.dumps(usage) if usage is not None else b""
        return self._head + choice + b"]" + counted + tail + b"}\n\n"


def completion(model: str, choices: list[dict[str, Any]], usage: dict[str, int]) -> dict[str, Any]:
    """A whole answer, for a request without `stream`."""
    return {
        "id": f"chatcmpl-{uuid.uuid4().hex}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": choices,
        "service_tier": None,
        "system_fingerprint": FINGERPRINT,
        "usage": {**usage, "prompt_tokens_details": None, "completion_tokens_details": None},
        "prompt_logprobs": None,
        "prompt_token_ids": None,
        "prompt_text": None,
        "kv_transfer_params": None,
        "ec_transfer_params": None,
        "metrics": None,
    }


def choice(
    index: int, message: dict[str, Any], logprobs: dict[str, Any] | None, reason: str, stop_reason: str | None
) -> dict[str, Any]:
    return {
        "index": index,
        "message": {
            "role": "assistant",
            "content": None,
            "refusal": None,
            "annotations": None,
            "audio": None,
            "function_call": None,
            **message,
            "reasoning": None,
        },
        "logprobs": logprobs,
        "finish_reason": reason,
        "stop_reason": stop_reason,
        "token_ids": None,
        "routed_experts": None,
    }
