"""The pass over the engine's events: what waits, what leaves, what is taken out, in content, JSON and tool calls."""

from typing import Any

import orjson
import pytest

from common.language import Language
from common.settings import Guard as Policy
from serving.chat.guard import Verdict
from serving.chat.transducer import Conclusion, Transducer
from tests.fakes.knowledge import evidence

GOLD = evidence("The annual fee of the Harbour Gold Card is 11,000 yen.", "gold.md", title="Harbour Gold Card")
BASIC = evidence("The annual fee of the Harbour Basic Card is 1,650 yen.", "basic.md", title="Harbour Basic Card")
QUESTION = "What is the annual fee of the Harbour Gold Card?"


def passing(policy: Policy = Policy.WITHHOLD, question: str = QUESTION, **options: Any) -> Transducer:
    return Transducer(question, (BASIC, GOLD), policy, Language.ENGLISH, **options)


def event(delta: dict[str, Any], finish: str | None = None, logprobs: Any = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}]}


def told(transducer: Transducer, text: str, size: int = 4) -> tuple[list[str], Conclusion]:
    """What leaves after each piece of `text`, and the conclusion."""
    out: list[str] = []
    for at in range(0, len(text), size):
        left = transducer.feed(event({"content": text[at : at + size]}))
        out.append("".join(one["choices"][0]["delta"]["content"] for one in left))
    left = transducer.feed(event({}, "stop"))
    out.append("".join(one["choices"][0]["delta"].get("content", "") for one in left))
    return out, transducer.conclude()


def test_text_without_figures_flows_event_by_event() -> None:
    """Each event leaves as the very object that came, at once."""
    transducer = passing()
    for word in ("We ", "are ", "glad ", "to ", "help ", "you."):
        given = event({"content": word})
        assert transducer.feed(given) == [given]
        assert given == event({"content": word})


def test_a_figure_whose_subject_is_told_leaves_at_once() -> None:
    """Only the figure itself was held: one mark behind it decides that it is whole."""
    out, _ = told(
        passing(), "The annual fee of the Harbour Gold Card is 11,000 yen, and more follows in this sentence.", 1
    )
    text = "".join(out)
    assert "".join(out[: text.index(", and") + 1]).endswith("11,000 yen,")


def test_a_figure_waits_for_a_name_that_follows() -> None:
    """`11,000 yen for the Basic Card` is wrong from its last word on, and nothing of it has left by then."""
    out, conclusion = told(passing(), "You pay 11,000 yen for the Harbour Basic Card. Bye.", 1)
    assert "".join(out) == "You pay [figure withheld] for the Harbour Basic Card. Bye."
    assert conclusion.refused[0]["status"] == "misattributed"
    assert "".join(out[:40]) == "You pay "


def test_a_figure_is_never_held_for_long() -> None:
    """A sentence that does not end holds its figure for a bounded number of characters."""
    out, _ = told(passing(), "It costs 11,000 yen " + "and so on " * 40, 1)
    longest = max(len("".join(out[: i + 1])) for i in range(160))
    assert longest > 20


def test_a_denial_behind_a_japanese_figure_counts_on_a_stream() -> None:
    """`5,000円ではありません` repeats the question without affirming it."""
    transducer = Transducer("5,000円ですか？", (GOLD,), Policy.WITHHOLD, Language.JAPANESE)
    out, conclusion = told(transducer, "いいえ、5,000円ではありません。", 1)
    assert "".join(out) == "いいえ、5,000円ではありません。"
    assert [one["status"] for one in conclusion.figures] == ["echoed"]


def test_a_derivation_is_shown_with_the_places_of_its_operands() -> None:
    """Also where something before it was taken out: places are those of the text that was sent."""
    text = "It is not 9,999 yen. Basic is 1,650 yen and Gold 11,000 yen, 12,650 yen in total."
    out, conclusion = told(passing(), text)
    sent = "".join(out)
    derived = conclusion.figures[-1]
    assert derived["status"] == "derived"
    assert sent[slice(*derived["span"])] == "12,650 yen"
    assert [sent[slice(*place)] for place in derived["derivation"]["operands"]] == ["1,650 yen", "11,000 yen"]
    assert derived["derivation"]["operation"] == "sum"
    assert derived["derivation"]["text"] == "1,650 yen + 11,000 yen"


def test_json_stays_json_when_a_value_is_withheld() -> None:
    """A bare value becomes null, one inside a string the notice; values that the evidence has stay as they are."""
    text = '{"fee":11000,"limits":[1650,11000],"other":12345,"note":"it is 54,321 yen"}'
    out, conclusion = told(passing(data=True), text, 3)
    assert orjson.loads("".join(out)) == {
        "fee": 11000,
        "limits": [1650, 11000],
        "other": None,
        "note": "it is [figure withheld]",
    }
    assert [one["text"] for one in conclusion.refused] == ["12345", "54,321 yen"]


def call(arguments: str, index: int = 0) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def test_tool_calls_are_judged_too() -> None:
    """What the evidence or the question has passes; an invented value is null, in the call that has it."""
    transducer = passing(question="Convert 5,000 yen.")
    left: list[Any] = []
    for piece in ('{"amou', 'nt": 50', '00, "fee": 11000,', ' "rate": 98', "7}"):
        left += transducer.feed(event(call(piece)))
    left += transducer.feed(event({}, "tool_calls"))
    arguments = "".join(
        one["function"]["arguments"] for e in left for one in e["choices"][0]["delta"].get("tool_calls", ())
    )
    assert orjson.loads(arguments) == {"amount": 5000, "fee": 11000, "rate": None}
    conclusion = transducer.conclude()
    assert [(one["status"], one["field"]) for one in conclusion.figures] == [
        ("echoed", "tool_call 0"),
        ("supported", "tool_call 0"),
    ]
    assert conclusion.refused[0]["field"] == "tool_call 0"
    assert conclusion.verdict is Verdict.WITHHELD


def test_a_models_reasoning_can_not_tell_what_was_withheld() -> None:
    """It is a text of the answer like any other."""
    transducer = passing()
    left = transducer.feed(event({"reasoning_content": "So 12,345 yen it is. "}))
    left += transducer.feed(event({"content": "Hello."}, "stop"))
    assert "12,345" not in orjson.dumps(left).decode()


def test_log_probabilities_do_not_tell_what_was_withheld() -> None:
    """Rewritten events lose theirs, the finishing one too; others keep theirs, once."""
    transducer = passing()
    pieces = ["The fee ", "is ", "12,", "345 ", "yen", ". It", " is so."]
    left: list[Any] = []
    for piece in pieces:
        left += transducer.feed(event({"content": piece}, logprobs={"content": [{"token": piece}]}))
    left += transducer.feed(event({"content": " 98,765 yen"}, "stop", {"content": [{"token": " 98,765 yen"}]}))
    finishes = transducer.finishes()
    assert finishes
    everything = orjson.dumps([left, finishes]).decode()
    assert not [part for part in ("12,", "345", "98,765") if part in everything]
    assert everything.count('"The fee "') == 2  # the text, and its own log-probability


def test_stop_ends_before_the_figure_and_says_nothing_behind_it() -> None:
    """Of a text that goes on, not one letter more."""
    transducer = passing(Policy.STOP)
    out, conclusion = told(transducer, "The Harbour Gold Card costs 1,650 yen. More to say.", 5)
    assert "".join(out) == "The Harbour Gold Card costs [figure withheld]"
    assert conclusion.verdict is Verdict.STOPPED
    assert transducer.stopped
    finishes = transducer.finishes()
    assert finishes
    assert finishes[0]["choices"][0]["finish_reason"] == "content_filter"


@pytest.mark.parametrize("size", [1, 2, 50])
def test_markers_that_point_nowhere_are_removed(size: int) -> None:
    """Two sources were in the prompt: [3] is none. Right ones stay, other brackets too."""
    text = (
        "Gold is 11,000 yen [2], Basic 1,650 yen [3]. See 【1】, [gold.md], not [nowhere.md]. Keep [this] and `a[9]`."
    )
    out, conclusion = told(passing(Policy.FLAG), text, size)
    sent = "".join(out)
    assert "[3]" not in sent
    assert "[nowhere.md]" not in sent
    for kept in ("yen [2],", "【1】", "[gold.md]", "[this]", "`a[9]`"):
        assert kept in sent
    assert conclusion.markers == {"used": 3, "removed": 2}


def test_a_marker_decides_the_source_of_a_sentence_without_figures() -> None:
    """Number one is the first source of the prompt, in its canonical order."""
    _, conclusion = told(passing(Policy.FLAG), "The annual fee is told there [2].")
    [(_, citation)] = conclusion.citations
    assert citation.evidence.document == "gold.md"


def test_a_citation_points_at_each_figures_very_span() -> None:
    """The sentence is shown, and the figure inside it found."""
    _, conclusion = told(passing(Policy.FLAG), "The Harbour Gold Card costs 11,000 yen a year.")
    [(_, citation)] = conclusion.citations
    wire = citation.to_wire()
    assert wire["text"] == GOLD.text
    [place] = wire["figures"]
    assert GOLD.text[slice(*place["span"])] == "11,000 yen"
    assert conclusion.texts[0][slice(*place["answer_span"])] == "11,000 yen"


def test_off_leaves_everything_as_it_is() -> None:
    """No verdict, no marker taken out."""
    out, conclusion = told(passing(Policy.OFF), "It costs 12,345 yen [9].")
    assert "".join(out) == "It costs 12,345 yen [9]."
    assert conclusion.verdict is Verdict.OFF
    assert conclusion.figures == []


def test_a_long_answer_is_judged_on_its_way_as_it_is_whole() -> None:
    """Where nothing waits for a verdict figures are judged every few hundred characters: the same, each once."""
    text = "The Harbour Gold Card costs 11,000 yen, the Basic 12,345 yen. We asked 3 of 11,000 clients.\n" * 30
    _, streamed = told(passing(Policy.FLAG), text, 7)
    _, whole = told(passing(Policy.FLAG), text, len(text))
    assert len(streamed.figures) == 30 * 4
    assert streamed.figures == whole.figures
