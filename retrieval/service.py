"""The knowledge process: `python -m retrieval.service`.

Listens where `[knowledge] url` says, on loopback or a private network, for whoever holds `internal.key` in
GROUNDTONE_HOME. A gateway's `url` may name several processes; this one's names itself.
"""

import logging
import sys
from urllib.parse import urlsplit

import uvicorn

from common.errors import GroundtoneError
from common.logs import log_to_stderr
from common.settings import load
from common.traces import open_traces
from retrieval.api import create_app
from retrieval.knowledge import Knowledge

_log = logging.getLogger(__name__)


def main() -> int:
    settings = load()
    log_to_stderr(settings.logs.format)
    if len(settings.knowledge.urls) != 1:
        _log.error("GROUNDTONE_KNOWLEDGE__URL is not one address: say where to listen, such as http://127.0.0.1:8101")
        return 2
    address = urlsplit(settings.knowledge.urls[0])
    key_file = settings.home / "internal.key"
    if not key_file.is_file():
        _log.error("internal.key is missing in GROUNDTONE_HOME: `groundtone up` makes it at its first start")
        return 2
    try:
        knowledge = Knowledge.open(settings)
    except GroundtoneError as error:
        _log.error("%s", error)
        return 1
    app = create_app(knowledge, key_file.read_text().strip())
    config = uvicorn.Config(
        app,
        host=address.hostname or "127.0.0.1",
        port=address.port or 8101,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    server = uvicorn.Server(config)
    with open_traces(settings.traces.endpoint, "groundtone-knowledge"):
        server.run()
    return 0 if server.started else 3


if __name__ == "__main__":
    sys.exit(main())
