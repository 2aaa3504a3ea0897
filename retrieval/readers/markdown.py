"""Markdown: CommonMark with tables, and front matter, of which title, language and effective dates are used."""

import re

from markdown_it import MarkdownIt
from markdown_it.token import Token

from retrieval.readers.builder import Builder
from retrieval.readers.html import text_of_html

_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.*?)\n(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.S)
_ENTRY = re.compile(r"^(title|lang|language|effective_from|effective_until)[ \t]*:[ \t]*(.+?)[ \t]*$", re.M)


def read_markdown(text: str, out: Builder) -> None:
    if front := _FRONT_MATTER.match(text):
        entries = {key: value.strip("\"'") for key, value in _ENTRY.findall(front[1])}
        out.title, out.lang = entries.get("title"), entries.get("lang") or entries.get("language")
        out.effective = entries.get("effective_from"), entries.get("effective_until")
        text = text[front.end() :]
    tokens = MarkdownIt("commonmark").enable(["table", "strikethrough"]).parse(text)
    _Walk(out).walk(tokens)


class _Walk:
    """Tokens into blocks. A list item is one block, however many paragraphs it holds, so that it is never cut."""

    def __init__(self, out: Builder) -> None:
        self.out = out
        self.item: list[str] = []
        self.depth = 0
        self.rows: list[list[str]] = []

    def walk(self, tokens: list[Token]) -> None:
        for i, token in enumerate(tokens):
            match token.type:
                case "list_item_open":
                    self._close_item()
                    self.depth += 1
                case "list_item_close":
                    self._close_item()
                    self.depth -= 1
                case "table_open":
                    self._close_item()
                    self.rows = []
                case "tr_open":
                    self.rows.append([])
                case "table_close":
                    self.out.table(self.rows)
                case "fence" | "code_block":
                    self._close_item()
                    self.out.code(token.content)
                case "html_block":
                    self._close_item()
                    self.out.paragraph(text_of_html(token.content))
                case "inline":
                    self._inline(tokens[i - 1], inline_text(token))
                case _:
                    pass

    def _inline(self, opening: Token, text: str) -> None:
        if opening.type in ("th_open", "td_open"):
            self.rows[-1].append(text)
        elif opening.type == "heading_open":
            self.out.heading(text, int(opening.tag[1]))
        elif self.depth:
            self.item.append(text)
        else:
            self.out.paragraph(text)

    def _close_item(self) -> None:
        self.out.item(" ".join(self.item))
        self.item = []


def inline_text(token: Token) -> str:
    """What a reader sees of an inline token: no marks, no addresses of links, an image by its description."""
    parts: list[str] = []
    for child in token.children or ():
        if child.type in ("text", "code_inline"):
            parts.append(child.content)
        elif child.type == "image":
            parts.append(inline_text(child))
        elif child.type in ("softbreak", "hardbreak") or child.content.lower().startswith("<br"):
            parts.append("\n")
    return "".join(parts)
