"""The reranker: it orders the best candidates anew, says so, and is never missed when it fails."""

import time
from collections.abc import Callable, Generator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest

from common.settings import Reranker
from retrieval.rerank import Endpoint, RerankerUnavailable, open_reranker
from retrieval.search import Search
from tests.fakes.reranker import FakeReranker
from tests.fakes.threaded import in_thread
from tests.retrieval.house import Chroma, House, someone

FRUIT = ("apple", "banana", "cherry", "date", "elderberry", "fig")
FAULTS = ("hang", "status", "garbage", "shape", "short", "twice", "infinite", "refuse")


@pytest.fixture
def fake() -> Generator[FakeReranker]:
    with in_thread(FakeReranker()) as server:
        server.score = lambda text: float("fig" in text)
        yield server


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, shared_chroma: Chroma) -> Generator[House]:
    """One for all tests: none of them changes it."""
    house = House(tmp_path_factory.mktemp("reranked"), shared_chroma.url)
    house.open()
    house.base()
    for n, fruit in enumerate(FRUIT):
        house.put(f"{fruit}.md", f"The {fruit} costs {n} yen.")
    house.put("hidden.md", "The hidden fig costs 9 yen.", labels=("hr",))
    yield house
    house.close()


@pytest.fixture
def endpoint() -> Generator[Callable[..., Endpoint]]:
    with ExitStack() as opened:

        def open_(url: str, clock: Callable[[], float] = time.monotonic, **more: Any) -> Endpoint:
            made = Endpoint(Reranker(url=url, timeout=more.pop("timeout", 5.0), **more), clock=clock)
            return opened.enter_context(closing(made))

        yield open_


@pytest.fixture
def reranked(filled: House, endpoint: Callable[..., Endpoint]) -> Callable[..., Search]:
    """A search over `filled` that asks the endpoint at a URL."""
    knowledge = filled.knowledge
    return lambda url, **more: Search(knowledge.indexes, reranker=endpoint(url, **more))


@pytest.mark.parametrize("path", ["/score", "/v1/score", "/rerank", "/v1/rerank", "/v2/rerank/"])
def test_either_shape_of_endpoint_orders_the_candidates(
    filled: House, reranked: Callable[..., Search], fake: FakeReranker, path: str, tmp_path: Path
) -> None:
    """The model and key of the settings are sent; evidence keeps its confidence, and the search says what it cost."""
    (tmp_path / "key").write_text("secret\n")
    search = reranked(fake.url + path, model="reader", api_key_file=tmp_path / "key")
    before = filled.search("the apple costs")
    found = search.search(filled.me, ["kb"], "the apple costs", top_k=20)
    assert before.evidence[0].document == "apple.md"
    assert found.evidence[0].document in ("fig.md", "hidden.md")
    assert {one.chunk: one.score for one in found.evidence} == {one.chunk: one.score for one in before.evidence}
    assert found.reranked is not None
    assert (found.reranked.applied, found.reranked.candidates) == (True, len(FRUIT) + 1)
    assert found.reranked.seconds > 0
    (request,) = fake.requests
    assert request.json["model"] == "reader"
    assert request.headers["authorization"] == "Bearer secret"


def test_there_is_none_unless_it_is_set(filled: House) -> None:
    """The order is the fused one, and the search says nothing of a reranker."""
    assert open_reranker(Reranker()) is None
    assert filled.search("the apple costs").reranked is None


def test_only_the_best_are_read_again_and_the_rest_follow(
    filled: House, reranked: Callable[..., Search], fake: FakeReranker
) -> None:
    """`candidates` bounds what a question costs."""
    fused = [one.document for one in filled.search("the apple costs").evidence]
    search = reranked(fake.url + "/rerank", candidates=3)
    fake.score = lambda text: float(f"The {Path(fused[2]).stem} " in text)
    found = [one.document for one in search.search(filled.me, ["kb"], "the apple costs", top_k=20).evidence]
    assert found == [fused[2], fused[0], fused[1], *fused[3:]]
    assert len(fake.texts) == 3


def test_what_may_not_be_read_is_never_sent(filled: House, reranked: Callable[..., Search], fake: FakeReranker) -> None:
    search = reranked(fake.url + "/score")
    found = search.search(someone("default", "public"), ["kb"], "the fig costs", top_k=20)
    assert found.evidence[0].document == "fig.md"
    assert fake.texts
    assert not [text for text in fake.texts if "hidden" in text]


@pytest.mark.parametrize("path", ["/score", "/rerank"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_failing_reranker_leaves_the_fused_order_and_says_so(
    filled: House, reranked: Callable[..., Search], fake: FakeReranker, fault: str, path: str
) -> None:
    """Whatever is wrong with it, the question is answered."""
    fused = filled.search("the apple costs")
    url = "http://127.0.0.1:9" if fault == "refuse" else fake.url
    fake.fault = fault
    search = reranked(url + path, timeout=0.2 if fault == "hang" else 5.0)
    found = search.search(filled.me, ["kb"], "the apple costs", top_k=20)
    assert found.evidence == fused.evidence
    assert found.reranked is not None
    assert not found.reranked.applied


def test_one_that_failed_rests_and_is_asked_again_later(endpoint: Callable[..., Endpoint], fake: FakeReranker) -> None:
    """A dead endpoint costs its timeout once, and not each question."""
    now = [0.0]
    asked = endpoint(fake.url + "/score", clock=lambda: now[0])
    fake.fault = "status"
    for _ in range(3):
        with pytest.raises(RerankerUnavailable):
            asked.scores("q", ["a", "b"])
    assert len(fake.requests) == 1
    fake.fault = None
    now[0] = 60.0
    assert asked.scores("q", ["a", "figs"]) == [0.0, 1.0]


def test_a_dripping_endpoint_is_left_at_the_deadline(endpoint: Callable[..., Endpoint], fake: FakeReranker) -> None:
    """Each byte is in time and the whole is not."""
    ticks = iter(range(1000))
    asked = endpoint(fake.url + "/rerank", clock=lambda: float(next(ticks)), timeout=10)
    fake.fault = "drip"
    with pytest.raises(RerankerUnavailable, match="too slowly"):
        asked.scores("q", ["a", "b"])
