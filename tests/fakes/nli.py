"""The fake NLI model: text-embeddings-inference's `/predict`, with faults to order."""

import asyncio
from collections.abc import Callable
from typing import Any

from tests.fakes.server import Connection, Request, Server


class FakeNli(Server):
    """Says of each pair what `label` says. `fault`: hang, status, garbage, short, shape, infinite, or none."""

    def __init__(self) -> None:
        super().__init__()
        self.label: Callable[[str, str], str] = lambda premise, hypothesis: "neutral"
        self.fault: str | None = None
        self.pairs: list[tuple[str, str]] = []

    async def handle(self, request: Request, connection: Connection) -> None:
        inputs: list[list[str]] = request.json["inputs"]
        self.pairs += [(premise, hypothesis) for premise, hypothesis in inputs]
        scored: list[Any] = [_scored(self.label(*pair)) for pair in inputs]
        match self.fault:
            case "hang":
                await self.until(lambda _: connection.closed)
            case "status":
                await connection.reply_json(500, {"error": "no"})
            case "garbage":
                await connection.reply(200, b"<html>")
            case "short":
                await connection.reply_json(200, scored[1:])
            case "shape":
                await connection.reply_json(200, [{"LABEL_0": 0.9} for _ in scored])
            case "infinite":
                await connection.reply_json(200, [[{"label": "entailment", "score": 1e300}] for _ in scored])
            case _:
                await asyncio.sleep(0)
                await connection.reply_json(200, scored)


def _scored(label: str) -> list[dict[str, Any]]:
    others = [other for other in ("entailment", "neutral", "contradiction") if other != label]
    return [{"label": label, "score": 0.96}, *({"label": other, "score": 0.02} for other in others)]
