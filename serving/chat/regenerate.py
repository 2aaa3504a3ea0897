"""A second answer where the first one has a figure that the evidence does not carry.

Only where the client waits for the whole answer: on a stream the first bytes would be gone. The first answer is judged
as a whole before anything leaves; one that holds is passed on as it came.
"""

from collections.abc import AsyncGenerator, AsyncIterable, Callable
from contextlib import aclosing, asynccontextmanager
from typing import Any

from common.language import Language
from serving.chat.guard import Verdict
from serving.chat.transducer import Event, Transducer
from serving.engine.replicas import Replicas

_RULE = {
    Language.ENGLISH: "State only figures that the sources state about exactly this, and leave out every other figure.",
    Language.JAPANESE: "資料がこの件そのものについて示している数値だけを述べ、その他の数値は述べないでください。",
    Language.TRADITIONAL_CHINESE: "請只寫出資料中針對此事項所載的數字，其他數字一律不要寫。",
    Language.SIMPLIFIED_CHINESE: "请只写出资料中针对此事项所载的数字，其他数字一律不要写。",
}


@asynccontextmanager
async def stream(
    engine: Replicas,
    model: str,
    payload: dict[str, Any],
    transducer: Transducer,
    language: Language,
    note: Callable[..., None],
    anew: Callable[[], bool],
) -> AsyncGenerator[AsyncIterable[Event]]:
    """The engine's events for `transducer`; those of a second answer where its trial holds something against the first.

    `note` takes what the record keeps of the first. `anew` is as of the engine's stream, which raises what is raised.
    """
    if transducer.tries_twice:
        trial = transducer.trial()
        first: list[Event] = []

        def forget() -> bool:
            first.clear()
            trial.restart()
            return True

        async with aclosing(engine.stream(model, payload, forget)) as events:
            async for event in events:
                first.append(event)
                if event["choices"]:
                    trial.feed(event)
        conclusion = trial.conclude()
        if conclusion.verdict is not Verdict.WITHHELD:
            yield _again(first)
            return
        transducer.regenerated = True
        note(first_answer={"output": conclusion.raw, "refused_figures": conclusion.refused})
        payload = _with_rule(payload, language)
    async with aclosing(engine.stream(model, payload, anew)) as events:
        yield events


async def _again(events: list[Event]) -> AsyncGenerator[Event]:
    for event in events:
        yield event


def _with_rule(payload: dict[str, Any], language: Language) -> dict[str, Any]:
    """`payload` with the rule about figures behind the question, and its room taken from the answer's."""
    rule = _RULE[language]
    *before, last = payload["messages"]
    turn = {**last, "content": f"{last['content']}\n\n{rule}"}
    room = max(1, payload["max_tokens"] - len(rule.encode()) - 2)
    return {**payload, "messages": [*before, turn], "max_tokens": room}
