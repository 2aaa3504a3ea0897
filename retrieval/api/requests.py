"""What all routes share: the knowledge and the principal of a request, its body, and threads for what blocks.

A handler that only reads or writes the ledger is a plain function: FastAPI runs it in a thread.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Annotated, Any, TypeVar

from fastapi import Depends, Request, Response
from pydantic import AfterValidator, BaseModel

from common.errors import TooLarge
from common.fields import Model, parse
from common.principal import Principal
from retrieval.knowledge import Knowledge
from retrieval.ledger import operations

T = TypeVar("T")
LONGEST_BODY = 64 * 1024 * 1024
_LONGEST_FIELDS = 1024 * 1024
LONGEST_WAIT = 600.0


async def _knowledge(request: Request) -> Knowledge:
    return request.app.state.knowledge


async def _principal(request: Request) -> Principal:
    return request.state.principal


Service = Annotated[Knowledge, Depends(_knowledge)]
Caller = Annotated[Principal, Depends(_principal)]


def _without_nul(text: str) -> str:
    if "\x00" in text:
        raise ValueError("it holds a NUL")
    return text


Text = Annotated[str, AfterValidator(_without_nul)]


class Fields(BaseModel, strict=True):
    """What a body may say. Null is as good as absent, and nothing is taken for what it is not: `true` is no number."""


def sent(model: type[Model]) -> Any:
    """The request's body as `model`; an empty one is an empty object."""

    async def read(request: Request) -> Model:
        return parse(model, (await body(request, _LONGEST_FIELDS)).strip() or b"{}")

    return Depends(read)


async def body(request: Request, limit: int = LONGEST_BODY) -> bytes:
    """The request's body. Raises TooLarge as soon as it is longer than `limit` bytes."""
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > limit:
            raise TooLarge("The body is too large.", f"Send at most {limit // 2**20} MiB, or several requests.")
    return bytes(received)


async def in_thread(run: Callable[[], T], pool: Executor | None = None) -> T:
    """Runs what blocks off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(pool, run)


async def settle(
    service: Knowledge,
    principal: Principal,
    response: Response,
    future: Future[T],
    wait: float,
    result: Callable[[T], dict[str, Any]],
) -> dict[str, Any]:
    """The result of a writer's job; 202 and the operation that will have it where it takes longer than `wait` s."""
    waiting = asyncio.wrap_future(future)  # never cancelled: that would reach back to a job that has not begun
    waiting.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # where nobody waits for it
    done, _ = await asyncio.wait([waiting], timeout=min(max(0.0, wait), LONGEST_WAIT))  # NaN is 0
    if done:
        return result(waiting.result())

    def begin() -> str:
        with service.ledger.write() as connection:
            id_ = operations.begin(connection, principal)
        future.add_done_callback(lambda ended: _finish(service, principal, id_, ended, result))
        return id_

    response.status_code = 202
    return {"operation": await in_thread(begin)}


def _finish(
    service: Knowledge, principal: Principal, id_: str, ended: Future[T], result: Callable[[T], dict[str, Any]]
) -> None:
    try:
        outcome: dict[str, Any] | BaseException = result(ended.result())
    except Exception as error:
        outcome = error
    with service.ledger.write() as connection:
        operations.finish(connection, principal, id_, outcome)
