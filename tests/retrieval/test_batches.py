"""Batches over HTTP: many documents, one snapshot, and a word on each line."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from starlette.testclient import TestClient

from retrieval.knowledge import Knowledge
from tests.retrieval.http import DOCS, put, results


def test_a_batch_is_one_snapshot_and_tells_of_each_line(client: TestClient) -> None:
    """A line that can't be taken holds up nobody; the same key again changes nothing."""
    lines = [
        {"id": "a", "text": "The apple costs 1 yen.", "title": "A", "labels": ["public"], "metadata": {"k": 1}},
        {"id": "b", "text": ""},
        {"id": "c", "text": "The cherry costs 1 yen.", "colour": "red"},
        {"id": "d", "text": "The date costs 1 yen.", "lang": "en"},
    ]
    data = "\n".join(json.dumps(line) for line in lines) + "\nnonsense\n"
    answer = client.post(f"{DOCS}:batch", content=data, headers={"idempotency-key": "k1"})
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert [one.get("status") for one in told] == ["ok", "error", "error", "ok", "error", None]
    assert told[-1] == {"snapshot": 1}
    assert {one["document"] for one in results(client, "costs yen")} == {"a", "d"}
    assert client.post(f"{DOCS}:batch", content=data, headers={"idempotency-key": "k1"}).text == answer.text
    other = client.post(f"{DOCS}:batch", content="{}", headers={"idempotency-key": "k1"})
    assert (other.status_code, other.json()["error"]["code"]) == (422, "idempotency_key_reused")


def test_two_batches_with_one_key_at_once_are_one_batch(
    client: TestClient, knowledge: Knowledge, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The second is told what became of the first; with another body it is refused before anything is done."""
    passages, asked, go_on = knowledge.indexes.embedder.passages, threading.Event(), threading.Event()

    def slow(texts: Any) -> Any:
        asked.set()
        assert go_on.wait(30)
        return passages(texts)

    monkeypatch.setattr(knowledge.indexes.embedder, "passages", slow)

    def send(name: str) -> Any:
        line = json.dumps({"id": name, "text": f"The {name} costs 1 yen."})
        return client.post(f"{DOCS}:batch", content=line, headers={"idempotency-key": "k1"})

    with ThreadPoolExecutor(3) as senders:
        first = senders.submit(send, "apple")
        assert asked.wait(30)
        others = [senders.submit(send, name) for name in ("apple", "banana")]
        go_on.set()
        same, other = (one.result(60) for one in others)
    assert same.text == first.result().text
    assert other.status_code == 422
    assert {one["document"] for one in results(client, "costs")} == {"apple"}


def test_metadata_that_json_cannot_hold_exactly_is_an_error_of_its_line(client: TestClient) -> None:
    """Beyond 2^53 another program reads another number; and nobody nests so deeply on purpose."""
    lines = ["1" + "0" * 30, str(2**64 - 1), str(2**53), "-" + str(2**53), "[" * 900 + "]" * 900]
    data = "".join(f'{{"id": "{n}", "text": "The apple.", "metadata": {{"k": {v}}}}}\n' for n, v in enumerate(lines))
    answer = client.post(f"{DOCS}:batch", content=data + '{"id": "ok", "text": "The pear.", "metadata": {"k": 9}}\n')
    told = [json.loads(line) for line in answer.text.splitlines()]
    assert answer.status_code == 200
    assert [(one.get("status"), (one.get("error") or {}).get("param")) for one in told[1:]] == [
        *[("error", "metadata")] * 4,
        ("ok", None),
        (None, None),
    ]


def test_a_batch_can_be_staged_beside_others_and_published_with_them(client: TestClient) -> None:
    """Two batches and a PUT become one snapshot; the batch sent again says the same and changes nothing."""
    sent = {"content": '{"id": "a", "text": "The apple."}\n', "headers": {"idempotency-key": "s1"}}
    first = client.post(f"{DOCS}:batch?publish=false", **sent)
    assert json.loads(first.text.splitlines()[-1]) == {"snapshot": None}
    client.post(f"{DOCS}:batch?publish=false", content='{"id": "b", "text": "The banana."}\n')
    put(client, "c", "The cherry.", "?publish=false")
    assert results(client, "the") == []
    assert client.post("/v1/knowledge/kb:publish", json={}).json() == {"snapshot": 1}
    assert {one["document"] for one in results(client, "the")} == {"a", "b", "c"}
    assert client.post(f"{DOCS}:batch?publish=false", **sent).text == first.text
    assert client.get("/v1/snapshots").json()["head"] == 1
    assert client.post(f"{DOCS}:batch", **sent).status_code == 422
