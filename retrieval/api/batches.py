"""Batches: documents as lines of JSON, and what became of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import orjson
from rfc8785 import CanonicalizationError

from common.canonical import canonical
from common.errors import ErrorCode, GroundtoneError, InvalidRequest
from retrieval.api.requests import expect, texts
from retrieval.intake import Sent, check_name, take
from retrieval.ledger.labels import clean
from retrieval.ledger.snapshots import moment
from retrieval.ledger.staging import Change
from retrieval.publish import Published

_MOST = 10_000
_FIELDS = {"id", "text", "title", "labels", "lang", "metadata", "media_type", "effective_from", "effective_until"}


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
        fields = _object(data)
        id_ = check_name(expect(fields, "id", str, ""))
        text = expect(fields, "text", str)
        if text is None:
            raise InvalidRequest("The field 'text' is missing.", "Add it.", code=ErrorCode.MISSING_FIELD, param="text")
        labels = texts(fields, "labels")
        sent = Sent(
            data=text.encode(),
            media_type=expect(fields, "media_type", str, "text/plain") + "; charset=utf-8",
            title=expect(fields, "title", str),
            lang=expect(fields, "lang", str),
            metadata=_metadata(fields),
            effective_from=_moment(fields, "effective_from"),
            effective_until=_moment(fields, "effective_until"),
        )
        given = None if labels is None else clean(labels)
        return Line(id_, Change(knowledge, id_, take(id_, sent), labels=given), None)
    except GroundtoneError as error:
        return Line(id_, None, error)


def _object(data: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(data)
    except orjson.JSONDecodeError:
        fields = None
    if not isinstance(fields, dict):
        raise InvalidRequest("The line is not a JSON object.", "Send one object a line.", code=ErrorCode.INVALID_JSON)
    if unknown := fields.keys() - _FIELDS:
        name = min(unknown)
        raise InvalidRequest(
            f"There is no field {name!r} here.", "Leave it out.", code=ErrorCode.UNSUPPORTED_FIELD, param=name
        )
    return fields


def _metadata(fields: dict[str, Any]) -> dict[str, Any]:
    """Raises InvalidRequest for what canonical JSON can't hold: it is a part of the chunks' identity."""
    metadata = expect(fields, "metadata", dict, {})
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


def _moment(fields: dict[str, Any], name: str) -> float | None:
    value = expect(fields, name, str)
    return None if value is None else moment(value, name)
