"""What reads of the journal hold while they last, and the journal as a stream of server-sent events."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from flask import Response

from eventbus.core.errors import Draining, JournalError, NoAccess, TooManyStreams
from eventbus.core.tokens import Scope
from eventbus.services.bus import Bus
from eventbus.services.positions import Resumed, name_of
from eventbus.web.accept import STREAM
from eventbus.web.access import token_of
from eventbus.web.current import the_request
from eventbus.web.error_responses import count_refused
from eventbus.web.event_payload import event_json
from eventbus.web.pages import MAX_PAGE_BYTES
from eventbus.web.query import Query
from eventbus.web.replies import NO_SNIFFING, Reply
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.environment import CONNECTION

#: Events that are read at once.
MAX_PAGE_EVENTS = 1_000
#: Seconds without an event after which a stream sends a heartbeat.
HEARTBEAT_SECONDS = 15.0
#: The first line of a stream: the milliseconds before a client reconnects.
RECONNECT_LINE = b"retry: 2000\n"
#: The scopes of which a client needs one.
READERS = (Scope.SUBSCRIBE, Scope.VIEW)
#: The header of a response that could not resume after the given event: it says what the response begins with.
RESUMED = "Eventbus-Resumed"


def resumed_header(start: Resumed) -> dict[str, str]:
    """Return the header that says that the event to resume after is missing, and what is done instead."""
    return {} if start.instead is None else {RESUMED: start.instead}


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


def the_connection() -> ClientConnection | None:
    """Return the connection of this request, if there is one."""
    found: ClientConnection | None = the_request().environ.get(CONNECTION)
    return found


def hold_connection() -> None:
    """Count this request's connection as long-lived. Raises TooManyStreams if the limit is reached."""
    connection = the_connection()
    if connection is not None and not connection.acquire_long_lived():
        raise TooManyStreams("The limit of streams and long polls is reached; try again later.")


def streamed(bus: Bus, query: Query, patterns: tuple[str, ...]) -> Response | Reply:
    """Return server-sent events (WHATWG HTML, 9.2). Without a position, a stream begins now.

    Any status but 200 ends an EventSource for good. If the bus cannot answer now, tell the client to reconnect.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **NO_SNIFFING}
    try:
        if bus.draining:
            raise Draining
        hold_connection()
        epoch = bus.feed.epoch
        start = bus.positions.resume(the_request().environ.get("HTTP_LAST_EVENT_ID") or query.first("after") or "now")
    except (TooManyStreams, Draining, JournalError) as error:
        count_refused(bus, error)  # its status is 200
        return Reply(RECONNECT_LINE, content_type=STREAM, headers=headers)
    parts = _stream(bus, epoch, start.cursor, patterns, the_connection(), _reader(bus, patterns))
    return Response(parts, content_type=STREAM, headers={**headers, **resumed_header(start)})


def _reader(bus: Bus, patterns: tuple[str, ...]) -> Callable[[], bool]:
    """Return what tells whether this request's token still permits what it does: it may expire, or be removed."""
    token = token_of(the_request().environ.get("HTTP_AUTHORIZATION"))

    def permitted() -> bool:
        try:
            access = bus.tokens.access_of(token)
            access.check_read(patterns)
        except NoAccess:
            return False
        return not access.scopes.isdisjoint(READERS)

    return permitted if bus.tokens else lambda: True


def _stream(
    bus: Bus,
    epoch: int,
    cursor: int,
    patterns: tuple[str, ...],
    connection: ClientConnection | None = None,
    permitted: Callable[[], bool] = lambda: True,
) -> Iterator[bytes]:
    """Yield a stream's parts. End it if the cursor becomes invalid: the client resumes after the last event's id.

    Also end it if the token is not valid any more, and if the journal cannot be read, or the memory limit is reached;
    the latter two count as a refused request.
    """
    yield RECONNECT_LINE
    try:
        yield from _events(bus, epoch, cursor, patterns, connection, permitted)
    except (JournalError, TooManyStreams) as error:
        count_refused(bus, error)


def _events(
    bus: Bus,
    epoch: int,
    cursor: int,
    patterns: tuple[str, ...],
    connection: ClientConnection | None,
    permitted: Callable[[], bool],
) -> Iterator[bytes]:
    """Yield events as they are accepted, and heartbeats in between. Raises JournalError and TooManyStreams."""
    quiet_until = bus.clock.monotonic() + HEARTBEAT_SECONDS
    while not bus.draining:
        part = bus.feed.read(cursor, patterns, MAX_PAGE_EVENTS)
        if bus.feed.epoch != epoch or not permitted():
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
