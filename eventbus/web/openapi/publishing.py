"""Publishing: one event, or a batch."""

from eventbus.core.event_expiry import SECONDS_SCHEMA
from eventbus.core.schedule import MAX_DELAY_SECONDS
from eventbus.core.topics import MAX_WORDS
from eventbus.web.cloudevents import BATCH, STRUCTURED
from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import AN_ID, JSON, SUCCESS, TEXT, Json, answer, content, header, query, schema, text
from eventbus.web.openapi.builder import response_header as sent
from eventbus.web.openapi.cloud_event import A_CLOUD_EVENT
from eventbus.web.openapi.operation import operation
from eventbus.web.openapi.schemas import ORDER_KEY, TOPIC_OR_NONE, VISIBLE_ASCII
from eventbus.web.routes.messages import MAX_BATCH_EVENTS, MAX_BATCH_TOPICS
from eventbus.web.server.byte_budget import MAX_BATCH_BYTES
from eventbus.web.settle import SETTLE_SECONDS

_KEPT = "Sent on unchanged."
_PARAMETERS = [
    query("topic", f"The event's topic: up to {MAX_WORDS} words between dots, no wildcards. Where it is missing or "
          "empty: the `ce-type` header or a CloudEvent's `type`, if that can be a topic; else none, which only "
          "subscribers to everything match.", TOPIC_OR_NONE, example="orders.created"),
    query("key", "The event's order key: 1 to 256 bytes. Subscribers with `ordered=key` get events with the same key "
          "one after another. Where it is missing: the `ce-partitionkey` header or a CloudEvent's `partitionkey`. A "
          "batch takes none: there each CloudEvent has its own.", ORDER_KEY, example="customer-7"),
    query("expires", "Seconds after which no delivery of the event is attempted any more: what is left is a dead "
          "letter with the reason `expired`. In a batch it holds for each event. An event with a CloudEvents "
          "`expirytime` of its own keeps that.", SECONDS_SCHEMA, example=30),
    query("batch", "`lines`: the body is an event on each line, all accepted or none; each line that is not blank is "
          "delivered as `application/json`.", text(enum=["lines"])),
    query("delay", "The event waits so many seconds, up to 366 days, before it enters the journal. Each one of a batch "
          "does.", build.typed("number", minimum=0, maximum=MAX_DELAY_SECONDS)),
    query("deliver_at", "It waits until this time (RFC 3339), at most 366 days ahead; a past one is now. Not together "
          "with `delay`.", text()),
    query("once", "`ce`: the key of `Idempotency-Key` is derived from the CloudEvent's source and id.",
          text(enum=["ce"])),
    query("settle", "Seconds to wait until every subscription has settled the event: delivered, filtered, dead or "
          "discarded. The answer is JSON, whatever `Accept` says, and has what became of it by then. For a single "
          "event, which is not delayed.", SETTLE_SECONDS.query_schema, example=5),
    header("Idempotency-Key", "The same key within 24 hours is answered with the first publish's ids and `duplicate: "
           "true`, and nothing is kept; with another topic, order key, expiry or body it is refused.", VISIBLE_ASCII,
           example="order-42-created"),
    header("ce-type", "The topic, where the query gives none and it can be one. This and any other `ce-*` header of a "
           "CloudEvent is sent on unchanged.", text(), example="orders.created"),
    header("ce-partitionkey", "The order key, where the query gives none: 1 to 256 bytes, escaped as CloudEvents "
           "attributes are. Sent on unchanged.", text(minLength=1, pattern="^[!-~]+$"), example="customer-7"),
    header("ce-expirytime", "When the event expires (RFC 3339), in place of `expires`. A past time is accepted: "
           "nothing is attempted then.", text(format="date-time"), example="2027-01-31T12:00:00Z"),
    header("ce-id", "Sent on unchanged; it is not the event's id.", text(), example="order-42"),
    header("ce-source", _KEPT, text(), example="/shop"),
    header("ce-specversion", _KEPT, text(), example="1.0"),
    header("Content-Encoding", _KEPT, text(), example="gzip"),
    header("traceparent", _KEPT, text(), example="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    header("tracestate", _KEPT, text(), example="vendor=value"),
]  # fmt: skip
_BODY: Json = {
    "description": "Any bytes, at most `EVENTBUS_MAX_BODY_BYTES` of them (1 MiB). `Content-Type` is sent on unchanged. "
    f"`{BATCH}` is a JSON array of CloudEvents, and with `batch=lines` an event is on each line: all are accepted or "
    f"none, and each is delivered on its own. A batch has at most {MAX_BATCH_EVENTS:,} events, {MAX_BATCH_TOPICS:,} "
    f"different topics and {MAX_BATCH_BYTES // 2**20} MiB.",
    "required": False,
    "content": content(JSON, schema("Data"), {"order": 42})
    | content(STRUCTURED, schema("CloudEvent"), A_CLOUD_EVENT)
    | content(TEXT, text("An event's body; with `batch=lines` one on each line."), "hello")
    | content("application/octet-stream", text(format="binary"))
    | content("*/*", text("An event's body, delivered as it came.", format="binary")),
}
_ACCEPTED = {"anyOf": [schema(f"Accepted{what}") for what in ("", "CloudEvent", "Settled", "Batch", "CloudEvents")]}
_ID = sent("The event's id, the first one's of a batch; left out for an empty batch.", text(), required=False)
_LINK = {
    "operationId": "getEvent",
    "parameters": {"event_id": "$response.header.Webhook-Id"},
    "description": "The event, and its deliveries.",
}
_SAFE = answer(
    "The event is on disk. A batch is answered with `ids`, and with `settle` there is what became of the event.",
    content(JSON, _ACCEPTED, {"id": AN_ID, "subscribers": 2, "duplicate": False}) | SUCCESS,
    {"Webhook-Id": _ID},
) | {"links": {"event": _LINK}}

SEND = operation(
    "sendMessage", "Publish",
    "Publishes the body as one event, or as a batch. The answer comes once the event is safe: anything that is not 2xx "
    "means that nothing was kept.",
    tag="Publishing", scope="publish", parameters=_PARAMETERS, requestBody=_BODY, ok=_SAFE,
    call="""'/sendMessage?topic=orders.created' -H 'Content-Type: application/json' --data '{"order": 42}'""",
    errors=("WrongEvent", "BodyTooSlow", "TooLarge", "KeyReused", "TooManyWaiting", "Unavailable", "DiskFull"),
)  # fmt: skip

PATHS: Json = {"/sendMessage": {"post": SEND}}
