"""Who is calling. A parameter of every call that touches data, so that access can't be forgotten on the way."""

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Self

EVERY_LABEL = "*"
"""In a principal's labels: every label of its own tenant. For administrators and the services of a tenant."""


class Scope(StrEnum):
    """What a key may be used for."""

    CHAT = "chat"
    KNOWLEDGE_READ = "knowledge:read"
    KNOWLEDGE_WRITE = "knowledge:write"
    ADAPTERS_READ = "adapters:read"
    ADAPTERS_WRITE = "adapters:write"
    AUDIT_READ = "audit:read"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller: one tenant, the labels it may read, the scopes it holds.

    `key` is the public id of the credential, never the credential.
    """

    tenant: str
    key: str
    labels: frozenset[str]
    scopes: frozenset[Scope]

    def reads(self, labels: Collection[str]) -> bool:
        """Whether it may read what carries `labels`: one shared label suffices, and nothing shared is a no.

        A document without labels is readable by nobody but the holder of every label.
        """
        return EVERY_LABEL in self.labels or not self.labels.isdisjoint(labels)

    def to_wire(self) -> dict[str, Any]:
        return {
            "tenant": self.tenant,
            "key": self.key,
            "labels": sorted(self.labels),
            "scopes": sorted(self.scopes),
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Reads `to_wire`'s object. Raises KeyError or ValueError for any other."""
        return cls(
            tenant=wire["tenant"],
            key=wire["key"],
            labels=frozenset(wire["labels"]),
            scopes=frozenset(Scope(scope) for scope in wire["scopes"]),
        )
