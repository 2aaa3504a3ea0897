"""The bracket around every answer: its intent is durable before a byte leaves, its outcome follows however it ends."""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, Self

import orjson
from rfc8785 import CanonicalizationError
from sqlalchemy import Connection, Engine, Select, func, insert, select, update
from sqlalchemy.exc import IntegrityError, ProgrammingError, SQLAlchemyError

from common.canonical import canonical, digest
from common.database import open_database
from common.errors import AuditUnavailable, GroundtoneError, InvalidRequest, NotFound
from common.principal import Principal, Scope
from serving.audit.journal import Journal
from serving.audit.schema import feedback, intents, metadata, outcomes, writers
from serving.metrics import ANSWERS

log = logging.getLogger("groundtone.audit")

HEARTBEAT_SECONDS = 5.0
DEAD_AFTER = timedelta(seconds=30)


class Ended(StrEnum):
    """How an answer ended."""

    ANSWERED = "answered"
    ABSTAINED = "abstained"
    REFUSED = "refused"
    WITHHELD = "withheld"
    ABORTED = "aborted"
    FAILED = "failed"
    CRASHED = "crashed"


class Rating(StrEnum):
    """What somebody thought of an answer."""

    GOOD = "good"
    BAD = "bad"


class Entry:
    """One answer's entry while it is being made."""

    def __init__(self, journal: Journal, receipt: str, intent_digest: str, opened: "asyncio.Future[None]") -> None:
        self.receipt = receipt
        self.ended: Ended | None = None
        self._journal = journal
        self._intent_digest = intent_digest
        self._opened = opened
        self._facts: dict[str, Any] = {}
        self._output: Callable[[], list[str]] | None = None

    async def durable(self) -> None:
        """Returns when the intent is on disk. Raises AuditUnavailable: then nothing may leave."""
        try:
            await asyncio.shield(self._opened)
        except SQLAlchemyError:
            raise _unavailable() from None

    def note(self, **facts: Any) -> None:
        """Adds to the outcome what became known on the way."""
        self._facts |= facts

    def follow(self, output: Callable[[], list[str]]) -> None:
        """Tells where the text so far can be read, for an answer that breaks off."""
        self._output = output

    async def close(self, ended: Ended, **facts: Any) -> None:
        """Makes the outcome durable. Raises AuditUnavailable; the outcome is then written as soon as that works."""
        self.ended = ended
        row = _outcome(self.receipt, self._intent_digest, ended, **self._facts | facts)
        try:
            await asyncio.shield(self._journal.append(outcomes, row, keep=True))
        except SQLAlchemyError:
            raise _unavailable() from None

    async def broken_off(self, ended: Ended, **facts: Any) -> None:
        """Closes an entry whose answer did not come to its end, with the text that had left until then."""
        if self.ended or (self._opened.done() and self._opened.exception()):
            return
        output = self._output() if self._output else []
        try:
            await self.close(ended, output=output, **facts)
        except AuditUnavailable:
            log.error("outcome of %s waits for the record to recover", self.receipt)


class Record:
    """The record's database: brackets to write, receipts to read."""

    def __init__(self, database: Engine) -> None:
        self.database = database
        self._journal = Journal(database)
        self.writer = secrets.token_hex(8)

    @classmethod
    @asynccontextmanager
    async def open(cls, url: str) -> AsyncGenerator[Self]:
        """Opens the record, announces this writer, and closes entries whose writer is dead."""
        record = cls(await asyncio.to_thread(_prepared, url))
        await asyncio.to_thread(record._announce)
        beating = asyncio.create_task(record._beat())
        try:
            yield record
        finally:
            beating.cancel()
            await asyncio.to_thread(record._journal.close)
            record.database.dispose()

    @asynccontextmanager
    async def bracket(self, principal: Principal, intent: dict[str, Any]) -> AsyncGenerator[Entry]:
        """Opens an entry; on the way out it is closed, as aborted or failed where nobody else did.

        `intent` names the assistant, under which the outcome is counted.

        The intent is written while the first stages run: `Entry.durable` waits for it before anything leaves.
        """
        receipt = _new_receipt()
        try:
            body = canonical({**intent, "receipt": receipt, "principal": principal.to_wire()})
        except CanonicalizationError:
            raise InvalidRequest(
                "The request holds a number that JSON can't carry exactly.", "Send integers below 2**53 only."
            ) from None
        row: dict[str, Any] = {
            "receipt": receipt,
            "tenant": principal.tenant,
            "key": principal.key,
            "writer": self.writer,
            "opened": datetime.now(UTC),
            "body": body,
            "digest": digest(body),
        }
        entry = Entry(self._journal, receipt, str(row["digest"]), self._journal.append(intents, row, keep=False))
        try:
            yield entry
        except GroundtoneError as error:
            await entry.broken_off(Ended.FAILED, code=error.code)
            raise
        except (asyncio.CancelledError, GeneratorExit):
            await entry.broken_off(Ended.ABORTED)
            raise
        except Exception as error:
            await entry.broken_off(Ended.FAILED, code=type(error).__name__)
            raise
        finally:
            ANSWERS.labels(intent["assistant"], entry.ended or Ended.FAILED).inc()

    async def not_ready(self) -> list[str]:
        """Why nothing can be recorded; empty when all is well."""
        try:
            await asyncio.to_thread(self._touch)
        except SQLAlchemyError:
            return ["the record can't be written"]
        return []

    def lives(self, connection: Connection, writer: str) -> bool:
        """Whether the gateway process `writer` was seen lately."""
        seen = select(writers.c.id).where(writers.c.id == writer, writers.c.seen > datetime.now(UTC) - DEAD_AFTER)
        return connection.execute(seen).first() is not None

    async def receipt(self, principal: Principal, receipt: str) -> dict[str, Any]:
        """One receipt of the principal's tenant. Raises NotFound."""
        rows = await asyncio.to_thread(self._select, principal, receipt, None, 1)
        if not rows:
            raise NotFound(f"There is no receipt `{receipt[:60]}`.", "GET /v1/receipts lists those of your tenant.")
        return _receipt(rows[0])

    async def receipts(
        self, principal: Principal, cursor: str | None, limit: int, rating: Rating | None = None
    ) -> dict[str, Any]:
        """Receipts of the principal's tenant, newest first, `limit` a page; only those so rated where one is named."""
        rows = await asyncio.to_thread(self._select, principal, None, cursor, limit + 1, rating)
        more = rows[limit - 1].receipt if len(rows) > limit else None
        return {"data": [_receipt(row) for row in rows[:limit]], "cursor": more}

    async def rate(self, principal: Principal, receipt: str, rating: Rating) -> dict[str, Any]:
        """Keeps what the principal thought of an answer: its own, or with `audit:read` any of its tenant's.

        Raises NotFound.
        """
        if not await asyncio.to_thread(self._rate, principal, receipt, rating):
            raise NotFound(f"There is no receipt `{receipt[:60]}`.", "Name one of an answer that this key was given.")
        return {"receipt": receipt, "rating": rating}

    def _rate(self, principal: Principal, receipt: str, rating: Rating) -> bool:
        mine = (intents.c.tenant == principal.tenant) & (intents.c.receipt == receipt)
        if Scope.AUDIT_READ not in principal.scopes:
            mine &= intents.c.key == principal.key
        row = {"receipt": receipt, "key": principal.key, "given": datetime.now(UTC), "rating": rating.value}
        with self.database.begin() as connection:
            found = connection.execute(select(intents.c.receipt).where(mine)).first() is not None
            if found:
                connection.execute(insert(feedback).values(row))
            return found

    def _select(
        self, principal: Principal, receipt: str | None, cursor: str | None, limit: int, rating: Rating | None = None
    ) -> Sequence[Any]:
        query = newest(principal.tenant).limit(limit)
        if receipt is not None:
            query = query.where(intents.c.receipt == receipt)
        if cursor is not None:
            query = query.where(intents.c.receipt < cursor)
        if rating is not None:
            query = query.where(feedback.c.rating == rating.value)
        with self.database.connect() as connection:
            return connection.execute(query).all()

    def _announce(self) -> None:
        now = datetime.now(UTC)
        with self.database.begin() as connection:
            connection.execute(insert(writers).values(id=self.writer, started=now, seen=now))
        self._close_crashed()

    def _touch(self) -> None:
        with self.database.begin() as connection:
            connection.execute(update(writers).where(writers.c.id == self.writer).values(seen=datetime.now(UTC)))

    def _close_crashed(self) -> None:
        """Gives every open entry of a dead writer its outcome."""
        alive = select(writers.c.id).where(writers.c.seen > datetime.now(UTC) - DEAD_AFTER)
        left_open = (
            select(intents.c.receipt, intents.c.digest)
            .join_from(intents, outcomes, isouter=True)
            .where(outcomes.c.receipt.is_(None), intents.c.writer.not_in(alive))
        )
        with self.database.connect() as connection:
            crashed = connection.execute(left_open).all()
        for row in crashed:
            # Another gateway that came to the same conclusion a moment earlier is welcome to it.
            with suppress(IntegrityError), self.database.begin() as connection:
                connection.execute(insert(outcomes).values(_outcome(row.receipt, row.digest, Ended.CRASHED)))

    async def _beat(self) -> None:
        while True:
            slept = time.time()
            await asyncio.sleep(HEARTBEAT_SECONDS)
            try:
                await asyncio.to_thread(self._touch)
                # After the machine stood still, others that live have yet to say so.
                if time.time() - slept < 2 * HEARTBEAT_SECONDS:
                    await asyncio.to_thread(self._close_crashed)
            except SQLAlchemyError as error:
                log.error("the record can't be reached: %s", type(error).__name__)


def newest(tenant: str) -> Select[Any]:
    """A tenant's answers, the newest first: each intent with its outcome and its last rating, where it has them."""
    of_it = feedback.c.receipt == intents.c.receipt
    last = select(func.max(feedback.c.id)).where(of_it).correlate(intents).scalar_subquery()
    return (
        select(
            intents.c.receipt,
            intents.c.opened,
            intents.c.body.label("intent"),
            intents.c.digest.label("intent_digest"),
            outcomes.c.body.label("outcome"),
            outcomes.c.digest.label("outcome_digest"),
            feedback.c.rating,
            *(outcomes.c[name] for name in ("closed", "ended")),
        )
        .join_from(intents, outcomes, isouter=True)
        .outerjoin(feedback, feedback.c.id == last)
        .where(intents.c.tenant == tenant)
        .order_by(intents.c.receipt.desc())
    )


def _prepared(url: str) -> Engine:
    database = open_database(url)
    try:
        metadata.create_all(database)
    except (IntegrityError, ProgrammingError):
        # Of two workers at the first start one makes the tables; the other finds them now.
        metadata.create_all(database)
    return database


def _new_receipt() -> str:
    """`r_`, then 12 hex digits of milliseconds and 16 random ones: unguessable, and in order of time."""
    return f"r_{time.time_ns() // 1_000_000:012x}{secrets.token_hex(8)}"


def _outcome(receipt: str, intent: str, ended: Ended, **facts: Any) -> dict[str, Any]:
    """A row of `outcomes`; its digest covers that of the intent."""
    body = canonical({**facts, "intent": intent, "ended": ended})
    closed = datetime.now(UTC)
    return {"receipt": receipt, "closed": closed, "ended": ended.value, "body": body, "digest": digest(body)}


def _receipt(row: Any) -> dict[str, Any]:
    return {
        "receipt": row.receipt,
        "opened": _utc(row.opened),
        "closed": _utc(row.closed),
        "ended": row.ended,
        "intent": orjson.loads(row.intent),
        "intent_digest": row.intent_digest,
        "outcome": orjson.loads(row.outcome) if row.outcome else None,
        "outcome_digest": row.outcome_digest,
        "rating": row.rating,
    }


def _utc(time: datetime | None) -> str | None:
    if time is None:
        return None
    return (time if time.tzinfo else time.replace(tzinfo=UTC)).isoformat()


def _unavailable() -> AuditUnavailable:
    return AuditUnavailable("The record can't be written, so nothing may be answered.", "Ask again shortly.")
