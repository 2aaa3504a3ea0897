"""What an answer says about itself: to the record, and to the client as the response's `groundtone` object."""

from dataclasses import dataclass, field
from typing import Any

from common.canonical import digest, digest_of
from common.evidence import Findings
from common.language import Language
from common.prompt import PROMPT_FORMAT
from common.settings import Assistant, Policy
from serving.audit.record import Ended
from serving.chat.compose import NOTHING_OMITTED, Omitted
from serving.chat.request import ChatRequest
from serving.chat.scrub import Removed
from serving.chat.transducer import Conclusion


@dataclass(frozen=True, slots=True)
class Pinned:
    """All that one answer depends on, chosen once."""

    assistant: Assistant
    policy: Policy
    base_model: str
    adapter: str | None
    knowledge: bool
    language: Language

    @property
    def model(self) -> str:
        """The engine's name for it: an adapter's immutable id, or the base model."""
        return self.adapter or self.base_model


@dataclass(slots=True)
class Aside:
    """What an answer says of its making: the question as searched, what did not fit, what was taken out."""

    searched: str | None = None
    omitted: Omitted = NOTHING_OMITTED
    grounding: dict[str, Any] = field(default_factory=dict[str, Any])
    removed: dict[str, int] = field(default_factory=lambda: {kind.value: 0 for kind in Removed})


def intent(pinned: Pinned, request: ChatRequest, request_id: str) -> dict[str, Any]:
    """What is made durable before anything is answered."""
    return {
        "request": request_id,
        "assistant": pinned.assistant.name,
        "base_model": pinned.base_model,
        "adapter": pinned.adapter,
        "policy": digest_of(pinned.policy.model_dump(mode="json")),
        "prompt_format": PROMPT_FORMAT,
        "knowledge": list(pinned.assistant.knowledge) if pinned.knowledge else None,
        "body": request.model_dump(mode="json", exclude_defaults=True),
    }


def found(findings: Findings | None, searched: str | None = None) -> dict[str, Any]:
    """Snapshot, the question as searched and the evidence, as the record names them."""
    if findings is None:
        return {"snapshot": None, "evidence": []}
    return {
        "snapshot": findings.snapshot,
        "searched": searched,
        "weak": findings.weak,
        "outside": findings.outside,
        "evidence": [
            {"chunk": e.chunk, "digest": e.digest, "document": e.document, "revision": e.revision, "score": e.score}
            for e in findings.evidence
        ],
    }


def concluded(conclusion: Conclusion, pinned: Pinned, aside: Aside, usage: dict[str, Any] | None) -> dict[str, Any]:
    """What the record keeps of the end of an answer."""
    return {
        "guard": _guard(conclusion, pinned, aside),
        "refused_figures": conclusion.refused,
        "citations": [citation.to_wire() for _, citation in conclusion.citations],
        "tool_calls": conclusion.tool_calls,
        "removed": aside.removed,
        "output": conclusion.texts,
        "output_digest": [digest(text.encode()) for text in conclusion.texts],
        "usage": usage,
    }


def summary(
    ended: Ended,
    pinned: Pinned,
    findings: Findings | None,
    aside: Aside,
    receipt: str,
    conclusion: Conclusion,
) -> dict[str, Any]:
    """The response's `groundtone` object."""
    several = len(conclusion.texts) > 1
    return {
        "outcome": ended,
        "snapshot": findings.snapshot if findings else None,
        "assistant": pinned.assistant.name,
        "base_model": pinned.base_model,
        "adapter": pinned.adapter,
        "receipt": receipt,
        "question": aside.searched,
        "evidence": [
            {"chunk": e.chunk, "document": e.document, "score": round(e.score, 4)}
            for e in (findings.evidence if findings else ())
        ],
        "omitted": aside.omitted.to_wire(),
        "removed": aside.removed,
        "citations": [
            citation.to_wire() | ({"choice": index} if several else {}) for index, citation in conclusion.citations
        ],
        "guard": _guard(conclusion, pinned, aside),
    }


def _guard(conclusion: Conclusion, pinned: Pinned, aside: Aside) -> dict[str, Any]:
    told = {"policy": pinned.policy.guard, "verdict": conclusion.verdict, "figures": conclusion.figures}
    return told | ({"regenerated": True} if conclusion.regenerated else {}) | aside.grounding
