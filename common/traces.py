"""OpenTelemetry traces: one per request, through retrieval to the engine, after the GenAI semantic conventions.

Off until `open_traces` is given an endpoint: then spans go to an OTLP collector over gRPC. Spans carry names, models,
counts and times. They never carry a question, an answer or a document, and no header of a client's but `traceparent`.
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from collections.abc import Generator, Iterable, Mapping
from contextlib import contextmanager
from typing import Any

from opentelemetry import propagate, trace
from opentelemetry.trace import Span, SpanKind, Status, StatusCode
from opentelemetry.util.types import AttributeValue

_tracer = trace.get_tracer("groundtone")
Headers = dict[str, str]


@contextmanager
def open_traces(endpoint: str | None, service: str) -> Generator[None]:
    """Sends the spans of this process to `endpoint` until the block ends; without one it does nothing."""
    if endpoint is None:
        yield
        return
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    provider = TracerProvider(resource=Resource.create({"service.name": service}))
    exporter = OTLPSpanExporter(endpoint=endpoint, insecure=endpoint.startswith("http://"))
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        # Its exporter may wait for a collector that is away; a stop does not.
        provider.force_flush(timeout_millis=2000)
        provider.shutdown()


@contextmanager
def served(method: str, headers: Iterable[tuple[bytes, bytes]]) -> Generator[Span]:
    """The span of a request that came in: the current one within the block, and a part of the caller's trace."""
    told = {name.decode(): value.decode("latin-1") for name, value in headers if name == b"traceparent"}
    attributes = {"http.request.method": method}
    with _tracer.start_as_current_span(
        method, propagate.extract(told), SpanKind.SERVER, attributes, record_exception=False
    ) as span:
        yield span


def name_span(span: Span, scope: Mapping[str, Any], status: int) -> None:
    """Names a served span by the route's pattern, since a path holds the names of documents, and adds how it ended."""
    if path := getattr(scope.get("route"), "path", None):
        span.update_name(f"{scope['method']} {path}")
        span.set_attribute("http.route", path)
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(Status(StatusCode.ERROR))


@contextmanager
def step(name: str) -> Generator[Span]:
    """The span of work in this process. The block must not yield: a span that is current belongs to one task."""
    with _tracer.start_as_current_span(name, record_exception=False) as span:
        yield span


@contextmanager
def calling(name: str, attributes: Mapping[str, AttributeValue]) -> Generator[tuple[Span, Headers]]:
    """The span of a call to another process, and the headers that continue the trace there.

    It is not made the current one, so the block may yield.
    """
    span = _tracer.start_span(name, kind=SpanKind.CLIENT, attributes=dict(attributes))
    headers: Headers = {}
    propagate.inject(headers, trace.set_span_in_context(span))
    try:
        yield span, headers
    except Exception as error:
        span.set_attribute("error.type", type(error).__name__)
        span.set_status(Status(StatusCode.ERROR))
        raise
    finally:
        span.end()
