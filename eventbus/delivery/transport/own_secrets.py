"""Builds requests that a subscriber's own secrets sign. Nothing of them is kept: nobody else gets the same."""

from eventbus.core.credentials import Credentials
from eventbus.core.model import Event
from eventbus.core.signing import signable, signature_lines
from eventbus.delivery.transport.base import Elements
from eventbus.delivery.transport.batch_request import batch_end
from eventbus.delivery.transport.request import (
    MAX_CACHED_BODY_BYTES,
    LargeRequest,
    Request,
    attempt_head,
    event_head,
)


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
        return _joined(b"".join((head, event_head(own), attempt_head(attempt, second, signatures))), event.body)


class OwnBatchRequestBuilder:
    """Builds requests of several events, as BatchRequestBuilder does."""

    __slots__ = ("_credentials",)

    def __init__(self, credentials: Credentials) -> None:
        self._credentials = credentials

    def build(self, head: bytes, batch: Elements, attempt: int, wall: float) -> Request:
        """Return a request that begins with the subscriber's ``head``; ``wall`` is now, in seconds since 1970."""
        return _joined(head, batch_end(self._credentials.secrets_at(wall), batch, attempt, int(wall)))


def _joined(head: bytes, rest: bytes) -> Request:
    return head + rest if len(rest) <= MAX_CACHED_BODY_BYTES else LargeRequest(head, rest)
