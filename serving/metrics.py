"""The gateway's metrics, under the names that the contract fixes."""

from collections.abc import Generator
from contextlib import contextmanager

from prometheus_client import Counter, Gauge, Histogram

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


@contextmanager
def stage(name: str) -> Generator[None]:
    """Times one stage of a question, as a metric and as a span."""
    with REQUEST.labels(name).time(), step(name):
        yield
