"""The gateway over HTTP: the standard library's client, so that a command starts at once."""

import http.client
import json
import ssl
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from serving.tls import to_this_machine

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 300.0
"""A small model on a busy CPU takes its time; a person at a terminal can press Ctrl-C."""

PAGE = 100
LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Unreachable(Exception):
    """Nothing answers at the address, or it stopped answering."""

    def __init__(self, url: str, why: str) -> None:
        super().__init__(
            f"No answer from {url} ({why}). Start it with `make up`, or name another with --url or GROUNDTONE_URL."
        )


class ServiceError(Exception):
    """The service answered with an error; `error` is the contract's error object, `reasons` are `/readyz`'s."""

    def __init__(self, status: int, error: Mapping[str, Any], reasons: Sequence[object] = ()) -> None:
        super().__init__(str(error.get("message") or f"The service answered with status {status}."))
        self.status = status
        self.error = dict(error)
        self.reasons = reasons

    @property
    def unavailable(self) -> bool:
        """Whether a part of the service is down, rather than the request wrong."""
        return self.status in (502, 503, 504)


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        return json.loads(self.body) if self.body else {}


def path(*parts: str) -> str:
    """A URL path from parts that may hold anything: each is percent-encoded, slashes too."""
    return "/" + "/".join(quote(part, safe="") for part in parts)


class Client:
    """Requests to `url` with the API key `key`, if there is one."""

    def __init__(self, url: str, key: str | None) -> None:
        self.url = url.rstrip("/")
        self._key = key

    def get(self, path: str, **query: Any) -> Any:
        return self.send("GET", path, query=query).document

    def post(self, path: str, body: Any = None) -> Any:
        return self.send("POST", path, body=body).document

    def put(self, path: str, body: Any = None) -> Any:
        return self.send("PUT", path, body=body).document

    def delete(self, path: str) -> Any:
        return self.send("DELETE", path).document

    def pages(self, path: str, *, limit: int | None = None, **query: Any) -> Generator[dict[str, Any]]:
        """The items of a list that comes in pages: all of them, or the first `limit`."""
        left = limit
        asked = {**query, "limit": min(limit or PAGE, PAGE)}
        while True:
            page = self.get(path, **asked)
            items = page["data"] if left is None else page["data"][:left]
            yield from items
            left = None if left is None else left - len(items)
            if not page.get("cursor") or left == 0:
                return
            asked["cursor"] = page["cursor"]

    def send(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        data: bytes | None = None,
        content_type: str = "application/json",
        query: Mapping[str, Any] | None = None,
    ) -> Reply:
        """One request; `body` goes as JSON, `data` as it is. Raises ServiceError for any status from 400 on."""
        with self._exchange(method, path, body, data, content_type, query) as response:
            return Reply(response.status, dict(response.getheaders()), response.read())

    def events(self, path: str, body: Any) -> Generator[dict[str, Any]]:
        """The JSON events of a stream, until `[DONE]`. Raises ServiceError for an error event too."""
        with self._exchange("POST", path, body, None, "application/json", None) as response:
            for raw in response:
                line = raw.rstrip(b"\r\n")
                if not line.startswith(b"data:"):
                    continue
                if (data := line[5:].strip()) == b"[DONE]":
                    return
                event = json.loads(data)
                if "error" in event:
                    raise ServiceError(503, event["error"])
                yield event
            raise Unreachable(self.url, "the answer broke off")

    @contextmanager
    def _exchange(
        self,
        method: str,
        path: str,
        body: Any,
        data: bytes | None,
        content_type: str,
        query: Mapping[str, Any] | None,
    ) -> Generator[http.client.HTTPResponse]:
        payload = json.dumps(body).encode() if body is not None else data
        headers = {"accept": "application/json, text/event-stream"}
        if self._key:
            headers["authorization"] = f"Bearer {self._key}"
        if payload is not None:
            headers["content-type"] = content_type
        given = {name: value for name, value in (query or {}).items() if value is not None}
        target = urlsplit(self.url).path + path + (f"?{urlencode(given)}" if given else "")
        connection = self._connection()
        try:
            connection.request(method, target, payload, headers)
            response = connection.getresponse()
            if response.status >= 400:
                raise _refusal(response.status, response.read())
            yield response
        except (OSError, http.client.HTTPException) as error:
            raise Unreachable(self.url, _why(error)) from None
        finally:
            connection.close()

    def _connection(self) -> http.client.HTTPConnection:
        parts = urlsplit(self.url)
        assert parts.hostname, "an address is checked where it is read"
        try:
            if parts.scheme == "https":
                context = to_this_machine() if parts.hostname in LOOPBACK else None
                connection = http.client.HTTPSConnection(
                    parts.hostname, parts.port, timeout=CONNECT_SECONDS, context=context
                )
            else:
                connection = http.client.HTTPConnection(parts.hostname, parts.port, timeout=CONNECT_SECONDS)
            connection.connect()
        except (OSError, ssl.SSLError) as error:
            raise Unreachable(self.url, _why(error)) from None
        connection.sock.settimeout(ANSWER_SECONDS)
        return connection


def _refusal(status: int, body: bytes) -> ServiceError:
    try:
        document = json.loads(body)
    except ValueError:
        document = {}
    error = document.get("error") if isinstance(document, dict) else None
    reasons = document.get("reasons") if isinstance(document, dict) else None
    return ServiceError(status, error if isinstance(error, dict) else {}, reasons or ())


def _why(error: Exception) -> str:
    match error:
        case ConnectionRefusedError():
            return "connection refused"
        case TimeoutError():
            return "timed out"
        case http.client.HTTPException():
            return "not an HTTP service, or it broke off"
        case OSError() if error.strerror:
            return error.strerror.lower()
        case _:
            return type(error).__name__
