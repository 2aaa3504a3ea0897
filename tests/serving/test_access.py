"""Who gets in, and how the gate answers those who don't."""

import asyncio
import io
from typing import Any

import aiohttp
import pytest
from yarl import URL

from common.principal import Scope
from tests.serving.conftest import Gateway, session

PATHS = ["/v1/models", "/v1/chat/completions", "/v1/knowledge", "/v1/receipts", "/v1/keys", "/metrics", "/nowhere", "/"]


@pytest.fixture
async def anyone(gateway: Gateway) -> Any:
    async with session(gateway.url) as http:
        yield http


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD", "PATCH"])
async def test_without_a_key_every_path_is_closed(anyone: aiohttp.ClientSession, path: str, method: str) -> None:
    """401 for any method on any path, known or not: who has no key learns nothing."""
    response = await anyone.request(method, path)
    assert response.status == 401


async def test_only_liveness_and_readiness_are_open(gateway: Gateway, anyone: aiohttp.ClientSession) -> None:
    """An orchestrator needs no key for these two."""
    assert (await anyone.get("/livez")).status == 200
    assert (await anyone.get("/readyz")).status == 200
    for near in ("/livez/", "//livez", "/LIVEZ", "/livez%2f", "/readyz/../v1/keys"):
        assert (await anyone.get(URL(f"{gateway.url}{near}", encoded=True))).status in (401, 404)


@pytest.mark.parametrize(
    "headers",
    [
        [("Authorization", "Bearer wrong")],
        [("Authorization", "Basic YTpi")],
        [("Authorization", "Bearer ")],
        [("x-api-key", "KEY")],
        [("Authorization", "Bearer KEY"), ("Authorization", "Bearer KEY")],
        [("Authorization", "Bearer KE")],
    ],
)
async def test_anything_but_one_valid_bearer_is_a_401(
    gateway: Gateway, anyone: aiohttp.ClientSession, headers: list[tuple[str, str]]
) -> None:
    """A prefix, a copy, another header: the same answer for all, and it does not say why."""
    given = [(name, value.replace("KEY", gateway.key).replace("KE", gateway.key[:-1])) for name, value in headers]
    response = await anyone.get("/v1/models", headers=given)
    assert response.status == 401
    assert (await response.json())["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    "headers", [{"Host": "evil.example"}, {"X-Forwarded-For": "127.0.0.1"}, {"X-Forwarded-Host": "localhost"}]
)
async def test_forged_headers_change_nothing(
    gateway: Gateway, anyone: aiohttp.ClientSession, headers: dict[str, str]
) -> None:
    """Where a request says it comes from decides nothing."""
    assert (await anyone.get("/v1/models", headers=headers)).status == 401
    assert (await gateway.http.get("/v1/models", headers=headers)).status == 200


async def test_a_401_comes_before_the_body_is_read(gateway: Gateway) -> None:
    """A stranger can't make the gateway take in a large body."""
    host, port = gateway.url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000\r\n\r\n")
    await writer.drain()
    assert b" 401 " in await asyncio.wait_for(reader.readline(), 10)
    writer.close()


async def test_a_key_opens_what_its_scopes_say(gateway: Gateway) -> None:
    """A chat key chats and does nothing else; once revoked it does nothing."""
    made = await (await gateway.http.post("/v1/keys", json={"name": "app", "scopes": ["chat"]})).json()
    async with session(gateway.url, made["key"]) as app:
        assert (await app.get("/v1/models")).status == 200
        for method, path in (("GET", "/v1/receipts"), ("POST", "/v1/keys"), ("GET", "/v1/knowledge")):
            refused = await app.request(method, path)
            assert refused.status == 403
            assert (await refused.json())["error"]["code"] == "permission_denied"
        assert (await gateway.http.delete(f"/v1/keys/{made['id']}")).status == 200
        assert (await app.get("/v1/models")).status == 401
    listed = (await (await gateway.http.get("/v1/keys")).json())["data"]
    assert made["key"] not in str(listed)
    assert listed[0]["revoked"]


async def test_who_may_only_write_sees_what_became_of_its_own_change(gateway: Gateway) -> None:
    """Any key may ask for an operation; the knowledge process shows it to the key that began it."""
    made = await (await gateway.http.post("/v1/keys", json={"name": "feeder", "scopes": ["knowledge:write"]})).json()
    async with session(gateway.url, made["key"]) as feeder:
        assert (await feeder.get("/v1/operations/op_1")).status == 200
        assert (await feeder.get("/v1/snapshots")).status == 403


async def test_the_lag_of_each_source_is_a_metric(gateway: Gateway) -> None:
    """Asked for when the metrics are; without the knowledge process the other metrics are there all the same."""
    gateway.knowledge.sources = [{"name": "prices", "lag_seconds": 4.5}]
    assert 'groundtone_source_lag_seconds{source="prices"} 4.5' in await (await gateway.http.get("/metrics")).text()
    gateway.knowledge.listening = False
    assert "groundtone_queue_depth" in await (await gateway.http.get("/metrics")).text()


async def test_nobody_gives_away_what_he_does_not_hold(gateway: Gateway) -> None:
    """A key that may make keys makes none that can do more than itself."""
    made = await (
        await gateway.http.post("/v1/keys", json={"name": "clerk", "scopes": ["keys", "chat"], "labels": ["public"]})
    ).json()
    async with session(gateway.url, made["key"]) as clerk:
        for wish in ({"scopes": ["audit:read"]}, {"scopes": ["chat"], "labels": ["secret"]}, {"labels": ["*"]}):
            assert (await clerk.post("/v1/keys", json={"name": "more", **wish})).status == 400


async def test_the_caller_reaches_knowledge_as_a_principal_and_not_as_a_key(gateway: Gateway) -> None:
    """What is passed on says who asks; the key itself stays here."""
    await (await gateway.ask()).read()
    request = next(r for r in gateway.knowledge.requests if r.path == "/search")
    assert '"tenant":"default"' in request.headers["x-groundtone-principal"]
    assert gateway.key not in str(request.headers)


async def test_a_caller_can_not_claim_to_be_another(gateway: Gateway) -> None:
    """A principal header of the client's own never arrives."""
    headers = {"x-groundtone-principal": '{"tenant":"other"}'}
    await gateway.http.get("/v1/knowledge/kitahama", headers=headers)
    request = gateway.knowledge.requests[-1]
    assert '"tenant":"other"' not in request.headers["x-groundtone-principal"]


@pytest.mark.parametrize(
    ("document", "arrives"),
    [
        ("fees.md", "/v1/knowledge/kitahama/documents/fees.md"),
        ("en%2Ffees.md", "/v1/knowledge/kitahama/documents/en%2Ffees.md"),
        ("%2e%2e%2f%2e%2e%2fsources", "/v1/knowledge/kitahama/documents/..%2F..%2Fsources"),
        ("a%3Fb%23c", "/v1/knowledge/kitahama/documents/a%3Fb%23c"),
    ],
)
async def test_what_was_checked_is_what_is_passed_on(gateway: Gateway, document: str, arrives: str) -> None:
    """A document's id can't climb out of its place in the path."""
    await gateway.http.put(URL(f"{gateway.url}/v1/knowledge/kitahama/documents/{document}", encoded=True), data=b"x")
    assert gateway.knowledge.requests[-1].path == arrives


async def test_a_body_over_the_limit_is_refused(gateway: Gateway) -> None:
    """Declared or not, more than the limit is a 413."""
    limit = gateway.services.settings.server.max_body_bytes

    async def endless() -> Any:
        for _ in range(limit // 65536 + 2):
            yield b" " * 65536

    for body in (io.BytesIO(b" " * (limit + 1)), endless()):
        try:
            response = await gateway.http.post("/v1/chat/completions", data=body)
        except aiohttp.ClientError:
            continue
        assert response.status == 413
    assert (await gateway.ask()).status == 200


def test_every_route_has_a_policy(gateway: Gateway) -> None:
    """Each route of the application was registered with its scope, or is one of the two open ones."""
    from serving.access import OPEN_PATHS
    from serving.app import create_app
    from serving.home import Home

    app = create_app(gateway.services.settings, Home(gateway.services.settings.home.absolute()))
    for route in app.routes:
        for method in getattr(route, "methods", None) or ():
            path: str = route.path
            assert path in OPEN_PATHS or (method, path) in app.state.policies
    assert app.state.policies["POST", "/v1/chat/completions"] is Scope.CHAT


async def test_errors_never_show_what_is_inside(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected failure has an id and no details."""

    async def broken(*_: Any) -> Any:
        raise RuntimeError("/secret/path SELECT * FROM keys")

    monkeypatch.setattr(gateway.services.record, "receipts", broken)
    response = await gateway.http.get("/v1/receipts")
    assert response.status == 500
    assert "secret" not in await response.text()
    assert response.headers["x-request-id"]
