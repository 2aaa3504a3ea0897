"""The principals that groundtone itself acts as: its sources, its writer. No query runs without one."""

from common.principal import EVERY_LABEL, Principal, Scope

DEFAULT_TENANT = "default"


def service(tenant: str, name: str) -> Principal:
    """groundtone's own part `name`, with every label of one tenant and of no other."""
    scopes = frozenset({Scope.KNOWLEDGE_READ, Scope.KNOWLEDGE_WRITE})
    return Principal(tenant=tenant, key=name, labels=frozenset({EVERY_LABEL}), scopes=scopes)
