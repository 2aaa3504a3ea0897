#!/usr/bin/env python3
"""Writes dashboards/groundtone.json: the rows below are what is kept by hand."""

import json
from pathlib import Path

QUANTILE = "histogram_quantile({q}, sum by (le) (rate({metric}_bucket{labels}[$__rate_interval])))"


def quantiles(metric: str, labels: str = "") -> list[tuple[str, str]]:
    return [(f"p{q[2:]:0<2}", QUANTILE.format(q=q, metric=metric, labels=labels)) for q in ("0.5", "0.95", "0.99")]


ROWS: list[list[tuple[str, str, list[tuple[str, str]]]]] = [
    [
        ("Answers", "ops", [("{{outcome}}", "sum by (outcome) (rate(groundtone_answers_total[$__rate_interval]))")]),
        ("Errors", "ops", [("{{code}}", "sum by (code) (rate(groundtone_errors_total[$__rate_interval])) > 0")]),
        (
            "Answers in the making",
            "short",
            [("answers", "sum(groundtone_queue_depth)"), ("waiting", "sum(groundtone_waiting)")],
        ),
    ],
    [
        ("Time to first token", "s", quantiles("groundtone_time_to_first_token_seconds")),
        ("Between tokens", "s", quantiles("groundtone_inter_token_seconds")),
        ("Retrieval", "s", quantiles("groundtone_request_seconds", '{stage="retrieve"}')),
    ],
    [
        ("Figures", "ops", [("{{status}}", "sum by (status) (rate(groundtone_figures_total[$__rate_interval]))")]),
        ("How far sources are behind", "s", [("{{source}}", "max by (source) (groundtone_source_lag_seconds)")]),
        ("Snapshot", "short", [("head", "max(groundtone_snapshot_head)")]),
    ],
    [
        (
            "Engines and adapters",
            "short",
            [
                ("{{replica}}", "min by (replica) (groundtone_engine_up)"),
                ("{{version}} on {{replica}}", "min by (version, replica) (groundtone_adapter_loaded)"),
            ],
        ),
        (
            "Engine: running and waiting",
            "short",
            [("running", "sum(vllm:num_requests_running)"), ("waiting", "sum(vllm:num_requests_waiting)")],
        ),
        ("Engine: cache in use", "percentunit", [("{{instance}}", "max by (instance) (vllm:kv_cache_usage_perc)")]),
    ],
    [
        (
            "Markers that models wrote",
            "ops",
            [("{{fate}}", "sum by (fate) (rate(groundtone_citation_markers_total[$__rate_interval]))")],
        ),
        ("Configurations in force", "short", [("{{digest}}", "count by (digest) (groundtone_configuration_info)")]),
        (
            "Until the certificate ends",
            "s",
            [("{{instance}}", "min by (instance) (groundtone_certificate_expiry_timestamp_seconds > 0) - time()")],
        ),
    ],
]


def panel(number: int, row: int, column: int, title: str, unit: str, queries: list[tuple[str, str]]) -> dict:
    source = {"type": "prometheus", "uid": "prometheus"}
    return {
        "id": number,
        "type": "timeseries",
        "title": title,
        "datasource": source,
        "gridPos": {"x": 8 * column, "y": 8 * row, "w": 8, "h": 8},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "targets": [
            {"refId": chr(65 + index), "datasource": source, "expr": query, "legendFormat": legend}
            for index, (legend, query) in enumerate(queries)
        ],
    }


def dashboard() -> str:
    places = [(row, column, *one) for row, panels in enumerate(ROWS) for column, one in enumerate(panels)]
    board = {
        "uid": "groundtone",
        "title": "groundtone",
        "schemaVersion": 39,
        "editable": False,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "panels": [panel(number, *place) for number, place in enumerate(places, 1)],
    }
    return json.dumps(board, indent=1) + "\n"


if __name__ == "__main__":
    (Path(__file__).parent / "dashboards" / "groundtone.json").write_text(dashboard())
