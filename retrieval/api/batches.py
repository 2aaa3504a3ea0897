"""Batches: documents as lines of JSON, and what became of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from rfc8785 import CanonicalizationError

from common.canonical import canonical
from common.errors import GroundtoneError, InvalidRequest
from common.fields import parse
from retrieval.api.requests import Fields, Text
from retrieval.intake import Sent, check_name, take
from retrieval.ledger.labels import clean
from retrieval.ledger.snapshots import moment
from retrieval.ledger.staging import Change
from retrieval.publish import Published

_MOST = 10_000


class Named(Fields):
    id: Text


class Row(Named, extra="forbid"):
    text: Text
    title: Text | None = None
    labels: list[Text] | None = None
    lang: Text | None = None
    metadata: dict[str, Any] | None = None
    media_type: Text | None = None
    effective_from: Text | None = None
    effective_until: Text | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a batch: the change it asks for, or why it can't be taken."""

    id: str | None
    change: Change | None
    error: GroundtoneError | None


def read_lines(knowledge: str, data: bytes) -> list[Line]:
    """Reads NDJSON. A line that is wrong is an error of its own; of two with the same id the later one counts."""
    sent = [line for line in data.split(b"\n") if line.strip()]
    if len(sent) > _MOST:
        raise InvalidRequest("The batch has too many lines.", f"Send at most {_MOST:,} at once.")
    return [_read_line(knowledge, line) for line in sent]


def answers(lines: list[Line], published: Published) -> Iterator[dict[str, Any]]:
    """A line each, in the order they came, then the snapshot."""
    outcomes = iter(published.outcomes)
    for line in lines:
        error, revision = line.error, None
        if line.change is not None:
            outcome = next(outcomes)
            error = outcome.error
            revision = outcome.staged.revision if outcome.staged else None
        told = error.body()["error"] if error else None
        yield {"id": line.id, "status": "error" if error else "ok", "revision": revision, "error": told}
    yield {"snapshot": published.snapshot}


def _read_line(knowledge: str, data: bytes) -> Line:
    id_: str | None = None
    try:
        id_ = check_name(parse(Named, data).id)
        row = parse(Row, data)
        sent = Sent(
            data=row.text.encode(),
            media_type=f"{row.media_type or 'text/plain'}; charset=utf-8",
            title=row.title,
            lang=row.lang,
            metadata=_checked(row.metadata or {}),
            effective_from=moment_of(row.effective_from, "effective_from"),
            effective_until=moment_of(row.effective_until, "effective_until"),
        )
        given = None if row.labels is None else clean(row.labels)
        return Line(id_, Change(knowledge, id_, take(id_, sent), labels=given), None)
    except GroundtoneError as error:
        return Line(id_, None, error)


def _checked(metadata: dict[str, Any]) -> dict[str, Any]:
    """Raises InvalidRequest for what canonical JSON can't hold: it is a part of the chunks' identity."""
    try:
        canonical(metadata)
        orjson.dumps(metadata)
    except (CanonicalizationError, RecursionError, orjson.JSONEncodeError):
        raise InvalidRequest(
            "The metadata can't be kept.",
            "Use whole numbers below 2^53, or texts for larger ones, and nest less deeply.",
            param="metadata",
        ) from None
    return metadata


def moment_of(value: str | None, name: str) -> float | None:
    return None if value is None else moment(value, name)
