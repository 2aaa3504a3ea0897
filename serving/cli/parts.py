"""What `groundtone doctor` looks at in a running service: the gateway, what stands behind it, the adapters."""

import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from email.utils import parsedate_to_datetime
from ipaddress import ip_address
from time import time
from typing import Any
from urllib.parse import urlsplit

from serving.cli.check import Check, fail, ok, warn
from serving.cli.client import CONNECT_SECONDS, Client, ServiceError, Unreachable
from serving.tls import expiry

HEALTH = {"engine": "/health", "vectors": "/api/v2/heartbeat", "knowledge": "/livez"}
_SKEW = 5.0
RENEW_DAYS = 14
"""From so many days before its end on a certificate is a warning: what renews it by itself has failed by then."""
SAFE_VLLM = (0, 22, 0)
"""CVE-2026-48710 and CVE-2026-48746 are mended there."""


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
    yield from _certificate(client.url)
    yield from _same_clock({name.lower(): value for name, value in reply.headers.items()}.get("date"))
    yield _ready(client)
    try:
        models = [model["id"] for model in client.get("/v1/models")["data"]]
    except ServiceError as error:
        yield fail("key", str(error), "Give the right one with --key or GROUNDTONE_API_KEY.")
        return
    yield ok("assistants", ", ".join(models)) if models else warn("assistants", "none", "Add [[assistants]].")


def _certificate(url: str) -> Iterator[Check]:
    """How long what the gateway shows its clients is good for, whoever signed it."""
    parts = urlsplit(url)
    if parts.scheme != "https" or not parts.hostname:
        return
    try:
        shown = ssl.get_server_certificate((parts.hostname, parts.port or 443), timeout=CONNECT_SECONDS)
    except OSError:
        return  # it answered a moment ago, and the next line asks again
    ends = expiry(shown.encode())
    found, days = f"good until {ends:%Y-%m-%d}", (ends.timestamp() - time()) / 86400
    do = "Renew the files of server.tls_certificate and tls_key, then send the gateway SIGHUP."
    if days < 0:
        yield fail("certificate", found, do)
    elif days < RENEW_DAYS:
        yield warn("certificate", found, do)
    else:
        yield ok("certificate", found)


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


def part_checks(addresses: Mapping[str, Sequence[str]]) -> Iterator[Check]:
    """The processes behind the gateway: each part's name with the addresses it is at."""
    for name, urls in addresses.items():
        for url in urls:
            try:
                Client(url, None).send("GET", HEALTH[name])
            except Unreachable:
                do = f"What `make up` started is restarted by itself; see logs/{name}.log."
                yield fail(name, f"nothing answers at {url}", do)
            except ServiceError as error:
                yield fail(name, f"{url} answers with status {error.status}", f"See logs/{name}.log.")
            else:
                yield ok(name, url)
            if public(url):
                do = "Move it to loopback or a private network: it has no authorisation of its own."
                yield fail(name, f"{url} is a public address", do)


def public(url: str) -> bool:
    """Whether `url` names an address that the whole internet may reach; of a name nothing is known."""
    try:
        return ip_address(urlsplit(url).hostname or "").is_global
    except ValueError:
        return False


def engine_checks(engine: Client, window: int) -> Iterator[Check]:
    """Whether an engine is new enough, and its window as large as the one that prompts are cut for."""
    try:
        version = str(engine.get("/version")["version"])
        models = engine.get("/v1/models")["data"]
    except Unreachable:
        return  # its own line says it
    except ServiceError as error:
        yield fail("engine", f"{engine.url}: {error}", "Give gateway and engine the same key: engine.api_key_file.")
        return
    numbers = tuple(int(number) for number in re.findall(r"\d+", version)[:3])
    if numbers < SAFE_VLLM:
        least = ".".join(map(str, SAFE_VLLM))
        yield fail("engine version", f"vLLM {version}", f"Run {least} or newer: older ones have known holes.")
    else:
        yield ok("engine version", f"vLLM {version}")
    served = min((model["max_model_len"] for model in models if model.get("max_model_len")), default=window)
    if served < window:
        yield fail("window", f"{served} tokens", f"Set engine.max_model_len to it, or --max-model-len to {window}.")
    else:
        yield ok("window", f"{served} tokens")
    yield from _flags(engine)


def _flags(engine: Client) -> Iterator[Check]:
    """Whether adapters can be loaded, and how many prompts the cache holds, by what the engine itself says."""
    try:
        engine.get("/v1/load_lora_adapter")
    except ServiceError as error:
        # The path takes POST alone; one that is not there at all is 404.
        if error.status == 404:
            do = "Start vLLM with --enable-lora and VLLM_ALLOW_RUNTIME_LORA_UPDATING=True."
            yield fail("engine flags", "adapters can't be loaded while it serves", do)
    text = engine.send("GET", "/metrics").body.decode()
    labels = dict(re.findall(r'(\w+)="([^"]*)"', next(iter(re.findall(r"vllm:cache_config_info\{(.*)\}", text)), "")))
    if labels.get("enable_prefix_caching") == "False":
        yield warn(
            "engine flags", "no prefix cache", "Start vLLM with --enable-prefix-caching: prompts are laid for it."
        )
    if (tokens := labels.get("kv_cache_size_tokens", "")).isdigit():
        yield ok("engine cache", f"{int(tokens):,} tokens")


def adapter_checks(client: Client, engines: Sequence[Client]) -> Iterator[Check]:
    """Whether every engine replica serves each version that a channel points to."""
    try:
        adapters = client.get("/v1/adapters")["data"]
    except ServiceError as error:
        yield warn("adapters", str(error), "Use a key with the scope adapters:read.")
        return
    wanted = sorted({version for adapter in adapters for version in _on_channels(adapter)})
    if not wanted:
        yield ok("adapters", "none on a channel")
        return
    if not engines:
        yield ok("adapters", f"{', '.join(wanted)} on a channel; the engine can't be asked from here")
    for engine in engines:
        try:
            served = {model["id"] for model in engine.get("/v1/models")["data"]}
        except (Unreachable, ServiceError):
            continue  # the engine's own line says it
        for version in wanted:
            if version in served:
                yield ok("adapter", f"{version} is loaded")
            else:
                yield fail(
                    "adapter", f"{version} is not loaded at {engine.url}", "See the gateway's log and the engine's."
                )


def _on_channels(adapter: dict[str, Any]) -> Iterator[str]:
    channels = adapter.get("channels") or {}
    if stable := channels.get("stable"):
        yield stable
    if canary := (channels.get("canary") or {}).get("version"):
        yield canary
