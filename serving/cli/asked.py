"""Where the questions of `knowledge evaluate` and `knowledge tune` come from."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from common.errors import GroundtoneError
from serving.cli.ask import first_assistant
from serving.cli.command import Cli, Usage, existing_file
from serving.cli.documents import whole

if TYPE_CHECKING:
    from retrieval.evaluation.questions import Question

_TRIES_A_DRAFT = 3
_DRAFT_TOKENS = 120
_SEED = 7


def gathered(
    cli: Cli,
    kb: str,
    *,
    file: Path | None,
    unanswerable: Path | None = None,
    receipts: bool = False,
    draft: int | None = None,
    assistant: str | None = None,
) -> "list[Question]":
    """The questions that were asked for, the unanswerable ones last. Raises Usage where none can be had."""
    if sum((file is not None, receipts, draft is not None)) != 1:
        raise Usage("Say where the questions come from: --questions FILE, --receipts or --draft N.")
    if file is not None:
        questions = from_file(file)
    elif receipts:
        questions = _from_receipts(cli, kb)
    else:
        questions = _drafted(cli, kb, draft or 0, assistant)
    if not any(question.document for question in questions):
        raise Usage(
            "No question came of it. Rate answers with `groundtone receipt feedback`, or write a file of questions."
        )
    return questions + (from_file(unanswerable, answerable=False) if unanswerable else [])


def from_file(file: Path, *, answerable: bool = True) -> "list[Question]":
    from retrieval.evaluation.questions import load

    try:
        return load(existing_file(file), answerable=answerable)
    except GroundtoneError as error:
        raise Usage(str(error)) from None
    except UnicodeDecodeError:
        raise Usage(f"`{file}` is not text in UTF-8. Save it so.") from None


def save(file: Path, questions: "Sequence[Question]") -> None:
    """Writes the questions as a file that `--questions` takes."""
    lines = [json.dumps(question.to_line(), ensure_ascii=False) for question in questions if question.document]
    file.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def texts(cli: Cli, kb: str) -> dict[str, str]:
    """Every document's text, by its id."""
    return {row["document"]: row["text"] for row in whole(cli.client, kb)}


def _from_receipts(cli: Cli, kb: str) -> "list[Question]":
    from retrieval.evaluation.questions import of_receipts

    return list(of_receipts(cli.client.pages("/v1/receipts", rating="good"), kb))


def _drafted(cli: Cli, kb: str, count: int, assistant: str | None) -> "list[Question]":
    """Asks an assistant, without knowledge, for a question to each of some paragraphs."""
    from retrieval.evaluation.drafts import fitting, passages, prompt

    model = assistant or first_assistant(cli)
    kept: list[Question] = []
    drawn = passages(texts(cli, kb), count * _TRIES_A_DRAFT, _SEED)
    for i, (document, passage) in enumerate(drawn, 1):
        body = {
            "model": model,
            "messages": [{"role": "user", "content": prompt(passage)}],
            "max_tokens": _DRAFT_TOKENS,
            "groundtone": {"knowledge": "off"},
        }
        answer: str = cli.client.post("/v1/chat/completions", body)["choices"][0]["message"]["content"] or ""
        if (question := fitting(answer, document, passage)) is not None:
            kept.append(question)
        cli.output.progress(f"{len(kept)} of {count} questions drafted, {i - len(kept)} dropped")
        if len(kept) == count:
            break
    return kept
