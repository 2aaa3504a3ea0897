"""What watches a deployment asks for metrics that exist, and tells an operator what to do."""

import json
import re
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import REGISTRY

from serving import metrics
from serving.supervisor.plan import ENGINE_ENVIRONMENT

ROOT = Path(__file__).parents[2]
WATCH = ROOT / "deploy" / "watch"
RULES = [rule for group in yaml.safe_load((WATCH / "alerts.yaml").read_text())["groups"] for rule in group["rules"]]
BOARD: Any = json.loads((WATCH / "dashboards" / "groundtone.json").read_text())
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]

_METRIC = re.compile(r"\b((?:groundtone_|vllm:)\w+)(?:\{([^}]*)\})?")
_GROUPED = re.compile(r"\bby \(([^)]*)\)")


def own() -> dict[str, set[str]]:
    """The names of each sample that this project's metrics give, with their labels."""
    assert metrics.REQUEST
    found: dict[str, set[str]] = {}
    for family in REGISTRY.collect():
        collector = REGISTRY._names_to_collectors.get(family.name)  # pyright: ignore
        labels = set(getattr(collector, "_labelnames", ()))
        endings = {"counter": ["_total"], "histogram": ["_bucket", "_count", "_sum"]}.get(family.type, [""])
        found |= {family.name + ending: labels | ({"le"} if ending == "_bucket" else set()) for ending in endings}
    return {name: labels for name, labels in found.items() if name.startswith("groundtone_")}


def asked(query: str) -> Iterator[tuple[str, set[str]]]:
    """The metrics that a query names, each with the labels that it is chosen by."""
    for name, chosen in _METRIC.findall(query):
        yield name, {re.split(r"[=!~]", part)[0].strip() for part in chosen.split(",") if part}


@pytest.mark.parametrize("query", [*QUERIES, *(rule["expr"] for rule in RULES)])
def test_every_query_names_exported_metrics_and_their_labels(query: str) -> None:
    """A query of a name that is gone shows an empty panel, and an alert that never fires."""
    known = own()
    names = list(asked(query))
    assert names or query == 'up{job="groundtone"} == 0'
    for name, labels in names:
        if name.startswith("groundtone_"):
            assert name in known
            assert labels <= known[name], name
    grouped = {label.strip() for group in _GROUPED.findall(query) for label in group.split(",")} - {"instance"}
    assert not names or all(any(label in known.get(name, ()) for name, _ in names) for label in grouped)


@pytest.mark.real
def test_the_engines_metrics_are_vllms() -> None:
    """In the source of the version that the lock pins."""
    source = next(ENGINE_ENVIRONMENT.glob("lib/python*/site-packages/vllm/v1/metrics/loggers.py")).read_text()
    for query in (*QUERIES, *(rule["expr"] for rule in RULES)):
        assert all(f'"{name}"' in source for name, _ in asked(query) if name.startswith("vllm:"))


def test_every_metric_of_ours_is_shown() -> None:
    """On the dashboard: what nobody looks at need not be exported."""
    shown = {name for query in QUERIES for name, _ in asked(query)}
    families = {re.sub(r"_(bucket|count|sum)$", "", name) for name in own()}
    assert families == {re.sub(r"_bucket$", "", name) for name in shown if name.startswith("groundtone_")}


def test_the_dashboard_is_what_its_script_writes() -> None:
    """So the rows there can be trusted."""
    written = runpy.run_path(str(WATCH / "dashboard.py"))["dashboard"]()
    assert json.loads(written) == BOARD
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def test_every_alert_has_a_runbook() -> None:
    """A row each in docs/alerts.md, of the same severity, and none for what is gone."""
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ", (ROOT / "docs" / "alerts.md").read_text(), re.MULTILINE)
    assert rows == [(rule["alert"], rule["labels"]["severity"]) for rule in RULES]
