"""``/events``: the journal as pages, as a long poll or as a stream, and one event with what became of it."""

import json
from collections.abc import Iterator
from typing import Any

from flask import Blueprint, Response, request

from eventbus.core.clock import rfc3339
from eventbus.core.errors import Draining, JournalError, TooManyStreams
from eventbus.core.model import Event
from eventbus.core.tokens import Scope
from eventbus.core.topics import check_patterns
from eventbus.services.bus import Bus
from eventbus.services.history import Fate
from eventbus.services.positions import Resumed, name_of
from eventbus.web.accept import STREAM, wants_stream
from eventbus.web.access import needs
from eventbus.web.body_text import body_payload
from eventbus.web.current import the_bus
from eventbus.web.error_responses import count_refused
from eventbus.web.numbers import count_in
from eventbus.web.pages import MAX_PAGE_BYTES
from eventbus.web.query import Query, query_of
from eventbus.web.replies import JSON, NO_SNIFFING, Reply, as_json
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.response_writer import CONNECTION

#: Events in one page: at most, and where the client does not say.
MAX_PAGE, USUAL_PAGE = 1_000, 100
#: Seconds that a long poll may wait.
LONGEST_WAIT = 60
#: Seconds after which a stream with nothing to say shows that it lives.
HEARTBEAT = 15.0
#: What a stream begins with: when to come back once it has ended, in milliseconds.
COME_BACK = b"retry: 2000\n"
#: Parts of the journal that one request looks through for a topic before it answers with what it has.
MAX_PARTS = 40
#: Says that the event to go on after is not there: the answer begins by the ``time`` in its id, or with the oldest.
RESUMED = "Eventbus-Resumed"

blueprint = Blueprint("events", __name__)


@blueprint.get("/events")
@needs(Scope.SUBSCRIBE)
def list_events() -> Reply | Response:
    """The journal, oldest first; a stream for who accepts one."""
    bus = the_bus()
    query = query_of(request.environ)
    patterns = check_patterns(query.all("topic") or ())
    if wants_stream(request):
        if request.method == "HEAD":
            return Reply(b"", content_type=STREAM)
        return _streamed(bus, query, patterns)
    epoch = bus.feed.epoch
    start = bus.positions.resume(query.first("after") or "earliest")
    limit = count_in(query, "limit", USUAL_PAGE, 1, MAX_PAGE)
    wait = count_in(query, "wait", 0, 0, LONGEST_WAIT)
    if wait:
        _hold_connection()
    page = EventPage(limit, _connection())
    place = _collect(bus, epoch, start.cursor, patterns, page, wait)
    looked_at = page.last or (bus.journal.find([place])[:1] if place > start.cursor else [])
    if bus.feed.epoch != epoch:  # by now numbers may stand for other events; ids do not
        looked_at = page.last
    return Reply(page.written(name_of(looked_at[0]) if looked_at else None), content_type=JSON, headers=_told(start))


@blueprint.get("/events/<path:event_id>")
@needs(Scope.SUBSCRIBE)
def one_event(event_id: str) -> Reply:
    """One event, and its state for each subscriber."""
    event, deliveries = the_bus().history.of(event_id)
    return as_json({**event_payload(event), "deliveries": list(map(delivery_payload, deliveries))})


class EventPage:
    """Events as JSON: ``left`` of them may be added still, and ``max_bytes`` in all, or one event.

    While they are gathered, their bytes count for the connection.
    """

    def __init__(self, limit: int, connection: ClientConnection | None, max_bytes: int = MAX_PAGE_BYTES) -> None:
        self.left = limit
        self.size = 0  #: bytes
        self.last: list[Event] = []  #: the last event that was added, if any was
        self._connection = connection
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []

    def add(self, event: Event) -> bool:
        """Add an event; false where it does not fit any more. Raises TooManyStreams."""
        part = json.dumps(event_payload(event), separators=(",", ":")).encode()
        if self._parts and self.size + len(part) > self._max_bytes:
            return False
        if self._connection is not None:
            self._connection.take(len(part))
        self.size += len(part)
        self._parts.append(part)
        self.left -= 1
        self.last = [event]
        return True

    def written(self, following: str | None) -> bytes:
        """The page, and the event after which the next one goes on. What is not taken of it at once counts anew."""
        if self._connection is not None:
            self._connection.give_back(self.size)
        return b'{"events":[%s],"next":%s}\n' % (b",".join(self._parts), json.dumps(following).encode())


def event_payload(event: Event) -> dict[str, Any]:
    """An event as JSON."""
    return {
        "id": event.id,
        "topic": event.topic,
        "accepted_at": rfc3339(event.accepted_at),
        "headers": event.headers,
        "body": body_payload(event.body),
    }


def delivery_payload(fate: Fate) -> dict[str, Any]:
    """What became of an event for one subscriber, as JSON."""
    row = fate.deferral
    said: dict[str, Any] = {"address": fate.address, "state": fate.state}
    if row is not None:
        said |= {
            "attempts": row.attempts,
            "next_attempt_at": rfc3339(row.due_at),
            "last_status": row.status,
            "last_error": row.error or None,
        }
    return said


def _told(start: Resumed) -> dict[str, str]:
    """The header that says that the event to go on after is not there, and what was done instead."""
    return {} if start.instead is None else {RESUMED: start.instead}


def _collect(bus: Bus, epoch: int, cursor: int, patterns: tuple[str, ...], page: EventPage, wait: float) -> int:
    """Fill a page, and answer how far was looked; waits for the first event. Raises TooManyStreams."""
    deadline = bus.clock.monotonic() + wait
    for _ in range(MAX_PARTS):
        part = bus.feed.read(cursor, patterns, page.left)
        if bus.feed.epoch != epoch:  # the cursor counts no more; the last event is known by its id
            return 0
        for event in part.events:
            if not page.add(event):
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


def _connection() -> ClientConnection | None:
    """The connection of this request, which counts what is held for it."""
    found: ClientConnection | None = request.environ.get(CONNECTION)
    return found


def _hold_connection() -> None:
    """Use this request's connection for longer than others. Raises TooManyStreams where too many are used so."""
    connection = _connection()
    if connection is not None and not connection.last():
        raise TooManyStreams("There are as many streams and long polls as there may be; try again later.")


def _streamed(bus: Bus, query: Query, patterns: tuple[str, ...]) -> Response | Reply:
    """Server-sent events (WHATWG HTML, 9.2). Without a place to go on from, a stream begins now.

    Any status but 200 ends an EventSource for good. While the bus cannot answer, the reader is sent away for a moment.
    """
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", **NO_SNIFFING}
    try:
        if bus.draining:
            raise Draining
        _hold_connection()
        epoch = bus.feed.epoch
        start = bus.positions.resume(request.environ.get("HTTP_LAST_EVENT_ID") or query.first("after") or "now")
    except (TooManyStreams, Draining, JournalError) as error:
        count_refused(bus, error)  # its status does not tell
        return Reply(COME_BACK, content_type=STREAM, headers=headers)
    parts = _stream(bus, epoch, start.cursor, patterns, _connection())
    return Response(parts, content_type=STREAM, headers={**headers, **_told(start)})


def _stream(
    bus: Bus, epoch: int, cursor: int, patterns: tuple[str, ...], connection: ClientConnection | None = None
) -> Iterator[bytes]:
    """Ends where the cursor counts no more: the reader connects again, and goes on after the last event by its id.

    So does one whose journal cannot be read just now, or for which there is no memory; that counts as refused.
    """
    yield COME_BACK
    try:
        yield from _events(bus, epoch, cursor, patterns, connection)
    except (JournalError, TooManyStreams) as error:
        count_refused(bus, error)


def _events(
    bus: Bus, epoch: int, cursor: int, patterns: tuple[str, ...], connection: ClientConnection | None
) -> Iterator[bytes]:
    """Yield events as they come, and heartbeats while there are none. Raises JournalError and TooManyStreams."""
    quiet_until = bus.clock.monotonic() + HEARTBEAT
    while not bus.draining:
        part = bus.feed.read(cursor, patterns, MAX_PAGE)
        if bus.feed.epoch != epoch:
            return
        cursor = part.cursor
        size = sum(len(event.body) for event in part.events)
        if connection is not None:
            connection.take(size)  # which are held until they are sent
        for event in part.events:
            bus.give_way()
            yield f"id: {name_of(event)}\ndata: {json.dumps(event_payload(event), separators=(',', ':'))}\n\n".encode()
        if connection is not None:
            connection.give_back(size)
        left = HEARTBEAT if part.events else quiet_until - bus.clock.monotonic()
        if left <= 0:
            yield b":\n"  # a comment, and no empty line, which some readers take for an event
            left = HEARTBEAT
        quiet_until = bus.clock.monotonic() + left
        if cursor >= bus.feed.newest:
            bus.feed.wait(cursor, left)
        else:
            bus.give_way()
