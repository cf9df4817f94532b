"""Records each attempt as an OpenTelemetry span in the publisher's trace, if EVENTBUS_TRACING asks for it.

The bus forwards the publisher's ``traceparent`` header either way.
"""

from typing import Any

from eventbus.core.addresses import Address
from eventbus.core.credentials import NO_CREDENTIALS, Credentials
from eventbus.core.errors import SettingsError
from eventbus.core.model import Event, Subscriber
from eventbus.core.override import override
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse
from eventbus.delivery.transport.base import AddressCheck, Elements, Route, Transport


def traced(transport: Transport) -> Transport:
    """Wrap a transport so that each attempt is a span. Raise SettingsError if OpenTelemetry is not installed.

    OpenTelemetry's own settings, such as OTEL_EXPORTER_OTLP_ENDPOINT, say where spans are sent.
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


class TracedTransport(Transport):
    """A transport whose routes record spans."""

    def __init__(self, inner: Transport, tracer: Any) -> None:
        self._inner = inner
        self._tracer = tracer

    @override
    def route(self, subscriber: Subscriber, credentials: Credentials = NO_CREDENTIALS) -> Route:
        return TracedRoute(self._inner.route(subscriber, credentials), subscriber, self._tracer)

    @override
    def check_address(self, address: Address) -> AddressCheck:
        return self._inner.check_address(address)

    @override
    def certificate_expiry(self) -> float | None:
        return self._inner.certificate_expiry()

    @override
    def close(self) -> None:
        self._inner.close()


def _describe(span: Any, response: DeliveryResponse) -> None:
    if response.status is not None:
        span.set_attribute("http.response.status_code", response.status)
    else:
        span.set_attribute("error.type", response.error)


class TracedRoute(Route):
    """A route that records each attempt as a span, named by OpenTelemetry's conventions for messaging and HTTP."""

    def __init__(self, inner: Route, subscriber: Subscriber, tracer: Any) -> None:
        from opentelemetry.propagate import extract  # noqa: PLC0415 - an extra
        from opentelemetry.trace import SpanKind  # noqa: PLC0415

        self._inner, self._tracer, self._extract, self._kind = inner, tracer, extract, SpanKind.CLIENT
        self._attributes = {
            "messaging.system": "eventbus",
            "messaging.operation.name": "deliver",
            "server.address": subscriber.address.host,
            "server.port": subscriber.address.port,
        }

    @override
    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        attributes = {**self._attributes, "messaging.message.id": event.id, "eventbus.attempt": attempt}
        if event.topic is not None:
            attributes["messaging.destination.name"] = event.topic
        context = self._extract(event.headers)
        with self._tracer.start_as_current_span("deliver", context, self._kind, attributes) as span:
            response = self._inner.post(event, attempt, now, wall)
            _describe(span, response)
        return response

    @override
    def post_batch(self, batch: Elements, attempt: int, now: float, wall: float) -> DeliveryResponse:
        attributes = {**self._attributes, "messaging.batch.message_count": len(batch), "eventbus.attempt": attempt}
        with self._tracer.start_as_current_span("deliver", None, self._kind, attributes) as span:
            response = self._inner.post_batch(batch, attempt, now, wall)
            _describe(span, response)
        return response

    @override
    def ask_consent(self) -> Consent:
        return self._inner.ask_consent()

    @override
    def close(self) -> None:
        self._inner.close()
