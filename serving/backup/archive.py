"""A backup as a folder, or as one tar file: writing it, and reading it without trusting a name in it."""

import tarfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from serving.backup import manifest as manifests
from serving.backup.manifest import Damaged, Manifest, Refused

_ENDINGS = (".tar", ".tar.gz", ".tgz")


def is_archive(target: Path) -> bool:
    """Whether a file is meant and not a folder, by its name."""
    return target.name.endswith(_ENDINGS)


def pack(folder: Path, file: Path) -> None:
    """Writes `folder` as one file, its manifest first, readable by its owner alone."""
    file.touch(mode=0o600, exist_ok=False)
    names = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    names.sort(key=lambda name: name.name != manifests.FILE)
    with tarfile.open(file, "w" if file.name.endswith(".tar") else "w:gz") as archive:
        for name in names:
            archive.add(folder / name, str(name), recursive=False)


def unpack(source: Path, folder: Path) -> Manifest:
    """Copies what the manifest names below `folder`, and nothing else. Raises Damaged, and Refused for no backup."""
    manifest: Manifest | None = None
    try:
        for name, file in _archived(source) if source.is_file() else _in_folder(source):
            if manifest is not None:
                manifest.take(name, file, folder)
            elif name == manifests.FILE:
                manifest = Manifest.parse(file.read(manifests.MAX_BYTES))
            else:
                break
    except (tarfile.TarError, EOFError, zlib.error, FileExistsError):
        raise Damaged("The archive is cut off or damaged. Use another backup.") from None
    if manifest is None:
        raise Refused(f"{source} is no backup. Name what `groundtone backup` wrote.")
    if missing := [name for name in manifest.files if not (folder / name).exists()]:
        raise Damaged(f"`{missing[0]}` is missing in the backup. Use another one.")
    return manifest


def _archived(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    with tarfile.open(source, "r:*") as archive:
        for member in archive:
            file = archive.extractfile(member) if member.isreg() else None
            if file is None:
                raise Damaged("The archive holds something that is no plain file. It was not written by groundtone.")
            yield member.name, file


def _in_folder(source: Path) -> Iterator[tuple[str, IO[bytes]]]:
    paths = sorted(path for path in source.rglob("*") if path.is_symlink() or not path.is_dir())
    for path in sorted(paths, key=lambda path: path != source / manifests.FILE):
        if path.is_symlink() or not path.is_file():
            raise Damaged("The backup holds something that is no plain file. It was not written by groundtone.")
        with path.open("rb") as file:
            yield str(path.relative_to(source)), file
