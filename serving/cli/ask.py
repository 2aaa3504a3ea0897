"""`groundtone ask` and `groundtone chat`: questions to an assistant."""

import re
import sys
from typing import Annotated, Any

import typer

from serving.cli.answer import Answer
from serving.cli.command import Cli, Usage, command

Assistant = Annotated[str | None, typer.Option("--assistant", "-a", help="Which assistant; the first by default.")]
AsOf = Annotated[str | None, typer.Option("--as-of", help="Answer as of a snapshot's number or an RFC 3339 time.")]
Knowledge = Annotated[bool, typer.Option("--knowledge/--no-knowledge", help="Whether to search before answering.")]
MaxTokens = Annotated[int | None, typer.Option("--max-tokens", min=1, help="At most so many tokens of answer.")]


def register(app: typer.Typer) -> None:
    command(app, "ask")(ask)
    command(app, "chat")(chat)


def ask(
    cli: Cli,
    question: Annotated[str, typer.Argument(help="The question; - reads it from stdin.")],
    assistant: Assistant = None,
    as_of: AsOf = None,
    top_k: Annotated[int | None, typer.Option("--top-k", min=1, max=50, help="How many chunks to answer from.")] = None,
    knowledge: Knowledge = True,
    max_tokens: MaxTokens = None,
    temperature: Annotated[float | None, typer.Option("--temperature", min=0, max=2)] = None,
    seed: Annotated[int | None, typer.Option("--seed")] = None,
) -> None:
    """Ask one question; shows the answer, its sources, its figures and its receipt."""
    asked = sys.stdin.read().strip() if question == "-" else question
    if not asked.strip():
        raise Usage("The question is empty.")
    options = {"as_of": point_in_time(as_of), "top_k": top_k, "knowledge": None if knowledge else "off"}
    request = {
        "model": assistant or first_assistant(cli),
        "messages": [{"role": "user", "content": asked}],
        "max_tokens": max_tokens,
        "temperature": temperature,
        "seed": seed,
        "groundtone": {name: value for name, value in options.items() if value is not None} or None,
    }
    request = {name: value for name, value in request.items() if value is not None}
    if cli.output.as_json:
        cli.output.document(cli.client.post("/v1/chat/completions", request))
        return
    answer = stream(cli, request)
    answer.tell(cli.output)


def chat(cli: Cli, assistant: Assistant = None, knowledge: Knowledge = True, max_tokens: MaxTokens = None) -> None:
    """Talk with an assistant; an empty line or Ctrl-D ends, /sources shows the last answer's."""
    if cli.output.as_json:
        raise Usage("A conversation has no JSON form. Use `groundtone ask --json`.")
    model = assistant or first_assistant(cli)
    cli.output.line(f"{model} at {cli.url}. An empty line ends, /sources shows where the last answer is from.")
    request: dict[str, Any] = {"model": model, "messages": []}
    if not knowledge:
        request["groundtone"] = {"knowledge": "off"}
    if max_tokens:
        request["max_tokens"] = max_tokens
    last: Answer | None = None
    while question := _line():
        if question == "/sources":
            if last is not None:
                last.tell(cli.output)
            continue
        request["messages"].append({"role": "user", "content": question})
        last = stream(cli, request)
        cli.output.line(last.summary())
        request["messages"].append({"role": "assistant", "content": last.text})


def _line() -> str:
    try:
        return input("\n> ").strip()
    except EOFError:
        return ""


def first_assistant(cli: Cli) -> str:
    """The first assistant that the key may use. Raises Usage where there is none."""
    assistants = cli.client.get("/v1/models")["data"]
    if not assistants:
        raise Usage("This key may use no assistant, or groundtone.toml has none under [[assistants]].")
    return str(assistants[0]["id"])


def point_in_time(text: str | None) -> int | str | None:
    """A snapshot's number, or a time as it was given."""
    return int(text) if text is not None and re.fullmatch(r"\d{1,18}", text) else text


def stream(cli: Cli, request: dict[str, Any]) -> Answer:
    """Shows the answer as it comes and returns it whole."""
    answer = Answer()
    for event in cli.client.events("/v1/chat/completions", {**request, "stream": True}):
        cli.output.piece(answer.take(event))
    cli.output.line()
    return answer
