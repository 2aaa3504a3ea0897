"""Legal holds over HTTP: list, place, end."""

from dataclasses import asdict
from typing import Any

from fastapi import APIRouter, Request

from common.errors import InvalidRequest
from retrieval.api.requests import Caller, Service, expect, in_thread, json_body
from retrieval.api.snapshots import number_of
from retrieval.ledger import holds
from retrieval.ledger.holds import Hold
from retrieval.ledger.snapshots import rfc3339

router = APIRouter(prefix="/v1/holds")


@router.get("")
async def every(service: Service, caller: Caller) -> dict[str, Any]:
    def run() -> list[Hold]:
        with service.ledger.read() as connection:
            return holds.every(connection, caller)

    return {"data": [_shown(hold) for hold in await in_thread(run)]}


@router.post("", status_code=201)
async def place(service: Service, caller: Caller, request: Request) -> dict[str, Any]:
    said = await json_body(request)
    knowledge, document = expect(said, "knowledge", str), expect(said, "document", str)
    if knowledge is None:
        raise InvalidRequest("The field 'knowledge' is missing.", "Name the knowledge base.", param="knowledge")

    def run() -> Hold:
        with service.ledger.write() as connection:
            return holds.place(connection, caller, knowledge, document, expect(said, "reason", str, ""))

    return _shown(await in_thread(run))


@router.post("/{hold}:end")
async def end(service: Service, caller: Caller, hold: str, request: Request) -> dict[str, Any]:
    said, number = await json_body(request), number_of(hold, "hold", "List the holds with GET /v1/holds.")

    def run() -> Hold:
        with service.ledger.write() as connection:
            return holds.end(connection, caller, number, expect(said, "reason", str, ""))

    return _shown(await in_thread(run))


def _shown(hold: Hold) -> dict[str, Any]:
    times = {"created": rfc3339(hold.created), "ended": None if hold.ended is None else rfc3339(hold.ended)}
    return asdict(hold) | times
