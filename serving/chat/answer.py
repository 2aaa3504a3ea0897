"""One question in, one accountable answer out.

    admit → pin → retrieve → compose → generate | guard | cite, inside the bracket of record

Everything the answer depends on (snapshot, adapter version, policy) is pinned once. Nothing leaves before the intent
is durable; however it ends, an outcome follows.
"""

import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

from common.canonical import digest, digest_of
from common.errors import EngineUnavailable, ErrorCode, InvalidRequest, NotFound
from common.evidence import Findings
from common.language import Language, is_courtesy, language_of
from common.principal import Principal
from common.prompt import PROMPT_FORMAT
from common.settings import Assistant, Policy
from common.settings import Guard as GuardPolicy
from serving.audit.record import Ended, Entry
from serving.chat import refusal
from serving.chat.compose import compose
from serving.chat.guard import Verdict
from serving.chat.request import ChatRequest, KnowledgeSwitch
from serving.chat.transducer import Conclusion, Event, Transducer
from serving.chat.wire import Finish, Opened, chunk
from serving.metrics import ANSWERS, FIGURES, FIRST_TOKEN, INTER_TOKEN, SNAPSHOT_HEAD, stage
from serving.services import Services


@dataclass(frozen=True, slots=True)
class Pinned:
    """All that one answer depends on, chosen once."""

    assistant: Assistant
    policy: Policy
    policy_digest: str
    base_model: str
    adapter: str | None
    knowledge: bool
    language: Language

    @property
    def model(self) -> str:
        """The engine's name for it: an adapter's immutable id, or the base model."""
        return self.adapter or self.base_model


async def answer(
    services: Services, principal: Principal, request: ChatRequest, request_id: str
) -> AsyncGenerator[Opened | Event | Finish, None]:
    """The events of one answer: `Opened` once, then chunks, then `Finish`. Raises GroundtoneError before `Opened`,
    and after it where the answer broke off."""
    started = time.perf_counter()
    assistant = admit(services, principal, request)
    with services.capacity.slot():
        pinned = pin(services, principal, assistant, request)
        async with services.record.bracket(principal, intent(pinned, request, request_id)) as entry:
            findings = await retrieve(services, principal, pinned, request)
            if findings is not None and is_courtesy(request.question):
                findings = replace(findings, weak=False, evidence=())
            entry.note(**described(findings))
            opened = Opened(entry.receipt, assistant.name, pinned.adapter, findings.snapshot if findings else None)
            if abstains(pinned, findings, request):
                steps = abstain(pinned, findings, request, entry, opened)
            else:
                steps = generate(services, principal, pinned, findings, request, entry, opened, started)
            async with aclosing(steps):
                async for step in steps:
                    yield step


def admit(services: Services, principal: Principal, request: ChatRequest) -> Assistant:
    """The assistant, where it exists for this caller. Fails closed: another tenant's assistant does not exist."""
    services.life.admit()
    assistant = services.settings.assistant(request.model)
    if assistant is None or assistant.tenant != principal.tenant:
        raise NotFound(
            f"There is no assistant `{request.model[:100]}`.",
            "GET /v1/models lists those you may use.",
            code=ErrorCode.MODEL_NOT_FOUND,
            param="model",
        )
    asked = request.max_output_tokens
    if asked is not None and asked > services.settings.engine.max_model_len:
        raise InvalidRequest(
            f"max_tokens is {asked}, more than the model's window of {services.settings.engine.max_model_len} tokens.",
            "Ask for fewer.",
            param="max_tokens",
        )
    return assistant


def pin(services: Services, principal: Principal, assistant: Assistant, request: ChatRequest) -> Pinned:
    """Chooses adapter version and policy, once. A conversation stays with the version it began with."""
    policy = services.settings.policy(assistant.policy)
    sticky = request.groundtone.conversation or request.user or principal.key
    adapter = services.adapter_of(assistant, sticky)
    knowledge = bool(assistant.knowledge) and request.groundtone.knowledge is KnowledgeSwitch.ON
    asked_in = language_of(request.question)
    return Pinned(
        assistant=assistant,
        policy=policy,
        policy_digest=digest_of(policy.model_dump(mode="json")),
        base_model=services.engine.base_model,
        adapter=adapter,
        knowledge=knowledge,
        language=asked_in,
    )


def intent(pinned: Pinned, request: ChatRequest, request_id: str) -> dict[str, Any]:
    """What is made durable before anything is answered."""
    return {
        "request": request_id,
        "assistant": pinned.assistant.name,
        "base_model": pinned.base_model,
        "adapter": pinned.adapter,
        "policy": pinned.policy_digest,
        "prompt_format": PROMPT_FORMAT,
        "knowledge": list(pinned.assistant.knowledge) if pinned.knowledge else None,
        "body": request.model_dump(mode="json", exclude_defaults=True),
    }


async def retrieve(services: Services, principal: Principal, pinned: Pinned, request: ChatRequest) -> Findings | None:
    """The evidence, from exactly one snapshot; None where the assistant has no knowledge."""
    if not pinned.knowledge:
        return None
    options = request.groundtone
    with stage("retrieve"):
        findings = await services.knowledge.search(
            principal,
            knowledge=pinned.assistant.knowledge,
            question=request.question,
            as_of=options.as_of,
            top_k=options.top_k or pinned.assistant.top_k,
            filters=options.filters,
            min_evidence=pinned.policy.min_evidence,
        )
    SNAPSHOT_HEAD.set(findings.snapshot)
    return findings


def abstains(pinned: Pinned, findings: Findings | None, request: ChatRequest) -> bool:
    """Without good evidence it says so. A request that brings tools may still find out by calling them."""
    if findings is None or request.tools or is_courtesy(request.question):
        return False
    return findings.weak or not findings.evidence


async def abstain(
    pinned: Pinned, findings: Findings | None, request: ChatRequest, entry: Entry, opened: Opened
) -> AsyncGenerator[Opened | Event | Finish, None]:
    """The polite refusal, as a model's answer would look."""
    text = refusal.no_evidence(pinned.language, pinned.assistant.handover)
    choices = request.n or 1
    verdict = Verdict.OFF if pinned.policy.guard is GuardPolicy.OFF else Verdict.CLEAN
    conclusion = Conclusion(verdict, [], [], [text] * choices, [])
    await entry.durable()
    yield opened
    for index in range(choices):
        yield chunk(index, {"role": "assistant", "content": text})
    await entry.close(Ended.ABSTAINED, **concluded(conclusion, pinned, {}))
    ANSWERS.labels(pinned.assistant.name, Ended.ABSTAINED).inc()
    finishes = [chunk(index, {}, "stop") for index in range(choices)]
    yield Finish(finishes, summary(Ended.ABSTAINED, pinned, findings, request, entry, conclusion), None)


async def generate(
    services: Services,
    principal: Principal,
    pinned: Pinned,
    findings: Findings | None,
    request: ChatRequest,
    entry: Entry,
    opened: Opened,
    started: float,
) -> AsyncGenerator[Opened | Event | Finish, None]:
    """The engine's events through guard and cite."""
    with stage("compose"):
        prompt = await compose(services, pinned.assistant, findings, request)
    used = prompt.evidence
    entry.note(evidence_used=[e.chunk for e in used])
    transducer = Transducer(request.question, used, pinned.policy.guard, pinned.language, request.n or 1)
    usage: dict[str, Any] | None = None
    payload = {
        **request.sampling(),
        "model": pinned.model,
        "messages": prompt.messages,
        "max_tokens": prompt.max_tokens,
        "temperature": pinned.assistant.temperature if request.temperature is None else request.temperature,
        "cache_salt": services.cache_salt(principal.tenant),
    }
    entry.follow(lambda: [choice.sent for choice in transducer.choices])
    await entry.durable()
    async with services.engine.stream(pinned.model, payload) as events:
        before: float | None = None
        async for event in events:
            now = time.perf_counter()
            if before is None:
                FIRST_TOKEN.observe(now - started)
                yield opened
            else:
                INTER_TOKEN.observe(now - before)
            before = now
            usage = event.get("usage") or usage
            for out in transducer.feed(event) if event.get("choices") else ():
                yield out
            if transducer.stopped:
                break
    if any(choice.finish is None for choice in transducer.choices):
        raise EngineUnavailable("The engine broke off before the answer was whole.", "Ask again.")
    conclusion = transducer.conclude()
    ended = {Verdict.WITHHELD: Ended.WITHHELD, Verdict.STOPPED: Ended.REFUSED}.get(conclusion.verdict, Ended.ANSWERED)
    for figure in conclusion.figures:
        FIGURES.labels(figure["status"]).inc()
    ANSWERS.labels(pinned.assistant.name, ended).inc()
    await entry.close(ended, **concluded(conclusion, pinned, usage or {}), tool_calls=tool_calls(transducer))
    finishes = [choice.finish for choice in transducer.choices if choice.finish]
    yield Finish(finishes, summary(ended, pinned, findings, request, entry, conclusion), usage)


def tool_calls(transducer: Transducer) -> list[Any]:
    return [choice.tool_calls for choice in transducer.choices if choice.tool_calls]


def described(findings: Findings | None) -> dict[str, Any]:
    """Snapshot and evidence as the record names them."""
    if findings is None:
        return {"snapshot": None, "evidence": []}
    return {
        "snapshot": findings.snapshot,
        "weak": findings.weak,
        "evidence": [
            {"chunk": e.chunk, "digest": e.digest, "document": e.document, "revision": e.revision, "score": e.score}
            for e in findings.evidence
        ],
    }


def concluded(conclusion: Conclusion, pinned: Pinned, usage: dict[str, Any]) -> dict[str, Any]:
    """What the record keeps of the end of an answer."""
    return {
        "guard": {"policy": pinned.policy.guard, "verdict": conclusion.verdict, "figures": conclusion.figures},
        "refused_figures": conclusion.refused,
        "citations": [citation.to_wire() for _, citation in conclusion.citations],
        "output": conclusion.texts,
        "output_digest": [digest(text.encode()) for text in conclusion.texts],
        "usage": usage,
    }


def summary(
    ended: Ended,
    pinned: Pinned,
    findings: Findings | None,
    request: ChatRequest,
    entry: Entry,
    conclusion: Conclusion,
) -> dict[str, Any]:
    """The response's `groundtone` object."""
    several = (request.n or 1) > 1
    return {
        "outcome": ended,
        "snapshot": findings.snapshot if findings else None,
        "assistant": pinned.assistant.name,
        "base_model": pinned.base_model,
        "adapter": pinned.adapter,
        "receipt": entry.receipt,
        "question": request.question if findings else None,
        "evidence": [
            {"chunk": e.chunk, "document": e.document, "score": round(e.score, 4)}
            for e in (findings.evidence if findings else ())
        ],
        "citations": [
            citation.to_wire() | ({"choice": index} if several else {}) for index, citation in conclusion.citations
        ],
        "guard": {"policy": pinned.policy.guard, "verdict": conclusion.verdict, "figures": conclusion.figures},
    }
