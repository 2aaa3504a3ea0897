"""A watched folder: what is saved in it is found, what is removed is not, and a bad file harms nobody."""

import shutil
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from common.errors import InvalidRequest
from common.settings import FolderSource
from retrieval.knowledge import Knowledge
from retrieval.ledger import bases, feeds, schema, staging
from retrieval.ledger.database import Ledger
from retrieval.ledger.feeds import Feed
from retrieval.sources.watch import FolderWatch
from retrieval.sources.watcher import Watcher
from retrieval.vectors import Vectors
from tests.retrieval import files
from tests.retrieval.house import Chroma, House, until


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "apple.md").write_text("The apple costs 1 yen.")
    (folder / "sub").mkdir()
    (folder / "sub" / "banana.txt").write_text("The banana costs 1 yen.")
    return folder


@pytest.fixture
def watched(tmp_path: Path, folder: Path, shared_chroma: Chroma) -> Generator[House]:
    house = House(tmp_path / "home", shared_chroma.url)
    house.sources = [FolderSource(name="docs", kind="folder", knowledge="kb", path=folder)]
    house.open()
    until(lambda: not house.knowledge.missing())
    yield house
    house.close()


def _watch(house: House) -> Watcher:
    return house.knowledge.sources[0]


def _feed(house: House) -> Feed:
    with house.knowledge.ledger.read() as connection:
        return feeds.get(connection, _watch(house).principal, "docs")


def _failed(house: House) -> set[str]:
    with house.knowledge.ledger.read() as connection:
        return {file.path for file in feeds.counts(connection, _watch(house).principal, "docs")[1]}


def _soon(house: House, true: Callable[[set[str]], bool]) -> None:
    until(lambda: true(set(house.texts("costs yen"))), 10)


def test_the_first_sync_is_done_before_the_service_is_ready(watched: House) -> None:
    """Document ids are relative paths, in a knowledge base that the source made."""
    assert watched.found("costs yen") == {"apple.md", "sub/banana.txt"}


def test_a_standby_that_takes_over_is_ready_before_it_has_looked_at_its_sources(
    watched: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answered while it followed; what the sources may bring is news, and nothing is missing."""
    monkeypatch.setattr(FolderWatch, "_step", lambda watch: watch._stop.wait(0.1))
    ledger = Ledger(watched.ledger_url)
    other = Knowledge(ledger, watched.embedder, Vectors(watched.chroma), tmp_path / "other", watched.sources)
    other.start()
    try:
        until(other.publisher.ready.is_set)
        assert (other.writes, other.missing()) == (False, [])
        watched.close()
        until(lambda: other.writes)
        assert not other.sources[0].settled.is_set()
        assert other.missing() == []
    finally:
        other.close()
    assert not other.writes


def test_a_restart_reads_nothing_again_that_stayed(watched: House, folder: Path) -> None:
    """And finds what changed meanwhile."""
    watched.close()
    (folder / "sub" / "banana.txt").unlink()
    (folder / "cherry.md").write_text("The cherry costs 1 yen.")
    watched.embedder.embedded.clear()
    watched.open()
    until(lambda: not watched.knowledge.missing())
    assert watched.found("costs yen") == {"apple.md", "cherry.md"}
    assert len(watched.embedder.embedded) == 1


def test_a_saved_file_is_found(watched: House, folder: Path) -> None:
    """Written in place, or beside and renamed over, as editors do; with its backup left behind."""
    (folder / "apple.md").write_text("The apple costs 2 yen.")
    _soon(watched, lambda texts: "The apple costs 2 yen." in texts and "The apple costs 1 yen." not in texts)
    (folder / ".apple.md.swp").write_text("The apple costs 99 yen.")
    (folder / "apple.md").rename(folder / "apple.md~")
    (folder / ".apple.md.swp").rename(folder / "apple.md")
    _soon(watched, lambda texts: "The apple costs 99 yen." in texts)
    assert watched.found("costs yen") == {"apple.md", "sub/banana.txt"}


def test_renamed_and_removed_files_and_folders_follow(watched: House, folder: Path) -> None:
    """Under the new name, without embedding a text again that stayed the same."""
    watched.embedder.embedded.clear()
    (folder / "sub").rename(folder / "moved")
    until(lambda: watched.found("costs yen") == {"apple.md", "moved/banana.txt"}, 10)
    (folder / "moved" / "banana.txt").unlink()
    until(lambda: watched.found("costs yen") == {"apple.md"}, 10)


def test_a_file_that_turns_bad_keeps_what_was_there(watched: House, folder: Path) -> None:
    """It is reported, and the others go on."""
    (folder / "table.xlsx").write_bytes(b"not a spreadsheet")
    (folder / "apple.md").write_bytes(b"")
    (folder / "cherry.md").write_text("The cherry costs 1 yen.")
    _soon(watched, lambda texts: "The cherry costs 1 yen." in texts)
    until(lambda: _failed(watched) >= {"table.xlsx", "apple.md"}, 10)
    assert "The apple costs 1 yen." in watched.texts("costs yen")


def test_a_folder_whose_files_all_turn_corrupt_removes_nothing(watched: House, folder: Path) -> None:
    """The old snapshot answers, each file says what is wrong with it, and whatever is mended comes back by itself."""
    head = watched.head
    (folder / "apple.md").write_bytes(bytes(range(128, 256)) * 20)
    (folder / "sub" / "banana.txt").write_bytes(b"a\x00b" * 51)
    until(lambda: _failed(watched) == {"apple.md", "sub/banana.txt"}, 10)
    assert sorted(watched.texts("costs yen")) == ["The apple costs 1 yen.", "The banana costs 1 yen."]
    assert watched.head == head
    (folder / "apple.md").write_text("The apple costs 2 yen.")
    _soon(watched, lambda texts: texts == {"The apple costs 2 yen.", "The banana costs 1 yen."})


def test_a_source_whose_vectors_come_in_another_dimension_publishes_nothing(watched: House, folder: Path) -> None:
    """The old snapshot answers and the operator is told, until the embedder makes what it made before."""
    head, embed = watched.head, watched.embedder.passages
    watched.embedder.passages = lambda texts: embed(texts)[:, :32]  # type: ignore[method-assign]
    (folder / "apple.md").write_text("The apple costs 2 yen.")
    until(lambda: "another shape" in (_feed(watched).error or ""))
    assert _feed(watched).status == "failing"
    assert sorted(watched.texts("costs yen")) == ["The apple costs 1 yen.", "The banana costs 1 yen."]
    assert watched.head == head
    watched.embedder.passages = embed  # type: ignore[method-assign]
    _soon(watched, lambda texts: texts == {"The apple costs 2 yen.", "The banana costs 1 yen."})


def test_a_link_out_of_the_folder_is_refused(watched: House, folder: Path, tmp_path: Path) -> None:
    """A file and a folder alike; one that stays inside is fine."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "secret.md").write_text("The secret costs 1 yen.")
    (folder / "linked.md").symlink_to(tmp_path / "secret" / "secret.md")
    (folder / "linked").symlink_to(tmp_path / "secret")
    (folder / "inside.md").symlink_to(folder / "apple.md")
    (folder / "last.md").write_text("The last costs 1 yen.")
    until(lambda: {"last.md", "inside.md"} <= watched.found("costs yen"), 10)
    assert "The secret costs 1 yen." not in watched.texts("secret costs yen")


def test_each_bad_file_says_what_is_wrong_with_it_and_the_rest_goes_on(
    watched: House, folder: Path, tmp_path: Path
) -> None:
    """Cut off, a bomb, two gigabytes, NUL bytes, no encoding, a link out; what nobody sees is taken out of the rest."""
    (tmp_path / "secret.md").write_text("The secret costs 1 yen.")
    bad = {
        "cut.pdf": files.pdf([[(50, 50, 10, "The cut costs 1 yen.")]])[:400],
        "bomb.docx": files.archive({"word/document.xml": bytes(30_000_000)}),
        "nul.txt": b"a\x00b" * 51,
        "mojibake.txt": bytes(range(128, 256)) * 20,
    }
    for name, data in bad.items():
        (folder / name).write_bytes(data)
    with (folder / "large.txt").open("wb") as large:
        large.truncate(2 * 2**30)
    (folder / "linked.md").symlink_to(tmp_path / "secret.md")
    (folder / "seen.md").write_text("The s\u200been costs \u202e1 yen.\u2066")
    (folder / "last.md").write_text("The last costs 1 yen.")
    _soon(watched, lambda texts: {"The last costs 1 yen.", "The seen costs 1 yen."} <= texts)
    told = {
        "cut.pdf": "cut off", "bomb.docx": "unpacks", "nul.txt": "NUL", "mojibake.txt": "encoding",
        "large.txt": "too large", "linked.md": "out of the folder",
    }  # fmt: skip
    until(lambda: _failed(watched) == set(told), 20)
    with watched.knowledge.ledger.read() as connection:
        failed = feeds.counts(connection, _watch(watched).principal, "docs")[1]
    assert all(told[file.path] in (file.error or "") for file in failed)
    until(lambda: _feed(watched).status == "watching", 10)
    assert watched.found("costs yen") == {"apple.md", "sub/banana.txt", "seen.md", "last.md"}


def test_a_file_that_changes_while_it_is_read_is_read_again(
    watched: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of one version and half of another is never published."""
    read, again = Path.read_bytes, iter(["The plum costs 2 yen, no more."])

    def changes(path: Path) -> bytes:
        data = read(path)
        if path.name == "plum.md" and (more := next(again, None)):
            path.write_text(more)
        return data

    monkeypatch.setattr(Path, "read_bytes", changes)
    (folder / "plum.md").write_text("The plum costs 1 yen.")
    _soon(watched, lambda texts: "The plum costs 2 yen, no more." in texts)
    with watched.knowledge.ledger.read() as connection:
        assert "The plum costs 1 yen." not in {row.text for row in connection.execute(select(schema.chunks.c.text))}


def test_a_folder_that_loses_most_of_its_files_is_held_until_somebody_says_so(watched: House, folder: Path) -> None:
    """A lost volume is no wish to forget everything."""
    for n in range(8):
        (folder / f"{n}.md").write_text(f"Item {n} costs {n} yen.")
    until(lambda: len(watched.found("costs yen")) == 10, 10)
    for path in [*folder.glob("*.md")]:
        path.unlink()
    until(lambda: _feed(watched).status == "held", 10)
    assert len(watched.found("costs yen")) == 10
    _watch(watched).sync()  # reads again what is there: what is held stays, and is counted
    until(lambda: "9 of 10 documents are gone, 1 are there" in (_feed(watched).error or ""))
    with watched.knowledge.ledger.read() as connection:
        assert feeds.counts(connection, _watch(watched).principal, "docs")[0] == 10
    _watch(watched).release()
    until(lambda: watched.found("costs yen") == {"sub/banana.txt"}, 10)
    until(lambda: _feed(watched).status == "watching", 10)


def test_a_folder_that_turns_empty_is_held_however_small_it_was(watched: House, folder: Path) -> None:
    """Moving all of it elsewhere within the folder is no loss."""
    (folder / "all").mkdir()
    (folder / "apple.md").rename(folder / "all" / "apple.md")
    (folder / "sub").rename(folder / "all" / "sub")
    until(lambda: watched.found("costs yen") == {"all/apple.md", "all/sub/banana.txt"}, 10)
    shutil.rmtree(folder / "all")
    until(lambda: _watch(watched).lag > 0)
    until(lambda: _feed(watched).status == "held", 10)
    assert len(watched.found("costs yen")) == 2
    _watch(watched).release()
    until(lambda: watched.found("costs yen") == set(), 10)
    until(lambda: _watch(watched).lag == 0)


def test_a_file_that_the_embedder_refuses_holds_up_no_other(watched: House, folder: Path) -> None:
    """It is reported, and published once it can be."""
    passages = watched.embedder.passages

    def refuse(texts: Sequence[str]) -> Any:
        if any("poison" in one for one in texts):
            raise RuntimeError("refused, as ordered")
        return passages(texts)

    watched.embedder.passages = refuse  # type: ignore[method-assign]
    _watch(watched).pause(True)
    (folder / "poison.md").write_text("The poison costs 1 yen.")
    (folder / "cherry.md").write_text("The cherry costs 1 yen.")
    _watch(watched).pause(False)
    _soon(watched, lambda texts: "The cherry costs 1 yen." in texts)
    until(lambda: "poison.md" in _failed(watched))
    watched.embedder.passages = passages  # type: ignore[method-assign]
    _soon(watched, lambda texts: "The poison costs 1 yen." in texts)
    until(lambda: not _failed(watched))


def test_a_document_that_the_ledger_refuses_is_reported_by_its_name(
    watched: House, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is no failure of the source, even when it comes alone."""
    prepare = staging.prepare

    def refuse(connection: Any, principal: Any, change: Any) -> Any:
        if change.document == "bad.md":
            raise InvalidRequest("It is refused.", "As ordered.")
        return prepare(connection, principal, change)

    monkeypatch.setattr(staging, "prepare", refuse)
    (folder / "bad.md").write_text("The plum costs 1 yen.")
    until(lambda: _failed(watched) == {"bad.md"}, 10)
    until(lambda: _feed(watched).status == "watching", 10)
    assert watched.found("costs yen") == {"apple.md", "sub/banana.txt"}


def _bases(house: House) -> list[str]:
    with house.knowledge.ledger.read() as connection:
        return [base.name for base in bases.every(connection, house.me)]


def test_a_paused_source_publishes_afterwards(watched: House, folder: Path) -> None:
    """What changes meanwhile is not lost; the pause outlives a restart."""
    _watch(watched).pause(True)
    (folder / "apple.md").write_text("The apple costs 5 yen.")
    watched.reopen()
    until(lambda: not watched.knowledge.missing())
    assert "The apple costs 1 yen." in watched.texts("costs yen")
    _watch(watched).pause(False)
    _soon(watched, lambda texts: "The apple costs 5 yen." in texts)


def test_a_missing_folder_removes_nothing(watched: House, folder: Path) -> None:
    """The source fails, and what it brought stays."""
    watched.close()
    folder.rename(folder.with_name("elsewhere"))
    watched.open()
    until(lambda: not watched.knowledge.missing())
    assert watched.found("costs yen") == {"apple.md", "sub/banana.txt"}
