"""Builds requests that a subscriber's own secrets sign. Nothing of them is kept: nobody else gets the same."""

from eventbus.core.credentials import Credentials
from eventbus.core.model import Event
from eventbus.core.signing import signable, signature_lines
from eventbus.delivery.transport.base import Elements
from eventbus.delivery.transport.batch_request import headers_and_body
from eventbus.delivery.transport.request import Request, attempt_head, event_head, request_of


class OwnRequestBuilder:
    """Builds requests of one event, as RequestBuilder does."""

    __slots__ = ("_credentials",)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def build(self, head: bytes, event: Event, attempt: int, wall: float) -> Request:
        """Return a request that begins with the subscriber's ``head``; ``wall`` is now, in seconds since 1970."""
        second, secrets = int(wall), self._credentials.secrets_at(wall)
        own = event._replace(id=signable(event.id))
        signatures = signature_lines(secrets, own.id, second, event.body, event.topic, event.head)
        return request_of(b"".join((head, event_head(own), attempt_head(attempt, second, signatures))), event.body)


class OwnBatchRequestBuilder:
    """Builds requests of several events, as BatchRequestBuilder does."""

    __slots__ = ("_credentials",)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def build(self, head: bytes, batch: Elements, attempt: int, wall: float) -> Request:
        """Return a request that begins with the subscriber's ``head``; ``wall`` is now, in seconds since 1970."""
        headers, body = headers_and_body(self._credentials.secrets_at(wall), batch, attempt, int(wall))
        return request_of(head + headers, body)
