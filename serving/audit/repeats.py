"""Answers that are given again, byte for byte, to a request with the same `Idempotency-Key`.

Kept beside the record, which all gateways share: whichever is asked, a question that is asked twice is answered once.
A key belongs to the API key that used it. What did not come to its end is not kept, and may be asked again.
"""

import asyncio
import logging
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import orjson
from sqlalchemy import Delete, Update, delete, insert, select, update
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from common.canonical import digest
from common.errors import AuditUnavailable, InvalidRequest, Unprocessable
from common.principal import Principal
from serving.audit.record import Record
from serving.audit.schema import repeats

log = logging.getLogger("groundtone.audit")

KEPT = timedelta(days=1)
LONGEST_NAME = 255
LOOK_AGAIN_SECONDS = 0.2


@dataclass(frozen=True, slots=True)
class Kept:
    """A whole response with status 200."""

    media: str
    headers: dict[str, str]
    body: bytes


class Repeats:
    """One request with an `Idempotency-Key`: `taken`, then `keep` or `release`."""

    def __init__(self, record: Record, principal: Principal, name: str, body: bytes) -> None:
        """Raises InvalidRequest."""
        if not 1 <= len(name) <= LONGEST_NAME:
            raise InvalidRequest(
                f"The Idempotency-Key is not 1 to {LONGEST_NAME} characters long.", "Send a random one, such as a UUID."
            )
        self._record = record
        self._digest = digest(body)
        table = repeats.c
        self._row = {"tenant": principal.tenant, "key": principal.key, "name": name, "writer": record.writer}
        self._named = (table.tenant == principal.tenant) & (table.key == principal.key) & (table.name == name)
        self._mine = self._named & (table.writer == record.writer)

    async def taken(self) -> Kept | None:
        """The answer that the key already has; None where this request is to make it.

        Waits while another request makes it. Raises Unprocessable where the key was used with another body.
        """
        while True:
            claiming = asyncio.create_task(asyncio.to_thread(self._claim))
            try:
                answer = await asyncio.shield(claiming)
            except SQLAlchemyError:
                raise _unavailable() from None
            except asyncio.CancelledError:
                # The thread goes on: what it takes for a client that left is given back.
                await asyncio.wait({claiming})
                if claiming.exception() is None and claiming.result() is None:
                    await self.release()
                raise
            if answer is not _BEING_MADE:
                return answer
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def keep(self, answer: Kept) -> None:
        """Makes the answer durable, before its end leaves. Raises AuditUnavailable."""
        values = {"media": answer.media, "headers": orjson.dumps(answer.headers), "body": answer.body}
        try:
            await asyncio.to_thread(self._execute, update(repeats).where(self._mine).values(values))
        except SQLAlchemyError:
            raise _unavailable() from None

    async def release(self) -> None:
        """Gives the key free where no answer was kept."""
        free = delete(repeats).where(self._mine, repeats.c.body.is_(None))
        try:
            await asyncio.shield(asyncio.to_thread(self._execute, free))
        except SQLAlchemyError as error:
            log.error("an Idempotency-Key stays taken until this process ends: %s", type(error).__name__)

    def _claim(self) -> Kept | None:
        now = datetime.now(UTC)
        row = {**self._row, "digest": self._digest, "claimed": now}
        with self._record.database.begin() as connection:
            connection.execute(delete(repeats).where(repeats.c.claimed < now - KEPT))
            found = connection.execute(select(repeats).where(self._named)).first()
            if found is not None and found.body is None and not self._record.lives(connection, found.writer):
                connection.execute(delete(repeats).where(self._named, repeats.c.writer == found.writer))
                found = None
        if found is None:
            try:
                with self._record.database.begin() as connection:
                    connection.execute(insert(repeats).values(row))
            except IntegrityError:
                return _BEING_MADE  # another was faster
            return None
        if found.digest != self._digest:
            raise Unprocessable("This Idempotency-Key was used with another body.", "Use a new key for a new question.")
        return _BEING_MADE if found.body is None else Kept(found.media, orjson.loads(found.headers), found.body)

    def _execute(self, statement: Update | Delete) -> None:
        with self._record.database.begin() as connection:
            connection.execute(statement)


_BEING_MADE = Kept("", {}, b"")


def _unavailable() -> AuditUnavailable:
    return AuditUnavailable("Answers can't be kept, so this one can't be given once only.", "Ask again shortly.")
