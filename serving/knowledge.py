"""The knowledge process as the gateway sees it: one search, and the knowledge API passed through.

There may be several of them, of which one writes. Any answers a question; all else goes to the writer, which is found
by asking who it is: after a change of hands too, once the standby has the lease.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Self

import aiohttp
import orjson
from yarl import URL

from common.errors import GroundtoneError, KnowledgeUnavailable, Unavailable, from_body
from common.evidence import Findings
from common.logs import REQUEST as REQUEST_ID
from common.principal import Principal
from common.settings import KnowledgeService
from common.traces import calling
from serving.metrics import REQUEST
from serving.pool import pool

PASSED_ON = ("content-type", "if-match", "idempotency-key", "x-request-id")
CONNECT_SECONDS = 2.0
LONGEST_WAIT = 660.0
"""Seconds: a document may be asked to wait for up to 600, and a batch answers when it is published."""
PASSED_BACK = ("content-type", "retry-after", "etag", "location")


class Knowledge:
    """A client of the knowledge process, or of several. `_urls` are where they listen, the first to ask first."""

    def __init__(self, settings: KnowledgeService, session: aiohttp.ClientSession) -> None:
        self._urls = list(settings.urls) or [""]  # where nothing answers
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
            findings = await self._found(orjson.dumps(body), headers)
            span.set_attributes({"groundtone.snapshot": findings.snapshot, "groundtone.chunks": len(findings.evidence)})
        if findings.reranked:
            REQUEST.labels("rerank").observe(findings.reranked.seconds)
        return findings

    async def _found(self, body: bytes, headers: dict[str, str]) -> Findings:
        """What the first process finds that can; one that can't is asked last from then on."""
        timeout = aiohttp.ClientTimeout(total=self._timeout, sock_connect=CONNECT_SECONDS)
        failed: GroundtoneError = unavailable()
        for url in list(self._urls):
            try:
                async with self._session.post(f"{url}/search", data=body, headers=headers, timeout=timeout) as response:
                    answer = orjson.loads(await response.read())
            except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError):
                failed = unavailable()
            else:
                if response.status == 200:
                    return Findings.from_wire(answer)
                failed = _raised(response.status, answer)
                if not isinstance(failed, Unavailable):
                    raise failed
            self._urls.sort(key=lambda other: other == url)
        raise failed

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
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_SECONDS, sock_read=LONGEST_WAIT)
        await self._find_writer()
        for url in list(self._urls):
            asked = URL(f"{url}{path}{'?' + query if query else ''}", encoded=True)
            try:
                async with self._session.request(method, asked, data=body, headers=passed, timeout=timeout) as response:
                    yield response
                    return
            except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError):
                continue  # nothing of it was sent
            except (aiohttp.ClientError, TimeoutError):
                break
        raise unavailable()

    async def sources(self, principal: Principal) -> list[dict[str, Any]]:
        """The sources of the principal's tenant and how they fare; nothing where the process does not say in time."""
        await self._find_writer()
        status, answer = await self._asked(f"{self._urls[0]}/v1/sources", _identity(principal))
        return answer.get("data", []) if status == 200 else []

    async def not_ready(self) -> list[str]:
        """Why no knowledge process can answer yet; empty when one can.

        What the writer has still to bring in, all lack.
        """
        told = await asyncio.gather(*(self._asked(f"{url}/readyz") for url in self._urls))
        told = [one for one in told if one[1].get("writes")] or told
        if any(status == 200 for status, _ in told):
            return []
        return list(dict.fromkeys(reason for status, answer in told for reason in _reasons(status, answer)))

    async def _find_writer(self) -> None:
        """Has the process that writes asked first, where one of several says that it does."""
        for url in list(self._urls) if len(self._urls) > 1 else ():
            if (await self._asked(f"{url}/readyz"))[1].get("writes"):
                self._urls.sort(key=lambda other: other != url)
                return

    async def _asked(self, url: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
        """Status and body of what answers there at once; 0 where nothing does."""
        try:
            async with self._session.get(url, headers=headers, timeout=aiohttp.ClientTimeout(total=2.0)) as response:
                return response.status, orjson.loads(await response.read())
        except (aiohttp.ClientError, TimeoutError, orjson.JSONDecodeError, asyncio.IncompleteReadError):
            return 0, {}


def _reasons(status: int, answer: dict[str, Any]) -> list[str]:
    if not status:
        return ["the knowledge process can't be reached"]
    return list(answer.get("reasons") or ["the knowledge process is not ready"])


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
