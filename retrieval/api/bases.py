"""Knowledge bases over HTTP."""

from typing import Annotated, Any

from fastapi import APIRouter, Response

from retrieval.api.requests import Caller, Fields, Service, Text, sent, settle
from retrieval.ledger import bases, operations
from retrieval.ledger.bases import Base
from retrieval.ledger.snapshots import rfc3339

router = APIRouter(prefix="/v1")


class Labels(Fields):
    labels: list[Text] | None = None


class Message(Fields):
    message: Text | None = None


@router.get("/knowledge")
def every(service: Service, caller: Caller) -> dict[str, Any]:
    with service.ledger.read() as connection:
        return {"data": [_shown(base) for base in bases.every(connection, caller)]}


@router.get("/knowledge/{kb}")
def show(service: Service, caller: Caller, kb: str) -> dict[str, Any]:
    with service.ledger.read() as connection:
        return _shown(bases.get(connection, caller, kb))


@router.put("/knowledge/{kb}")
def put(
    service: Service, caller: Caller, kb: str, said: Annotated[Labels, sent(Labels)], response: Response
) -> dict[str, Any]:
    with service.ledger.write() as connection:
        base, created = bases.put(connection, caller, kb, said.labels)
    response.status_code = 201 if created else 200
    return _shown(base)


@router.delete("/knowledge/{kb}")
async def remove(service: Service, caller: Caller, kb: str, response: Response, wait: float = 30.0) -> dict[str, Any]:
    future = service.publisher.drop(caller, kb)
    return await settle(service, caller, response, future, wait, lambda n: {"knowledge": kb, "snapshot": n})


@router.post("/knowledge/{kb}:publish")
async def publish(
    service: Service,
    caller: Caller,
    kb: str,
    said: Annotated[Message, sent(Message)],
    response: Response,
    wait: float = 30.0,
) -> dict[str, Any]:
    future = service.publisher.publish_staged(caller, kb, (said.message or "")[:2000])
    return await settle(service, caller, response, future, wait, lambda n: {"snapshot": n})


@router.post("/knowledge:rebuild")
async def rebuild(service: Service, caller: Caller, response: Response, wait: float = 30.0) -> dict[str, Any]:
    future = service.publisher.rebuild(caller)
    return await settle(service, caller, response, future, wait, lambda built: dict[str, Any](built))


@router.get("/operations/{id_}")
def operation(service: Service, caller: Caller, id_: str) -> dict[str, Any]:
    with service.ledger.read() as connection:
        return operations.get(connection, caller, id_)


def _shown(base: Base) -> dict[str, Any]:
    return {"name": base.name, "labels": list(base.labels), "created": rfc3339(base.created)}
