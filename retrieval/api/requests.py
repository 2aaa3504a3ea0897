"""What all routes share: the knowledge and the principal of a request, its body, and threads for what blocks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Annotated, Any, TypeVar

import orjson
from fastapi import Depends, Request

from common.errors import ErrorCode, InvalidRequest, TooLarge
from common.principal import Principal
from retrieval.knowledge import Knowledge
from retrieval.ledger import operations

T = TypeVar("T")
LONGEST_BODY = 64 * 1024 * 1024
LONGEST_WAIT = 600.0


def _knowledge(request: Request) -> Knowledge:
    return request.app.state.knowledge


def _principal(request: Request) -> Principal:
    return request.state.principal


Service = Annotated[Knowledge, Depends(_knowledge)]
Caller = Annotated[Principal, Depends(_principal)]


async def body(request: Request, limit: int = LONGEST_BODY) -> bytes:
    """The request's body. Raises TooLarge as soon as it is longer than `limit` bytes."""
    received = bytearray()
    async for part in request.stream():
        received += part
        if len(received) > limit:
            raise TooLarge("The body is too large.", f"Send at most {limit // 2**20} MiB, or several requests.")
    return bytes(received)


async def json_body(request: Request) -> dict[str, Any]:
    """The body as a JSON object; an empty one is an empty object."""
    data = await body(request, 1024 * 1024)
    try:
        found = orjson.loads(data) if data.strip() else {}
    except orjson.JSONDecodeError:
        raise InvalidRequest("The body is not JSON.", "Send a JSON object.", code=ErrorCode.INVALID_JSON) from None
    if not isinstance(found, dict):
        raise InvalidRequest("The body is not a JSON object.", "Send one.", code=ErrorCode.INVALID_JSON)
    return found


def expect(fields: dict[str, Any], name: str, kinds: type | tuple[type, ...], default: Any = None) -> Any:
    """A field of a body, of one of `kinds`, or `default` where it is absent or null. `true` is no number."""
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, kinds) or (isinstance(value, bool) and kinds is not bool):
        raise InvalidRequest(f"The field {name!r} has the wrong type.", "See docs/api.md.", param=name)
    if isinstance(value, str) and "\x00" in value:
        raise InvalidRequest(f"The field {name!r} holds a NUL.", "Leave it out.", param=name)
    return value


def texts(fields: dict[str, Any], name: str) -> list[str] | None:
    """A field that is a list of texts."""
    value = expect(fields, name, list)
    if value is not None and not all(isinstance(one, str) for one in value):
        raise InvalidRequest(f"The field {name!r} is not a list of texts.", "Send one.", param=name)
    return value


async def in_thread(run: Callable[[], T], pool: Executor | None = None) -> T:
    """Runs what blocks off the event loop."""
    return await asyncio.get_running_loop().run_in_executor(pool, run)


async def settle(
    service: Knowledge, principal: Principal, future: Future[T], wait: float, result: Callable[[T], dict[str, Any]]
) -> dict[str, Any] | str:
    """The result of a writer's job, or the id of an operation where it takes longer than `wait` seconds."""
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

    return await in_thread(begin)


def _finish(
    service: Knowledge, principal: Principal, id_: str, ended: Future[T], result: Callable[[T], dict[str, Any]]
) -> None:
    try:
        outcome: dict[str, Any] | BaseException = result(ended.result())
    except Exception as error:
        outcome = error
    with service.ledger.write() as connection:
        operations.finish(connection, principal, id_, outcome)
