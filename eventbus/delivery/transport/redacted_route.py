"""A route with credentials: what the subscriber answers is kept and displayed without them, should it repeat any."""

from dataclasses import replace

from eventbus.core.credentials import Credentials
from eventbus.core.model import Event
from eventbus.core.override import override
from eventbus.core.redaction import Redaction
from eventbus.delivery.lane.outcome import Consent, DeliveryResponse
from eventbus.delivery.transport.base import Elements, Route


class RedactedRoute(Route):
    """A route whose responses lose these credentials."""

    __slots__ = ("_inner", "_redaction")

    def __init__(self, inner: Route, credentials: Credentials) -> None:
        self._inner = inner
        self._redaction = Redaction(credentials)

    @override
    def post(self, event: Event, attempt: int, now: float, wall: float) -> DeliveryResponse:
        return self._redacted(self._inner.post(event, attempt, now, wall))

    @override
    def post_batch(self, batch: Elements, attempt: int, now: float, wall: float) -> DeliveryResponse:
        response = self._redacted(self._inner.post_batch(batch, attempt, now, wall))
        return replace(response, body=self._redaction.of_json(response.body)) if response.body else response

    def _redacted(self, response: DeliveryResponse) -> DeliveryResponse:
        if not (response.error or response.excerpt):
            return response
        error, excerpt = self._redaction.of_text(response.error), self._redaction.of(response.excerpt)
        return replace(response, error=error, excerpt=excerpt)

    @override
    def ask_consent(self) -> Consent:
        consent = self._inner.ask_consent()
        return replace(consent, error=self._redaction.of_text(consent.error))

    @override
    def close(self) -> None:
        self._inner.close()
