"""``/events``: the journal as pages, as a long poll or as a stream, and one event with its deliveries."""

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from flask import Blueprint, Response, request

from eventbus.core.errors import Draining, JournalError, TooManyStreams
from eventbus.core.model import Event
from eventbus.core.tokens import Scope
from eventbus.core.topics import check_patterns
from eventbus.services.bus import Bus
from eventbus.services.positions import Resumed, name_of
from eventbus.web.accept import STREAM, wants_stream
from eventbus.web.access import needs
from eventbus.web.current import the_bus
from eventbus.web.error_responses import count_refused
from eventbus.web.event_payload import delivery_payload, event_json, event_payload
from eventbus.web.numbers import count_in
from eventbus.web.pages import MAX_PAGE_BYTES
from eventbus.web.query import Query, query_of
from eventbus.web.replies import JSON, NO_SNIFFING, Reply, as_json
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.environment import CONNECTION

#: Events on one page: at most, and by default.
MAX_PAGE_EVENTS, DEFAULT_PAGE_EVENTS = 1_000, 100
#: Seconds that a long poll may wait.
MAX_WAIT_SECONDS = 60
#: Seconds without an event after which a stream sends a heartbeat.
HEARTBEAT_SECONDS = 15.0
#: The first line of a stream: the milliseconds before a client reconnects.
RECONNECT_LINE = b"retry: 2000\n"
#: Parts of the journal that one request searches for a topic before it answers with what it has found.
MAX_PARTS = 40
#: The header of a response that could not resume after the given event: it says what the response begins with.
RESUMED = "Eventbus-Resumed"

blueprint = Blueprint("events", __name__)


@blueprint.get("/events")
@needs(Scope.SUBSCRIBE)
def list_events() -> Reply | Response:
    """Return a page of the journal, oldest first, or a stream for a client that accepts one."""
    bus = the_bus()
    query = query_of(request.environ)
    patterns = check_patterns(query.all("topic") or ())
    if wants_stream(request):
        if request.method == "HEAD":
            return Reply(b"", content_type=STREAM)
        return _streamed(bus, query, patterns)
    epoch = bus.feed.epoch
    position = query.first("after") or "earliest"
    start = bus.positions.resume(position)
    limit = count_in(query, "limit", DEFAULT_PAGE_EVENTS, 1, MAX_PAGE_EVENTS)
    wait = count_in(query, "wait", 0, 0, MAX_WAIT_SECONDS)
    if wait:
        _hold_connection()
    page = EventPage(limit, _connection())
    cursor = _collect(bus, epoch, start.cursor, patterns, page, wait)
    # "now" is another position with the next request: the events until then come after the newest one of now.
    names_position = cursor > start.cursor or position == "now"
    last = page.last or (bus.journal.find([cursor])[:1] if names_position else [])
    if bus.feed.epoch != epoch:  # sequence numbers may belong to other events now; ids do not
        last = page.last
    return Reply(page.encode(name_of(last[0]) if last else None), content_type=JSON, headers=_resumed_header(start))


@blueprint.get("/events/<path:event_id>")
@needs(Scope.SUBSCRIBE)
def one_event(event_id: str) -> Reply:
    """Return one event and its delivery for each subscriber."""
    event, deliveries = the_bus().history.of(event_id)
    return as_json({**event_payload(event), "deliveries": list(map(delivery_payload, deliveries))})


class EventPage:
    """A page of events as JSON: at most ``limit`` events and ``max_bytes`` bytes, but at least one event.

    While the page is filled, its bytes count as held by the connection.
    """

    def __init__(self, limit: int, connection: ClientConnection | None, max_bytes: int = MAX_PAGE_BYTES) -> None:
        self.left = limit
        self.size = 0  #: bytes
        self.last: list[Event] = []  #: the last event that was added, if there is one
        self.connection = connection  #: that counts them, if there is one
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []

    def add(self, event: Event, give_way: Callable[[], None] = lambda: None) -> bool:
        """Add an event; return false if it does not fit. Raises TooManyStreams.

        Call ``give_way`` between the steps that a large one takes.
        """
        part = event_json(event, give_way)
        if self._parts and self.size + len(part) > self._max_bytes:
            return False
        if self.connection is not None:
            self.connection.take(len(part))
        self.size += len(part)
        self._parts.append(part)
        self.left -= 1
        self.last = [event]
        return True

    def encode(self, following: str | None) -> bytes:
        """Return the page and the event that the next page starts after. Release the counted bytes."""
        if self.connection is not None:
            self.connection.release(self.size)
        return b'{"events":[%s],"next":%s}\n' % (b",".join(self._parts), json.dumps(following).encode())


def _resumed_header(start: Resumed) -> dict[str, str]:
    """Return the header that says that the event to resume after is missing, and what is done instead."""
    return {} if start.instead is None else {RESUMED: start.instead}


def _collect(bus: Bus, epoch: int, cursor: int, patterns: tuple[str, ...], page: EventPage, wait: float) -> int:
    """Fill a page, waiting for the first event; return the cursor behind it. Raises TooManyStreams."""
    deadline = bus.clock.monotonic() + wait
    for _ in range(MAX_PARTS):
        part = bus.feed.read(cursor, patterns, page.left)
        if bus.feed.epoch != epoch:  # the cursor is invalid now; the last event is known by its id
            return 0
        with holding(page_bytes(part.events), page.connection):
            for event in part.events:
                if not page.add(event, bus.give_way):
                    return cursor
                cursor = event.seq
                bus.give_way()
        cursor = part.cursor
        bus.give_way()
        left = deadline - bus.clock.monotonic()
        if page.left <= 0 or (cursor >= bus.feed.newest and (page.last or left <= 0 or bus.draining)):
            break
        bus.feed.wait(cursor, left)
    return cursor


@contextmanager
def holding(size: int, connection: ClientConnection | None) -> Iterator[None]:
    """Count so many bytes as held, at most MAX_PAGE_BYTES: the budget has room for that beside the largest event."""
    size = min(size, MAX_PAGE_BYTES)
    if connection is None:
        yield
        return
    connection.take(size)
    try:
        yield
    finally:
        connection.release(size)


def page_bytes(events: Sequence[Event]) -> int:
    """Return the bytes that events take while a page is made of them: the JSON of one is made in two steps."""
    sizes = [len(event.body) for event in events]
    return sum(sizes) + 2 * max(sizes, default=0)


def _connection() -> ClientConnection | None:
    """Return the connection of this request, if there is one."""
    found: ClientConnection | None = request.environ.get(CONNECTION)
    return found


def _hold_connection() -> None:
    """Count this request's connection as long-lived. Raises TooManyStreams if the limit is reached."""
    connection = _connection()
    if connection is not None and not connection.acquire_long_lived():
        raise TooManyStreams("The limit of streams and long polls is reached; try again later.")


def _streamed(bus: Bus, query: Query, patterns: tuple[str, ...]) -> Response | Reply:
    """Return server-sent events (WHATWG HTML, 9.2). Without a position, a stream begins now.

    Any status but 200 ends an EventSource for good. If the bus cannot answer now, tell the client to reconnect.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **NO_SNIFFING}
    try:
        if bus.draining:
            raise Draining
        _hold_connection()
        epoch = bus.feed.epoch
        start = bus.positions.resume(request.environ.get("HTTP_LAST_EVENT_ID") or query.first("after") or "now")
    except (TooManyStreams, Draining, JournalError) as error:
        count_refused(bus, error)  # its status is 200
        return Reply(RECONNECT_LINE, content_type=STREAM, headers=headers)
    parts = _stream(bus, epoch, start.cursor, patterns, _connection())
    return Response(parts, content_type=STREAM, headers={**headers, **_resumed_header(start)})


def _stream(
    bus: Bus, epoch: int, cursor: int, patterns: tuple[str, ...], connection: ClientConnection | None = None
) -> Iterator[bytes]:
    """Yield a stream's parts. End it if the cursor becomes invalid: the client resumes after the last event's id.

    Also end it if the journal cannot be read, or if the memory limit is reached; that counts as a refused request.
    """
    yield RECONNECT_LINE
    try:
        yield from _events(bus, epoch, cursor, patterns, connection)
    except (JournalError, TooManyStreams) as error:
        count_refused(bus, error)


def _events(
    bus: Bus, epoch: int, cursor: int, patterns: tuple[str, ...], connection: ClientConnection | None
) -> Iterator[bytes]:
    """Yield events as they are accepted, and heartbeats in between. Raises JournalError and TooManyStreams."""
    quiet_until = bus.clock.monotonic() + HEARTBEAT_SECONDS
    while not bus.draining:
        part = bus.feed.read(cursor, patterns, MAX_PAGE_EVENTS)
        if bus.feed.epoch != epoch:
            return
        cursor = part.cursor
        with holding(sum(len(event.body) for event in part.events), connection):  # until they are sent
            for event in part.events:
                bus.give_way()
                yield b"id: %s\ndata: %s\n\n" % (name_of(event).encode(), event_json(event, bus.give_way))
        left = HEARTBEAT_SECONDS if part.events else quiet_until - bus.clock.monotonic()
        if left <= 0:
            yield b":\n"  # a comment without an empty line, which some clients take for an event
            left = HEARTBEAT_SECONDS
        quiet_until = bus.clock.monotonic() + left
        if cursor >= bus.feed.newest:
            bus.feed.wait(cursor, left)
        else:
            bus.give_way()
