"""Knowledge bases over HTTP."""

from typing import Any

from fastapi import APIRouter, Request, Response

from retrieval.api.requests import Caller, Service, expect, in_thread, json_body, settle, texts
from retrieval.ledger import bases, operations
from retrieval.ledger.bases import Base
from retrieval.ledger.snapshots import rfc3339

router = APIRouter(prefix="/v1")


@router.get("/knowledge")
async def every(service: Service, caller: Caller) -> dict[str, Any]:
    def run() -> list[dict[str, Any]]:
        with service.ledger.read() as connection:
            return [_shown(base) for base in bases.every(connection, caller)]

    return {"data": await in_thread(run)}


@router.get("/knowledge/{kb}")
async def show(service: Service, caller: Caller, kb: str) -> dict[str, Any]:
    def run() -> Base:
        with service.ledger.read() as connection:
            return bases.get(connection, caller, kb)

    return _shown(await in_thread(run))


@router.put("/knowledge/{kb}")
async def put(service: Service, caller: Caller, kb: str, request: Request, response: Response) -> dict[str, Any]:
    labels = texts(await json_body(request), "labels")

    def run() -> tuple[Base, bool]:
        with service.ledger.write() as connection:
            return bases.put(connection, caller, kb, labels)

    base, created = await in_thread(run)
    response.status_code = 201 if created else 200
    return _shown(base)


@router.delete("/knowledge/{kb}")
async def remove(service: Service, caller: Caller, kb: str, response: Response, wait: float = 30.0) -> dict[str, Any]:
    future = service.publisher.drop(caller, kb)
    return accepted(response, await settle(service, caller, future, wait, lambda n: {"knowledge": kb, "snapshot": n}))


@router.post("/knowledge/{kb}:publish")
async def publish(
    service: Service, caller: Caller, kb: str, request: Request, response: Response, wait: float = 30.0
) -> dict[str, Any]:
    message = expect(await json_body(request), "message", str, "")
    future = service.publisher.publish_staged(caller, kb, message[:2000])
    return accepted(response, await settle(service, caller, future, wait, lambda n: {"snapshot": n}))


@router.post("/knowledge:rebuild")
async def rebuild(service: Service, caller: Caller, response: Response, wait: float = 30.0) -> dict[str, Any]:
    future = service.publisher.rebuild(caller)
    return accepted(response, await settle(service, caller, future, wait, lambda built: dict[str, Any](built)))


@router.get("/operations/{id_}")
async def operation(service: Service, caller: Caller, id_: str) -> dict[str, Any]:
    def run() -> dict[str, Any]:
        with service.ledger.read() as connection:
            return operations.get(connection, caller, id_)

    return await in_thread(run)


def accepted(response: Response, settled: dict[str, Any] | str) -> dict[str, Any]:
    """The result, or 202 and the operation that will have it."""
    if isinstance(settled, str):
        response.status_code = 202
        return {"operation": settled}
    return settled


def _shown(base: Base) -> dict[str, Any]:
    return {"name": base.name, "labels": list(base.labels), "created": rfc3339(base.created)}
