"""What the processes log: a line an event, with the id of its request, and never with a request's content.

A message is written by this project, and its arguments are names, numbers and types. What is not ours to word is left
out: of an exception the types and the places, since a library's own words may quote what it was given.
"""

import json
import logging
import time
from contextvars import ContextVar
from enum import StrEnum
from types import TracebackType
from typing import Any

from common.errors import GroundtoneError

REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
"""The id of the request that this task works for."""


class Format(StrEnum):
    """`text` for people, `json` for what collects logs."""

    TEXT = "text"
    JSON = "json"


class Formatter(logging.Formatter):
    """One line an event in either format; a traceback follows as further lines, or as the key `exception`."""

    def __init__(self, format: Format) -> None:
        super().__init__()
        self._format = format

    def format(self, record: logging.LogRecord) -> str:
        request = getattr(record, "request", None) or REQUEST.get()
        exception = self.formatException(record.exc_info) if record.exc_info and record.exc_info[1] else None
        when = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"
        if self._format is Format.JSON:
            event: dict[str, Any] = {
                "time": when,
                "level": record.levelname.lower(),
                "logger": record.name,
                "message": record.getMessage(),
                "request": request,
                "exception": exception,
            }
            return json.dumps({key: value for key, value in event.items() if value is not None}, ensure_ascii=False)
        line = f"{when} {record.levelname} {record.name} {f'[{request}] ' if request else ''}{record.getMessage()}"
        return f"{line}\n{exception}" if exception else line

    def formatException(self, ei: Any) -> str:
        """The places and types, of causes too."""
        lines: list[str] = []
        error: BaseException | None = ei[1]
        while error is not None:
            lines = [f"{type(error).__qualname__}{_words(error)}", *_places(error.__traceback__), *lines]
            error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
        return "\n".join(lines)


def _words(error: BaseException) -> str:
    """What an error says, where that can be no content: our own, the system's, and a database's that is not there."""
    if isinstance(error, GroundtoneError):
        return f": {error}"
    if isinstance(error, OSError):
        return f": {error.strerror}" if error.strerror else ""
    # The driver's own; SQLAlchemy's of the same name quotes statement and values.
    away = type(error).__name__ == "OperationalError" and not hasattr(error, "statement")
    return f": {error}" if away else ""


def _places(traceback: TracebackType | None) -> list[str]:
    places: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        places.append(f"  {code.co_filename}:{traceback.tb_lineno} {code.co_name}")
        traceback = traceback.tb_next
    return places


def log_to_stderr(format: Format) -> None:
    """Has this process log in `format`, what its libraries log at INFO included."""
    handler = logging.StreamHandler()
    handler.setFormatter(Formatter(format))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for talkative in ("alembic", "watchfiles", "opentelemetry"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
