"""Snapshots over HTTP: list, compare, go back."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response

from common.errors import NotFound
from retrieval.api.requests import Caller, Fields, Service, Text, sent, settle
from retrieval.ledger import snapshots, tenants
from retrieval.ledger.schema import MOST

router = APIRouter(prefix="/v1/snapshots")


class Bases(Fields):
    knowledge: list[Text] | None = None


@router.get("")
def newest(
    service: Service,
    caller: Caller,
    cursor: Annotated[int | None, Query(ge=0, le=MOST)] = None,
    limit: int = Query(100, ge=1, le=1000),
) -> dict[str, Any]:
    with service.ledger.read() as connection:
        found = snapshots.newest(connection, caller, cursor, limit)
        head = tenants.get(connection, caller).head
    data = [asdict(one) | {"created": snapshots.rfc3339(one.created)} for one in found]
    return {"head": head, "data": data, "cursor": found[-1].number if len(found) == limit else None}


@router.get("/{a}/diff/{b}")
def diff(service: Service, caller: Caller, a: str, b: str) -> dict[str, Any]:
    first, last = _number(a), _number(b)
    with service.ledger.read() as connection:
        rows = [asdict(one) for one in snapshots.diff(connection, caller, first, last)]
    return {
        "from": first,
        "to": last,
        "added": [row for row in rows if row["before"] is None],
        "removed": [row for row in rows if row["after"] is None],
        "changed": [row for row in rows if row["before"] is not None and row["after"] is not None],
    }


@router.post("/{number}:restore")
async def restore(
    service: Service,
    caller: Caller,
    number: str,
    said: Annotated[Bases, sent(Bases)],
    response: Response,
    wait: float = 30.0,
) -> dict[str, Any]:
    future = service.publisher.restore(caller, _number(number), said.knowledge)
    return await settle(service, caller, response, future, wait, lambda n: {"snapshot": n})


def number_of(text: str, noun: str, do: str) -> int:
    """A number in a path. Raises NotFound for what is none: there is no such `noun`."""
    if not (text.isascii() and text.isdecimal() and len(text) <= snapshots.LONGEST_NUMBER):
        raise NotFound(f"There is no such {noun}.", do)
    return int(text)


def _number(text: str) -> int:
    return number_of(text, "snapshot", "List the snapshots with GET /v1/snapshots.")
