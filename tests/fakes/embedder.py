"""A fake embedding endpoint: OpenAI's `/embeddings`, over hashed words, so that close texts are close.

python -m tests.fakes.embedder --port 8000
"""

import argparse
import asyncio

import orjson

from tests.fakes.server import Connection, Request, Server, serve
from tests.retrieval.house import WordEmbedder


class FakeEmbedder(Server):
    """Answers any model's name, below any path."""

    async def handle(self, request: Request, connection: Connection) -> None:
        vectors = WordEmbedder("").questions(request.json["input"]).tolist()
        data = [{"index": index, "embedding": vector} for index, vector in enumerate(vectors)]
        await connection.reply(200, orjson.dumps({"data": data}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.embedder")
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve(FakeEmbedder(parser.parse_args().port)))
