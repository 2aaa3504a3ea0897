"""API keys: who a bearer is. Secrets are random and long, so one SHA-256 keeps them; only digests are stored.

Not covered here: identity tokens of an identity provider, and limits per key.
"""

import asyncio
import secrets
import time
from datetime import UTC, datetime
from typing import Any

import orjson
from sqlalchemy import Engine, insert, select, update

from common.canonical import digest
from common.errors import AuthenticationFailed, NotFound
from common.principal import EVERY_LABEL, Principal, Scope
from common.settings import DEFAULT_TENANT
from serving.audit.schema import keys

REMEMBER_SECONDS = 5.0
"""How long a verified key is not looked up again: a revoked one may live on that long."""
MAX_REMEMBERED = 10_000


class Keys:
    """Issues, verifies and revokes keys."""

    def __init__(self, database: Engine, admin_key: str, metrics_key: str) -> None:
        self._database = database
        self._files = ((digest(admin_key.encode()), _ADMIN), (digest(metrics_key.encode()), _METRICS))
        # Keyed by the digest of the whole secret: two secrets with a common prefix are two entries.
        self._remembered: dict[str, tuple[float, Principal]] = {}

    async def verify(self, secret: str) -> Principal:
        """The principal whose key `secret` is. Raises AuthenticationFailed, and never says why."""
        fingerprint = digest(secret.encode())
        for known, principal in self._files:
            if secrets.compare_digest(fingerprint, known):
                return principal
        now = time.monotonic()
        hit = self._remembered.get(fingerprint)
        if hit and now - hit[0] < REMEMBER_SECONDS:
            return hit[1]
        row = await asyncio.to_thread(self._find, fingerprint)
        if row is None:
            self._remembered.pop(fingerprint, None)
            raise wrong_key()
        principal = Principal(
            row.tenant,
            row.id,
            frozenset(orjson.loads(row.labels)),
            frozenset(Scope(scope) for scope in orjson.loads(row.scopes)),
        )
        if len(self._remembered) >= MAX_REMEMBERED:
            self._remembered.clear()
        self._remembered[fingerprint] = now, principal
        return principal

    async def create(self, principal: Principal, name: str, labels: list[str], scopes: list[Scope]) -> dict[str, Any]:
        """A new key of the principal's tenant. The secret is in the answer and nowhere else."""
        secret = f"gt_{secrets.token_urlsafe(32)}"
        row = {
            "id": f"k_{secrets.token_hex(8)}",
            "tenant": principal.tenant,
            "name": name,
            "secret_digest": digest(secret.encode()),
            "labels": orjson.dumps(sorted(set(labels))),
            "scopes": orjson.dumps(sorted(set(scopes))),
            "created": datetime.now(UTC),
        }
        await asyncio.to_thread(self._execute, insert(keys).values(row))
        return {"id": row["id"], "name": name, "labels": labels, "scopes": scopes, "key": secret}

    async def listed(self, principal: Principal) -> dict[str, Any]:
        """The keys of the principal's tenant, without their secrets."""
        rows = await asyncio.to_thread(self._of_tenant, principal)
        return {
            "data": [
                {
                    "id": row.id,
                    "name": row.name,
                    "labels": orjson.loads(row.labels),
                    "scopes": orjson.loads(row.scopes),
                    "created": row.created.isoformat(),
                    "revoked": row.revoked.isoformat() if row.revoked else None,
                }
                for row in rows
            ]
        }

    async def revoke(self, principal: Principal, key: str) -> None:
        """Ends a key of the principal's tenant. Raises NotFound."""
        statement = (
            update(keys)
            .where(keys.c.tenant == principal.tenant, keys.c.id == key, keys.c.revoked.is_(None))
            .values(revoked=datetime.now(UTC))
        )
        if not await asyncio.to_thread(self._execute, statement):
            raise NotFound(f"There is no key `{key[:60]}`.", "GET /v1/keys lists the keys of your tenant.")
        self._remembered.clear()

    def _find(self, fingerprint: str) -> Any:
        query = select(keys).where(keys.c.secret_digest == fingerprint, keys.c.revoked.is_(None))
        with self._database.connect() as connection:
            return connection.execute(query).first()

    def _of_tenant(self, principal: Principal) -> list[Any]:
        query = select(keys).where(keys.c.tenant == principal.tenant).order_by(keys.c.created)
        with self._database.connect() as connection:
            return list(connection.execute(query))

    def _execute(self, statement: Any) -> int:
        with self._database.begin() as connection:
            return connection.execute(statement).rowcount


def wrong_key() -> AuthenticationFailed:
    return AuthenticationFailed("The API key is missing or not valid.", "Send `Authorization: Bearer <key>`.")


_ADMIN = Principal(DEFAULT_TENANT, "admin", frozenset({EVERY_LABEL}), frozenset(Scope))
_METRICS = Principal(DEFAULT_TENANT, "metrics", frozenset(), frozenset())
"""Opens what any key opens, and that is /metrics."""
