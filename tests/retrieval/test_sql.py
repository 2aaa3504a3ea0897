"""A SQL source: rows that change are found, rows that go are not, and nothing that fails removes what was there."""

import runpy
import sqlite3
import time
import tomllib
from collections.abc import Callable, Generator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import Engine, create_engine, text
from sqlalchemy.engine import make_url

from common.settings import FolderSource, SqlSource
from retrieval.ledger import documents, feeds
from retrieval.ledger.bases import get
from retrieval.ledger.feeds import Feed, File
from retrieval.sources import sql
from tests.retrieval.house import Chroma, House, someone, until

QUERY = "SELECT sku, name, price, updated_at, labels, valid_from, valid_until FROM products WHERE name <> ':gone'"
SAMPLE = Path(__file__).parents[2] / "examples" / "kitahama"
NOON = "2026-11-22 12:00:00"
TABLE = """CREATE TABLE products (sku VARCHAR(40), name VARCHAR(200), price NUMERIC(12, 2), updated_at TIMESTAMP,
           labels VARCHAR(200), valid_from TIMESTAMP, valid_until TIMESTAMP)"""


class Shop:
    """A product database and the service that polls it."""

    def __init__(self, house: House, engine: Engine) -> None:
        self.house, self.engine = house, engine

    def run(self, statement: str, **values: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(statement), values)

    def add(self, sku: str, name: str, price: float | None, at: str = NOON, **more: Any) -> None:
        row = {"labels": "public", "valid_from": None, "valid_until": None, **more}
        self.run(
            "INSERT INTO products VALUES (:sku, :name, :price, :at, :labels, :valid_from, :valid_until)",
            sku=sku, name=name, price=price, at=at, **row,
        )  # fmt: skip

    def price(self, sku: str, price: float | None, at: str = NOON) -> None:
        self.run("UPDATE products SET price = :price, updated_at = :at WHERE sku = :sku", sku=sku, price=price, at=at)

    def texts(self, **more: Any) -> set[str]:
        return set(self.house.texts("costs yen", **more))

    def soon(self, *expected: str) -> None:
        until(lambda: self.texts() == set(expected), 20)

    @property
    def watch(self) -> Any:
        return self.house.knowledge.sources[0]

    def feed(self) -> Feed:
        with self.house.knowledge.ledger.read() as connection:
            return feeds.get(connection, self.watch.principal, "shop")

    def failed(self) -> dict[str, str]:
        return {one.path: one.error or "" for one in self._counts()[1]}

    def published(self) -> int:
        """How many rows are published as they were last read."""
        with self.house.knowledge.ledger.read() as connection:
            known = feeds.files(connection, self.watch.principal, "shop")
        return sum(bool(file.digest) for file in known.values())

    def _counts(self) -> tuple[int, list[File]]:
        with self.house.knowledge.ledger.read() as connection:
            return feeds.counts(connection, self.watch.principal, "shop")


def source(url: str, **more: Any) -> SqlSource:
    given: dict[str, Any] = {
        "name": "shop", "kind": "sql", "knowledge": "kb", "url": url, "query": QUERY, "key": "sku",
        "cursor": "updated_at", "template": "The {name} costs {price:.0f} yen.", "title": "name",
        "labels_column": "labels", "effective_from": "valid_from", "effective_until": "valid_until", "interval": 0.05,
    }  # fmt: skip
    return SqlSource(**given | more)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def shop(request: pytest.FixtureRequest, tmp_path: Path, shared_chroma: Chroma) -> Generator[Shop]:
    """Products and ledger in SQLite, then both in PostgreSQL."""
    if request.param == "sqlite":
        url, ledger = f"sqlite:///{tmp_path / 'products.db'}", None
    else:
        url = ledger = request.getfixturevalue("database")
    parsed = make_url(url)
    engine = create_engine(parsed if ledger is None else parsed.set(drivername="postgresql+psycopg"))
    house = House(tmp_path / "home", shared_chroma.url, ledger)
    house.sources = [source(url)]
    shop = Shop(house, engine)
    shop.run(TABLE)
    shop.add("p/1", "apple", 100)
    shop.add("p/2", "banana", 200)
    house.open()
    until(lambda: not house.knowledge.missing())
    yield shop
    house.close()
    engine.dispose()


def test_rows_are_in_before_the_service_is_ready(shop: Shop) -> None:
    """A row is a document under its key, one chunk, with its title; nothing behind."""
    assert shop.texts() == {"The apple costs 100 yen.", "The banana costs 200 yen."}
    found = shop.house.search("costs yen")
    assert {(one.document, one.title) for one in found.evidence} == {("p/1", "apple"), ("p/2", "banana")}
    assert (shop.feed().status, shop.watch.lag) == ("watching", 0.0)


def test_a_changed_price_is_in_a_new_questions_snapshot(shop: Shop) -> None:
    """The old one is gone from it, and still there as of before."""
    before = shop.house.head
    shop.price("p/1", 120, at="2026-11-22 12:00:01")
    shop.soon("The apple costs 120 yen.", "The banana costs 200 yen.")
    assert shop.house.head == before + 1
    assert "The apple costs 100 yen." in shop.texts(as_of=before)


def test_rows_with_the_same_timestamp_are_not_lost(shop: Shop) -> None:
    """Nor one whose timestamp is below what was seen, as a long transaction commits it."""
    shop.price("p/1", 110, at=NOON)
    shop.soon("The apple costs 110 yen.", "The banana costs 200 yen.")
    shop.price("p/1", 111, at=NOON)
    shop.add("p/3", "cherry", 300, at=NOON)
    shop.add("p/4", "date", 400, at="2020-01-01 00:00:00")
    shop.soon("The apple costs 111 yen.", "The banana costs 200 yen.", "The cherry costs 300 yen.",
              "The date costs 400 yen.")  # fmt: skip


def test_the_quick_look_alone_finds_rows_with_the_highest_timestamp(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The whole look is put off for good: a changed row and a new one with the very time that was seen last."""
    monkeypatch.setattr(sql, "_SHARE", 1e9)
    shop.watch.sync()
    until(lambda: shop.watch._whole_due > time.monotonic() + 1000 and shop.published() == 2)
    shop.price("p/1", 110, at=NOON)
    shop.add("p/3", "cherry", 300, at=NOON)
    shop.soon("The apple costs 110 yen.", "The banana costs 200 yen.", "The cherry costs 300 yen.")


def test_a_row_without_a_change_of_its_cursor_is_found_by_the_whole_look(shop: Shop) -> None:
    """Somebody forgot to touch `updated_at`, and NULL is no cursor at all."""
    shop.run("UPDATE products SET price = 7, updated_at = NULL WHERE sku = 'p/1'")
    shop.soon("The apple costs 7 yen.", "The banana costs 200 yen.")


def test_a_removed_row_is_not_found(shop: Shop) -> None:
    """Nor one that the query leaves out now."""
    shop.add("p/3", "cherry", 300)
    shop.soon("The apple costs 100 yen.", "The banana costs 200 yen.", "The cherry costs 300 yen.")
    shop.run("DELETE FROM products WHERE sku = 'p/2'")
    shop.run("UPDATE products SET name = :name WHERE sku = 'p/3'", name=":gone")
    shop.soon("The apple costs 100 yen.")


def test_a_restart_embeds_nothing_again_and_finds_what_changed_meanwhile(shop: Shop) -> None:
    """Deletions too."""
    shop.house.close()
    shop.add("p/3", "cherry", 300)
    shop.run("DELETE FROM products WHERE sku = 'p/2'")
    shop.house.embedder.embedded.clear()
    shop.house.open()
    shop.soon("The apple costs 100 yen.", "The cherry costs 300 yen.")
    assert len(shop.house.embedder.embedded) == 1


def test_a_row_that_fails_keeps_what_was_there_and_blocks_no_other(shop: Shop) -> None:
    """Each says why; once it is right it is published."""
    shop.price("p/1", None)
    shop.add("p/3", "cherry", 300)
    shop.add("p/4", "date", 400, labels="*")
    shop.add("p/5", "elder", 500, valid_from="2027-01-01 00:00:00", valid_until="2026-01-01 00:00:00")
    shop.run("INSERT INTO products (sku, name, price, updated_at) VALUES (NULL, 'fig', 600, :at)", at=NOON)
    shop.run(
        "INSERT INTO products (sku, name, price, updated_at, labels) VALUES ('p/6', 'grape', 600, :at, 'public'), "
        "('p/6', 'guava', 601, :at, 'public')",
        at=NOON,
    )
    shop.soon("The apple costs 100 yen.", "The banana costs 200 yen.", "The cherry costs 300 yen.")
    failed = until(lambda: len(found := shop.failed()) == 5 and found)
    assert failed.keys() == {"p/1", "p/4", "p/5", "(no key)", "p/6"}
    assert "price" in failed["p/1"]
    assert "more than one row" in failed["p/6"]
    shop.price("p/1", 130)
    until(lambda: "The apple costs 130 yen." in shop.texts())
    until(lambda: "p/1" not in shop.failed())


def test_a_row_that_the_embedder_refuses_holds_up_no_other(shop: Shop) -> None:
    """They were one publication, and are tried one by one."""
    passages = shop.house.embedder.passages

    def refuse(texts: Any) -> Any:
        if any("poison" in one for one in texts):
            raise RuntimeError("refused, as ordered")
        return passages(texts)

    shop.house.embedder.passages = refuse  # type: ignore[method-assign]
    shop.run(
        "INSERT INTO products (sku, name, price, updated_at, labels) VALUES ('p/3', 'poison', 1, :at, 'public'), "
        "('p/4', 'date', 400, :at, 'public')",
        at=NOON,
    )
    shop.soon("The apple costs 100 yen.", "The banana costs 200 yen.", "The date costs 400 yen.")
    until(lambda: shop.failed().keys() == {"p/3"})


def test_a_table_that_turns_empty_or_shrinks_is_held_until_somebody_says_so(shop: Shop) -> None:
    """What was there keeps answering; what is added goes on."""
    for n in range(8):
        shop.add(f"q/{n}", f"item {n}", n)
    until(lambda: len(shop.texts()) == 10)
    shop.run("DELETE FROM products")
    until(lambda: shop.feed().status == "held")
    assert len(shop.texts()) == 10
    assert shop.watch.lag > 0
    shop.add("p/1", "apple", 101)
    until(lambda: "The apple costs 101 yen." in shop.texts())
    assert len(shop.texts()) == 10
    shop.watch.release()
    shop.soon("The apple costs 101 yen.")
    until(lambda: shop.feed().status == "watching")
    assert shop.watch.lag == 0


def test_a_database_that_fails_removes_nothing_and_comes_back(shop: Shop) -> None:
    """The table is away, then there again with another price."""
    shop.run("ALTER TABLE products RENAME TO hidden")
    until(lambda: shop.feed().status == "failing")
    error = shop.feed().error or ""
    assert "does not answer" in error
    assert "products" not in error
    assert len(shop.texts()) == 2
    assert shop.house.knowledge.missing() == []
    shop.run("ALTER TABLE hidden RENAME TO products")
    shop.price("p/1", 140)
    shop.soon("The apple costs 140 yen.", "The banana costs 200 yen.")
    until(lambda: shop.feed().status == "watching")


def test_a_database_file_that_turns_to_garbage_removes_nothing(shop: Shop) -> None:
    """The operator is told; the old snapshot answers, and once the file is whole again its changes come."""
    if shop.engine.dialect.name != "sqlite":
        pytest.skip("only SQLite's database is a file that somebody may write over")
    shop.engine.dispose()
    file, head = Path(shop.engine.url.database or ""), shop.house.head
    good = file.read_bytes()
    file.write_bytes(b"garbage " * 1000)
    until(lambda: shop.feed().status == "failing")
    assert "does not answer" in (shop.feed().error or "")
    assert (shop.texts(), shop.house.head) == ({"The apple costs 100 yen.", "The banana costs 200 yen."}, head)
    file.write_bytes(good)
    shop.price("p/1", 141)
    shop.soon("The apple costs 141 yen.", "The banana costs 200 yen.")


def test_labels_of_a_row_decide_who_reads_it(shop: Shop) -> None:
    """A change of them alone holds at once; NULL opens the row to nobody."""
    public, staff = someone("default", "public"), someone("default", "staff")
    shop.run("UPDATE products SET labels = 'staff, board' WHERE sku = 'p/1'")
    until(lambda: shop.texts(me=staff) == {"The apple costs 100 yen."})
    assert shop.texts(me=public) == {"The banana costs 200 yen."}
    shop.run("UPDATE products SET labels = NULL WHERE sku = 'p/2'")
    until(lambda: shop.texts(me=public) == set())


def test_a_row_applies_between_its_dates(shop: Shop) -> None:
    """Next year's price is published today and decides at the question's clock."""
    shop.add("p/1 next", "apple next", 150, valid_from="2031-01-01 00:00:00")
    shop.run("UPDATE products SET valid_until = '2031-01-01 00:00:00' WHERE sku = 'p/1'")
    until(lambda: shop.texts(as_of="2031-06-01T00:00:00Z") == {"The apple next costs 150 yen.",
                                                               "The banana costs 200 yen."})  # fmt: skip
    assert shop.texts() == {"The apple costs 100 yen.", "The banana costs 200 yen."}


def test_a_paused_source_publishes_afterwards_and_a_sync_reads_all_again(shop: Shop) -> None:
    """What is unchanged makes no snapshot."""
    shop.watch.pause(True)
    until(lambda: shop.feed().status == "paused")
    shop.price("p/1", 160)
    shop.house.reopen()
    assert shop.feed().paused
    assert "The apple costs 100 yen." in shop.texts()
    shop.watch.pause(False)
    shop.soon("The apple costs 160 yen.", "The banana costs 200 yen.")
    head = shop.house.head
    shop.watch.sync()
    until(lambda: shop.published() == 2)
    assert shop.house.head == head


def test_what_one_look_finds_becomes_one_snapshot(shop: Shop) -> None:
    """So two prices that change in one transaction never stand beside each other's past."""
    before = shop.house.head
    shop.run("UPDATE products SET price = price + 1, updated_at = '2026-11-23 00:00:00'")
    shop.soon("The apple costs 101 yen.", "The banana costs 201 yen.")
    assert shop.house.head == before + 1


def test_a_large_table_comes_in_whole(shop: Shop) -> None:
    """More rows than one snapshot takes, with one timestamp."""
    with shop.engine.begin() as connection:
        for n in range(100):
            row = {"sku": f"r{n}", "name": f"thing {n}", "at": NOON}
            connection.execute(
                text("INSERT INTO products (sku, name, price, updated_at, labels) VALUES (:sku, :name, 5, :at, '')"),
                row,
            )

    def count() -> int:
        with shop.house.knowledge.ledger.read() as connection:
            base = get(connection, shop.house.me, "kb")
            return len(documents.page(connection, shop.house.me, base, "", 1000)[0])

    until(lambda: count() == 102)


def _second(shop: Shop, do: Callable[[House], None], *sources: Any) -> None:
    shop.house.close()
    shop.house.sources = list(sources)
    shop.house.open()
    until(lambda: not shop.house.knowledge.missing())
    do(shop.house)


def test_a_database_that_is_not_there_blocks_no_other_source(shop: Shop, tmp_path: Path) -> None:
    """Nor the start; and no file is made where SQLite's should be."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "pear.md").write_text("The pear costs 9 yen.")
    missing = tmp_path / "nowhere.db"

    def check(house: House) -> None:
        assert "The pear costs 9 yen." in house.texts("costs yen")
        assert "The apple costs 100 yen." in house.texts("costs yen")
        until(lambda: shop.feed().status == "failing")
        assert not missing.exists()

    _second(shop, check, source(f"sqlite:///{missing}"),
            FolderSource(name="docs", kind="folder", knowledge="kb", path=tmp_path / "folder"))  # fmt: skip


@pytest.mark.parametrize(
    ("more", "told"),
    [({"key": "nothing"}, "no column 'nothing'"), ({"template": "{colour}"}, "no column 'colour'"),
     ({"query": "SELEKT 1"}, "refuses the query")],
)  # fmt: skip
def test_a_wrong_query_says_what_is_wrong(shop: Shop, more: dict[str, str], told: str) -> None:
    """And removes nothing."""

    def check(house: House) -> None:
        assert told in (until(lambda: shop.feed().status == "failing" and shop.feed().error) or "")
        assert len(house.texts("costs yen")) == 2

    _second(shop, check, source(shop.house.sources[0].url, **more))


@pytest.mark.parametrize("template", ["no column", "{}", "{name.__class__}", "{name[0]}", "{name!r}", "{name"])
def test_a_template_that_names_no_columns_is_refused_with_the_settings(template: str) -> None:
    """Attributes, items and conversions of a value are not for a template."""
    with pytest.raises(ValidationError):
        source("sqlite://", template=template)


def test_a_row_is_never_cut(shop: Shop) -> None:
    """However long: it is one fact."""
    shop.add("p/3", "very " * 30 + "\n\nlong", 300)
    found = until(lambda: [t for t in shop.texts() if "very" in t])
    assert len(found) == 1


def test_a_changed_price_of_the_samples_table_is_in_a_new_questions_snapshot(
    tmp_path: Path, shared_chroma: Chroma
) -> None:
    """The source as groundtone.toml has it, on a table of this test's own; a row's timestamp keeps itself."""
    products = tmp_path / "products.db"
    runpy.run_path(str(SAMPLE / "make_products.py"))["main"](products)
    configured = tomllib.loads((SAMPLE.parents[1] / "groundtone.toml").read_text(encoding="utf-8"))["sources"]
    ours = next(one for one in configured if one["kind"] == "sql")
    house = House(tmp_path / "home", shared_chroma.url)
    house.sources = [SqlSource(**{**ours, "url": f"sqlite:///{products}"})]
    house.open()
    until(lambda: not house.knowledge.missing())
    before = house.search("fee of the Pilot Tax Class", kb="kitahama")
    assert before.evidence[0].text == "The fee of the Pilot Tax Class is 19,800 yen; it lasts 60 minutes."
    with closing(sqlite3.connect(products)) as database, database:
        database.execute("UPDATE products SET price = 21000 WHERE sku = 'classes/pilot-tax'")
    now = until(
        lambda: (
            (found := house.search("fee of the Pilot Tax Class", kb="kitahama")).snapshot > before.snapshot and found
        )
    )
    assert now.evidence[0].text == "The fee of the Pilot Tax Class is 21,000 yen; it lasts 60 minutes."
    house.close()


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_sqlite_file_is_looked_at_as_soon_as_it_is_written_to(
    journal: str, tmp_path: Path, shared_chroma: Chroma
) -> None:
    """However long the interval is, and wherever SQLite writes first."""
    shop = Shop(House(tmp_path / "home", shared_chroma.url), create_engine(f"sqlite:///{tmp_path / 'products.db'}"))
    shop.house.sources = [source(f"sqlite:///{tmp_path / 'products.db'}", interval=3600)]
    with shop.engine.connect() as connection:
        connection.execute(text(f"PRAGMA journal_mode={journal}"))
    shop.run(TABLE)
    shop.add("p/1", "apple", 100)
    shop.house.open()
    until(lambda: not shop.house.knowledge.missing())
    for seconds, price in enumerate((120, 140), 1):
        shop.price("p/1", price, at=f"2026-11-22 12:00:{seconds:02}")
        shop.soon(f"The apple costs {price} yen.")
    shop.house.close()
    shop.engine.dispose()


def test_the_samples_table_is_what_its_script_writes(tmp_path: Path) -> None:
    """Row by row and view by view."""
    runpy.run_path(str(SAMPLE / "make_products.py"))["main"](tmp_path / "products.db")
    dumps: list[list[str]] = []
    for file in (tmp_path / "products.db", SAMPLE / "products.db"):
        with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as database:
            dumps.append(list(database.iterdump()))
    assert dumps[0] == dumps[1]
