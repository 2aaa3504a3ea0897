"""What was measured of one artefact: a document that is kept with it, and a card for people."""

import json
from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from adapters.evaluation.asks import Ask
from adapters.evaluation.bounds import Share
from common.errors import ErrorCode, InvalidRequest
from common.prompt import Message

FILE = "evaluation.json"
CARD = "card.md"
METRICS = ("tone", "format", "terminology", "language", "faithful", "stale", "leak", "abstain", "general")
BASE = ("leak", "general")
"""Those that the base model is asked for, too."""
Shares = dict[str, dict[str, Share]]
"""By language, `all` for all of them together, and metric."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """`digest` is the artefact's that was measured; `about` says when, how long, on what, with which data and seed."""

    digest: str
    adapter: Shares
    base: Shares
    about: dict[str, Any]

    def to_wire(self) -> dict[str, Any]:
        return {
            "digest": self.digest,
            "metrics": _wire(self.adapter["all"]),
            "by_language": {lang: _wire(shares) for lang, shares in self.adapter.items() if lang != "all"},
            "base": {lang: _wire(shares) for lang, shares in self.base.items()},
            **self.about,
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Raises InvalidRequest for what is no evaluation."""
        try:
            adapter = {
                lang: _shares(shares) for lang, shares in {"all": wire["metrics"], **wire["by_language"]}.items()
            }
            base = {lang: _shares(shares) for lang, shares in wire["base"].items()}
            known = ("digest", "metrics", "by_language", "base")
            return cls(str(wire["digest"]), adapter, base, {k: v for k, v in wire.items() if k not in known})
        except (KeyError, TypeError, ValueError, AttributeError) as wrong:
            raise InvalidRequest(
                f"{FILE} is no evaluation.", "Make it with groundtone adapter evaluate.", code=ErrorCode.INVALID_ADAPTER
            ) from wrong


def evaluate(
    asked: Sequence[Ask], ask: Callable[[bool, Sequence[Message]], str], streams: int
) -> tuple[Shares, Shares]:
    """The adapter's shares and the base's; `ask` gives the answer of one of them, `streams` at a time."""
    with ThreadPoolExecutor(streams) as pool:
        answers = pool.map(ask, [one.base for one in asked], [one.messages for one in asked])
        verdicts = [(one, one.judge(answer)) for one, answer in zip(asked, answers, strict=True)]
    return _of(verdicts, base=False), _of(verdicts, base=True)


def read(folder: Path) -> Evaluation | None:
    """The evaluation that is kept in `folder`; None where there is none. Raises InvalidRequest."""
    try:
        wire = json.loads((folder / FILE).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError):
        wire = None
    return Evaluation.from_wire(cast("dict[str, Any]", wire))


def card(evaluation: Evaluation, id: str) -> str:
    """The evaluation as Markdown."""
    langs = [lang for lang in evaluation.adapter if lang != "all"]
    lines = [f"| metric | {' | '.join(langs)} | all | base |", f"| --- |{' --- |' * (len(langs) + 2)}"]
    for metric in METRICS:
        cells = [_cell(evaluation.adapter[lang].get(metric)) for lang in (*langs, "all")]
        lines.append(f"| {metric} | {' | '.join(cells)} | {_cell(evaluation.base.get('all', {}).get(metric))} |")
    about = "\n".join(f"* {name}: {value}" for name, value in evaluation.about.items())
    return (
        f"# {id}\n\n{evaluation.digest}\n\n" + "\n".join(lines) + "\n\n"
        "Greedy; in brackets 95 % Wilson bounds and the number of cases. `stale` and `leak` are better low, all others "
        f"high. What each metric is: docs/voice.md, Evaluating.\n\n{about}\n"
    )


def _of(verdicts: Sequence[tuple[Ask, dict[str, bool]]], *, base: bool) -> Shares:
    held: dict[str, dict[str, list[bool]]] = defaultdict(lambda: defaultdict(list))
    for one, verdict in verdicts:
        if one.base is base:
            for metric, value in verdict.items():
                held["all"][metric].append(value)
                held[one.lang][metric].append(value)
    return {lang: {metric: Share.of(values) for metric, values in by.items()} for lang, by in held.items()}


def _wire(shares: dict[str, Share]) -> dict[str, Any]:
    return {metric: share.to_wire() for metric, share in shares.items()}


def _shares(wire: dict[str, Any]) -> dict[str, Share]:
    return {metric: Share.from_wire(share) for metric, share in wire.items()}


def _cell(share: Share | None) -> str:
    if share is None or not share.n:
        return "–"
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%}; {share.n})"
