"""The gateway's metrics, under the names that the contract fixes."""

import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import (
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

from common.traces import step

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)

REQUEST = Histogram("groundtone_request_seconds", "Time spent in one stage of a question.", ["stage"], buckets=_SECONDS)
FIRST_TOKEN = Histogram(
    "groundtone_time_to_first_token_seconds", "From admission to the first token.", buckets=_SECONDS
)
INTER_TOKEN = Histogram("groundtone_inter_token_seconds", "Between two events of one stream.", buckets=_SECONDS)
ANSWERS = Counter("groundtone_answers", "Answers by how they ended.", ["assistant", "outcome"])
FIGURES = Counter("groundtone_figures", "Figures in answers by verdict.", ["status"])
MARKERS = Counter(
    "groundtone_citation_markers", "Citation markers that a model wrote, by what became of them.", ["fate"]
)
ERRORS = Counter("groundtone_errors", "Chat requests that ended with an error, by its code.", ["code"])
SNAPSHOT_HEAD = Gauge(
    "groundtone_snapshot_head",
    "The newest snapshot that an answer was made from.",
    multiprocess_mode="mostrecent",
)
ADAPTER_LOADED = Gauge(
    "groundtone_adapter_loaded",
    "1 where a replica serves a version.",
    ["version", "replica"],
    multiprocess_mode="livemin",
)
ENGINE_UP = Gauge(
    "groundtone_engine_up", "1 where a replica takes questions.", ["replica"], multiprocess_mode="livemin"
)
SOURCE_LAG = Gauge(
    "groundtone_source_lag_seconds",
    "How long a source has not been in step with what is published.",
    ["source"],
    multiprocess_mode="mostrecent",
)
QUEUE_DEPTH = Gauge("groundtone_queue_depth", "Answers in the making.", multiprocess_mode="livesum")
WAITING = Gauge("groundtone_waiting", "Questions that wait for their turn.", multiprocess_mode="livesum")
CONFIGURATION = Gauge(
    "groundtone_configuration_info", "1 for the configuration in force.", ["digest"], multiprocess_mode="livemax"
)
CERTIFICATE_EXPIRY = Gauge(
    "groundtone_certificate_expiry_timestamp_seconds",
    "When the TLS certificate in use ends; 0 without TLS.",
    multiprocess_mode="livemin",
)


@contextmanager
def stage(name: str) -> Generator[None]:
    """Times one stage of a question, as a metric and as a span."""
    with REQUEST.labels(name).time(), step(name):
        yield


def exposition(workers: int) -> bytes:
    """Prometheus' text format, over all workers that live."""
    if workers == 1:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    _forget_the_dead()
    multiprocess.MultiProcessCollector(registry)
    return generate_latest(registry)


def _forget_the_dead() -> None:
    """Takes the gauges of workers that ended out of the sum: what they last said is no longer so."""
    folder = Path(os.environ["PROMETHEUS_MULTIPROC_DIR"])
    for process in {file.stem.rpartition("_")[2] for file in folder.glob("gauge_live*_*.db")}:
        if not Path("/proc", process).exists():
            with suppress(FileNotFoundError):  # another worker was asked too
                multiprocess.mark_process_dead(int(process))
