"""Sources over HTTP: how they fare, and an operator's words to them."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter

from common.principal import Principal
from retrieval.api.requests import Caller, Service
from retrieval.knowledge import Knowledge
from retrieval.ledger import feeds
from retrieval.ledger.snapshots import rfc3339
from retrieval.sources.watcher import Watcher

router = APIRouter(prefix="/v1/sources")


@router.get("")
def every(service: Service, caller: Caller) -> dict[str, Any]:
    return {"data": [_shown(service, watch) for watch in service.sources_of(caller)]}


@router.post("/{name}:pause")
def pause(service: Service, caller: Caller, name: str) -> dict[str, Any]:
    return _told(service, caller, name, lambda watch: watch.pause(True))


@router.post("/{name}:resume")
def resume(service: Service, caller: Caller, name: str) -> dict[str, Any]:
    return _told(service, caller, name, lambda watch: watch.pause(False))


@router.post("/{name}:sync")
def sync(service: Service, caller: Caller, name: str) -> dict[str, Any]:
    return _told(service, caller, name, Watcher.sync)


@router.post("/{name}:release")
def release(service: Service, caller: Caller, name: str) -> dict[str, Any]:
    return _told(service, caller, name, Watcher.release)


def _told(service: Knowledge, caller: Principal, name: str, word: Callable[[Watcher], None]) -> dict[str, Any]:
    watch = service.source(caller, name)
    word(watch)
    return _shown(service, watch)


def _shown(service: Knowledge, watch: Watcher) -> dict[str, Any]:
    with service.ledger.read() as connection:
        feed = feeds.get(connection, watch.principal, watch.source.name)
        count, failed = feeds.counts(connection, watch.principal, watch.source.name)
    return {
        "name": feed.name,
        "kind": watch.source.kind,
        "knowledge": watch.source.knowledge,
        "status": "paused" if feed.paused else feed.status,
        "error": feed.error,
        "lag_seconds": round(watch.lag, 3),
        "changed": None if feed.synced is None else rfc3339(feed.synced),
        "documents": count,
        "failed": [{"document": file.path, "error": file.error} for file in failed],
    }
