"""Search and citations over HTTP: the contract's own, and the one that the gateway asks."""

import time

from starlette.testclient import TestClient

from common.evidence import Findings
from retrieval.ledger.snapshots import rfc3339
from tests.retrieval.house import someone, until
from tests.retrieval.http import DOCS, headers, put, results


def test_the_gateways_search_returns_findings(client: TestClient) -> None:
    """Exactly what `Findings.from_wire` reads."""
    put(client, "a.md", "# Fruit\n\nThe apple costs 1 yen.")
    answer = client.post("/search", json={"knowledge": ["kb"], "question": "apple costs", "as_of": None, "top_k": 4})
    found = Findings.from_wire(answer.json())
    assert (found.snapshot, found.evidence[0].text, found.evidence[0].heading) == (
        1,
        "The apple costs 1 yen.",
        ("Fruit",),
    )
    assert client.post("/search", json={"knowledge": [], "question": "apple"}).json()["evidence"] == []


def test_the_search_of_the_contract_has_its_shape(client: TestClient) -> None:
    """`results` with document, chunk, revision, score, title, text, page, span."""
    put(client, "a.md", "# Fruit\n\nThe apple costs 1 yen.")
    answer = client.post("/v1/knowledge/kb/search", json={"query": "apple costs", "top_k": 1, "filters": None}).json()
    assert {"snapshot", "weak", "outside", "results", "reranked"} == set(answer)
    shape = {"document", "chunk", "revision", "score", "title", "text", "page", "span"}
    assert shape <= set(answer["results"][0])


def test_the_past_is_asked_over_http_by_number_and_by_time(client: TestClient) -> None:
    """On the contract's search and on the gateway's."""
    put(client, "a.md", "The apple costs 1 yen.")
    created = client.get("/v1/snapshots").json()["data"][0]["created"]
    until(lambda: rfc3339(time.time()) > created)
    between = rfc3339(time.time())
    until(lambda: rfc3339(time.time()) > between)
    put(client, "a.md", "The apple costs 2 yen.")
    for as_of in (1, "1", between):
        assert [one["text"] for one in results(client, "apple", as_of=as_of)] == ["The apple costs 1 yen."]
        body = {"knowledge": ["kb"], "question": "apple", "as_of": as_of}
        assert client.post("/search", json=body).json()["snapshot"] == 1
    assert results(client, "apple", as_of="2020-01-01") == []


def test_a_citation_resolves_after_its_document_changed_and_for_those_who_may_read_it(client: TestClient) -> None:
    """What an answer pointed at stays readable as it stood; another tenant or label gets 404."""
    put(client, "fee.md", "# Fee\n\nThe fee is 5 yen.\n")
    cited = results(client, "fee")[0]
    put(client, "fee.md", "# Fee\n\nThe fee is 7 yen.\n")
    client.delete(f"{DOCS}/fee.md")
    answer = client.get(f"/v1/citations/{cited['chunk']}")
    assert answer.status_code == 200
    assert answer.json()["text"] == "The fee is 5 yen."
    assert answer.json()["revision"] == cited["revision"]
    for stranger in (someone("elsewhere"), someone("default", "secret")):
        assert client.get(f"/v1/citations/{cited['chunk']}", headers=headers(stranger)).status_code == 404
    assert client.get("/v1/citations/c_unknown").status_code == 404
