"""Links that no source has, images and markup are taken out of an answer, however it arrives."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.evidence import Findings
from common.language import Language
from serving.chat.links import Links
from serving.chat.scrub import JsonScrub, Known, Removed, Scrub, normal
from tests.fakes.engine import ToolCall
from tests.fakes.knowledge import evidence
from tests.serving.conftest import Gateway

SOURCE = evidence(
    "Fees stand at https://kitahama.example/fees. Write to desk@kitahama.example, see www.kitahama.example/help。"
    "[Form](https://kitahama.example/form.pdf)"
)
KNOWN = Known([SOURCE], own=["help.kitahama.example"])
GONE = "(link removed)"


def scrubbed(*pieces: str) -> str:
    """What leaves when `pieces` arrive one by one."""
    scrub, out, released = Scrub(KNOWN, GONE), "", 0
    for place, piece in enumerate(pieces):
        scrub.feed(piece, final=place == len(pieces) - 1)
        out += scrub.rendered(released, scrub.settled)[0]
        released = scrub.settled
    assert released == len(scrub.text)
    return out


UNTOUCHED = [
    "Thank you for your enquiry. The annual fee is 11,000 yen. Kitahama Trust remains at your service.",
    "The rate is 0.35 % (as of 1.10.2026), 3.5 times 1.2: about 4.2!",
    "年会費は11,000円（税込）です。受付は9:00–15:00です！",
    "利率為1.445%，週一至週五9:00-15:30。",
    "If a < b and b > c then a<=c; I <3 it.",
    "Open Mon.-Fri., e.g. at 9 a.m. in the U.S.A. or at St.Louis.",
    "The fee is 5 yen.It is due in May.",
    "See https://kitahama.example/fees, or (https://kitahama.example/fees).",
    "詳細はhttps://kitahama.example/feesをご覧ください。",
    "The [form](https://kitahama.example/form.pdf) and <https://kitahama.example/fees>.",
    "Mail desk@kitahama.example or mailto:desk@kitahama.example; see kitahama.example/help or help.kitahama.example!",
    '{"fee": 11000, "note": "see [1] and a[0](x)", "file": "cards.md"}',
    "Note:see below. Ratio 3:2. C: and D:",
    "[note](see page 3)",
    "use the http:// prefix",
]
CHANGED = {
    "Go to https://evil.example/x?d=1 now.": "Go to https (link removed) now.",
    "https://kitahama.example/fees?d=secret": "https (link removed)",
    "https://kitahama.example.evil.com/fees!": "https (link removed)!",
    "https://kitahama.example@evil.com/": "https (link removed)",
    "See evil.com/a.": "See evil (link removed).",
    "See www.evil.ninja/a now": "See www (link removed) now",
    "ask boss@evil.com today": "ask boss@evil (link removed) today",
    "a javascript:alert(1) b": "a javascript (link removed) b",
    "data:text/html;base64,AAAA": "data (link removed)",
    "![secret](https://evil.example/p.png)": "[secret] (link removed)",
    "![f](https://kitahama.example/fees)": "[f](https://kitahama.example/fees)",
    "Nice!![x](y)": "Nice! [x](y)",
    "[here](https://evil.example/)!": "[here] (link removed)!",
    "[here](/admin?delete=1) ok": "[here] (link removed) ok",
    "[here](//evil.example/a)": "[here] (link removed)",
    '[here](https://evil.example/ "title")': "[here] (link removed)",
    "<https://evil.example/>": "(link removed)",
    "<b>11,000</b> yen": "11,000  yen",
    "fee<br/>11,000": "fee 11,000",
    "<img src=x onerror=alert(1)>": "",
    "!<b>[f](https://kitahama.example/fees)": "! [f](https://kitahama.example/fees)",
    "evil.<b>com/a": "evil. com/a",
    "<<b>img src=x>": "< img src=x>",
    "<a href='https://evil.example/'>x</a>": "x ",
    "<script>go()</script>": "go() ",
    "a <img src=x onerror=alert(1)": "a ‹img src=x onerror=alert(1)",
    "こちら：https://evil.example/取引です": "こちら：https (link removed)取引です",
    "https://еvil.com/a": "https (link removed)",
}


@pytest.mark.parametrize("text", UNTOUCHED)
def test_what_needs_no_change_has_none(text: str) -> None:
    """Figures, clock times, abbreviations, known links: an answer of ours is not mistaken for an attack."""
    assert scrubbed(text) == text


@pytest.mark.parametrize(("text", "rest"), CHANGED.items())
def test_unknown_links_images_and_markup_go(text: str, rest: str) -> None:
    """A link stays only where a source has exactly it; words around it stay."""
    assert scrubbed(text) == rest


@pytest.mark.parametrize("text", [*UNTOUCHED, *CHANGED])
def test_every_split_gives_the_same(text: str) -> None:
    """Two pieces, split anywhere, and one character at a time: what leaves is what leaves of the whole."""
    whole = scrubbed(text)
    for cut in range(len(text) + 1):
        assert scrubbed(text[:cut], text[cut:]) == whole
    assert scrubbed(*text) == whole


PIECES = st.sampled_from(
    [
        *"<>![]()/:.\"' \n=a1日",
        "http",
        "https://",
        "www.",
        "evil.com",
        "/x",
        "![",
        "](",
        "<b>",
        "</",
        "kitahama.example",
    ]
)


@settings(max_examples=150, deadline=None)
@given(st.lists(PIECES, max_size=24), st.data())
def test_no_split_and_no_nesting_gets_anything_through(pieces: list[str], data: Any) -> None:
    """Whatever the order of brackets and schemes: the same for each split, no image, no tag, no unknown link."""
    text = "".join(pieces)
    out = scrubbed(text)
    cut = data.draw(st.integers(0, len(text)))
    assert scrubbed(text[:cut], text[cut:]) == out
    assert scrubbed(*pieces, "") == out
    assert "![" not in out
    again = scrubbed(out)
    assert again.count(GONE) == out.count(GONE), "something new came of what was left"


@settings(max_examples=100, deadline=None)
@given(st.text(alphabet="abc 日本.,!?:;-–%％円0123456789\n（）「」", max_size=80))
def test_plain_text_flows_unchanged(text: str) -> None:
    """Without a link, a bracket or a tag nothing is touched."""
    assert scrubbed(*text, "") == text


def test_only_what_may_become_a_link_waits() -> None:
    """Words flow at once; a full stop waits for what follows it, and no longer."""
    scrub = Scrub(KNOWN, GONE)
    for piece, waiting in ((" fee", ""), (" is", ""), (" 11", ""), (".", "."), (" Thank", ""), ("!", "!"), (" A", "")):
        scrub.feed(piece)
        assert scrub.text[scrub.settled :] == waiting


def test_an_event_without_a_change_is_the_very_same() -> None:
    """Log-probabilities and all; one that is rewritten loses them, because they name the tokens."""
    links = Links([SOURCE], Language.ENGLISH)
    out: list[Any] = []
    events = [event(text) for text in ("Go", " to", " evil", ".com", "/x", " now", ".")] + [event("", "stop")]
    for one in events:
        out += links.feed(one)
    assert [e["choices"][0]["delta"]["content"] for e in out] == [
        "Go",
        " to",
        " evil",
        " (link removed)",
        "",
        " now",
        ".",
        "",
    ]
    assert all(after is before for after, before in zip(out, events, strict=True) if after["choices"][0]["logprobs"])
    assert [bool(e["choices"][0]["logprobs"]) for e in out] == [True, True, True, False, False, True, True, True]
    assert links.removed == {Removed.LINKS: 1, Removed.MARKUP: 0}


def event(text: str, finish: str | None = None) -> dict[str, Any]:
    logprobs = {"content": [{"token": text}]}
    return {"choices": [{"index": 0, "delta": {"content": text}, "logprobs": logprobs, "finish_reason": finish}]}


@pytest.mark.parametrize(
    ("one", "other"),
    [("https://Kitahama.example/Fees/", "http://kitahama.example/fees"), ("www.a.example", "a.example.")],
)
def test_links_are_compared_by_where_they_lead(one: str, other: str) -> None:
    """Scheme of the web, `www.`, case and closing punctuation make no other place."""
    assert normal(one) == normal(other)


async def test_an_answer_never_has_a_link_that_no_source_has(gateway: Gateway) -> None:
    """Streamed or not, and the response says how much went."""
    gateway.knowledge.findings = Findings(7, False, (SOURCE,))
    gateway.engine.answer = "See https://kitahama.example/fees and ![x](https://evil.example/p?q=11,000) <b>now</b>."
    body = await (await gateway.ask()).json()
    text = body["choices"][0]["message"]["content"]
    assert "https://kitahama.example/fees" in text
    assert "evil" not in text
    assert body["groundtone"]["removed"] == {"links": 1, "markup": 3}
    streamed = await (await gateway.ask(stream=True)).text()
    assert "evil" not in streamed
    assert (await gateway.last())["outcome"]["removed"] == {"links": 1, "markup": 3}


ESCAPED = {
    r'{"see": "https:\/\/evil.ninja\/a?q=1", "fee": 11000}': r'{"see": "https (link removed)", "fee": 11000}',
    r'{"see": "\u0068ttps\u003a//evil.ninja"}': r'{"see": "\u0068ttps (link removed)"}',
    r'{"a": "x\n![s](https:\/\/evil.example)"}': r'{"a": "x\n[s] (link removed)"}',
    r'{"a": "\u003cimg src=x\u003e", "b": "1 < 2 \\"}': r'{"a": " ", "b": "1 < 2 \\"}',
    r'{"a": "https:\/\/kitahama.example\/fees", "b": "C:\\new \"x\" \ud83d\ude00"}': None,
}


@pytest.mark.parametrize(("text", "rest"), ESCAPED.items())
def test_json_is_read_as_a_client_will_read_it(text: str, rest: str | None) -> None:
    """An escape hides no link, what is left is JSON still, and however it is cut, it is the same."""

    def through(*pieces: str) -> str:
        scrub, out, released = JsonScrub(KNOWN, GONE), "", 0
        for piece in [*pieces, None]:
            scrub.feed(piece or "", final=piece is None)
            out += scrub.rendered(released, scrub.settled)[0]
            released = scrub.settled
        return out

    json.loads(through(text))
    assert through(text) == (text if rest is None else rest)
    for cut in range(len(text)):
        assert through(text[:cut], text[cut:]) == through(text)
    assert through(*text) == through(text)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_tool_call_carries_no_link_that_nobody_brought(gateway: Gateway, stream: bool) -> None:
    """What the evidence or the caller's own words have may be passed on; markup is the program's own affair."""
    gateway.knowledge.findings = Findings(7, False, (SOURCE,))
    given = r'{"a": "https:\/\/evil.ninja\/?q=11,000", "b": "https://kitahama.example/fees", "c": "me@asker.example", '
    gateway.engine.answer = ToolCall("send", [given[:15], given[15:], '"d": "<b>x</b>"}'])
    tools = [{"type": "function", "function": {"name": "send", "parameters": {"type": "object"}}}]
    asked = [{"role": "user", "content": "Send the annual fee to me@asker.example."}]
    text = await (await gateway.ask(messages=asked, tools=tools, stream=stream)).text()
    assert "evil" not in text
    for kept in ("kitahama.example/fees", "me@asker.example", "<b>x</b>", '"removed":{"links":1,"markup":0}'):
        assert kept in text


def test_what_a_model_thinks_is_an_answers_text_too() -> None:
    """Some clients show it."""
    links = Links([SOURCE], Language.ENGLISH)
    delta = {"reasoning_content": "Look at https://evil.example/a now."}
    [out] = links.feed({"choices": [{"index": 0, "delta": delta, "finish_reason": "stop"}]})
    assert out["choices"][0]["delta"] == {"reasoning_content": "Look at https (link removed) now."}
