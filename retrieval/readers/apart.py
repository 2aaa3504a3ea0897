"""Reads a PDF or an office file in a process of its own, with limits on time and memory.

Their parsers are large, written for friendly files, and hold Python's lock: in the knowledge process a page of a PDF
would delay every question, and one malicious page would end it.
"""

import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name
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


def read_apart(reader: str, data: bytes, out: Builder) -> None:
    """Runs `reader`, one of READERS, over `data` in a child. Raises InvalidRequest for what it can't read in time."""
    command = [sys.executable, "-m", "retrieval.readers.apart", reader]
    try:
        done = subprocess.run(command, input=data, capture_output=True, timeout=MOST_WAIT, cwd=_ROOT, check=False)
    except subprocess.TimeoutExpired as error:
        raise unreadable("The document takes too long to read.", "Split it, or save it in another format.") from error
    if done.returncode:
        raise unreadable("The document is damaged, or needs too much memory.", "Save it again, or split it.")
    answer = orjson.loads(done.stdout)
    if "what" in answer:
        raise InvalidRequest(answer["what"], "", code=ErrorCode.UNREADABLE_DOCUMENT)
    out.take(answer["text"], [Block(BlockKind(kind), *rest) for kind, *rest in answer["blocks"]])
    out.title, out.lang, out.pages = answer["title"], answer["lang"], answer["pages"]


READERS = {
    "pdf": "retrieval.readers.pdf:read_pdf",
    "docx": "retrieval.readers.office:read_docx",
    "pptx": "retrieval.readers.office:read_pptx",
    "xlsx": "retrieval.readers.office:read_xlsx",
}


def _main() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    sys.stdout.buffer.write(orjson.dumps(_read(sys.argv[1], sys.stdin.buffer.read())))


def _read(reader: str, data: bytes) -> dict[str, Any]:
    out = Builder()
    try:
        resolve_name(READERS[reader])(data, out)
    except InvalidRequest as error:
        return {"what": str(error)}
    except Exception:
        # the parsers fail on a damaged file in any way there is
        return {"what": "The document is damaged or not of its format. Save it again from its program and send that."}
    blocks = [(block.kind, block.start, block.end, block.level, block.page) for block in out.blocks]
    return {"text": out.text, "blocks": blocks, "title": out.title, "lang": out.lang, "pages": out.pages}


if __name__ == "__main__":
    _main()
