"""One question in, one accountable answer out.

    admit → pin → retrieve → compose → generate | links | guard | cite, inside the bracket of record

Everything the answer depends on (snapshot, adapter version, policy) is pinned once. Nothing leaves before the intent
is durable; however it ends, an outcome follows.
"""

import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from common.errors import EngineUnavailable, ErrorCode, InvalidRequest, NotFound
from common.evidence import WEAK_BELOW, Findings
from common.language import is_courtesy, language_of
from common.principal import Principal
from common.settings import Assistant
from common.settings import Guard as GuardPolicy
from serving.audit.record import Ended, Entry
from serving.chat import refusal, regenerate
from serving.chat.account import Aside, Pinned, concluded, found, intent, summary
from serving.chat.compose import compose
from serving.chat.followup import DEPTH, in_context, join
from serving.chat.grounding import Grounded, told
from serving.chat.guard import Verdict
from serving.chat.links import Links
from serving.chat.request import ChatRequest, KnowledgeSwitch
from serving.chat.transducer import Conclusion, Event, Transducer
from serving.chat.wire import Finish, Opened, chunk
from serving.metrics import FIGURES, FIRST_TOKEN, INTER_TOKEN, MARKERS, SNAPSHOT_HEAD, stage
from serving.services import Services

Steps = AsyncGenerator[Opened | Event | Finish, None]


@dataclass(slots=True)
class Course:
    """One answer in the making: who asked what, what was pinned for it, what was found."""

    services: Services
    principal: Principal
    request: ChatRequest
    pinned: Pinned
    entry: Entry
    started: float
    begun: Callable[[], bool]
    findings: Findings | None = None
    aside: Aside = field(default_factory=Aside)

    def opened(self) -> Opened:
        snapshot = self.findings.snapshot if self.findings else None
        return Opened(self.entry.receipt, self.pinned.assistant.name, self.pinned.adapter, snapshot)


async def answer(
    services: Services, principal: Principal, request: ChatRequest, request_id: str, begun: Callable[[], bool]
) -> Steps:
    """The events of one answer: `Opened`, then chunks, then `Finish`.

    As long as `begun` says that nothing has left for the client, another replica may begin it anew: then `Opened` comes
    again, and what came before counts no more. Raises GroundtoneError: before `Opened` where nothing was answered,
    after it where the answer broke off.
    """
    started = time.perf_counter()
    assistant = admit(services, principal, request)
    with services.capacity.place(assistant) as turn:
        pinned = pin(services, principal, assistant, request)
        async with services.record.bracket(principal, intent(pinned, request, request_id)) as entry:
            await turn
            course = Course(services, principal, request, pinned, entry, started, begun)
            course.findings = await retrieve(course)
            async with aclosing(abstain(course) if abstains(course) else generate(course)) as steps:
                async for step in steps:
                    yield step


def admit(services: Services, principal: Principal, request: ChatRequest) -> Assistant:
    """The assistant, where it exists for this caller. Fails closed: another tenant's assistant does not exist."""
    assistant = services.settings.assistant(request.model)
    if assistant is None or assistant.tenant != principal.tenant:
        raise NotFound(
            f"There is no assistant `{request.model[:100]}`.",
            "GET /v1/models lists those you may use.",
            code=ErrorCode.MODEL_NOT_FOUND,
            param="model",
        )
    window, asked = services.settings.engine.max_model_len, request.max_output_tokens
    if asked is not None and asked > window:
        raise InvalidRequest(
            f"max_tokens is {asked}, more than the model's window of {window} tokens.",
            "Ask for fewer.",
            param="max_tokens",
        )
    return assistant


def pin(services: Services, principal: Principal, assistant: Assistant, request: ChatRequest) -> Pinned:
    """Chooses adapter version and policy, once. A conversation stays with the version it began with."""
    return Pinned(
        assistant=assistant,
        policy=services.settings.policy(assistant.policy),
        base_model=services.engine.base_model,
        adapter=services.adapter_of(assistant, request.groundtone.conversation or request.user or principal.key),
        knowledge=bool(assistant.knowledge) and request.groundtone.knowledge is KnowledgeSwitch.ON,
        language=language_of(request.question),
    )


async def retrieve(course: Course) -> Findings | None:
    """The evidence, from exactly one snapshot; None where the assistant has no knowledge."""
    if not course.pinned.knowledge:
        course.entry.note(**found(None))
        return None
    asked, pinned = course.request, course.pinned
    top_k = asked.groundtone.top_k or pinned.assistant.top_k
    context = in_context(asked)
    course.aside.searched = context or asked.question
    with stage("retrieve"):
        if context is None:
            findings = await search(course, asked.question, asked.groundtone.as_of, top_k)
        else:
            depth = max(DEPTH, top_k)
            alone = await search(course, asked.question, asked.groundtone.as_of, depth)
            within = await search(course, context, alone.snapshot, depth)
            least = WEAK_BELOW if pinned.policy.min_evidence is None else pinned.policy.min_evidence
            findings = join(alone, within, pinned.language, top_k, least)
    if asked.groundtone.as_of is None:
        SNAPSHOT_HEAD.set(findings.snapshot)
    if is_courtesy(asked.question):
        # Nobody looks up a good morning, so what was found for it is neither evidence nor too weak.
        findings = replace(findings, weak=False, outside=False, evidence=())
    course.entry.note(**found(findings, course.aside.searched))
    return findings


async def search(course: Course, question: str, as_of: int | datetime | None, top_k: int) -> Findings:
    """What the knowledge process finds for `question` with the request's filters."""
    return await course.services.knowledge.search(
        course.principal,
        knowledge=course.pinned.assistant.knowledge,
        question=question,
        as_of=as_of,
        top_k=top_k,
        filters=course.request.groundtone.filters,
        min_evidence=course.pinned.policy.min_evidence,
        scope=course.pinned.assistant.scope,
    )


def abstains(course: Course) -> bool:
    """Whether it says that it does not answer: without good evidence, and outside its scope.

    A request that brings tools may still find out by calling them.
    """
    findings, asked = course.findings, course.request
    if findings is None or asked.tools or is_courtesy(asked.question):
        return False
    return findings.weak or findings.outside or not findings.evidence


async def abstain(course: Course) -> Steps:
    """The polite refusal, as a model's answer would look."""
    pinned, choices = course.pinned, course.request.n or 1
    outside = course.findings is not None and course.findings.outside
    text = refusal.refusal(pinned.language, pinned.assistant.handover, outside)
    verdict = Verdict.OFF if pinned.policy.guard is GuardPolicy.OFF else Verdict.CLEAN
    await course.entry.durable()
    yield course.opened()
    for index in range(choices):
        yield chunk(index, {"role": "assistant", "content": text})
    finishes = [chunk(index, {}, "stop") for index in range(choices)]
    yield await close(course, Ended.ABSTAINED, Conclusion(verdict, [text] * choices), finishes, None)


async def generate(course: Course) -> Steps:
    """The engine's events through links, guard and cite."""
    services, pinned, request = course.services, course.pinned, course.request
    with stage("compose"):
        prompt = await compose(services, pinned.assistant, course.findings, request)
    course.aside.omitted = prompt.omitted
    if course.findings is not None:
        # What did not fit was not put before the model, so it is not evidence; the answer says that it was left out.
        course.findings = replace(course.findings, evidence=prompt.evidence)
        course.entry.note(**found(course.findings, course.aside.searched), omitted=prompt.omitted.to_wire())
    payload = {
        **request.sampling(),
        "model": pinned.model,
        "messages": prompt.messages,
        "max_tokens": prompt.max_tokens,
        "temperature": pinned.assistant.temperature if request.temperature is None else request.temperature,
        "cache_salt": services.cache_salt(course.principal.tenant),
    }
    transducer = Transducer(
        request.question,
        prompt.evidence,
        pinned.policy.guard,
        pinned.language,
        request.n or 1,
        context=course.aside.searched,
        firm=pinned.assistant.firm,
        data=request.wants_json,
        whole=not request.stream,
    )
    links = Links(
        prompt.evidence,
        pinned.language,
        own=(pinned.assistant.handover, pinned.assistant.firm),
        passed=request.texts(),
        data=request.wants_json,
    )
    course.entry.follow(transducer.sent)
    await course.entry.durable()
    usage: dict[str, Any] | None = None
    before: float | None = None
    opened = False

    def anew() -> bool:
        nonlocal opened
        if course.begun():
            return False
        transducer.restart()
        links.restart()
        opened = False
        return True

    async with regenerate.stream(
        services.engine, pinned.model, payload, transducer, pinned.language, course.entry.note, anew
    ) as events:
        async for event in events:
            now = time.perf_counter()
            if before is None:
                FIRST_TOKEN.observe(now - course.started)
            else:
                INTER_TOKEN.observe(now - before)
            before = now
            if not opened:
                opened = True
                yield course.opened()
            usage = event.get("usage") or usage
            for clean in links.feed(event) if event["choices"] else ():
                for out in transducer.feed(clean):
                    yield out
            if transducer.stopped:
                break
    finishes = transducer.finishes()
    if finishes is None:
        raise EngineUnavailable("The engine broke off before the answer was whole.", "Ask again.")
    course.aside.removed = links.removed
    conclusion = await grounded(course, transducer.conclude())
    for figure in conclusion.figures:
        FIGURES.labels(figure["status"]).inc()
    for fate, count in conclusion.markers.items():
        MARKERS.labels(fate).inc(count)
    ended = {Verdict.WITHHELD: Ended.WITHHELD, Verdict.STOPPED: Ended.REFUSED}.get(conclusion.verdict, Ended.ANSWERED)
    yield await close(course, ended, conclusion, finishes, usage)


async def grounded(course: Course, conclusion: Conclusion) -> Conclusion:
    """The conclusion after the check of sentences, where there is one; what it found is told beside the figures."""
    check, findings = course.services.grounding, course.findings
    if check is None or findings is None or not findings.evidence or conclusion.verdict is Verdict.OFF:
        return conclusion
    with stage("ground"):
        sentences = await check.check(conclusion.texts, findings.evidence)
    course.aside.grounding = told(sentences)
    contradicted = any(one.status is Grounded.CONTRADICTED for one in sentences or ())
    flagged = contradicted and conclusion.verdict is Verdict.CLEAN
    return replace(conclusion, verdict=Verdict.FLAGGED) if flagged else conclusion


async def close(
    course: Course, ended: Ended, conclusion: Conclusion, finishes: list[Event], usage: dict[str, Any] | None
) -> Finish:
    """Makes the outcome durable, and only then the last thing that leaves."""
    await course.entry.close(ended, **concluded(conclusion, course.pinned, course.aside, usage))
    about = summary(ended, course.pinned, course.findings, course.aside, course.entry.receipt, conclusion)
    return Finish(finishes, about, usage)
