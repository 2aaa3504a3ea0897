"""The fake reranker: both shapes of endpoint on one server, with faults to order."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.fakes.server import Connection, Request, Server


class FakeReranker(Server):
    """Scores each text by `score`. `fault`: hang, status, garbage, shape, short, twice, infinite, drip, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.score: Callable[[str], float] = len
        self.fault: str | None = None
        self.requests: list[Request] = []

    @property
    def texts(self) -> list[str]:
        """Every text that was ever sent here."""
        bodies = [request.json for request in self.requests]
        return [text for body in bodies for text in body.get("text_2") or body["documents"]]

    async def handle(self, request: Request, connection: Connection) -> None:
        self.requests.append(request)
        body = request.json
        scored: list[dict[str, Any]] = (
            [{"index": i, "object": "score", "score": self.score(text)} for i, text in enumerate(body["text_2"])]
            if request.path.endswith("/score")
            else [{"index": i, "relevance_score": self.score(text)} for i, text in enumerate(body["documents"])]
        )
        scored.sort(key=lambda entry: -entry.get("score", entry.get("relevance_score", 0)))
        name = "data" if request.path.endswith("/score") else "results"
        match self.fault:
            case "hang":
                await self.until(lambda _: connection.closed)
            case "status":
                await connection.reply_json(500, {"error": "no"})
            case "garbage":
                await connection.reply(200, b"<html>")
            case "shape":
                await connection.reply_json(200, {name: [{"rank": 1}]})
            case "short":
                await connection.reply_json(200, {name: scored[1:]})
            case "twice":
                await connection.reply_json(200, {name: [*scored[1:], scored[1]]})
            case "infinite":
                body_ = b'{"%b": [%b]}' % (
                    name.encode(),
                    b",".join(b'{"index": %d, "score": NaN, "relevance_score": NaN}' % i for i in range(len(scored))),
                )
                await connection.reply(200, body_)
            case "drip":
                await connection.start_stream("application/json")
                while not connection.closed:
                    await connection.chunk(b" ")
                    await asyncio.sleep(0)
            case _:
                await connection.reply_json(200, {"id": "rerank-1", "model": "fake", name: scored})
