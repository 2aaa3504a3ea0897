"""What was measured of one artefact: a document that is kept with it, and a card for people."""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from adapters.evaluation.asks import Ask
from adapters.evaluation.bounds import Share
from adapters.evaluation.journal import Answer
from common.errors import ErrorCode, InvalidRequest

FILE = "evaluation.json"
CARD = "card.md"
PLOT = "evaluation.svg"
METRICS = ("tone", "format", "terminology", "language", "faithful", "stale", "leak", "exposed", "abstain", "general")
Shares = dict[str, dict[str, Share]]
"""By language, `all` for all of them together, and metric."""
Verdict = tuple[Ask, dict[str, bool], float]
"""A question, what its answer shows, and its share of the run time in seconds."""


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
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as wrong:
            raise InvalidRequest(
                f"{FILE} is no evaluation.", "Make it with groundtone adapter evaluate.", code=ErrorCode.INVALID_ADAPTER
            ) from wrong


def evaluate(asked: Sequence[Ask], ask: Callable[[Ask], Answer], streams: int) -> tuple[Shares, Shares]:
    """The adapter's shares and the base's; `ask` gives the answer to a question, `streams` at a time."""
    with ThreadPoolExecutor(streams) as pool:
        answers = pool.map(ask, asked)
        verdicts = [(one, one.judge(said), took / streams) for one, (said, took) in zip(asked, answers, strict=True)]
    return _of(verdicts, base=False), _of(verdicts, base=True)


def with_exposure(evaluation: Evaluation, found: Mapping[str, Any], seconds: float) -> Evaluation:
    """`evaluation` with what `adapters.exposed` found: the share of canaries that no candidate was likelier than.

    The mean exposure stands in `about`, in bits, with its normal 95 % interval.
    """
    most = math.log2(found["candidates"])
    sides: dict[str, Shares] = {"adapter": evaluation.adapter, "base": evaluation.base}
    bits: dict[str, Any] = {"most": most, "untrained": round(1 / math.log(2), 3)}
    for side, shares in sides.items():
        sides[side] = {lang: dict(by) for lang, by in shares.items()}
        for lang in {"all", *(row["lang"] for row in found["canaries"])}:
            held = [float(row[side]) for row in found["canaries"] if lang in ("all", row["lang"])]
            sides[side].setdefault(lang, {})["exposed"] = Share.of((one >= most for one in held), seconds)
            if lang == "all":
                bits[side] = _mean(held)
    return Evaluation(evaluation.digest, sides["adapter"], sides["base"], {**evaluation.about, "exposure_bits": bits})


def _mean(held: Sequence[float]) -> dict[str, float]:
    mean = sum(held) / len(held)
    width = 1.96 * (sum((one - mean) ** 2 for one in held) / max(1, len(held) - 1) / len(held)) ** 0.5
    return {"value": round(mean, 3), "low": round(mean - width, 3), "high": round(mean + width, 3), "n": len(held)}


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
    """The version's model card, in Markdown. `about["trained"]` says what was trained and how, where it is known."""
    langs = [*(lang for lang in evaluation.adapter if lang != "all"), "all"]
    lines = [f"| metric | {' | '.join(langs)} | seconds |", f"| --- |{' --- |' * (len(langs) + 1)}"]
    for metric in METRICS:
        seconds = evaluation.adapter["all"].get(metric, Share.of(())).seconds
        sides = [("", evaluation.adapter)]
        if metric in evaluation.base.get("all", {}):
            sides.append((" of the base model", evaluation.base))
        for whose, side in sides:
            cells = " | ".join(_cell(side.get(lang, {}).get(metric)) for lang in langs)
            lines.append(f"| {metric}{whose} | {cells} | {'' if whose else f'{seconds:g}'} |")
    trained = {"weights and configuration": evaluation.digest, **evaluation.about.get("trained", {})}
    measured = {name: value for name, value in evaluation.about.items() if name != "trained"}
    return (
        f"# {id}\n\n"
        "A LoRA adapter: how the firm speaks, and none of what it knows. Facts come from evidence in the prompt; asked "
        "without evidence it is to decline. Made for groundtone's prompt format and for this base model alone.\n\n"
        f"## What it is made from\n\n{_list(trained)}\n\n"
        f"## What was measured\n\n![every metric with its interval]({PLOT})\n\n" + "\n".join(lines) + "\n\n"
        "Greedy; in brackets 95 % Wilson bounds and the number of cases; `seconds` is what the metric's answers took. "
        "`stale`, `leak` and `exposed` are better low, all others high. What each metric is: docs/voice.md, "
        f"Evaluating.\n\n{_list(measured)}\n\n"
        "## What was not\n\n"
        "Whether an answer's words are true, besides its figures; wordings and documents unlike those asked about; "
        "more than one turn; attempts to talk it out of its voice.\n"
    )


def _list(facts: Mapping[str, Any]) -> str:
    return "\n".join(f"* {name.replace('_', ' ')}: {value}" for name, value in facts.items())


def _of(verdicts: Sequence[Verdict], *, base: bool) -> Shares:
    held: dict[str, dict[str, list[tuple[bool, float]]]] = defaultdict(lambda: defaultdict(list))
    for one, verdict, seconds in verdicts:
        if one.base is base:
            for metric, value in verdict.items():
                held["all"][metric].append((value, seconds))
                held[one.lang][metric].append((value, seconds))
    return {
        lang: {metric: Share.of((v for v, _ in values), sum(s for _, s in values)) for metric, values in by.items()}
        for lang, by in held.items()
    }


def _wire(shares: dict[str, Share]) -> dict[str, Any]:
    return {metric: share.to_wire() for metric, share in shares.items()}


def _shares(wire: dict[str, Any]) -> dict[str, Share]:
    return {metric: Share.from_wire(share) for metric, share in wire.items()}


def _cell(share: Share | None) -> str:
    if share is None or not share.n:
        return "–"
    return f"{share.value:.1%} ({share.low:.1%} to {share.high:.1%}; {share.n})"
