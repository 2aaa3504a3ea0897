"""How a route is registered: with its scope, always. And what each handler needs from its request."""

from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from fastapi import FastAPI, Request
from starlette.responses import Response

from common.errors import PermissionDenied
from common.principal import Principal, Scope
from serving.services import Services

Handler = Callable[[Request, Services, Principal], Awaitable[Response]]


class Routes:
    """Adds routes to an application. There is no way to add one here without saying who may call it."""

    def __init__(self, app: FastAPI) -> None:
        self._app = app
        self.policies: dict[tuple[str, str], Scope | None] = {}

    def add(self, method: str, path: str, handler: Handler, *, scope: Scope | None) -> None:
        """`scope` None: any valid key."""

        async def endpoint(request: Request) -> Response:
            principal: Principal = request.state.principal
            if scope is not None and scope not in principal.scopes:
                raise PermissionDenied(
                    f"This key lacks the scope `{scope}`.", "Use a key that has it: groundtone key create --scope."
                )
            return await handler(request, request.app.state.services, principal)

        self._app.add_api_route(path, endpoint, methods=[method])
        self.policies[method, path] = scope

    def add_open(self, path: str, handler: Callable[[Request, Services], Awaitable[Response]]) -> None:
        """A path that `serving.access.OPEN_PATHS` leaves open."""

        async def endpoint(request: Request) -> Response:
            return await handler(request, request.app.state.services)

        self._app.add_api_route(path, endpoint, methods=["GET"])


def json(content: Any, status: int = 200) -> Response:
    """A JSON response of plain data."""
    return Response(orjson.dumps(content), status, media_type="application/json")
