"""The fake engine: vLLM's wire format and faults to order, in the test's own process or in one of its own.

    async with FakeEngine() as engine:
        engine.answer = lambda messages: "The annual fee is 11,000 yen."
        engine.fault = Fault.HTTP500          # and None again
        ...
        await engine.until(lambda e: e.open_streams == 0)

    python -m tests.fakes.engine --port 8000 --fault drip

In a process of its own it takes orders at `PUT /fake`, a JSON object of these attributes, and tells its counts at
`GET /fake`.

Without an order it answers with the source sentence that the question is about (`answers.py`), so a changed fact
changes the answer. Faults strike chat completions only, but `refuse`, which closes the port as a dead process does.
"""

import argparse
import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

from tests.fakes import wire
from tests.fakes.answers import token_id, tokens_of
from tests.fakes.chat import Completion, Messages, prompt_tokens
from tests.fakes.faults import Fault
from tests.fakes.generation import Answer, ToolCall
from tests.fakes.server import Connection, Request, Server, serve

__all__ = ["MODEL", "FakeEngine", "Fault", "ToolCall"]

MODEL = "SmolLM2-135M-Instruct"
REMEMBERED = 10_000
"""So many requests are kept for a test to look at; a benchmark sends more."""


class FakeEngine(Server):
    """vLLM on a port of loopback, between `async with` and its end.

    `answer` is None for the extractive answer, a text, a list of tokens, a `ToolCall`, or a function from the messages
    to one of these. `pause_after` holds every generation before its n-th token until `resume()`. `ineffective` names
    adapters that load and change nothing. `requests` are all requests as they came, `chats` the bodies of chat
    completions. `open_streams` counts generations in progress, `aborted` those whose client left, `generations` all
    that were streamed: the gateway's own probes are not.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        model: str = MODEL,
        max_model_len: int = 8192,
        fault: Fault | str | None = None,
        tokens_per_second: float | None = None,
        api_key: str | None = None,
        check_paths: bool = True,
    ) -> None:
        super().__init__(port)
        self.model = model
        self.max_model_len = max_model_len
        self.tokens_per_second = tokens_per_second
        self.api_key = api_key
        self.check_paths = check_paths
        self.drip_seconds = 1.0
        self.answer: Answer | Callable[[Messages], Answer] | None = None
        self.pause_after: int | None = None
        self.ineffective: set[str] = set()
        self.loaded: dict[str, str] = {}
        self.requests: deque[Request] = deque(maxlen=REMEMBERED)
        self.open_streams = 0
        self.aborted = 0
        self.generations = 0
        self._resumed = asyncio.Event()
        self._fault = Fault(fault) if fault else None
        self._routes: dict[tuple[str, str], Callable[[Request, Connection], Awaitable[None]]] = {
            ("POST", "/v1/chat/completions"): self._chat,
            ("GET", "/v1/models"): self._models,
            ("GET", "/health"): lambda _, connection: connection.reply(200, b"", "text/plain"),
            ("GET", "/version"): lambda _, connection: connection.reply_json(200, {"version": "0.32.0"}),
            ("GET", "/metrics"): self._metrics,
            ("POST", "/tokenize"): self._tokenize,
            ("POST", "/v1/load_lora_adapter"): self._load,
            ("POST", "/v1/unload_lora_adapter"): self._unload,
            ("PUT", "/fake"): self._order,
            ("GET", "/fake"): self._told,
        }

    async def __aenter__(self) -> "FakeEngine":
        self._listen()
        self.fault = self._fault
        return self

    @property
    def fault(self) -> Fault | None:
        return self._fault

    @fault.setter
    def fault(self, fault: Fault | str | None) -> None:
        self._fault = Fault(fault) if fault else None
        self.listening = self._fault is not Fault.REFUSE

    @property
    def chats(self) -> list[dict[str, Any]]:
        return [request.json for request in self.requests if request.path == "/v1/chat/completions"]

    def resume(self) -> None:
        """Lets the generations that `pause_after` holds go on, and holds no more."""
        self.pause_after = None
        self._resumed.set()
        self._resumed = asyncio.Event()

    async def handle(self, request: Request, connection: Connection) -> None:
        self.requests.append(request)
        self.changed()
        if self.api_key and request.path.startswith("/v1") and not self._authorised(request):
            return await connection.reply_json(401, {"error": "Unauthorized"})
        if route := self._routes.get((request.method, request.path)):
            return await route(request, connection)
        known = any(path == request.path for _, path in self._routes)
        status, phrase = (405, "Method Not Allowed") if known else (404, "Not Found")
        return await connection.reply_json(status, wire.error(status, phrase, phrase))

    async def _order(self, request: Request, connection: Connection) -> None:
        for name, value in request.json.items():
            setattr(self, name, value)
        if self.pause_after is None:
            self.resume()
        await self._told(request, connection)

    async def _told(self, request: Request, connection: Connection) -> None:
        told = {"open_streams": self.open_streams, "aborted": self.aborted, "loaded": list(self.loaded)}
        await connection.reply_json(200, told | {"generations": self.generations})

    def _authorised(self, request: Request) -> bool:
        return request.headers.get("authorization") == f"Bearer {self.api_key}"

    def _served(self, model: str | None) -> bool:
        return not model or model == self.model or model in self.loaded

    async def _models(self, request: Request, connection: Connection) -> None:
        cards = [wire.model_card(self.model, self.model, None, self.max_model_len)]
        cards += [wire.model_card(name, path, self.model, None) for name, path in self.loaded.items()]
        await connection.reply_json(200, {"object": "list", "data": cards})

    async def _metrics(self, request: Request, connection: Connection) -> None:
        label = f'{{engine="0",model_name="{self.model}"}}'
        gauges = {
            "vllm:num_requests_running": self.open_streams,
            "vllm:num_requests_waiting": 0,
            "vllm:kv_cache_usage_perc": 0.0,
        }
        lines = [f"# TYPE {name} gauge\n{name}{label} {float(value)}\n" for name, value in gauges.items()]
        await connection.reply(200, "".join(lines).encode(), "text/plain; version=1.0.0; charset=utf-8")

    async def _tokenize(self, request: Request, connection: Connection) -> None:
        body = request.json
        if not isinstance(body, dict) or not ("messages" in body or "prompt" in body):
            return await self._refuse(connection, 400, "1 validation error: field required", "Bad Request")
        if not self._served(body.get("model")):
            return await self._unknown(connection, body["model"])
        tokens = prompt_tokens(body["messages"]) if "messages" in body else tokens_of(body["prompt"])
        ids = [token_id(token) for token in tokens]
        reply = {"count": len(ids), "max_model_len": self.max_model_len, "tokens": ids, "token_strs": None}
        return await connection.reply_json(200, reply)

    async def _load(self, request: Request, connection: Connection) -> None:
        body = request.json or {}
        name, path = body.get("lora_name"), body.get("lora_path")
        if not name or not path:
            message = "Both 'lora_name' and 'lora_path' must be provided."
            return await self._refuse(connection, 400, message, "InvalidUserInput")
        if name == self.model:
            message = f"The lora adapter '{name}' conflicts with a served base model."
            return await self._refuse(connection, 400, message, "InvalidUserInput")
        if name in self.loaded and not body.get("load_inplace"):
            message = (
                f"The lora adapter '{name}' has already been loaded. If you want to load the adapter in place, "
                "set 'load_inplace' to True."
            )
            return await self._refuse(connection, 400, message, "InvalidUserInput")
        if self.check_paths and not (Path(path) / "adapter_config.json").is_file():
            message = f"Loading lora {name} failed: No adapter found for {path}"
            return await self._refuse(connection, 404, message, "NotFoundError")
        self.loaded[name] = path
        self.changed()
        return await connection.reply(200, f"Success: LoRA adapter '{name}' added successfully.".encode(), "text/plain")

    async def _unload(self, request: Request, connection: Connection) -> None:
        name = (request.json or {}).get("lora_name")
        if name not in self.loaded:
            return await self._refuse(connection, 404, f"The lora adapter '{name}' cannot be found.", "NotFoundError")
        del self.loaded[name]
        self.changed()
        return await connection.reply(
            200, f"Success: LoRA adapter '{name}' removed successfully.".encode(), "text/plain"
        )

    async def _refuse(
        self, connection: Connection, status: int, message: str, kind: str, param: str | None = None
    ) -> None:
        await connection.reply_json(status, wire.error(status, message, kind, param))

    async def _unknown(self, connection: Connection, model: str) -> None:
        await self._refuse(connection, 404, f"The model `{model}` does not exist.", "NotFoundError", "model")

    async def _chat(self, request: Request, connection: Connection) -> None:
        body = request.json
        if not isinstance(body, dict):
            await self._refuse(connection, 400, "1 validation error: JSON decode error", "Bad Request", "body")
            return
        if not isinstance(body.get("messages"), list):
            message = "1 validation error: {'type': 'missing', 'loc': 'body.messages', 'msg': 'Field required'}"
            await self._refuse(connection, 400, message, "Bad Request", "body.messages")
            return
        self.open_streams += 1
        self.generations += bool(body.get("stream"))
        self.changed()
        try:
            await self._complete(body, connection)
        except ConnectionResetError:
            return
        except asyncio.CancelledError:
            self.aborted += 1
            raise
        finally:
            self.open_streams -= 1
            self.changed()

    async def _complete(self, body: dict[str, Any], connection: Connection) -> None:
        if self._fault is Fault.HANG:
            await asyncio.Event().wait()
        if self._fault is Fault.HTTP500:
            message = "EngineCore encountered an issue. See stack trace (above) for the root cause."
            return await self._refuse(connection, 500, message, "InternalServerError")
        if self._fault is Fault.FULL:
            return await self._refuse(connection, 503, "Request queue is full.", "ServiceUnavailableError")
        model = body.get("model") or self.model
        if not self._served(model):
            return await self._unknown(connection, model)
        prompt = len(prompt_tokens(body["messages"]))
        if prompt >= self.max_model_len:
            message = (
                f"This model's maximum context length is {self.max_model_len} tokens. However, your prompt contains "
                f"{prompt} input tokens, which exceeds this limit even without any output tokens. Please reduce the "
                "length of the input prompt."
            )
            return await self._refuse(connection, 400, message, "BadRequestError", "input_tokens")
        completion = Completion(self, model, prompt, body, connection)
        return await (completion.stream() if body.get("stream") else completion.whole())

    @property
    def paced(self) -> bool:
        return bool(self.tokens_per_second) or self.pause_after is not None

    async def pace(self, started: float, produced: int) -> None:
        """Waits until the token after `produced` others is due."""
        if self.pause_after is not None and produced >= self.pause_after:
            await self._resumed.wait()
        if self.tokens_per_second:
            due = started + (produced + 1) / self.tokens_per_second
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
        else:
            await asyncio.sleep(0)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fakes.engine", description="vLLM's wire format, faked.")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one and prints it")
    parser.add_argument("--model", default=MODEL)
    parser.add_argument("--max-model-len", type=int, default=8192)
    parser.add_argument("--fault", choices=[fault.value for fault in Fault])
    parser.add_argument("--tokens-per-second", type=float)
    parser.add_argument("--answer-tokens", type=int, help="answer with so many words instead of from the sources")
    options = parser.parse_args()

    async def run() -> None:
        engine = FakeEngine(
            options.port,
            model=options.model,
            max_model_len=options.max_model_len,
            fault=options.fault,
            tokens_per_second=options.tokens_per_second,
        )
        if options.answer_tokens:
            engine.answer = [" word"] * options.answer_tokens
        await serve(engine)

    uvloop.run(run())


if __name__ == "__main__":
    main()
