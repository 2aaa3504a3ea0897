"""The gate before every route: who is calling, how large may the body be, and errors in the contract's shape.

Pure ASGI. It reads `scope["path"]`, which is what the router reads too: host names, forwarded addresses and absolute
request targets decide nothing. Without a valid key the answer is 401 before a byte of the body is read, whatever the
path; the open paths are named here and nowhere else.
"""

import logging
import re
import secrets
from collections.abc import Callable

import orjson
from opentelemetry.trace import Span
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import GroundtoneError, InternalError, TooLarge
from common.logs import REQUEST
from common.traces import name_span, served
from serving.keys import Keys, wrong_key

log = logging.getLogger("groundtone.access")

OPEN_PATHS = frozenset({"/livez", "/readyz"})
_REQUEST_ID = re.compile(rb"[A-Za-z0-9_-]{1,64}")


class Gate:
    """Authenticates each request and puts its Principal into `scope["state"]["principal"]`."""

    def __init__(self, app: ASGIApp, keys: Callable[[], Keys], max_body: Callable[[str], int]) -> None:
        self._app = app
        self._keys = keys
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        scope.setdefault("state", {})["request_id"] = request_id
        REQUEST.set(request_id)
        with served(scope["method"], scope["headers"]) as span:
            span.set_attribute("groundtone.request", request_id)
            await self._admit(scope, receive, send, request_id, span)

    async def _admit(self, scope: Scope, receive: Receive, send: Send, request_id: str, span: Span) -> None:
        begun = False

        async def tagged(message: Message) -> None:
            nonlocal begun
            if message["type"] == "http.response.start":
                begun = True
                name_span(span, scope, message["status"])
                message = {**message, "headers": [*message["headers"], (b"x-request-id", request_id.encode())]}
            await send(message)

        try:
            if scope["path"] not in OPEN_PATHS:
                scope["state"]["principal"] = await self._keys().verify(_bearer(scope))
            await self._app(scope, self._bounded(scope, receive), tagged)
        except GroundtoneError as error:
            if begun:
                raise
            await respond(tagged, error)
        except Exception:
            log.exception("request failed", extra={"request": request_id})
            if begun:
                raise
            failure = InternalError("Something failed on our side.", "Give the operator the request id.")
            await respond(tagged, failure)

    def _bounded(self, scope: Scope, receive: Receive) -> Receive:
        """`receive` that raises TooLarge at the first byte too many, declared or not."""
        limit = self._max_body(scope["path"])
        if any(name == b"content-length" and int(value) > limit for name, value in scope["headers"] if value.isdigit()):
            raise _too_large(limit)
        taken = 0

        async def bounded() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                raise _too_large(limit)
            return message

        return bounded


async def respond(send: Send, error: GroundtoneError) -> None:
    """Sends `error` as the contract has it."""
    headers = [(b"content-type", b"application/json")]
    headers += [(name.encode(), value.encode()) for name, value in error.headers().items()]
    if error.status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": orjson.dumps(error.body())})


def _bearer(scope: Scope) -> str:
    """The one bearer token of a request. Raises AuthenticationFailed for none, two, or anything else."""
    given = [value for name, value in scope["headers"] if name == b"authorization"]
    if len(given) != 1 or given[0][:7].lower() != b"bearer ":
        raise wrong_key()
    return given[0][7:].strip().decode("latin-1")


def _request_id(scope: Scope) -> str:
    given = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return given.decode() if _REQUEST_ID.fullmatch(given) else f"req_{secrets.token_hex(12)}"


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The body is larger than {limit} bytes.", "Send less in one request.")
