"""The bytes of a delivery: what is constant for a subscriber, for an event, and for neither."""

from collections.abc import Sequence

from eventbus import __version__
from eventbus.core.errors import BadRequest
from eventbus.core.headers import is_head
from eventbus.core.model import Event, Subscriber
from eventbus.core.signing import signable, signature_lines

#: Messages whose ends are remembered, and their bytes: one event goes to many subscribers, at about the same time.
REMEMBERED, ENDS_BYTES = 1_024, 4 * 1_024 * 1_024
#: Bytes of a body that is remembered with its message's end, at most.
LONGEST = ENDS_BYTES // 64


def subscriber_head(subscriber: Subscriber, origin: str | None = None) -> bytes:
    """The request line and the headers that are the same for every event; ``origin`` is told where it was asked for."""
    address = subscriber.address
    told = "" if origin is None else f"WebHook-Request-Origin: {origin}\r\n"
    return (
        f"POST {address.path}/event HTTP/1.1\r\n"
        f"Host: {address.authority}\r\n"
        f"User-Agent: eventbus/{__version__}\r\n"
        "Accept-Encoding: identity\r\n"
        f"{told}"
    ).encode("ascii")


def event_head(event: Event) -> bytes:
    """The headers that are the same for every subscriber. Raises BadRequest for a value that could break out."""
    _, event_id, topic, head, body, _ = event  # cheaper than five looks by name
    if not is_head(head):
        raise BadRequest(f"Its headers in the journal may not be sent: {head[:80]!r}.")
    line = b"" if topic is None else b"Eventbus-Topic: %s\r\n" % checked(topic)
    return b"%sWebhook-Id: %s\r\n%sContent-Length: %d\r\n" % (head, checked(event_id), line, len(body))


def attempt_head(attempt: int, wall: float, signatures: bytes = b"") -> bytes:
    """The headers of one attempt, ``signatures`` among them as lines, and the end of the head."""
    return b"Webhook-Timestamp: %d\r\n%sEventbus-Attempt: %d\r\n\r\n" % (wall, signatures, attempt)


def checked(value: str) -> bytes:
    """A header's value that stays one: no CR, LF or NUL (RFC 9110, 5.5), and Latin-1. Raises BadRequest."""
    if "\r" in value or "\n" in value or "\0" in value:
        raise BadRequest(f"A header cannot hold {value[:40]!r}.")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise BadRequest(f"A header cannot hold {value[:40]!r}.") from None


class Heads:
    """Makes messages, and remembers the ends of those that many subscribers get in the same second.

    An end is all that follows what is the subscriber's own: the event's headers, a first attempt's, and the body. It
    is remembered by the event itself and not by its number or its id: a journal that has lost its end gives the same
    number to another event, and a publisher may give the same id to two. Signs where there are ``secrets``.
    """

    __slots__ = ("_ends", "_first", "_room", "_second", "_secrets", "_signatures")

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        self._secrets = secrets
        self._turn_to(-1.0)

    def message(self, head: bytes, event: Event, attempt: int, wall: float) -> bytes:
        """A whole message that begins with a subscriber's ``head``; ``wall`` is now."""
        if not self._second <= wall < self._second + 1.0:
            self._turn_to(wall)
        if attempt == 1:
            known = self._ends.get(id(event))
            if known is not None:
                return head + known[1]
        body = event.body
        if attempt == 1 and len(body) <= LONGEST:
            return head + self._end(event, body)
        return b"".join((head, self._middle(event, attempt), body))

    def of_event(self, event: Event, attempt: int, wall: float) -> bytes:
        """The headers that are no subscriber's own, and the end of the head. Raises BadRequest."""
        if not self._second <= wall < self._second + 1.0:
            self._turn_to(wall)
        return self._middle(event, attempt)

    @property
    def remembered(self) -> int:
        """How many ends are remembered."""
        return len(self._ends)

    @property
    def remembered_bytes(self) -> int:
        """Bytes of those ends, and of the bodies that they are made of."""
        return ENDS_BYTES - self._room

    def _middle(self, event: Event, attempt: int) -> bytes:
        """See of_event; in this second."""
        if self._secrets:
            if "." in event.id:
                event = event._replace(id=signable(event.id))
            return event_head(event) + attempt_head(attempt, self._second, self._signed(event))
        return event_head(event) + (self._first if attempt == 1 else attempt_head(attempt, self._second))

    def _end(self, event: Event, body: bytes) -> bytes:
        """Make the end of a first attempt's message, and remember it."""
        end = self._middle(event, 1) + body
        size = len(end) + len(body)
        if self._room < size or len(self._ends) >= REMEMBERED:
            self._forget_ends()
        self._room -= size
        self._ends[id(event)] = event, end  # nothing else has this id while the event is here
        return end

    def _signed(self, event: Event) -> bytes:
        """The signatures, made once for all subscribers that get the event in this second, whichever attempt it is."""
        made_of = event.id, hash(event.body), hash((event.topic, event.head))
        made = self._signatures.get(made_of)
        if made is None:
            if len(self._signatures) >= REMEMBERED:
                self._signatures.clear()
            seconds = int(self._second)
            made = self._signatures[made_of] = signature_lines(
                self._secrets, event.id, seconds, event.body, event.topic, event.head
            )
        return made

    def _turn_to(self, wall: float) -> None:
        """What was made for another second is of no use."""
        self._second = wall // 1
        self._first = attempt_head(1, self._second)  # of a first attempt, but for signatures
        self._signatures: dict[tuple[str, int, int], bytes] = {}  # by id and the hashes of what else is signed
        self._forget_ends()

    def _forget_ends(self) -> None:
        self._ends: dict[int, tuple[Event, bytes]] = {}
        self._room = ENDS_BYTES
