"""The bytes of a delivery: what is constant for a subscriber, for an event, and for neither."""

from collections.abc import Sequence

from eventbus import __version__
from eventbus.errors import Refused
from eventbus.model import Event, Subscriber
from eventbus.signing import signature

#: Events whose headers are remembered: one event goes to many subscribers, at about the same time.
REMEMBERED = 1_024


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
    topic = b"" if event.topic is None else b"Eventbus-Topic: %s\r\n" % checked(event.topic)
    return b"%sWebhook-Id: %s\r\n%sContent-Length: %d\r\n" % (event.head, checked(event.id), topic, len(event.body))


def attempt_head(attempt: int, wall: float, signature: bytes = b"") -> bytes:
    """The headers of one attempt, and the end of the head."""
    signed = b"Webhook-Signature: %s\r\n" % signature if signature else b""
    return b"Webhook-Timestamp: %d\r\n%sEventbus-Attempt: %d\r\n\r\n" % (wall, signed, attempt)


def checked(value: str) -> bytes:
    """A header's value that stays one: no CR, LF or NUL (RFC 9110, 5.5). Raises Refused."""
    if "\r" in value or "\n" in value or "\0" in value:
        raise Refused(f"A header cannot hold {value[:40]!r}.")
    return value.encode("latin-1")


class Heads:
    """Remembers heads: of the newest events, and of a first attempt in this second. Signs where there are secrets.

    By all that they are made of: a journal that has lost its end gives the same number to another event, and a
    publisher may give the same id to two.
    """

    __slots__ = ("_events", "_first", "_second", "_secrets", "_signatures")

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        self._events: dict[tuple[str, str | None, bytes, int], bytes] = {}
        self._secrets = secrets
        self._signatures: dict[tuple[str, int], bytes] = {}  # of this second, by id and the body's hash
        self._first = b""
        self._second = -1

    def of_event(self, event: Event) -> bytes:
        """See event_head."""
        made_of = event.id, event.topic, event.head, len(event.body)
        head = self._events.get(made_of)
        if head is None:
            if len(self._events) >= REMEMBERED:
                self._events.clear()
            head = self._events[made_of] = event_head(event)
        return head

    def of_attempt(self, event: Event, attempt: int, wall: float) -> bytes:
        """See attempt_head."""
        second = int(wall)
        if second != self._second:
            self._second, self._first = second, attempt_head(1, wall)
            self._signatures.clear()
        if self._secrets:
            return attempt_head(attempt, wall, self._signature(event))
        return self._first if attempt == 1 else attempt_head(attempt, wall)

    def _signature(self, event: Event) -> bytes:
        """One for all subscribers that get the event in this second."""
        made_of = event.id, hash(event.body)
        made = self._signatures.get(made_of)
        if made is None:
            if len(self._signatures) >= REMEMBERED:
                self._signatures.clear()
            made = self._signatures[made_of] = signature(self._secrets, event.id, self._second, event.body)
        return made
