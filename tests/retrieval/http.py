"""The service over HTTP, as the tests ask it."""

import json
from typing import Any

from starlette.testclient import TestClient

from common.principal import Principal

KEY = "internal"
DOCS = "/v1/knowledge/kb/documents"
MARKDOWN = {"content-type": "text/markdown"}


def headers(me: Principal) -> dict[str, str]:
    return {"authorization": f"Bearer {KEY}", "x-groundtone-principal": json.dumps(me.to_wire())}


def put(client: TestClient, name: str, text: str, query: str = "", **more: str) -> Any:
    return client.put(f"{DOCS}/{name}{query}", content=text, headers={**MARKDOWN, **more})


def results(client: TestClient, query: str, **more: Any) -> list[dict[str, Any]]:
    return client.post("/v1/knowledge/kb/search", json={"query": query, **more}).json()["results"]
