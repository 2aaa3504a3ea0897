"""One vLLM server: its stream of events, and which adapters it has loaded."""

import asyncio
import logging
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from opentelemetry.trace import Span

from common.errors import ErrorCode, InvalidRequest
from common.settings import Engine
from common.traces import calling

log = logging.getLogger("groundtone.engine")

Event = dict[str, Any]
_DATA = b"data:"
_PROBE_TOKENS = 4


class Failed(Exception):
    """This replica did not bring an answer to its end."""


class Full(Failed):
    """It takes no more requests for now, and is well."""


class Gone(Failed):
    """Nothing listens there."""


@dataclass(slots=True)
class Replica:
    """A server by its address. `models` is what it serves, as it last said; `problem` why it can't be used.

    `in_flight` counts its answers in the making, by model; `verified` is when an adapter that it was seen to serve was
    last needed, on the monotonic clock. A `suspect` failed a request: others are asked first, until the next check has
    it generate. `looked` is set once it was looked at, whatever was seen.
    """

    url: str
    session: aiohttp.ClientSession
    settings: Engine
    in_flight: Counter[str] = field(default_factory=Counter[str])
    models: frozenset[str] = frozenset()
    problem: str | None = "starting"
    suspect: bool = False
    looked: asyncio.Event = field(default_factory=asyncio.Event)
    verified: dict[str, float] = field(default_factory=dict[str, float])

    async def stream(self, payload: dict[str, Any]) -> AsyncGenerator[Event]:
        """The events of one chat completion. Closing it closes the connection, and vLLM stops generating.

        Raises Failed, at once or in the middle, and InvalidRequest where vLLM refuses the request itself.
        """
        body = orjson.dumps({**payload, "stream": True, "stream_options": {"include_usage": True}})
        timeout = aiohttp.ClientTimeout(
            total=None, sock_connect=self.settings.connect_timeout, sock_read=self.settings.silence_timeout
        )
        about = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "vllm",
            "gen_ai.request.model": payload["model"],
            "gen_ai.request.max_tokens": payload.get("max_tokens") or 0,
            "server.address": self.url,
        }
        self.in_flight[payload["model"]] += 1
        try:
            with calling(f"chat {payload['model']}", about) as (span, trace):
                async with self.session.post(
                    f"{self.url}/v1/chat/completions",
                    data=body,
                    headers={"content-type": "application/json", **trace},
                    timeout=timeout,
                ) as response:
                    if response.status != 200:
                        raise _refused(response.status)
                    async with aclosing(self._events(response, payload["model"], span)) as events:
                        async for event in events:
                            yield event
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise Gone(type(error).__name__) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            raise Failed(type(error).__name__) from None
        finally:
            self.in_flight[payload["model"]] -= 1

    async def _events(self, response: aiohttp.ClientResponse, model: str, span: Span) -> AsyncGenerator[Event]:
        clock = asyncio.get_running_loop().time
        patience = self.settings.silence_timeout
        try:
            # Per event and not per read: a server that drips a byte a second is silent too.
            async with asyncio.timeout(patience) as deadline:
                async for line in response.content:
                    if not line.startswith(_DATA):
                        continue
                    data = line[len(_DATA) :].strip()
                    if data == b"[DONE]":
                        return
                    event = _checked(data, model)
                    if usage := event.get("usage"):
                        span.set_attribute("gen_ai.response.model", model)
                        span.set_attribute("gen_ai.usage.input_tokens", usage.get("prompt_tokens", 0))
                        span.set_attribute("gen_ai.usage.output_tokens", usage.get("completion_tokens", 0))
                    # How long the client takes to read is not the engine's silence.
                    deadline.reschedule(None)
                    yield event
                    deadline.reschedule(clock() + patience)
        except ValueError:
            raise Failed("an event of more than 4 MiB") from None
        # vLLM always says [DONE]: a stream that just ends was cut.
        raise Failed("no [DONE]")

    async def served(self) -> tuple[str, frozenset[str]]:
        """The base model's name, and the names of all adapters. Raises aiohttp.ClientError or TimeoutError."""
        listed = (await self._json("GET", "/v1/models", None))["data"]
        base = next(model["id"] for model in listed if not model.get("parent"))
        return base, frozenset(model["id"] for model in listed if model.get("parent"))

    async def load_adapter(self, name: str, path: str) -> bool:
        """Loads an adapter under its immutable name; False where vLLM refuses it. Loading it twice is no error."""
        body = {"lora_name": name, "lora_path": path}
        async with self._request("POST", "/v1/load_lora_adapter", body, seconds=60.0) as response:
            text = (await response.read()).decode(errors="replace")
            if response.status == 200 or "already been loaded" in text:
                return True
            log.error("engine refused adapter %s with status %d; its own log says why", name, response.status)
            return False

    async def unload_adapter(self, name: str) -> None:
        """Has vLLM forget an adapter's name; answers in the making end on its weights. One that is gone is no error."""
        async with self._request("POST", "/v1/unload_lora_adapter", {"lora_name": name}, seconds=30.0) as response:
            if response.status not in (200, 404):
                raise aiohttp.ClientError(f"adapter {name} was kept with status {response.status}")

    async def logprobs(self, model: str) -> list[float]:
        """The log-probabilities of the first tokens that follow a fixed prompt: do they differ from the base model's?

        Prefill and decoding both run, so an adapter that was asked once is on the device and warm. Raises
        aiohttp.ClientError, TimeoutError, LookupError, TypeError or ValueError where the engine can't generate.
        """
        body = {
            "model": model,
            "messages": [{"role": "user", "content": "Good day. What can you do for me?"}],
            "max_tokens": _PROBE_TOKENS,
            "temperature": 0,
            "logprobs": True,
            "top_logprobs": 0,
        }
        seconds = min(30.0, self.settings.silence_timeout)
        answer = await self._json("POST", "/v1/chat/completions", body, seconds)
        if answer["model"] != model:
            raise ValueError("another model answered")
        return [float(token["logprob"]) for token in answer["choices"][0]["logprobs"]["content"]]

    async def count_tokens(self, model: str, messages: list[Any]) -> int:
        """How many tokens `messages` make in the served model's chat template."""
        answer = await self._json("POST", "/tokenize", {"model": model, "messages": messages})
        return int(answer["count"])

    async def _json(self, method: str, path: str, body: Any, seconds: float = 5.0) -> Any:
        async with self._request(method, path, body, seconds) as response:
            response.raise_for_status()
            return orjson.loads(await response.read())

    def _request(self, method: str, path: str, body: Any, seconds: float) -> Any:
        return self.session.request(
            method,
            f"{self.url}{path}",
            data=None if body is None else orjson.dumps(body),
            headers={"content-type": "application/json"},
            timeout=aiohttp.ClientTimeout(total=seconds),
        )


def _checked(data: bytes, model: str) -> Event:
    """One event of the engine, as it should be. Raises Failed for anything else."""
    try:
        event = orjson.loads(data)
        if "error" in event:
            raise Failed("an error in the stream; its own log says which")
        if event["model"] != model or not isinstance(event["choices"], list):
            raise Failed(f"it answered as {str(event.get('model'))[:100]} instead of {model}")
    except (orjson.JSONDecodeError, TypeError, KeyError, AttributeError):
        raise Failed("what it sent is no event") from None
    return event


def _refused(status: int) -> Exception:
    # Its words may quote the request, so they stay in its own log.
    log.warning("engine answered %d", status)
    if status == 400:
        return InvalidRequest(
            "The engine can't take this request.",
            "Check tools, response_format, stop and logit_bias against what vLLM supports.",
            code=ErrorCode.INVALID_VALUE,
        )
    return Full() if status == 503 else Failed(f"status {status}")
