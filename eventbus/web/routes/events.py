"""``/events``: the journal as pages, as a long poll or as a stream, and one event with its deliveries."""

from flask import Blueprint, Response, request

from eventbus.core.errors import Forbidden
from eventbus.core.tokens import Scope
from eventbus.core.topics import check_patterns
from eventbus.services.bus import Bus
from eventbus.services.positions import name_of
from eventbus.web.accept import STREAM, wants_stream
from eventbus.web.access import access_of, needs
from eventbus.web.current import the_bus
from eventbus.web.event_page import EventPage, page_bytes
from eventbus.web.event_payload import delivery_payload, event_payload, scheduled_payload
from eventbus.web.event_stream import (
    MAX_PAGE_EVENTS,
    READERS,
    hold_connection,
    holding,
    resumed_header,
    streamed,
    the_connection,
)
from eventbus.web.found_event import event_or_scheduled
from eventbus.web.numbers import count_in
from eventbus.web.query import query_of
from eventbus.web.replies import JSON, Reply, as_json
from eventbus.web.routes.schedule import asks_for_schedule, schedule_page

#: Events on one page, by default.
DEFAULT_PAGE_EVENTS = 100
#: Seconds that a long poll may wait.
MAX_WAIT_SECONDS = 60
#: Parts of the journal that one request searches for a topic before it answers with what it has found.
MAX_PARTS = 40

blueprint = Blueprint("events", __name__)


@blueprint.get("/events")
@needs(*READERS)
def list_events() -> Reply | Response:
    """Return a page of the journal, oldest first, or a stream for a client that accepts one."""
    bus = the_bus()
    query = query_of(request.environ)
    if asks_for_schedule(query):
        return schedule_page(bus, query, count_in(query, "limit", DEFAULT_PAGE_EVENTS, 1, MAX_PAGE_EVENTS))
    patterns = check_patterns(query.all("topic") or ())
    access_of(request.environ, bus.tokens).check_read(patterns)
    if wants_stream(request):
        if request.method == "HEAD":
            return Reply(b"", content_type=STREAM)
        return streamed(bus, query, patterns)
    epoch = bus.feed.epoch
    position = query.first("after") or "earliest"
    start = bus.positions.resume(position)
    limit = count_in(query, "limit", DEFAULT_PAGE_EVENTS, 1, MAX_PAGE_EVENTS)
    wait = count_in(query, "wait", 0, 0, MAX_WAIT_SECONDS)
    if wait:
        hold_connection()
    page = EventPage(limit, the_connection())
    cursor = _collect(bus, epoch, start.cursor, patterns, page, wait)
    # "now" is another position with the next request: the events until then come after the newest one of now.
    names_position = cursor > start.cursor or position == "now"
    last = page.last or (bus.journal.find([cursor])[:1] if names_position else [])
    if bus.feed.epoch != epoch:  # sequence numbers may belong to other events now; ids do not
        last = page.last
    return Reply(page.encode(name_of(last[0]) if last else None), content_type=JSON, headers=resumed_header(start))


@blueprint.get("/events/<path:event_id>")
@needs(*READERS)
def one_event(event_id: str) -> Reply:
    """Return one event and its delivery for each subscriber, or a scheduled one."""
    bus = the_bus()
    event, deliveries, waiting = event_or_scheduled(bus, event_id)
    _check_topic(bus, event.topic)
    payload = event_payload(event) if waiting is None else scheduled_payload(waiting)
    return as_json({**payload, "deliveries": list(map(delivery_payload, deliveries))})


def _check_topic(bus: Bus, topic: str | None) -> None:
    """Return if the client may read events of a topic. Raises Forbidden."""
    if not access_of(request.environ, bus.tokens).may_read(topic):
        raise Forbidden("This token may not read events of this topic.", scope=Scope.VIEW)


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
