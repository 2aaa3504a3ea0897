"""A groundtone knowledge base as a LlamaIndex retriever, over HTTP: for applications, and no part of the service.

    from retrieval.retriever import GroundtoneRetriever

    retriever = GroundtoneRetriever("http://127.0.0.1:8080", key, "kitahama")
    nodes = retriever.retrieve("What is the annual fee of the Harbour Gold Card?")

It asks a gateway with an API key, so labels, snapshots and limits hold as they do for everybody. Importing it loads
LlamaIndex and an HTTP client, and nothing of the server.
"""

import asyncio
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx
from llama_index.core.base.base_retriever import BaseRetriever
from llama_index.core.schema import NodeRelationship, NodeWithScore, QueryBundle, RelatedNodeInfo, TextNode

from common.errors import GroundtoneError, KnowledgeUnavailable, from_body

_FOR_MODELS = ("title", "heading")
_CITED = ("knowledge", "document", "revision", "title", "page", "span", "lang")


class GroundtoneRetriever(BaseRetriever):
    """Retrieves from one knowledge base. Thread-safe; `close` it, or use it as a context manager.

    A node's id is the chunk's, which never means anything else. Its metadata hold what a citation needs: `knowledge`,
    `document`, `revision`, `title`, `heading`, `page`, `span`, `lang` and `snapshot`; only title and headings are
    shown to a model. A node's score is groundtone's confidence, 0..1. `weak` in the metadata says that the best of
    them won't carry an answer; with `drop_weak` there are no nodes then, and a query engine answers that it found
    nothing.

    `top_k`, `as_of` (a snapshot's number or an RFC 3339 time), `filters` and `min_evidence` are those of
    `POST /v1/knowledge/{kb}/search`. `timeout` is in seconds.

    `retrieve` and `aretrieve` raise the service's errors as `common.errors` has them, and KnowledgeUnavailable where
    nothing answers.
    """

    def __init__(
        self,
        url: str,
        key: str,
        knowledge: str,
        *,
        top_k: int = 5,
        as_of: int | str | None = None,
        filters: dict[str, Any] | None = None,
        min_evidence: float | None = None,
        drop_weak: bool = False,
        timeout: float = 30.0,
    ) -> None:
        super().__init__()
        self._path = f"/v1/knowledge/{quote(knowledge, safe='')}/search"
        options = {"top_k": top_k, "as_of": as_of, "filters": filters, "min_evidence": min_evidence}
        self._options = {name: value for name, value in options.items() if value is not None}
        self._drop_weak = drop_weak
        headers = {"authorization": f"Bearer {key}"}
        self._client = httpx.Client(base_url=url.rstrip("/"), headers=headers, timeout=timeout)

    def close(self) -> None:
        self._client.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _retrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        found = self._search(query_bundle.query_str)
        if found["weak"] and self._drop_weak:
            return []
        return [_node(result, found["snapshot"], found["weak"]) for result in found["results"]]

    async def _aretrieve(self, query_bundle: QueryBundle) -> list[NodeWithScore]:
        # In a thread: connections of an asynchronous client would belong to one event loop, a retriever does not.
        return await asyncio.to_thread(self._retrieve, query_bundle)

    def _search(self, question: str) -> dict[str, Any]:
        try:
            answer = self._client.post(self._path, json={"query": question, **self._options})
            body = answer.json()
        except (httpx.HTTPError, ValueError):
            raise _unavailable() from None
        if answer.status_code != 200:
            raise _refusal(answer.status_code, body, answer.headers.get("retry-after"))
        return body


def _node(result: dict[str, Any], snapshot: int, weak: bool) -> NodeWithScore:
    heading = [part for part in result["heading"] if part != result["title"]]
    metadata: dict[str, Any] = {name: result[name] for name in _CITED}
    metadata |= {"heading": " > ".join(heading), "snapshot": snapshot, "weak": weak}
    hidden = [name for name in metadata if name not in _FOR_MODELS]
    node = TextNode(
        id_=result["chunk"],
        text=result["text"],
        metadata=metadata,
        excluded_llm_metadata_keys=hidden,
        excluded_embed_metadata_keys=hidden,
        start_char_idx=result["span"][0],
        end_char_idx=result["span"][1],
        relationships={NodeRelationship.SOURCE: RelatedNodeInfo(node_id=result["document"])},
    )
    return NodeWithScore(node=node, score=result["score"])


def _refusal(status: int, body: Any, retry_after: str | None) -> GroundtoneError:
    try:
        return from_body(status, body, float(retry_after) if retry_after else None)
    except (ValueError, AttributeError):
        return _unavailable()


def _unavailable() -> KnowledgeUnavailable:
    return KnowledgeUnavailable("Nothing that speaks for groundtone answers.", "Check the address, and ask again.")
