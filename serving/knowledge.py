"""The knowledge process as the gateway sees it: one search, and the knowledge API passed through."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self

import aiohttp
import orjson
from yarl import URL

from common.errors import GroundtoneError, KnowledgeUnavailable, from_body
from common.evidence import Findings
from common.logs import REQUEST as REQUEST_ID
from common.principal import Principal
from common.settings import KnowledgeService
from common.traces import calling
from serving.metrics import REQUEST
from serving.pool import pool

PASSED_ON = ("content-type", "if-match", "idempotency-key", "x-request-id")
LONGEST_WAIT = 660.0
"""Seconds: a document may be asked to wait for up to 600, and a batch answers when it is published."""
PASSED_BACK = ("content-type", "retry-after", "etag", "location")


class Knowledge:
    """A client of the knowledge process."""

    def __init__(self, settings: KnowledgeService, session: aiohttp.ClientSession) -> None:
        self._url = settings.url or ""
        self._timeout = settings.timeout
        self._session = session

    @classmethod
    @asynccontextmanager
    async def open(cls, settings: KnowledgeService, internal_key: str) -> AsyncGenerator[Self]:
        headers = {"authorization": f"Bearer {internal_key}"}
        async with aiohttp.ClientSession(headers=headers, connector=pool(), auto_decompress=False) as session:
            yield cls(settings, session)

    async def search(
        self,
        principal: Principal,
        *,
        knowledge: Sequence[str],
        question: str,
        as_of: int | datetime | None,
        top_k: int,
        filters: dict[str, Any] | None,
        min_evidence: float | None,
        scope: Sequence[str] = (),
    ) -> Findings:
        """The evidence for `question`, all of one snapshot. Raises KnowledgeUnavailable and what the process raised."""
        body = {
            "knowledge": list(knowledge),
            "question": question,
            "as_of": as_of.isoformat() if isinstance(as_of, datetime) else as_of,
            "top_k": top_k,
            "filters": filters,
            "min_evidence": min_evidence,
            "scope": list(scope),
        }
        about = {
            "gen_ai.operation.name": "retrieval",
            "gen_ai.data_source.id": ",".join(knowledge),
            "gen_ai.request.top_k": top_k,
        }
        with calling("retrieval", about) as (span, trace):
            headers = {"content-type": "application/json", **_identity(principal), **trace, **_request()}
            try:
                async with self._session.post(
                    f"{self._url}/search",
                    data=orjson.dumps(body),
                    headers=headers,
                    timeout=aiohttp.ClientTimeout(total=self._timeout),
                ) as response:
                    answer = orjson.loads(await response.read())
            except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError):
                raise unavailable() from None
            if response.status != 200:
                raise _raised(response.status, answer)
            findings = Findings.from_wire(answer)
            span.set_attributes({"groundtone.snapshot": findings.snapshot, "groundtone.chunks": len(findings.evidence)})
        if findings.reranked:
            REQUEST.labels("rerank").observe(findings.reranked.seconds)
        return findings

    @asynccontextmanager
    async def forward(
        self,
        principal: Principal,
        method: str,
        path: str,
        query: str,
        headers: dict[str, str],
        body: AsyncIterator[bytes] | None,
    ) -> AsyncGenerator[aiohttp.ClientResponse]:
        """Passes one request of the knowledge API on. `path` is quoted already. Raises KnowledgeUnavailable."""
        passed = {name: headers[name] for name in PASSED_ON if name in headers} | _identity(principal)
        url = URL(f"{self._url}{path}{'?' + query if query else ''}", encoded=True)
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=2.0, sock_read=LONGEST_WAIT)
        try:
            async with self._session.request(method, url, data=body, headers=passed, timeout=timeout) as response:
                yield response
        except (aiohttp.ClientError, TimeoutError):
            raise unavailable() from None

    async def sources(self, principal: Principal) -> list[dict[str, Any]]:
        """The sources of the principal's tenant and how they fare; nothing where the process does not say in time."""
        timeout = aiohttp.ClientTimeout(total=2.0)
        try:
            async with self._session.get(
                f"{self._url}/v1/sources", headers=_identity(principal), timeout=timeout
            ) as response:
                answer = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError):
            return []
        return answer.get("data", []) if response.status == 200 else []

    async def not_ready(self) -> list[str]:
        """Why the knowledge process can't answer yet; empty when it can."""
        try:
            async with self._session.get(f"{self._url}/readyz", timeout=aiohttp.ClientTimeout(total=2.0)) as response:
                answer = orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError, asyncio.IncompleteReadError):
            return ["the knowledge process can't be reached"]
        return [] if response.status == 200 else list(answer.get("reasons") or ["the knowledge process is not ready"])


def _request() -> dict[str, str]:
    request = REQUEST_ID.get()
    return {"x-request-id": request} if request else {}


def unavailable() -> KnowledgeUnavailable:
    return KnowledgeUnavailable("The knowledge process can't be reached.", "Ask again shortly.")


def _raised(status: int, answer: Any) -> GroundtoneError:
    if status in (401, 500) or not isinstance(answer, dict):
        return unavailable()
    return from_body(status, answer)


def _identity(principal: Principal) -> dict[str, str]:
    return {"x-groundtone-principal": orjson.dumps(principal.to_wire()).decode()}
