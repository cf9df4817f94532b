"""Builds the bytes of a request from the headers of the subscriber, the event and the attempt."""

from collections.abc import Sequence

from eventbus import __version__
from eventbus.core.errors import BadRequest
from eventbus.core.headers import is_valid_head
from eventbus.core.model import Event, Subscriber
from eventbus.core.order_key import ORDER_KEY_HEADER, encode_key
from eventbus.core.signing import signable, signature_lines

#: Cached ends of requests, and their bytes: one event goes to many subscribers at about the same time.
MAX_CACHED_ENDS, MAX_CACHED_BYTES = 1_024, 4 * 1_024 * 1_024
#: Bytes of the longest body that is cached, and copied into requests.
MAX_CACHED_BODY_BYTES = MAX_CACHED_BYTES // 128


def subscriber_head(subscriber: Subscriber, origin: str | None = None, authorization: str = "") -> bytes:
    """Return the request line and the headers that are the same for all events; ``origin`` only if consent is asked."""
    address = subscriber.address
    origin_header = "" if origin is None else f"WebHook-Request-Origin: {origin}\r\n"
    authorization_header = f"Authorization: {authorization}\r\n" if authorization else ""
    return (
        f"POST {address.request_target} HTTP/1.1\r\n"
        f"Host: {address.authority}\r\n"
        f"User-Agent: eventbus/{__version__}\r\n"
        "Accept-Encoding: identity\r\n"
        f"{origin_header}{authorization_header}"
    ).encode("ascii")


def event_head(event: Event) -> bytes:
    """Return the headers that are the same for all subscribers. Raise BadRequest for one that could end the line."""
    _, event_id, topic, head, body, _, key = event  # cheaper than six attribute accesses
    if not is_valid_head(head):
        raise BadRequest(f"Its headers in the journal may not be sent: {head[:80]!r}.")
    line = b"" if topic is None else b"Eventbus-Topic: %s\r\n" % encode_value(topic)
    if key:
        line += b"%s: %s\r\n" % (ORDER_KEY_HEADER.encode(), encode_key(key).encode())
    return b"%sWebhook-Id: %s\r\n%sContent-Length: %d\r\n" % (head, encode_value(event_id), line, len(body))


def attempt_head(attempt: int, wall: float, signatures: bytes = b"") -> bytes:
    """Return the headers of one attempt, with ``signatures`` as header lines, and the blank line after them."""
    return b"Webhook-Timestamp: %d\r\n%sEventbus-Attempt: %d\r\n\r\n" % (wall, signatures, attempt)


def encode_value(value: str) -> bytes:
    """Encode a header value as Latin-1. Raise BadRequest for other characters, CR, LF and NUL (RFC 9110, 5.5)."""
    if "\r" in value or "\n" in value or "\0" in value:
        raise BadRequest(f"A header cannot hold {value[:40]!r}.")
    try:
        return value.encode("latin-1")
    except UnicodeEncodeError:
        raise BadRequest(f"A header cannot hold {value[:40]!r}.") from None


class LargeRequest:
    """A request with a large body, which is not copied: deliveries in flight share the event's own."""

    __slots__ = ("parts",)

    def __init__(self, head: bytes, body: bytes) -> None:
        self.parts = (head, body)

    def __len__(self) -> int:
        return sum(map(len, self.parts))


#: A request to send. Small ones are one piece: that is the fastest to send.
Request = bytes | LargeRequest


def request_of(head: bytes, body: bytes) -> Request:
    """Return a request, in one piece if its body is small."""
    return head + body if len(body) <= MAX_CACHED_BODY_BYTES else LargeRequest(head, body)


def unsent(request: Request, sent: int) -> list[memoryview]:
    """Return what is left of a request after the first ``sent`` bytes, without a copy; nothing of it is empty."""
    left = [memoryview(part) for part in ((request,) if isinstance(request, bytes) else request.parts)]
    drop_sent(left, sent)
    return left


def drop_sent(parts: list[memoryview], sent: int) -> None:
    """Remove the first ``sent`` bytes from these parts: of several, if TLS has encrypted several together."""
    while parts and sent >= len(parts[0]):
        sent -= len(parts.pop(0))
    if sent:
        parts[0] = parts[0][sent:]


class RequestBuilder:
    """Builds requests, signed if there are ``secrets``, and caches what they have in common in the same second.

    The cached end of a request is all that follows the subscriber's headers: those of the event and of a first attempt,
    and the body. The cache's key is the event object, not its sequence number or id: a journal that has lost its last
    events reuses their numbers, and a publisher may use an id twice.
    """

    __slots__ = ("_cached", "_first_attempt_head", "_free_bytes", "_second", "_secrets", "_signatures")

    def __init__(self, secrets: Sequence[bytes] = ()) -> None:
        self._secrets = secrets
        self._start_second(-1.0)

    def build(self, head: bytes, event: Event, attempt: int, wall: float) -> Request:
        """Return a request that begins with a subscriber's ``head``; ``wall`` is now, in seconds since 1970."""
        if not self._second <= wall < self._second + 1.0:
            self._start_second(wall)
        if attempt == 1:
            cached = self._cached.get(id(event))
            if cached is not None:
                return head + cached[1]
        body = event.body
        if len(body) > MAX_CACHED_BODY_BYTES:
            return LargeRequest(head + self._headers(event, attempt), body)
        if attempt == 1:
            return head + self._cache_end(event, body)
        return b"".join((head, self._headers(event, attempt), body))

    @property
    def cached_count(self) -> int:
        """The number of cached ends."""
        return len(self._cached)

    @property
    def cached_bytes(self) -> int:
        """Bytes of the cached ends and of their events' bodies."""
        return MAX_CACHED_BYTES - self._free_bytes

    def _headers(self, event: Event, attempt: int) -> bytes:
        """Return all headers after those of the subscriber, and the blank line. Raise BadRequest."""
        if self._secrets:
            if "." in event.id:
                event = event._replace(id=signable(event.id))
            return event_head(event) + attempt_head(attempt, self._second, self._signed(event))
        return event_head(event) + (self._first_attempt_head if attempt == 1 else attempt_head(attempt, self._second))

    def _cache_end(self, event: Event, body: bytes) -> bytes:
        """Build and cache the end of a first attempt's request."""
        end = self._headers(event, 1) + body
        size = len(end) + len(body)
        if self._free_bytes < size or len(self._cached) >= MAX_CACHED_ENDS:
            self._clear_ends()
        self._free_bytes -= size
        self._cached[id(event)] = event, end  # id() stays unique while the cache holds the event
        return end

    def _signed(self, event: Event) -> bytes:
        """Return the signature lines, made once a second for all subscribers and attempts."""
        cache_key = event.id, hash(event.body), hash((event.topic, event.head))
        signatures = self._signatures.get(cache_key)
        if signatures is None:
            if len(self._signatures) >= MAX_CACHED_ENDS:
                self._signatures.clear()
            seconds = int(self._second)
            signatures = self._signatures[cache_key] = signature_lines(
                self._secrets, event.id, seconds, event.body, event.topic, event.head
            )
        return signatures

    def _start_second(self, wall: float) -> None:
        """Begin another second, and drop what was cached for the previous one."""
        self._second = wall // 1
        self._first_attempt_head = attempt_head(1, self._second)  # of a first attempt, without signatures
        self._signatures: dict[tuple[str, int, int], bytes] = {}  # by id and hashes of the rest
        self._clear_ends()

    def _clear_ends(self) -> None:
        self._cached: dict[int, tuple[Event, bytes]] = {}
        self._free_bytes = MAX_CACHED_BYTES
