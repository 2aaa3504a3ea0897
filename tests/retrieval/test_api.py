"""The service over HTTP: the contract's paths and shapes, for whoever holds the internal key."""

import json
import threading
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from common.settings import FolderSource
from retrieval import read
from retrieval.api import create_app
from retrieval.knowledge import Knowledge
from retrieval.ledger.database import Ledger
from retrieval.vectors import Vectors
from tests.retrieval.house import Chroma, WordEmbedder, someone, until
from tests.retrieval.http import DOCS, KEY, MARKDOWN, headers, put, results


def test_only_livez_and_readyz_are_open(client: TestClient) -> None:
    """Everything else asks for the internal key and a principal, unknown paths too."""
    stranger = {"authorization": "Bearer wrong", "x-groundtone-principal": "{}"}
    for path in ("/livez", "/readyz"):
        assert client.get(path, headers=stranger).status_code == 200
    for path in ("/v1/knowledge", "/search", "/openapi.json", "/nowhere", "/livez/", "//livez"):
        answer = client.get(path, headers=stranger)
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
    assert client.get("/v1/knowledge", headers={"x-groundtone-principal": "[]"}).status_code == 401


def test_a_knowledge_base_is_created_listed_shown_and_removed(client: TestClient) -> None:
    """201 the first time, 200 after; another tenant doesn't see it."""
    assert client.put("/v1/knowledge/new", json={"labels": ["staff"]}).status_code == 201
    again = client.put("/v1/knowledge/new", json={})
    assert (again.status_code, again.json()["labels"]) == (200, ["staff"])
    assert [base["name"] for base in client.get("/v1/knowledge").json()["data"]] == ["kb", "new"]
    assert client.get("/v1/knowledge/new").json()["labels"] == ["staff"]
    assert client.get("/v1/knowledge/new", headers=headers(someone("other"))).status_code == 404
    assert client.delete("/v1/knowledge/new").status_code == 200
    assert client.get("/v1/knowledge/new").status_code == 404
    assert client.put("/v1/knowledge/bad%20name", json={}).status_code == 400
    assert client.put("/v1/knowledge/new", json={"labels": ["*"]}).json()["error"]["param"] == "labels"


@pytest.mark.parametrize("name", ["a.md", "folder/a.md", "folder%2Fa.md", "%E6%96%99%E9%87%91.md", "a:batch", "x/../y"])
def test_a_document_is_put_shown_and_removed(client: TestClient, name: str) -> None:
    """An id is the rest of the path, slashes included, as they are or percent-encoded."""
    created = put(client, name, "The apple costs 1 yen.", "?title=Fruit&labels=public,staff&lang=en")
    assert created.status_code == 201
    body = created.json()
    assert (body["revision"], set(body)) == (1, {"document", "revision", "snapshot"})
    assert put(client, name, "The apple costs 2 yen.").status_code == 200
    shown = client.get(f"{DOCS}/{name}")
    assert (shown.headers["etag"], shown.json()["labels"]) == ('"2"', ["public", "staff"])
    assert client.get(f"{DOCS}/{name}?revision=1").json()["text"] == "The apple costs 1 yen."
    assert [one["document"] for one in results(client, "apple")] == [body["document"]]
    assert client.delete(f"{DOCS}/{name}", headers={"if-match": '"2"'}).json()["revision"] == 2
    assert client.get(f"{DOCS}/{name}").status_code == 404
    assert results(client, "apple") == []


def test_what_cannot_be_taken_is_refused_with_the_contracts_error(client: TestClient) -> None:
    """And what was there before stays."""
    put(client, "a.md", "The apple costs 1 yen.")
    for answer, status, code in (
        (put(client, "a.md", "x", **{"if-match": "7"}), 409, "revision_mismatch"),
        (put(client, "a.md", "x", **{"if-match": "x"}), 400, "invalid_value"),
        (put(client, "a.md", ""), 400, "unreadable_document"),
        (put(client, "a.md", "x", **{"content-type": "image/png"}), 415, "unsupported_media_type"),
        (put(client, "a.md", "x", "?effective_from=tomorrow"), 400, "invalid_value"),
        (put(client, "a.md", "x", "?effective_from=2027-01-01&effective_until=2026-01-01"), 400, "invalid_value"),
        (put(client, "a.md", "x", "?publish=perhaps"), 400, "invalid_value"),
        (put(client, "n" * 600, "x"), 400, "invalid_value"),
        (client.put("/v1/knowledge/nowhere/documents/a", content="x", headers=MARKDOWN), 404, "not_found"),
        (client.post("/search", content=b"{"), 400, "invalid_json"),
        (client.post("/search", json={"knowledge": ["kb"]}), 400, "missing_field"),
        (client.post("/search", json={"knowledge": ["kb"], "question": "x", "where": {}}), 400, "unsupported_field"),
        (client.post("/search", json={"knowledge": ["kb"], "question": "x", "top_k": 51}), 400, "invalid_value"),
        (client.post("/search", json={"knowledge": ["kb"], "question": "x", "top_k": True}), 400, "invalid_value"),
        (client.post("/search", json={"knowledge": ["kb"], "question": "x", "as_of": 77}), 404, "not_found"),
        (client.get("/v1/snapshots/1/diff/x"), 404, "not_found"),
        (client.get("/v1/operations/op_x"), 404, "not_found"),
        (client.post("/v1/sources/x:pause"), 404, "not_found"),
        (client.patch("/v1/knowledge/kb"), 405, "method_not_allowed"),
        (client.get("/v1/nothing"), 404, "not_found"),
    ):
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
        assert set(answer.json()["error"]) == {"message", "type", "code", "param"}
    assert [one["text"] for one in results(client, "apple")] == ["The apple costs 1 yen."]


def test_a_change_that_takes_longer_than_its_caller_waits_is_an_operation(client: TestClient) -> None:
    """202 at once, and its result later, for the one who asked."""
    answer = put(client, "a.md", "The apple costs 1 yen.", "?wait=0")
    assert answer.status_code == 202
    path = f"/v1/operations/{answer.json()['operation']}"
    done = until(lambda: (found := client.get(path).json())["state"] != "running" and found)
    assert (done["state"], done["result"]["revision"]) == ("done", 1)
    assert client.get(path, headers=headers(someone("other"))).status_code == 404
    failing = put(client, "a.md", "x", "?wait=0", **{"if-match": "9"})
    path = f"/v1/operations/{failing.json()['operation']}"
    failed = until(lambda: (found := client.get(path).json())["state"] != "running" and found)
    assert (failed["state"], failed["error"]["code"]) == ("failed", "revision_mismatch")


def test_files_that_take_long_hold_up_no_other_document(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many of them there are: what is read at once is published at once."""
    go_on, begun = threading.Event(), threading.Semaphore(0)

    def slow(reader: str, data: bytes, out: Any) -> None:
        begun.release()
        assert go_on.wait(60)
        out.paragraph("The pear costs 1 yen.")

    monkeypatch.setattr(read, "read_apart", slow)
    with ThreadPoolExecutor(3) as senders:
        try:
            pdfs = [senders.submit(put, client, f"{n}.pdf", "%PDF", **{"content-type": read.PDF}) for n in range(3)]
            assert begun.acquire(timeout=30)
            assert begun.acquire(timeout=30)
            assert put(client, "a.md", "The apple costs 1 yen.").status_code == 201
        finally:
            go_on.set()
        assert [one.result(60).status_code for one in pdfs] == [201] * 3


def test_staged_documents_are_published_by_word(client: TestClient) -> None:
    """`publish=false`, then `:publish` with a message that the snapshot keeps."""
    staged = put(client, "a.md", "The apple costs 1 yen.", "?publish=false").json()
    assert staged["snapshot"] is None
    assert results(client, "apple") == []
    assert client.post("/v1/knowledge/kb:publish", json={"message": "Spring prices"}).json() == {"snapshot": 1}
    assert len(results(client, "apple")) == 1
    newest = client.get("/v1/snapshots").json()
    assert (newest["head"], newest["data"][0]["message"]) == (1, "Spring prices")


def test_the_list_of_documents_goes_by_pages_and_by_labels(client: TestClient) -> None:
    """Each page has up to `limit` that the caller may read, and a cursor while there are more."""
    for n in range(5):
        put(client, f"{n}.md", f"Item {n}.", "?labels=hr" if n == 2 else "")
    reader = headers(someone("default", "public"))
    names: list[str] = []
    cursor: str | None = ""
    while cursor is not None:
        page = client.get(f"{DOCS}?limit=2&cursor={cursor}", headers=reader).json()
        names += [one["document"] for one in page["data"]]
        cursor = page["cursor"]
    assert names == ["0.md", "1.md", "3.md", "4.md"]


def test_snapshots_are_compared_and_restored(client: TestClient) -> None:
    """Over HTTP as in the ledger."""
    put(client, "a.md", "The apple costs 1 yen.")
    put(client, "a.md", "The apple costs 2 yen.")
    put(client, "b.md", "The banana costs 1 yen.")
    diff = client.get("/v1/snapshots/1/diff/3").json()
    assert [one["document"] for one in diff["changed"]] == ["a.md"]
    assert [one["document"] for one in diff["added"]] == ["b.md"]
    assert client.post("/v1/snapshots/1:restore", json={"knowledge": ["kb"]}).json() == {"snapshot": 4}
    assert [one["text"] for one in results(client, "costs yen")] == ["The apple costs 1 yen."]


def test_sources_are_listed_and_told_over_http(tmp_path: Path, shared_chroma: Chroma) -> None:
    """Pause, resume, sync and release each answer with the source as it is then; another tenant sees none."""
    folder = tmp_path / "folder"
    folder.mkdir()
    (folder / "a.md").write_text("The apple costs 1 yen.")
    (folder / "bad.pdf").write_bytes(b"no PDF")
    ledger = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    ledger.migrate()
    source = FolderSource(name="docs", kind="folder", knowledge="kb", path=folder)
    embedder = WordEmbedder(tmp_path.name + str(tmp_path.stat().st_ino))
    knowledge = Knowledge(ledger, embedder, Vectors(shared_chroma.url), tmp_path, [source])
    with TestClient(create_app(knowledge, KEY), headers=headers(someone())) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        listed = client.get("/v1/sources").json()["data"][0]
        assert listed["failed"][0]["document"] == "bad.pdf"
        assert {name: listed[name] for name in ("name", "kind", "knowledge", "status", "documents", "lag_seconds")} == {
            "name": "docs", "kind": "folder", "knowledge": "kb", "status": "watching", "documents": 1,
            "lag_seconds": 0.0,
        }  # fmt: skip
        assert client.post("/v1/sources/docs:pause").json()["status"] == "paused"
        until(lambda: client.get("/v1/sources").json()["data"][0]["lag_seconds"] > 0)
        for verb in ("resume", "sync", "release"):
            assert client.post(f"/v1/sources/docs:{verb}").json()["name"] == "docs"
        until(lambda: (one := client.get("/v1/sources").json()["data"][0])["status"] == "watching"
              and not one["lag_seconds"])  # fmt: skip
        stranger = headers(someone("other"))
        assert client.get("/v1/sources", headers=stranger).json() == {"data": []}
        assert client.post("/v1/sources/docs:pause", headers=stranger).status_code == 404


def test_an_unexpected_error_tells_nothing(client: TestClient, knowledge: Knowledge) -> None:
    """No stack, no SQL, no path: the log has them."""
    knowledge.ledger.engine.dispose()
    with knowledge.ledger.write() as connection:
        connection.exec_driver_sql("ALTER TABLE snapshots RENAME TO hidden")
    answer = client.get("/v1/snapshots")
    assert (answer.status_code, answer.json()["error"]["code"]) == (500, "internal_error")
    assert "snapshots" not in answer.text


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.real)])
def stored(request: pytest.FixtureRequest, tmp_path: Path, shared_chroma: Chroma) -> Generator[TestClient]:
    """A service over each database; they refuse different values."""
    sqlite = f"sqlite:///{tmp_path / 'ledger.db'}"
    ledger = Ledger(sqlite if request.param == "sqlite" else request.getfixturevalue("database"))
    ledger.migrate()
    knowledge = Knowledge(ledger, WordEmbedder(tmp_path.name), Vectors(shared_chroma.url), tmp_path)
    app = create_app(knowledge, KEY)
    with TestClient(app, headers=headers(someone()), raise_server_exceptions=False) as client:
        until(lambda: client.get("/readyz").status_code == 200)
        client.put("/v1/knowledge/kb", json={})
        yield client


def test_no_value_is_too_much_for_the_database(stored: TestClient) -> None:
    """Numbers beyond any column, NUL, times out of the calendar: a 4xx, and no line spoils another."""
    put(stored, "a.md", "The apple costs 1 yen.")
    digits, far = "9" * 5000, 2**70
    for answer in (
        stored.get(f"{DOCS}/a.md?revision={far}"),
        stored.get(f"/v1/snapshots?cursor={far}"),
        stored.get(f"/v1/snapshots/{digits}/diff/1"),
        stored.post(f"/v1/snapshots/{digits}:restore", json={}),
        stored.post(f"/v1/holds/{digits}:end", json={"reason": "x"}),
        stored.post("/search", json={"knowledge": ["kb"], "question": "x", "as_of": digits}),
        stored.post("/v1/knowledge/kb:publish", json={"message": "a\x00b"}),
        stored.post("/v1/holds", json={"knowledge": "kb", "reason": "a\x00b"}),
        stored.get(f"{DOCS}/a%00b"),
        stored.delete(f"{DOCS}/a%00b"),
        stored.get("/v1/citations/a%00b"),
        put(stored, "a.md", "x", **{"if-match": digits}),
        put(stored, "a.md", "x", "?effective_from=0001-01-01T00:00:00%2B09:00"),
        put(stored, "a.md", "x", "?effective_from=9999-12-31T23:59:59-09:00"),
    ):
        assert 400 <= answer.status_code < 500, (answer.request.url, answer.text)
    lines = [{"id": "b", "text": "x", "media_type": "text/plain;\x00"}, {"id": "c", "text": "The cherry."}]
    told = stored.post(f"{DOCS}:batch", content="\n".join(map(json.dumps, lines)))
    assert [json.loads(line).get("status") for line in told.text.splitlines()] == ["error", "ok", None]
    assert stored.get(f"{DOCS}?cursor=%00").status_code in (200, 400)
    assert put(stored, "d.md", "The date.", "?wait=nan").status_code in (201, 202)
    assert stored.get(DOCS).status_code == 200
