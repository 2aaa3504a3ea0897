"""Forms: answers that a machine or a colleague reads on, with fixed fields in a fixed order and the firm's own terms.

Beside the samples stand `forms.toml` (headings, and what each field is drawn as), `<form>.schema.json` (JSON Schema
2020-12: the fields in their order, and the words of those that have a list) and `glossary.toml` (a language's terms,
and what each is not to be called). A form is written as one JSON object or as a document of headed sections.
"""

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, cast

from common.errors import InvalidRequest

SLOT = re.compile(r"\{(\w+)\}")


class Shape(StrEnum):
    """How a form is written."""

    JSON = "json"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Form:
    """`schema` is the JSON Schema. By language: `headings` in the fields' order, `absent` (what stands where the file
    states nothing) and `terms`: field → term → what it is not to be called. `draws` names the kind of words that fill
    a field, `words` and `unseen` hold those: language → kind → table (see `adapters.records`).
    """

    name: str
    schema: dict[str, Any]
    headings: dict[str, tuple[str, ...]]
    absent: dict[str, str]
    terms: dict[str, dict[str, dict[str, tuple[str, ...]]]]
    draws: dict[str, str]
    words: dict[str, dict[str, dict[str, Any]]]
    unseen: dict[str, dict[str, dict[str, Any]]]

    @property
    def fields(self) -> tuple[str, ...]:
        return tuple(self.schema["properties"])

    def read(self, answer: str, shape: Shape, lang: str) -> dict[str, str] | None:
        """The record that `answer` states; None where it does not keep to the form.

        JSON keeps to it where the whole answer is one object that the schema takes; a document where it is the
        sections of this language, each once, in their order, with one line each, and nothing else.
        """
        return self._object(answer) if shape is Shape.JSON else self._sections(answer, lang)

    def _object(self, answer: str) -> dict[str, str] | None:
        from jsonschema import Draft202012Validator

        try:
            found = json.loads(answer)
        except (ValueError, RecursionError):
            return None
        return cast("dict[str, str]", found) if Draft202012Validator(self.schema).is_valid(found) else None

    def _sections(self, answer: str, lang: str) -> dict[str, str] | None:
        sections = "\n".join(f"## {re.escape(heading)}\n([^\n#][^\n]*)" for heading in self.headings[lang])
        found = re.fullmatch(sections, answer.strip())
        return dict(zip(self.fields, found.groups(), strict=True)) if found else None

    def first(self, lang: str) -> dict[str, str]:
        """A word for each field that has a list."""
        return {field: next(iter(terms)) for field, terms in self.terms[lang].items()}

    def named(self, text: str, lang: str) -> list[tuple[int, int, str]]:
        """Where `text` has a word of the glossary, the term or what it is not to be called: range and field."""
        return [
            (match.start(), match.end(), field)
            for field, terms in self.terms[lang].items()
            for term, others in terms.items()
            for word in (term, *others)
            for match in re.finditer(rf"\b{re.escape(word)}\b" if word.isascii() else re.escape(word), text, re.I)
        ]


def filled(text: str, record: Mapping[str, str]) -> str:
    """`text` with the slots that `record` has filled."""
    return SLOT.sub(lambda slot: record.get(slot[1], slot[0]), text)


def read_forms(folder: Path) -> dict[str, Form]:
    """The forms that `folder` defines; none where it has no `forms.toml`. Raises InvalidRequest that names the file."""
    path = folder / "forms.toml"
    if not path.is_file():
        return {}
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        glossary = tomllib.loads((folder / "glossary.toml").read_text(encoding="utf-8"))
        words, unseen = table.pop("words"), table.pop("unseen", {})
        return {
            name: _form(name, form, json.loads((folder / f"{name}.schema.json").read_bytes()), glossary, words, unseen)
            for name, form in table.items()
        }
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise InvalidRequest(
            f"{path.name} defines no forms: {wrong}.",
            "Give each form headings and draws, a schema file and its terms in glossary.toml (docs/voice.md).",
        ) from wrong


def _form(
    name: str, table: dict[str, Any], schema: dict[str, Any], glossary: dict[str, Any], words: Any, unseen: Any
) -> Form:
    lists = {field: set(rule["enum"]) for field, rule in schema["properties"].items() if "enum" in rule}
    terms = {
        lang: {
            field: {t["preferred"]: tuple(t["forbidden"]) for t in rules["terms"] if t["preferred"] in words_of}
            for field, words_of in lists.items()
        }
        for lang, rules in glossary.items()
    }
    headings = {lang: tuple(row) for lang, row in table["headings"].items()}
    for lang, row in headings.items():
        if len(row) != len(schema["properties"]) or not all(terms[lang].values()):
            raise ValueError(f"{name} lacks headings or terms in {lang}")
    absent = {lang: rules["absent"] for lang, rules in glossary.items()}
    return Form(name, schema, headings, absent, terms, dict(table["draws"]), words, unseen)
