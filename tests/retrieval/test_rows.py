"""Rows as databases really hold them: cursors that go back, values that Python can't read, rows that come back."""

import time

import pytest

from retrieval.sources import sql
from tests.retrieval import test_sql
from tests.retrieval.house import until
from tests.retrieval.test_sql import NOON, Shop

shop = test_sql.shop


def test_a_cursor_that_goes_back_is_followed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The table came from a backup: after one whole look the quick one finds what changes below the old times."""
    monkeypatch.setattr(sql, "_SHARE", 1e9)
    shop.run("UPDATE products SET updated_at = '2020-01-01 00:00:00'")
    shop.watch.sync()
    until(lambda: shop.watch._whole_due > time.monotonic() + 1000 and shop.published() == 2)
    shop.price("p/1", 110, at="2020-01-02 00:00:00")
    shop.soon("The apple costs 110 yen.", "The banana costs 200 yen.")


def test_a_value_that_python_cannot_read_is_its_rows_alone(shop: Shop) -> None:
    """SQLite's bytes that are no text, times of two kinds, milliseconds; PostgreSQL's `infinity`, which is no end."""
    if shop.engine.dialect.name == "sqlite":
        insert = "INSERT INTO products (sku, name, price, updated_at, labels, valid_until) VALUES "
        shop.run(insert + "('q/1', CAST(x'8367' AS TEXT), 1, :at, 'public', NULL)", at=NOON)
        shop.run(insert + "(CAST(x'8367' AS TEXT), 'fig', 1, :at, 'public', NULL)", at=NOON)
        shop.run(insert + "('q/2', 'elder', 1, :at, 'public', 1767225600000000)", at=NOON)
        shop.run(insert + "('q/3', 'cherry', 300, 5, 'public', NULL)")
        bad = {"q/1", "\\udc83g", "q/2"}
    else:
        shop.add("q/3", "cherry", 300, valid_from="-infinity", valid_until="infinity")
        bad = set[str]()
    shop.price("p/1", 120)
    shop.soon("The apple costs 120 yen.", "The banana costs 200 yen.", "The cherry costs 300 yen.")
    until(lambda: shop.failed().keys() == bad)
    until(lambda: shop.feed().status == "watching")


def test_a_sync_removes_what_a_restore_brought_back(shop: Shop) -> None:
    """And only that: the table is what the source has."""
    before = shop.house.head
    shop.run("DELETE FROM products WHERE sku = 'p/2'")
    shop.soon("The apple costs 100 yen.")
    shop.house.knowledge.publisher.restore(shop.house.me, before, None).result(30)
    assert len(shop.texts()) == 2
    shop.watch.sync()
    shop.soon("The apple costs 100 yen.")
