"""Verdicts on figures, one after the other: what counts as the same value, the same subject, a sum, an echo."""

from typing import Any

import pytest

from common.evidence import Evidence
from common.language import language_of
from serving.chat.guard import Guard
from tests.fakes.engine import ToolCall
from tests.fakes.knowledge import evidence
from tests.serving.conftest import Gateway

CARDS = (
    evidence("The annual fee of the Basic card is $1,200.", "basic.md", title="Basic Card"),
    evidence("The annual fee of the Premium card is 11,000 yen.", "premium.md", title="Premium Card"),
)


def verdicts(answer: str, *texts: str | Evidence, question: str = "What is it?", title: str = "Page") -> list[str]:
    """The status of each figure of `answer` over evidence with these texts."""
    chunks = [evidence(text, f"{i}.md", title=title) if isinstance(text, str) else text for i, text in enumerate(texts)]
    return [one.status.value for one in Guard(question, chunks, language_of(question)).judge(answer)]


SAME = """
The fee is $1200. | The fee is $1,200.
The rate is 12.0%. | The rate is 12%.
There are twelve rooms. | There are 12 rooms.
部屋は１２室、料金は1.2万円です。 | 部屋は12室、料金は一万二千円です。
The fee is 12,000 yen. | 料金は一万二千円です。
料金は12,000円です。 | 料金は1.2万円です。
The span is 3% to 5%. | The span is 3–5 %.
It takes three to five days. | It takes 3-5 days.
It starts on 1 April 2026. | 令和8年4月1日から始まります。
It starts on 1 April 2026. | 民國115年4月1日起適用。
民國115年4月1日起適用。 | It starts on 2026-04-01.
It weighs 1.5 kg. | It weighs 1,500 g.
The term is a year, that is 12 months. | The term is 12 months.
Revenue was 1.2 billion yen. | 売上高は12億円です。
It opens at 9 a.m. | It opens at 9:00.
The share is 75%. | 貸款成數：最高七成五
割合は35%です。 | 割合は3割5分です。
It starts on 1 April. | It starts on 1 April 2026.
The fee was 11,000 in 2026. | On 1 April 2026 the fee was 11,000 yen.
It fell 5% last year. | Change: -5%
Revenue was $33,135 million. | (Dollars in millions): Footwear; FISCAL 2023: $ 33,135
売上高は12,345百万円です。 | 単位：百万円: 売上高; 2026年度: 12,345
"""


@pytest.mark.parametrize("line", SAME.strip().splitlines())
def test_one_value_in_two_writings_is_supported(line: str) -> None:
    """Separators, decimals, words, scripts, scales, ranges, calendars, units."""
    answer, text = line.split(" | ")
    assert set(verdicts(answer, text)) == {"supported"}


DIFFERENT = """
The fee is $1,201. | The fee is $1,200.
The fee is 1,200 yen. | The fee is $1,200.
The rate is 12%. | There are 12 rooms.
It takes 3 days. | It takes 3 business days.
It starts on 1 April 2027. | It starts on 1 April 2026.
It starts on 1 April 2026. | It starts on 1 April.
It grew 5% last year. | Change: -5%
Revenue was $33,135 billion. | (Dollars in millions): Footwear; FISCAL 2023: $ 33,135
It weighs 1.5 kg. | It weighs 1,500 kg.
The span is 3% to 6%. | The span is 3–5 %.
"""


@pytest.mark.parametrize("line", DIFFERENT.strip().splitlines())
def test_another_value_is_unsupported(line: str) -> None:
    """Another amount, currency, kind, unit, year, sign or scale."""
    answer, text = line.split(" | ")
    assert "unsupported" in verdicts(answer, text)


def test_the_basic_card_does_not_have_premiums_fee() -> None:
    """The value stands in the evidence, about something else."""
    assert verdicts("The Basic card costs 11,000.", *CARDS) == ["misattributed"]
    assert verdicts("The Premium card costs 11,000.", *CARDS) == ["supported"]


def test_a_removed_product_does_not_get_its_neighbours_fee() -> None:
    """Only Premium is left, and the question or the answer names Basic."""
    asked = "What is the annual fee of the Basic Card?"
    assert verdicts("The annual fee of the Basic Card is 11,000 yen.", CARDS[1]) == ["misattributed"]
    assert verdicts("It is 11,000 yen.", CARDS[1], question=asked) == ["misattributed"]
    assert verdicts("The Quay Charge Card costs 11,000 yen.", CARDS[1], question="And the Quay Charge Card?") == [
        "misattributed"
    ]


def test_a_name_in_prose_counts_like_a_heading() -> None:
    """Two products in one paragraph without headings."""
    text = "The Basic card costs 1,200 yen a year. The Gold card costs 5,500 yen a year."
    assert verdicts("The Basic card costs 5,500 yen.", text) == ["misattributed"]
    assert verdicts("The Gold card costs 5,500 yen.", text) == ["supported"]
    text = "ベーシックカードの年会費は1,200円です。ゴールドカードの年会費は5,500円です。"
    assert verdicts("ベーシックカードの年会費は5,500円です。", text, question="年会費は？") == ["misattributed"]
    assert verdicts("ゴールドカードの年会費は5,500円です。", text, question="年会費は？") == ["supported"]


def test_columns_of_one_row_are_told_apart() -> None:
    """Of the right product, the other attribute."""
    row = "Card: Gold; Annual fee: 5,500 yen; Replacement fee: 1,100 yen"
    assert verdicts("The replacement fee of Gold is 5,500 yen.", row) == ["misattributed"]
    assert verdicts("The annual fee of Gold is 5,500 yen.", row) == ["supported"]


REPORT = (
    evidence(
        "(Dollars in millions) Revenues by:: Footwear; FISCAL 2023: $ 14,897; FISCAL 2022: $ 12,228; % CHANGE: 22%",
        "report.pdf#1", title="NORTH AMERICA",
    ),
    evidence(
        "(Dollars in millions) Revenues by:: Footwear; FISCAL 2023: $ 5,435; FISCAL 2022: $ 5,416; % CHANGE: 0%",
        "report.pdf#2", title="GREATER CHINA",
    ),
    evidence(
        "(Dollars in millions) NIKE, Inc. Revenues: By:: Footwear; FISCAL 2023: $ 33,135; FISCAL 2022: $ 29,143",
        "report.pdf#3", title="REVENUES",
    ),
)  # fmt: skip


@pytest.mark.parametrize(
    ("answer", "wanted"),
    [
        ("In fiscal 2023, footwear revenues in North America were $14,897 million, up 22% from $12,228 million.",
         ["supported"] * 4),
        ("Footwear revenues in Greater China were $14,897 million.", ["misattributed"]),
        ("Footwear revenues were $33,135 million in fiscal 2023 and $29,143 million in fiscal 2022.",
         ["supported"] * 4),
        ("Footwear revenues rose by $3,992 million, from $29,143 million to $33,135 million.",
         ["derived", "supported", "supported"]),
        ("Footwear revenues in North America were $14,897.", ["supported"]),
        ("Footwear revenues in North America were $14,897 billion.", ["unsupported"]),
    ],
)  # fmt: skip
def test_tables_of_an_annual_report(answer: str, wanted: list[str]) -> None:
    """Groups before rows, a scale stated once, columns of years, headings that are common words."""
    assert verdicts(answer, *REPORT) == wanted


def test_a_translated_name_is_never_held_against_an_answer() -> None:
    """A Chinese or Japanese answer over English evidence."""
    assert verdicts("高級卡的年費為11,000日圓。", CARDS[1], question="高級卡的年費是多少？") == ["supported"]
    assert verdicts("プレミアムカードの年会費は11,000円です。", CARDS[1], question="年会費は？") == ["supported"]


def test_width_and_case_of_names_do_not_matter() -> None:
    """ＰＲＥＭＩＵＭ is Premium."""
    assert verdicts("ＰＲＥＭＩＵＭ CARD: 11,000 yen.", *CARDS) == ["supported"]
    assert verdicts("the premium card costs 11,000 yen", *CARDS) == ["supported"]
    assert verdicts("the basic card costs 11,000 yen", *CARDS) == ["misattributed"]


ECHOES = """
Is it 5,000? | No, it is not 5,000. | echoed
Is it 5,000 yen? | You asked about 5,000 yen: we can't confirm that. | echoed
Is it 5,000 yen? | No, 5,000 yen is incorrect. | echoed
Is it 5,000 yen? | Yes, it is 5,000 yen. | unsupported
Is it 5,000 yen? | No, it is 5,000 yen. | unsupported
Is it 5,000 yen? | It is not less than 5,000 yen. | unsupported
Is it 5,000 yen? | It is not 6,000 yen. | unsupported
5,000円ですか？ | いいえ、5,000円ではございません。 | echoed
5,000円ですか？ | はい、5,000円でございます。 | unsupported
是5,000元嗎？ | 不，並非5,000元。 | echoed
是5,000元嗎？ | 是的，為5,000元。 | unsupported
"""


@pytest.mark.parametrize("line", ECHOES.strip().splitlines())
def test_an_echo_passes_only_where_it_is_not_affirmed(line: str) -> None:
    """The asker's figure is no evidence."""
    question, answer, wanted = line.split(" | ")
    assert verdicts(answer, "Nothing about it.", question=question) == [wanted]


DERIVED = """
1,200 yen and 800 yen make 2,000 yen in total. | sum
Of 1,200 yen and 800 yen the gap is 400 yen. | difference
At 1,200 yen for 3 units each, that is 3,600 yen. | product
1,200 yen is 1.5 times 800 yen. | ratio
From 800 yen to 1,200 yen is an increase of 50%. | change
800 yen is 66.7% of 1,200 yen. | percentage
"""


@pytest.mark.parametrize("line", DERIVED.strip().splitlines())
def test_simple_arithmetic_over_named_figures_is_derived(line: str) -> None:
    """Its operation and operands are shown."""
    answer, operation = line.split(" | ")
    chunks = [evidence("One costs 1,200 yen, the other 800 yen. There are 3 units.", title="Page")]
    [derived] = [one for one in Guard("", chunks).judge(answer) if one.derivation]
    assert derived.derivation
    assert derived.derivation.operation.value == operation


@pytest.mark.parametrize(
    "answer",
    [
        "Together they cost 2,000 yen.",
        "1,200 yen and 800 yen make 2,100 yen in total.",
        "1,200 yen and 900 yen make 2,100 yen in total.",
        "1,200 yen and 800 yen; it takes 2 days.",
    ],
)
def test_arithmetic_over_what_the_answer_does_not_name_is_none(answer: str) -> None:
    """Unnamed or unsupported operands, a wrong result, another unit."""
    assert "unsupported" in verdicts(answer, "One costs 1,200 yen, the other 800 yen.")


def test_list_numbers_are_no_figures() -> None:
    """Nor are ordinals and references."""
    assert verdicts("1. Open the app.\n2. See Section 4.2 [1].", "Nothing.") == []


async def test_verdicts_are_in_the_response_the_stream_the_record_and_the_metrics(gateway: Gateway) -> None:
    """One truth in four places."""
    gateway.engine.answer = "The annual fee of the Harbour Gold Card is 12,345 yen.[7]"
    info = (await (await gateway.ask()).json())["groundtone"]
    [figure] = info["guard"]["figures"]
    assert figure["status"] == "unsupported"
    recorded = (await gateway.receipt(info["receipt"]))["outcome"]
    assert recorded["guard"]["figures"] == info["guard"]["figures"]
    assert recorded["output"] == ["The annual fee of the Harbour Gold Card is 12,345 yen."]
    metrics = await (await gateway.http.get("/metrics")).text()
    assert 'groundtone_figures_total{status="unsupported"}' in metrics
    assert 'groundtone_citation_markers_total{fate="removed"}' in metrics


async def test_a_tool_call_can_not_carry_an_invented_figure_out(gateway: Gateway) -> None:
    """Under a withholding policy its argument is null, streamed or not."""
    gateway.engine.answer = ToolCall("pay", ['{"fee": 11', "000, ", '"other": 123', "45}"])
    tools = [{"type": "function", "function": {"name": "pay", "parameters": {"type": "object"}}}]
    body: dict[str, Any] = await (await gateway.ask(model="withholding", tools=tools)).json()
    [call] = body["choices"][0]["message"]["tool_calls"]
    assert call["function"]["arguments"] == '{"fee": 11000, "other": null}'
    assert body["groundtone"]["outcome"] == "withheld"


async def test_regenerate_asks_once_more_and_sends_the_second_answer(gateway: Gateway) -> None:
    """The first is in the record only; on a stream the policy withholds."""
    answers = iter(["The fee is 12,345 yen.", "The fee is 11,000 yen.", "It is 12,345 yen.", "It is 54,321 yen."])
    gateway.engine.answer = lambda _: next(answers)
    body: dict[str, Any] = await (await gateway.ask(model="regenerating")).json()
    assert body["choices"][0]["message"]["content"] == "The fee is 11,000 yen."
    assert body["groundtone"]["guard"]["verdict"] == "clean"
    assert body["groundtone"]["guard"]["regenerated"] is True
    assert "12,345" not in str(body)
    recorded = (await gateway.receipt(body["groundtone"]["receipt"]))["outcome"]
    assert recorded["first_answer"]["output"] == ["The fee is 12,345 yen."]
    again: dict[str, Any] = await (await gateway.ask(model="regenerating")).json()
    assert again["choices"][0]["message"]["content"] == "It is [figure withheld]."


async def test_regenerate_on_a_stream_withholds(gateway: Gateway) -> None:
    """What has left can't be made again."""
    gateway.engine.answer = "The fee is 12,345 yen."
    text = await (await gateway.ask(model="regenerating", stream=True)).text()
    assert "withheld" in text
    assert "12,345" not in text
