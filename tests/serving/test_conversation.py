"""A conversation: follow-ups are searched in their context, histories fit the window, and what was left out is told."""

import itertools
from dataclasses import replace
from typing import Any

import pytest

from common.evidence import Evidence, Findings
from common.language import Language
from common.settings import Policy
from serving.chat.followup import in_context, join
from serving.chat.request import ChatRequest
from tests.fakes.knowledge import evidence
from tests.serving.conftest import Gateway

EN = Language.ENGLISH
GOLD = evidence("The annual fee of the Harbour Gold Card is 11,000 yen.", "gold.md")
PREMIUM = evidence("The annual fee of the Harbour Premium Card is 38,500 yen.", "premium.md")
LOUNGES = evidence("The Harbour Premium Card opens 8 lounges.", "lounges.md")
TALKS = {
    "en": ("What is the annual fee of the Harbour Gold Card?", "It is 11,000 yen.", "And the Premium card?"),
    "ja": ("潮騒ゴールドカードの年会費は？", "12,100円です。", "プレミアムの場合は？"),
    "zh-TW": ("墨竹金卡的年費是多少？", "3,600元。", "那白金卡呢？"),
}


def talk(*turns: str) -> list[dict[str, Any]]:
    """Questions and answers in turn, the last a question."""
    roles = itertools.cycle(("user", "assistant"))
    return [{"role": role, "content": text} for role, text in zip(roles, turns, strict=False)]


def request(messages: list[dict[str, Any]]) -> ChatRequest:
    return ChatRequest.model_validate({"model": "plain", "messages": messages})


def findings(*chunks: Evidence, weak: bool = False) -> Findings:
    return Findings(7, weak, chunks)


@pytest.mark.parametrize("lang", TALKS)
async def test_a_follow_up_is_searched_alone_and_in_its_context(gateway: Gateway, lang: str) -> None:
    """Both searches see one snapshot, and the response says what was searched for."""
    before, answer, after = TALKS[lang]
    info = (await (await gateway.ask(messages=talk(before, answer, after))).json())["groundtone"]
    alone, within = gateway.knowledge.searches
    assert alone["question"] == after
    assert within["question"] == f"{before} {after}"
    assert within["as_of"] == 7
    assert info["question"] == f"{before} {after}"
    assert (await gateway.last())["outcome"]["searched"] == f"{before} {after}"


async def test_a_first_question_is_searched_once_as_it_stands(gateway: Gateway) -> None:
    """No context, no second search."""
    info = (await (await gateway.ask("What is the annual fee?")).json())["groundtone"]
    [search] = gateway.knowledge.searches
    assert search["question"] == info["question"] == "What is the annual fee?"
    assert search["top_k"] == 4


@pytest.mark.parametrize(
    "turns",
    [
        ("Good morning!", "Good morning. What can I do for you?", "What is the annual fee?"),
        ("What is the annual fee?", "11,000 yen.", "Thank you!"),
        ("word " * 100, "I see.", "What is the annual fee?"),
        ("What is the annual fee?", "11,000 yen.", "word " * 100),
    ],
)
def test_courtesy_and_long_texts_make_no_follow_up(turns: tuple[str, ...]) -> None:
    """A greeting is no context, and who writes a page has said what he means."""
    assert in_context(request(talk(*turns))) is None


def test_the_context_is_the_last_two_questions_and_never_an_answer() -> None:
    """What the assistant said, right or wrong, is not searched for."""
    turns = ("How old is it?", "A", "What is the fee?", "B", "Of Gold?", "C", "And Premium?")
    assert in_context(request(talk(*turns))) == "What is the fee? Of Gold? And Premium?"


def test_what_both_rankings_find_stands_first() -> None:
    """The chunk that was just answered leads one ranking, a neighbour of the new subject the other."""
    alone, within = findings(LOUNGES, PREMIUM), findings(GOLD, PREMIUM)
    assert join(alone, within, EN, 2, 0.1).evidence[0].document == "premium.md"


def test_a_new_question_keeps_its_own_best_chunk() -> None:
    """Behind the old question it may find nothing of its own; alone it does."""
    alone, within = findings(LOUNGES, PREMIUM), findings(GOLD, LOUNGES)
    assert join(alone, within, EN, 1, 0.1).evidence == (LOUNGES,)


@pytest.mark.parametrize(("score", "weak"), [(0.05, True), (0.2, False)])
def test_joined_rankings_are_as_weak_as_their_best_chunk(score: float, weak: bool) -> None:
    """A strong chunk that did not come first does not carry an answer about something else."""
    low, high = evidence("a", "a.md", score=score), evidence("b", "b.md", score=0.9)
    assert join(findings(low, high), findings(low), EN, 2, 0.1).weak is weak


@pytest.mark.parametrize(("score", "first"), [(0.2, "en.md"), (0.05, "ja.md")])
def test_another_language_comes_after_the_askers_own(score: float, first: str) -> None:
    """Where that has evidence; else the other language's answer is the one."""
    own, other = evidence("a", "en.md", score=score), replace(evidence("b", "ja.md", score=0.6), lang="ja")
    assert join(findings(other, own), findings(other, own), EN, 1, 0.1).evidence[0].document == first


def test_a_follow_up_is_outside_the_scope_only_where_its_context_is_too() -> None:
    """Alone "and for students?" is about school."""
    here, there = findings(GOLD), Findings(7, False, (GOLD,), outside=True)
    assert join(there, there, EN, 1, 0.1).outside
    assert not join(there, here, EN, 1, 0.1).outside


@pytest.mark.parametrize(
    ("lang", "refusal"), [("en", "would rather not guess"), ("ja", "控えさせて"), ("zh-TW", "恕我們無法臆測")]
)
async def test_a_follow_up_without_evidence_is_refused_in_its_language(
    gateway: Gateway, lang: str, refusal: str
) -> None:
    """Weak in both searches: no guess, and the hand-over is named."""
    gateway.knowledge.findings = Findings(7, True, (evidence("Unrelated.", score=0.04),))
    body = await (await gateway.ask(messages=talk(*TALKS[lang]))).json()
    assert body["groundtone"]["outcome"] == "abstained"
    assert refusal in body["choices"][0]["message"]["content"]
    assert "+81 6-5550-0142" in body["choices"][0]["message"]["content"]


@pytest.mark.parametrize("question", ["What is the fee?", "年会費は？", "年費是多少？"])
async def test_the_policys_bound_goes_with_every_search(gateway: Gateway, question: str) -> None:
    """`min_evidence` decides what is weak, in each language; the search judges by it."""
    settings = gateway.services.settings
    policies = (*settings.policies, Policy(name="default", min_evidence=0.7))
    gateway.services.settings = settings.model_copy(update={"policies": policies})
    await (await gateway.ask(question)).read()
    assert gateway.knowledge.searches[-1]["min_evidence"] == 0.7
    gateway.knowledge.findings = findings(evidence("Something near.", score=0.69))
    body = await (await gateway.ask(messages=talk(question, "…", question))).json()
    assert body["groundtone"]["outcome"] == "abstained"


async def test_evidence_that_does_not_fit_is_named(gateway: Gateway) -> None:
    """The weakest chunk gives way last of all, and never silently: response and record name it."""
    strong = evidence("The annual fee of the Harbour Gold Card is 11,000 yen.", "strong.md", score=0.9)
    large = evidence("word " * 9000, "large.md", score=0.5)
    gateway.knowledge.findings = findings(strong, large)
    info = (await (await gateway.ask()).json())["groundtone"]
    assert [one["document"] for one in info["evidence"]] == ["strong.md"]
    assert info["omitted"]["evidence"] == [{"chunk": large.chunk, "document": "large.md", "score": 0.5}]
    outcome = (await gateway.last())["outcome"]
    assert outcome["omitted"] == info["omitted"]
    assert [one["document"] for one in outcome["evidence"]] == ["strong.md"]


async def test_history_goes_by_whole_exchanges_and_is_counted(gateway: Gateway) -> None:
    """Instructions stay, no answer is left without its question, and the response says how much went."""
    turns = talk(*(f"turn {i} " + "word " * 400 for i in range(30)), "What is the annual fee?")
    body = await (await gateway.ask(messages=[{"role": "developer", "content": "Be brief."}, *turns])).json()
    sent = gateway.engine.chats[-1]["messages"]
    assert [m["role"] for m in sent[:3]] == ["system", "system", "user"]
    assert sent[1]["content"] == "Be brief."
    assert body["groundtone"]["omitted"] == {"messages": 33 - len(sent), "evidence": []}


async def test_a_tools_result_never_outlives_its_call(gateway: Gateway) -> None:
    """A trimmed history holds call and result, or neither."""
    call = {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    exchange: list[dict[str, Any]] = [
        {"role": "user", "content": "word " * 700},
        {"role": "assistant", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "1", "content": "word " * 700},
        {"role": "assistant", "content": "Done."},
    ]
    history = exchange * 8
    assert (await gateway.ask(messages=[*history, *talk("What is the annual fee?")])).status == 200
    sent = gateway.engine.chats[-1]["messages"][1:]
    assert [m["role"] for m in sent] == ["user", "assistant", "tool", "assistant"] * (len(sent) // 4) + ["user"]


async def test_a_question_that_fills_the_window_alone_is_an_error(gateway: Gateway) -> None:
    """Nothing is left to give way."""
    response = await gateway.ask("word " * 20_000, model="voice")
    assert response.status == 400
    assert (await response.json())["error"]["code"] == "context_length_exceeded"
