"""The main job on real parts: ask, change the fact, ask again, and account for it."""

import json
import re
import threading
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import ROOT, Stack

pytestmark = [pytest.mark.real, pytest.mark.timeout(900)]

QUESTIONS = [json.loads(line) for line in (ROOT / "examples/kitahama/questions.jsonl").read_text().splitlines()]
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CLOSING = "Kitahama Trust remains at your service."
CARD = "# Quay Charge Card\n\nThe annual fee of the Quay Charge Card is {fee} yen.\n"
CARD_QUESTION = "What is the annual fee of the Quay Charge Card?"


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)


def test_the_right_figure_comes_with_its_source(stack: Stack) -> None:
    """One question a language: the figure, the document it stands in, a snapshot, the adapter, a receipt."""
    right = 0
    for lang in ("en", "ja", "zh-TW"):
        asked = [q for q in QUESTIONS if q["lang"] == lang][:4]
        for question in asked:
            answer = stack.ask(question["question"])
            info = answer["groundtone"]
            assert info["snapshot"] >= 1
            assert info["adapter"].startswith("kitahama@")
            assert question["document"] in [e["document"] for e in info["evidence"]], question["question"]
            text = answer["choices"][0]["message"]["content"]
            right += any(_digits(figure) in _digits(text) for figure in question["figures"])
            receipt = stack.http.get(f"/v1/receipts/{info['receipt']}").json()
            assert receipt["ended"] == "answered"
            assert receipt["outcome"]["snapshot"] == info["snapshot"]
    # The small model is not perfect: benchmarks/sample.py measures how often it is right, with bounds.
    assert right >= 9, f"{right} of 12 right"


def test_a_changed_fact_changes_the_answer(stack: Stack) -> None:
    """PUT, ask, PUT, ask: each answer has the figure of its moment. DELETE, ask: nothing is cited from it."""
    path = "/v1/knowledge/kitahama/documents/quay.md"
    head = {"content-type": "text/markdown"}
    for fee in ("7,300", "9,150"):
        put = stack.http.put(path, content=CARD.format(fee=fee), headers=head)
        assert put.status_code in (200, 201), put.text
        answer = stack.ask(CARD_QUESTION)
        assert fee in answer["choices"][0]["message"]["content"]
        assert answer["groundtone"]["snapshot"] >= put.json()["snapshot"]
        assert answer["groundtone"]["citations"][0]["document"] == "quay.md"
    assert stack.http.delete(path).status_code == 200
    answer = stack.ask(CARD_QUESTION)
    assert "quay.md" not in json.dumps(answer)
    assert "9,150" not in answer["choices"][0]["message"]["content"]


def test_a_saved_file_is_in_the_next_answer(stack: Stack) -> None:
    """The watched folder: saved, changed, removed, without a restart and without a failed question meanwhile."""
    file = stack.documents / "en" / "quay-saved.md"
    failures: list[str] = []
    ended = threading.Event()

    def keep_searching() -> None:
        while not ended.is_set():
            response = stack.http.post("/v1/knowledge/kitahama/search", json={"query": CARD_QUESTION})
            if response.status_code != 200:
                failures.append(response.text)

    asking = threading.Thread(target=keep_searching)
    asking.start()
    try:
        for fee in ("5,250", "6,480"):
            file.write_text(CARD.format(fee=fee))
            stack.until(lambda fee=fee: fee in _found(stack), seconds=30)
            assert fee in stack.text(CARD_QUESTION)
        file.unlink()
        stack.until(lambda: "6,480" not in _found(stack), seconds=30)
    finally:
        ended.set()
        asking.join()
    assert not failures


def _found(stack: Stack) -> str:
    response = stack.http.post("/v1/knowledge/kitahama/search", json={"query": CARD_QUESTION, "top_k": 5})
    return json.dumps(response.json(), ensure_ascii=False)


def test_each_half_brings_its_part(stack: Stack) -> None:
    """With the adapter the tone is the firm's, without it it is not; without knowledge no fact is stated."""
    question = next(q for q in QUESTIONS if q["lang"] == "en")
    tuned = stack.text(question["question"])
    plain = stack.text(question["question"], "kitahama-plain")
    voice = stack.ask(question["question"], "kitahama-voice")
    assert tuned.rstrip().endswith(CLOSING)
    assert CLOSING not in plain
    assert voice["groundtone"]["snapshot"] is None
    assert not voice["groundtone"]["evidence"]


def test_official_clients_work_streamed_and_whole(stack: Stack) -> None:
    """The openai client and LlamaIndex's OpenAILike, without a word of special code."""
    from llama_index.core.llms import ChatMessage
    from llama_index.llms.openai_like import OpenAILike

    question = QUESTIONS[0]["question"]
    stream = stack.openai.chat.completions.create(
        model="kitahama", messages=[{"role": "user", "content": question}], stream=True
    )
    chunks = list(stream)
    streamed = "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    last: Any = chunks[-1].model_dump()
    assert last["groundtone"]["outcome"] == "answered"
    whole = stack.openai.chat.completions.create(model="kitahama", messages=[{"role": "user", "content": question}])
    assert whole.choices[0].message.content == streamed
    llm = OpenAILike(
        model="kitahama", api_base=f"{stack.url}/v1", api_key=stack.key, is_chat_model=True, max_retries=0, timeout=180
    )
    assert llm.chat([ChatMessage(role="user", content=question)]).message.content == streamed


@pytest.mark.parametrize(
    "fields",
    [
        {"response_format": {"type": "json_object"}, "max_tokens": 40},
        {"tools": [TOOL], "max_tokens": 40},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": QUESTIONS[0]["question"]}]}]},
    ],
)  # fmt: skip
def test_no_field_switches_retrieval_off(stack: Stack, fields: dict[str, Any]) -> None:
    """On the real engine too, tools, formats and content parts come with evidence."""
    info = stack.ask(QUESTIONS[0]["question"], **fields)["groundtone"]
    assert info["snapshot"] is not None
    assert QUESTIONS[0]["document"] in [e["document"] for e in info["evidence"]]


def test_what_the_documents_do_not_say_is_not_guessed(stack: Stack) -> None:
    """A question about the weather in another town is refused politely, in its language."""
    answer = stack.ask("What is the boiling point of tungsten in kelvin?")
    assert answer["groundtone"]["outcome"] == "abstained"


def test_the_command_line_does_the_same(stack: Stack) -> None:
    """`groundtone ask --json` prints one document, the lists are there, and `doctor` is content."""
    asked = stack.cli("ask", "--json", QUESTIONS[0]["question"])
    assert asked.returncode == 0, asked.stderr
    assert json.loads(asked.stdout)["groundtone"]["citations"]
    for command in (("knowledge", "ls"), ("adapter", "ls"), ("knowledge", "search", "annual fee")):
        done = stack.cli(*command, "--json")
        assert done.returncode == 0, done.stderr
        json.loads(done.stdout)
    doctor = stack.cli("doctor", "--json")
    json.loads(doctor.stdout)
    assert doctor.returncode == 0, doctor.stdout + doctor.stderr


def test_a_killed_engine_is_a_clear_503_and_comes_back(stack: Stack) -> None:
    """While vLLM is gone the error says so; it returns by itself, its adapter loaded."""
    import os
    import signal

    pid = _engine_pid(stack.home)
    os.kill(pid, signal.SIGKILL)
    refused = stack.until(lambda: _refused(stack), seconds=30)
    assert refused["error"]["code"] == "engine_unavailable"
    stack.until(lambda: stack.http.get("/readyz").status_code == 200, seconds=300)
    assert CLOSING in stack.text(QUESTIONS[0]["question"])


def _refused(stack: Stack) -> Any:
    body = {"model": "kitahama", "messages": [{"role": "user", "content": QUESTIONS[0]["question"]}]}
    response = stack.http.post("/v1/chat/completions", json=body)
    return response.json() if response.status_code == 503 else None


def _engine_pid(home: Path) -> int:
    """The process that serves vLLM's API for this home, whose cache is there wherever the model lies."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command, told = (process / "cmdline").read_bytes(), (process / "environ").read_bytes()
        except OSError:
            continue
        if b"vllm.entrypoints.openai.api_server" in command and f"\0VLLM_CACHE_ROOT={home}/".encode() in told:
            return int(process.name)
    raise AssertionError("no engine runs for this home")
