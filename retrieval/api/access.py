"""Who may speak to the knowledge service: whoever holds the internal key, and says for whom it speaks.

Pure ASGI and before everything else: a path that nobody thought of is closed. Only `/livez` and `/readyz` are open.
It trusts the gateway's word on the principal; it does not check scopes, which are the gateway's route policies.
"""

import hmac

import orjson
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import AuthenticationFailed
from common.logs import REQUEST
from common.principal import Principal
from common.traces import name_span, served

_OPEN = ("/livez", "/readyz")


class Access:
    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in _OPEN:
            await self._app(scope, receive, send)
            return
        headers: dict[bytes, bytes] = dict(scope["headers"])
        try:
            if not hmac.compare_digest(headers.get(b"authorization", b""), self._expected):
                raise AuthenticationFailed("The key is not the internal one.", "Ask through the gateway.")
            scope.setdefault("state", {})["principal"] = _principal(headers.get(b"x-groundtone-principal", b""))
        except AuthenticationFailed as error:
            await JSONResponse(error.body(), error.status)(scope, receive, send)
            return
        REQUEST.set(headers.get(b"x-request-id", b"").decode("latin-1") or None)
        with served(scope["method"], scope["headers"]) as span:

            async def told(message: Message) -> None:
                if message["type"] == "http.response.start":
                    name_span(span, scope, message["status"])
                await send(message)

            await self._app(scope, receive, told)


def _principal(header: bytes) -> Principal:
    try:
        return Principal.from_wire(orjson.loads(header))
    except (ValueError, KeyError, TypeError):
        raise AuthenticationFailed("The principal is missing or malformed.", "Ask through the gateway.") from None
