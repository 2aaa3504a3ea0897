"""The optional check of sentences: what it says, and that it never blocks or invents a verdict."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from common import settings
from common.evidence import Findings
from serving.chat.grounding import MOST_PAIRS, Endpoint, Grounded
from tests.fakes.knowledge import evidence
from tests.fakes.nli import FakeNli
from tests.serving.conftest import Gateway

FEE = evidence("The annual fee of the Harbour Gold Card is 11,000 yen.", "fee.md")
DESK = evidence("The desk is open from 9:00.", "desk.md")
ANSWER = "The annual fee is 11,000 yen. The desk is closed at 9:00. Good day!"
FAULTS = ["hang", "status", "garbage", "short", "shape", "infinite"]


def label(premise: str, hypothesis: str) -> str:
    if "11,000" in premise and "11,000" in hypothesis:
        return "entailment"
    return "contradiction" if "desk" in premise and "desk" in hypothesis else "neutral"


@pytest.fixture
async def nli() -> AsyncIterator[FakeNli]:
    async with FakeNli() as server:
        server.label = label
        yield server


@pytest.fixture
async def check(nli: FakeNli) -> AsyncIterator[Endpoint]:
    async with Endpoint.open(settings.Grounding(url=f"{nli.url}/predict", timeout=0.5)) as opened:
        assert opened
        yield opened


async def test_each_sentence_is_grounded_contradicted_or_neither(check: Endpoint) -> None:
    """With the chunk that decides it, and the span to find it in the answer."""
    found = await check.check([ANSWER], [FEE, DESK])
    assert found
    assert [(one.status, one.chunk) for one in found] == [
        (Grounded.GROUNDED, FEE.chunk),
        (Grounded.CONTRADICTED, DESK.chunk),
        (Grounded.UNGROUNDED, None),
    ]
    assert ANSWER[slice(*found[1].span)] == "The desk is closed at 9:00."


async def test_another_chunk_that_entails_outweighs_one_that_contradicts(check: Endpoint, nli: FakeNli) -> None:
    """Two sources of different age may disagree; the answer follows one of them."""
    nli.label = lambda premise, _: "entailment" if "fee" in premise else "contradiction"
    found = await check.check(["It is so."], [DESK, FEE])
    assert found
    assert found[0].status is Grounded.GROUNDED


async def test_the_endpoint_sees_headings_and_a_bounded_number_of_pairs(check: Endpoint, nli: FakeNli) -> None:
    """A long answer over many chunks is checked as far as the bound goes."""
    found = await check.check(["One. " * 100], [FEE, DESK, FEE])
    assert len(nli.pairs) <= MOST_PAIRS
    assert found
    assert len(found) == MOST_PAIRS // 3
    assert nli.pairs[0] == ("Cards\nThe annual fee of the Harbour Gold Card is 11,000 yen.", "One.")


@pytest.mark.parametrize("fault", FAULTS)
async def test_an_endpoint_that_fails_gives_no_verdict_and_rests(check: Endpoint, nli: FakeNli, fault: str) -> None:
    """Nothing is made up from half a reply, and the next answers don't wait for it."""
    nli.fault = fault
    assert await check.check([ANSWER], [FEE]) is None
    asked = len(nli.pairs)
    assert await check.check([ANSWER], [FEE]) is None
    assert len(nli.pairs) == asked


async def test_it_is_off_by_default() -> None:
    async with Endpoint.open(settings.Grounding()) as none:
        assert none is None


@pytest.mark.parametrize("stream", [False, True])
async def test_a_contradiction_flags_an_answer_whose_figures_are_clean(
    gateway: Gateway, check: Endpoint, stream: bool
) -> None:
    """Told beside the figures, in response and record, streamed or not."""
    gateway.services.grounding = check
    gateway.knowledge.findings = Findings(7, False, (FEE, DESK))
    gateway.engine.answer = ANSWER
    response = await gateway.ask(stream=stream)
    assert "flagged" in await response.text()
    guard = (await gateway.last())["outcome"]["guard"]
    assert guard["verdict"] == "flagged"
    assert guard["grounding"] == "checked"
    assert [one["status"] for one in guard["sentences"]] == ["grounded", "contradicted", "ungrounded"]


async def test_a_merely_ungrounded_sentence_changes_nothing(gateway: Gateway, check: Endpoint) -> None:
    """A courtesy is entailed by nothing."""
    gateway.services.grounding = check
    gateway.knowledge.findings = Findings(7, False, (FEE,))
    gateway.engine.answer = "The annual fee of the Harbour Gold Card is 11,000 yen. Good day!"
    guard = (await (await gateway.ask()).json())["groundtone"]["guard"]
    assert guard["verdict"] == "clean"
    assert [one["status"] for one in guard["sentences"]] == ["grounded", "ungrounded"]


@pytest.mark.parametrize("fault", ["hang", "status"])
async def test_an_answer_does_not_depend_on_the_endpoint(
    gateway: Gateway, check: Endpoint, nli: FakeNli, fault: str
) -> None:
    """It comes in time, its figures are judged as ever, and it says that its sentences were not."""
    gateway.services.grounding = check
    nli.fault = fault
    async with asyncio.timeout(10):
        guard = (await (await gateway.ask()).json())["groundtone"]["guard"]
    assert guard["verdict"] == "clean"
    assert guard["grounding"] == "unavailable"
    assert guard["sentences"] == []


@pytest.mark.parametrize("fields", [{"model": "unguarded"}, {"model": "voice"}])
async def test_without_guard_or_evidence_nothing_is_asked(
    gateway: Gateway, check: Endpoint, nli: FakeNli, fields: dict[str, str]
) -> None:
    gateway.services.grounding = check
    guard = (await (await gateway.ask(**fields)).json())["groundtone"]["guard"]
    assert "grounding" not in guard
    assert not nli.pairs
