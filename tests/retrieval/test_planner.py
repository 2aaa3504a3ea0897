"""What one change, question or step back costs doesn't grow with what else the ledger holds."""

import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from common.settings import Retention
from retrieval.ledger import bases, documents
from retrieval.ledger.planner import LARGE
from tests.retrieval.house import Chroma, House

_TABLES = "|".join(LARGE)
_READS_ALL = re.compile(rf"SCAN (?:{_TABLES})\b|(?:{_TABLES}) .*\(tenant=\?(?: AND fingerprint=\?)?\)")
_COUNTS = re.compile(r"SELECT count\(|SELECT max\(")
"""What counts all there is, or looks at its end: seldom, beside questions and changes."""


@pytest.fixture
def house(tmp_path: Path, shared_chroma: Chroma) -> Generator[House]:
    house = House(tmp_path, shared_chroma.url)
    house.open()
    house.base()
    yield house
    house.close()


def page(edition: int) -> str:
    return "# Fees\n\n" + "".join(f"- The fee of service {n} is {n + edition} yen a year.\n" for n in range(30))


def test_nothing_is_looked_for_among_all_chunks(house: House) -> None:
    """By SQLite's own plan of every statement of a document's life: of a document's fifty chunks, not of its tenant's.

    Without what planner.py tells it, it finds thirty chunks by reading every one of their tenant.
    """
    said: dict[str, Any] = {}

    def note(_connection: Any, _cursor: Any, statement: str, parameters: Any, _context: Any, many: bool) -> None:
        said.setdefault(statement, parameters[0] if many else parameters)

    engine = house.knowledge.ledger.engine
    event.listen(engine, "before_cursor_execute", note)
    _, then = house.put("fees.md", page(0))
    house.put("fees.md", page(1))
    house.search("the fee of service 7", as_of=then)
    with house.knowledge.ledger.read() as connection:
        documents.get(connection, house.me, bases.get(connection, house.me, "kb"), "fees.md")
    house.knowledge.publisher.restore(house.me, then or 0, None).result(30)
    house.put("fees.md", None)
    house.put("other.md", page(2))
    house.knowledge.publisher.retain(house.me, Retention(snapshots=1)).result(60)
    event.remove(engine, "before_cursor_execute", note)

    asked = [one for one in said if one.split()[0] in ("SELECT", "UPDATE", "DELETE") and not _COUNTS.match(one)]
    assert any("chunks.id IN" in one for one in asked)
    with house.knowledge.ledger.read() as connection:
        for statement in asked:
            plan = [row[3] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", said[statement])]
            assert not [step for step in plan if _READS_ALL.search(step)], (statement, plan)
