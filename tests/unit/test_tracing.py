from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.tracing import TracedTransport
from tests.support.events import event
from tests.support.lanes import subscriber_with
from tests.support.scripted import ScriptedTransport

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def test_an_attempt_is_a_span_below_the_publishers() -> None:
    """Each attempt is a span in the trace that the publisher named, with its event, its topic and its outcome."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    route = TracedTransport(ScriptedTransport(DeliveryResponse(200)), provider.get_tracer("test")).route(
        subscriber_with()
    )
    head = f"traceparent: 00-{TRACE}-{PARENT}-01\r\n".encode()
    assert route.post(event(7, topic="orders", head=head), 2, 0.0, 0.0) == DeliveryResponse(200)
    (span,) = spans.get_finished_spans()
    assert span.parent is not None
    assert (f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, PARENT)
    assert span.attributes is not None
    assert span.attributes["messaging.destination.name"] == "orders"
    assert (span.attributes["eventbus.attempt"], span.attributes["http.response.status_code"]) == (2, 200)


def test_an_attempt_without_an_answer_says_why() -> None:
    """A span of an attempt that failed carries the error, and no status."""
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    transport = TracedTransport(
        ScriptedTransport(DeliveryResponse(None, error="timed out")), provider.get_tracer("test")
    )
    transport.route(subscriber_with()).post(event(1), 1, 0.0, 0.0)
    (span,) = spans.get_finished_spans()
    assert span.attributes is not None
    assert span.attributes["error.type"] == "timed out"
    assert "http.response.status_code" not in span.attributes
