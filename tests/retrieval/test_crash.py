"""A writer that dies at any step leaves the state before or the state after, and indexes that agree with the ledger."""

import contextlib
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from sqlalchemy import select

from common.errors import KnowledgeUnavailable
from retrieval.ledger import embeddings, leases, schema
from retrieval.ledger.chunks import all_seqs, names
from tests.retrieval.crash import NAME, STEPS
from tests.retrieval.house import Chroma, House, until

ROOT = Path(__file__).parents[2]
OLD = {"The apple costs 1 yen.", "The banana costs 1 yen."}
UNSTAGED = {"before staging", "prepared, not staged"}
NEW = {"The apple costs 2 yen.", "The pear costs 2 yen.", "The banana costs 1 yen."}


@pytest.mark.parametrize("step", STEPS)
def test_a_killed_writer_leaves_before_or_after(step: str, tmp_path: Path, shared_chroma: Chroma) -> None:
    """Never a mixture; what was staged is finished by the next writer, and it can go on at once."""
    command = [sys.executable, "-m", "tests.retrieval.crash", str(tmp_path), shared_chroma.url, step]
    killed = subprocess.run(command, cwd=ROOT, timeout=120, capture_output=True)
    assert killed.returncode == 9, killed.stderr.decode()
    house = House(tmp_path, shared_chroma.url, name=NAME)
    try:
        house.open()
        assert set(house.texts("costs yen")) == (OLD if step in UNSTAGED else NEW)
        assert set(house.texts("costs yen", as_of=2)) == OLD
        _check_indexes(house)
        house.put("a.md", "The apple costs 3 yen.")
        assert set(house.texts("costs yen")) == {"The apple costs 3 yen.", "The banana costs 1 yen."}
    finally:
        house.close()


def _check_indexes(house: House) -> None:
    """Vectors and terms hold what the ledger says they hold."""
    knowledge = house.knowledge
    with knowledge.ledger.read() as connection:
        chunks = names(connection, house.me, all_seqs(connection, house.me))
        collection = embeddings.collection_of(connection, house.me, house.embedder.fingerprint) or ""
        placed = embeddings.placed(connection, house.me, house.embedder.fingerprint, collection)
    assert knowledge.terms.holds(chunks) == chunks.keys()
    assert knowledge.vectors.present(collection, placed) == set(placed)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where the ledger is."""
    sqlite = request.param == "sqlite"
    return f"sqlite:///{tmp_path / 'ledger.db'}" if sqlite else request.getfixturevalue("database")


@pytest.mark.parametrize("rounds", [2, pytest.param(100, marks=[pytest.mark.full, pytest.mark.timeout(7200)])])
def test_a_writer_killed_at_any_moment_loses_nothing(
    rounds: int, url: str, tmp_path: Path, shared_chroma: Chroma
) -> None:
    """Again and again, at moments drawn by lot: what was told is there, and two that change together are one."""
    chance, last = random.Random(rounds), 0
    house = House(tmp_path, shared_chroma.url, url, NAME)
    start = [sys.executable, "-m", "tests.retrieval.crash", str(tmp_path), shared_chroma.url]
    for _ in range(rounds):
        command = [*start, str(last + 1), url]
        writer = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert writer.stdout is not None
        told = [int(writer.stdout.readline()) for _ in range(chance.randint(1, 8))]
        with contextlib.suppress(subprocess.TimeoutExpired):
            writer.wait(chance.uniform(0, 0.2))  # some moment of the publication that is under way
        writer.kill()
        rest, complaints = writer.communicate()
        last = max([*told, *map(int, rest.split())])
        assert writer.returncode == -signal.SIGKILL, complaints
        try:
            house.open()
            now = {int(text.split(" costs ")[1].removesuffix(" yen.")) for text in house.texts("costs yen")}
            assert now in ({last}, {last + 1})
            assert house.found("costs yen") == {"a", "b"}
            _check_indexes(house)
            last = now.pop()
        finally:
            house.close()


def test_a_writer_that_lost_its_lease_publishes_nothing(house: House) -> None:
    """Whatever it believes: the last transaction looks at the token."""
    house.put("a.md", "The apple costs 1 yen.")
    with house.knowledge.ledger.write() as connection:
        leases.release(connection, 1)
        assert leases.acquire(connection, "elsewhere 1 x") == 2
    with pytest.raises(KnowledgeUnavailable):
        house.put("a.md", "The apple costs 2 yen.")
    assert house.texts("apple costs") == ["The apple costs 1 yen."]


def test_a_repair_that_takes_long_does_not_cost_the_lease(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Chroma hangs in the middle of one; the lease is renewed all the same, so nobody else begins to write."""
    stuck, go_on = threading.Event(), threading.Event()

    def count(_: str) -> int:
        stuck.set()
        assert go_on.wait(60)
        return 0

    def expires() -> float:
        with house.knowledge.ledger.read() as connection:
            return connection.execute(select(schema.leases.c.expires)).scalar_one()

    house.put("a.md", "The apple costs 1 yen.")
    monkeypatch.setattr(house.knowledge.vectors, "count", count)
    try:
        assert stuck.wait(30)
        for _ in range(2):
            before = expires()
            until(lambda before=before: expires() > before)
    finally:
        go_on.set()


def test_a_second_process_does_not_write(house: House) -> None:
    """While the lease is held by one that lives, nobody else gets it; a dead one's is free at once."""
    with house.knowledge.ledger.write() as connection:
        assert leases.acquire(connection, leases.new_holder()) is None
    house.close()
    house.open()
    assert house.put("a.md", "The apple costs 1 yen.")[0] == 1
