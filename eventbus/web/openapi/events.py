"""Reading the journal, and replaying a part of it."""

from eventbus.web.event_stream import MAX_PAGE_EVENTS, RESUMED
from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import (
    AN_ADDRESS,
    AN_ID,
    JSON,
    NODES_HEADER,
    Json,
    content,
    count,
    query,
    text,
)
from eventbus.web.openapi.operation import operation
from eventbus.web.openapi.schedule import CANCEL, CANCEL_BY_FORM, EVENT_ID, SCHEDULED
from eventbus.web.openapi.schemas import A_DELIVERY, AN_EVENT, TOPIC_PATTERNS
from eventbus.web.openapi.subscribers import address, group, path
from eventbus.web.routes.events import DEFAULT_PAGE_EVENTS, MAX_WAIT_SECONDS

_STREAM = text(
    "Server-sent events: each has `id`, the event's id, and `data`, the event as JSON on one line. It goes on after "
    "`Last-Event-ID`, else `after`, else begins now. Lines that begin with a colon only show that it lives. It begins "
    "with `retry`: milliseconds after which to come back once it has ended. While the bus stops, or the journal cannot "
    "be read, that is all it says."
)
_PAGE = build.shape("A page of the journal.", {
    "events": build.items(build.schema("Event")),
    "next": build.nullable(text(
        "Where to go on: the last event's id, or where none matched, that of the last one that was read. Null where "
        "there was nothing to read."
    )),
})  # fmt: skip
_RESUMED = build.response_header(
    "The event to go on after is not there. This begins by the `time` in its id, or, where the id holds none, with the "
    "`earliest` that is there.", text(enum=["time", "earliest"]), required=False,
)  # fmt: skip

LIST = operation(
    "listEvents", "Read the journal",
    "Events, the oldest first; `next` is where to go on `after`. With `Accept: text/event-stream` a stream of what "
    "comes; `limit` and `wait` say nothing there.",
    tag="Reading", scope="subscribe view", call="'/events?topic=orders.*&limit=10'",
    parameters=[
        query("after", "Begin after the event with this id, or at `earliest`, `now` or an RFC 3339 time. Without it, "
              "or empty: with the oldest.", text()),
        query("topic", "Only events whose topic matches, as in registering. May repeat.", TOPIC_PATTERNS,
              example=["orders.*"]),
        query("limit", "Events in one page, at most.",
              count(minimum=1, maximum=MAX_PAGE_EVENTS, default=DEFAULT_PAGE_EVENTS)),
        query("scheduled", "`true`: the scheduled events instead, the one that is due next first. `after` is what "
              "`next` says then; there is no `topic`, no `wait` and no stream.", text(enum=["true", "false"])),
        query("wait", "Seconds to wait where there is none yet.", count(maximum=MAX_WAIT_SECONDS, default=0)),
        build.header("Last-Event-ID", "Where a stream goes on: the id that came last.", text()),
    ],
    ok=build.answer(
        "A page, or a stream.",
        content(JSON, {"anyOf": [_PAGE, SCHEDULED]}, {"events": [AN_EVENT], "next": AN_ID})
        | content("text/event-stream", _STREAM),
        {RESUMED: _RESUMED},
    ),
    errors=("WrongLimit", "Unavailable"),
)  # fmt: skip

GET = operation(
    "getEvent", "Read one event",
    "The event, and `deliveries`: its state for each subscriber that it was accepted for. A scheduled one has "
    "`scheduled_for`, and no deliveries.",
    tag="Reading", scope="subscribe view", call=f"'/events/{AN_ID}'",
    parameters=[EVENT_ID],
    ok=build.answer(
        "The event, and its deliveries.",
        content(JSON, build.schema("EventWithDeliveries"), {**AN_EVENT, "deliveries": [A_DELIVERY]}), NODES_HEADER,
    ),
    errors=("NoEvent", "Unavailable", "DiskFull"),
)  # fmt: skip

REPLAY = operation(
    "replay", "Deliver a part of the journal again",
    "Delivers to one subscriber again what was accepted between two positions and matches its topics, at its own pace. "
    "Answers how many events that is.",
    tag="Redelivery", scope="admin", call=f"-X POST '/replay?address={AN_ADDRESS}&from=earliest'",
    parameters=[
        address(required=False),
        path(),
        group(),
        query("from", "The first: `earliest`, `now`, an event's id or an RFC 3339 time.", text(minLength=1),
              required=True, example="earliest"),
        query("to", "The last: `now`, an event's id or an RFC 3339 time.", text(default="now")),
    ],
    ok=build.answer(
        "The replay has begun.", content(JSON, build.shape("How many there are.", {"events": count()}), {"events": 17})
    ),
    errors=("WrongPosition", "TooManyReplays", "NoPosition", "NotRegistered", "NotOwner", "DiskFull"),
)  # fmt: skip

PATHS: Json = {
    "/events": {"get": LIST},
    "/events/{event_id}": {"get": GET, "delete": CANCEL},
    "/cancel": {"post": CANCEL_BY_FORM},
    "/replay": {"post": REPLAY},
}
