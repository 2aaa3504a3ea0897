"""Documents over HTTP: put, get, list, remove, and many at once.

A document's id is the rest of the path: slashes belong to it, sent as they are or percent-encoded.
"""

import asyncio
from typing import Any

import orjson
from fastapi import APIRouter, Query, Request, Response

from common.canonical import digest
from common.errors import InvalidRequest
from common.principal import Principal
from retrieval.api.batches import Line, answers, moment_of, read_lines
from retrieval.api.requests import Caller, Service, body, in_thread, settle
from retrieval.intake import Sent, check_name, take
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases, documents, operations
from retrieval.ledger.documents import Revision
from retrieval.ledger.labels import clean
from retrieval.ledger.snapshots import LONGEST_NUMBER, rfc3339
from retrieval.ledger.staging import Change
from retrieval.publish import Published, Push
from retrieval.read import is_slow

router = APIRouter(prefix="/v1/knowledge/{kb}")


@router.put("/documents/{name:path}")
async def put(
    service: Service,
    caller: Caller,
    kb: str,
    name: str,
    request: Request,
    response: Response,
    title: str | None = None,
    labels: str | None = None,
    lang: str | None = None,
    effective_from: str | None = None,
    effective_until: str | None = None,
    publish: bool = True,
    wait: float = 30.0,
) -> dict[str, Any]:
    sent = Sent(
        data=await body(request),
        media_type=request.headers.get("content-type", ""),
        title=title,
        lang=lang,
        effective_from=moment_of(effective_from, "effective_from"),
        effective_until=moment_of(effective_until, "effective_until"),
    )
    given = None if labels is None else clean(label for label in labels.split(",") if label.strip())
    if_match = _if_match(request)

    def read() -> Change:
        with service.ledger.read() as connection:
            bases.get(connection, caller, kb)
        return Change(kb, check_name(name), take(name, sent), labels=given, if_match=if_match)

    change = await in_thread(read, service.reading_slow if is_slow(sent.media_type) else service.reading)
    return await _push(service, caller, Push(caller, [change], f"Put {name}", publish), wait, response)


@router.delete("/documents/{name:path}")
async def remove(
    service: Service,
    caller: Caller,
    kb: str,
    name: str,
    request: Request,
    response: Response,
    publish: bool = True,
    wait: float = 30.0,
) -> dict[str, Any]:
    change = Change(kb, check_name(name), None, if_match=_if_match(request))
    return await _push(service, caller, Push(caller, [change], f"Removed {name}", publish), wait, response)


@router.get("/documents")
def every(
    service: Service, caller: Caller, kb: str, cursor: str = "", limit: int = Query(100, ge=1, le=1000)
) -> dict[str, Any]:
    with service.ledger.read() as connection:
        base = bases.get(connection, caller, kb)
        found, following = documents.page(connection, caller, base, cursor, limit)
    return {"data": [_shown(one) for one in found], "cursor": following}


@router.get("/documents/{name:path}")
def show(
    service: Service,
    caller: Caller,
    kb: str,
    name: str,
    response: Response,
    revision: int | None = None,
    structure: bool = False,
) -> dict[str, Any]:
    """A document with its text, in which citations count their spans: as it is now, or as a revision had it."""
    with service.ledger.read() as connection:
        found = documents.get(connection, caller, bases.get(connection, caller, kb), name, revision)
    response.headers["etag"] = f'"{found.revision}"'
    return _shown(found) | {"text": found.text} | ({"blocks": found.blocks} if structure else {})


@router.post("/documents:batch")
async def batch(service: Service, caller: Caller, kb: str, request: Request, publish: bool = True) -> Response:
    """NDJSON in, NDJSON out: one snapshot for all of it; a line that can't be taken doesn't hold up the others."""
    data = await body(request)
    if (key := request.headers.get("idempotency-key")) is None:
        return await _batch(service, caller, kb, publish, data, None)
    turn = request.app.state.batches.setdefault((caller.tenant, caller.key, key), asyncio.Lock())
    async with turn:  # whoever sends it again meanwhile is told what came of it, and nothing is done twice
        return await _batch(service, caller, kb, publish, data, key)


async def _batch(
    service: Knowledge, caller: Principal, kb: str, publish: bool, data: bytes, key: str | None
) -> Response:
    sent = digest(f"{kb}\n{publish}\n".encode() + data)

    def read() -> str | list[Line]:
        with service.ledger.read() as connection:
            bases.get(connection, caller, kb)
            before = operations.pushed(connection, caller, key, sent) if key else None
        return read_lines(kb, data) if before is None else before

    lines = await in_thread(read, service.reading)
    if isinstance(lines, list):
        changes = [line.change for line in lines if line.change is not None]
        push = Push(caller, changes, f"Batch of {len(changes)} documents", publish)
        published = await asyncio.shield(asyncio.wrap_future(service.publisher.push(push)))
        answer = "".join(orjson.dumps(line).decode() + "\n" for line in answers(lines, published))
        lines = await in_thread(lambda: _remember(service, caller, key, sent, answer))
    return Response(lines, media_type="application/x-ndjson")


def _remember(service: Knowledge, caller: Principal, key: str | None, sent: str, answer: str) -> str:
    if not key:
        return answer
    with service.ledger.write() as connection:
        return operations.remember_push(connection, caller, key, sent, answer)


async def _push(service: Knowledge, caller: Principal, push: Push, wait: float, response: Response) -> dict[str, Any]:
    settled = await settle(service, caller, response, service.publisher.push(push), wait, _result)
    if settled.pop("created", False):
        response.status_code = 201
    if "revision" in settled:
        response.headers["etag"] = f'"{settled["revision"]}"'
    return settled


def _result(published: Published) -> dict[str, Any]:
    outcome = published.outcomes[0]
    if outcome.staged is None:
        raise outcome.error or AssertionError("a change is staged or refused")
    staged = outcome.staged
    shown = {"document": staged.document, "revision": staged.revision, "snapshot": published.snapshot}
    return shown | ({"created": True} if staged.created else {})


def _shown(one: Revision) -> dict[str, Any]:
    """A revision as the contract has it, without its text."""
    shown = {name: getattr(one, name) for name in ("document", "revision", "title", "lang", "media_type", "source")}
    times = {name: getattr(one, name) for name in ("effective_from", "effective_until", "created")}
    return {
        **shown,
        "labels": list(one.labels),
        "metadata": one.metadata,
        "digest": one.digest,
        "strategy": one.strategy,
        "author": one.author,
        **{name: None if value is None else rfc3339(value) for name, value in times.items()},
    }


def _if_match(request: Request) -> int | None:
    """The revision that must be the current one; 0 says that the document must not be there yet."""
    value = request.headers.get("if-match")
    if value is None:
        return None
    number = value.strip().removeprefix("W/").strip('"')
    if not (number.isascii() and number.isdecimal() and len(number) <= LONGEST_NUMBER):
        raise InvalidRequest("If-Match is not a revision.", "Send the number that the document had.", param="If-Match")
    return int(number)
