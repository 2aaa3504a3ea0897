"""Clients of a gateway that is a process: what each was told, to the byte, and how its answer ended."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tests.deploy.patience import HANGS, patient

QUESTION = "What is the annual fee of the Harbour Gold Card?"


@dataclass(frozen=True, slots=True)
class Reply:
    """One response. `cut` says that it broke off without a word, or that there was none."""

    status: int
    headers: dict[str, str]
    body: bytes
    cut: bool = False

    @property
    def frames(self) -> list[bytes]:
        return [frame.removeprefix(b"data: ") for frame in self.body.split(b"\n\n") if frame]

    @property
    def error(self) -> str | None:
        """The code of the error that it is, or ended with."""
        frames = self.frames
        last = frames[-2] if len(frames) > 1 and frames[-1] == b"[DONE]" else self.body
        try:
            return orjson.loads(last).get("error", {}).get("code")
        except orjson.JSONDecodeError:
            return None

    @property
    def whole(self) -> bool:
        """An answer that came to its end."""
        ended = self.frames[-1:] == [b"[DONE]"] or not self.headers["content-type"].startswith("text/event-stream")
        return self.status == 200 and not self.cut and ended and self.error is None


@dataclass(slots=True)
class Client:
    """Asks one gateway. `kept` connections are used again, as a client library does."""

    url: str
    key: str
    http: aiohttp.ClientSession

    @asynccontextmanager
    async def open(self, **fields: Any) -> AsyncGenerator[aiohttp.ClientResponse]:
        """A response of which nothing was read yet."""
        sent = {"authorization": f"Bearer {self.key}"} | fields.pop("headers", {})
        body = {"model": "bare", "messages": [{"role": "user", "content": QUESTION}]} | fields
        async with self.http.post(f"{self.url}/v1/chat/completions", json=body, headers=sent) as response:
            yield response

    async def ask(self, **fields: Any) -> Reply:
        """The whole response."""
        body = b""
        status, told = 0, {"content-type": ""}
        try:
            async with asyncio.timeout(HANGS), self.open(**fields) as response:
                status, told = response.status, {name.lower(): value for name, value in response.headers.items()}
                async for piece in response.content.iter_any():
                    body += piece
        except aiohttp.ClientError:
            return Reply(status, told, body, cut=True)
        return Reply(status, told, body)

    async def get(self, path: str) -> tuple[int, bytes]:
        sent = {"authorization": f"Bearer {self.key}"}
        async with asyncio.timeout(HANGS), self.http.get(f"{self.url}{path}", headers=sent) as response:
            return response.status, await response.read()

    async def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        lines = (await self.get("/metrics"))[1].decode().splitlines()
        return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith((f"{name} ", f"{name}{{")))


@asynccontextmanager
async def client(url: str, key: str, *, keep: bool = True) -> AsyncGenerator[Client]:
    """With `keep` false every request has a connection of its own."""
    connector = aiohttp.TCPConnector(limit=0, force_close=not keep)
    async with aiohttp.ClientSession(connector=connector) as http:
        yield Client(url, key, http)


async def until(true: Callable[[], Awaitable[Any]]) -> Any:
    """Waits for something that happens by itself. Raises TimeoutError when it doesn't."""
    waited = patient()
    while not (found := await true()):
        next(waited)
        await asyncio.sleep(0.05)
    return found


@asynccontextmanager
async def load(count: int, ask: Callable[[], Awaitable[Reply]]) -> AsyncGenerator[list[Reply]]:
    """`count` clients, each of which asks again and again until the block ends; the list fills with their replies."""
    replies: list[Reply] = []
    done = asyncio.Event()

    async def keep_asking() -> None:
        while not done.is_set():
            replies.append(await ask())

    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(keep_asking())
        try:
            yield replies
        finally:
            done.set()
