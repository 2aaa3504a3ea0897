"""What an operator sees of a running gateway: metrics, logs and traces, and that none of them holds content."""

import asyncio
import json
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from common.errors import ErrorCode, NotFound
from common.logs import REQUEST, Format, Formatter
from serving.home import Home
from tests.fakes.engine import Fault
from tests.serving.conftest import Gateway, session

CONTRACT = {
    'groundtone_request_seconds_bucket{le="1.0",stage="retrieve"}',
    'groundtone_request_seconds_bucket{le="1.0",stage="compose"}',
    "groundtone_time_to_first_token_seconds_count",
    "groundtone_inter_token_seconds_count",
    'groundtone_answers_total{assistant="tuned",outcome="answered"}',
    'groundtone_figures_total{status="supported"}',
    "groundtone_snapshot_head",
    'groundtone_source_lag_seconds{source="files"}',
    "groundtone_queue_depth",
}
CANARY = "Xanthippe-4711"


async def scrape(http: aiohttp.ClientSession) -> dict[str, float]:
    """Every sample's name and labels with its value."""
    text = await (await http.get("/metrics")).text()
    return {name: float(value) for name, value in re.findall(r"(?m)^(groundtone_\S+?(?:\{.*\})?) (\S+)$", text)}


async def test_every_metric_of_the_contract_is_exported(gateway: Gateway) -> None:
    """After one answer each has a sample, under the names and labels that dashboards ask for."""
    gateway.engine.answer = "The annual fee is 11,000 yen."
    gateway.knowledge.sources = [{"name": "files", "lag_seconds": 0.5}]
    assert (await gateway.ask(model="tuned")).status == 200
    found = await scrape(gateway.http)
    assert found.keys() >= CONTRACT
    assert found[f'groundtone_adapter_loaded{{replica="{gateway.engine.url}",version="{gateway.adapter}"}}'] == 1
    assert found[f'groundtone_engine_up{{replica="{gateway.engine.url}"}}'] == 1
    assert found[f'groundtone_configuration_info{{digest="{gateway.services.settings.digest}"}}'] == 1


async def test_errors_are_counted_by_code_and_a_dead_engine_shows(gateway: Gateway) -> None:
    """What alerts are made of. A series that began with its first error would have no rate, and wake nobody."""
    names = {code: f'groundtone_errors_total{{code="{code}"}}' for code in ErrorCode}
    name, first = names[ErrorCode.ENGINE_UNAVAILABLE], await scrape(gateway.http)
    assert first.keys() >= set(names.values())
    before = first[name]
    gateway.engine.fault = Fault.REFUSE
    assert (await gateway.ask()).status == 503
    found = await scrape(gateway.http)
    assert found[name] == before + 1
    assert found[f'groundtone_engine_up{{replica="{gateway.engine.url}"}}'] == 0


async def test_the_metrics_key_opens_nothing_else(gateway: Gateway) -> None:
    """Prometheus needs no more than a stranger, but for the numbers."""
    home = Home(gateway.services.settings.home.absolute())
    async with session(gateway.url, await asyncio.to_thread(lambda: home.metrics_key)) as http:
        assert (await scrape(http)).keys() >= {"groundtone_queue_depth"}
        for path in ("/v1/models", "/v1/knowledge", "/v1/receipts", "/v1/keys", "/v1/adapters"):
            assert (await http.get(path)).status == 403


@pytest.fixture
def logged() -> Iterator[list[str]]:
    """Each line that anything in the process logs, as JSON."""
    lines: list[str] = []
    formatter = Formatter(Format.JSON)

    class Kept(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            lines.append(formatter.format(record))

    kept, root = Kept(logging.DEBUG), logging.getLogger()
    level = root.level
    root.addHandler(kept)
    root.setLevel(logging.DEBUG)
    yield lines
    root.removeHandler(kept)
    root.setLevel(level)


@pytest.mark.parametrize("fault", [None, *Fault])
async def test_no_log_line_holds_content(gateway: Gateway, logged: list[str], fault: Fault | None) -> None:
    """Whatever fails, at DEBUG too: not the question, not the answer, not what the engine says about them."""
    gateway.engine.answer = f"{CANARY} costs 11,000 yen."
    gateway.engine.drip_seconds = 0.2
    gateway.engine.fault = fault
    response = await gateway.ask(f"What does {CANARY} cost?", user=CANARY)
    await response.read()
    await gateway.ask(f"What does {CANARY} cost?", temperature=CANARY)
    assert logged
    assert not [line for line in logged if CANARY in line]


async def test_a_log_line_carries_the_id_of_its_request(gateway: Gateway, logged: list[str]) -> None:
    """The one that the client got, also where the line is written deep inside."""
    gateway.engine.fault = Fault.HTTP500
    response = await gateway.ask()
    events = [json.loads(line) for line in logged]
    said = next(e for e in events if e["message"] == "engine answered 500")
    assert said["request"] == response.headers["x-request-id"]
    assert said["level"] == "warning"


@pytest.mark.parametrize("format", list(Format))
def test_an_exception_is_logged_by_type_and_place(format: Format) -> None:
    """A library's words may quote what it was given; ours, and the system's, never do."""

    def line(raised: Exception) -> str:
        try:
            try:
                raise ValueError(f"can't parse {CANARY}")
            except ValueError as cause:
                raise raised from cause
        except Exception as error:
            told = (type(error), error, error.__traceback__)
            return Formatter(format).format(logging.LogRecord("x", logging.ERROR, "", 0, "it failed", (), told))

    token = REQUEST.set("req_1")
    text = (
        line(KeyError(CANARY)) + line(NotFound("Nothing is there.", "Look elsewhere.")) + line(OSError(28, "No space"))
    )
    REQUEST.reset(token)
    assert CANARY not in text
    assert "test_observed.py" in text
    assert {"ValueError", "KeyError", "Nothing is there.", "No space", "req_1"} <= set(
        re.findall(r"ValueError|KeyError|Nothing is there\.|No space|req_1", text)
    )


_SPANS = InMemorySpanExporter()


@pytest.fixture
def spans() -> InMemorySpanExporter:
    """The spans that this process ends. A process has one provider, so it stays; without this fixture nobody looks."""
    if not isinstance(trace.get_tracer_provider(), TracerProvider):
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(_SPANS))
        trace.set_tracer_provider(provider)
    _SPANS.clear()
    return _SPANS


async def test_one_trace_leads_through_retrieval_to_the_engine(gateway: Gateway, spans: InMemorySpanExporter) -> None:
    """Under the caller's trace, by the GenAI conventions, continued in the headers, and without content."""
    caller = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    gateway.engine.answer = f"{CANARY} costs 11,000 yen."
    body = {"model": "plain", "messages": [{"role": "user", "content": f"What does {CANARY} cost?"}]}
    response = await gateway.http.post("/v1/chat/completions", json=body, headers={"traceparent": caller})
    assert response.status == 200

    def ended() -> dict[str, ReadableSpan]:
        return {
            s.name: s for s in spans.get_finished_spans() if s.context and s.context.trace_id == int(caller[3:35], 16)
        }

    async with asyncio.timeout(10):
        while "POST /v1/chat/completions" not in (found := ended()):
            await asyncio.sleep(0.01)
    model = gateway.services.engine.base_model
    root, retrieval, chat = (found[name] for name in ("POST /v1/chat/completions", "retrieval", f"chat {model}"))
    assert root.parent
    assert root.parent.span_id == int(caller[36:52], 16)
    assert root.context
    for span in (found["retrieve"], found["compose"], chat):
        assert span.parent
        assert span.parent.span_id == root.context.span_id
    about: dict[str, Any] = dict(chat.attributes or {})
    assert about["gen_ai.operation.name"] == "chat"
    assert about["gen_ai.request.model"] == about["gen_ai.response.model"] == model
    assert about["gen_ai.usage.output_tokens"] > 0
    assert dict(retrieval.attributes or {})["gen_ai.data_source.id"] == "kitahama"
    assert not [s for s in found.values() if CANARY in s.to_json()]
    scopes = {s.instrumentation_scope.name for s in spans.get_finished_spans() if s.instrumentation_scope}
    assert scopes == {"groundtone"}  # the web framework adds none of its own


def test_home_keeps_three_keys(tmp_path: Path) -> None:
    """Each its own, closed to others."""
    home = Home(tmp_path / "home")
    home.prepare()
    assert len({home.admin_key, home.internal_key, home.metrics_key}) == 3
    assert home.metrics_key_path.stat().st_mode & 0o077 == 0
