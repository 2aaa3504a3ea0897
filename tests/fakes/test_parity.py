"""The fake engine against vLLM's own classes, without starting an engine: an upgrade that changes the wire shows."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.fakes import wire
from tests.fakes.generation import Plan

ROOT = Path(__file__).parents[2]
ONE = {"token": "Yes", "logprob": -0.5, "bytes": [89, 101, 115]}
LOGPROBS = {"content": [{**ONE, "top_logprobs": [ONE]}]}
CALL = {"id": "T", "type": "function", "index": 0, "function": {"name": "f", "arguments": "{"}}


@pytest.fixture(scope="module")
def vllm() -> dict[str, Any]:
    python = ROOT / ".venv-engine/bin/python"
    ran = subprocess.run(
        [python, ROOT / "tests/fakes/vllm_shapes.py"], capture_output=True, text=True, check=True, timeout=240
    )
    return json.loads(ran.stdout.splitlines()[-1])


def event(chunks: wire.Chunks, data: bytes) -> str:
    """An event's JSON, with what differs between two answers replaced."""
    text = data.decode().removeprefix("data: ").removesuffix("\n\n")
    replaced = text.replace(chunks.id, "ID").replace(f'"created":{chunks.created}', '"created":1')
    return replaced.replace(wire.FINGERPRINT, "F")


def shape(value: Any) -> Any:
    """The keys of a document in their order, without its values."""
    if isinstance(value, dict):
        return [(key, shape(inner)) for key, inner in value.items()]
    return [shape(inner) for inner in value] if isinstance(value, list) else None


@pytest.mark.real
def test_events_are_vllms_byte_for_byte(vllm: dict[str, Any]) -> None:
    chunks = wire.Chunks("M")
    planned = Plan([], "stop", None, None, "T")
    counted = wire.usage(1, 2)
    said = {"content": "Yes"}
    mine = {
        "role": chunks.role(0, None),
        "delta": chunks.delta(0, said, None, None),
        "logprobs": chunks.delta(0, said, LOGPROBS, None),
        "tool": chunks.delta(0, {"tool_calls": [CALL]}, None, None),
        "tool_more": chunks.delta(0, {"tool_calls": [{"index": 0, "function": {"arguments": "{"}}]}, None, None),
        "finish": chunks.finish(0, {"content": ""}, None, planned, None, fingerprint=True),
        "continuous": chunks.delta(0, said, None, {**counted, "completion_tokens_details": None}),
        "usage": chunks.usage(counted),
    }
    assert {name: event(chunks, data) for name, data in mine.items()} == vllm["events"]


@pytest.mark.real
def test_documents_have_vllms_keys_in_vllms_order(vllm: dict[str, Any]) -> None:
    call = {"id": "T", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    said = wire.choice(0, {"content": "Yes"}, None, "stop", None)
    called = wire.choice(0, {"content": None, "tool_calls": [call]}, None, "tool_calls", None)
    mine = {
        "whole": wire.completion("M", [said], wire.usage(1, 2)),
        "whole_tool": wire.completion("M", [called], wire.usage(1, 2)),
        "error": wire.error(404, "m", "t", "model"),
        "models": {"object": "list", "data": [wire.model_card("M", "R", None, 1)]},
    }
    assert {name: shape(one) for name, one in mine.items()} == {
        name: shape(one) for name, one in vllm["documents"].items()
    }
