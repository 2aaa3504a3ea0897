"""A fake gateway for the command line: the contract's paths over a dictionary, one tenant, one key."""

import re
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl, unquote

import orjson

from common.canonical import digest_of
from tests.fakes.server import Connection, Request, Server

KEY = "gt_test"
VERSION = "kitahama@0123456789ab"
ANSWER = "The annual fee is 11,000 yen."

FACTS: dict[str, Any] = {
    "outcome": "answered",
    "snapshot": 42,
    "assistant": "kitahama",
    "base_model": "SmolLM2-135M-Instruct",
    "adapter": VERSION,
    "receipt": "r_1",
    "citations": [
        {
            "document": "cards.md",
            "chunk": "c1",
            "revision": 3,
            "title": "しおさいカード",
            "page": 2,
            "span": [0, 30],
            "text": "The annual fee\nis 11,000 yen.",
            "answer_span": [0, 29],
        }
    ],
    "guard": {
        "policy": "flag",
        "verdict": "clean",
        "figures": [{"text": "11,000 yen", "span": [18, 28], "kind": "money", "status": "supported"}],
    },
}

DIFFERENCE = {
    "from": 1,
    "to": 2,
    "added": [{"knowledge": "kitahama", "document": "a.md", "before": None, "after": 1}],
    "changed": [{"knowledge": "kitahama", "document": "c.md", "before": 1, "after": 2}],
    "removed": [{"knowledge": "kitahama", "document": "b.md", "before": 4, "after": None}],
}
HOLD = {
    "id": 1,
    "knowledge": "kitahama",
    "document": "cards.md",
    "reason": "Case 7",
    "author": "k_1",
    "created": "2026-11-22T09:00:00.000Z",
    "ended": "2026-11-23T09:00:00.000Z",
    "ended_by": "k_2",
    "ended_reason": "Closed",
}
EMBEDDERS = [
    {"fingerprint": "small/384/AAAA", "dimension": 384, "serves": True, "lacking": 0},
    {"fingerprint": "large/1024/BBBB", "dimension": 1024, "serves": False, "lacking": 12},
]
COMPARISON = {
    "name": "kitahama",
    "since": "2026-11-22T13:00:00.000+00:00",
    "stable": {"version": VERSION, "metrics": {"flagged": {"value": 0.02, "low": 0.01, "high": 0.04, "n": 500}}},
    "canary": {
        "version": "kitahama@ba9876543210",
        "metrics": {
            "flagged": {"value": 0.12, "low": 0.07, "high": 0.2, "n": 100},
            "seconds": {"value": 1.5, "low": 1.25, "high": 2.0, "n": 100},
        },
    },
    "difference": {"flagged": {"value": 0.1, "low": 0.05, "high": 0.18}},
}
SOURCE = {
    "name": "files",
    "kind": "folder",
    "knowledge": "kitahama",
    "status": "watching",
    "error": None,
    "lag_seconds": 0.0,
    "changed": None,
    "documents": 12,
    "failed": [{"document": "broken.pdf", "error": "The document can't be read. Save it again."}],
}

Reply = tuple[int, Any]
Route = Callable[["Call"], Reply]


class Call:
    """A request as a route sees it: `names` are the path's, decoded."""

    def __init__(self, request: Request, names: dict[str, str]) -> None:
        self.names = {name: unquote(value) for name, value in names.items()}
        self.query = dict(parse_qsl(request.query))
        self.body = request.body
        self.content_type = request.headers.get("content-type", "")

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)


def refusal(status: int, message: str, code: str) -> Reply:
    return status, {"error": {"message": message, "type": "not_found_error", "code": code, "param": None}}


def _always(status: int, document: Any) -> Route:
    return lambda call: (status, document)


class FakeGateway(Server):
    """`documents` holds what was put, `calls` what was asked as "METHOD /path", `refuse` overrides a path's reply."""

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, dict[str, Any]] = {}
        self.snapshot = 0
        self.calls: list[str] = []
        self.asked: list[dict[str, Any]] = []
        self.refuse: dict[str, Reply] = {}
        self.answer = ANSWER
        self.error_in_stream = False
        self.slow_operations = False
        self.channels: dict[str, Any] = {"stable": VERSION, "canary": None}
        self.registered: bytes = b""
        self.receipts = [_receipt(f"r_{number}") for number in range(3)]
        base = "/v1/knowledge/(?P<kb>[^/:]+)"
        self._routes: list[tuple[str, re.Pattern[str], Route]] = [
            (method, re.compile(path), route)
            for method, path, route in [
                ("GET", "/livez", _always(200, {"live": True})),
                ("GET", "/readyz", _always(200, {"ready": True, "reasons": []})),
                ("GET", "/v1/models", _always(200, {"data": [{"id": "kitahama"}, {"id": "kitahama-plain"}]})),
                ("POST", "/v1/chat/completions", self._chat),
                ("GET", "/v1/knowledge", self._bases),
                ("PUT", base, self._create),
                ("PUT", base + "/documents/(?P<id>.+)", self._put),
                ("DELETE", base + "/documents/(?P<id>.+)", self._delete),
                ("GET", base + "/documents/(?P<id>.+)", self._show),
                ("GET", base + "/documents", self._list),
                ("POST", base + "/search", self._search),
                ("GET", "/v1/operations/(?P<id>.+)", self._operation),
                ("GET", "/v1/snapshots", self._snapshots),
                ("GET", r"/v1/snapshots/\d+/diff/\d+", _always(200, DIFFERENCE)),
                ("POST", r"/v1/snapshots/\d+:restore", _always(200, {"snapshot": 9})),
                ("GET", "/v1/holds", _always(200, {"data": [HOLD]})),
                ("POST", "/v1/holds", _always(201, HOLD | {"ended": None})),
                ("POST", "/v1/holds/1:end", _always(200, HOLD)),
                ("GET", "/v1/embedders", _always(200, {"data": EMBEDDERS})),
                ("POST", "/v1/embedders:switch", _always(200, {"fingerprint": EMBEDDERS[1]["fingerprint"]})),
                ("GET", "/v1/sources", self._sources),
                ("POST", "/v1/sources/(?P<name>[^:]+):(?P<verb>.+)", self._act_on_source),
                ("GET", "/v1/adapters", self._adapters),
                ("POST", "/v1/adapters/(?P<name>[^/]+)/versions", self._register),
                ("PUT", "/v1/adapters/(?P<name>[^/]+)/channels/(?P<channel>.+)", self._move),
                ("POST", "/v1/adapters/(?P<name>[^/:]+):rollback", _always(200, self.channels)),
                ("GET", "/v1/adapters/(?P<name>[^/]+)/comparison", _always(200, COMPARISON)),
                ("GET", "/v1/receipts", self._receipts),
                ("GET", "/v1/receipts/(?P<id>.+)", self._receipt),
                ("POST", "/v1/keys", self._new_key),
                ("GET", "/v1/keys", _always(200, {"data": []})),
                ("DELETE", "/v1/keys/(?P<id>.+)", self._revoke),
            ]
        ]

    async def handle(self, request: Request, connection: Connection) -> None:
        self.calls.append(f"{request.method} {unquote(request.path)}")
        open_path = request.path in ("/livez", "/readyz")
        if not open_path and request.headers.get("authorization") != f"Bearer {KEY}":
            refused = refusal(401, "The API key is missing or not valid. Send `Authorization: Bearer <key>`.", "key")
            return await connection.reply_json(*refused)
        if refused := self.refuse.get(request.path):
            return await connection.reply_json(*refused)
        for method, pattern, route in self._routes:
            if method == request.method and (match := pattern.fullmatch(request.path)):
                status, document = route(Call(request, match.groupdict()))
                if request.path == "/v1/chat/completions" and self.asked[-1].get("stream"):
                    return await self._stream(connection)
                return await connection.reply_json(status, document)
        return await connection.reply_json(*refusal(404, "There is nothing at this address. See the docs.", "none"))

    def _chat(self, call: Call) -> Reply:
        self.asked.append(call.json)
        message = {"role": "assistant", "content": self.answer}
        return 200, {"model": call.json["model"], "choices": [{"message": message}], "groundtone": FACTS}

    async def _stream(self, connection: Connection) -> None:
        await connection.start_stream()
        for word in re.findall(r"\s*\S+", self.answer):
            await self._event(connection, {"choices": [{"delta": {"content": word}, "finish_reason": None}]})
        if self.error_in_stream:
            error = {"message": "The engine broke off. Ask again.", "type": "api_error", "code": "engine_unavailable"}
            await self._event(connection, {"error": error})
        else:
            await self._event(connection, {"choices": [{"delta": {}, "finish_reason": "stop"}], "groundtone": FACTS})
        await connection.chunk(b"data: [DONE]\n\n")
        await connection.end_stream()

    async def _event(self, connection: Connection, event: dict[str, Any]) -> None:
        await connection.chunk(b"data: " + orjson.dumps(event) + b"\n\n")

    def _create(self, call: Call) -> Reply:
        return 201, {"knowledge": call.names["kb"], "labels": call.json.get("labels")}

    def _new_key(self, call: Call) -> Reply:
        return 201, {**call.json, "id": "k_1", "key": "gt_new"}

    def _revoke(self, call: Call) -> Reply:
        return 200, {"id": call.names["id"], "revoked": True}

    def _bases(self, _: Call) -> Reply:
        return 200, {"data": [{"name": "kitahama", "labels": ["public"], "created": "2026-11-22T13:00:00Z"}]}

    def _put(self, call: Call) -> Reply:
        if b"unreadable" in call.body:
            return refusal(400, "The document can't be read. Save it again.", "unreadable_document")
        self.snapshot += 1
        name = call.names["id"]
        revision = self.documents.get(name, {}).get("revision", 0) + 1
        self.documents[name] = {
            "document": name,
            "revision": revision,
            "title": call.query.get("title", "資料"),
            "lang": call.query.get("lang", "ja"),
            "labels": ["public"],
            "media_type": call.content_type,
        }
        if self.slow_operations:
            return 202, {"operation": f"o_{name}"}
        return 201, {"document": name, "revision": revision, "snapshot": self.snapshot}

    def _operation(self, call: Call) -> Reply:
        name = call.names["id"]
        if self.calls.count(f"GET /v1/operations/{name}") < 2:
            return 200, {"operation": name, "state": "running", "result": None, "error": None}
        if "failing" in name:
            error = {"message": "The change failed. Send it again.", "type": "api_error", "code": "internal_error"}
            return 200, {"operation": name, "state": "failed", "result": None, "error": error}
        result = {"document": name.removeprefix("o_"), "revision": 1, "snapshot": self.snapshot}
        return 200, {"operation": name, "state": "done", "result": result, "error": None}

    def _delete(self, call: Call) -> Reply:
        if self.documents.pop(call.names["id"], None) is None:
            return refusal(404, f"There is no document `{call.names['id']}`. List them.", "not_found")
        self.snapshot += 1
        return 200, {"document": call.names["id"], "snapshot": self.snapshot}

    def _show(self, call: Call) -> Reply:
        found = self.documents.get(call.names["id"])
        return (200, found) if found else refusal(404, "There is no such document. List them.", "not_found")

    def _list(self, call: Call) -> Reply:
        names = sorted(self.documents)
        start = int(call.query.get("cursor", 0))
        end = start + min(2, int(call.query["limit"]))
        data = [self.documents[name] for name in names[start:end]]
        return 200, {"data": data, "cursor": str(end) if end < len(names) else None}

    def _search(self, call: Call) -> Reply:
        result = {
            "document": "cards.md",
            "chunk": "c1",
            "revision": 3,
            "score": 0.71,
            "title": "しおさいカード",
            "text": f"hit for {call.json['query']}",
            "page": None,
            "span": [0, 4],
        }
        return 200, {"snapshot": call.json.get("as_of", 42), "weak": False, "results": [result]}

    def _snapshots(self, _: Call) -> Reply:
        rows = [{"number": n, "created": "2026-11-22T13:00:00Z", "author": "admin", "message": "PUT"} for n in (2, 1)]
        return 200, {"head": 2, "data": rows, "cursor": None}

    def _sources(self, _: Call) -> Reply:
        return 200, {"data": [SOURCE]}

    def _act_on_source(self, call: Call) -> Reply:
        return 200, {"name": call.names["name"], "status": call.names["verb"]}

    def _adapters(self, _: Call) -> Reply:
        version = {"id": VERSION, "created": "2026-11-22T13:00:00Z", "gate": "none", "metrics": {}}
        canary = {"version": "other@0123456789ab", "share": 10}
        moves = [{"at": "2026-11-22T14:00:00.000+00:00", "by": "k_1", "stable": VERSION, "canary": canary}]
        return 200, {"data": [{"name": "kitahama", "versions": [version], "channels": self.channels, "moves": moves}]}

    def _register(self, call: Call) -> Reply:
        self.registered = call.body
        return 201, {"id": f"{call.names['name']}@ffffffffffff"}

    def _move(self, call: Call) -> Reply:
        moved = call.json
        self.channels[call.names["channel"]] = moved if "share" in moved else moved["version"]
        return 200, self.channels

    def _receipts(self, call: Call) -> Reply:
        start = int(call.query.get("cursor", 0))
        end = start + 2
        more = str(end) if end < len(self.receipts) else None
        return 200, {"data": self.receipts[start:end], "cursor": more}

    def _receipt(self, call: Call) -> Reply:
        found = next((r for r in self.receipts if r["receipt"] == call.names["id"]), None)
        return (200, found) if found else refusal(404, "There is no such receipt. List them.", "not_found")


def _receipt(name: str) -> dict[str, Any]:
    body = {"model": "kitahama", "messages": [{"role": "user", "content": "年会費は？"}]}
    intent = {"receipt": name, "assistant": "kitahama", "body": body}
    outcome = {"intent": digest_of(intent), "ended": "answered", "output": [ANSWER]}
    return {
        "receipt": name,
        "opened": "2026-11-22T13:00:00+00:00",
        "closed": "2026-11-22T13:00:01+00:00",
        "ended": "answered",
        "intent": intent,
        "intent_digest": digest_of(intent),
        "outcome": outcome,
        "outcome_digest": digest_of(outcome),
    }
