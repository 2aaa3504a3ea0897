"""All engine replicas: which one is asked, and which adapters each must have.

Every replica is brought in line with the registry again and again: a load reaches one server and is forgotten when
it restarts. An adapter counts as loaded once it was seen to change the model's output; with other module names vLLM
would serve the base model under the adapter's name and say nothing. Answers follow a channel only where it is loaded,
so several gateways may move at different moments, and none asks for what is not there. What no channel points to and
nobody uses is unloaded after a while. Doesn't cover: adapters that a gateway loaded which runs no more.
"""

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from typing import Any, Self

import aiohttp

from adapters import Base, Registry, Version
from adapters.artefact import check_base, training_of
from adapters.base_model import digest_in
from common.errors import EngineUnavailable, GroundtoneError, InvalidRequest, Overloaded
from common.settings import Settings
from serving.engine.pointers import Pointers, read_pointers
from serving.engine.replica import Event, Failed, Full, Gone, Replica
from serving.metrics import ADAPTER_LOADED, ENGINE_UP
from serving.pool import pool

log = logging.getLogger("groundtone.engine")

CHECK_SECONDS = 1.0
FIRST_LOOK_SECONDS = 5.0
UNUSED_SECONDS = 30.0
"""Longer than another gateway takes to see that a channel moved, and to send what it pinned before."""
FOLLOW_SECONDS = 10.0
"""So long a channel that somebody else moved waits for the replicas."""


class Replicas:
    """The engine, however many servers it is."""

    def __init__(self, settings: Settings, registry: Registry, session: aiohttp.ClientSession) -> None:
        self._home = settings.home
        self._registry = registry
        self._replicas = [Replica(url.rstrip("/"), session, settings.engine) for url in settings.engine.urls]
        self.base_model = ""
        self.pointers = Pointers()
        self._loading: list[Version] = []
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
            # A worker that was asked before it had looked would say that there is no engine.
            with suppress(TimeoutError):
                async with asyncio.timeout(FIRST_LOOK_SECONDS):
                    await asyncio.gather(*(replica.looked.wait() for replica in replicas._replicas))
            try:
                yield replicas
            finally:
                for watcher in watchers:
                    watcher.cancel()
                await asyncio.gather(*watchers, return_exceptions=True)

    async def read_channels(self) -> None:
        """Takes over what the registry's channels point to now."""
        self.pointers = await self._pointed_to()

    async def loads(self, versions: Sequence[Version], seconds: float) -> bool:
        """Has every replica that is up load `versions`; whether all serve them within `seconds`."""
        self._loading += versions
        try:
            async with asyncio.timeout(seconds):
                while not all(self._serve(version) for version in versions):
                    await self._checked.wait()
        except TimeoutError:
            return False
        finally:
            for version in versions:
                self._loading.remove(version)
        return True

    def _serve(self, version: Version) -> bool:
        up = [replica for replica in self._replicas if replica.problem is None]
        return bool(up) and all(version.id in replica.models for replica in up)

    def not_ready(self) -> list[str]:
        """Why no replica can answer; empty when one can."""
        if not self._replicas:
            return ["no engine is configured"]
        if any(replica.problem is None and not replica.suspect for replica in self._replicas):
            return []
        return [
            f"engine {index}: {replica.problem or 'failed, and is being checked'}"
            for index, replica in enumerate(self._replicas)
        ]

    async def stream(self, model: str, payload: dict[str, Any], anew: Callable[[], bool]) -> AsyncGenerator[Event]:
        """The events of one completion, from the least busy replica that serves `model`.

        Where that one fails, another is asked from the beginning, each once: as long as it gave nothing, and after
        that where `anew` says that nothing has left, and has forgotten what there was. Raises EngineUnavailable, and
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
            given = False
            try:
                async with aclosing(replica.stream(payload)) as events:
                    async for event in events:
                        given = True
                        yield event
                return
            except Full:
                full = True
            except Failed as error:
                self._doubt(replica, error)
                if given and not anew():
                    raise EngineUnavailable("The engine broke off the answer.", "Ask again.") from None

    async def count_tokens(self, messages: list[Any]) -> int:
        """Tokens of `messages` in the base model's template. Raises EngineUnavailable."""
        tried: set[str] = set()
        while True:
            replica = self._choose(self.base_model, tried)
            tried.add(replica.url)
            try:
                return await replica.count_tokens(self.base_model, messages)
            except (aiohttp.ClientError, TimeoutError) as error:
                self._doubt(replica, error)

    def _choose(self, model: str, tried: set[str]) -> Replica:
        able = [r for r in self._replicas if r.problem is None and model in r.models and r.url not in tried]
        if not able:
            raise EngineUnavailable("The engine is down or still starting.", "Ask again in a few seconds.")
        return min(able, key=lambda replica: (replica.suspect, replica.in_flight.total()))

    def _doubt(self, replica: Replica, error: Exception) -> None:
        """Has others asked first until the next check, or takes the replica out where nothing listens."""
        log.warning("engine %s failed: %s", replica.url, str(error) or type(error).__name__)
        replica.suspect = True
        if isinstance(error, (Gone, aiohttp.ClientConnectorError)):
            replica.problem = "can't be reached"
            ENGINE_UP.labels(replica.url).set(0)

    async def _watch(self, replica: Replica) -> None:
        while True:
            try:
                await self._bring_in_line(replica)
                self._checked.set()
                self._checked = asyncio.Event()
            except (aiohttp.ClientError, TimeoutError, OSError, LookupError, TypeError, ValueError) as error:
                if replica.problem is None:
                    log.warning("engine %s is out: %s", replica.url, type(error).__name__)
                replica.problem = "can't be reached" if replica.models else "starting"
                for version in replica.verified:
                    ADAPTER_LOADED.labels(version, replica.url).set(0)
                replica.verified.clear()
            except Exception:
                log.exception("checking engine %s failed", replica.url)
            ENGINE_UP.labels(replica.url).set(replica.problem is None)
            replica.looked.set()
            await asyncio.sleep(CHECK_SECONDS)

    async def _follow_channels(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            try:
                found = await self._pointed_to()
                await self.loads(
                    [v for v in found.versions.values() if v.id not in self.pointers.versions], FOLLOW_SECONDS
                )
                # Read again: another move, here or elsewhere, may have been faster.
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
        if replica.suspect:
            await replica.logprobs(base)
            replica.suspect = False
        replica.verified = {id: at for id, at in replica.verified.items() if id in adapters}
        wanted = self._wanted()
        missing = 0
        for version in wanted.values():
            there = version.id in replica.verified or (
                (version.id in adapters or await self._load(replica, version))
                and await self._changes_output(replica, version.id)
            )
            if not there:
                missing += version.id in self.pointers.versions
                continue
            replica.verified[version.id] = time.monotonic()
            ADAPTER_LOADED.labels(version.id, replica.url).set(1)
        await self._unload_unused(replica)
        replica.models = frozenset({base, *replica.verified})
        replica.problem = f"{missing} adapters are refused, change nothing or don't verify" if missing else None

    async def _load(self, replica: Replica, version: Version) -> bool:
        if await asyncio.to_thread(self._sound, version):
            return await replica.load_adapter(version.id, str(version.path.absolute()))
        return False

    def _sound(self, version: Version) -> bool:
        """Whether the engine may hear of it: of a seed, and after the engine got another model, nobody asked before."""
        base = Base(self.base_model, digest_in(self._home, self.base_model))
        try:
            check_base(version.base_model, training_of(version.path), base)
        except InvalidRequest as wrong:
            log.error("adapter %s is not loaded: %s", version.id, wrong)
            return False
        if self._registry.verify(version.id):
            return True
        log.error("adapter %s is not what was registered, or not signed; it is not loaded", version.id)
        return False

    def _wanted(self) -> dict[str, Version]:
        return {**self.pointers.versions, **{version.id: version for version in self._loading}}

    async def _unload_unused(self, replica: Replica) -> None:
        """Takes from `replica` what was needed for no answer and by no channel for UNUSED_SECONDS."""
        now, wanted = time.monotonic(), self._wanted()
        for id, needed in list(replica.verified.items()):
            if id in wanted:
                continue
            if replica.in_flight[id]:
                replica.verified[id] = now
            elif now - needed >= UNUSED_SECONDS and id not in (await self._pointed_to()).versions:
                del replica.verified[id]
                replica.models -= {id}
                await replica.unload_adapter(id)
                ADAPTER_LOADED.labels(id, replica.url).set(0)
                log.info("adapter %s is in use no more and unloaded from %s", id, replica.url)

    async def _pointed_to(self) -> Pointers:
        """What the registry's channels point to now: another gateway may have moved one this moment."""
        return await asyncio.to_thread(read_pointers, self._registry)

    async def _changes_output(self, replica: Replica, adapter: str) -> bool:
        """Whether the adapter's log-probabilities differ from the base's by more than those do from themselves."""
        base = await replica.logprobs(self.base_model)
        try:
            tuned = await replica.logprobs(adapter)
        except aiohttp.ClientResponseError as refused:
            log.error("the engine answers %d with adapter %s; its own log says why", refused.status, adapter)
            return False
        if _distance(base, tuned) > _distance(base, await replica.logprobs(self.base_model)):
            return True
        log.error("adapter %s gives the base model's output; its module names don't fit the model", adapter)
        return False


def _distance(one: list[float], other: list[float]) -> float:
    return max(abs(a - b) for a, b in zip(one, other, strict=False))
