"""Snapshots over HTTP: list, compare, go back."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from common.errors import NotFound
from retrieval.api.bases import accepted
from retrieval.api.requests import Caller, Service, in_thread, json_body, settle, texts
from retrieval.ledger import snapshots, tenants
from retrieval.ledger.schema import MOST

router = APIRouter(prefix="/v1/snapshots")


@router.get("")
async def newest(
    service: Service,
    caller: Caller,
    cursor: Annotated[int | None, Query(ge=0, le=MOST)] = None,
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:
    def run() -> dict[str, Any]:
        with service.ledger.read() as connection:
            found = snapshots.newest(connection, caller, cursor, limit)
            head = tenants.get(connection, caller).head
        data = [
            {
                "number": one.number,
                "created": snapshots.rfc3339(one.created),
                "author": one.author,
                "message": one.message,
                "digest": one.digest,
            }
            for one in found
        ]
        return {"head": head, "data": data, "cursor": found[-1].number if len(found) == limit else None}

    return await in_thread(run)


@router.get("/{a}/diff/{b}")
async def diff(service: Service, caller: Caller, a: str, b: str) -> dict[str, Any]:
    def run() -> dict[str, Any]:
        with service.ledger.read() as connection:
            found = snapshots.diff(connection, caller, _number(a), _number(b))
        rows = [
            {"knowledge": one.knowledge, "document": one.document, "before": one.before, "after": one.after}
            for one in found
        ]
        return {
            "from": _number(a),
            "to": _number(b),
            "added": [row for row in rows if row["before"] is None],
            "removed": [row for row in rows if row["after"] is None],
            "changed": [row for row in rows if row["before"] is not None and row["after"] is not None],
        }

    return await in_thread(run)


@router.post("/{number}:restore")
async def restore(
    service: Service, caller: Caller, number: str, request: Request, response: Response, wait: float = 30.0
) -> dict[str, Any]:
    knowledge = texts(await json_body(request), "knowledge")
    future = service.publisher.restore(caller, _number(number), knowledge)
    return accepted(response, await settle(service, caller, future, wait, lambda n: {"snapshot": n}))


def number_of(text: str, noun: str, do: str) -> int:
    """A number in a path. Raises NotFound for what is none: there is no such `noun`."""
    if not (text.isascii() and text.isdecimal() and len(text) <= snapshots.LONGEST_NUMBER):
        raise NotFound(f"There is no such {noun}.", do)
    return int(text)


def _number(text: str) -> int:
    return number_of(text, "snapshot", "List the snapshots with GET /v1/snapshots.")
