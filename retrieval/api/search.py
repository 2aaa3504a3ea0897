"""Search over HTTP: the contract's own, and the private one that the gateway asks for every answer."""

from typing import Annotated, Any

from fastapi import APIRouter

from common.evidence import Evidence, Findings
from common.principal import Principal
from retrieval.api.requests import Caller, Fields, Service, Text, in_thread, sent
from retrieval.knowledge import Knowledge
from retrieval.ledger import chunks
from retrieval.ledger.chunks import Chunk

router = APIRouter()


class Asked(Fields, extra="forbid"):
    as_of: int | Text | None = None
    top_k: int | None = None
    filters: dict[str, Any] | None = None
    min_evidence: float | None = None
    scope: list[Text] | None = None
    other_embedder: bool | None = None


class Question(Asked):
    knowledge: list[Text]
    question: Text


class Query(Asked):
    query: Text


@router.post("/search")
async def private(service: Service, caller: Caller, asked: Annotated[Question, sent(Question)]) -> dict[str, Any]:
    return (await _search(service, caller, asked.knowledge, asked.question, asked)).to_wire()


@router.post("/v1/knowledge/{kb}/search")
async def search(service: Service, caller: Caller, kb: str, asked: Annotated[Query, sent(Query)]) -> dict[str, Any]:
    found = await _search(service, caller, [kb], asked.query, asked)
    said = {name: value for name, value in found.to_wire().items() if name != "evidence"}
    return said | {"results": [_shown(one) for one in found.evidence]}


@router.get("/v1/citations/{chunk}")
async def citation(service: Service, caller: Caller, chunk: str) -> dict[str, Any]:
    def run() -> Chunk:
        with service.ledger.read() as connection:
            return chunks.cited(connection, caller, chunk)

    found = await in_thread(run, service.searching)
    shown = ("knowledge", "document", "revision", "title", "heading", "text", "page", "lang")
    return {"chunk": found.id, **{n: getattr(found, n) for n in shown}, "span": [found.start, found.end]}


async def _search(service: Knowledge, caller: Principal, knowledge: list[str], question: str, asked: Asked) -> Findings:
    def run() -> Findings:
        return service.search.search(
            caller,
            knowledge,
            question,
            as_of=asked.as_of,
            top_k=5 if asked.top_k is None else asked.top_k,
            filters=asked.filters,
            min_evidence=asked.min_evidence,
            scope=asked.scope or (),
            other_embedder=bool(asked.other_embedder),
        )

    return await in_thread(run, service.searching)


def _shown(one: Evidence) -> dict[str, Any]:
    kept = ("document", "chunk", "revision", "score", "title", "heading", "text", "page", "span", "lang", "knowledge")
    return {name: getattr(one, name) for name in kept}
