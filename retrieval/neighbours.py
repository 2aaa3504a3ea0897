"""Neighbours: the allowed vectors nearest to a question.

Exact search over the allowed vectors is the reference, and is what small sets, the past and an absent Chroma get.
Chroma only speeds up large open sets: it is asked for more than is wanted, what may not be seen is left out here, and
where too little is left, exact search answers. So a label never costs a neighbour, and Chroma never learns of labels.
"""

import numpy as np
from numpy.typing import NDArray

from retrieval.catalog import OPEN, Catalog
from retrieval.vectors import Vectors, VectorsUnavailable

Vector = NDArray[np.float32]
Rows = NDArray[np.int64]

EXACT_UP_TO = 20_000
"""Allowed rows: below, multiplying them all takes less time than asking Chroma."""
OVER_FETCH = 4
"""Times as many are asked of Chroma as are wanted."""
TRUSTED = 2
"""Times as many whose order is trusted. The nearest are found well, what lies far behind them is not: where a whole
topic may not be read, Chroma's best of the rest were seen to lack eight of the ten nearest."""


class Neighbours:
    """Nearest allowed rows of a tenant's catalog. Blocking and thread-safe."""

    def __init__(self, vectors: Vectors, exact_up_to: int = EXACT_UP_TO) -> None:
        self._vectors = vectors
        self._exact_up_to = exact_up_to

    def near(
        self, catalog: Catalog, asked: Vector, rows: Rows, count: int, collection: str | None = None
    ) -> dict[int, float]:
        """The `count` of `rows` nearest to `asked`, shape `(d,)`, with their cosines, the nearest first.

        `collection` is Chroma's for the head; None, as for the past, means exact search.
        """
        if collection and len(rows) > self._exact_up_to:
            found = self._fetched(catalog, asked, rows, count, collection)
            if len(found) >= count:
                return found
        return exact(catalog, asked, rows, count)

    def _fetched(self, catalog: Catalog, asked: Vector, rows: Rows, count: int, collection: str) -> dict[int, float]:
        """Those of `rows` that Chroma finds, and exactly those that it is not known to find. Nothing without it."""
        try:
            answer = self._vectors.query(collection, [asked], OVER_FETCH * count)[0]
        except VectorsUnavailable:
            return {}
        placed = catalog.placed
        fetched = [row for key in answer if (row := catalog.keys.get(key, len(placed))) < len(placed)]
        vector_of = catalog.column("vector")[rows]
        rows, vector_of = rows[vector_of >= 0], vector_of[vector_of >= 0]
        trusted, candidate = np.zeros(len(placed), dtype=np.bool_), ~placed
        trusted[fetched[: TRUSTED * count]] = candidate[fetched] = True
        if int(trusted[vector_of].sum()) < count:
            living = catalog.column("vector")[catalog.column("last") == OPEN]
            catalog.crowded_out += 2 * int(np.isin(fetched, living).sum()) < len(fetched)
            return {}
        return exact(catalog, asked, rows[candidate[vector_of]], count)


def exact(catalog: Catalog, asked: Vector, rows: Rows, count: int) -> dict[int, float]:
    """The `count` rows nearest to `asked` by cosine, computed for every one of `rows`."""
    vector_of = catalog.column("vector")[rows]
    rows, vector_of = rows[vector_of >= 0], vector_of[vector_of >= 0]
    vectors = catalog.matrix.vectors
    few = 2 * len(rows) < len(vectors)  # gathering most rows costs more than multiplying all
    cosines = vectors[vector_of] @ asked if few else (vectors @ asked)[vector_of]
    best = np.argsort(-cosines, kind="stable")[:count] if len(rows) <= 4 * count else _top(cosines, count)
    return {int(rows[i]): float(cosines[i]) for i in best}


def _top(cosines: NDArray[np.float32], count: int) -> NDArray[np.int64]:
    some = np.argpartition(-cosines, count)[:count]
    return some[np.argsort(-cosines[some], kind="stable")]
