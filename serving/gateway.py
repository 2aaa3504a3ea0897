"""`python -m serving.gateway`: the gateway process, any number of workers on one port.

A gateway that is told to end drains: it says so in /readyz and to every new question, streams go on for
`drain_seconds`, and what still runs then ends with a typed error and a recorded outcome.

SIGHUP reads the configuration again, and the files of TLS. One that is not valid is refused, and the log says why. With
a valid one the workers are replaced one by one, each once its successor serves: the socket stays open, and no request
fails.
"""

import logging
import os
import socket
import ssl
import sys
import tempfile

import uvicorn
from fastapi import FastAPI
from pydantic import ValidationError
from uvicorn.supervisors import Multiprocess

from adapters import Registry, own_key
from common.errors import GroundtoneError
from common.logs import Format, log_to_stderr
from common.settings import Settings, load
from serving.app import create_app
from serving.home import Home
from serving.leaving import Connection, leave
from serving.tls import tls_context

log = logging.getLogger("groundtone.gateway")


def app() -> FastAPI:
    """The application of one worker process, from the settings in its environment."""
    settings = load()
    log_to_stderr(settings.logs.format)
    return create_app(settings, Home(settings.home.absolute()))


def seed_adapters(settings: Settings) -> None:
    """Registers the adapters that the configuration brings along, where their names have none on `stable` yet.

    Who writes the configuration decides on its folders, and so their evaluations count; the gate holds all the same.
    """
    own_key.make_ready(settings)
    registry = Registry.of(settings)
    for name, folder in settings.adapters.seed.items():
        if registry.served(name).stable is None and folder.is_dir():
            try:
                version = registry.register(name, folder, trusted=True)
                registry.point(name, "stable", version.id)
            except (GroundtoneError, OSError) as wrong:
                log.warning("the adapter in %s is not served: %s", folder, wrong)
            else:
                log.info("registered %s and moved the channel stable to it", version.id)


def read() -> tuple[Settings, ssl.SSLContext | None]:
    """The settings, and what TLS they ask for. Raises ValueError, which says what is wrong with them."""
    try:
        settings = load()
    except ValidationError as wrong:
        # Not the values that pydantic quotes: one of them may be a secret. What is said is our own validators' words.
        told = [
            (".".join(map(str, e["loc"])) or "all") + (f" ({e['msg']})" if e["type"] == "value_error" else "")
            for e in wrong.errors()
        ]
        raise ValueError(f"is not valid at {', '.join(told)}") from None
    except ValueError:
        raise ValueError("is not valid at all: it is no TOML, or GROUNDTONE_PORT no number") from None
    try:
        return settings, tls_context(settings.server)
    except ValueError as wrong:
        raise ValueError(f"is not valid: {wrong}") from None


class Workers(Multiprocess):
    """The workers of one port, and the configuration that they run with."""

    def __init__(self, config: uvicorn.Config, sockets: list[socket.socket], tls: ssl.SSLContext | None) -> None:
        super().__init__(config, sockets)
        self._tls = tls

    def handle_hup(self) -> None:
        try:
            settings, tls = read()
            if (tls is None) is not (self._tls is None):
                raise ValueError("turns TLS on or off, which takes a restart")
        except ValueError as wrong:
            log.error("the new configuration %s: the old one stays", wrong)
            return
        self._tls = tls
        self.config.ssl_certfile, self.config.ssl_keyfile = settings.server.tls_certificate, settings.server.tls_key
        seed_adapters(settings)
        log.info("the configuration %s takes over", settings.digest)
        self.restart_all()

    def terminate_all(self) -> None:
        for listener in self.sockets:
            leave(listener, self._tls)
        super().terminate_all()


def main() -> int:
    try:
        settings, tls = read()
    except ValueError as wrong:
        log_to_stderr(Format.TEXT)
        log.error("the configuration %s", wrong)
        return 1
    log_to_stderr(settings.logs.format)
    Home(settings.home.absolute()).prepare()
    seed_adapters(settings)
    server = settings.server
    if server.workers > 1:
        os.environ.setdefault("PROMETHEUS_MULTIPROC_DIR", tempfile.mkdtemp(prefix="groundtone-metrics-"))
    config = uvicorn.Config(
        "serving.gateway:app",
        factory=True,
        host=server.host,
        port=server.port,
        workers=server.workers,
        loop="uvloop",
        http=Connection,
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        ssl_certfile=server.tls_certificate,
        ssl_keyfile=server.tls_key,
        timeout_graceful_shutdown=max(1, round(server.drain_seconds)),
        # A successor imports and connects on a machine that is busy with answers.
        timeout_worker_healthcheck=60,
    )
    Workers(config, [config.bind_socket()], tls).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
