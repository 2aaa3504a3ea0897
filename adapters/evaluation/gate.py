"""Whether an evaluation is good enough for a channel: its bounds against the configuration's thresholds.

Bounds and not values, so that few cases prove little: 10 of 10 right are at least 72 % right.
"""

from adapters.evaluation.bounds import Share
from adapters.evaluation.evaluation import Evaluation
from common.settings import Gate

_NOTHING = Share.of(())


def failed(evaluation: Evaluation, gate: Gate) -> list[str]:
    """The thresholds that are not reached, as `metric.language`; empty where all are."""
    base = evaluation.base.get("all", {})
    whole = evaluation.adapter.get("all", {})
    found = [
        f"{metric}.{lang}"
        for lang, shares in evaluation.adapter.items()
        if lang != "all"
        for metric in ("faithful", "tone")
        if shares.get(metric, _NOTHING).low < getattr(gate, f"{metric}_{lang.replace('-', '_').lower()}", 1.0)
    ]
    found += [
        name for name in ("format", "terminology", "abstain") if whole.get(name, _NOTHING).low < getattr(gate, name)
    ]
    if whole.get("stale", _NOTHING).high > gate.stale:
        found.append("stale")
    # Both sides have the same number of cases, so the ends of their intervals compare. Canaries are looked for only
    # where some were trained.
    found += [
        name
        for name in ("leak", *(["exposed"] if "exposed" in whole else []))
        if whole.get(name, _NOTHING).high > base.get(name, Share(0, 0, 0, 0)).high + gate.leak
    ]
    if whole.get("general", _NOTHING).low < base.get("general", Share(1, 1, 1, 0)).low - gate.general:
        found.append("general")
    return found
