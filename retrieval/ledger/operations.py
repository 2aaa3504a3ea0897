"""Operations: what became of a change whose caller did not wait for it, and of a push that was sent twice."""

import secrets
import time
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update

from common.errors import GroundtoneError, InternalError, KnowledgeUnavailable, NotFound, Unprocessable
from common.principal import Principal
from retrieval.ledger.database import insert_missing
from retrieval.ledger.schema import operations, pushes

REMEMBERED = 7 * 86_400.0
"""Seconds for which a push that is sent again is known again."""


class State(StrEnum):
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


def begin(connection: Connection, principal: Principal) -> str:
    now = time.time()
    row = {"id": f"op_{secrets.token_urlsafe(16)}", "tenant": principal.tenant, "author": principal.key}
    connection.execute(insert(operations).values(**row, state=State.RUNNING, created=now, updated=now))
    return row["id"]


def finish(connection: Connection, principal: Principal, id_: str, outcome: dict[str, Any] | BaseException) -> None:
    values: dict[str, Any] = {"state": State.DONE, "result": outcome, "updated": time.time()}
    if isinstance(outcome, BaseException):
        error = (
            outcome if isinstance(outcome, GroundtoneError) else InternalError("The change failed.", "Send it again.")
        )
        values |= {"state": State.FAILED, "result": None, "error": error.body()["error"]}
    mine = (operations.c.tenant == principal.tenant) & (operations.c.id == id_)
    connection.execute(update(operations).where(mine).values(values))


def fail_running(connection: Connection) -> None:
    """After a restart: whoever ran these operations is gone. Their staged changes are finished beside this."""
    do = "Read the document to see its revision, and send the change again if it is not there."
    error = KnowledgeUnavailable("The service restarted.", do).body()["error"]
    running = operations.c.state == State.RUNNING
    connection.execute(update(operations).where(running).values(state=State.FAILED, error=error, updated=time.time()))


def get(connection: Connection, principal: Principal, id_: str) -> dict[str, Any]:
    mine = (operations.c.tenant == principal.tenant) & (operations.c.id == id_)
    row = connection.execute(select(operations).where(mine, operations.c.author == principal.key)).first()
    if row is None:
        raise NotFound("There is no such operation.", "Ask with the key that began it.")
    return {"operation": row.id, "state": row.state, "result": row.result, "error": row.error}


def pushed(connection: Connection, principal: Principal, key: str, digest: str) -> Any:
    """The response that a push with this idempotency key had, or None.

    Raises Unprocessable where it had another body.
    """
    mine = (pushes.c.tenant == principal.tenant) & (pushes.c.author == principal.key) & (pushes.c.key == key)
    row = connection.execute(select(pushes.c.digest, pushes.c.response).where(mine)).first()
    if row is not None and row.digest != digest:
        raise Unprocessable("This Idempotency-Key was used with another body.", "Use a new key for a new push.")
    return row.response if row is not None else None


def remember_push(connection: Connection, principal: Principal, key: str, digest: str, response: Any) -> Any:
    """Keeps the response of a push and returns it, or the one kept before: of two at once, both get the first's."""
    old = (pushes.c.tenant == principal.tenant) & (pushes.c.created < time.time() - REMEMBERED)
    connection.execute(delete(pushes).where(old))
    row = {"tenant": principal.tenant, "author": principal.key, "key": key, "digest": digest, "response": response}
    insert_missing(connection, pushes, [row | {"created": time.time()}])
    return pushed(connection, principal, key, digest)
