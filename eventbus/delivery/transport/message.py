"""The bytes of a delivery: what is constant for a subscriber, for an event, and for neither."""

from eventbus import __version__
from eventbus.errors import Refused
from eventbus.model import Event, Subscriber

#: Bytes that end a header's line wherever they stand (RFC 9110, 5.5).
_FORBIDDEN = (b"\r", b"\n", b"\x00")


def subscriber_head(subscriber: Subscriber) -> bytes:
    """The request line and the headers that are the same for every event."""
    address = subscriber.address
    return (
        f"POST {address.path}/event HTTP/1.1\r\n"
        f"Host: {address.authority}\r\n"
        f"User-Agent: eventbus/{__version__}\r\n"
        "Accept-Encoding: identity\r\n"
    ).encode("ascii")


def event_head(event: Event) -> bytes:
    """The headers that are the same for every subscriber. Raises Refused for a value that could break out."""
    topic = b"" if event.topic is None else b"Eventbus-Topic: " + checked(event.topic.encode("latin-1")) + b"\r\n"
    return b"%sWebhook-Id: %s\r\n%sContent-Length: %d\r\n" % (
        event.head,
        checked(event.id.encode("latin-1")),
        topic,
        len(event.body),
    )


def attempt_head(attempt: int, wall: float) -> bytes:
    """The headers of one attempt, and the end of the head."""
    return b"Webhook-Timestamp: %d\r\nEventbus-Attempt: %d\r\n\r\n" % (wall, attempt)


def checked(value: bytes) -> bytes:
    """A header's value that stays one. Raises Refused."""
    if any(byte in value for byte in _FORBIDDEN):
        raise Refused(f"A header cannot hold {value[:40]!r}.")
    return value
