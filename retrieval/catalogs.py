"""The catalogs of all tenants that somebody asked for."""

import threading
from pathlib import Path

from sqlalchemy import Connection

from common.principal import Principal
from retrieval.catalog import Catalog
from retrieval.ledger.services import service


class Catalogs:
    """Opens a tenant's catalog when it is first asked for. Thread-safe."""

    def __init__(self, directory: Path, fingerprint: str, dimension: int) -> None:
        self._directory, self._fingerprint, self._dimension = directory, fingerprint, dimension
        self._open: dict[str, Catalog] = {}
        self._lock = threading.Lock()

    def of(self, principal: Principal) -> Catalog:
        with self._lock:
            if principal.tenant not in self._open:
                reader = service(principal.tenant, "catalog")
                self._open[principal.tenant] = Catalog(self._directory, reader, self._fingerprint, self._dimension)
            return self._open[principal.tenant]

    def caught_up(self, connection: Connection, principal: Principal) -> Catalog:
        """The principal's catalog, with all that the ledger holds at this transaction."""
        while not (catalog := self.of(principal)).catch_up(connection):
            self.forget(principal, catalog)
        catalog.follow_collection(connection)
        return catalog

    def forget(self, principal: Principal, only: Catalog | None = None) -> None:
        """Lets the next question load the tenant's catalog afresh; with `only` where it is this one still."""
        with self._lock:
            if only is None or self._open.get(principal.tenant) is only:
                self._open.pop(principal.tenant, None)
