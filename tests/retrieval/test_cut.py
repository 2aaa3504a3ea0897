"""Cutting: along the structure, nothing lost, nothing cut that belongs together, and an edit stays where it is."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from common.figures import find
from common.language import language_of
from retrieval.cut import DEFAULT, Piece, Strategy, cut, embedded_text
from retrieval.read import read
from retrieval.readers.builder import Builder
from retrieval.sentences import atoms, sentences
from retrieval.text import BlockKind, Document

SENTENCES = [
    "The annual fee of the Gold Card is 11,000 yen.",
    "It rises by 2.5 % on 1 April 2026!",
    "「年会費は無料です。」とお答えします。",
    "定期預金の金利は年0.25％、期間は3年です。",
    "信用卡年費為新臺幣三千元；首年免收。",
    "Call +81 6-5550-0142 👩\u200d👩\u200d👧 e\u0301",
    "x" * 90,
]
BLOCKS = st.lists(
    st.tuples(
        st.sampled_from(["heading", "paragraph", "item", "row", "code"]),
        st.lists(st.sampled_from(SENTENCES), min_size=1, max_size=12),
        st.integers(1, 4),
    ),
    min_size=1,
    max_size=12,
)


def document(blocks: list[tuple[str, list[str], int]]) -> Document:
    out = Builder()
    for kind, texts, level in blocks:
        text = " ".join(texts)
        match kind:
            case "heading":
                out.heading(texts[0], level)
            case "row":
                out.row(["Card", "Terms"], ["Gold", text])
            case "item":
                out.item(text)
            case "code":
                out.code(text)
            case _:
                out.paragraph(text)
    return Document(out.text, tuple(out.blocks), "Title", language_of(out.text))


def markdown(text: str) -> list[Piece]:
    return cut(read(text.encode(), "text/markdown"))


@settings(max_examples=60, deadline=None)
@given(BLOCKS)
def test_every_block_is_in_a_piece_and_every_heading_in_a_path(blocks: list[tuple[str, list[str], int]]) -> None:
    whole = document(blocks)
    pieces = cut(whole)
    covered = {at for piece in pieces for at in range(piece.start, piece.end)}
    headings = {text for piece in pieces for text in piece.heading}
    for block in whole.blocks:
        text = whole.text[block.start : block.end]
        spoken = {at for at in range(block.start, block.end) if not whole.text[at].isspace()}
        assert spoken <= covered or (block.kind is BlockKind.HEADING and text in headings)


@settings(max_examples=60, deadline=None)
@given(BLOCKS)
def test_pieces_are_spans_in_order_and_cut_no_figure_row_or_item(blocks: list[tuple[str, list[str], int]]) -> None:
    whole = document(blocks)
    pieces = cut(whole)
    assert all(whole.text[piece.start : piece.end] == piece.text for piece in pieces)
    assert all(one.end <= two.start for one, two in pairwise(pieces))
    edges = {edge for piece in pieces for edge in (piece.start, piece.end)}
    for block in whole.blocks:
        if block.kind in (BlockKind.LIST_ITEM, BlockKind.TABLE_ROW):
            assert not any(block.start < edge < block.end for edge in edges)
        for figure in find(whole.text[block.start : block.end]):
            assert not any(block.start + figure.start < edge < block.start + figure.end for edge in edges)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(SENTENCES), max_size=8).map(" ".join), st.integers(8, 60))
def test_atoms_joined_are_the_text(text: str, longest: int) -> None:
    """And none begins inside what a reader takes for one character."""
    parts = atoms(text, longest)
    assert "".join(parts) == text
    assert not any(part[0] in "\u200d\u0301" for part in parts)


def test_sentences_end_where_a_reader_ends_them() -> None:
    """In three languages; not inside quotation marks, abbreviations or numbers."""
    assert sentences("「無料です。」と言う。次へ。") == ["「無料です。」と言う。", "次へ。"]
    assert sentences("费用是5元！（含税。）是吗？") == ["费用是5元！", "（含税。）是吗？"]
    assert sentences("See No. 5. It costs 1.5 yen. Dr. Abe left.") == [
        "See No. 5. ",
        "It costs 1.5 yen. ",
        "Dr. Abe left.",
    ]


def test_a_section_is_a_piece_under_its_headings() -> None:
    pieces = markdown("# Cards\n\nIntro.\n\n## Gold\n\nFee 5 yen.\n\n- Lounge\n\n## Basic\n\n### Abroad\n\nFee 2 %.\n")
    assert [(piece.heading, piece.text) for piece in pieces] == [
        (("Cards",), "Intro."),
        (("Cards", "Gold"), "Fee 5 yen.\n\nLounge"),
        (("Cards", "Basic", "Abroad"), "Fee 2 %."),
    ]


def test_a_heading_without_text_is_found_too() -> None:
    assert [piece.text for piece in markdown("# Cards\n\n## Closed on Sundays\n\n## Gold\n\nFee 5 yen.\n")] == [
        "Closed on Sundays",
        "Fee 5 yen.",
    ]


def test_a_row_or_item_with_a_figure_is_a_piece_of_its_own_and_one_without_is_not() -> None:
    """Figures that stand side by side get mixed up; a list of words stays together."""
    rows = "".join(f"| Card {i} | {i},000 yen | a card for clients of every kind |\n" for i in range(1, 30))
    head = "# Fees\n\n| Card | Fee | What |\n| --- | --- | --- |\n"
    assert [piece.text.count("\n") for piece in markdown(head + rows)] == [0] * 29
    pieces = markdown("# Gold\n\nFor travellers.\n\n- Lounge\n- Insurance\n- Fee: 5 yen\n- Concierge\n")
    assert [piece.text for piece in pieces] == ["For travellers.\n\nLounge\nInsurance", "Fee: 5 yen", "Concierge"]


def test_a_long_paragraph_is_cut_between_sentences() -> None:
    """Into pieces near the target, which is half as many characters in Japanese and Chinese."""
    for sentence, separator in (
        ("The fee of this account is 1,100 yen.", " "),
        ("この口座の手数料は1,100円です。", ""),
    ):
        pieces = markdown("# A\n\n" + separator.join([sentence] * 60))
        assert all(piece.text.startswith(sentence[:6]) and piece.text.endswith(sentence[-2:]) for piece in pieces)
        target = DEFAULT.size if separator else DEFAULT.size / 2
        assert all(0.4 * target < len(piece.text) <= 1.2 * target for piece in pieces[:-1])


def test_overlap_repeats_the_end_of_a_piece_in_the_next() -> None:
    text = " ".join(f"Sentence number {i} says little." for i in range(60))
    whole = read(text.encode(), "text/plain")
    pieces = cut(whole, Strategy(overlap=0.2))
    assert all(two.start < one.end for one, two in pairwise(pieces))
    assert all(whole.text[piece.start : piece.end] == piece.text for piece in pieces)


def test_one_edited_word_changes_one_piece() -> None:
    sections = [f"## Part {i}\n\n" + f"The fee of part {i} is {i},000 yen. " * 8 + "\n\n" for i in range(12)]
    before = markdown("# Fees\n\n" + "".join(sections))
    after = markdown("# Fees\n\n" + "".join(sections).replace("The fee of part 5", "The charge of part 5", 1))
    assert len({piece.text for piece in after} - {piece.text for piece in before}) == 1


def test_what_is_embedded_says_where_the_piece_stands() -> None:
    """The title once, though it is mostly the first heading too."""
    piece = Piece(0, 4, "Text", ("Cards", "Gold"), None)
    assert embedded_text("Cards", piece) == "Cards › Gold\nText"
    assert embedded_text("Guide", piece) == "Guide › Cards › Gold\nText"
