"""Asks a process whether it is ready: one GET, 200 or not."""

import http.client
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from serving.tls import to_this_machine


@dataclass(frozen=True, slots=True)
class Answer:
    """`reasons` are those that the process gives for not being ready; none when it does not answer at all."""

    ready: bool
    reasons: tuple[str, ...] = ()


def ask(url: str, timeout: float = 3.0) -> Answer:
    """Blocking; call it off the event loop."""
    parts = urlsplit(url)
    host, port = parts.hostname or "127.0.0.1", parts.port or 80
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(host, port, timeout=timeout, context=to_this_machine())
    else:
        connection = http.client.HTTPConnection(host, port, timeout=timeout)
    try:
        connection.request("GET", parts.path or "/")
        response = connection.getresponse()
        body = response.read(65536)
    except (OSError, http.client.HTTPException):
        return Answer(ready=False)
    finally:
        connection.close()
    if response.status == 200:
        return Answer(ready=True)
    try:
        said: Any = json.loads(body)
        reasons = tuple(str(reason) for reason in said["reasons"])
    except (ValueError, KeyError, TypeError):
        reasons = ()
    return Answer(ready=False, reasons=reasons)
