"""Runs an answer and sends it, and stops both the moment the client leaves.

A handler of a plain framework response learns of a leaving client only while it streams; this one listens from the
first await on, so that a queued, a retrieving and a generating answer all end at once.
"""

import asyncio
import logging
from contextlib import aclosing
from typing import Any

import orjson
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from common.errors import Draining, GroundtoneError, InternalError
from common.principal import Principal
from serving.audit.repeats import Kept, Repeats
from serving.chat.answer import Steps, answer
from serving.chat.request import ChatRequest
from serving.chat.wire import DONE, Completion, Finish, Opened, finishing, frame, says_something, stamped, usage_chunk
from serving.metrics import ERRORS
from serving.services import Services

log = logging.getLogger("groundtone.chat")

_JSON, _EVENTS = b"application/json", b"text/event-stream; charset=utf-8"


class AnswerResponse(Response):
    """The response to one chat request: streamed or whole."""

    def __init__(
        self,
        services: Services,
        principal: Principal,
        request: ChatRequest,
        request_id: str,
        repeats: Repeats | None = None,
    ) -> None:
        self._services = services
        self._principal = principal
        self._request = request
        self._request_id = request_id
        self._repeats = repeats
        self._said: list[bytes] = []
        self._begun = False
        self.background = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        work = asyncio.create_task(self._answer(send) if self._repeats is None else self._once(send, self._repeats))
        leaving = asyncio.create_task(_gone(receive))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                work.result()
                return
        except asyncio.CancelledError:
            # The server's patience at shutdown has ended: tell a client that is still there.
            await _end(work)
            if not leaving.done():
                await self._fail(send, Draining("The service is restarting.", "Ask again in a few seconds."))
            raise
        finally:
            await _end(leaving)
            await _end(work)

    async def _once(self, send: Send, repeats: Repeats) -> None:
        """The answer that the request's key has, or a new one, which it has from then on."""
        try:
            kept = await repeats.taken()
            if kept is not None:
                await self._start(send, 200, kept.media.encode(), kept.headers)
                await send({"type": "http.response.body", "body": kept.body})
                return
            try:
                await self._answer(send)
            finally:
                await repeats.release()
        except GroundtoneError as error:
            await self._fail(send, error)

    async def _answer(self, send: Send) -> None:
        send_all = self._stream if self._request.stream else self._whole
        steps = answer(self._services, self._principal, self._request, self._request_id, lambda: self._begun)
        try:
            async with aclosing(steps):
                await send_all(send, steps)
        except GroundtoneError as error:
            await self._fail(send, error)
        except Exception:
            log.exception("answer failed", extra={"request": self._request_id})
            await self._fail(send, _unexpected())

    async def _whole(self, send: Send, steps: Steps) -> None:
        completion = Completion()
        opened: Opened | None = None
        async for event in steps:
            if isinstance(event, Opened):
                opened, completion = event, Completion()
            elif isinstance(event, Finish):
                assert opened is not None
                body = orjson.dumps(completion.whole(event, opened))
                await self._keep(_JSON, opened, body)
                await self._start(send, 200, _JSON, opened.headers())
                await send({"type": "http.response.body", "body": body})
            else:
                completion.add(event)

    async def _stream(self, send: Send, steps: Steps) -> None:
        opened: Opened | None = None
        usage = bool(self._request.stream_options and self._request.stream_options.include_usage)
        waiting: list[bytes] = []

        async def out(body: bytes, more: bool = True) -> None:
            assert opened is not None
            if not self._begun:
                await self._start(send, 200, _EVENTS, opened.headers())
            if self._repeats is not None:
                self._said.append(body)
            if not more:
                await self._keep(_EVENTS, opened, b"".join(self._said))
            await send({"type": "http.response.body", "body": body, "more_body": more})
            # After a client left, send returns at once; an answer that never awaits would starve the loop.
            await asyncio.sleep(0)

        async for event in steps:
            if isinstance(event, Opened):
                opened = event
                waiting.clear()
                continue
            assert opened is not None
            if isinstance(event, Finish):
                frames = [frame(last) for last in finishing(event, opened)]
                frames += [frame(usage_chunk(event, opened))] if usage else []
                await out(b"".join([*waiting, *frames, DONE]), more=False)
                continue
            waiting.append(frame(stamped(event, opened)))
            # Whoever has only been told a role has no part of an answer yet.
            if self._begun or says_something(event):
                await out(b"".join(waiting))
                waiting.clear()

    async def _keep(self, media: bytes, opened: Opened, body: bytes) -> None:
        """Has a request with the same key get this answer, before its end leaves."""
        if self._repeats is not None:
            await self._repeats.keep(Kept(media.decode(), opened.headers(), body))

    async def _start(self, send: Send, status: int, media: bytes, headers: dict[str, str]) -> None:
        raw = [(b"content-type", media), (b"cache-control", b"no-store")]
        raw += [(name.encode(), value.encode()) for name, value in headers.items()]
        self._begun = True
        await send({"type": "http.response.start", "status": status, "headers": raw})

    async def _fail(self, send: Send, error: GroundtoneError) -> None:
        """Before the first byte an error is a status; after it, one typed event and the end."""
        ERRORS.labels(error.code).inc()
        if self._begun:
            await send({"type": "http.response.body", "body": frame(error.body()) + DONE})
            return
        await self._start(send, error.status, _JSON, error.headers())
        await send({"type": "http.response.body", "body": orjson.dumps(error.body())})


async def _gone(receive: Receive) -> None:
    while True:
        message: Any = await receive()
        if message["type"] == "http.disconnect":
            return


async def _end(task: "asyncio.Task[None]") -> None:
    """Cancels `task` and waits until its last record is written."""
    if not task.done():
        task.cancel()
    await asyncio.wait({task})


def _unexpected() -> InternalError:
    return InternalError("Something failed on our side.", "Ask again; if it stays, give the operator the request id.")
