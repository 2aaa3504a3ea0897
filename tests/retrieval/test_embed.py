"""Embedding: vectors that mean something, a fingerprint that holds, an endpoint that may fail and never deceives."""

import json
from collections.abc import Callable
from pathlib import Path

import httpx
import numpy as np
import pytest

from common.errors import InvalidRequest, KnowledgeUnavailable
from common.settings import Embedder, EmbedderKind
from retrieval.embed import PROBES, fingerprint, named, open_embedder, recognised, same_model
from retrieval.embedders import endpoint
from retrieval.embedders.endpoint import Endpoint

Answer = Callable[[httpx.Request], httpx.Response]


def vector(text: str, salt: str = "", dimension: int = 32) -> list[float]:
    rng = np.random.default_rng(list((salt + text).encode()))
    return rng.normal(size=dimension).tolist()


def answer(request: httpx.Request, salt: str = "", dimension: int = 32) -> httpx.Response:
    texts = json.loads(request.content)["input"]
    data = [{"index": i, "embedding": vector(text, salt, dimension)} for i, text in enumerate(texts)]
    return httpx.Response(200, json={"data": data[::-1]})


def opened(respond: Answer, model: str = "some-model", key: Path | None = None) -> Endpoint:
    chosen = Embedder(kind=EmbedderKind.OPENAI, url="http://127.0.0.1:9/v1", model=model, api_key_file=key)
    return Endpoint(chosen, httpx.MockTransport(respond))


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_BACK_OFF", 0.0)


def test_vectors_come_in_the_order_of_the_texts_and_of_length_one() -> None:
    embedder = opened(answer)
    texts = [f"text {i}" for i in range(150)]
    made = embedder.passages(texts)
    expected = np.array([vector(text) for text in texts])
    assert np.allclose(made, expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    assert embedder.dimension == 32
    assert made.dtype == np.float32


def test_nothing_is_embedded_as_nothing() -> None:
    embedder = opened(answer)
    assert embedder.passages([]).shape == (0, 32)
    assert embedder.questions([]).shape == (0, 32)


def test_e5_models_get_the_prefixes_they_were_trained_with() -> None:
    seen: list[str] = []

    def respond(request: httpx.Request) -> httpx.Response:
        seen.extend(json.loads(request.content)["input"])
        return answer(request)

    embedder = opened(respond, "intfloat/multilingual-e5-base")
    embedder.questions(["q"])
    embedder.passages(["p"])
    assert "query: q" in seen
    assert "passage: p" in seen


def test_the_key_comes_from_its_file(tmp_path: Path) -> None:
    key = tmp_path / "key"
    key.write_text("secret\n")
    seen: set[str] = set()

    def respond(request: httpx.Request) -> httpx.Response:
        seen.add(request.headers["authorization"])
        return answer(request)

    opened(respond, key=key)
    assert seen == {"Bearer secret"}


@pytest.mark.parametrize("failure", [429, 500, 503, httpx.ConnectError("refused"), httpx.ReadTimeout("slow")])
def test_a_passing_failure_is_tried_again(failure: int | Exception) -> None:
    calls: list[int] = []

    def respond(request: httpx.Request) -> httpx.Response:
        calls.append(1)
        if len(calls) in (2, 3):
            if isinstance(failure, Exception):
                raise failure
            return httpx.Response(failure, headers={"retry-after": "0"})
        return answer(request)

    assert opened(respond).passages(["a"]).shape == (1, 32)
    assert len(calls) == 4


@pytest.mark.parametrize(
    "response",
    [
        httpx.Response(503),
        httpx.Response(401),
        httpx.Response(200, text="not json"),
        httpx.Response(200, json={"data": []}),
        httpx.Response(200, json={"data": [{"index": 0, "embedding": [0.0, 0.0]}]}),
        httpx.Response(200, json={"data": [{"index": i, "embedding": [1.0] * (i + 1)} for i in range(3)]}),
    ],
)
def test_an_endpoint_that_does_not_do_its_work_is_unavailable(response: httpx.Response) -> None:
    with pytest.raises(KnowledgeUnavailable):
        opened(lambda _: response)


@pytest.mark.parametrize(("salt", "dimension"), [("other", 32), ("", 16)])
def test_an_endpoint_that_changes_its_model_is_refused(salt: str, dimension: int) -> None:
    """Of the same dimension, too: no vector of it is handed on."""
    changed: list[bool] = []
    embedder = opened(lambda request: answer(request, salt, dimension) if changed else answer(request))
    changed.append(True)
    with pytest.raises(KnowledgeUnavailable):
        embedder.passages(["a"])


def test_a_question_is_refused_too_once_the_endpoint_has_changed_its_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seen with the next probe, and until it makes again what it made at the start."""
    changed: list[bool] = []
    embedder = opened(lambda request: answer(request, "other" if changed else "", 32))
    first = embedder.questions(["a"])
    monkeypatch.setattr(endpoint, "_PROBED_EVERY", 0.0)
    assert np.array_equal(embedder.questions(["a"]), first)
    changed.append(True)
    with pytest.raises(KnowledgeUnavailable):
        embedder.passages(["a"])
    monkeypatch.undo()
    with pytest.raises(KnowledgeUnavailable, match="another model"):
        embedder.questions(["a"])
    changed.clear()
    assert np.array_equal(embedder.questions(["a"]), first)


@pytest.mark.parametrize(("salt", "dimension"), [("another model", 32), ("", 64)])
def test_a_model_that_changed_behind_its_name_between_two_starts_is_refused(salt: str, dimension: int) -> None:
    """Its vectors are never put beside the old ones; with another revision it is said to be another model."""
    before = opened(answer).fingerprint
    changed = opened(lambda request: answer(request, salt, dimension)).fingerprint
    assert recognised(before, [before]) == before
    with pytest.raises(InvalidRequest, match="another model goes by its name"):
        recognised(changed, ["other/32/AAAA", before])
    meant = fingerprint(named("some-model", "2"), np.eye(3, 32, dtype=np.float32))
    assert recognised(meant, [before]) == meant


def test_an_endpoint_without_a_url_is_a_mistake_in_the_settings() -> None:
    with pytest.raises(InvalidRequest):
        open_embedder(Embedder(kind=EmbedderKind.OPENAI, model="m"))


def test_a_fingerprint_survives_noise_and_tells_models_apart() -> None:
    rng = np.random.default_rng(1)
    probes = rng.normal(size=(len(PROBES), 384)).astype(np.float32)
    probes /= np.linalg.norm(probes, axis=1, keepdims=True)
    noisy = (probes + rng.normal(scale=1e-4, size=probes.shape)).astype(np.float32)
    assert same_model(fingerprint("m", probes), fingerprint("m", noisy))
    assert not same_model(fingerprint("m", probes), fingerprint("other", probes))
    assert not same_model(fingerprint("m", probes), fingerprint("m", probes[::-1]))
    assert not same_model(fingerprint("m", probes), fingerprint("m", probes[:, :256]))


@pytest.mark.real
def test_the_bundled_model_finds_across_languages_and_keeps_its_fingerprint() -> None:
    embedder = open_embedder(Embedder())
    passages = embedder.passages(
        ["定期預金の金利は年0.25％です。", "Lost cards: call us.", "信用卡年費為新臺幣3,000元。"]
    )
    questions = embedder.questions(["What is the rate of a time deposit?", "カードの年会費は？"])
    assert passages.shape == (3, embedder.dimension)
    assert np.allclose(np.linalg.norm(passages, axis=1), 1, atol=1e-5)
    assert (questions @ passages.T).argmax(axis=1).tolist() == [0, 2]
    assert same_model(embedder.fingerprint, fingerprint(embedder.fingerprint.split("/")[0], embedder.passages(PROBES)))
    known = embedder.fingerprint
    assert open_embedder(Embedder(), [known]).fingerprint == known
