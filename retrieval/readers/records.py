"""CSV and JSON: records whose values carry their names."""

import csv
import io
import json
from collections.abc import Iterable
from typing import Any

from retrieval.readers.builder import Builder
from retrieval.readers.encoding import unreadable

_DEEPEST = 32


def read_csv(text: str, out: Builder) -> None:
    """Comma, semicolon, tab or bar; the first row that fills more than one cell names the columns."""
    try:
        dialect = csv.Sniffer().sniff(text[:4096], ",;\t|")
    except csv.Error:
        dialect = csv.excel
    first = text[: text.find("\n")]
    delimiter = max(",;\t|", key=first.count) if dialect is csv.excel else dialect.delimiter
    try:
        rows = [row for row in csv.reader(io.StringIO(text), delimiter=delimiter) if any(cell.strip() for cell in row)]
    except csv.Error as error:
        raise unreadable("The CSV can't be parsed.", "Check its quotes and send it again.") from error
    head = next((n for n, row in enumerate(rows) if sum(bool(cell.strip()) for cell in row) > 1), 0)
    for row in rows[:head]:
        out.paragraph("".join(row))
    out.table(rows[head:])


def read_json(text: str, out: Builder) -> None:
    """A list of objects is a table, an object's nested objects are sections under their names."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise unreadable("The document is no valid JSON.", "Check it with a JSON parser and send it again.") from error
    _walk(value, "", 1, out)


def _walk(value: Any, name: str, level: int, out: Builder) -> None:
    if level > _DEEPEST:
        raise unreadable("The JSON is nested too deeply.", f"Send it with at most {_DEEPEST} levels.")
    if isinstance(value, list):
        for entry in value:
            if isinstance(entry, dict) and _are_scalars(entry.values()):
                out.row(list(entry), [_scalar(cell) for cell in entry.values()])
            elif isinstance(entry, (dict, list)):
                _walk(entry, name, level + 1, out)
            else:
                out.item(_scalar(entry))
        return
    if not isinstance(value, dict):
        out.paragraph(_scalar(value))
        return
    flat = {key: entry for key, entry in value.items() if not isinstance(entry, (dict, list))}
    flat |= {key: _joined(entry) for key, entry in value.items() if isinstance(entry, list) and _are_scalars(entry)}
    out.row(list(flat), [_scalar(entry) for entry in flat.values()])
    for key, entry in value.items():
        if key not in flat:
            out.heading(key, level)
            _walk(entry, key, level + 1, out)


def _are_scalars(values: Iterable[Any]) -> bool:
    return not any(isinstance(value, (dict, list)) for value in values)


def _joined(entries: list[Any]) -> str:
    return ", ".join(map(_scalar, entries))


def _scalar(value: Any) -> str:
    """As JSON writes it; text as it is, and null as nothing."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value)
