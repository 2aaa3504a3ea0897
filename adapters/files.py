"""How a version's files are laid down: copied one by one, synced, made read-only, and put in place in one step."""

import json
import os
import time
from pathlib import Path
from typing import Any

from adapters import version
from adapters.artefact import MAX_BYTES, MAX_SIDE_BYTES, OPTIONAL, REQUIRED, WEIGHTS, refused
from adapters.evaluation import evaluation as evaluations
from adapters.evaluation.evaluation import Evaluation
from adapters.weights import BadWeights, copy_regular


def keep(folder: Path, evaluation: Evaluation, id: str) -> None:
    """Writes an evaluation and its card into `folder`, each in one step."""
    wire = json.dumps(evaluation.to_wire(), ensure_ascii=False, indent=1) + "\n"
    for name, text in ((evaluations.FILE, wire), (evaluations.CARD, evaluations.card(evaluation, id))):
        scratch = folder / f".{name}.{os.getpid()}.{time.monotonic_ns()}"
        scratch.write_text(text, encoding="utf-8")
        scratch.replace(folder / name)
    sync(folder)


def copy(folder: Path, scratch: Path) -> None:
    """The artefact's files into `scratch`, and nothing else: an unknown file is refused, not ignored.

    Raises InvalidRequest (`invalid_adapter`).
    """
    if folder.is_symlink() or not folder.is_dir():
        raise refused("The artefact is no folder.", "Name the folder that training wrote.")
    names = sorted(path.name for path in folder.iterdir())
    if unknown := [name for name in names if name not in (*REQUIRED, *OPTIONAL, version.FILE)]:
        raise refused(f"The artefact holds files that don't belong to it, {unknown[0]!r} for one.", "Remove them.")
    if missing := [name for name in REQUIRED if name not in names]:
        raise refused(f"The artefact lacks {missing[0]}.")
    for name in names:
        # What an earlier registry said of it is not taken over.
        if name == version.FILE:
            continue
        try:
            copy_regular(folder / name, scratch / name, MAX_BYTES if name == WEIGHTS else MAX_SIDE_BYTES)
        except BadWeights as wrong:
            raise refused(f"{name} {wrong}.") from wrong
        except OSError as wrong:
            raise refused(f"{name} is no plain file that can be read.", "Send the files themselves.") from wrong


def seal(scratch: Path, place: Path) -> None:
    """Makes the version read-only and puts it in its place in one step."""
    for path in scratch.iterdir():
        path.chmod(0o444)
    sync(scratch)
    scratch.chmod(0o755)
    try:
        scratch.rename(place)
    except OSError:
        # Another process registered the same bytes meanwhile; a directory is never replaced by a rename.
        if not place.exists():
            raise
    sync(place.parent)


def write_json(path: Path, value: Any) -> None:
    """A new file that is on the disk when this returns. Raises FileExistsError."""
    with path.open("x", encoding="utf-8") as file:
        json.dump(value, file, ensure_ascii=False, sort_keys=True, indent=1)
        file.flush()
        os.fsync(file.fileno())


def sync(directory: Path) -> None:
    """Makes the names in `directory` as durable as the files."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
