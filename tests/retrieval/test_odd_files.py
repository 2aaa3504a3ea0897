"""Files as folders really hold them: odd names, what is no file at all, what may not be read, dates to come."""

import errno
import os
from pathlib import Path

import pytest

from common.settings import FolderSource
from retrieval.ledger import bases
from tests.retrieval import test_folder
from tests.retrieval.house import House, someone, until
from tests.retrieval.test_folder import _bases, _failed, _feed, _soon, _watch

folder, watched = test_folder.folder, test_folder.watched


def test_what_is_no_readable_file_is_told_and_stops_nobody(
    watched: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pipe would be read for ever; a name in Shift_JIS fits no database; a right can be missing for a while."""
    read = Path.read_bytes

    def refuse(path: Path) -> bytes:
        if path.name == "apple.md":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return read(path)

    os.mkfifo(folder / "pipe.md")
    (folder / "page\n2.md").write_text("The break costs 1 yen.")
    with open(os.fsencode(folder) + b"/" + "料金.md".encode("cp932"), "wb") as file:  # noqa: PTH123  # bytes are no Path
        file.write(b"The fee costs 1 yen.")
    with monkeypatch.context() as refused:
        refused.setattr(Path, "read_bytes", refuse)
        (folder / "apple.md").write_text("The apple costs 2 yen.")
        (folder / "last.md").write_text("The last costs 1 yen.")
        _soon(watched, lambda texts: texts >= {"The last costs 1 yen.", "The apple costs 1 yen."})
        bad = {"pipe.md", "page\n2.md", "apple.md"}
        until(lambda: len(_failed(watched)) == 4 and _failed(watched) > bad)
    until(lambda: _feed(watched).status == "watching", 10)
    _soon(watched, lambda texts: "The apple costs 2 yen." in texts)
    until(lambda: "apple.md" not in _failed(watched))


def test_a_name_is_a_documents_id_as_it_stands_in_the_folder(watched: House, folder: Path) -> None:
    """Composed or not: a file system may hold both."""
    for name in ("ガイド.md", "\u30ab\u3099イド.md"):
        (folder / name).write_text(f"The guide costs {len(name)} yen.")
    _soon(watched, lambda texts: {"The guide costs 6 yen.", "The guide costs 7 yen."} <= texts)


def test_a_file_may_say_from_when_it_applies(watched: House, folder: Path) -> None:
    """Next year's fee is saved today, in its front matter; a date that is none is the file's error."""
    (folder / "apple.md").write_text("---\neffective_until: 2031-04-01T00:00:00+09:00\n---\nThe apple costs 1 yen.")
    (folder / "next.md").write_text("---\neffective_from: 2031-03-31T15:00:00Z\n---\nThe apple costs 2 yen.")
    (folder / "bad.md").write_text("---\neffective_from: soon\n---\nThe apple costs 3 yen.")

    def applies(as_of: str) -> set[str]:
        return set(watched.texts("apple costs yen", as_of=as_of, filters={"document": ["apple.md", "next.md"]}))

    until(lambda: applies("2031-03-31T14:59:59Z") == {"The apple costs 1 yen."}, 10)
    until(lambda: applies("2031-03-31T15:00:00Z") == {"The apple costs 2 yen."}, 10)
    until(lambda: _failed(watched) == {"bad.md"}, 10)
    assert "The apple costs 2 yen." not in watched.texts("apple costs yen")


def test_a_knowledge_base_that_was_removed_comes_back_whole_and_no_more_open_than_before(
    watched: House, folder: Path
) -> None:
    """With its next change: all that the folder holds, for those who could read it, and of its past no more."""
    with watched.knowledge.ledger.write() as connection:
        bases.put(connection, watched.me, "kb", ["hr"])
    before = watched.head
    watched.knowledge.publisher.drop(watched.me, "kb").result(30)
    (folder / "cherry.md").write_text("The cherry costs 1 yen.")
    until(lambda: "kb" in _bases(watched), 20)
    until(lambda: watched.found("costs yen") == {"apple.md", "sub/banana.txt", "cherry.md"}, 20)
    for as_of in (None, before):
        assert watched.found("costs yen", me=someone("default", "public"), as_of=as_of) == set()


def test_a_sync_removes_what_a_restore_brought_back(watched: House, folder: Path) -> None:
    """A file that is gone is gone for the whole of the folder, however its document came back."""
    before = watched.head
    (folder / "apple.md").unlink()
    until(lambda: watched.found("costs yen") == {"sub/banana.txt"}, 10)
    watched.knowledge.publisher.restore(watched.me, before, None).result(30)
    assert "apple.md" in watched.found("costs yen")
    _watch(watched).sync()
    until(lambda: watched.found("costs yen") == {"sub/banana.txt"}, 10)


def test_a_folder_of_one_file_that_is_away_removes_nothing(watched: House, folder: Path) -> None:
    """Though the last thing that was heard of it is that its file is gone."""
    (folder / "sub" / "banana.txt").unlink()
    until(lambda: watched.found("costs yen") == {"apple.md"}, 10)
    watch = _watch(watched)
    assert isinstance(watch.source, FolderSource)
    folder.rename(folder.with_name("elsewhere"))
    watch._touched.put(folder / "apple.md")  # type: ignore[attr-defined]
    until(lambda: _feed(watched).status == "failing", 10)
    assert watched.found("costs yen") == {"apple.md"}
