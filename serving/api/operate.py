"""What an operator asks: liveness, readiness, metrics, keys, receipts."""

import asyncio

from fastapi import Request
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.responses import Response

from common.errors import InvalidRequest
from common.fields import check, parse
from common.principal import EVERY_LABEL, Principal, Scope
from serving.api.routes import Routes, json
from serving.audit.record import Rating
from serving.metrics import SOURCE_LAG, exposition
from serving.services import Services


class NewKey(BaseModel, extra="forbid"):
    name: str = Field(min_length=1, max_length=256)
    labels: list[str] = Field(default_factory=lambda: ["public"], max_length=64)
    scopes: list[Scope] = Field(default_factory=lambda: [Scope.CHAT], min_length=1)


class Listed(BaseModel):
    limit: int = Field(20, ge=1, le=1000)
    rating: Rating | None = None
    cursor: str | None = None


class Feedback(BaseModel, extra="forbid"):
    rating: Rating


def register(routes: Routes) -> None:
    routes.add_open("/livez", livez)
    routes.add_open("/readyz", readyz)
    routes.add("GET", "/metrics", metrics, scope=None)
    routes.add("GET", "/v1/receipts", list_receipts, scope=Scope.AUDIT_READ)
    routes.add("GET", "/v1/receipts/{receipt}", show_receipt, scope=Scope.AUDIT_READ)
    routes.add("POST", "/v1/receipts/{receipt}/feedback", rate_receipt, scope=Scope.CHAT)
    routes.add("GET", "/v1/keys", list_keys, scope=Scope.KEYS)
    routes.add("POST", "/v1/keys", create_key, scope=Scope.KEYS)
    routes.add("DELETE", "/v1/keys/{key}", revoke_key, scope=Scope.KEYS)


async def livez(request: Request, services: Services) -> Response:
    """Says that the process runs; touches nothing else."""
    return json({"live": True})


async def readyz(request: Request, services: Services) -> Response:
    """200, or 503 with the reasons."""
    reasons = await services.not_ready()
    return json({"ready": not reasons, "reasons": reasons}, 503 if reasons else 200)


async def metrics(request: Request, services: Services, principal: Principal) -> Response:
    """Prometheus' text format, over all workers. The lag of sources is asked for here: no question passes by it."""
    for source in await services.knowledge.sources(principal):
        SOURCE_LAG.labels(source["name"]).set(source["lag_seconds"])
    # Off the event loop: it reads /proc, and with several workers their files
    text = await asyncio.to_thread(exposition, services.settings.server.workers)
    return Response(text, media_type=CONTENT_TYPE_LATEST)


async def list_receipts(request: Request, services: Services, principal: Principal) -> Response:
    """Receipts, newest first."""
    asked = check(Listed, dict(request.query_params))
    return json(await services.record.receipts(principal, asked.cursor, asked.limit, asked.rating))


async def show_receipt(request: Request, services: Services, principal: Principal) -> Response:
    """One receipt."""
    return json(await services.record.receipt(principal, request.path_params["receipt"]))


async def rate_receipt(request: Request, services: Services, principal: Principal) -> Response:
    """What the asker thought of an answer. A later word goes before an earlier one."""
    given = parse(Feedback, await request.body())
    return json(await services.record.rate(principal, request.path_params["receipt"], given.rating))


async def list_keys(request: Request, services: Services, principal: Principal) -> Response:
    """The tenant's keys, without secrets."""
    return json(await services.keys.listed(principal))


async def create_key(request: Request, services: Services, principal: Principal) -> Response:
    """A new key; its secret is shown this once. Nobody can give away what he does not hold."""
    wanted = parse(NewKey, await request.body())
    if not principal.scopes.issuperset(wanted.scopes):
        raise InvalidRequest("A key can't have scopes that yours lacks.", "Ask for fewer.", param="scopes")
    if EVERY_LABEL not in principal.labels and not principal.labels.issuperset(wanted.labels):
        raise InvalidRequest("A key can't read labels that yours can't.", "Ask for fewer.", param="labels")
    return json(await services.keys.create(principal, wanted.name, wanted.labels, wanted.scopes), 201)


async def revoke_key(request: Request, services: Services, principal: Principal) -> Response:
    """Ends a key; gateways that remember it forget it within seconds."""
    await services.keys.revoke(principal, request.path_params["key"])
    return json({"id": request.path_params["key"], "revoked": True})
