"""A writer that dies at any step leaves the state before or the state after, and indexes that agree with the ledger."""

import subprocess
import sys
from pathlib import Path

import pytest

from common.errors import KnowledgeUnavailable
from retrieval.ledger import embeddings, leases
from retrieval.ledger.chunks import all_seqs, names
from tests.retrieval.crash import NAME, STEPS
from tests.retrieval.house import Chroma, House

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
        knowledge = house.open()
        assert set(house.texts("costs yen")) == (OLD if step in UNSTAGED else NEW)
        assert set(house.texts("costs yen", as_of=2)) == OLD
        with knowledge.ledger.read() as connection:
            chunks = names(connection, house.me, all_seqs(connection, house.me))
            collection = embeddings.collection_of(connection, house.me, house.embedder.fingerprint) or ""
            placed = embeddings.placed(connection, house.me, house.embedder.fingerprint, collection)
        assert knowledge.terms.holds(chunks) == chunks.keys()
        assert knowledge.vectors.present(collection, placed) == set(placed)
        house.put("a.md", "The apple costs 3 yen.")
        assert set(house.texts("costs yen")) == {"The apple costs 3 yen.", "The banana costs 1 yen."}
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


def test_a_second_process_does_not_write(house: House) -> None:
    """While the lease is held by one that lives, nobody else gets it; a dead one's is free at once."""
    with house.knowledge.ledger.write() as connection:
        assert leases.acquire(connection, leases.new_holder()) is None
    house.close()
    house.open()
    assert house.put("a.md", "The apple costs 1 yen.")[0] == 1
