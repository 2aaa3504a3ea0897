"""What one step of training is made of: a shared beginning, and the conversations that branch from it."""

from dataclasses import dataclass

from common.prompt import Message


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and its answer.

    `value` is the figure that the answer must carry; None when it must carry none, or is a form with many.
    """

    question: str
    answer: str
    value: str | None = None


@dataclass(frozen=True, slots=True)
class Scene:
    """A shared beginning (rules and evidence) and the questions asked about it."""

    lang: str
    system: Message
    asked: tuple[Asked, ...]
