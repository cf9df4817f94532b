"""Spans for OpenTelemetry, where that is installed and asked for: one for each attempt, below the publisher's trace.

What the publisher sent as ``traceparent`` is passed through either way; without this nothing else is done.
"""

from typing import Any

from eventbus.core.addresses import Address
from eventbus.core.errors import SettingsError
from eventbus.core.model import Event, Subscriber
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse
from eventbus.delivery.transport.base import Examined, Route, Transport


def traced(transport: Transport) -> Transport:
    """The transport, with a span around each attempt. Raises SettingsError where OpenTelemetry is missing.

    Where spans go is told by OpenTelemetry's own settings, such as OTEL_EXPORTER_OTLP_ENDPOINT.
    """
    try:
        from opentelemetry import trace  # noqa: PLC0415 - an extra
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
        from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
        from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
        from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415
    except ImportError as error:
        raise SettingsError("EVENTBUS_TRACING=otel needs the extra: pip install 'eventbus[otel]'") from error
    provider = TracerProvider(resource=Resource.create({"service.name": "eventbus"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    trace.set_tracer_provider(provider)
    return TracedTransport(transport, provider.get_tracer("eventbus"))


class TracedTransport:
    """A transport whose routes make spans."""

    def __init__(self, inner: Transport, tracer: Any) -> None:
        self._inner = inner
        self._tracer = tracer

    def route(self, subscriber: Subscriber) -> Route:
        """See Transport.route."""
        return TracedRoute(self._inner.route(subscriber), subscriber, self._tracer)

    def examine(self, address: Address) -> Examined:
        """See Transport.examine."""
        return self._inner.examine(address)

    def close(self) -> None:
        """See Transport.close."""
        self._inner.close()


class TracedRoute:
    """A route whose attempts are spans, named by OpenTelemetry's conventions for messaging and HTTP."""

    def __init__(self, inner: Route, subscriber: Subscriber, tracer: Any) -> None:
        from opentelemetry.propagate import extract  # noqa: PLC0415 - an extra
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        self._inner, self._tracer, self._extract, self._kind = inner, tracer, extract, SpanKind.CLIENT
        self._about = {
            "messaging.system": "eventbus",
            "messaging.operation.name": "deliver",
            "server.address": subscriber.address.host,
            "server.port": subscriber.address.port,
        }

    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        """See Route.post."""
        about = {**self._about, "messaging.message.id": event.id, "eventbus.attempt": attempt}
        if event.topic is not None:
            about["messaging.destination.name"] = event.topic
        context = self._extract(event.headers)
        with self._tracer.start_as_current_span("deliver", context, self._kind, about) as span:
            answer = self._inner.post(event, attempt, now, wall)
            if answer.status is not None:
                span.set_attribute("http.response.status_code", answer.status)
            else:
                span.set_attribute("error.type", answer.error)
        return answer

    def ask_consent(self) -> Consent:
        """See Route.ask_consent."""
        return self._inner.ask_consent()

    def close(self) -> None:
        """See Route.close."""
        self._inner.close()
