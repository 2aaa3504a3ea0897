"""Files on their way into a knowledge base."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from serving.cli.client import Client, Reply, ServiceError, path
from serving.cli.command import Usage

WAIT_SECONDS = 30
_POLL_SECONDS = 0.5


def media_type(file: Path) -> str:
    """Raises Usage for a kind of file that is not read."""
    from retrieval.read import SUFFIXES, media_type_of

    kind = media_type_of(file.name)
    if kind is None:
        raise Usage(f"`{file}` is of a kind that can't be read. Readable are {' '.join(SUFFIXES)}.")
    return kind


def files_of(given: Sequence[Path]) -> list[tuple[str, Path]]:
    """The documents that `given` files and folders are: each with its id.

    A file's id is its name; a file's in a folder is its path in that folder, as the folder source names it. Hidden
    files and other kinds of file are passed over in folders. Raises Usage for what does not exist or can't be read.
    """
    from retrieval.read import SUFFIXES

    found: list[tuple[str, Path]] = []
    for entry in given:
        if entry.is_dir():
            inside = (f for f in sorted(entry.rglob("*")) if f.is_file() and f.suffix.lower() in SUFFIXES)
            found += [
                (f.relative_to(entry).as_posix(), f)
                for f in inside
                if not any(part.startswith(".") for part in f.relative_to(entry).parts)
            ]
        elif entry.is_file():
            media_type(entry)
            found.append((entry.name, entry))
        else:
            raise Usage(f"There is no file or folder `{entry}`.")
    twice = {name for name, _ in found if [n for n, _ in found].count(name) > 1}
    if twice:
        raise Usage(f"Several files would become the document `{min(twice)}`. Add them one by one with --id.")
    if not found:
        raise Usage(f"Nothing to add. Readable are {' '.join(SUFFIXES)}.")
    return found


def document_path(kb: str, document: str) -> str:
    return path("v1", "knowledge", kb, "documents", document)


def whole(client: Client, kb: str, **query: Any) -> Iterator[dict[str, Any]]:
    """Every document of a knowledge base, with its text."""
    for row in client.pages(path("v1", "knowledge", kb, "documents")):
        yield client.get(document_path(kb, row["document"]), **query)


def put(client: Client, kb: str, document: str, file: Path, query: dict[str, Any]) -> dict[str, Any]:
    """Puts the file and waits until the next question can find it."""
    reply = client.send(
        "PUT",
        document_path(kb, document),
        data=file.read_bytes(),
        content_type=media_type(file),
        query={**query, "wait": WAIT_SECONDS},
    )
    return finished(client, reply)


def finished(client: Client, reply: Reply) -> dict[str, Any]:
    """What a change came to: at once, or after 202 when its operation has ended. Raises ServiceError if it failed."""
    if reply.status != 202:
        return reply.document
    operation = str(reply.document["operation"])
    while (state := client.get(path("v1", "operations", operation)))["state"] == "running":
        time.sleep(_POLL_SECONDS)
    if state["state"] != "done":
        raise ServiceError(409, state["error"])
    return state["result"]
