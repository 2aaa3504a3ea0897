"""A fake server for a test that is not asynchronous itself."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TypeVar

from tests.fakes.server import Server

S = TypeVar("S", bound=Server)


@contextmanager
def in_thread(server: S) -> Generator[S]:
    """Runs `server` in a thread of its own, from its start to its end."""
    started, end = threading.Event(), asyncio.Event()
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        async with server:
            started.set()
            await end.wait()

    def run() -> None:
        try:
            loop.run_until_complete(serve())
        finally:
            loop.close()
            started.set()

    thread = threading.Thread(target=run, name=type(server).__name__)
    thread.start()
    assert started.wait(60), "the server did not start"
    try:
        yield server
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(60)
