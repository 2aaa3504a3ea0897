"""Writes products.db, the sample firm's product table, from products.sql, anew each time.

python examples/kitahama/make_products.py [FILE]
"""

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

HERE = Path(__file__).parent


def main(file: Path) -> None:
    file.unlink(missing_ok=True)
    with closing(sqlite3.connect(file)) as database:
        database.executescript((HERE / "products.sql").read_text(encoding="utf-8"))
    print(f"wrote {file.name}")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "products.db")
