"""A small HTTP/1.1 server whose connections a test can hold, drip and break: no framework stands in the way."""

import asyncio
import contextlib
import signal
import socket
import struct
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Self, cast

import httptools
import orjson

_DATE = b"date: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: uvicorn\r\n"
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass(slots=True)
class Request:
    """One request as it arrived. `json` is None for a body that is not JSON."""

    method: str = ""
    path: str = ""
    query: str = ""
    headers: dict[str, str] = field(default_factory=dict[str, str])
    body: bytes = b""

    @property
    def json(self) -> Any:
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class Connection(asyncio.Protocol):
    """One client's connection: requests one after the other, each answered by the server's `handle`."""

    def __init__(self, server: "Server") -> None:
        self._server = server
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._body: list[bytes] = []
        self._waiting: list[Request] = []
        self._task: asyncio.Task[None] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.connections.add(self)
        self._server.changed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.connections.discard(self)
        self._transport = None
        self._writable.set()
        if self._task is not None:
            self._task.cancel()
        self._server.changed()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.cut()

    def on_message_begin(self) -> None:
        self._request, self._body = Request(), []

    def on_url(self, url: bytes) -> None:
        parsed = httptools.parse_url(url)
        self._request.path = parsed.path.decode()
        self._request.query = (parsed.query or b"").decode()

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._request.method = self._parser.get_method().decode()
        if self._request.headers.get("expect", "").lower() == "100-continue" and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        self._request.body = b"".join(self._body)
        self._waiting.append(self._request)
        if self._task is None:
            self._task = self._server.spawn(self._work())

    async def _work(self) -> None:
        while self._waiting:
            await self._server.handle(self._waiting.pop(0), self)
        self._task = None

    @property
    def closed(self) -> bool:
        return self._transport is None

    async def write(self, data: bytes) -> None:
        """Sends `data`, waiting while the client reads too slowly. After the client left it does nothing."""
        if self._transport is not None:
            self._transport.write(data)
        if not self._writable.is_set():
            await self._writable.wait()

    async def reply(self, status: int, body: bytes, content_type: str = "application/json", **headers: str) -> None:
        """A whole response."""
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        head = (
            f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{_DATE.decode()}content-length: {len(body)}\r\n"
            f"content-type: {content_type}\r\n{extra}\r\n"
        )
        await self.write(head.encode() + body)

    async def reply_json(self, status: int, body: Any, **headers: str) -> None:
        await self.reply(status, orjson.dumps(body), **headers)

    async def start_stream(self, content_type: str = "text/event-stream; charset=utf-8", **headers: str) -> None:
        """The head of a chunked response; `chunk` and `end_stream` follow."""
        extra = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
        await self.write(
            b"HTTP/1.1 200 OK\r\n"
            + _DATE
            + f"content-type: {content_type}\r\n{extra}transfer-encoding: chunked\r\n\r\n".encode()
        )

    async def chunk(self, data: bytes) -> None:
        await self.write(b"%x\r\n%b\r\n" % (len(data), data))

    async def end_stream(self) -> None:
        await self.write(b"0\r\n\r\n")

    def cut(self, *, reset: bool = False) -> None:
        """Ends the connection at once; with `reset`, by TCP's RST, so that the client sees an error."""
        if self._transport is None:
            return
        if reset and (sock := self._transport.get_extra_info("socket")) is not None:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()


class Server:
    """Listens on loopback between `async with` and its end; `handle` answers.

    `listening = False` makes it refuse connections and cuts the open ones, as a process that died; True brings it
    back on the same port.
    """

    def __init__(self, port: int = 0) -> None:
        self.port = port
        self.connections: set[Connection] = set()
        self._socket: socket.socket | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._change = asyncio.Event()

    async def handle(self, request: Request, connection: Connection) -> None:
        raise NotImplementedError

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def listening(self) -> bool:
        return self._socket is not None

    @listening.setter
    def listening(self, wanted: bool) -> None:
        if wanted and self._socket is None:
            self._listen()
        elif not wanted and self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket)
            self._socket.close()
            self._socket = None
            for connection in list(self.connections):
                connection.cut(reset=True)

    def _listen(self) -> None:
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind(("127.0.0.1", self.port))
        listener.listen(1024)
        self.port = listener.getsockname()[1]
        self._socket = listener
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(BlockingIOError):
            while True:
                accepted, _ = listener.accept()
                accepted.setblocking(False)
                self.spawn(asyncio.get_running_loop().connect_accepted_socket(lambda: Connection(self), accepted))

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Runs `work`, and sees to it that it has ended when the server has."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def changed(self) -> None:
        """Wakes `until`: something that a test may wait for has changed."""
        self._change.set()
        self._change = asyncio.Event()

    async def until(self, condition: Callable[[Self], bool], seconds: float = 30.0) -> None:
        """Waits until `condition` holds, without polling. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while not condition(self):
                await self._change.wait()

    async def __aenter__(self) -> Self:
        self.listening = True
        return self

    async def __aexit__(self, *_: object) -> None:
        self.listening = False
        await self.until(lambda server: not server.connections)
        await asyncio.gather(*self._tasks, return_exceptions=True)


async def serve(server: Server) -> None:
    """Runs `server` until SIGTERM or Ctrl-C, and prints its address."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with server:
        print(f"{type(server).__name__} on {server.url}", flush=True)
        await stop.wait()
