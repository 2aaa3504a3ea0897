"""`groundtone adapter lint`: what of a file must not be trained on."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from serving.cli.command import Cli, Exit, Usage, command, existing_file

if TYPE_CHECKING:
    from adapters.lint import Known, Report
    from retrieval.text import Block, Document


def register(app: typer.Typer) -> None:
    command(app, "lint")(lint)


def lint(
    cli: Cli,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="JSON Lines: writing samples or chat-format examples.")],
    documents: Annotated[
        Path | None, typer.Option("--documents", metavar="FOLDER", help="The documents whose names are facts.")
    ] = None,
    kb: Annotated[str | None, typer.Option("--kb", metavar="KB", help="Instead: a knowledge base's documents.")] = None,
    least: Annotated[int, typer.Option("--least", min=1, help="Examples that an intent needs in a language.")] = 2,
) -> None:
    """Refuse examples that carry facts, personal data, repetitions or contradictions."""
    from adapters.lint import lint as judged
    from common.errors import GroundtoneError

    try:
        report = judged(existing_file(file), _unsupported, _known(cli, documents, kb), least=least)
    except GroundtoneError as wrong:
        raise Usage(str(wrong)) from None
    cli.output.document(report.to_wire())
    _tell(cli, file, report)
    if report.findings:
        raise Exit(Exit.NO)


def _tell(cli: Cli, file: Path, report: "Report") -> None:
    for found in report.findings:
        shown = found.text if len(found.text) <= 60 else f"{found.text[:59]}…"
        place = f"{file.name}:{found.line} {found.field}[{found.span[0]}:{found.span[1]}]"
        cli.output.line(f"{place} {found.rule}: {shown}\n    {found.fix}")
    cli.output.line(f"{report.examples} examples, {report.refused} refused, {len(report.findings)} findings")


def _unsupported(question: str, evidence: Sequence[str], answer: str, lang: str) -> Iterator[tuple[int, int]]:
    """The figures of `answer` that the guard would hold against it, with an assistant's eyes."""
    from common.evidence import Evidence
    from common.language import Language, language_of
    from serving.chat.guard import HELD_AGAINST, Guard

    pieces: list[Evidence] = []
    for i, text in enumerate(evidence):
        heading, _, body = text.partition("\n")
        named = tuple(heading.split(" > ")) if body else ()
        pieces.append(
            Evidence(f"e{i}", "", "", f"e{i}", 1, "", named, body or text, (0, 0), None, language_of(text), i, 1.0, "")
        )
    language = Language(lang) if lang in list(Language) else language_of(answer)
    for judged in Guard(question, pieces, language).judge(answer):
        if judged.status in HELD_AGAINST:
            yield judged.figure.start, judged.figure.end


def _known(cli: Cli, documents: Path | None, kb: str | None) -> "Known | None":
    """The names and figures of the knowledge that the voice will stand beside."""
    from adapters.documents import Chunk
    from adapters.lint import Known

    if documents is not None and kb is not None:
        raise Usage("Name the documents once: --documents FOLDER or --kb KB.")
    if documents is None and kb is None:
        return None
    chunks = [
        Chunk(name, block.start, heading, document.text[block.start : block.end], document.lang)
        for name, document in (_read(cli, documents) if documents else _held(cli, kb or ""))
        for heading, block in _under_headings(document)
    ]
    return Known.of(chunks)


def _under_headings(document: "Document") -> "Iterator[tuple[tuple[str, ...], Block]]":
    """Every block but headings, with the headings above it."""
    above: list[Block] = []
    for block in document.blocks:
        if block.kind == "heading":
            above = [*(heading for heading in above if heading.level < block.level), block]
        else:
            yield tuple(document.text[heading.start : heading.end] for heading in above), block


def _read(cli: Cli, folder: Path) -> "Iterator[tuple[str, Document]]":
    """A folder's documents. One that can't be read is told, and left out."""
    from common.errors import GroundtoneError
    from retrieval.read import media_type_of, read

    if not folder.is_dir():
        raise Usage(f"There is no folder `{folder}`.")
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        name = file.relative_to(folder).as_posix()
        if (kind := media_type_of(file.name)) is None:
            continue
        try:
            yield name, read(file.read_bytes(), kind)
        except GroundtoneError as wrong:
            cli.output.progress(f"{name} is left out: {wrong}")


def _held(cli: Cli, kb: str) -> "Iterator[tuple[str, Document]]":
    """A knowledge base's documents, with their structure."""
    from common.language import language_of
    from retrieval.text import Block, BlockKind, Document
    from serving.cli.documents import whole

    for found in whole(cli.client, kb, structure="true"):
        blocks = tuple(Block(BlockKind(kind), *place) for kind, *place in found.get("blocks") or ())
        plain = (Block(BlockKind.PARAGRAPH, 0, len(found["text"])),)
        title = str(found.get("title") or "")
        yield found["document"], Document(found["text"], blocks or plain, title, language_of(found["text"]))
