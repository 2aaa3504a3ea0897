"""Whether an evaluation is good enough for a channel: its bounds against the configuration's thresholds.

Bounds and not values, so that few cases prove little: 10 of 10 right are at least 72 % right. Each language by itself:
of three together, two that are right would make up for one that is not.
"""

from collections.abc import Iterator

from adapters.evaluation.bounds import Share
from adapters.evaluation.evaluation import Evaluation
from common.settings import Gate

_NOTHING = Share.of(())
_PER_LANGUAGE = ("faithful", "tone")
"""What has a threshold of its own in each language."""


def failed(evaluation: Evaluation, gate: Gate) -> list[str]:
    """The thresholds that are not reached, as `metric.language`; empty where all are."""
    langs = [lang for lang in evaluation.adapter if lang != "all"] or ["all"]
    found = [name for lang in langs for name in _failed(evaluation, gate, lang)]
    whole, base = evaluation.adapter.get("all", {}), evaluation.base.get("all", {})
    # Canaries are few, and looked for only where some were trained.
    if "exposed" in whole and _above(whole["exposed"], base.get("exposed"), gate):
        found.append("exposed")
    if whole.get("general", _NOTHING).low < base.get("general", Share(1, 1, 1, 0)).low - gate.general:
        found.append("general")
    return found


def _failed(evaluation: Evaluation, gate: Gate, lang: str) -> Iterator[str]:
    shares = evaluation.adapter[lang]
    for metric in _PER_LANGUAGE:
        if shares.get(metric, _NOTHING).low < getattr(gate, f"{metric}_{lang.replace('-', '_').lower()}", 1.0):
            yield f"{metric}.{lang}"
    if shares.keys() <= {"general"}:
        return  # the documents don't have this language: what can't be measured has failed above, or is not asked for
    for metric in ("format", "terminology", "abstain"):
        if shares.get(metric, _NOTHING).low < getattr(gate, metric):
            yield f"{metric}.{lang}"
    if shares.get("stale", _NOTHING).high > gate.stale:
        yield f"stale.{lang}"
    if _above(shares.get("leak", _NOTHING), evaluation.base.get(lang, {}).get("leak"), gate):
        yield f"leak.{lang}"


def _above(share: Share, base: Share | None, gate: Gate) -> bool:
    """Whether more leaks than of the base model, by the upper ends: both sides have the same number of cases.

    Nothing is known of a base model that was not asked as often.
    """
    return share.high > (base.high if base and base.n >= share.n else 0.0) + gate.leak
