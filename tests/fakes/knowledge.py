"""The fake knowledge process: what it finds is what the test put there; the gateway's side of the wire is real."""

from collections import deque
from typing import Any

from common.canonical import digest
from common.errors import GroundtoneError, KnowledgeUnavailable
from common.evidence import Evidence, Findings
from common.language import language_of
from common.prompt import fence
from tests.fakes.server import Connection, Request, Server


def evidence(text: str, document: str = "cards.md", *, title: str = "Cards", score: float = 0.8) -> Evidence:
    """One chunk that is a whole document."""
    content = digest(f"{document}\n{text}".encode())
    return Evidence(
        chunk=f"c_{content[7:19]}",
        digest=content,
        knowledge="kitahama",
        document=document,
        revision=1,
        title=title,
        heading=(title,),
        text=text,
        span=(0, len(text)),
        page=None,
        lang=language_of(text),
        position=0,
        score=score,
        fence=fence(b"secret of a test", content),
    )


class FakeKnowledge(Server):
    """Answers /search with `findings`, or raises `error`. `held` keeps searches waiting. `missing`: why not ready.

    All else is echoed, but `sources` where there are any, and changes where it does not write.
    """

    def __init__(self) -> None:
        super().__init__()
        self.findings = Findings(7, False, (evidence("The annual fee of the Harbour Gold Card is 11,000 yen."),))
        self.error: GroundtoneError | None = None
        self.held = False
        self.writes = True
        self.missing: list[str] = []
        self.sources: list[dict[str, Any]] = []
        self.requests: deque[Request] = deque(maxlen=1000)

    @property
    def searches(self) -> list[dict[str, Any]]:
        return [request.json for request in self.requests if request.path == "/search"]

    async def handle(self, request: Request, connection: Connection) -> None:
        self.requests.append(request)
        self.changed()
        if request.path == "/readyz":
            told = {"ready": not self.missing, "reasons": self.missing, "writes": self.writes}
            return await connection.reply_json(503 if self.missing else 200, told)
        if request.path == "/v1/sources" and self.sources:
            return await connection.reply_json(200, {"data": self.sources})
        if request.method != "GET" and request.path != "/search" and not self.writes:
            refusal = KnowledgeUnavailable("This process is not the writer.", "Send the request again in a moment.")
            return await connection.reply_json(refusal.status, refusal.body())
        if request.path != "/search":
            echo = {"method": request.method, "path": request.path, "query": request.query}
            return await connection.reply_json(200, echo | {"body": request.body.decode()})
        await self.until(lambda server: not server.held, seconds=60)
        if self.error is not None:
            return await connection.reply_json(self.error.status, self.error.body())
        return await connection.reply_json(200, self.findings.to_wire())

    def release(self) -> None:
        self.held = False
        self.changed()
