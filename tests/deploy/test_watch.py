"""What watches a deployment asks for metrics that exist, and tells an operator what to do."""

import json
import re
import runpy
import shutil
import subprocess
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


def promtool(*arguments: Any) -> None:
    """Prometheus' own tool, where it is installed."""
    program = shutil.which("promtool")
    if program is None:
        pytest.skip("promtool is not installed")
    ran = subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_prometheus_takes_every_query(tmp_path: Path) -> None:
    """By its own parser. `python -m benchmarks.watch` has it evaluate them over a run."""
    queries = [query.replace("$__rate_interval", "1m") for query in QUERIES]
    rules = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    panels = tmp_path / "panels.yaml"
    panels.write_text(yaml.safe_dump({"groups": [{"name": "panels", "rules": rules}]}))
    promtool("check", "rules", WATCH / "alerts.yaml", panels)


FIRES = {
    "GatewayDown": {'up{job="groundtone"}': "0x60"},
    "EngineDown": {'groundtone_engine_up{replica="a"}': "0x60"},
    "AnswersFail": {
        'groundtone_errors_total{code="engine_unavailable"}': "0+2x60",
        'groundtone_answers_total{outcome="answered"}': "0+100x60",
    },
    "RecordNotWritten": {'groundtone_errors_total{code="audit_unavailable"}': "0x59 1"},
    "LoadIsShed": {'groundtone_errors_total{code="overloaded"}': "0+1x60"},
    "SourceBehind": {'groundtone_source_lag_seconds{source="a"}': "301x60"},
    "FiguresUnsupported": {
        'groundtone_figures_total{status="unsupported"}': "0+6x120",
        'groundtone_figures_total{status="supported"}': "0+94x120",
    },
    "ConfigurationsDiffer": {
        'groundtone_configuration_info{digest="a"}': "1x60",
        'groundtone_configuration_info{digest="b"}': "1x60",
    },
    # Tests of rules begin in 1970.
    "CertificateEnds": {"groundtone_certificate_expiry_timestamp_seconds": "1e6x60"},
    "EngineQueues": {"vllm:num_requests_waiting": "3x60"},
}
"""Alerts with what wakes them, a sample a minute."""


def test_alerts_fire_when_they_should(tmp_path: Path) -> None:
    """Each after its time and, of all of them, alone."""
    tests: list[dict[str, Any]] = []
    for name, series in FIRES.items():
        end = 120 if name == "FiguresUnsupported" else 60
        severity = next(rule["labels"]["severity"] for rule in RULES if rule["alert"] == name)
        own = next(({key: value} for key, value in LABELS if key in str(series)), {})
        expected = [{"exp_labels": {"severity": severity, **own}}]
        checks = [
            {
                "eval_time": f"{end}m",
                "alertname": rule["alert"],
                "exp_alerts": expected if rule["alert"] == name else [],
            }
            for rule in RULES
        ]
        inputs = [{"series": one, "values": values} for one, values in series.items()]
        tests.append({"interval": "1m", "input_series": inputs, "alert_rule_test": checks})
    file = tmp_path / "tests.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(WATCH / "alerts.yaml")], "tests": tests}))
    promtool("test", "rules", file)


LABELS = (("replica", "a"), ("source", "a"), ("job", "groundtone"))
"""What an alert tells of the series that woke it."""


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
