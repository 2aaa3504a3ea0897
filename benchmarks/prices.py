"""How long until a price that changes in the sample firm's product table is what a new question is answered from.

    python -m benchmarks.prices [--changes 40] [--write]

The sample's product table, polled as `groundtone.toml` says, with the bundled embedder and the exact search, in this
process; nothing else is ingested meanwhile. The clock starts when the transaction that changes the price
has been committed, and stops when a new question's evidence has the new price; one is asked every 20 ms.
"""

import argparse
import runpy
import sqlite3
import tempfile
import time
import tomllib
from contextlib import closing
from pathlib import Path

from benchmarks.stack import ROOT, bootstrap, machine, median, percentile, publish
from common.principal import Principal, Scope
from common.settings import Embedder, SqlSource
from retrieval.embed import open_embedder
from retrieval.knowledge import Knowledge
from retrieval.ledger.database import Ledger
from retrieval.vectors import Vectors

SAMPLE = ROOT / "examples" / "kitahama"
ME = Principal("default", "k_bench", frozenset({"*"}), frozenset(Scope))
GIVE_UP = 30.0
PAUSE = 0.02  # one who asks without a pause holds a core that the change needs


def source(products: Path) -> SqlSource:
    """The one of groundtone.toml, with a product table of this benchmark's own."""
    configured = tomllib.loads((ROOT / "groundtone.toml").read_text(encoding="utf-8"))["sources"]
    sql = next(one for one in configured if one["kind"] == "sql")
    return SqlSource(**{**sql, "url": f"sqlite:///{products}"})


def until_fresh(knowledge: Knowledge, price: int) -> float:
    """Seconds until a question is answered from `price`."""
    began = time.perf_counter()
    while time.perf_counter() - began < GIVE_UP:
        found = knowledge.search.search(ME, ["kitahama"], "What is the fee of the Pilot Tax Class?", top_k=1)
        if f"{price:,} yen" in found.evidence[0].text:
            return time.perf_counter() - began
        time.sleep(PAUSE)
    raise SystemExit(f"the price {price} did not come within {GIVE_UP:g} s")


def measure(home: Path, changes: int) -> list[float]:
    products = home / "products.db"
    runpy.run_path(str(SAMPLE / "make_products.py"))["main"](products)
    ledger = Ledger(f"sqlite:///{home / 'ledger.db'}")
    ledger.migrate()
    nowhere = Vectors("http://127.0.0.1:9")  # nobody listens there: every search is exact
    knowledge = Knowledge(ledger, open_embedder(Embedder()), nowhere, home, [source(products)])
    knowledge.start()
    while knowledge.missing():
        time.sleep(0.1)
    taken: list[float] = []
    for n in range(changes):
        price = 30_000 + 100 * n
        with closing(sqlite3.connect(products)) as database, database:
            database.execute("UPDATE products SET price = ? WHERE sku = 'classes/pilot-tax'", [price])
        taken.append(until_fresh(knowledge, price))
    knowledge.close()
    return taken


def report(taken: list[float]) -> str:
    p50 = bootstrap(taken, median)
    p99 = bootstrap(taken, lambda drawn: percentile(drawn, 0.99))
    return "\n".join(
        [
            "# A changed price",
            "",
            f"`python -m benchmarks.prices --changes {len(taken)}` on {machine()}; the sample's product table, the "
            "bundled embedder, exact search. Brackets are 95 % bootstrap bounds.",
            "",
            "| from → to | n | p50, s | p99, s | slowest, s |",
            "| --- | --- | --- | --- | --- |",
            f"| the price is committed → a new question is answered from it | {len(taken)} | {p50.text()} | "
            f"{p99.text()} | {max(taken):.2f} |",
        ]
    )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.prices")
    parser.add_argument("--changes", type=int, default=40)
    parser.add_argument("--write", action="store_true", help="keep the report in benchmarks/results/")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="groundtone-prices-") as home:
        publish("prices", report(measure(Path(home), options.changes)) + "\n", options.write)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
