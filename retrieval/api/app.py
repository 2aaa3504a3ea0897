"""The application: routes, errors in the contract's shape, and access before everything else."""

import asyncio
import logging
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any
from weakref import WeakValueDictionary

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from common.errors import GroundtoneError, InternalError, InvalidRequest, MethodNotAllowed, NotFound
from retrieval.api import bases, documents, embedders, health, holds, search, snapshots, sources
from retrieval.api.access import Access
from retrieval.knowledge import Knowledge

_log = logging.getLogger(__name__)


def create_app(knowledge: Knowledge, key: str) -> ASGIApp:
    """The service over `knowledge`, open to whoever holds `key`. Starts it with the server and closes it after."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncGenerator[None]:
        knowledge.start()
        try:
            yield
        finally:
            knowledge.close()

    app = FastAPI(
        title="groundtone knowledge",
        docs_url=None,
        redoc_url=None,
        lifespan=lifespan,
        redirect_slashes=False,
        # Its spans would stand beside those of common/traces.py, and its logs hold what was sent.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.knowledge = knowledge
    app.state.batches = WeakValueDictionary[tuple[str, str, str], asyncio.Lock]()
    for part in (health, bases, documents, embedders, holds, search, snapshots, sources):
        app.include_router(part.router)
    app.add_exception_handler(GroundtoneError, _expected)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _unrouted)
    app.add_exception_handler(DataError, _unkept)
    app.add_exception_handler(Exception, _unexpected)
    return Access(app, key)


async def _expected(_: Request, error: Exception) -> Response:
    assert isinstance(error, GroundtoneError)
    headers = {} if error.retry_after is None else {"retry-after": f"{error.retry_after:g}"}
    return JSONResponse(error.body(), error.status, headers)


async def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first: dict[str, Any] = error.errors()[0]
    name = str(first["loc"][-1])
    return await _expected(request, InvalidRequest(f"The value of {name} is wrong.", "See docs/api.md.", param=name))


async def _unkept(request: Request, _: Exception) -> Response:
    return await _expected(request, InvalidRequest("A value holds a NUL, or is too large.", "Correct it."))


async def _unrouted(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == MethodNotAllowed.status:
        return await _expected(request, MethodNotAllowed("This path has no such method.", "See docs/api.md."))
    return await _expected(request, NotFound("There is no such path.", "See docs/api.md."))


async def _unexpected(request: Request, error: Exception) -> Response:
    _log.error("request %s failed", request.headers.get("x-request-id"), exc_info=error)
    return await _expected(request, InternalError("The service failed.", "Try again, and report the request's id."))
