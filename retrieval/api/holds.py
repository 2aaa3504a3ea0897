"""Legal holds over HTTP: list, place, end."""

from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter

from retrieval.api.requests import Caller, Fields, Service, Text, sent
from retrieval.api.snapshots import number_of
from retrieval.ledger import holds
from retrieval.ledger.holds import Hold
from retrieval.ledger.snapshots import rfc3339

router = APIRouter(prefix="/v1/holds")


class Why(Fields):
    reason: Text | None = None


class Place(Why):
    knowledge: Text
    document: Text | None = None


@router.get("")
def every(service: Service, caller: Caller) -> dict[str, Any]:
    with service.ledger.read() as connection:
        return {"data": [_shown(hold) for hold in holds.every(connection, caller)]}


@router.post("", status_code=201)
def place(service: Service, caller: Caller, said: Annotated[Place, sent(Place)]) -> dict[str, Any]:
    with service.ledger.write() as connection:
        return _shown(holds.place(connection, caller, said.knowledge, said.document, said.reason or ""))


@router.post("/{hold}:end")
def end(service: Service, caller: Caller, hold: str, said: Annotated[Why, sent(Why)]) -> dict[str, Any]:
    number = number_of(hold, "hold", "List the holds with GET /v1/holds.")
    with service.ledger.write() as connection:
        return _shown(holds.end(connection, caller, number, said.reason or ""))


def _shown(hold: Hold) -> dict[str, Any]:
    times = {"created": rfc3339(hold.created), "ended": None if hold.ended is None else rfc3339(hold.ended)}
    return asdict(hold) | times
