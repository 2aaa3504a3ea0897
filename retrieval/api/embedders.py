"""The embedders over HTTP: how far their indexes are, and which of them serves."""

from typing import Any

from fastapi import APIRouter, Response

from retrieval.api.requests import Caller, Service, settle

router = APIRouter(prefix="/v1/embedders")


@router.get("")
def every(service: Service, caller: Caller) -> dict[str, Any]:
    with service.ledger.read() as connection:
        serves = service.serving.current(connection)
        shown = [
            {
                "fingerprint": one.embedder.fingerprint,
                "dimension": one.embedder.dimension,
                "serves": one is serves,
                "lacking": service.serving.lacking(connection, one),
            }
            for one in service.serving.each
        ]
    return {"data": shown}


@router.post(":switch")
async def switch(service: Service, caller: Caller, response: Response, wait: float = 30.0) -> dict[str, Any]:
    future = service.publisher.switch_embedder()
    return await settle(service, caller, response, future, wait, lambda made: {"fingerprint": made})
