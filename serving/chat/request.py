"""What a client may ask: an allow-list of OpenAI's fields, each with its bounds. Anything else is refused by name."""

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from common.prompt import Message, neutralise

MAX_MESSAGES = 1_000
MAX_CHOICES = 16


class _Closed(BaseModel):
    """What takes no other field."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class TextPart(_Closed):
    """A content part. Only text: an image would be answered from without evidence."""

    type: Literal["text"]
    text: str


class Role(StrEnum):
    SYSTEM = "system"
    DEVELOPER = "developer"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class ChatMessage(BaseModel):
    """One message. Fields that OpenAI's answers carry are tolerated, so that a history can be sent back as it came."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Role
    content: str | list[TextPart] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None

    @property
    def text(self) -> str:
        """The message's text, its parts joined by newlines."""
        if isinstance(self.content, list):
            return "\n".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(_Closed):
    include_usage: bool = False


class KnowledgeSwitch(StrEnum):
    ON = "on"
    OFF = "off"


class GroundtoneOptions(_Closed):
    """The request's `groundtone` object."""

    as_of: int | datetime | None = None
    top_k: Annotated[int, Field(ge=1, le=50)] | None = None
    filters: dict[str, str | int | float | bool | list[str | int | float | bool]] | None = None
    knowledge: KnowledgeSwitch = KnowledgeSwitch.ON
    conversation: Annotated[str, Field(max_length=256)] | None = None


class ChatRequest(_Closed):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1, max_length=MAX_MESSAGES)]
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    n: Annotated[int, Field(ge=1, le=MAX_CHOICES)] | None = None
    stop: str | Annotated[list[str], Field(max_length=4)] | None = None
    seed: Annotated[int, Field(gt=-(2**53), lt=2**53)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: Annotated[dict[str, float], Field(max_length=300)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: Annotated[list[dict[str, Any]], Field(max_length=128)] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    user: Annotated[str, Field(max_length=256)] | None = None
    metadata: Annotated[dict[str, str], Field(max_length=16)] | None = None
    groundtone: GroundtoneOptions = GroundtoneOptions()

    @model_validator(mode="after")
    def _somebody_asks_something(self) -> "ChatRequest":
        if not any(message.role is Role.USER and message.text.strip() for message in self.messages):
            raise ValueError("messages hold no user message with text")
        return self

    @property
    def question(self) -> str:
        """The last user message: what is searched for."""
        return next(m.text for m in reversed(self.messages) if m.role is Role.USER and m.text.strip())

    @property
    def max_output_tokens(self) -> int | None:
        return self.max_completion_tokens or self.max_tokens

    @property
    def wants_json(self) -> bool:
        return bool(self.response_format and self.response_format.get("type") != "text")

    def texts(self) -> Iterator[str]:
        """All that the caller says: messages, the calls in them, what tools are told to be."""
        for message in self.messages:
            yield message.text
            yield from _texts(message.tool_calls)
        yield from _texts(self.tools)

    def sampling(self) -> dict[str, Any]:
        """The fields that go to the engine as they came; what describes tools becomes text of the prompt."""
        fields = self.model_dump(include=_FOR_THE_ENGINE, exclude_none=True, mode="json")
        return fields | ({"tools": _neutralised(fields["tools"])} if "tools" in fields else {})


_FOR_THE_ENGINE = {
    "temperature", "top_p", "n", "stop", "seed", "presence_penalty", "frequency_penalty", "logit_bias", "logprobs",
    "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format",
}  # fmt: skip


def turns(messages: list[ChatMessage]) -> list[Message]:
    """The client's messages as the prompt takes them: neutralised text; tool calls and results keep their fields."""
    out: list[Message] = []
    for message in messages:
        role = Role.SYSTEM if message.role is Role.DEVELOPER else message.role
        turn: dict[str, Any] = {"role": role.value, "content": neutralise(message.text)}
        if message.tool_calls is not None:
            turn["tool_calls"] = _neutralised(message.tool_calls)
        if message.tool_call_id is not None:
            turn["tool_call_id"] = neutralise(message.tool_call_id)
        out.append(turn)  # pyright: ignore[reportArgumentType]  # the engine takes more than role and content
    return out


def _texts(value: Any) -> Iterator[str]:
    """Every text in `value`, however deep."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for item in value.values() if isinstance(value, dict) else value:  # pyright: ignore[reportUnknownVariableType]
            yield from _texts(item)


def _neutralised(value: Any) -> Any:
    """`value` with every text in it neutralised, however deep."""
    if isinstance(value, str):
        return neutralise(value)
    if isinstance(value, list):
        return [_neutralised(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, dict):
        return {neutralise(str(key)): _neutralised(item) for key, item in value.items()}  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return value
