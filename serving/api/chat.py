"""OpenAI's part of the API: chat completions and models."""

from fastapi import Request
from starlette.responses import Response

from common.fields import parse
from common.principal import Principal, Scope
from serving.api.routes import Routes, json
from serving.audit.repeats import Repeats
from serving.chat.request import ChatRequest
from serving.chat.response import AnswerResponse
from serving.services import Services


def register(routes: Routes) -> None:
    routes.add("POST", "/v1/chat/completions", chat_completions, scope=Scope.CHAT)
    routes.add("GET", "/v1/models", models, scope=Scope.CHAT)


async def chat_completions(request: Request, services: Services, principal: Principal) -> Response:
    """Answers a question; with an `Idempotency-Key` once, and the same again to whoever asks it again."""
    body = await request.body()
    asked = parse(ChatRequest, body)
    name = request.headers.get("idempotency-key")
    repeats = None if name is None else Repeats(services.record, principal, name, body)
    return AnswerResponse(services, principal, asked, request.state.request_id, repeats)


async def models(request: Request, services: Services, principal: Principal) -> Response:
    """The assistants that the caller may use."""
    data = [
        {"id": assistant.name, "object": "model", "created": 0, "owned_by": "groundtone"}
        for assistant in services.settings.assistants
        if assistant.tenant == principal.tenant
    ]
    return json({"object": "list", "data": data})
