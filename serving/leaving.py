"""How a gateway leaves, without a request that is lost.

A worker that is told to end accepts nothing more and finishes its answers. What its clients have sent on open
connections meanwhile is answered too, and they are told not to use those again. A successor may hold the socket
already; where there is none, the process that started the workers answers `draining` on it until the end.
"""

import json
import socket
import ssl
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from common.errors import Draining

CLOSING_SECONDS = 1.0
"""So long an idle connection stays open for a request that is on its way."""
_READ_AT_MOST = 2**20


class Connection(HttpToolsProtocol):
    """uvicorn's, which at shutdown would close an idle connection at once, and any other with its response's end."""

    _leaving = False

    def shutdown(self) -> None:
        self._leaving = True
        self.timeout_keep_alive = CLOSING_SECONDS
        self.loop.call_later(CLOSING_SECONDS, self._close_idle)
        self._part()

    def on_headers_complete(self) -> None:
        super().on_headers_complete()
        if self._leaving:
            self._part()

    def _part(self) -> None:
        """Has a response that has not begun say `connection: close`."""
        if self.cycle and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def timeout_keep_alive_handler(self) -> None:
        self._close_idle()

    def _close_idle(self) -> None:
        if not self.cycle or self.cycle.response_complete:
            self.transport.close()
            if self.scheme == "https":
                # Both close TLS: a client that looks at no idle connection would hold up the end for half a minute.
                self.loop.call_later(CLOSING_SECONDS, self.transport.abort)


def leave(listener: socket.socket, tls: ssl.SSLContext | None) -> None:
    """Answers on `listener` from now on, for as long as the process lives. /livez stays 200: it does live."""
    server = _Server(listener.getsockname(), _Leaving, bind_and_activate=False)
    server.tls = tls
    server.socket.close()
    server.socket = listener
    threading.Thread(target=server.serve_forever, name="leaving", daemon=True).start()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    tls: ssl.SSLContext | None = None

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        if self.tls:
            # The handshake waits for the client, and so belongs into the thread that reads.
            connection = self.tls.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def handle_error(self, request: object, client_address: object) -> None:
        """A newcomer that leaves is nobody's concern."""


class _Leaving(BaseHTTPRequestHandler):
    timeout = 5.0
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        error = Draining("The service is restarting.", "Ask again in a few seconds.")
        path = self.path.partition("?")[0]
        status, body = error.status, error.body()
        if path == "/livez":
            status, body = 200, {"live": True}
        elif path == "/readyz":
            body = {"ready": False, "reasons": ["draining"]}
        # Unread, a body would have the kernel cut the answer off.
        self.rfile.read(min(int(self.headers.get("content-length", 0)), _READ_AT_MOST))
        sent = json.dumps(body).encode()
        self.send_response_only(status)
        headers = {"content-type": "application/json", "content-length": str(len(sent)), "connection": "close"}
        for name, value in (headers | (error.headers() if status == error.status else {})).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(sent)

    do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = do_GET

    def log_message(self, format: str, *args: object) -> None:
        """Access is not logged here either."""
