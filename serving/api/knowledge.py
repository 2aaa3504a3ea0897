"""The knowledge API: checked here, answered by the knowledge process."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from urllib.parse import quote

from fastapi import Request
from starlette.background import BackgroundTask
from starlette.responses import Response, StreamingResponse

from common.principal import Principal, Scope
from serving.api.routes import Routes
from serving.knowledge import PASSED_BACK
from serving.services import Services

READ, WRITE = Scope.KNOWLEDGE_READ, Scope.KNOWLEDGE_WRITE

# Longest first: `documents:batch` must not be taken for a document.
PASSED: list[tuple[str, str, Scope | None]] = [
    ("GET", "/v1/knowledge", READ),
    ("POST", "/v1/knowledge/{kb}/documents:batch", WRITE),
    ("POST", "/v1/knowledge:rebuild", WRITE),
    ("POST", "/v1/knowledge/{kb}:publish", WRITE),
    ("POST", "/v1/knowledge/{kb}/search", READ),
    ("GET", "/v1/knowledge/{kb}/documents", READ),
    ("GET", "/v1/knowledge/{kb}/documents/{document:path}", READ),
    ("PUT", "/v1/knowledge/{kb}/documents/{document:path}", WRITE),
    ("DELETE", "/v1/knowledge/{kb}/documents/{document:path}", WRITE),
    ("GET", "/v1/knowledge/{kb}", READ),
    ("PUT", "/v1/knowledge/{kb}", WRITE),
    ("DELETE", "/v1/knowledge/{kb}", WRITE),
    ("GET", "/v1/citations/{chunk}", Scope.CHAT),
    ("GET", "/v1/operations/{operation}", None),  # any key: only the one that began it finds it
    ("GET", "/v1/snapshots", READ),
    ("GET", "/v1/snapshots/{a}/diff/{b}", READ),
    ("POST", "/v1/snapshots/{n}:restore", WRITE),
    ("GET", "/v1/holds", READ),
    ("POST", "/v1/holds", WRITE),
    ("POST", "/v1/holds/{hold}:end", WRITE),
    ("GET", "/v1/embedders", READ),
    ("POST", "/v1/embedders:switch", WRITE),
    ("GET", "/v1/sources", READ),
    ("POST", "/v1/sources/{source}:{verb}", WRITE),
]


def register(routes: Routes) -> None:
    for method, path, scope in PASSED:
        routes.add(method, path, knowledge, scope=scope)


async def knowledge(request: Request, services: Services, principal: Principal) -> Response:
    """Passes the request on, with the caller's identity in place of its key."""
    route = request.scope["route"].path_format
    # Built from the route and the matched names, each quoted whole: what was checked here is what is asked there.
    names = {name: quote(str(value), safe="") for name, value in request.path_params.items()}
    path = route.format(**names)
    headers = dict(request.headers)
    body: AsyncIterator[bytes] | None = request.stream() if request.method in ("PUT", "POST") else None
    stack = AsyncExitStack()
    upstream = await stack.enter_async_context(
        services.knowledge.forward(principal, request.method, path, request.url.query, headers, body)
    )
    passed = {name: upstream.headers[name] for name in PASSED_BACK if name in upstream.headers}
    return StreamingResponse(
        upstream.content.iter_any(), upstream.status, headers=passed, background=BackgroundTask(stack.aclose)
    )
