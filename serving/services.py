"""The parts that a request may use, built once per gateway process."""

import asyncio
import hashlib
import hmac
import signal
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from adapters import Registry
from common.errors import EngineUnavailable, ErrorCode
from common.settings import Assistant, Settings
from serving.audit.record import Record
from serving.capacity import Capacity
from serving.chat.grounding import Endpoint, Grounding
from serving.engine.replicas import Replicas
from serving.home import Home
from serving.keys import Keys
from serving.knowledge import Knowledge
from serving.metrics import CERTIFICATE_EXPIRY, CONFIGURATION, ERRORS
from serving.tls import expiry

ENDING_SECONDS = 5.0
"""What an answer that was cut off has to end and to be recorded."""


@dataclass(slots=True)
class Life:
    """Whether the process is on its way out. What still reaches it is answered; nobody should send it more."""

    draining: bool = False

    def drain_on_signals(self) -> None:
        """Drains from the moment the server is told to end, and leaves the ending to the server's own handler."""
        for number in (signal.SIGTERM, signal.SIGINT):
            ends = signal.getsignal(number)
            if callable(ends):
                signal.signal(number, lambda sig, frame, ends=ends: self._drain(ends, sig, frame))

    def _drain(self, ends: Callable[[int, FrameType | None], Any], number: int, frame: FrameType | None) -> None:
        self.draining = True
        ends(number, frame)


@dataclass(slots=True)
class Services:
    """Engine, knowledge, record, keys and adapters, open for as long as the process serves."""

    settings: Settings
    internal_key: str
    engine: Replicas
    knowledge: Knowledge
    record: Record
    keys: Keys
    registry: Registry
    capacity: Capacity
    life: Life = field(default_factory=Life)
    grounding: Grounding | None = None

    def adapter_of(self, assistant: Assistant, sticky: str) -> str | None:
        """The id of the adapter version that `assistant` speaks with now; None for the base model.

        Raises EngineUnavailable where no version is on its channel yet: an answer in another voice than the firm's
        would be worse than none.
        """
        if assistant.adapter is None:
            return None
        version = self.engine.pointers.resolve(assistant.adapter, sticky)
        if version is None:
            raise EngineUnavailable(
                f"The adapter `{assistant.adapter}` has no version on a channel.",
                "Register one and promote it: groundtone adapter promote.",
            )
        return version.id

    def cache_salt(self, tenant: str) -> str:
        """The engine's prefix cache is shared within a tenant only: timing must not tell one what another asked."""
        return hmac.new(self.internal_key.encode(), tenant.encode(), hashlib.sha256).hexdigest()[:32]

    async def idle(self) -> None:
        """Returns when no answer is in the making, or after a while."""
        with suppress(TimeoutError):
            async with asyncio.timeout(ENDING_SECONDS):
                while self.capacity.taken or self.capacity.waiting:  # noqa: ASYNC110 - once, at the end
                    await asyncio.sleep(0.02)
        # What ended last still sends its error.
        await asyncio.sleep(0.02)

    async def not_ready(self) -> list[str]:
        """Why the gateway can't answer yet; empty when it can."""
        if self.life.draining:
            return ["draining"]
        checks = await asyncio.gather(self.knowledge.not_ready(), self.record.not_ready())
        return [*self.engine.not_ready(), *(reason for reasons in checks for reason in reasons)]


async def open_services(settings: Settings, home: Home, stack: AsyncExitStack) -> Services:
    """Opens every part; `stack` closes them in reverse."""
    internal_key = home.internal_key
    CONFIGURATION.labels(settings.digest).set(1)
    if certificate := settings.server.tls_certificate:
        CERTIFICATE_EXPIRY.set(expiry(certificate.read_bytes()).timestamp())
    for code in ErrorCode:
        ERRORS.labels(code)  # a series that begins with an error's first time has no rate of it, and wakes no alert
    record = await stack.enter_async_context(Record.open(settings.audit_url))
    registry = Registry.of(settings)
    engine = await stack.enter_async_context(Replicas.open(settings, registry))
    knowledge = await stack.enter_async_context(Knowledge.open(settings.knowledge, internal_key))
    return Services(
        settings=settings,
        internal_key=internal_key,
        engine=engine,
        knowledge=knowledge,
        record=record,
        keys=Keys(record.database, home.admin_key, home.metrics_key),
        registry=registry,
        capacity=Capacity(settings.server.max_answers, settings.server.max_waiting),
        grounding=await stack.enter_async_context(Endpoint.open(settings.grounding)),
    )
