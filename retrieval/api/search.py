"""Search over HTTP: the contract's own, and the private one that the gateway asks for every answer."""

from typing import Any

from fastapi import APIRouter, Request

from common.errors import ErrorCode, InvalidRequest
from common.evidence import Evidence, Findings
from common.principal import Principal
from retrieval.api.requests import Caller, Service, expect, in_thread, json_body, texts
from retrieval.knowledge import Knowledge
from retrieval.ledger import chunks
from retrieval.ledger.chunks import Chunk

router = APIRouter()
_FIELDS = {"as_of", "top_k", "filters", "min_evidence", "scope", "other_embedder"}


@router.post("/search")
async def private(service: Service, caller: Caller, request: Request) -> dict[str, Any]:
    fields = await json_body(request)
    found = await _search(service, caller, texts(fields, "knowledge"), fields, "question", {"knowledge"})
    return found.to_wire()


@router.post("/v1/knowledge/{kb}/search")
async def search(service: Service, caller: Caller, kb: str, request: Request) -> dict[str, Any]:
    found = await _search(service, caller, [kb], await json_body(request), "query", set())
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


async def _search(
    service: Knowledge,
    caller: Principal,
    knowledge: list[str] | None,
    fields: dict[str, Any],
    question: str,
    more: set[str],
) -> Findings:
    if unknown := fields.keys() - _FIELDS - more - {question}:
        name = min(unknown)
        raise InvalidRequest(
            f"There is no field {name!r} here.", "Leave it out.", code=ErrorCode.UNSUPPORTED_FIELD, param=name
        )
    for needed, value in ((question, fields.get(question)), ("knowledge", knowledge)):
        if value is None:
            raise InvalidRequest(
                f"The field {needed!r} is missing.", "Add it.", code=ErrorCode.MISSING_FIELD, param=needed
            )
    asked: str = expect(fields, question, str)
    as_of = expect(fields, "as_of", (int, str))
    top_k = expect(fields, "top_k", int, 5)
    filters = expect(fields, "filters", dict)
    least = expect(fields, "min_evidence", (int, float))
    scope = texts(fields, "scope") or []
    other = expect(fields, "other_embedder", bool, False)

    def run() -> Findings:
        return service.search.search(
            caller,
            knowledge or [],
            asked,
            as_of=as_of,
            top_k=top_k,
            filters=filters,
            min_evidence=least,
            scope=scope,
            other_embedder=other,
        )

    return await in_thread(run, service.searching)


def _shown(one: Evidence) -> dict[str, Any]:
    kept = ("document", "chunk", "revision", "score", "title", "heading", "text", "page", "span", "lang", "knowledge")
    return {name: getattr(one, name) for name in kept}
