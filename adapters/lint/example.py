"""A training example as it stands in its file: a writing sample, a sample of a form (which brings the file that it is
filled from), or a conversation in OpenAI's chat format.

A conversation brings its evidence along as the prompt has it (`<source …>` blocks in the system message), or in
`evidence`, a list of texts. Either way an example becomes parts, each with the name of the field it stands in.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

from adapters.forms import SLOT, Form, Shape, filled
from adapters.lint.finding import Finding, Rule
from adapters.samples import FACTUAL
from common.language import Language, language_of
from common.prompt import control_tokens, neutralise

_INTENTS = FACTUAL | {"abstain", "greeting", "thanks"}
_LANGUAGES = frozenset({Language.ENGLISH, Language.JAPANESE, Language.TRADITIONAL_CHINESE})
_ROLES = ("system", "user", "assistant")
_SOURCE = re.compile(r"<source (?P<fence>\S+)>\n(?P<text>.*?)\n</source (?P=fence)>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Part:
    """One text of an example. `role` is the chat role; a sample's question is the user's, its answer the firm's. A
    form's file is `source`; what a conversation lists as evidence is `evidence`.
    """

    field: str
    role: str
    text: str


@dataclass(frozen=True, slots=True)
class Example:
    """`evidence` is None where the example brings none along: then whatever it states would be learned by heart.

    `wrong` is what was found while reading: an example that could not be read has no parts.
    """

    line: int
    lang: str = ""
    intent: str = ""
    parts: tuple[Part, ...] = ()
    evidence: tuple[str, ...] | None = None
    wrong: tuple[Finding, ...] = field(default=())

    @property
    def is_sample(self) -> bool:
        return any(part.field == "answer" for part in self.parts)

    @property
    def is_form(self) -> bool:
        return any(part.role == "source" for part in self.parts)

    @property
    def question(self) -> str:
        """What is asked: of a form's sample with the file, since the same may be asked of another one."""
        return "\n".join(part.text for part in self.parts if part.role in ("user", "source"))

    @property
    def answers(self) -> list[Part]:
        return [part for part in self.parts if part.role == "assistant"]


def read(lines: Iterator[str], forms: Mapping[str, Form] | None = None) -> Iterator[Example]:
    """The examples of a JSON Lines file; blank lines are passed over."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            yield _refused(number, "", line.strip(), Rule.FORM, "Write one JSON object on the line.")
        elif "messages" in row:
            yield _conversation(number, cast("dict[str, Any]", row))
        elif "form" in row:
            yield _form(number, cast("dict[str, Any]", row), forms or {})
        else:
            yield _sample(number, cast("dict[str, Any]", row))


def _sample(line: int, row: dict[str, Any]) -> Example:
    for key in ("id", "lang", "intent", "question", "answer"):
        if not isinstance(value := row.get(key), str) or not value.strip():
            return _refused(line, key, "", Rule.FORM, f"Give the sample `{key}`, a text; or write a chat's `messages`.")
    lang, intent = str(row["lang"]), str(row["intent"])
    wrong: list[Finding] = []
    if lang not in _LANGUAGES:
        wrong.append(_whole(line, "lang", lang, Rule.FORM, f"Use one of {', '.join(sorted(_LANGUAGES))}."))
    if intent not in _INTENTS:
        wrong.append(_whole(line, "intent", intent, Rule.FORM, f"Use one of {', '.join(sorted(_INTENTS))}."))
    parts = (Part("question", "user", row["question"]), Part("answer", "assistant", row["answer"]))
    wrong += [finding for part in parts for finding in _marks(line, part)]
    wrong += _slots(line, intent, *parts)
    return Example(line, lang, intent, parts, None, tuple(wrong))


def _slots(line: int, intent: str, question: Part, answer: Part) -> Iterator[Finding]:
    """What a factual sample must leave open, and slots that stand for nothing."""
    for part, known in ((question, {"product", "attribute"}), (answer, {"product", "attribute", "value"})):
        yield from _unknown(line, part, known)
    if intent in FACTUAL and "{product}" not in question.text:
        fix = "Write {product} where the question names what it is about, or choose the intent abstain."
        yield _whole(line, question.field, question.text, Rule.SLOTS, fix)
    if intent in FACTUAL and "{value}" not in answer.text:
        fix = "Write {value} where the answer states the figure, or choose the intent abstain."
        yield _whole(line, answer.field, answer.text, Rule.SLOTS, fix)
    if ("{attribute}" in question.text) != ("{attribute}" in answer.text) and intent in FACTUAL:
        fix = "Write {attribute} in both question and answer, or in neither."
        yield _whole(line, answer.field, answer.text, Rule.SLOTS, fix)


def _unknown(line: int, part: Part, known: set[str]) -> Iterator[Finding]:
    for slot in SLOT.finditer(part.text):
        if slot[1] not in known:
            fix = f"Slots here are {', '.join(f'{{{name}}}' for name in sorted(known))}."
            yield Finding(line, part.field, slot.span(), Rule.SLOTS, slot[0], fix)


def _form(line: int, row: dict[str, Any], forms: Mapping[str, Form]) -> Example:
    for key in ("id", "lang", "intent", "form", "question", "evidence"):
        if not isinstance(value := row.get(key), str) or not value.strip():
            return _refused(line, key, "", Rule.FORM, f"Give the sample `{key}`, a text.")
    lang, answer = str(row["lang"]), row.get("answer")
    form = forms.get(row["form"])
    if form is None or lang not in form.headings:
        fix = "Name a form and a language that forms.toml beside the samples defines."
        return _refused(line, "form", f"{row['form']} {lang}", Rule.FORM, fix)
    if not isinstance(answer, str | dict):
        return _refused(
            line, "answer", "", Rule.FORM, "Give the form as a JSON object, or as a text with its sections."
        )
    shape = Shape.DOCUMENT if isinstance(answer, str) else Shape.JSON
    text = answer if isinstance(answer, str) else json.dumps(answer, ensure_ascii=False)
    parts = (
        Part("question", "user", row["question"]),
        Part("evidence", "source", row["evidence"]),
        Part("answer", "assistant", text),
    )
    wrong = [finding for part in parts for finding in _marks(line, part)]
    wrong += _filling(line, form, lang, shape, *parts)
    return Example(line, lang, str(row["intent"]), parts, None, tuple(wrong))


def _filling(
    line: int, form: Form, lang: str, shape: Shape, question: Part, evidence: Part, answer: Part
) -> Iterator[Finding]:
    """What of a form's sample is not filled from its file, or does not keep to the form."""
    yield from _unknown(line, question, {"file"})
    yield from _unknown(line, evidence, {"file", *form.fields})
    yield from _unknown(line, answer, set(SLOT.findall(evidence.text)))
    if "{file}" not in question.text:
        fix = "Write {file} where the question names the file that the form is filled from."
        yield _whole(line, question.field, question.text, Rule.SLOTS, fix)
    for part in (evidence, answer):
        for start, end, name in form.named(part.text, lang):
            fix = f"Write {{{name}}}: the file's word for it is drawn, and the form's is the glossary's."
            yield Finding(line, part.field, (start, end), Rule.TERM, part.text[start:end], fix)
    if form.read(filled(answer.text, form.first(lang)), shape, lang) is None:
        wanted = f"what {form.name}.schema.json takes"
        if shape is Shape.DOCUMENT:
            wanted = (
                f"{', '.join(f'## {heading}' for heading in form.headings[lang])}, with a line each and nothing else"
            )
        yield _whole(line, answer.field, answer.text, Rule.SCHEMA, f"Write {wanted}.")


def _conversation(line: int, row: dict[str, Any]) -> Example:
    messages = row["messages"]
    if not isinstance(messages, list) or not messages:
        return _refused(line, "messages", "", Rule.ROLES, "Give a list of messages: system, then user and assistant.")
    parts: list[Part] = []
    for i, message in enumerate(cast("list[Any]", messages)):
        at = f"messages[{i}]"
        if not isinstance(message, dict):
            return _refused(line, at, "", Rule.ROLES, "A message is an object with `role` and `content`.")
        role, content = (cast("dict[str, Any]", message).get(key) for key in ("role", "content"))
        if role not in _ROLES:
            return _refused(line, f"{at}.role", str(role or ""), Rule.ROLES, f"Use {', '.join(_ROLES)}.")
        if not isinstance(content, str) or not neutralise(content).strip():
            return _refused(line, f"{at}.content", "", Rule.ROLES, "Give the message a text.")
        parts.append(Part(f"{at}.content", role, content))
    wrong = [*_turns(line, parts), *(finding for part in parts for finding in _marks(line, part))]
    given = row.get("evidence")
    texts = [str(text) for text in cast("list[Any]", given)] if isinstance(given, list) else []
    evidence = [text for text in texts if text.strip()]
    evidence += [block["text"] for part in parts if part.role == "system" for block in _SOURCE.finditer(part.text)]
    lang = str(row.get("lang") or language_of(parts[-1].text))
    parts += [Part(f"evidence[{i}]", "evidence", text) for i, text in enumerate(texts)]
    return Example(line, lang, str(row.get("intent") or ""), tuple(parts), tuple(evidence) or None, tuple(wrong))


def _turns(line: int, parts: list[Part]) -> Iterator[Finding]:
    """System first or not at all, then user and assistant in turns, and the firm has the last word."""
    turns = parts[1:] if parts[0].role == "system" else parts
    for part, role in zip(turns, ("user", "assistant") * len(turns), strict=False):
        if part.role != role:
            fix = f"The {role} speaks here: an optional system message, then user and assistant in turns."
            yield _whole(line, part.field.replace("content", "role"), part.role, Rule.ROLES, fix)
            return
    if not turns or turns[-1].role != "assistant":
        fix = "End with the assistant's answer: it is what is trained."
        yield _whole(line, parts[-1].field, parts[-1].text, Rule.ROLES, fix)


def _marks(line: int, part: Part) -> Iterator[Finding]:
    text = _SOURCE.sub("", part.text) if part.role == "system" else part.text
    if control_tokens(text):
        fix = "Take the chat template's marks out: the engine writes them itself."
        yield _whole(line, part.field, part.text, Rule.ROLES, fix)


def _whole(line: int, field: str, text: str, rule: Rule, fix: str) -> Finding:
    return Finding(line, field, (0, len(text)), rule, text, fix)


def _refused(line: int, field: str, text: str, rule: Rule, fix: str) -> Example:
    return Example(line, wrong=(_whole(line, field, text[:200], rule, fix),))
