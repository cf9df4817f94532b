"""When the events of a publish expire: what its request asks for."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from eventbus.core.event_attributes import EXPIRY_ATTRIBUTE
from eventbus.core.event_expiry import check_expirytime, parse_expires, with_expiry
from eventbus.web.cloudevents import CloudEvent
from eventbus.web.kept_headers import attribute
from eventbus.web.query import Query


@dataclass(frozen=True, slots=True)
class PublishExpiry:
    """What a request says: ``expires`` in its query, and an expirytime in its headers. An event's own goes first.

    The seconds count from ``since``, in seconds since 1970: when its events are accepted, or due.
    """

    seconds: float | None = None
    time: str | None = None
    since: float = 0.0

    def head(self, head: bytes, own: str | None) -> bytes:
        """Return the kept headers of an event whose body says its ``own`` expirytime, or None."""
        return with_expiry(head, own or self.time, self.seconds, self.since)

    @property
    def terms(self) -> str:
        """What another publish under the same idempotency key has to ask for, too; see ``Journal.append``."""
        asked = {"expires": self.seconds, EXPIRY_ATTRIBUTE: self.time}
        return "&".join(f"{name}={value}" for name, value in asked.items() if value is not None)


_NONE = PublishExpiry()


def expiring_head(
    environ: Mapping[str, Any], query: Query, event: CloudEvent | None, head: bytes, since: float
) -> tuple[bytes, str]:
    """Return the kept headers of one event with the time at which it expires, and the terms; see ``PublishExpiry``.

    ``event`` is a structured CloudEvent. Raises BadRequest.
    """
    own, expiry = None if event is None else event.expirytime, expiry_in(environ, query, since)
    if own is None and expiry is _NONE:  # as most, and cheap
        return head, ""
    return expiry.head(head, own), expiry.terms


def expiry_in(environ: Mapping[str, Any], query: Query, since: float) -> PublishExpiry:
    """Return what a request says of when its events expire, which are accepted, or due, at ``since``.

    Raises BadRequest.
    """
    if "expires" not in query.values and "HTTP_CE_EXPIRYTIME" not in environ:
        return _NONE
    given, time = query.first("expires"), attribute(environ, EXPIRY_ATTRIBUTE)
    return PublishExpiry(
        None if given is None else parse_expires(given),
        check_expirytime(time, "The event") if time else None,
        since,
    )
