"""The bytes of a delivery: what is constant for a subscriber, for an event, and for neither."""

from collections.abc import Sequence

from eventbus import __version__
from eventbus.errors import Refused
from eventbus.model import Event, Subscriber
from eventbus.signing import signature

#: Messages whose ends are remembered, and their bytes: one event goes to many subscribers, at about the same time.
REMEMBERED, ENDS_BYTES = 1_024, 4 * 1_024 * 1_024
#: Bytes of a message's end that is remembered, at most.
LONGEST_END = ENDS_BYTES // 16


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
    """Makes the heads of messages, and remembers the ends of those that many subscribers get in the same second.

    An end is all that follows what is the subscriber's own: the event's headers, a first attempt's, and the body. It
    is remembered by the event itself and not by its number or its id: a journal that has lost its end gives the same
    number to another event, and a publisher may give the same id to two. Signs where there are ``secrets``.
    """

    __slots__ = ("_ends", "_first", "_room", "_second", "_secrets")

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        self._secrets = secrets
        self._forget(-1.0)

    def message(self, head: bytes, event: Event, attempt: int, wall: float) -> bytes:
        """A whole message that begins with a subscriber's ``head``; ``wall`` is now."""
        second = self._second
        if not second <= wall < second + 1.0:
            self._forget(wall // 1)
        if attempt > 1:
            return b"".join((head, self.of_event(event, attempt, wall), event.body))
        known = self._ends.get(id(event))
        return head + (known[1] if known is not None else self._end(event, wall))

    def of_event(self, event: Event, attempt: int, wall: float) -> bytes:
        """The headers that are no subscriber's own, and the end of the head. Raises Refused."""
        if self._secrets:
            signed = signature(self._secrets, event.id, int(wall), event.body)
            return event_head(event) + attempt_head(attempt, wall, signed)
        return event_head(event) + attempt_head(attempt, wall)

    @property
    def remembered(self) -> int:
        """How many ends are remembered."""
        return len(self._ends)

    @property
    def remembered_bytes(self) -> int:
        """Bytes of those ends."""
        return ENDS_BYTES - self._room

    def _end(self, event: Event, wall: float) -> bytes:
        """Make the end of a first attempt's message, and remember it where there is room."""
        if self._secrets:
            end = self.of_event(event, 1, wall) + event.body
        else:
            end = b"%s%s%s" % (event_head(event), self._first, event.body)
        if len(end) <= LONGEST_END:
            if self._room < len(end) or len(self._ends) >= REMEMBERED:
                self._forget(self._second)
            self._room -= len(end)
            self._ends[id(event)] = event, end  # nothing else has this id while the event is here
        return end

    def _forget(self, second: float) -> None:
        self._second = second
        self._first = attempt_head(1, second)  # of a first attempt, but for a signature
        self._ends: dict[int, tuple[Event, bytes]] = {}
        self._room = ENDS_BYTES
