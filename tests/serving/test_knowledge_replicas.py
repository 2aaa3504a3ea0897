"""Several knowledge processes: any answers a question, and changes go to the one that writes."""

from collections.abc import AsyncIterator

import pytest

from common.errors import Draining, NotFound
from common.settings import KnowledgeService, Settings
from tests.fakes.knowledge import FakeKnowledge
from tests.serving.conftest import Gateway

DOCUMENT = "/v1/knowledge/kitahama/documents/a.md"


@pytest.fixture
async def standby(gateway: Gateway) -> AsyncIterator[FakeKnowledge]:
    """A second process, which does not write, behind the first in the gateway's list."""
    async with FakeKnowledge() as other:
        other.writes = False
        gateway.services.knowledge._urls.append(other.url)
        yield other


def changes(knowledge: FakeKnowledge) -> list[str]:
    return [request.body.decode() for request in knowledge.requests if request.method == "PUT"]


async def put(gateway: Gateway, text: str) -> int:
    return (await gateway.http.put(DOCUMENT, data=text)).status


@pytest.mark.parametrize("fault", ["away", "draining", "silent"])
async def test_a_question_is_answered_by_another_process(
    gateway: Gateway, standby: FakeKnowledge, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The one that failed is asked last from then on, so that one question alone waited for it."""
    monkeypatch.setattr(gateway.services.knowledge, "_timeout", 1.0)
    match fault:
        case "away":
            gateway.knowledge.listening = False
        case "draining":
            gateway.knowledge.error = Draining("The service is stopping.", "Ask again.")
        case _:
            gateway.knowledge.held = True
    asked = len(gateway.knowledge.searches)
    assert [(await gateway.ask()).status for _ in range(3)] == [200] * 3
    assert len(standby.searches) == 3
    assert len(gateway.knowledge.searches) <= asked + 1
    assert (await gateway.http.get("/readyz")).status == 200
    gateway.knowledge.release()


async def test_what_every_process_would_say_is_said_by_the_first(gateway: Gateway, standby: FakeKnowledge) -> None:
    """A mistake of the client's is no fault of the process."""
    gateway.knowledge.error = NotFound("There is no snapshot 7.", "List them.")
    assert (await gateway.ask()).status == 404
    assert standby.searches == []


async def test_without_any_process_there_is_no_answer(gateway: Gateway, standby: FakeKnowledge) -> None:
    """Neither to a question nor to whoever asks whether it is ready."""
    gateway.knowledge.listening = standby.listening = False
    response = await gateway.ask()
    assert (response.status, (await response.json())["error"]["code"]) == (503, "knowledge_unavailable")
    ready = await gateway.http.get("/readyz")
    assert (ready.status, (await ready.json())["reasons"]) == (503, ["the knowledge process can't be reached"])
    assert await put(gateway, "text") == 503


async def test_what_the_writer_has_still_to_bring_in_is_missing(gateway: Gateway, standby: FakeKnowledge) -> None:
    """A standby is ready with what there is; where nobody writes, that will do."""
    gateway.knowledge.missing = ["source docs: 1 of 2 documents are in"]
    ready = await gateway.http.get("/readyz")
    assert (ready.status, (await ready.json())["reasons"]) == (503, gateway.knowledge.missing)
    gateway.knowledge.writes = False
    assert (await gateway.http.get("/readyz")).status == 200


async def test_a_change_goes_to_whoever_writes_now(gateway: Gateway, standby: FakeKnowledge) -> None:
    """From one to the other and back; between two writers it is refused, whole, and can be sent again."""
    assert await put(gateway, "one") == 200
    gateway.knowledge.listening = False
    response = await gateway.http.put(DOCUMENT, data="between")
    assert (response.status, (await response.json())["error"]["code"]) == (503, "knowledge_unavailable")
    standby.writes = True
    assert await put(gateway, "two") == 200
    gateway.knowledge.listening, gateway.knowledge.writes = True, False
    assert await put(gateway, "three") == 200
    gateway.knowledge.writes, standby.writes = True, False
    assert await put(gateway, "four") == 200
    assert changes(gateway.knowledge) == ["one", "four"]
    assert changes(standby) == ["between", "two", "three"]


async def test_what_is_told_of_sources_is_the_writers(gateway: Gateway, standby: FakeKnowledge) -> None:
    """A standby looks at none, so it can't say how far they are behind."""
    gateway.knowledge.sources = [{"name": "docs", "lag_seconds": 1.0}]
    standby.sources = [{"name": "docs", "lag_seconds": 7.0}]
    gateway.knowledge.writes, standby.writes = False, True
    assert 'groundtone_source_lag_seconds{source="docs"} 7.0' in await (await gateway.http.get("/metrics")).text()


async def test_an_address_is_one_text_or_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """In the file and in the environment."""
    assert KnowledgeService(url="http://a").urls == ("http://a",)
    assert KnowledgeService().urls == ()
    for given, urls in (
        ("http://a:1", ("http://a:1",)),
        ('["http://a:1", "http://b:2"]', ("http://a:1", "http://b:2")),
    ):
        monkeypatch.setenv("GROUNDTONE_KNOWLEDGE__URL", given)
        assert Settings().knowledge.urls == urls
