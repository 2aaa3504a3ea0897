"""A folder as a source: what its files are now, compared with what was published of them.

A file that can't be read is reported and leaves what was there as it is; so does a link that leads out of the folder.
Hidden files and the temporary ones of editors are no documents.
"""

import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from common.canonical import digest
from common.errors import GroundtoneError, InvalidRequest, TooLarge, UnsupportedMedia
from retrieval.intake import Sent, check_name, take
from retrieval.ledger.feeds import File
from retrieval.ledger.staging import Content
from retrieval.read import MOST_BYTES, media_type_of

_TEMPORARY = ("~", ".tmp", ".temp", ".swp", ".swx", ".part", ".partial", ".crdownload", ".bak")


@dataclass(frozen=True, slots=True)
class Seen:
    """A file as it is now. `content` is None where nothing is to be published: it says why in `file.error`, if so."""

    file: File
    content: Content | None


def shown(path: str) -> str:
    """A path as it can be told and kept: of a name that is not UTF-8 the bytes stand there escaped."""
    return path.encode("utf-8", "backslashreplace").decode()


def is_gone(root: Path, path: str) -> bool:
    """Whether no file stands there any more. One that can't be looked at may well."""
    try:
        return stat.S_ISDIR((root / path).stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError:
        return False


def is_document(path: str) -> bool:
    """Whether a relative path may name a document at all."""
    parts = path.split("/")
    return not any(part.startswith((".", "~$", "#")) for part in parts) and not parts[-1].lower().endswith(_TEMPORARY)


def scan(root: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Every file below `root` that may be a document: relative path and status. Folders that are links are left out."""
    for folder, folders, files in os.walk(root):
        here = Path(folder).relative_to(root)
        folders[:] = [name for name in folders if is_document((here / name).as_posix() + "/x")]
        for name in sorted(files):
            path = (here / name).as_posix()
            if is_document(path):
                try:
                    yield path, (root / path).stat()
                except OSError:
                    continue  # gone again, or a link to nothing


def expand(root: Path, touched: Iterable[Path], known: Iterable[str]) -> list[str]:
    """The relative paths of all files that may have changed where these files and folders were touched."""
    found: dict[str, None] = {}
    for path in touched:
        if not path.is_relative_to(root) or path == root:
            continue
        relative = path.relative_to(root).as_posix()
        folder = os.path.isdir(path)  # noqa: PTH112  # which raises nothing where it may not look
        if folder:
            found |= {f"{relative}/{name}": None for name, _ in scan(path)}
        found |= {name: None for name in known if name == relative or name.startswith(f"{relative}/")}
        if not folder:
            found[relative] = None
    return [name for name in found if is_document(name)]


def look(root: Path, path: str, known: File | None) -> Seen | None:
    """What a file says now. None where it changes while it is read, so that another look will follow.

    Raises OSError where it is gone.
    """
    try:
        return _look(root, path, known)
    except OSError as error:
        if is_gone(root, path):
            raise
        kept = known.digest if known else None
        told = f"The file can't be read: {error.strerror}. See who may read it, and on what disk it is."
        return Seen(File(shown(path), -1, -1, kept, told), None)  # of no size: every scan tries it again


def _look(root: Path, path: str, known: File | None) -> Seen | None:
    full = (root / path).resolve()
    before = full.stat()
    try:
        if not full.is_relative_to(root.resolve()):
            raise InvalidRequest("It is a link that leads out of the folder.", "Put the file itself into the folder.")
        if not stat.S_ISREG(before.st_mode):
            raise InvalidRequest("It is no regular file.", "Take it out of the folder.")
        if shown(path) != path:
            raise InvalidRequest("Its name is not UTF-8.", "Rename it, or unpack it again with its encoding named.")
        media_type = media_type_of(path)
        if media_type is None:
            raise UnsupportedMedia("Files with this ending can't be read.", "Convert it, or take it out of the folder.")
        if before.st_size > MOST_BYTES:
            raise TooLarge("The file is too large.", f"Split it into files of at most {MOST_BYTES // 2**20} MiB.")
        data = full.read_bytes()
        after = full.stat()
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            return None
        seen = digest(data)
        if known is not None and known.digest == seen:
            return Seen(File(path, after.st_size, after.st_mtime_ns, seen, None), None)
        content = take(check_name(path), Sent(data, media_type))
        return Seen(File(path, after.st_size, after.st_mtime_ns, seen, None), content)
    except GroundtoneError as error:
        kept = known.digest if known else None
        return Seen(File(shown(path), before.st_size, before.st_mtime_ns, kept, str(error)), None)
