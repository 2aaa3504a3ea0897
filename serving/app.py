"""The gateway's application: routes behind the gate, services for as long as it runs."""

import gc
import threading
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response

from common.errors import GroundtoneError, InternalError, InvalidRequest, MethodNotAllowed, NotFound
from common.settings import Settings
from common.traces import open_traces
from serving.access import Gate
from serving.api import adapters, chat, knowledge, operate
from serving.api.routes import Routes, json
from serving.home import Home
from serving.services import open_services


def create_app(settings: Settings, home: Home) -> FastAPI:
    """The ASGI application. Opens its services at start-up, closes them at the end."""

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with AsyncExitStack() as stack:
            stack.enter_context(open_traces(settings.traces.endpoint, "groundtone-gateway"))
            services = await open_services(settings, home, stack)
            app.state.services = services
            if threading.current_thread() is threading.main_thread():
                services.life.drain_on_signals()
            # What was built until now lives as long as the process: the collector need not look at it again.
            gc.collect()
            gc.freeze()
            yield
            # The server's patience has ended, and it waits for nobody: cut-off answers still say so and are recorded.
            await services.idle()

    app = FastAPI(
        title="groundtone",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # Its spans would stand beside those of common/traces.py, and its logs hold what was sent.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    routes = Routes(app)
    for part in (operate, chat, knowledge, adapters):
        part.register(routes)
    app.state.policies = routes.policies
    app.add_exception_handler(HTTPException, _from_router)
    app.add_exception_handler(GroundtoneError, _from_handler)
    server = settings.server

    def max_body(path: str) -> int:
        large = path.startswith(("/v1/knowledge/", "/v1/adapters/"))
        return server.max_document_bytes if large else server.max_body_bytes

    app.add_middleware(Gate, keys=lambda: app.state.services.keys, max_body=max_body)
    return app


async def _from_router(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 404:
        raised = NotFound("There is nothing at this address.", "The docs list all paths.")
    elif error.status_code == 405:
        raised = MethodNotAllowed("This address does not take that method.", "The docs list what it takes.")
    elif error.status_code < 500:
        raised = InvalidRequest("The request can't be read.", "Check its body and headers.")
    else:
        raised = InternalError("Something failed on our side.", "Give the operator the request id.")
    return json(raised.body(), raised.status)


async def _from_handler(request: Request, error: Exception) -> Response:
    assert isinstance(error, GroundtoneError)
    response = json(error.body(), error.status)
    response.headers.update(error.headers())
    return response
