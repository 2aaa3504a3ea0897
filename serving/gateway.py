"""`python -m serving.gateway`: the gateway process, any number of workers on one port.

A worker that is told to end drains: it says so in /readyz and takes no new question, streams go on for
`drain_seconds`, and what still runs then ends with a typed error and a recorded outcome.
"""

import logging
import os
import tempfile

import uvicorn
from fastapi import FastAPI
from uvicorn.supervisors import Multiprocess

from adapters import Registry
from common.settings import Settings, load
from serving.app import create_app
from serving.home import Home

log = logging.getLogger("groundtone.gateway")


def app() -> FastAPI:
    """The application of one worker process, from the settings in its environment."""
    settings = load()
    return create_app(settings, Home(settings.home.absolute()))


def seed_adapters(settings: Settings) -> None:
    """Registers the adapters that the configuration brings along, where their names have no version yet."""
    registry = Registry(settings.adapters_directory, max_rank=settings.adapters.max_rank)
    for name, folder in settings.adapters.seed.items():
        if not registry.versions(name) and folder.is_dir():
            version = registry.register(name, folder)
            registry.point(name, "stable", version.id)
            log.info("registered %s and moved the channel stable to it", version.id)


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    settings = load()
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
        http="httptools",
        ws="none",
        access_log=False,
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(server.drain_seconds)),
    )
    if server.workers == 1:
        uvicorn.Server(config).run()
    else:
        Multiprocess(config, sockets=[config.bind_socket()]).run()


if __name__ == "__main__":
    main()
