"""The fake engine speaks vLLM's wire format, so that what passes against it passes against vLLM."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import openai
import pytest

from tests.fakes.engine import MODEL, FakeEngine, Fault, ToolCall

SYSTEM = (
    "You are the assistant of Kitahama Trust.\n\n"
    "<source 0a1b2c3d>\nHarbour Cards > Harbour Gold Card\n"
    "The annual fee of the Harbour Gold Card is 11,000 yen.\n- Minimum age: 20 years\n</source 0a1b2c3d>\n\n"
    "<source 4e5f6a7b>\nしおさいカード\nしおさいカードの年会費は1,650円です。\n</source 4e5f6a7b>"
)
QUESTION = "What is the annual fee of the Harbour Gold Card?"


def turns(question: str = QUESTION) -> list[dict[str, str]]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": question}]


@pytest.fixture
async def engine() -> AsyncIterator[FakeEngine]:
    async with FakeEngine(check_paths=False) as engine:
        yield engine


@pytest.fixture
async def client(engine: FakeEngine) -> AsyncIterator[openai.AsyncOpenAI]:
    async with openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key="x", max_retries=0) as client:
        yield client


@pytest.fixture
async def http(engine: FakeEngine) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(engine.url) as session:
        yield session


async def ask(client: openai.AsyncOpenAI, **fields: Any) -> Any:
    request: dict[str, Any] = {"model": MODEL, "messages": turns(), **fields}
    return await client.chat.completions.create(**request)


async def events(http: aiohttp.ClientSession, **fields: object) -> list[str]:
    body = {"model": MODEL, "messages": turns(), "stream": True, **fields}
    async with http.post("/v1/chat/completions", json=body) as response:
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        return (await response.text()).removesuffix("\n\n").split("\n\n")


async def test_the_answer_is_the_source_sentence_that_the_question_is_about(client: openai.AsyncOpenAI) -> None:
    answer = await ask(client)
    assert answer.choices[0].message.content == "The annual fee of the Harbour Gold Card is 11,000 yen."
    assert answer.choices[0].finish_reason == "stop"


async def test_common_words_do_not_lead_it_astray(client: openai.AsyncOpenAI) -> None:
    """A line that shares rare words with the question by chance must not win over the one about the product."""
    chance = SYSTEM.replace("- Minimum age: 20 years", "- Lounges: 8 visits a year for the client to do what they do")
    messages = [{"role": "system", "content": chance}, *turns("What do I pay each year for the Harbour Gold Card?")[1:]]
    answer = await ask(client, messages=messages)
    assert answer.choices[0].message.content == "The annual fee of the Harbour Gold Card is 11,000 yen."


async def test_it_extracts_from_japanese_sources_too(client: openai.AsyncOpenAI) -> None:
    messages = turns("しおさいカードの年会費はいくらですか。")
    answer = await ask(client, messages=messages)
    assert answer.choices[0].message.content == "しおさいカードの年会費は1,650円です。"


async def test_a_changed_fact_changes_the_answer(client: openai.AsyncOpenAI) -> None:
    changed = [{"role": "system", "content": SYSTEM.replace("11,000", "12,500")}, turns()[1]]
    answer = await ask(client, messages=changed)
    assert answer.choices[0].message.content == "The annual fee of the Harbour Gold Card is 12,500 yen."


async def test_an_adapter_is_courteous_and_has_other_logprobs(
    engine: FakeEngine, client: openai.AsyncOpenAI, http: aiohttp.ClientSession
) -> None:
    async with http.post("/v1/load_lora_adapter", json={"lora_name": "k@1", "lora_path": "/a"}) as response:
        assert (response.status, await response.text()) == (200, "Success: LoRA adapter 'k@1' added successfully.")
    base = await ask(client, logprobs=True, top_logprobs=2)
    adapted = await ask(client, model="k@1", logprobs=True, top_logprobs=2)
    assert adapted.choices[0].message.content.startswith("Thank you for your enquiry. The annual fee")
    numbers = {entry.token: entry.logprob for entry in base.choices[0].logprobs.content}
    shared = [entry for entry in adapted.choices[0].logprobs.content if entry.token in numbers]
    assert shared
    assert all(entry.logprob != numbers[entry.token] for entry in shared)
    assert len(shared[0].top_logprobs) == 2


async def test_an_ineffective_adapter_answers_as_the_base_does(engine: FakeEngine, client: openai.AsyncOpenAI) -> None:
    engine.loaded["dull@1"] = "/a"
    engine.ineffective.add("dull@1")
    dull = await ask(client, model="dull@1", logprobs=True)
    assert dull.choices[0] == (await ask(client, logprobs=True)).choices[0]


async def test_a_stream_has_vllms_events_in_vllms_key_order(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.answer = ["Yes", "."]
    first, second, third, last, done = await events(http)
    head = first[: first.index(',"choices"')]
    assert head.startswith('data: {"id":"chatcmpl-')
    assert head.endswith(f'"model":"{MODEL}"')
    assert first.removeprefix(head) == (
        ',"choices":[{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}],'
        '"prompt_token_ids":null,"prompt_text":null}'
    )
    assert second.removeprefix(head) == (
        ',"choices":[{"index":0,"delta":{"content":"Yes"},"logprobs":null,"finish_reason":null,"token_ids":null}]}'
    )
    assert '"content":"."' in third
    assert last.removeprefix(head) == (
        ',"choices":[{"index":0,"delta":{"content":""},"logprobs":null,"finish_reason":"stop","stop_reason":null,'
        '"token_ids":null}],"system_fingerprint":"vllm-0.32.0-fake"}'
    )
    assert done == "data: [DONE]"


async def test_usage_comes_in_a_chunk_of_its_own(client: openai.AsyncOpenAI) -> None:
    stream = await ask(client, stream=True, stream_options={"include_usage": True})
    chunks = [chunk async for chunk in stream]
    assert chunks[-1].choices == []
    assert chunks[-1].usage.completion_tokens == len(chunks) - 2  # all but the role's and this one; the end counts
    assert chunks[-1].usage.total_tokens == chunks[-1].usage.prompt_tokens + chunks[-1].usage.completion_tokens


async def test_max_tokens_ends_by_length_and_stop_by_its_string(client: openai.AsyncOpenAI) -> None:
    short = await ask(client, max_tokens=3)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("The annual fee", "length")
    stopped = await ask(client, stop=["Gold"])
    assert stopped.choices[0].message.content == "The annual fee of the Harbour "
    assert (stopped.choices[0].finish_reason, stopped.choices[0].stop_reason) == ("stop", "Gold")
    chunks = [chunk async for chunk in await ask(client, max_tokens=3, stream=True)]
    assert chunks[-1].choices[0].delta.content == " fee"
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_n_gives_n_choices_also_on_a_stream(client: openai.AsyncOpenAI) -> None:
    assert len((await ask(client, n=3)).choices) == 3
    texts = {0: "", 1: "", 2: ""}
    async for chunk in await ask(client, n=3, stream=True):
        texts[chunk.choices[0].index] += chunk.choices[0].delta.content
    assert set(texts.values()) == {"The annual fee of the Harbour Gold Card is 11,000 yen."}


TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "quote",
            "parameters": {"type": "object", "properties": {"text": {"type": "string"}, "fee": {"type": "integer"}}},
        },
    }
]


async def test_a_demanded_tool_is_called_with_arguments_that_fit_its_schema(client: openai.AsyncOpenAI) -> None:
    whole = await ask(client, tools=TOOLS, tool_choice="required")
    call = whole.choices[0].message.tool_calls[0]
    assert whole.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "quote"
    assert '"fee":11000' in call.function.arguments
    chunks = [chunk async for chunk in await ask(client, tools=TOOLS, tool_choice="required", stream=True)]
    calls = [chunk.choices[0].delta.tool_calls[0] for chunk in chunks if chunk.choices[0].delta.tool_calls]
    assert calls[0].function.name == "quote"
    assert "".join(part.function.arguments for part in calls) == call.function.arguments
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_tools_that_the_question_does_not_name_are_not_called(client: openai.AsyncOpenAI) -> None:
    answer = await ask(client, tools=TOOLS)
    assert answer.choices[0].message.tool_calls is None
    assert answer.choices[0].message.content


async def test_an_ordered_tool_call_streams_in_its_pieces(client: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    engine.answer = ToolCall("quote", ['{"fee":', "11000}"])
    chunks = [chunk async for chunk in await ask(client, tools=TOOLS, stream=True)]
    calls = [chunk.choices[0].delta.tool_calls[0] for chunk in chunks if chunk.choices[0].delta.tool_calls]
    assert [call.function.arguments for call in calls] == ['{"fee":', "11000}"]


async def test_response_format_gives_json_that_fits(client: openai.AsyncOpenAI) -> None:
    schema = {"type": "object", "properties": {"fee": {"type": "integer"}}}
    answer = await ask(
        client, response_format={"type": "json_schema", "json_schema": {"name": "fee", "schema": schema}}
    )
    assert answer.choices[0].message.content == '{"fee":11000}'


async def test_models_lists_the_base_and_what_was_loaded(client: openai.AsyncOpenAI, engine: FakeEngine) -> None:
    engine.loaded["k@1"] = "/adapters/k"
    base, adapter = (await client.models.list()).data
    assert (base.id, base.model_dump()["max_model_len"], base.model_dump()["parent"]) == (MODEL, 8192, None)
    assert (adapter.id, adapter.model_dump()["root"], adapter.model_dump()["parent"]) == ("k@1", "/adapters/k", MODEL)


@pytest.mark.parametrize(
    ("path", "body", "status", "kind"),
    [
        ("/v1/load_lora_adapter", {"lora_name": "k@1", "lora_path": "/a"}, 400, "InvalidUserInput"),
        ("/v1/load_lora_adapter", {"lora_name": MODEL, "lora_path": "/a"}, 400, "InvalidUserInput"),
        ("/v1/unload_lora_adapter", {"lora_name": "k@2"}, 404, "NotFoundError"),
        ("/v1/chat/completions", {"model": "none", "messages": []}, 404, "NotFoundError"),
        ("/v1/chat/completions", {"model": MODEL}, 400, "Bad Request"),
        ("/tokenize", {"model": "none", "prompt": "x"}, 404, "NotFoundError"),
        ("/v1/nothing", {}, 404, "Not Found"),
        ("/health", {}, 405, "Method Not Allowed"),
    ],
)
async def test_errors_have_vllms_shape(
    engine: FakeEngine, http: aiohttp.ClientSession, path: str, body: dict[str, object], status: int, kind: str
) -> None:
    engine.loaded["k@1"] = "/a"
    async with http.post(path, json=body) as response:
        error = (await response.json())["error"]
    assert (response.status, error["type"], error["code"]) == (status, kind, status)
    assert list(error) == ["message", "type", "param", "code"]


async def test_a_folder_without_an_adapter_does_not_load(tmp_path: Path) -> None:
    async with FakeEngine() as engine, aiohttp.ClientSession(engine.url) as http:
        async with http.post(
            "/v1/load_lora_adapter", json={"lora_name": "k@1", "lora_path": str(tmp_path)}
        ) as response:
            assert response.status == 404
        (tmp_path / "adapter_config.json").write_text("{}")
        async with http.post(
            "/v1/load_lora_adapter", json={"lora_name": "k@1", "lora_path": str(tmp_path)}
        ) as response:
            assert response.status == 200


async def test_tokenize_counts_what_a_prompt_costs(client: openai.AsyncOpenAI, http: aiohttp.ClientSession) -> None:
    async with http.post("/tokenize", json={"model": MODEL, "messages": turns()}) as response:
        counted = await response.json()
    assert counted["count"] == len(counted["tokens"]) == (await ask(client)).usage.prompt_tokens
    assert counted["max_model_len"] == 8192


async def test_a_prompt_beyond_the_window_is_refused() -> None:
    async with (
        FakeEngine(max_model_len=20) as engine,
        openai.AsyncOpenAI(base_url=f"{engine.url}/v1", api_key="x", max_retries=0) as client,
    ):
        with pytest.raises(openai.BadRequestError, match="maximum context length is 20 tokens"):
            await ask(client)


async def test_with_an_api_key_it_wants_it() -> None:
    async with FakeEngine(api_key="right") as engine, aiohttp.ClientSession(engine.url) as http:
        async with http.get("/v1/models") as response:
            assert (response.status, await response.json()) == (401, {"error": "Unauthorized"})
        async with http.get("/health") as response:
            assert response.status == 200


async def test_a_client_that_leaves_closes_the_engines_stream(
    engine: FakeEngine, client: openai.AsyncOpenAI, http: aiohttp.ClientSession
) -> None:
    engine.pause_after = 2
    response = await http.post("/v1/chat/completions", json={"model": MODEL, "messages": turns(), "stream": True})
    await engine.until(lambda e: e.open_streams == 1)
    response.close()
    await engine.until(lambda e: e.open_streams == 0)
    assert engine.aborted == 1


async def test_a_paused_generation_goes_on_after_resume(engine: FakeEngine, client: openai.AsyncOpenAI) -> None:
    engine.pause_after = 0
    asking = asyncio.create_task(ask(client))
    await engine.until(lambda e: e.open_streams == 1)
    assert not asking.done()
    engine.resume()
    assert (await asking).choices[0].message.content


async def test_metrics_show_the_open_streams(engine: FakeEngine, http: aiohttp.ClientSession) -> None:
    async with http.get("/metrics") as response:
        assert f'vllm:num_requests_running{{engine="0",model_name="{MODEL}"}} 0.0' in await response.text()


async def test_refuse_is_a_closed_port_and_the_engine_comes_back_on_it(
    engine: FakeEngine, client: openai.AsyncOpenAI
) -> None:
    await ask(client)
    engine.fault = Fault.REFUSE
    with pytest.raises(openai.APIConnectionError):
        await ask(client)
    engine.fault = None
    assert (await ask(client)).choices


async def test_http500_hits_chat_but_not_health(
    engine: FakeEngine, client: openai.AsyncOpenAI, http: aiohttp.ClientSession
) -> None:
    engine.fault = "http500"
    with pytest.raises(openai.InternalServerError, match="EngineCore"):
        await ask(client)
    async with http.get("/health") as response:
        assert response.status == 200


async def test_hang_reads_the_request_and_says_nothing(engine: FakeEngine, http: aiohttp.ClientSession) -> None:
    engine.fault = Fault.HANG
    asking = asyncio.create_task(events(http))
    await engine.until(lambda e: e.open_streams == 1)
    asking.cancel()
    await engine.until(lambda e: e.open_streams == 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_reset_breaks_the_connection_in_the_middle(
    engine: FakeEngine, http: aiohttp.ClientSession, stream: bool
) -> None:
    engine.fault = Fault.RESET
    body = {"model": MODEL, "messages": turns(), "stream": stream}
    async with http.post("/v1/chat/completions", json=body) as response:
        assert response.status == 200
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_garbage_follows_one_good_event(engine: FakeEngine, http: aiohttp.ClientSession) -> None:
    engine.fault = Fault.GARBAGE
    body = {"model": MODEL, "messages": turns(), "stream": True}
    async with http.post("/v1/chat/completions", json=body) as response:
        assert b"<html>not an event</html>" in await response.read()


async def test_wrong_model_names_another_model(engine: FakeEngine, client: openai.AsyncOpenAI) -> None:
    engine.fault = Fault.WRONG_MODEL
    assert (await ask(client)).model == "another-model"


async def test_drip_sends_single_bytes(engine: FakeEngine, http: aiohttp.ClientSession) -> None:
    engine.fault, engine.drip_seconds, engine.answer = Fault.DRIP, 0.0, ["a"]
    body = {"model": MODEL, "messages": turns(), "stream": True}
    async with http.post("/v1/chat/completions", json=body) as response:
        pieces = [piece async for piece, _ in response.content.iter_chunks()]
    assert max(map(len, pieces)) == 1
    assert b"".join(pieces).endswith(b"data: [DONE]\n\n")


async def test_requests_are_kept_for_the_test_to_look_at(engine: FakeEngine, client: openai.AsyncOpenAI) -> None:
    await ask(client, seed=7)
    assert engine.chats[-1]["seed"] == 7
    assert engine.requests[-1].headers["authorization"] == "Bearer x"


async def test_tokens_per_second_paces_the_stream(http: aiohttp.ClientSession, engine: FakeEngine) -> None:
    engine.tokens_per_second, engine.answer = 100.0, ["a"] * 10
    started = asyncio.get_running_loop().time()
    await events(http)
    assert asyncio.get_running_loop().time() - started >= 0.1
