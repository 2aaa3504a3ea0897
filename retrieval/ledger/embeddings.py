"""Embeddings: each text's vector, kept for good, so that nothing is embedded twice and every index can be rebuilt."""

import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import ColumnElement, Connection, and_, exists, func, select, update

from common.principal import Principal
from retrieval.ledger.database import batches, insert_missing
from retrieval.ledger.schema import chunks, collections, embedders, embeddings, visibility

Vector = NDArray[np.float32]
NOWHERE = ""
"""In place of a collection's name: it was left behind by one, and is not worth adding until somebody sees it."""


def of_chunk(fingerprint: str) -> ColumnElement[bool]:
    """Whether a vector is a chunk's, by this embedder: what joins the two."""
    return and_(
        embeddings.c.tenant == chunks.c.tenant,
        embeddings.c.digest == chunks.c.embedded,
        embeddings.c.fingerprint == fingerprint,
    )


def _mine(principal: Principal, fingerprint: str) -> ColumnElement[bool]:
    return (embeddings.c.tenant == principal.tenant) & (embeddings.c.fingerprint == fingerprint)


def missing(connection: Connection, principal: Principal, fingerprint: str, seqs: Sequence[int]) -> dict[str, int]:
    """Of these chunks, the digests of texts without a vector, each with one chunk that has the text."""
    wanted: dict[str, int] = {}
    for some in batches(seqs):
        mine = (chunks.c.tenant == principal.tenant) & chunks.c.seq.in_(some)
        query = select(chunks.c.embedded, chunks.c.seq).where(mine, ~exists().where(of_chunk(fingerprint)))
        wanted |= {row.embedded: row.seq for row in connection.execute(query)}
    return wanted


def add(connection: Connection, principal: Principal, fingerprint: str, vectors: Mapping[str, Vector]) -> None:
    rows = [
        {"tenant": principal.tenant, "fingerprint": fingerprint, "digest": digest, "vector": encode(vector)}
        for digest, vector in vectors.items()
    ]
    insert_missing(connection, embeddings, rows)


def unplaced(
    connection: Connection, principal: Principal, fingerprint: str, collection: str, limit: int
) -> dict[str, Vector]:
    """Up to `limit` vectors that `collection` is not known to find by themselves, newest first: the exact tail."""
    mine = _mine(principal, fingerprint)
    where = embeddings.c.collection
    found: dict[str, Vector] = {}
    elsewhere_named = ((where > NOWHERE) & (where < collection), where > collection)
    for elsewhere in (where.is_(None), *elsewhere_named):  # each of them a range of the index
        query = select(embeddings.c.digest, embeddings.c.vector).where(mine, elsewhere)
        rows = connection.execute(query.order_by(embeddings.c.seq.desc()).limit(limit - len(found)))
        found |= {row.digest: decode(row.vector) for row in rows}
    return found


def unplaced_of(
    connection: Connection, principal: Principal, fingerprint: str, collection: str, seqs: Sequence[int]
) -> dict[str, Vector]:
    """Of the vectors of these chunks, those that `collection` is not known to find by themselves."""
    found: dict[str, Vector] = {}
    for some in batches(seqs):
        query = (
            select(embeddings.c.digest, embeddings.c.vector)
            .join(chunks, (chunks.c.embedded == embeddings.c.digest) & (chunks.c.tenant == embeddings.c.tenant))
            .where(chunks.c.tenant == principal.tenant, chunks.c.seq.in_(some))
            .where(embeddings.c.fingerprint == fingerprint)
            .where(func.coalesce(embeddings.c.collection, "") != collection)
        )
        found |= {row.digest: decode(row.vector) for row in connection.execute(query)}
    return found


def place(
    connection: Connection, principal: Principal, fingerprint: str, digests: Sequence[str], collection: str | None
) -> None:
    """Notes that `collection` finds these vectors, or with None that it lost them."""
    for some in batches(digests):
        those = _mine(principal, fingerprint) & embeddings.c.digest.in_(some)
        connection.execute(update(embeddings).where(those).values(collection=collection))


def count_placed(connection: Connection, principal: Principal, fingerprint: str, collection: str) -> int:
    """How many vectors `collection` is known to hold."""
    held = _mine(principal, fingerprint) & (embeddings.c.collection == collection)
    return connection.execute(select(func.count()).select_from(embeddings).where(held)).scalar_one()


def placed(connection: Connection, principal: Principal, fingerprint: str, collection: str) -> list[str]:
    """The digests of the vectors that `collection` is known to hold."""
    held = _mine(principal, fingerprint) & (embeddings.c.collection == collection)
    return list(connection.execute(select(embeddings.c.digest).where(held)).scalars())


def sample(
    connection: Connection, principal: Principal, fingerprint: str, collection: str, count: int
) -> dict[str, Vector]:
    """Some of the vectors that `collection` is known to hold: the oldest and the newest."""
    held = _mine(principal, fingerprint) & (embeddings.c.collection == collection)
    query = select(embeddings.c.digest, embeddings.c.vector).where(held)
    found: dict[str, Vector] = {}
    for order in (embeddings.c.seq, embeddings.c.seq.desc()):
        rows = connection.execute(query.order_by(order).limit(count // 2))
        found |= {row.digest: decode(row.vector) for row in rows}
    return found


def live(
    connection: Connection, principal: Principal, fingerprint: str, after: int, until: int, limit: int
) -> list[tuple[int, str, Vector]]:
    """Up to `limit` vectors of chunks that are visible now, numbered from above `after` to `until`, in order."""
    shown = (
        exists()
        .where(chunks.c.tenant == embeddings.c.tenant, chunks.c.embedded == embeddings.c.digest)
        .where(visibility.c.chunk == chunks.c.seq, visibility.c.last.is_(None))
    )
    query = (
        select(embeddings.c.seq, embeddings.c.digest, embeddings.c.vector)
        .where(_mine(principal, fingerprint), shown)
        .where(embeddings.c.seq > after, embeddings.c.seq <= until)
        .order_by(embeddings.c.seq)
        .limit(limit)
    )
    return [(row.seq, row.digest, decode(row.vector)) for row in connection.execute(query)]


def newest(connection: Connection, principal: Principal, fingerprint: str) -> int:
    """The number of the newest vector, 0 where there is none."""
    return connection.execute(select(func.max(embeddings.c.seq)).where(_mine(principal, fingerprint))).scalar() or 0


def move(connection: Connection, principal: Principal, fingerprint: str, old: str, fresh: str, until: int) -> None:
    """Makes `fresh` the collection that serves. What only `old` holds is NOWHERE, as nobody sees it; what came after
    number `until` is to be added."""
    mine = _mine(principal, fingerprint)
    left = update(embeddings).where(mine, embeddings.c.collection == old)
    connection.execute(left.where(embeddings.c.seq > until).values(collection=None))
    connection.execute(left.values(collection=NOWHERE))
    pointer = (collections.c.tenant == principal.tenant) & (collections.c.fingerprint == fingerprint)
    connection.execute(update(collections).where(pointer).values(name=fresh, created=time.time()))


def since(
    connection: Connection, principal: Principal, fingerprint: str, after: int
) -> Iterator[tuple[int, str, bool, Vector]]:
    """Number, digest, whether Chroma finds it, and vector of each embedding numbered after `after`, in order."""
    query = select(embeddings.c.seq, embeddings.c.digest, embeddings.c.collection, embeddings.c.vector).where(
        _mine(principal, fingerprint), embeddings.c.seq > after
    )
    for row in connection.execute(query.order_by(embeddings.c.seq)):
        yield row.seq, row.digest, bool(row.collection), decode(row.vector)


def collection_of(connection: Connection, principal: Principal, fingerprint: str) -> str | None:
    """The name of the collection that serves this tenant's vectors now."""
    mine = (collections.c.tenant == principal.tenant) & (collections.c.fingerprint == fingerprint)
    return connection.execute(select(collections.c.name).where(mine)).scalar()


def set_collection(connection: Connection, principal: Principal, fingerprint: str, name: str) -> None:
    row = {"tenant": principal.tenant, "fingerprint": fingerprint, "name": name, "created": time.time()}
    insert_missing(connection, collections, [row])


def register_embedder(connection: Connection, fingerprint: str, dimension: int) -> None:
    """Makes this embedder the current one."""
    connection.execute(update(embedders).values(current=False))
    row = {"fingerprint": fingerprint, "dimension": dimension, "current": True, "created": time.time()}
    insert_missing(connection, embedders, [row])
    connection.execute(update(embedders).where(embedders.c.fingerprint == fingerprint).values(current=True))


def current(connection: Connection) -> str | None:
    """The fingerprint of the embedder that serves, None before the first."""
    return connection.execute(select(embedders.c.fingerprint).where(embedders.c.current)).scalar()


def fingerprints(connection: Connection) -> list[str]:
    """The embedders that ever served this ledger, the current one first."""
    query = select(embedders.c.fingerprint).order_by(embedders.c.current.desc(), embedders.c.created.desc())
    return list(connection.execute(query).scalars())


def encode(vector: Vector) -> bytes:
    return np.asarray(vector, dtype="<f4").tobytes()


def decode(data: bytes) -> Vector:
    return np.frombuffer(data, dtype="<f4")
