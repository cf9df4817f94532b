"""Looking at the journal, and going through it again."""

from eventbus.delivery.lane.interests import MAX_SPANS
from eventbus.web.openapi.components import (
    AN_ADDRESS,
    AN_ID,
    BUS,
    JSON,
    Json,
    answers,
    bad_request,
    content,
    error,
    gathered,
    header,
    needs,
    problem,
    query,
    said,
    sample,
    schema,
)
from eventbus.web.openapi.paths_subscribers import address
from eventbus.web.openapi.responses import WAIT
from eventbus.web.openapi.schemas import A_DELIVERY, AN_EVENT, ID, TOPIC_PATTERNS, shape
from eventbus.web.routes.events import LONGEST_WAIT, MAX_PAGE, RESUMED, USUAL_PAGE

_ACCESS = ("Unauthorized", "Forbidden")
_PLACE = "`earliest`, `now`, an event's id or an RFC 3339 time"
_STREAM = (
    "Server-sent events: each has `id`, the event's id, and `data`, the event as JSON on one line. It goes on after "
    "`Last-Event-ID`, else `after`, else begins now. Lines that begin with a colon only show that it lives. It begins "
    "with `retry`: milliseconds after which to come back once it has ended. While the bus stops, or the journal cannot "
    "be read, that is all it says."
)
_PAGE = shape(
    "A page of the journal.",
    {
        "events": {"type": "array", "items": schema("Event")},
        "next": {
            "type": ["string", "null"],
            "description": "Where to go on: the last one's id, or where none matched, that of the last that was looked "
            "at. Null where there was nothing to look at.",
        },
    },
)

LIST: Json = {
    "tags": ["Looking"],
    "operationId": "listEvents",
    "summary": "Read the journal",
    "description": "Events, the oldest first; `next` is where to go on `after`. With `Accept: text/event-stream` a "
    "stream that tells what comes; `limit` and `wait` say nothing there.",
    "security": needs("subscribe"),
    "parameters": [
        query(
            "after",
            "Begin after the event with this id, or at `earliest`, `now` or an RFC 3339 time. Without it, or empty: "
            "with the oldest.",
            {"type": "string"},
        ),
        query(
            "topic",
            "Only events whose topic matches, as in registering. May repeat.",
            TOPIC_PATTERNS,
            example=["orders.*"],
        ),
        query(
            "limit",
            "Events in one page, at most.",
            {"type": "integer", "minimum": 1, "maximum": MAX_PAGE, "default": USUAL_PAGE},
        ),
        query(
            "wait",
            "Seconds to wait where there is none yet.",
            {"type": "integer", "minimum": 0, "maximum": LONGEST_WAIT, "default": 0},
        ),
        header("Last-Event-ID", "Where a stream goes on: the id that came last.", {"type": "string"}),
    ],
    "responses": answers(
        {
            "200": {
                "description": "A page, or a stream.",
                "headers": {
                    RESUMED: {
                        **said(
                            "The event to go on after is not there. This begins by the `time` in its id, or, where the "
                            "id holds none, with the `earliest` that is there.",
                            {"type": "string", "enum": ["time", "earliest"]},
                        ),
                        "required": False,
                    }
                },
                "content": content(
                    JSON,
                    _PAGE,
                    {"events": [AN_EVENT], "next": AN_ID},
                )
                | content("text/event-stream", {"type": "string", "description": _STREAM}),
            },
            "400": bad_request("A malformed parameter.", "limit is a whole number from 1 to 1000, not '0'."),
        },
        *_ACCESS,
        "Unavailable",
    ),
    "x-codeSamples": sample(f"curl '{BUS}/events?topic=orders.*&limit=10'"),
}

GET: Json = {
    "tags": ["Looking"],
    "operationId": "getEvent",
    "summary": "Look one event up",
    "description": "The event, and `deliveries`: its state for each subscriber that it was accepted for.",
    "security": needs("subscribe"),
    "parameters": [
        {
            "name": "event_id",
            "in": "path",
            "required": True,
            "description": "The event's id, as `Webhook-Id` says it.",
            "schema": ID,
            "example": AN_ID,
        }
    ],
    "responses": answers(
        {
            "200": {
                "description": "The event, and what became of it.",
                "headers": gathered(),
                "content": content(JSON, schema("EventWithDeliveries"), {**AN_EVENT, "deliveries": [A_DELIVERY]}),
            },
            "404": error("There is no event with this id.", problem(404, "Event 'order-42' is not in the journal.")),
        },
        *_ACCESS,
        *("Unavailable", "DiskFull"),
    ),
    "x-codeSamples": sample(f"curl '{BUS}/events/{AN_ID}'"),
}

REPLAY: Json = {
    "tags": ["Mending"],
    "operationId": "replay",
    "summary": "Deliver a part of the journal again",
    "description": "Delivers to one subscriber again what was accepted between two places and matches its topics, at "
    "its own pace. Answers how many events that is.",
    "security": needs("admin"),
    "parameters": [
        address(),
        query("from", f"The first: {_PLACE}.", {"type": "string", "minLength": 1}, required=True, example="earliest"),
        query("to", "The last: `now`, an event's id or an RFC 3339 time.", {"type": "string", "default": "now"}),
    ],
    "responses": answers(
        {
            "200": {
                "description": "The replay has begun.",
                "content": content(
                    JSON, shape("How many there are.", {"events": {"type": "integer", "minimum": 0}}), {"events": 17}
                ),
            },
            "400": bad_request(
                "A malformed address, place or query.",
                "Say from where: from=earliest, an event's id, or a time such as 2026-11-24T06:03:29Z.",
            ),
            "429": error(
                "As many replays as may be are under way for this subscriber.",
                problem(429, f"This subscriber has {MAX_SPANS} replays under way; wait until one has ended."),
                {"Retry-After": WAIT},
            ),
        },
        *_ACCESS,
        *("NoPlace", "NotRegistered", "NotOwner", "DiskFull"),
    ),
    "x-codeSamples": sample(f"curl -X POST '{BUS}/replay?address={AN_ADDRESS}&from=earliest'"),
}

PATHS: Json = {"/events": {"get": LIST}, "/events/{event_id}": {"get": GET}, "/replay": {"post": REPLAY}}
