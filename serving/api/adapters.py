"""The adapter registry over HTTP: list, register, move channels."""

from fastapi import Request
from starlette.responses import Response

from common.principal import Principal, Scope
from serving.api.routes import Routes, json
from serving.services import Services


def register(routes: Routes) -> None:
    routes.add("GET", "/v1/adapters", list_adapters, scope=Scope.ADAPTERS_READ)


async def list_adapters(request: Request, services: Services, principal: Principal) -> Response:
    """All adapters with their versions and channels."""
    return json(services.registry.to_wire())
