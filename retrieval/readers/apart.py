"""Reads a PDF or an office file in a process of its own, with limits on time and memory.

Their parsers are large, written for friendly files, and hold Python's lock: in the knowledge process a page of a PDF
would delay every question, and one malicious page would end it.
"""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

from common.errors import ErrorCode, InvalidRequest
from retrieval.readers.builder import Builder
from retrieval.readers.encoding import unreadable
from retrieval.text import Block, BlockKind

MOST_SECONDS = 300  # of the processor
MOST_WAIT = 1_200.0  # seconds: a busy machine gives a quarter of a processor
MOST_MEMORY = 4 * 1024**3
_ROOT = Path(__file__).parents[2]


def read_apart(reader: str, data: bytes, out: Builder, most_seconds: float = MOST_WAIT) -> None:
    """Runs `reader`, one of READERS, over `data` in a child. Raises InvalidRequest for what it can't read in time."""
    command = [sys.executable, "-m", "retrieval.readers.apart", reader]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=most_seconds, cwd=_ROOT, check=False)
    except subprocess.TimeoutExpired as error:
        raise unreadable("The document takes too long to read.", "Split it, or save it in another format.") from error
    if done.returncode:
        raise unreadable("The document is damaged, or needs too much memory.", "Save it again, or split it.")
    answer = orjson.loads(done.stdout)
    if "what" in answer:
        raise InvalidRequest(answer["what"], "", code=ErrorCode.UNREADABLE_DOCUMENT)
    out.take(answer["text"], [Block(BlockKind(kind), *rest) for kind, *rest in answer["blocks"]])
    out.title, out.lang, out.pages = answer["title"], answer["lang"], answer["pages"]


def _pdf() -> Callable[[bytes, Builder], None]:
    from retrieval.readers.pdf import read_pdf

    return read_pdf


def _office(name: str) -> Callable[[], Callable[[bytes, Builder], None]]:
    def load() -> Callable[[bytes, Builder], None]:
        from retrieval.readers import office

        return getattr(office, name)

    return load


READERS = {"pdf": _pdf, "docx": _office("read_docx"), "pptx": _office("read_pptx"), "xlsx": _office("read_xlsx")}


def _main() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    sys.stdout.buffer.write(orjson.dumps(_read(sys.argv[1], sys.stdin.buffer.read())))


def _read(reader: str, data: bytes) -> dict[str, Any]:
    out = Builder()
    try:
        READERS[reader]()(data, out)
    except InvalidRequest as error:
        return {"what": str(error)}
    except Exception:
        # the parsers fail on a damaged file in any way there is
        return {"what": "The document is damaged or not of its format. Save it again from its program and send that."}
    blocks = [(block.kind, block.start, block.end, block.level, block.page) for block in out.blocks]
    return {"text": out.text, "blocks": blocks, "title": out.title, "lang": out.lang, "pages": out.pages}


if __name__ == "__main__":
    _main()
