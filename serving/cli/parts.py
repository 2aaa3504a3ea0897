"""What `groundtone doctor` looks at in a running service: the gateway, what stands behind it, the adapters."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from time import time
from typing import Any

from serving.cli.check import Check, fail, ok, warn
from serving.cli.client import Client, ServiceError, Unreachable

HEALTH = {"engine": "/health", "vectors": "/api/v2/heartbeat", "knowledge": "/livez"}
_SKEW = 5.0


def gateway_checks(client: Client) -> Iterator[Check]:
    """Whether the gateway lives, is ready, keeps the same time, and takes the key."""
    try:
        reply = client.send("GET", "/livez")
    except Unreachable as error:
        yield fail("gateway", str(error).partition(". ")[0], "Start it with `make up`, or name another with --url.")
        return
    except ServiceError as error:
        yield fail("gateway", f"/livez answers {error.status}", "Something else listens there. Set GROUNDTONE_PORT.")
        return
    yield ok("gateway", client.url)
    yield from _same_clock({name.lower(): value for name, value in reply.headers.items()}.get("date"))
    yield _ready(client)
    try:
        models = [model["id"] for model in client.get("/v1/models")["data"]]
    except ServiceError as error:
        yield fail("key", str(error), "Give the right one with --key or GROUNDTONE_API_KEY.")
        return
    yield ok("assistants", ", ".join(models)) if models else warn("assistants", "none", "Add [[assistants]].")


def _same_clock(date: str | None) -> Iterator[Check]:
    if date is None:
        return
    skew = abs(parsedate_to_datetime(date).timestamp() - time())
    if skew > _SKEW:
        yield fail("gateway's clock", f"{skew:.0f} s apart from this one", "Set both clocks, best by NTP.")


def _ready(client: Client) -> Check:
    try:
        client.send("GET", "/readyz")
    except ServiceError as error:
        reasons = error.reasons or [str(error)]
        return fail(
            "ready", "; ".join(map(str, reasons)), "Wait if it just started; else see the parts below and the logs."
        )
    except Unreachable as error:
        return fail("ready", str(error), "See the gateway's log.")
    return ok("ready", "takes questions")


def part_checks(running: dict[str, Any]) -> Iterator[Check]:
    """The processes that the supervisor of this folder started."""
    for name, part in running.get("parts", {}).items():
        if name not in HEALTH:
            continue
        try:
            Client(part["address"], None).send("GET", HEALTH[name])
        except Unreachable:
            yield fail(
                name, f"nothing answers at {part['address']}", f"It is restarted by itself; see logs/{name}.log."
            )
        except ServiceError as error:
            yield fail(name, f"answers with status {error.status}", f"See logs/{name}.log.")
        else:
            yield ok(name, part["address"])


def adapter_checks(client: Client, engine: str | None) -> Iterator[Check]:
    """Whether the engine serves each version that a channel points to."""
    try:
        adapters = client.get("/v1/adapters")["data"]
    except ServiceError as error:
        yield warn("adapters", str(error), "Use a key with the scope adapters:read.")
        return
    wanted = sorted({version for adapter in adapters for version in _on_channels(adapter)})
    if not wanted:
        yield ok("adapters", "none on a channel")
        return
    if engine is None:
        yield ok("adapters", f"{', '.join(wanted)} on a channel; the engine is not on this machine")
        return
    try:
        served = {model["id"] for model in Client(engine, None).get("/v1/models")["data"]}
    except (Unreachable, ServiceError):
        return
    for version in wanted:
        if version in served:
            yield ok("adapter", f"{version} is loaded")
        else:
            yield fail("adapter", f"{version} is not loaded", "The gateway loads it; see the engine's and its log.")


def _on_channels(adapter: dict[str, Any]) -> Iterator[str]:
    channels = adapter.get("channels") or {}
    if stable := channels.get("stable"):
        yield stable
    if canary := (channels.get("canary") or {}).get("version"):
        yield canary
