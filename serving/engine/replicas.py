"""All engine replicas: which one is asked, and which adapters each must have.

Every replica is brought in line with the registry again and again: a load reaches one server and is forgotten when
it restarts. An adapter counts as loaded once it was seen to change the model's output; with other module names vLLM
would serve the base model under the adapter's name and say nothing.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Self

import aiohttp

from adapters import Registry, Version
from common.errors import EngineUnavailable, GroundtoneError, Overloaded
from common.settings import Settings
from serving.engine.pointers import Pointers, read_pointers
from serving.engine.replica import Event, Full, Replica, Unreachable
from serving.metrics import ADAPTER_LOADED, ENGINE_UP
from serving.pool import pool

log = logging.getLogger("groundtone.engine")

CHECK_SECONDS = 1.0
BREAK_SECONDS = 2.0


class Replicas:
    """The engine, however many servers it is."""

    def __init__(self, settings: Settings, registry: Registry, session: aiohttp.ClientSession) -> None:
        self._settings = settings
        self._registry = registry
        self._replicas = [Replica(url.rstrip("/"), session, settings.engine) for url in settings.engine.urls]
        self.base_model = ""
        self.pointers = Pointers()
        self._loading: dict[str, Version] = {}
        self._checked = asyncio.Event()

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: Settings, registry: Registry) -> AsyncGenerator[Self]:
        """Watches every replica for as long as the block runs."""
        key = settings.engine.api_key_file
        headers = {"authorization": f"Bearer {key.read_text().strip()}"} if key else {}
        async with aiohttp.ClientSession(headers=headers, connector=pool(), read_bufsize=2**20) as session:
            replicas = cls(settings, registry, session)
            await replicas.read_channels()
            watchers = [asyncio.create_task(replicas._watch(replica)) for replica in replicas._replicas]
            watchers.append(asyncio.create_task(replicas._follow_channels()))
            try:
                yield replicas
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)

    async def read_channels(self) -> None:
        """Takes over what the registry's channels point to now."""
        self.pointers = await asyncio.to_thread(read_pointers, self._registry)

    async def loads(self, version: Version, seconds: float) -> bool:
        """Has every replica that is up load `version`; whether all serve it within `seconds`."""
        self._loading[version.id] = version
        try:
            async with asyncio.timeout(seconds):
                while not self._serve(version):
                    await self._checked.wait()
        except TimeoutError:
            return False
        finally:
            del self._loading[version.id]
        return True

    def _serve(self, version: Version) -> bool:
        up = [replica for replica in self._replicas if replica.problem is None]
        return bool(up) and all(version.id in replica.models for replica in up)

    def not_ready(self) -> list[str]:
        """Why no replica can answer; empty when one can."""
        if not self._replicas:
            return ["no engine is configured"]
        if any(replica.problem is None for replica in self._replicas):
            return []
        return [f"engine {index}: {replica.problem}" for index, replica in enumerate(self._replicas)]

    @asynccontextmanager
    async def stream(self, model: str, payload: dict[str, Any]) -> AsyncGenerator[AsyncGenerator[Event]]:
        """The events of one completion, from the least busy replica that serves `model`.

        Another replica is asked as long as nothing was generated, and never after. Raises EngineUnavailable, and
        Overloaded where those that are left take no more.
        """
        tried: set[str] = set()
        full = False
        while True:
            try:
                replica = self._choose(model, tried)
            except EngineUnavailable:
                if full:
                    raise Overloaded("The engine answers as many questions as it can.", "Ask again shortly.") from None
                raise
            tried.add(replica.url)
            entered = False
            try:
                async with replica.stream(payload) as events:
                    entered = True
                    yield events
                return
            except Unreachable as error:
                if entered:
                    raise EngineUnavailable("The engine broke off the answer.", "Ask again.") from None
                if isinstance(error, Full):
                    full = True
                else:
                    self._break(replica, str(error))

    async def count_tokens(self, messages: list[Any]) -> int:
        """Tokens of `messages` in the base model's template. Raises EngineUnavailable."""
        replica = self._choose(self.base_model, set())
        try:
            return await replica.count_tokens(self.base_model, messages)
        except (aiohttp.ClientError, TimeoutError) as error:
            self._break(replica, type(error).__name__)
            raise _down() from None

    def _choose(self, model: str, tried: set[str]) -> Replica:
        able = [r for r in self._replicas if r.problem is None and model in r.models and r.url not in tried]
        if not able:
            raise _down()
        return min(able, key=lambda replica: replica.in_flight)

    def _break(self, replica: Replica, reason: str) -> None:
        """Takes a replica out until its next good check, and not before BREAK_SECONDS."""
        log.warning("engine %s is out: %s", replica.url, reason)
        replica.problem = "can't be reached"
        ENGINE_UP.labels(replica.url).set(0)
        replica.retry_at = time.monotonic() + BREAK_SECONDS

    async def _watch(self, replica: Replica) -> None:
        while True:
            if time.monotonic() >= replica.retry_at:
                try:
                    await self._bring_in_line(replica)
                    self._checked.set()
                    self._checked = asyncio.Event()
                except (aiohttp.ClientError, TimeoutError, OSError, KeyError, ValueError) as error:
                    if replica.problem is None:
                        log.warning("engine %s is out: %s", replica.url, type(error).__name__)
                    replica.problem = "can't be reached" if replica.models else "starting"
                    for version in replica.verified:
                        ADAPTER_LOADED.labels(version, replica.url).set(0)
                    replica.verified.clear()
                except Exception:
                    log.exception("checking engine %s failed", replica.url)
                ENGINE_UP.labels(replica.url).set(replica.problem is None)
            await asyncio.sleep(CHECK_SECONDS)

    async def _follow_channels(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                await self.read_channels()
            except (OSError, ValueError, GroundtoneError):
                log.exception("the adapter registry can't be read")

    async def _bring_in_line(self, replica: Replica) -> None:
        """Loads what the channels point to and this replica lacks; only then does it take questions."""
        base, adapters = await replica.served()
        self.base_model = self.base_model or base
        if base != self.base_model:
            replica.problem = f"serves {base}, the others {self.base_model}"
            return
        replica.verified &= adapters
        missing = 0
        for version in {**self.pointers.versions, **self._loading}.values():
            if version.id not in adapters:
                if not await asyncio.to_thread(self._registry.verify, version.id):
                    log.error("adapter %s is not what was registered, or not signed; it is not loaded", version.id)
                    missing += version.id in self.pointers.versions
                    continue
                await replica.load_adapter(version.id, str(version.path.absolute()))
            if version.id not in replica.verified and not await self._changes_output(replica, version.id):
                missing += version.id in self.pointers.versions
                continue
            replica.verified.add(version.id)
            ADAPTER_LOADED.labels(version.id, replica.url).set(1)
        replica.models = frozenset({base, *replica.verified})
        replica.problem = f"{missing} adapters change nothing or don't verify" if missing else None

    async def _changes_output(self, replica: Replica, adapter: str) -> bool:
        base = await replica.first_logprob(self.base_model)
        if base != await replica.first_logprob(adapter):
            return True
        log.error("adapter %s gives the base model's output; its module names don't fit the model", adapter)
        return False


def _down() -> EngineUnavailable:
    return EngineUnavailable("The engine is down or still starting.", "Ask again in a few seconds.")
