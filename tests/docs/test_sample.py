"""The sample firm is what its scripts and its README say."""

import json
import runpy
from pathlib import Path

import pytest

from retrieval.read import media_type_of

SAMPLE = Path(__file__).parents[2] / "examples" / "kitahama"
DOCUMENTS = SAMPLE / "documents"


def test_office_files_are_what_their_script_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Byte for byte: nobody edits a PDF or an office file past the Markdown that it is made from."""
    runpy.run_path(str(SAMPLE / "make_office.py"))["main"](tmp_path)
    made = {file.relative_to(tmp_path): file.read_bytes() for file in tmp_path.rglob("*.*")}
    assert {name.suffix for name in made} == {".pdf", ".docx", ".pptx", ".xlsx"}
    assert made == {name: (DOCUMENTS / name).read_bytes() for name in made}


def test_every_format_is_there_in_every_language() -> None:
    """Forty documents or more, and the questions name ones that exist."""
    files = [file for file in DOCUMENTS.rglob("*.*") if file.is_file()]
    assert len(files) >= 40
    kinds = {media_type_of(file.name) for file in files}
    assert None not in kinds
    for lang in ("en", "ja", "zh-TW"):
        assert {media_type_of(file.name) for file in (DOCUMENTS / "added" / lang).rglob("*.*")} == kinds
    for name in ("questions.jsonl", "questions-more.jsonl"):
        for line in (SAMPLE / name).read_text(encoding="utf-8").splitlines():
            assert (DOCUMENTS / json.loads(line)["document"]).is_file()
